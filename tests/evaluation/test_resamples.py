"""Resamples: stratified, paired, and the same for whoever scores the same rows."""

import numpy as np
import pandas as pd
import pytest
from evaluation import made
from scipy import stats
from sklearn.metrics import average_precision_score

from fraud_utils.evaluation import Protocol, bootstrap_average_precision, resampled_metrics
from fraud_utils.evaluation.metrics import metrics
from fraud_utils.intervals import percentile
from fraud_utils.models import Candidate

DUMMY = Candidate("dummy")
RNG = np.random.default_rng(1)
Y = np.repeat([1, 0], [30, 400])
VALUES = pd.DataFrame({"a": RNG.normal(Y, 1).round(1), "b": RNG.normal(Y, 2)})


def resampled(values: pd.DataFrame, block: np.ndarray | None = None, seed: int = 4, y: np.ndarray = Y) -> pd.DataFrame:
    return bootstrap_average_precision(made.scores(y, values, block), Protocol(resamples=300, seed=seed))


def drawn_independently(values: np.ndarray, block: np.ndarray, y: np.ndarray = Y) -> np.ndarray:
    """Average precision on resamples drawn row by row, frauds and others apart, as a textbook has it."""
    rng, replicates = np.random.default_rng(9), []
    fraud, other = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    for _ in range(150):
        rows = np.concatenate([rng.choice(fraud, len(fraud)), rng.choice(other, len(other))])
        parts = [rows[block[rows] == number] for number in np.unique(block)]
        scored = [average_precision_score(y[part], values[part]) for part in parts if y[part].any()]
        replicates.append(np.mean(scored))
    return np.array(replicates)


def test_every_resample_has_as_many_frauds_and_others_as_the_rows():
    """Where all scores are equal, average precision is the share of frauds."""
    np.testing.assert_allclose(resampled(VALUES * 0), 30 / 430, rtol=1e-12)


@pytest.mark.parametrize("block", [np.zeros(430, dtype=int), np.arange(430) % 2])
def test_resamples_spread_as_those_of_an_independent_bootstrap(block):
    ours, others = resampled(VALUES, block)["a"], drawn_independently(VALUES["a"].to_numpy(), block)
    assert ours.mean() == pytest.approx(others.mean(), abs=4 * others.std() * np.sqrt(1 / 300 + 1 / 150))
    assert ours.std() == pytest.approx(others.std(), rel=0.2)


def test_candidates_share_resamples_whatever_else_is_compared():
    both = resampled(VALUES)
    assert len(both) == 300
    pd.testing.assert_frame_equal(resampled(VALUES[["b"]]), both[["b"]])
    ranked_alike = resampled(pd.DataFrame({"a": VALUES["a"], "cubed": VALUES["a"] ** 3}))
    np.testing.assert_array_equal(ranked_alike["a"], ranked_alike["cubed"])
    assert both["a"].nunique() > 250 and not both.equals(resampled(VALUES, seed=5))


def test_repeats_of_a_row_are_drawn_together_and_blocks_are_averaged():
    one, two = RNG.normal(Y, 1), RNG.normal(Y, 2)
    alone = [resampled(pd.DataFrame({"a": score}))["a"] for score in (one, two)]
    together = resampled(pd.DataFrame({"a": np.concatenate([one, two])}), np.repeat([0, 1], 430))
    np.testing.assert_allclose(together["a"], np.mean(alone, axis=0), rtol=1e-12)


@pytest.mark.parametrize("trials", [40, pytest.param(120, marks=pytest.mark.long)])
def test_intervals_cover_the_truth_about_as_often_as_they_say(trials):
    rng = np.random.default_rng(2)

    def draw(frauds, rows):
        y = np.repeat([1, 0], [frauds, rows])
        return y, rng.normal(2.0 * y, 1)

    truth = average_precision_score(*draw(20_000, 200_000))
    hits = 0
    for trial in range(trials):
        y, score = draw(100, 1_000)
        scores = made.scores(y, pd.DataFrame({"a": score}))
        low, high = percentile(bootstrap_average_precision(scores, Protocol(resamples=200, seed=trial)))
        hits += low <= truth <= high
    assert hits >= stats.binom(trials, 0.95).ppf(0.001)  # 33 of 40, 106 of 120


@pytest.mark.parametrize("cost", [1.0, 20.0])
def test_metrics_on_shared_resamples_follow_from_each_other(cost):
    """For scores of 0 and 1 and one amount, every metric of a resample follows from its precision and recall."""
    rng = np.random.default_rng(4)
    y = (rng.random(5000) < 0.02).astype(int)
    score = np.where(y == 1, rng.random(5000) < 0.7, rng.random(5000) < 0.01).astype(float)
    scores = made.scores(y, pd.DataFrame({"dummy": score}), amount=np.full(5000, 30.0))
    table = resampled_metrics(scores, DUMMY, 0.5, cost)
    frauds, rows = y.sum(), len(y)
    caught = table["recall"] * frauds
    alerts = caught / table["precision"]
    assert np.allclose(caught, caught.round())
    assert np.allclose(alerts, alerts.round())
    assert caught.std() == pytest.approx(np.sqrt(frauds * 0.7 * 0.3), rel=0.3)
    two_steps = table["recall"] * table["precision"] + (1 - table["recall"]) * frauds / rows
    assert np.allclose(table["average_precision"], two_steps)
    assert np.allclose(table["f1"], 2 * caught / (alerts + frauds))
    assert np.allclose(table["brier"], (frauds - caught + alerts - caught) / rows)
    spent = 30 * (frauds - caught) + cost * alerts
    assert np.allclose(table["savings"], 1 - spent / min(30 * frauds, cost * rows))
    point = metrics(scores.rows, score, 0.5, cost) | {"average_precision": average_precision_score(y, score)}
    for name in table:
        assert table[name].mean() == pytest.approx(point[name], abs=3 * table[name].std() / np.sqrt(1000) + 0.01), name


def test_one_alert_that_is_a_fraud_is_all_the_precision_there_is():
    y = np.repeat([1, 0], [5, 200])
    scores = made.scores(y, pd.DataFrame({"dummy": np.where(np.arange(205) == 0, 1.0, 0.0)}))
    table = resampled_metrics(scores, DUMMY, 0.5)
    assert set(table["precision"]) == {0.0, 1.0}  # none where a resample lacks that fraud


def test_shared_resamples_are_the_same_for_other_scores_of_the_same_rows_only():
    rng = np.random.default_rng(4)
    y = (rng.random(2000) < 0.02).astype(int)

    def kept(score, *how, y=y, block=None, **known):
        return resampled_metrics(made.scores(y, pd.DataFrame({"dummy": score}), block, **known), DUMMY, *how)

    one, other, turned = (kept(rng.random(2000), 0.5, y=labels) for labels in (y, y, y[::-1]))
    assert one.attrs["resamples"] == other.attrs["resamples"] != turned.attrs["resamples"]
    perfect = kept(y.astype(float), 0.5)
    assert (perfect[["average_precision", "precision", "recall", "f1"]] == 1).all(axis=None)
    assert "savings" not in perfect  # without amounts
    assert "savings" not in kept(y.astype(float), 0.5, amount=np.zeros(2000))
    repeats = kept(np.tile(y, 2).astype(float), block=np.arange(4000) % 3)
    assert list(repeats) == ["average_precision"]
    assert repeats.attrs == one.attrs
