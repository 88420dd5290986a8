"""Scores from which to alert, what alerts save, and what they mean per day."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evaluation import made
from hypothesis import given
from hypothesis import strategies as st

from fraud_utils.evaluation import Protocol, Scores, decisions
from fraud_utils.models import Candidate
from fraud_utils.record import Choice, Day, Threshold

DUMMY = Candidate("dummy")
HALF = (Threshold("f1", 0.5),)
labels_and_scores = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=50).filter(
    lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
)


def scored(y: np.ndarray, score: np.ndarray, days: float = 1.0, amount: np.ndarray | None = None) -> Scores:
    time = np.linspace(0, 86_400 * days, len(y))
    return made.scores(y, pd.DataFrame({"dummy": score}), time=time, amount=amount)


@given(labels_and_scores)
def test_no_threshold_beats_the_one_chosen_by_f1(rows):
    y, score = np.array(rows, dtype=float).T
    chosen = decisions.best_f1_threshold(y, score)

    def f1(step):  # by hand: scikit-learn's takes a millisecond each, a second in all
        return 2 * y[score >= step].sum() / (y.sum() + (score >= step).sum())

    assert f1(chosen) == pytest.approx(max(map(f1, np.unique(score))))


@given(labels_and_scores, st.floats(0.1, 5))
def test_no_threshold_is_cheaper_than_the_cheapest(rows, review_cost):
    y, score = np.array(rows, dtype=float).T
    score = score / 6
    amount = np.linspace(0, 7, len(y))

    def cost(alert):
        return review_cost * alert.sum() + amount[(y == 1) & ~alert].sum()

    chosen = decisions.cheapest_threshold(y, score, amount, review_cost)
    best = min([cost(score >= step) for step in np.unique(score)] + [cost(np.zeros(len(y), bool))])
    if chosen < 1:
        assert cost(score >= chosen) == pytest.approx(best)
    else:
        assert best == pytest.approx(min(cost(np.zeros(len(y), bool)), cost(score >= 1)))


@given(labels_and_scores, st.floats(0.05, 1))
def test_recall_at_a_precision_is_as_precise_as_it_says_and_as_low_as_it_can(rows, precision):
    y, score = np.array(rows, dtype=float).T
    precise = [step for step in np.unique(score) if y[score >= step].mean() >= precision]
    assert decisions.precise_threshold(y, score, precision) == (min(precise) if precise else None)


def test_thresholds_say_what_they_are_for():
    rng = np.random.default_rng(0)
    y = (rng.random(4000) < 0.05).astype(int)
    score, amount = np.clip(rng.normal(0.2 + 0.4 * y, 0.15), 0, 1), rng.exponential(50, 4000)
    f1, precise, budget, cost = decisions.thresholds(scored(y, score, 2.0, amount), DUMMY, 3.0, 50, precision=0.8)
    assert f1 == Threshold("f1", decisions.best_f1_threshold(y, score))
    assert precise == Threshold("precision", decisions.precise_threshold(y, score, 0.8), 0.8)
    assert (budget.aim, budget.target, (score >= budget.score).sum()) == ("alerts_a_day", 50, 100)
    assert cost == Threshold("cost", decisions.cheapest_threshold(y, score, amount, 3.0))
    bare = decisions.thresholds(scored(np.array([0, 0, 1]), np.array([0.9, 0.8, 0.1])), DUMMY, 3.0, 50)
    assert [each.aim for each in bare] == ["f1", "alerts_a_day"]  # no score is that precise, and there are no amounts


def test_the_budget_is_kept_over_all_repeats():
    rng = np.random.default_rng(0)
    y, score = (rng.random(1000) < 0.05).astype(int), rng.random(2000)
    budget = decisions.thresholds(scored(y, score, 2.0), DUMMY, 3.0, 20)[-1]
    assert (score >= budget.score).sum() == 20 * 2 * 2


def test_savings_in_cases_that_can_be_done_by_hand():
    y, amount = np.array([1, 1, 0, 0, 0]), np.array([100.0, 1.0, 5.0, 5.0, 5.0])
    both = np.array([True, True, False, False, False])
    # Reviewing nothing costs 101, everything 5 reviews of 2 = 10; catching both frauds costs 4.
    assert decisions.savings(y, both, amount, 2)[0] == pytest.approx(1 - 4 / 10)
    assert decisions.savings(y, np.zeros(5, bool), amount, 2)[0] == pytest.approx(1 - 101 / 10)
    assert decisions.savings(y, np.ones(5, bool), amount, 2)[0] == pytest.approx(0)
    assert decisions.savings(y, both, amount, 50)[0] == pytest.approx(1 - 100 / 101)
    point, (low, high) = decisions.savings(y, both, amount, 2)
    assert low <= point <= high


def test_the_interval_of_savings_is_as_wide_as_resampled_rows_make_it():
    rng = np.random.default_rng(2)
    y = (rng.random(3000) < 0.03).astype(np.int8)
    amount, alert = rng.exponential(50, 3000), rng.random(3000) < np.where(y == 1, 0.7, 0.01)
    _, interval = decisions.savings(y, alert, amount, 3.0)
    fraud, other, replicates = np.flatnonzero(y == 1), np.flatnonzero(y == 0), []
    for _ in range(400):
        rows = np.concatenate([rng.choice(fraud, len(fraud)), rng.choice(other, len(other))])
        cost = amount[rows][(y[rows] == 1) & ~alert[rows]].sum() + 3 * alert[rows].sum()
        replicates.append(1 - cost / min(amount[rows][y[rows] == 1].sum(), 3 * 3000))
    assert interval == pytest.approx(np.quantile(replicates, [0.025, 0.975]), abs=0.03)


def test_the_curve_alerts_by_each_cost_of_a_review():
    rng = np.random.default_rng(0)
    y, amount = (rng.random(2000) < 0.05).astype(int), rng.exponential(60, 2000)
    sure = pd.DataFrame({"right": y * 1.0, "wrong": 1.0 - y})
    curve = decisions.savings_curve(
        made.rows(np.zeros((2000, 0)), y, amount=amount), sure, 2.0, Protocol(resamples=500)
    ).set_index("name")
    assert list(curve.loc["right", "review_cost"]) == pytest.approx([0.2, 0.6, 2, 6, 20, 60])
    for cost, value in curve.loc["right", ["review_cost", "value"]].to_numpy():
        worth = amount[(y == 1) & (amount > cost)] - cost
        blanket = min(amount[y == 1].sum(), cost * 2000)
        assert value == pytest.approx(1 - (amount[y == 1].sum() - worth.sum()) / blanket)
    assert (curve.loc["wrong", "value"] < 0).all()
    assert curve["value"].between(curve["low"], curve["high"]).all()
    with pytest.raises(ValueError, match="need amounts"):
        decisions.savings_curve(made.rows(np.zeros((2000, 0)), y), sure, 2.0, Protocol(resamples=500))


def test_per_day_in_cases_that_can_be_done_by_hand():
    y, amount = np.array([1, 1, 0, 0, 0]), np.array([10.0, 1, 5, 5, 5])
    score = np.array([0.9, 0.1, 0.8, 0.0, 0.0])
    ways = (*HALF, Threshold("precision", 0.95, 0.9))
    whole = decisions.on_test(scored(y, score, 0.5, amount), DUMMY, ways, 2, Protocol())
    assert (whole["f1"].alerts, whole["f1"].frauds_caught, whole["f1"].false_alarms) == (2, 1, 1)
    days = decisions.per_day(whole, 0.5)
    assert list(days) == ["f1", "precision_90", "amount"]
    day = days["f1"]
    assert (day.alerts, day.frauds_caught, day.false_alarms) == (4, 2, 2)
    # two alerts and one fraud in half a day; exact bounds of Poisson means from published tables
    assert day.alerts_ci == pytest.approx((2 * 0.2422, 2 * 7.2247), abs=1e-3)
    assert day.frauds_caught_ci == pytest.approx((2 * 0.0253, 2 * 5.5716), abs=1e-3)
    # reviewing everything costs 5 * 2, less than the 11 that are lost otherwise; this costs 2 * 2 and misses 1
    assert day.saved == pytest.approx(2 * (10 - 5))
    assert days["precision_90"].frauds_caught_ci == pytest.approx((0, 2 * 3.6889), abs=1e-3)
    assert days["precision_90"].saved == pytest.approx(2 * (10 - 11))
    assert days["amount"].alerts == 4  # 9 and 4 exceed 2, .1 does not
    assert decisions.per_day(whole, 0) == {}  # no times, or one for all rows
    bare = decisions.on_test(scored(y, score, 0.5), DUMMY, HALF, 2, Protocol())
    assert list(bare) == ["f1"] and bare["f1"].saved is None and bare["f1"].alerts == 2


def test_the_interval_of_money_saved_is_as_wide_as_resampled_rows_make_it():
    rng = np.random.default_rng(2)
    y = (rng.random(4000) < 0.02).astype(np.int8)
    amount, score = rng.exponential(50, 4000), np.clip(0.5 * y + rng.normal(0.2, 0.2, 4000), 0, 1)
    day = decisions.on_test(scored(y, score, 2.0, amount), DUMMY, HALF, 3.0, Protocol())["f1"]
    saved = []
    for _ in range(400):
        rows = rng.integers(0, 4000, 4000)
        label, paid, alert = y[rows], amount[rows], score[rows] >= 0.5
        cost = paid[(label == 1) & ~alert].sum() + 3 * alert.sum()
        saved.append(min(paid[label == 1].sum(), 3 * 4000) - cost)
    assert day.saved_ci == pytest.approx(np.quantile(saved, [0.025, 0.975]), rel=0.1)
    assert day.saved_ci[0] < day.saved < day.saved_ci[1]


def test_the_cheapest_threshold_decides_unless_a_budget_was_given():
    rng = np.random.default_rng(3)
    y = (rng.random(4000) < 0.05).astype(int)
    scores = scored(y, np.clip(rng.normal(0.2 + 0.4 * y, 0.15), 0, 1), 2.0, rng.exponential(50, 4000))
    ways = decisions.thresholds(scores, DUMMY, 3.0, 20)
    name, why, saves = decisions.deciding(scores, DUMMY, ways, 3.0)
    assert name == "cost" and "cost least" in why
    assert set(saves) == {*(each.name for each in ways), "amount"}
    for each in ways:
        alert = scores.of(DUMMY) >= each.score
        assert saves[each.name] == decisions.savings(y, alert, scores.rows.amount, 3.0)[0] <= saves["cost"]
    given = decisions.deciding(scores, DUMMY, ways, 3.0, budget=decisions.given(5, 0))
    assert given.name == "alerts_20_a_day" and "the budget of 20 alerts a day" in given.why and given.saves == saves


def test_where_costs_cannot_be_compared_or_no_alert_pays_the_highest_f1_decides():
    rng = np.random.default_rng(3)
    y, score = (rng.random(4000) < 0.05).astype(int), rng.random(4000)
    bare = scored(y, score)
    ways = decisions.thresholds(bare, DUMMY, 3.0, 20)
    name, why, saves = decisions.deciding(bare, DUMMY, ways, 3.0)
    assert (name, saves) == ("f1", {}) and "no amounts" in why
    dear = scored(y, score, 1.0, np.full(4000, 50.0))
    ways = decisions.thresholds(dear, DUMMY, 51.0, 20)
    name, why, _ = decisions.deciding(dear, DUMMY, ways, 51.0)
    assert name == "f1" and "no score makes alerting cheaper" in why


def test_ways_of_alerting_are_shown_as_they_were_chosen_and_then_with_what_they_reach():
    cost = Threshold("cost", 0.125)
    choice = Choice(
        "dummy", alerting=(*HALF, cost), decides="cost", oof_savings={"f1": 0.5, "cost": 0.625, "amount": 0.6}
    )
    shown = decisions.readable(choice)
    assert list(shown) == ["alert from a score of", "avoidable cost saved"]
    assert shown.loc["lowest cost of reviews and missed amounts (decides)"].tolist() == [
        "0.125",
        "62\N{NO-BREAK SPACE}%",
    ]
    way = Day(1234.0, (1100.0, 1300.0), 50.0, (28.6, 81.3), false_alarms=1184.0, false_alarms_ci=(1000.0, 1250.0))
    reached = decisions.readable(replace(choice, on_test={"f1": way}))
    assert list(reached) == ["alerts", "frauds caught", "false alarms"]
    assert reached.loc["highest F1"].tolist() == ["1,234 [1,100, 1,300]", "50 [29, 81]", "1,184 [1,000, 1,250]"]


def test_without_a_budget_the_usual_one_is_shown():
    rng = np.random.default_rng(0)
    scores = scored((rng.random(1000) < 0.05).astype(int), rng.random(1000), 2.0)
    assert decisions.thresholds(scores, DUMMY, 3.0, 0)[-1].target == decisions.USUAL_BUDGET


def test_an_aim_without_a_threshold_is_named():
    assert "nine tenths" in decisions.describe_thresholds((Threshold("f1", 0.5), Threshold("alerts_a_day", 0.1, 5)))
    every = (Threshold("f1", 0.5), Threshold("precision", 0.5, 0.9), Threshold("alerts_a_day", 0.1, 5))
    assert decisions.describe_thresholds(every) == ""
    assert "no times" in decisions.describe_thresholds(every[:2])
