"""Accept, review or block: which two scores part transactions into tiers, and what each tier holds."""

import numpy as np
import pandas as pd
import pytest
from evaluation import made
from hypothesis import given
from hypothesis import strategies as st

from fraud_utils.evaluation import tiers
from fraud_utils.models import Candidate
from fraud_utils.record import Tiers

DUMMY = Candidate("dummy")


def scored(y, score, amount=None):
    return made.scores(np.asarray(y), pd.DataFrame({"dummy": score}), amount=amount)


rows = st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 9))  # fraud, score in sevenths, amount


@given(st.lists(rows, min_size=1, max_size=30), st.sampled_from([0.5, 2, 5]), st.sampled_from([0.5, 3, 20]))
def test_no_two_scores_cost_less_than_those_chosen(table, review_cost, block_cost):
    y, score, amount = np.array(table, dtype=float).T
    score = score / 7

    def cost(review, block):
        blocked = score >= block
        reviewed = (score >= review) & ~blocked
        wrongly = blocked & (y == 0)
        return amount[(y == 1) & (score < review)].sum() + review_cost * reviewed.sum() + block_cost * wrongly.sum()

    chosen = tiers.choose(scored(y, score, amount), DUMMY, review_cost, block_cost)
    steps = [*np.unique(score), 1.0]
    best = min(cost(review, block) for review in steps for block in steps if review <= block)
    assert chosen.review <= chosen.block <= 1
    assert cost(chosen.review, chosen.block) == pytest.approx(best)
    assert (chosen.review_cost, chosen.block_cost) == (review_cost, block_cost)


def test_a_case_by_hand():
    """Of the top rows all are fraud, so they are blocked; then every second, which is worth a review; then none."""
    y = [1] * 20 + [1, 0] * 20 + [0] * 40
    score = np.repeat([0.9, 0.5, 0.1], [20, 40, 40])
    chosen = tiers.choose(scored(y, score, np.full(100, 50.0)), DUMMY, 3.0, 30.0)
    assert chosen == Tiers(0.5, 0.9, 3.0, 30.0)
    assert tiers.choose(scored(y, score, np.full(100, 1.0)), DUMMY, 3.0, 30.0).review == 0.9  # too little is at stake
    cheap_blocks = tiers.choose(scored(y, score, np.full(100, 50.0)), DUMMY, 3.0, 5.0)
    assert cheap_blocks.review == cheap_blocks.block == 0.5  # half of 5 is less than 3: nothing is reviewed
    nothing = tiers.choose(scored([0, 0], np.array([0.2, 0.1]), np.ones(2)), DUMMY, 3.0, 30.0)
    assert (nothing.review, nothing.block) == (1, 1)


def test_what_tiers_hold():
    y = np.array([1, 1, 0, 1, 0, 0, 1, 0])
    score = np.array([0.9, 0.8, 0.8, 0.79, 0.5, 0.49, 0.1, 0.0])
    amount = np.array([10.0, 20, 1, 40, 1, 1, 7, 1])
    held = tiers.held(scored(y, score, amount), DUMMY, Tiers(0.5, 0.8, 2.0, 30.0))
    assert list(held.index) == ["accept", "review", "block"]
    assert held["rows"].tolist() == [3, 2, 3]
    assert held["frauds"].tolist() == [1, 1, 2]
    assert held["cost"].tolist() == [7, 2 * 2, 30]
    assert held["precision", ""].tolist() == pytest.approx([1 / 3, 1 / 2, 2 / 3])
    assert held["recall", ""].tolist() == [0.25, 0.25, 0.5]
    # published bounds of Clopper and Pearson for 1 of 2
    assert held.loc["review", [("precision", "low"), ("precision", "high")]].tolist() == pytest.approx(
        [0.0126, 0.9874], abs=1e-4
    )
    empty = tiers.held(scored(y, score, amount), DUMMY, Tiers(0.5, 1.0, 2.0, 30.0))
    assert empty.loc["block", [("rows", ""), ("frauds", ""), ("cost", "")]].tolist() == [0, 0, 0]
    assert np.isnan(empty.loc["block", ("precision", "")])


def test_without_amounts_there_are_no_tiers_and_it_is_said():
    assert tiers.choose(scored([0, 1], np.array([0.1, 0.9])), DUMMY, 3.0, 30.0) is None
    assert "no amounts" in tiers.describe(None, "EUR")
    text = tiers.describe(Tiers(0.02, 0.913, 3.0, 30.0), "EUR")
    assert "Reviewed from a score of 0.02, blocked from 0.913" in text
    assert "a review costs 3 EUR" in text and "blocked 30 EUR" in text
