"""A window to fit, the label delay, a block to test."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evaluation import made
from scipy import stats
from sklearn.linear_model import LogisticRegression

from fraud_utils.data import DataError
from fraud_utils.evaluation import Protocol, Rows, average_precision, cards, prequential
from fraud_utils.evaluation.tune import later_parts
from fraud_utils.models import Candidate

ONCE = Protocol(jobs=1)
LINEAR = Candidate("logistic regression")
HOUR, DAY = 3_600, 86_400


def table(days: float = 40, count: int = 2_400, **known) -> Rows:
    """Rows with a column that separates, evenly in time, by 300 cards."""
    rng = np.random.default_rng(1)
    y = (rng.random(count) < 0.1).astype(np.int8)
    X = np.column_stack([y + rng.normal(size=count), rng.normal(size=count)]).astype(np.float32)
    card = rng.integers(0, 300, count).astype(np.uint64)
    return made.rows(X, y, **{"time": np.linspace(0, days * DAY - 1, count), "card": card, **known})


@pytest.mark.parametrize(
    ("days", "delay", "block", "train"),
    [
        (42 / 24, 0, 4 * HOUR, 22 * HOUR),  # the reference table's first 80 %
        (11 / 24, 0, HOUR, 6 * HOUR),  # an hour is the least, though the rows come by the second
        (32 / 24, 0, 3 * HOUR, 17 * HOUR),
        (11, 0, DAY, 6 * DAY),
        (40, 0, 2 * DAY, 30 * DAY),
        (146, 7, 7 * DAY, 104 * DAY),  # the Handbook's
        (600, 30, 30.4375 * DAY, 417.8125 * DAY),
    ],
)
def test_blocks_are_of_a_usual_length_and_leave_half_of_the_time_to_fit(days, delay, block, train):
    of = prequential.plan(table(days, label_delay_days=delay))
    assert (of.block, of.delay, of.blocks) == (block, delay * DAY, 5)
    assert of.train == pytest.approx(train, abs=DAY)


def test_blocks_end_with_the_last_row_though_none_comes_shortly_before_it():
    time = np.append(np.linspace(0, 36 * DAY, 2_399), 39.9 * DAY)
    of = prequential.plan(table(time=time))
    assert of.start + 5 * of.block == 40 * DAY


def test_two_blocks_with_frauds_are_enough():
    y = (np.arange(2_400) % 12 == 0).astype(np.int8)
    rows = replace(table(), y=y)
    of = prequential.plan(rows)
    quiet = (rows.time >= of.start) & (rows.time < of.start + 3 * of.block)
    blocks = prequential.slide([LINEAR], replace(rows, y=np.where(quiet, 0, y)), ONCE)
    assert sorted({*blocks.scores.block}) == [3, 4]


def test_tables_by_the_month_have_blocks_of_months():
    months = np.repeat(np.arange(40), 30) * 30.4375 * DAY
    of = prequential.plan(table(count=1_200, time=months))
    assert of.block == 3 * 30.4375 * DAY
    assert [len(np.unique(months[new])) for _, new in of.parts(months)] == [3] * 5


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (table(time=None), "no times"),
        (table(9 / 24), "The 9.0 hours before the test set are too short for 5 blocks in time, so"),
        (table(20, label_delay_days=20), "too short for 5 blocks in time and a label delay of 20 days"),
    ],
)
def test_without_enough_time_a_sentence_says_so(rows, why):
    with pytest.raises(DataError, match=why):
        prequential.plan(rows)
    blocks = prequential.slide([LINEAR], rows, ONCE, 3)
    assert why in prequential.describe(blocks, LINEAR)
    assert prequential.summary(blocks) is None and prequential.readable(None).empty


def test_blocks_without_enough_frauds_before_them_are_left_out_with_the_reason():
    rows = replace(table(), y=(np.arange(2_400) >= 2_200).astype(np.int8))
    assert "at least 6 before them" in prequential.describe(prequential.slide([LINEAR], rows, ONCE), LINEAR)


class Remembers(LogisticRegression):
    """Scores a row by how long before it the last row lies that it was fitted on; its first value is the time."""

    def fit(self, X, y):
        self.classes_, self.seen_ = np.array([0, 1]), (X[:, 0].min(), X[:, 0].max())
        return self

    def predict_proba(self, X):
        gap = (X[:, 0] - self.seen_[1]) / 1e9
        return np.column_stack([1 - gap, gap])


MEMORY = Candidate("memory", estimator=Remembers())


def test_each_block_is_scored_by_a_window_that_ends_the_label_delay_before_it():
    rows = table(40, label_delay_days=3)
    rows.X[:, 0] = rows.time
    blocks = prequential.slide([MEMORY], rows, ONCE)
    of, judged = blocks.plan, blocks.scores
    assert of.delay == 3 * DAY
    fits, never = (judged.values[name].to_numpy() * 1e9 for name in (MEMORY.name, prequential.never(MEMORY)))
    first = judged.block == 0
    np.testing.assert_array_equal(fits[first], never[first])
    for number in range(5):
        begin = of.start + number * of.block
        here = judged.block == number
        inside = (judged.rows.time[here] >= begin) & (judged.rows.time[here] < begin + of.block)
        assert inside.all() and here.sum() == ((rows.time >= begin) & (rows.time < begin + of.block)).sum()
        last = rows.time[rows.time < begin - of.delay].max()
        np.testing.assert_allclose(judged.rows.time[here] - fits[here], last, atol=300)  # X is float32
    np.testing.assert_allclose(judged.rows.time - never, rows.time[rows.time < of.start - of.delay].max(), atol=300)


def test_labels_that_are_not_known_yet_change_nothing():
    rows = table(40, label_delay_days=3)
    blocks = prequential.slide([LINEAR], rows, ONCE)
    unknown = rows.time >= blocks.plan.window(4)[1]
    y = rows.y.copy()
    y[unknown] = np.random.default_rng(2).permutation(y[unknown])
    again = prequential.slide([LINEAR], replace(rows, y=y), ONCE)
    assert not np.array_equal(again.scores.rows.y, blocks.scores.rows.y)
    pd.testing.assert_frame_equal(again.scores.values, blocks.scores.values, check_exact=True)


def test_the_search_fits_no_rows_whose_labels_are_not_known_when_its_block_begins():
    rows = table(40, label_delay_days=3)
    for (fit, new), (every, same) in zip(
        later_parts(rows, 3, 7), later_parts(replace(rows, label_delay_days=0), 3, 7), strict=True
    ):
        np.testing.assert_array_equal(new, same)
        begin = rows.time[new[0]]
        assert list(fit) == [i for i in every if rows.time[i] < begin - 3 * DAY]


def test_figures_are_those_of_each_block_with_known_cards_and_without():
    rows = table(40, label_delay_days=3)
    blocks = prequential.slide([LINEAR], rows, ONCE, cards_per_day=4)
    judged, of = blocks.scores, blocks.plan
    for row in blocks.table[blocks.table["name"] == LINEAR.name].to_dict("records"):
        begin, (opens, _) = of.start + row["block"] * of.block, of.window(row["block"])
        kept = []
        for place in np.flatnonzero(judged.block == row["block"]):
            day = judged.rows.time[place] // DAY * DAY
            same = rows.card == judged.rows.card[place]
            known = same & (rows.y == 1) & (rows.time >= opens) & (rows.time < day - of.delay)
            if row["cards"] == "kept" or not known.any():
                kept.append(place)
        here, score = judged.rows.at(np.array(kept)), judged.values[LINEAR.name].to_numpy()[kept]
        assert (row["start"], row["frauds"]) == (begin, here.y.sum())
        assert row["average_precision"] == pytest.approx(average_precision(here.y, score))
        assert row["card_precision"] == pytest.approx(cards.card_precision(here, score, 4)["precision"].mean())
        assert row["attainable"] == pytest.approx(cards.attainable(here, 4))
    kept = blocks.table[(blocks.table["name"] == LINEAR.name) & (blocks.table["cards"] == "kept")]
    first = prequential.summary(blocks).models[0]
    assert first.average_precision == pytest.approx(kept["average_precision"].mean())
    assert first.card_precision_sd == pytest.approx(np.std(kept["card_precision"], ddof=1))
    shown = prequential.readable(prequential.summary(blocks))
    assert (LINEAR.name, "without cards known as compromised") in shown.index and "attainable" in shown


def test_the_interval_over_blocks_is_wider_than_that_of_independent_ones():
    of, values = prequential.Plan(0, 1, 4, 0, 5), np.array([0.5, 0.6, 0.55, 0.7, 0.65])
    half = stats.t.ppf(0.975, 4) * np.std(values, ddof=1) * np.sqrt(1 / 5 + 1 / 4)
    assert prequential.over_blocks(values, of) == pytest.approx((0.6 - half, 0.6 + half))
    assert prequential.over_blocks(values[:1], of) is None


def test_where_the_world_turns_a_model_that_is_never_fitted_again_falls_behind():
    rows = table(40)
    rows.X[:, 0] += 3 * rows.y
    rows.X[rows.time >= prequential.plan(rows).start, 0] *= -1
    given = replace(prequential.plan(rows), train=2 * DAY)
    blocks = prequential.slide([LINEAR], rows, ONCE, given=given)
    text = prequential.describe(blocks, LINEAR)
    assert "5 blocks of 2.0 days, each scored by fits on the window of 2.0 days before it." in text
    assert "Fitting it anew for each block gains average precision: +" in text
    steady = prequential.slide([LINEAR], table(40), ONCE, given=given)
    assert "not shown to matter" in prequential.describe(steady, LINEAR)
    along = prequential.along_time(steady)
    assert along["when"].unique().tolist() == [31, 33, 35, 37, 39]
    dated = prequential.slide([LINEAR], table(40, origin="2020-01-01T00:00:00+00:00"), ONCE, given=given)
    assert prequential.along_time(dated)["when"].iloc[0] == pd.Timestamp("2020-02-01")


def test_blocks_of_hours_say_nothing_of_days():
    blocks = prequential.slide([LINEAR], table(42 / 24), ONCE, cards_per_day=3)
    assert blocks.table["card_precision"].isna().all()
    assert "Blocks of 4.0 hours are too short for figures a day." in prequential.describe(blocks, LINEAR)


def test_rows_of_a_table_without_cards_are_all_kept():
    blocks = prequential.slide([LINEAR], table(40, card=None), ONCE)
    assert {*blocks.table["cards"]} == {"kept"}
    assert list(prequential.readable(prequential.summary(blocks)).index) == [LINEAR.name, prequential.never(LINEAR)]
