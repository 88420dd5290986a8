"""One exact test for columns, scores and pace: quiet where nothing changed, however few rows; loud where it did."""

import numpy as np
import pytest
from scipy import stats

from fraud_utils.artifact import Distribution, Promise
from fraud_utils.monitor import drift

PROMISE = Promise(rows_of="validation", rows=50_000, frauds=80, alerts=100, caught=60, expected_frauds=78.0)


def test_the_stability_index_is_the_sum_of_both_divergences():
    before, now = np.array([100, 300, 600]), np.array([250, 250, 500])
    p, q = (before + 0.5) / (before + 0.5).sum(), (now + 0.5) / (now + 0.5).sum()
    expected = stats.entropy(p, q) + stats.entropy(q, p)
    assert drift.stability_index(now, before) == pytest.approx(expected)
    assert drift.stability_index(before, before) == 0
    assert np.isnan(drift.stability_index(np.zeros(3), before))


def test_two_counts_are_compared_as_two_poisson_means():
    """SciPy's own test of two Poisson means, at equal rates."""
    low, high = drift.two_counts(12, 1_000, 40, 10_000)
    assert high == pytest.approx(stats.binomtest(12, 52, 1 / 11, alternative="greater").pvalue)
    assert low == pytest.approx(stats.binomtest(12, 52, 1 / 11, alternative="less").pvalue)


@pytest.mark.parametrize("rows", [5, 40, 2_000])
def test_the_test_holds_its_level_however_few_rows_a_day_has(rows):
    """2,000 days without a change, in bins that are mostly nearly empty: at most 5 % are surprising at 5 %."""
    shares = np.array([0.9, 0.06, 0.03, 0.009, 0.0009, 0.0001, 0])
    rng = np.random.default_rng(1)
    reference = rng.multinomial(20_000, shares)
    days = rng.multinomial(rows, shares, size=2_000)
    assert (drift.surprise(days, reference) <= 0.05).mean() <= 0.05


def test_a_value_that_training_never_saw_is_noticed_and_a_few_are_not():
    reference = np.array([5_000, 5_000, 0, 0])
    assert drift.has_changed([50, 50, 40, 0], reference, 256)
    assert not drift.has_changed([50, 50, 1, 0], reference, 256)


def test_what_is_significant_and_does_not_matter_is_no_change():
    reference, today = np.array([100_000, 100_000]), np.array([51_000, 49_000])
    assert drift.surprise(today, reference) < 1e-3
    assert not drift.has_changed(today, reference, 1)


def test_the_band_of_alerts_knows_that_the_promise_rests_on_few():
    low, high = drift.alert_band(50_000, PROMISE, 1)
    exact = stats.poisson.ppf([drift.level(1) / 2, 1 - drift.level(1) / 2], 100)
    assert low < exact[0] and high > exact[1]
    assert drift.off_pace([46, 100, 200], np.full(3, 50_000), PROMISE, 8).tolist() == [True, False, True]


def test_healthy_days_leave_the_band_as_rarely_as_it_says():
    rng = np.random.default_rng(2)
    rate = rng.gamma(PROMISE.alerts + 0.5, 1 / PROMISE.rows, 20_000)  # what the promise leaves open
    outside = drift.off_pace(rng.poisson(rate * 5_000), np.full(20_000, 5_000), PROMISE, 1)
    assert outside.mean() <= drift.level(1) * 1.2


def test_days_and_weeks_are_blocks_and_counts_add_up():
    parts = drift.blocks(16)
    assert (parts["kind"] == "day").sum() == 16
    assert parts[parts["kind"] == "week"][["first", "last"]].to_numpy().tolist() == [[0, 6], [7, 13], [14, 15]]
    assert drift.summed(np.arange(16), parts)[16:].tolist() == [21, 70, 29]


def test_a_column_of_zeros_is_found_where_it_hides_in_the_middle():
    reference = Distribution.of(np.random.default_rng(0).normal(size=20_000))
    assert drift.has_changed(reference.count(np.zeros(200)), reference.counts, 256)
