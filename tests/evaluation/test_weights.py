"""Figures from all frauds and some of the legitimate rows are those of all rows, within their intervals."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from evaluation import made
from scipy import stats

from fraud_utils import intervals
from fraud_utils.evaluation import (
    Protocol,
    bootstrap_average_precision,
    calibration,
    decisions,
    explain,
    explorer,
    resampled_metrics,
    tiers,
)
from fraud_utils.evaluation.compare import judge
from fraud_utils.evaluation.metrics import metrics, top_k
from fraud_utils.evaluation.rows import Scores
from fraud_utils.evaluation.weights import reached_by
from fraud_utils.models import Candidate
from fraud_utils.record import Threshold

ONE, SHARE, COST = Candidate("dummy"), 0.1, 3.0
ALERTING = (Threshold("f1", 0.5), Threshold("cost", 0.02))
FEW = Protocol(resamples=200)


@cache
def table() -> Scores:
    """All rows of a table, and probabilities of fraud that are true."""
    rng = np.random.default_rng(5)
    log_odds = rng.normal(-9, 2.5, 60_000)
    true = 1 / (1 + np.exp(-log_odds))
    y = (rng.random(len(true)) < true).astype(np.int8)
    time = np.sort(rng.random(len(true))) * 3 * 86_400
    return made.scores(y, pd.DataFrame({"dummy": true}), time=time, amount=rng.exponential(40, len(true)))


@cache
def drawn(number: int) -> Scores:
    """All frauds and a tenth of the other rows."""
    whole = table()
    kept = (whole.rows.y == 1) | (np.random.default_rng([9, number]).random(len(whole.rows)) < SHARE)
    rows, values = whole.rows.at(kept), whole.values[kept].reset_index(drop=True)
    legitimate = (rows.y == 0).sum() / (whole.rows.y == 0).sum()
    return made.scores(rows.y, values, time=rows.time, amount=rows.amount, share=float(legitimate))


@cache
def resampled(number: int) -> pd.DataFrame:
    return resampled_metrics(drawn(number), ONE, 0.1, COST)


@pytest.fixture(params=[10, pytest.param(20, marks=pytest.mark.long)])
def draws(request) -> int:
    return request.param


def enough(draws: int) -> int:
    """Of so many intervals that hold a figure at 95 %, fewer do with a chance below 2 %: 8 of 10, 17 of 20."""
    return int(stats.binom(draws, 0.95).ppf(0.02))


def inside(of_draw, whole: float, draws: int) -> int:
    """In how many draws an interval holds the whole table's figure."""
    bounds = np.array([of_draw(drawn(number)) for number in range(draws)])
    return int(((bounds[:, 0] <= whole) & (whole <= bounds[:, 1])).sum())


@cache
def of_all_rows() -> pd.Series:
    twice = bootstrap_average_precision(table(), Protocol(resamples=2))
    return judge([ONE], table(), twice, COST, {"dummy": 0.1}).loc["dummy"]


@cache
def uncorrected() -> pd.DataFrame:
    few = made.scores(drawn(0).rows.y, drawn(0).values, amount=drawn(0).rows.amount)
    return resampled_metrics(few, ONE, 0.1, COST)


@pytest.mark.parametrize("name", ["average_precision", "f1", "precision", "recall", "brier", "savings"])
def test_metrics_of_resamples_hold_those_of_all_rows(name, draws):
    of_draws = [resampled(number)[name] for number in range(draws)]
    rows, score = table().rows, table().of(ONE)
    whole = of_all_rows()[name]
    assert sum(low <= whole <= high for low, high in map(intervals.percentile, of_draws)) >= enough(draws)
    assert np.mean([each.mean() for each in of_draws]) == pytest.approx(whole, abs=of_draws[0].std())
    if name not in ("recall",):  # what a tenth of the rows would say without a correction is far off
        low, high = intervals.percentile(uncorrected()[name])
        assert not low <= whole <= high
    assert metrics(rows, score, 0.1, COST)["recall"] == metrics(drawn(0).rows, drawn(0).of(ONE), 0.1, COST)["recall"]


@pytest.mark.parametrize("figure", ["alerts", "frauds_caught", "false_alarms", "saved"])
@pytest.mark.parametrize("way", ["f1", "cost", "amount"])
def test_what_alerts_mean_on_all_rows_is_within_the_intervals(way, figure, draws):
    whole = decisions.on_test(table(), ONE, ALERTING, COST, FEW)[way]

    def bounds(scores: Scores):
        return getattr(decisions.on_test(scores, ONE, ALERTING, COST, FEW)[way], f"{figure}_ci")

    assert inside(bounds, getattr(whole, figure), draws) >= enough(draws)


def test_precision_of_tiers_and_of_probabilities_are_those_of_all_rows(draws):
    chosen = tiers.choose(table(), ONE, COST, 30.0)
    whole = tiers.held(table(), ONE, chosen)
    for action in ("review", "block"):

        def bounds(scores: Scores, action=action):
            return tiers.held(scores, ONE, chosen).loc[action, "precision"][["low", "high"]].to_numpy()

        assert inside(bounds, whole.loc[action, ("precision", "")], draws) >= enough(draws)
    held = np.mean([tiers.held(drawn(k), ONE, chosen)["rows"] for k in range(draws)], axis=0)
    assert np.allclose(held, whole["rows"], rtol=0.1)

    def low_and_high(scores: Scores):
        return calibration.reliability(scores.rows, scores.values, bins=2)[["low", "high"]].to_numpy()[0]

    whole = calibration.reliability(table().rows, table().values, bins=2)["observed"][0]
    assert inside(low_and_high, whole, draws) >= enough(draws)


def test_scores_to_alert_from_are_those_of_all_rows(draws):
    """Chosen on a tenth of the legitimate rows, each aim is reached on all rows about as well as it can be."""
    whole, rows, score = decisions.thresholds(table(), ONE, COST, 60), table().rows, table().of(ONE)
    best = {each.name: each for each in whole}
    reached = {name: [] for name in best}
    for number in range(draws):
        for each in decisions.thresholds(drawn(number), ONE, COST, 60):
            judged = metrics(rows, score, each.score, COST)
            alerts = float((score >= each.score).sum())
            cost = decisions.savings(rows.y, score >= each.score, rows.amount, COST, protocol=FEW)[0]
            reached[each.name].append({"f1": judged["f1"], "precision_90": judged["precision"]}.get(each.name, cost))
            if each.aim == "alerts_a_day":
                reached[each.name][-1] = alerts / 180
    assert np.mean(reached["alerts_60_a_day"]) == pytest.approx(1, abs=0.54 / draws**0.5)  # three standard errors
    assert np.mean(reached["f1"]) > 0.95 * metrics(rows, score, best["f1"].score, COST)["f1"]
    cheapest = decisions.savings(rows.y, score >= best["cost"].score, rows.amount, COST)[0]
    assert np.mean(reached["cost"]) > 0.95 * cheapest


def test_the_explorers_figures_are_those_of_all_rows():
    bins = explorer.binned(drawn(3), ONE)
    steps = explorer.steps(bins)
    place = steps.index[(steps["frauds"] > 100) & (steps["frauds"] < 300)][5]
    alert = table().of(ONE) >= steps.loc[place, "score"]
    counts = {"alerts": alert.sum(), "frauds": table().rows.y[alert].sum()}
    counts |= {"precision": counts["frauds"] / counts["alerts"]}
    for name, value in counts.items():
        assert steps.loc[place, f"{name}_low"] <= value <= steps.loc[place, f"{name}_high"], name
    assert bins.rows == len(table().rows)
    money = explorer.money(bins, place, COST)
    rows = table().rows
    saved = rows.amount[alert & (rows.y == 1)].sum() - COST * alert.sum()
    assert money.low <= saved <= money.high
    without = explorer.money(explorer.Bins(**{**vars(bins), "share": 1.0}), place, COST)
    assert money.high - money.low > without.high - without.low  # the draw widens it


def test_parts_and_calibration_count_all_rows():
    alert = drawn(1).of(ONE) >= 0.1
    parts, whole = explain.by_parts(drawn(1).rows, alert), explain.by_parts(table().rows, table().of(ONE) >= 0.1)
    assert (parts["frauds"] == whole["frauds"]).all() and (parts["recall"] == whole["recall"]).all()
    assert np.allclose(parts["rows"], whole["rows"], rtol=0.2)
    quality = calibration.quality(drawn(1).rows, drawn(1).values, COST).iloc[0]
    assert quality["mean over base rate"] == pytest.approx(1, abs=0.1)
    score, y = drawn(1).of(ONE), drawn(1).rows.y
    block = np.arange(len(y)) % 3
    for method in ("sigmoid", "isotonic"):
        again = calibration.calibrate(y, score, block, method, drawn(1).rows.share)
        assert np.average(again, weights=drawn(1).rows.weight) == pytest.approx(table().rows.y.mean(), rel=0.1)


def test_a_score_that_rows_reach_counts_each_for_so_many():
    score, weight = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 10, 1, 10])
    assert [reached_by(score, count, weight) for count in (0.5, 1, 2, 9, 11, 12, 16, 18, 99)] == [
        *(0.9, 0.9, 0.9, 0.8, 0.8, 0.7, 0.7, 0.6, 0.6)
    ]
    assert [reached_by(score, count, np.ones(4)) for count in (0, 1, 3, 9)] == [0.9, 0.9, 0.7, 0.6]
    precision, recall = top_k(np.array([1, 0, 1, 0]), score, 12, share=0.1)
    assert (precision, recall) == (2 / 12, 1)
    for share in (0.31, 0.347, 0.6):  # of fewer rows, all
        y, few = np.arange(17) % 4 == 0, np.linspace(0, 1, 17)
        assert top_k(y.astype(int), few, 100, share) == pytest.approx((5 / (5 + 12 / share), 1))


def test_money_is_uncertain_where_a_sample_has_no_false_alarm():
    """A thousand legitimate rows stand for a hundred thousand: none that alerts among them is not none at all."""
    y, amount = np.repeat([1, 0], [30, 1_000]), np.full(1_030, 50.0)
    scores = made.scores(y, pd.DataFrame({"dummy": y.astype(float)}), amount=amount, share=0.01)
    _, (low, _) = decisions.savings(y, y == 1, amount, 20.0, 0.01)
    assert low < 0 < decisions.savings(y, y == 1, amount, 20.0)[1][0]
    way = decisions.on_test(scores, ONE, ALERTING, 20.0, FEW)["f1"]
    assert way.false_alarms == 0 and way.false_alarms_ci[1] > 100
    assert way.saved_ci[0] < way.saved - 20 * 100
    bins = explorer.binned(scores, ONE)
    place = int(np.argmax(bins.frauds))
    money = explorer.money(explorer.Bins(**{**vars(bins), "alerts": bins.frauds[:1]}), place, 20.0)
    assert money.low < money.saved - 20 * 100
