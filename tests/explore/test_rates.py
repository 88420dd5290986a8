"""Shares with their intervals, and whether groups have one fraud rate."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fraud_utils import intervals
from fraud_utils.explore.rates import apart, chi_square, in_words, rates, shares


def test_chi_square_is_pearsons_and_keeps_its_level_where_frauds_are_few():
    rows, frauds = np.array([400, 900, 700]), np.array([30, 20, 9])
    statistic, p_value = chi_square(rows, frauds, seed=1)
    expected = stats.chi2_contingency(np.stack([frauds, rows - frauds]), correction=False)
    assert statistic == pytest.approx(expected.statistic)
    assert p_value <= 0.001
    assert chi_square(rows, np.array([200, 0, 0]), seed=1)[1] == 1 / 10_000  # never zero: the data count as a draw
    assert chi_square(rows, 0 * rows, seed=1) == chi_square(rows, rows, seed=1) == (0, 1)  # one class
    rng = np.random.default_rng(0)
    rows = np.full(24, 40)
    p_values = [chi_square(rows, rng.binomial(rows, 0.01), seed, draws=199)[1] for seed in range(300)]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.09


def test_rates_hold_together_over_the_groups_that_have_rows():
    table = rates(np.array([100, 0, 50, 1]), np.array([5, 0, 1, 1]), pd.Index([3, 4, 5, 6], name="hour"))
    assert table["rate"].tolist() == pytest.approx([0.05, np.nan, 0.02, 1], nan_ok=True)
    low, high = intervals.exact([5, 1, 1], [100, 50, 1], intervals.together(3))
    assert table.loc[[3, 5, 6], ["low", "high"]].to_numpy() == pytest.approx(np.stack([low, high], axis=1))
    assert table.loc[4, ["low", "high"]].tolist() == [0, 1]


def test_intervals_are_apart_only_where_they_do_not_even_touch():
    table = pd.DataFrame({"a_low": [0.5, 0.1, 0.2, 0.1], "a_high": [0.6, 0.2, 0.5, 0.3]})
    table["b_low"], table["b_high"] = [0.3, 0.3, 0.1, 0.3], [0.4, 0.4, 0.2, 0.4]
    assert apart(table, "a_", "b_").tolist() == [1, -1, 0, 0]
    assert apart(table.iloc[1], "a_", "b_") == -1


def test_a_share_in_words_has_its_interval():
    row = shares([3], [400], 0.95).add_prefix("fraud_").iloc[0]
    assert in_words(row, "fraud_") == "0.75\N{NO-BREAK SPACE}% [0.155, 2.18]"
