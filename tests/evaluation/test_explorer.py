"""The explorer: figures at every step are those of the rows, and no transaction can be told from the bins."""

import numpy as np
import pandas as pd
import pytest
from evaluation import made
from hypothesis import given
from hypothesis import strategies as st

from fraud_utils.evaluation import explorer
from fraud_utils.models import Candidate

CANDIDATE = Candidate("xgboost")


def table(seed: int = 0, rows: int = 3000, share: float = 0.03) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores with ties, and amounts."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < share).astype(np.int8)
    score = np.round(1 / (1 + np.exp(-rng.normal(3 * y, 1))), 3)
    return y, score, rng.gamma(0.6, 120, rows)


def bins_of(y: np.ndarray, score: np.ndarray, amount: np.ndarray | None, **known: object):
    return explorer.binned(made.scores(y, pd.DataFrame({CANDIDATE.name: score}), amount=amount, **known), CANDIDATE)


@given(st.integers(0, 10_000), st.floats(0.005, 0.5))
def test_every_bin_has_enough_rows_and_no_fraud_or_several(seed, share):
    y, score, amount = table(seed, 400, share)
    bins = bins_of(y, score, amount)
    rows, frauds = (np.diff([0, *values]) for values in (bins.alerts, bins.frauds))
    enough = (rows >= explorer.LEAST) & ((frauds == 0) | (frauds >= explorer.LEAST_FRAUDS))
    assert enough.all() or len(rows) == 1
    assert (bins.alerts[-1], bins.frauds[-1]) == (400, y.sum())


def test_a_step_alerts_on_the_rows_from_its_score_up():
    y, score, amount = table()
    bins = bins_of(y, score, amount)
    figures = explorer.steps(bins)
    assert len(figures) >= 20
    for step, threshold in enumerate(bins.score):
        alert = score >= threshold
        assert figures["alerts"][step] == alert.sum()
        assert figures["frauds"][step] == (alert & (y == 1)).sum()
        assert figures["recall"][step] == pytest.approx(y[alert].sum() / y.sum())
    inside = (figures["precision_low"] <= figures["precision"]) & (figures["precision"] <= figures["precision_high"])
    assert inside.loc[0:].all()
    nothing = figures.loc[-1]
    assert nothing["alerts"] == nothing["recall"] == 0 and np.isnan(nothing["precision"])
    assert 0 < nothing["recall_high"] < 0.1  # of 84 frauds: that none was caught does not make it certain


@pytest.mark.parametrize("review_cost", [0.0, 3.0, 40.0])
def test_money_is_what_the_rows_say(review_cost):
    y, score, amount = table()
    bins = bins_of(y, score, amount)
    blanket = min(amount[y == 1].sum(), review_cost * len(y))
    for step in (-1, 0, 10, len(bins.score) - 1):
        alert = score >= bins.score[step] if step >= 0 else np.zeros(len(y), dtype=bool)
        cost = review_cost * alert.sum() + amount[(y == 1) & ~alert].sum()
        made_of = explorer.money(bins, step, review_cost)
        assert made_of.saved == pytest.approx(blanket - cost, abs=1e-6)
        assert made_of.low <= made_of.saved <= made_of.high


def test_the_interval_of_money_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    frauds, quiet = 200, 2000  # rows expected, all of which get an alert; a fraud's amount has a mean of 50
    truth, covered = 50.0 * frauds - 3.0 * (frauds + quiet), 0
    for _ in range(400):
        amounts, others = rng.gamma(2, 25, rng.poisson(frauds)), rng.poisson(quiet)
        y = np.r_[np.ones(len(amounts)), np.zeros(others), np.zeros(5_000)].astype(np.int8)
        score = np.r_[np.full(len(amounts) + others, 0.9), np.full(5_000, 0.1)]
        money = explorer.money(bins_of(y, score, np.r_[amounts, np.ones(others + 5_000)]), 0, 3.0)
        covered += money.low <= truth <= money.high
    assert 0.91 <= covered / 400 <= 0.985  # 0.95, five standard errors either way


def test_without_amounts_there_is_no_money():
    y, score, _ = table()
    with pytest.raises(ValueError, match="needs amounts"):
        explorer.money(bins_of(y, score, None), 0, 3.0)


def test_amounts_of_one_or_two_frauds_are_not_given_away():
    score, amount = np.linspace(0, 1, 100), np.full(100, 7.0)
    assert bins_of((np.arange(100) >= 98).astype(np.int8), score, amount).amount is None
    assert bins_of((np.arange(100) >= 97).astype(np.int8), score, amount).amount is not None
