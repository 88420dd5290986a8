"""Figures show the numbers that they are given."""

import json

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fraud_utils import explore, plots
from fraud_utils.data import Schema, split_transactions

BANDS = {"moderate": 0.1, "large": 0.25}
SCHEMA = Schema(name="a desk", label="fraud", time="at", amount="paid", features=())


@pytest.fixture
def ax():
    plots.set_style()
    fig, ax = plt.subplots()
    yield ax
    fig.canvas.draw()  # what cannot be drawn fails here
    plt.close(fig)


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(7)
    time = np.sort(rng.integers(0, 2 * 86_400, 6_000)).astype(float)
    label = (np.arange(6_000) % 40 == 0).astype("int8")
    return pd.DataFrame({"at": time, "paid": rng.exponential(40, 6_000).round(2), "fraud": label})


def bars(ax, i=0):
    """Intervals drawn as lines: their ends."""
    return [path.vertices for path in ax.collections[i].get_paths()]


def points(ax, label):
    """Data of the line or markers with that label."""
    return next(line.get_xydata() for line in ax.lines if line.get_label() == label)


@pytest.fixture
def ranked():
    return pd.DataFrame(
        {"name": ["b", "a_$x$", "c"], "value": [0.9, 0.7, 0.5], "low": [0.8, 0.6, 0.3], "high": [0.95, 0.8, 0.7]}
    )


def test_intervals_keep_the_order_and_draw_every_interval(ax, ranked):
    assert plots.plot_intervals(ranked, ax, reference=0.5) is ax
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a_$x$", "c"]
    assert ax.yaxis_inverted()
    for row, ends in zip(ranked.itertuples(), bars(ax), strict=True):
        assert ends[:, 0].tolist() == [row.low, row.high]
    assert any(set(line.get_xdata()) == {0.5} for line in ax.lines)
    assert ax.get_legend() is None


def test_intervals_of_groups_differ_by_colour_and_marker(ax, ranked):
    plots.plot_intervals(ranked.assign(group=["up", "down", "up"]).set_index("name"), ax)
    assert points(ax, "up").tolist() == [[0.9, 0], [0.5, 2]]
    assert points(ax, "down").tolist() == [[0.7, 1]]
    down, up = (line for line in ax.lines if line.get_label() in ("up", "down"))
    assert up.get_marker() != down.get_marker() and up.get_color() != down.get_color()
    assert [entry.get_text() for entry in ax.get_legend().get_texts()] == ["down", "up"]


def test_intervals_say_how_many_they_leave_out(ax, ranked):
    plots.plot_intervals(pd.concat([ranked] * 30), ax, top=40)
    assert len(ax.get_yticks()) == 40
    assert "40 of 90" in ax.get_ylabel()


def test_rates_draw_intervals_and_skip_empty_hours(ax):
    hours = pd.DataFrame(
        {"rows": [100, 0, 50], "frauds": [5, 0, 1], "rate": [0.05, np.nan, 0.02], "low": [0.02, 0, 0.0], "high": 0.1},
        index=pd.Index([3, 4, 5], name="hour"),
    )
    plots.plot_rates(hours, ax)
    assert [ends.tolist() for ends in bars(ax)] == [[[3, 0.02], [3, 0.1]], [[5, 0.0], [5, 0.1]]]
    assert any(np.allclose(line.get_ydata(), 6 / 150) for line in ax.lines)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("hour", "fraud rate")
    assert ax.get_ylim()[1] >= 0.1


def test_volume_draws_both_counts_and_the_test_part(ax, frame):
    volume = explore.volume(frame, SCHEMA)
    split = split_transactions(frame, SCHEMA)
    cut = explore.on_time_axis(split.test_from, frame, SCHEMA)
    plots.plot_volume(volume, ax, cut)
    assert ax.patches[0].get_data().values.tolist() == volume["rows"].tolist()
    twin = next(other for other in ax.figure.axes if other is not ax)
    assert twin.lines[0].get_ydata().tolist() == volume["frauds"].tolist()
    assert ax.patches[-1].get_x() == pytest.approx(cut)
    assert ax.get_ylabel() == "rows per hour"


def test_amounts_show_zero_and_every_step(ax, frame):
    frame = frame.copy()
    frame.loc[frame.index[::4], "paid"] = 0.0
    curve = explore.amount_distribution(frame, SCHEMA)
    plots.plot_amounts(curve, ax, "EUR")
    left, right = ax.get_xlim()
    assert left < 0 < frame["paid"].max() < right
    assert ax.get_xscale() == "symlog" and "EUR" in ax.get_xlabel()
    for kind, label in (("legitimate", 0), ("fraud", 1)):
        drawn = points(ax, kind)
        at_zero = drawn[drawn[:, 0] == 0, 1]
        assert at_zero == pytest.approx((frame.loc[frame["fraud"] == label, "paid"] <= 0).mean())


@pytest.mark.parametrize("amounts", [[0.0, 0.0], [-5.0, 20.0], [7.0, 7.0]])
def test_amounts_of_any_sign(ax, amounts):
    curve = pd.DataFrame({"kind": ["legitimate", "fraud"], "amount": amounts, "share": 1.0})
    plots.plot_amounts(curve, ax, "$")
    left, right = ax.get_xlim()
    assert left < min(amounts) <= max(amounts) < right


def test_histograms_give_each_column_an_axis_and_each_class_its_own_shares():
    bins = pd.DataFrame({"name": list("aaaabbbb"), "kind": ["legitimate", "legitimate", "fraud", "fraud"] * 2})
    bins["left"], bins["right"] = [0.0, 1] * 4, [1.0, 2] * 4
    bins["share"] = [0.9, 0.1, 0.2, 0.8, 0.5, 0.5, 0.4, 0.6]
    figure, axes = plt.subplots(1, 3)
    first, second = plots.plot_histograms(bins, axes.flat)
    assert figure.axes == [first, second]  # the third had nothing to show
    drawn = {patch.get_label(): patch for patch in first.patches if patch.get_label()}
    assert {kind: patch.get_data().values.tolist() for kind, patch in drawn.items()} == {
        "legitimate": [0.9, 0.1],
        "fraud": [0.2, 0.8],
    }
    legitimate, fraud = drawn.values()
    assert legitimate.get_edgecolor() != fraud.get_edgecolor() and legitimate.get_linestyle() != fraud.get_linestyle()
    figure.canvas.draw()
    plt.close(figure)


def test_correlations_are_symmetric_and_grey_within_chance(ax):
    pairs = pd.DataFrame(
        {
            "first": ["a", "a", "b"],
            "second": ["b", "c", "c"],
            "fraud": [0.9, 0.3, 0.4],
        }
    ).assign(difference=[0.8, 0.1, np.nan], differ=[True, False, False])
    plots.plot_correlations(pairs, ax, "fraud")
    matrix = np.ma.filled(ax.images[0].get_array(), np.nan)
    assert matrix[0, 1] == matrix[1, 0] == 0.9 and matrix[2, 1] == 0.4
    assert np.isnan(np.diag(matrix)).all()
    _, other = plt.subplots()
    plots.plot_correlations(pairs, other, "difference")
    matrix = np.ma.filled(other.images[0].get_array(), np.nan)
    assert matrix[1, 0] == 0.8 and np.isnan(matrix[0, 2]) and np.isnan(matrix[1, 2])
    plt.close(other.figure)


def test_correlations_of_one_column_say_so(ax):
    plots.plot_correlations(pd.DataFrame({"first": [], "second": [], "fraud": []}), ax, "fraud")
    assert "fewer than two" in ax.texts[0].get_text()


def test_stability_draws_bands_and_both_indices(ax):
    drift = pd.DataFrame(
        {"psi": [0.4, 0.02, 0.0], "chance": [0.01] * 3, "psi_same_hours": [0.05, 0.02, 0.0]}, index=["a", "b", "c"]
    )
    plots.plot_stability(drift, ax, BANDS)
    assert points(ax, "against the whole training part")[:2, 0].tolist() == [0.4, 0.02]
    assert points(ax, "against the same hours of the day")[:2, 0].tolist() == [0.05, 0.02]
    edges = {line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"}
    assert edges == {0.1, 0.25}
    assert ax.get_xlim()[0] < 1e-4 < 0.4 < ax.get_xlim()[1]


def test_stability_draws_one_index_where_the_hours_are_the_same(ax):
    drift = pd.DataFrame({"psi": [0.4], "chance": [0.01], "psi_same_hours": [0.4]}, index=["a"])
    plots.plot_stability(drift, ax, BANDS)
    assert "against the same hours of the day" not in [line.get_label() for line in ax.lines]


def test_projection_draws_every_point_by_class(ax):
    plane = pd.DataFrame({"x": [0.0, 1, 2], "y": [3.0, 4, 5], "kind": ["fraud", "legitimate", "fraud"]})
    plane.attrs["explained"] = [0.4, 0.2]
    plots.plot_projection(plane, ax)
    drawn = {str(group.get_label()): group.get_offsets().tolist() for group in ax.collections}
    assert drawn == {"legitimate": [[1, 4]], "fraud": [[0, 3], [2, 5]]}
    assert "40\N{NO-BREAK SPACE}%" in ax.get_xlabel() and "20\N{NO-BREAK SPACE}%" in ax.get_ylabel()


def test_precision_recall_draws_each_curve_and_chance(ax):
    curves = pd.DataFrame({"name": ["m", "m", "n", "n"], "recall": [0, 1, 0, 1.0], "precision": [1, 0.5, 0.8, 0.1]})
    plots.plot_precision_recall(curves, ax, base_rate=0.0017)
    assert points(ax, "m").tolist() == [[0, 1], [1, 0.5]]
    assert points(ax, "n").tolist() == [[0, 0.8], [1, 0.1]]
    assert "recall" in ax.get_xlabel() and "precision" in ax.get_ylabel()
    assert "0.17\N{NO-BREAK SPACE}%" in ax.get_legend().get_texts()[-1].get_text()


def test_the_fixed_threshold_is_drawn_on_its_curve_with_intervals(ax):
    curves = pd.DataFrame({"name": ["m", "m"], "recall": [0, 1.0], "precision": [1, 0.5]})
    at = {"recall": 0.6, "precision": 0.8, "recall_ci": [0.36, 0.81], "precision_ci": [0.52, 0.96]}
    plots.plot_precision_recall(curves, ax, at=at)
    across, up = (collection.get_segments()[0].tolist() for collection in ax.collections)
    assert np.allclose(across, [[0.36, 0.8], [0.81, 0.8]]) and np.allclose(up, [[0.6, 0.52], [0.6, 0.96]])
    plots.plot_precision_recall(curves, ax, at={"recall": 0.0, "precision": 0.0, "recall_ci": [0, 0.2]})
    assert len(ax.collections) == 2


def test_save_writes_a_small_sharp_file_that_repeats(tmp_path, ranked):
    plots.set_style()
    written = []
    for run in ("one", "two"):
        fig, ax = plt.subplots(figsize=(6, 3))
        plots.plot_intervals(ranked, ax)
        assert plots.save(fig, tmp_path / run, "ranked") is None
        assert not plt.fignum_exists(fig.number)
        names = ("ranked.png", "ranked-narrow.png", "ranked.json")
        written.append([(tmp_path / run / "figures" / name).read_bytes() for name in names])
    assert written[0] == written[1]
    assert all(len(content) < 50_000 for content in written[0])
    assert Image.open(tmp_path / "one" / "figures" / "ranked.png").size == (1200, 600)
    assert Image.open(tmp_path / "one" / "figures" / "ranked-narrow.png").width == 840


def kept(folder, fig):
    plots.save(fig, folder, "kept")
    return json.loads((folder / "figures" / "kept.json").read_text())


def test_panels_stand_below_each_other_on_a_phone(tmp_path, ranked):
    plots.set_style()
    fig, axes = plt.subplots(1, 3, figsize=(12, 3))
    for ax in axes:
        plots.plot_intervals(ranked, ax)
    shown = kept(tmp_path, fig)
    wide, narrow = (np.array(shown[key]).reshape(3, 3, 2) for key in ("wide", "narrow"))
    assert wide[0].max(axis=0)[0] < wide[1].min(axis=0)[0] and wide[0, 0, 1] == wide[1, 0, 1]
    assert narrow[0].max(axis=0)[1] < narrow[1].min(axis=0)[1] < narrow[2].min(axis=0)[1]
    assert shown["starts"] == [0, 3, 6]


def test_a_rare_colour_is_kept_beside_many(tmp_path):
    plots.set_style()
    fig, ax = plt.subplots()
    ax.imshow(np.linspace(0, 1, 900).reshape(30, 30), cmap="Blues", aspect="auto")
    ax.plot([3], [3], "x", color=plots.PALETTE[1], markersize=4)
    plots.save(fig, tmp_path, "rare")
    seen = np.asarray(Image.open(tmp_path / "figures" / "rare.png").convert("RGB"), int).reshape(-1, 3)
    for colour in (plots.PALETTE[1], "#262626"):  # the mark's, and that of letters
        there = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        assert np.abs(seen - there).max(axis=1).min() < 20


def test_a_phones_colour_bar_keeps_its_names_on_one_side(tmp_path):
    plots.set_style()
    fig, ax = plt.subplots()
    plots.plot_contributions(pd.DataFrame({"column": "V4", "contribution": [1.0, 2], "level": [0, 1]}), ax)
    plots.save(fig, tmp_path, "kept")
    _, bar = fig.axes
    assert [text.get_text() for text in bar.get_yticklabels()] == ["lowest", "median", "highest"]
    assert not any(tick.label1.get_visible() for tick in bar.yaxis.get_major_ticks())


def test_no_row_of_a_table_can_be_read_from_what_is_kept(tmp_path, frame):
    """Dots are rows: their numbers are not kept, or quantiles of them are; amounts are rounded."""
    plots.set_style()
    plane = pd.DataFrame({"x": [0.0, 1, 2], "y": [3.0, 4, 5], "kind": ["fraud", "legitimate", "fraud"]})
    fig, ax = plt.subplots()
    plots.plot_projection(plane, ax)
    plots.save(fig, tmp_path, "plane")
    assert not (tmp_path / "figures" / "plane.json").exists()
    fig, ax = plt.subplots()
    plots.plot_contributions(pd.DataFrame({"column": "V4", "contribution": np.arange(101.0), "level": 0.5}), ax)
    assert [row[1] for row in kept(tmp_path, fig)["rows"]] == [5, 25, 50, 75, 95]
    fig, ax = plt.subplots()
    plots.plot_amounts(explore.amount_distribution(frame, SCHEMA), ax, "EUR")
    shown = kept(tmp_path, fig)
    assert len(shown["rows"]) <= 80
    assert all(float(f"{row[2]:.2g}") == row[2] for row in shown["rows"])


def test_a_figure_says_in_words_whose_scores_it_shows(tmp_path, ranked):
    plots.set_style()
    fig, ax = plt.subplots()
    plots.plot_intervals(ranked, ax)
    plots.save(fig, tmp_path, "part", part="test set")
    assert Image.open(tmp_path / "figures" / "part.png").info["Description"].startswith("Test set. ")
    assert fig.get_suptitle() == "TEST SET"


def test_the_parts_labels_can_be_read_and_differ_for_colour_blind_readers():
    """White on both, as WCAG asks of text; apart in blue against yellow, which the colour blind see."""
    first, second = (np.array([int(each[i : i + 2], 16) / 255 for i in (1, 3, 5)]) for each in plots.PARTS.values())
    for colour in (first, second):
        luminance = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4) @ [
            0.2126,
            0.7152,
            0.0722,
        ]
        assert 1.05 / (luminance + 0.05) >= 4.5
    blue_against_yellow = [colour[2] - colour[:2].mean() for colour in (first, second)]
    assert abs(blue_against_yellow[0] - blue_against_yellow[1]) > 0.4


def test_roc_draws_each_curve_from_the_first_false_alarm(ax):
    curves = pd.DataFrame({"name": "m", "false_alarms": [0, 0, 0.01, 1.0], "recall": [0, 0.5, 0.8, 1.0]})
    plots.plot_roc(curves, ax)
    assert points(ax, "m").tolist() == [[0.005, 0], [0.005, 0.5], [0.01, 0.8], [1, 1]]
    assert ax.get_xscale() == "log" and "log scale" in ax.get_xlabel()


def test_scores_give_each_class_its_shares_and_the_threshold(ax):
    bins = pd.DataFrame(
        {"kind": ["legitimate"] * 2 + ["fraud"] * 2, "left": [0.001, 0.5] * 2, "right": [0.5, 0.999] * 2}
    )
    plots.plot_scores(bins.assign(share=[0.9, 0.1, 0.3, 0.7]), ax, threshold=0.4)
    drawn = {patch.get_label(): patch.get_data().values.tolist() for patch in ax.patches if patch.get_label()}
    assert drawn == {"legitimate": [0.9, 0.1], "fraud": [0.3, 0.7]}
    assert set(points(ax, "fixed threshold")[:, 0]) == {0.4}


def test_reliability_draws_each_bin_and_the_diagonal(ax):
    data = pd.DataFrame(
        {
            "name": ["a", "a", "b"],
            "predicted": [0.01, 0.5, 0.2],
            "observed": [0.02, 0.4, 0.2],
            "low": [0.0, 0.3, 0.1],
            "high": [0.05, 0.6, 0.3],
        }
    )
    assert plots.plot_reliability(data, ax) is ax
    assert points(ax, "a").tolist() == [[0.01, 0.02], [0.5, 0.4]]
    assert points(ax, "b").tolist() == [[0.2, 0.2]]
    assert points(ax, "perfect calibration").tolist() == [[0.01, 0.01], [1, 1]]
    assert [ends[:, 1].tolist() for ends in bars(ax)][1] == [0.3, 0.6]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    _, other = plt.subplots()
    plots.plot_reliability(data.assign(predicted=[0.2, 0.5, 0.3]), other)  # where fraud is frequent
    assert (other.get_xscale(), other.get_yscale()) == ("linear", "linear")
    plt.close(other.figure)


def test_savings_draw_a_line_and_a_band_for_each_name(ax):
    data = pd.DataFrame(
        {
            "name": ["a", "a", "b", "b"],
            "review_cost": [1, 10, 1, 10],
            "value": [0.8, 0.5, 0.2, -0.9],
            "low": [0.7, 0.4, 0.1, -3.0],
            "high": [0.9, 0.6, 0.3, -0.2],
        }
    )
    assert plots.plot_savings(data, ax, "EUR") is ax
    assert points(ax, "b").tolist() == [[1, 0.2], [10, -0.9]]
    band = ax.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0.4, 0.9)
    assert "EUR" in ax.get_xlabel()
    assert ax.get_ylim()[0] >= -1  # a ruinous rule must not flatten the rest


def test_contributions_draw_a_dot_a_row_with_the_first_column_on_top(ax):
    data = pd.DataFrame({"column": ["V14"] * 3 + ["V4"] * 3, "contribution": range(6), "level": [0, 0.5, 1] * 2})
    assert plots.plot_contributions(data, ax) is ax
    assert [label.get_text() for label in ax.get_yticklabels()] == ["V14", "V4"]
    assert ax.yaxis_inverted()
    first, second = (part.get_offsets() for part in ax.collections[:2])
    assert (first[:, 0].tolist(), second[:, 0].tolist()) == ([0, 1, 2], [3, 4, 5])
    assert np.abs(first[:, 1]).max() < 0.5 < second[:, 1].min()
    assert ax.collections[0].get_array().tolist() == [0, 0.5, 1]


def test_blocks_in_time_draw_a_line_a_model(ax):
    data = pd.DataFrame({"name": ["a", "b"] * 2, "when": [31.0, 31.0, 33.0, 33.0], "value": [0.5, 0.4, 0.7, 0.2]})
    assert plots.plot_prequential(data, ax) is ax
    assert points(ax, "a").tolist() == [[31, 0.5], [33, 0.7]] and points(ax, "b").tolist() == [[31, 0.4], [33, 0.2]]
    assert ax.get_xlabel() == "days of the time column"


def test_ticks_in_percent_are_exact(ax):
    """Steps of 2.5 % were once written as 0, 2, 5, 8, 10."""
    part = {"name": "p", "kind": "fraud", "left": [0.0], "right": [1.0], "share": [0.18]}
    (drawn,) = plots.plot_histograms(pd.DataFrame(part), [ax])
    assert [drawn.yaxis.get_major_formatter()(tick, 0) for tick in (0.0, 0.025, 0.15, 1.0)] == [
        f"{shown}\N{NO-BREAK SPACE}%" for shown in ("0", "2.5", "15", "100")
    ]
