"""Amounts by class: whether frauds are small, large, both or neither, and the prices that they repeat."""

import re

import numpy as np
import pytest
from noise import SCHEMA, noise, text

from fraud_utils import explore
from fraud_utils.data import Schema


def test_amounts_small_large_both_or_alike():
    frame = noise()
    fraud = frame["fraud"] == 1

    def finding() -> str:
        return text(explore.amounts_finding(explore.amounts_below(frame, SCHEMA), frame, SCHEMA)).partition(". ")[0]

    assert "not shown to differ" in finding()
    frame.loc[fraud, "paid"] = 0.5
    assert re.search(r"more often small: 100 % \[[\d.]+, 100\] are below [\d.]+ SEK", finding())
    assert "large" not in finding()
    frame.loc[fraud, "paid"] = 950.0
    assert re.search(r"more often large: 100 % \[[\d.]+, 100\] are [\d,]+ SEK or more", finding())
    assert "small" not in finding()
    frame.loc[fraud, "paid"] = np.where(np.arange(fraud.sum()) % 2, 950.0, 0.5)
    assert "more often small" in finding() and "more often large" in finding()


def test_shares_below_count_rows():
    frame = noise()
    below = explore.amounts_below(frame, SCHEMA)
    fraud = frame.loc[frame["fraud"] == 1, "paid"]
    for edge, row in below.iterrows():
        assert row["fraud_share"] == pytest.approx((fraud < edge).mean())
        assert row["fraud_low"] <= row["fraud_share"] <= row["fraud_high"]


def test_distribution_keeps_steps_zeros_and_refunds():
    frame = noise(rows=20_000)
    frame.loc[:5999, "paid"] = 0.0
    frame.loc[6000:6099, "paid"] = -5.0
    frame.loc[7000:12_999, "paid"] = 9.99
    curve = explore.amount_distribution(frame, SCHEMA)
    for kind, label in (("legitimate", 0), ("fraud", 1)):
        paid = frame.loc[frame["fraud"] == label, "paid"]
        part = curve[curve["kind"] == kind].set_index("amount")["share"]
        assert part.iloc[-1] == 1
        assert len(part) <= 2_001
        for amount in (-5.0, 0.0, 9.99):
            assert part[amount] == pytest.approx((paid <= amount).mean())


def test_price_points_typical_tied_and_none():
    frame = noise()
    rows = frame.index[frame["fraud"] == 1]
    frame.loc[rows, "paid"] = 1000.0 + np.arange(len(rows))
    assert "No two frauds" in explore.price_points_finding(explore.price_points(frame, SCHEMA), SCHEMA).headline
    frame.loc[rows[:2], "paid"], frame.loc[rows[2:4], "paid"] = 11.5, 12.0
    tied = explore.price_points_finding(explore.price_points(frame, SCHEMA), SCHEMA)
    assert "No single amount is shown to be the most common" in tied.headline
    assert "11.50 SEK has 2 frauds, within chance of 12 SEK." in tied.headline
    frame.loc[rows[:60], "paid"] = 99.99
    points = explore.price_points(frame, SCHEMA)
    assert points.loc[99.99, "frauds"] == 60
    finding = explore.price_points_finding(points, SCHEMA)
    assert "most common fraud amount is 99.99 SEK" in finding.headline
    assert finding.detail == "More common among frauds than among legitimate ones: 99.99 SEK."
    frame.loc[frame["fraud"] == 0, "paid"] = 99.99
    everywhere = explore.price_points_finding(explore.price_points(frame, SCHEMA), SCHEMA)
    assert "No amount is shown to be typical" in everywhere.detail


def test_without_an_amount_the_page_says_so():
    schema = Schema(name="no amount", label="fraud", time="at", amount=None, features=("p",))
    frame = noise()[["at", "p", "fraud"]]
    below, points = explore.amounts_below(frame, schema), explore.price_points(frame, schema)
    assert "no amount column" in explore.amounts_finding(below, frame, schema).headline
    assert "no amount column" in explore.price_points_finding(points, schema).headline
    assert "<table" in explore.styled(below).to_html()
