"""Intervals cover what they promise, and agree with SciPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fraud_utils import intervals


def test_exact_interval_covers_at_least_at_its_level_for_every_rate():
    n, level = 30, 0.9
    low, high = intervals.exact(np.arange(n + 1), np.full(n + 1, n), level)
    for rate in np.linspace(0.001, 0.999, 101):
        covered = (low <= rate) & (rate <= high)
        assert stats.binom.pmf(np.arange(n + 1), n, rate)[covered].sum() >= level


def test_exact_interval_of_nothing_and_of_everything():
    low, high = intervals.exact([0, 40, 0], [40, 40, 0], 0.95)
    assert (low[0], high[1]) == (0, 1)
    assert high[0] == pytest.approx(1 - 0.025 ** (1 / 40))  # (1 - p)^40 = 2.5 %
    assert low[1] == pytest.approx(0.025 ** (1 / 40))
    assert (low[2], high[2]) == (0, 1)


@given(trials=st.integers(1, 5_000), share=st.floats(0, 1), level=st.floats(0.5, 0.9999))
def test_exact_interval_is_scipys(trials, share, level):
    successes = round(share * trials)
    expected = stats.binomtest(successes, trials).proportion_ci(level, "exact")
    low, high = intervals.exact(successes, trials, level)
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert low <= successes / trials <= high


def test_exact_interval_takes_arrays_that_broadcast_and_trials_that_are_not_whole():
    low, high = intervals.exact([[0.0], [2.5]], [10.0, 12.5, np.nan])
    assert low.shape == high.shape == (2, 3)
    assert low[1, 0] < 0.25 < high[1, 0] and low[1, 1] < 0.2 < high[1, 1]
    assert (low[0, 2], high[0, 2]) == (0, 1)  # nothing is known


@given(count=st.integers(0, 10_000), level=st.floats(0.5, 0.9999))
def test_poisson_interval_ends_where_the_count_becomes_rare(count, level):
    low, high = intervals.poisson(count, level)
    tail = (1 - level) / 2
    assert low <= count <= high
    assert stats.poisson.cdf(count, high) == pytest.approx(tail, rel=1e-6)
    assert low == 0 if count == 0 else stats.poisson.sf(count - 1, low) == pytest.approx(tail, rel=1e-6)


def test_intervals_that_hold_together_miss_no_more_often_than_one():
    assert intervals.together(0) == intervals.together(1) == intervals.LEVEL
    assert intervals.together(20, 0.9) == pytest.approx(0.995)
    rng, level = np.random.default_rng(0), intervals.together(24)
    rate, rows = 0.02, 300
    low, high = intervals.exact(rng.binomial(rows, rate, (2000, 24)), rows, level)
    assert ((low <= rate) & (rate <= high)).all(axis=1).mean() >= intervals.LEVEL


def test_percentile_interval_cuts_equal_tails():
    assert intervals.percentile(np.arange(1001), 0.9) == pytest.approx([50, 950])
    low, high = intervals.percentile(np.random.default_rng(0).standard_normal(100_000))
    assert (low, high) == pytest.approx((-1.96, 1.96), abs=0.03)


def test_a_normal_interval_is_as_wide_as_the_tables_say():
    assert intervals.normal() == pytest.approx(1.96, abs=5e-4)
    assert intervals.normal(0.99) == pytest.approx(2.576, abs=5e-4)


@pytest.mark.parametrize(("frauds", "others", "share"), [(4, 30, 0.1), (40, 40, 0.05), (100, 2_000, 0.2)])
def test_intervals_of_a_sample_cover_what_all_would_show(frauds, others, share):
    """Frauds and others come at random, and of the others a share is drawn: 95 % cover the truth, or more."""
    rng, rounds = np.random.default_rng(3), 2_000
    caught, drawn = rng.poisson(frauds, rounds), rng.poisson(others * share, rounds)
    low, high = intervals.exact(caught, caught + drawn / share, share=share)
    truth = frauds / (frauds + others)
    assert np.mean((low <= truth) & (truth <= high)) >= 0.94
    assert np.all(low <= caught / np.maximum(caught + drawn / share, 1e-9) + 1e-12)
    bounds = [
        intervals.poisson(f + d / share, share=share, seen=f) for f, d in zip(caught[:500], drawn[:500], strict=True)
    ]
    assert np.mean([low <= frauds + others <= high for low, high in bounds]) >= 0.93
    whole = intervals.exact(caught, caught + drawn)
    assert np.array_equal(intervals.exact(caught, caught + drawn, share=1.0), whole)
