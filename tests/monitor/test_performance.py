"""Weeks judged by their labels: counts, intervals and tests that agree with SciPy's and scikit-learn's."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from fraud_utils.artifact import Promise
from fraud_utils.data import DataError
from fraud_utils.monitor import performance
from fraud_utils.monitor.performance import Terms
from fraud_utils.monitor.traffic import Traffic

PROMISE = Promise(rows_of="validation", rows=20_000, frauds=80, alerts=75, caught=60, expected_frauds=78.0,
                  fraud_amount=8_000.0, caught_amount=6_000.0)  # fmt: skip
TERMS = Terms(0.5, review_cost=4.0, label_delay_days=7)


def traffic(days: int, rows: int, seed: int = 0) -> tuple[Traffic, np.ndarray]:
    """Rows whose scores are probabilities, and their labels."""
    rng = np.random.default_rng(seed)
    score = rng.beta(0.05, 5, days * rows)
    table = pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(days * rows)],
            "day": np.repeat(np.arange(days), rows),
            "score": score,
            "amount": rng.gamma(1, 50, days * rows),
            "challenger": np.clip(score * rng.uniform(0.2, 1.8, days * rows), 0, 1),
        }
    )
    refused = pd.DataFrame(columns=["day", "why", "rows"])
    label = (rng.random(days * rows) < score).astype(float)
    return Traffic(20_000, {}, np.zeros((days, 2)), np.full(days, rows), refused, table), label


def test_weeks_are_judged_once_their_last_day_is_older_than_labels_take():
    came, label = traffic(21, 500)
    assert performance.weeks(came, label, PROMISE, TERMS)["last"].tolist() == [6, 13]
    assert len(performance.weeks(came, label, PROMISE, Terms(0.5, label_delay_days=0))) == 3
    assert len(performance.weeks(came, label, PROMISE, Terms(0.5, label_delay_days=21))) == 0


def test_a_weeks_figures_are_those_of_its_labelled_rows():
    came, label = traffic(14, 500)
    label[::3] = np.nan
    week = performance.weeks(came, label, PROMISE, TERMS).iloc[0]
    chosen = (came.rows["day"] < 7).to_numpy() & ~np.isnan(label)
    y, score = label[chosen], came.rows["score"].to_numpy()[chosen]
    assert week["labelled"] == pytest.approx(2 / 3, abs=1e-3)
    assert (week["frauds"], week["alerts"], week["caught"]) == (y.sum(), (score >= 0.5).sum(), y[score >= 0.5].sum())
    assert week["average_precision"] == pytest.approx(average_precision_score(y, score))
    assert week["average_precision_low"] < week["average_precision"] < week["average_precision_high"]
    exact = stats.binomtest(int(week["caught"]), int(week["frauds"])).proportion_ci(method="exact")
    assert (week["recall_low"], week["recall_high"]) == pytest.approx((exact.low, exact.high))


def test_a_fraud_without_an_amount_costs_nothing_as_in_the_promise():
    came, label = traffic(14, 500)
    came.rows.loc[[np.flatnonzero(label == 1)[0], np.flatnonzero(label == 0)[0]], "amount"] = np.nan
    week = performance.weeks(came, label, PROMISE, TERMS).iloc[0]
    rows, y = came.rows[came.rows["day"] < 7], label[(came.rows["day"] < 7).to_numpy()]
    promise = Promise.of("validation", y, rows["score"], TERMS.threshold, rows["amount"])
    assert week["savings"] == pytest.approx(performance.promised(promise, TERMS)["savings"])
    assert week["savings_low"] < week["savings"] < week["savings_high"]


def test_a_fall_is_fishers_exact_test():
    p = stats.fisher_exact([[20, 40], [60, 20]], alternative="less").pvalue
    assert p < performance.level(performance.TESTS)
    assert performance.fell([20, 45, 60], [60, 60, 60], 60, 80).tolist() == [True, False, False]
    assert not performance.fell(0, 0, 60, 80)


def test_few_reports_are_noticed_where_many_are_expected_only():
    assert performance.too_few(0, 20_000, PROMISE)
    assert not performance.too_few(0, 500, PROMISE)  # two are expected


def test_savings_are_promised_at_any_cost_of_a_review():
    """All frauds cost 8,000, reviewing everything 80,000; 2,000 are missed and 75 alerts are reviewed."""
    assert performance.promised(PROMISE, TERMS)["savings"] == pytest.approx(1 - (2_000 + 75 * 4) / 8_000)
    assert performance.promised(PROMISE, TERMS)["recall"] == 0.75


def test_scores_that_are_probabilities_agree_with_what_comes_and_others_do_not():
    came, label = traffic(14, 4_000)
    table = performance.calibration(came, label, 14)
    assert table["agrees"].all() and table["frauds"].sum() == label.sum()
    came.rows["score"] = came.rows["score"] ** 0.5
    assert not performance.calibration(came, label, 14)["agrees"].all()


def test_two_models_are_compared_on_the_same_resamples():
    came, label = traffic(14, 1_000)
    table = performance.compare(came, label, 14, {"score": "old", "challenger": "new"})
    difference = table.loc["new", "average_precision"] - table.loc["old", "average_precision"]
    assert table.loc["difference", "average_precision"] == pytest.approx(difference)
    width = table["high"] - table["low"]
    assert width["difference"] < np.hypot(width["old"], width["new"])  # paired
    assert table.loc["difference", "high"] < 0  # noise made it worse
    with pytest.raises(DataError, match="no labelled fraud"):
        performance.compare(came, np.zeros(14_000), 14, {"score": "old", "challenger": "new"})


def test_labels_take_as_long_as_asked_else_as_the_schema_says_else_a_week():
    def model(**schema):
        return SimpleNamespace(manifest={"schema": schema})

    assert performance.label_delay(model(label_delay_days=2.5), 14) == 14
    assert performance.label_delay(model(label_delay_days=2.5), 0) == 0
    assert performance.label_delay(model(label_delay_days=2.5)) == 3
    assert performance.label_delay(model(label_delay_days=0.0)) == performance.label_delay(model()) == 7
