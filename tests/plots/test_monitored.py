"""Figures of a monitored model show the numbers that they are given."""

import json

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fraud_utils import explore, plots

NAMES = ["5 Jan", "6 Jan", "7 Jan"]


@pytest.fixture
def axes():
    plots.set_style()
    fig, axes = plt.subplots(1, 4)
    yield list(axes)
    fig.canvas.draw()  # what cannot be drawn fails here
    plt.close(fig)


def points(ax, label):
    return next(line.get_xydata().tolist() for line in ax.lines if line.get_label() == label)


def test_days_outside_the_band_have_a_mark_of_their_own(axes):
    days = pd.DataFrame({"kind": "day", "alerts": [5, 30, 6], "expected": 6.0, "low": 1.0, "high": 14.0,
                         "outside": [False, True, False]})  # fmt: skip
    ax = plots.plot_pace(days, axes[0], NAMES)
    assert points(ax, "alerts of a day") == [[0, 5], [2, 6]]
    assert points(ax, "outside the band") == [[1, 30]]
    ax.figure.canvas.draw()
    assert {label.get_text() for label in ax.get_xticklabels()} >= {*NAMES}


def test_columns_stand_in_the_order_of_how_far_they_moved_and_changes_are_crossed(axes):
    moved = [False] * 4 + [True] * 2
    table = pd.DataFrame({"kind": "day", "column": np.repeat(["calm", "moved"], 3), "first": [0, 1, 2] * 2,
                          "psi": [0.01, 0.02, np.nan, 0.01, 0.5, 0.6], "changed": moved})  # fmt: skip
    ax = plots.plot_columns(table, axes[0], NAMES, explore.BANDS)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["moved", "calm"]
    assert ax.lines[0].get_xydata().tolist() == [[1, 0], [2, 0]]


def test_each_metric_has_an_axis_with_the_promise_and_none_is_left_empty(axes):
    figures = {f"{name}{end}": [0.5, 0.6] for name in ("precision", "recall") for end in ("", "_low", "_high")}
    plots.plot_weeks(pd.DataFrame(figures), axes, NAMES[:1])
    assert [ax.get_title(loc="left") for ax in axes[0].figure.axes] == ["precision", "recall"]
    assert any(set(line.get_ydata()) == {0.5} for line in axes[0].lines)


def test_what_a_mark_stands_for_is_kept_with_the_names_of_days(axes, tmp_path):
    days = pd.DataFrame({"kind": ["day"] * 3 + ["week"], "alerts": [5, 30, 6, 41], "expected": 6.0, "low": 1.0,
                         "high": 14.0, "outside": [False, True, False, True]})  # fmt: skip
    index = pd.DataFrame({"kind": "day", "column": "V4", "first": [0, 1, 2], "psi": [0.01, 0.5, np.nan],
                          "changed": [False, True, False]})  # fmt: skip
    weeks = pd.DataFrame({"recall": [0.8, 0.5], "recall_low": [0.6, 0.3], "recall_high": [0.9, 0.7]})
    drawn = {
        "pace": lambda ax: plots.plot_pace(days, ax, NAMES),
        "columns": lambda ax: plots.plot_columns(index, ax, NAMES, explore.BANDS),
        "weeks": lambda ax: plots.plot_weeks(weeks, [ax], NAMES[:1]),
    }
    kept = {}
    for name, draw in drawn.items():
        figure, ax = plt.subplots()
        draw(ax)
        plots.save(figure, tmp_path, name)
        numbers = json.loads((tmp_path / "figures" / f"{name}.json").read_text())
        kept[name] = [dict(zip(numbers["columns"], row, strict=True)) for row in numbers["rows"]]
        assert len(numbers["wide"]) == len(numbers["narrow"]) == len(numbers["rows"])
    assert kept["pace"][1] == {"day": "6 Jan", "alerts": 30, "promised": 6, "low": 1, "high": 14}
    assert [row["day"] for row in kept["pace"]] == NAMES
    assert kept["columns"][1] == {"column": "V4", "day": "6 Jan", "stability index": 0.5, "changed": "yes"}
    assert kept["columns"][2] == {"column": "V4", "day": "7 Jan", "stability index": None, "changed": None}
    assert kept["weeks"] == [{"week": "5 Jan", "value": 0.5, "low": 0.3, "high": 0.7, "promised": 0.8}]
