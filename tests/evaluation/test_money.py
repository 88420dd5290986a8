"""What alerts are worth."""

import numpy as np
import pandas as pd
import pytest
from evaluation import made

from fraud_utils.evaluation.money import savings, savings_curve


def test_savings_in_cases_that_can_be_done_by_hand():
    y, amount = np.array([1, 1, 0, 0, 0]), np.array([100.0, 1.0, 5.0, 5.0, 5.0])
    both = np.array([True, True, False, False, False])
    # Reviewing nothing costs 101, everything 5 reviews of 2 = 10; catching both frauds costs 4.
    assert savings(y, both, amount, 2)[0] == pytest.approx(1 - 4 / 10)
    assert savings(y, np.zeros(5, bool), amount, 2)[0] == pytest.approx(1 - 101 / 10)
    assert savings(y, np.ones(5, bool), amount, 2)[0] == pytest.approx(0)
    assert savings(y, both, amount, 50)[0] == pytest.approx(1 - 100 / 101)
    point, (low, high) = savings(y, both, amount, 2)
    assert low <= point <= high


def test_the_interval_of_savings_is_as_wide_as_resampled_rows_make_it():
    rng = np.random.default_rng(2)
    y = (rng.random(3000) < 0.03).astype(np.int8)
    amount, alert = rng.exponential(50, 3000), rng.random(3000) < np.where(y == 1, 0.7, 0.01)
    _, interval = savings(y, alert, amount, 3.0)
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
    curve = savings_curve(made.rows(np.zeros((2000, 0)), y, amount=amount), sure, 2.0).set_index("name")
    assert list(curve.loc["right", "review_cost"]) == pytest.approx([0.2, 0.6, 2, 6, 20, 60])
    for cost, value in curve.loc["right", ["review_cost", "value"]].to_numpy():
        worth = amount[(y == 1) & (amount > cost)] - cost
        blanket = min(amount[y == 1].sum(), cost * 2000)
        assert value == pytest.approx(1 - (amount[y == 1].sum() - worth.sum()) / blanket)
    assert (curve.loc["wrong", "value"] < 0).all()
    assert curve["value"].between(curve["low"], curve["high"]).all()
    with pytest.raises(ValueError, match="need amounts"):
        savings_curve(made.rows(np.zeros((2000, 0)), y), sure, 2.0)
