"""Drift between the training and the test part: claimed where it is, and not where rows are few."""

import re

import numpy as np
import pandas as pd
import pytest
from noise import SCHEMA, noise, text

from fraud_utils import explore
from fraud_utils.data import Schema, split_transactions


def test_stability_index_by_hand():
    schema = Schema(name="two", label="fraud", time="at", amount=None, features=("p",), categorical=("c",))
    frame = pd.DataFrame({"at": np.arange(1000.0), "p": 0.0, "c": "x", "fraud": (np.arange(1000) % 10 == 0) * 1})
    frame.loc[:399, "p"] = 1.0  # 400 of 800 before the cut
    frame.loc[800:849, "p"] = 1.0  # 50 of 200 after it
    frame["c"] = pd.Series(np.where(frame["p"] == 1, "x", "y"), dtype="category")
    drift = explore.stability(split_transactions(frame, schema), schema)
    p, q = np.array([400.5, 400.5]) / 801, np.array([50.5, 150.5]) / 201
    by_hand = ((q - p) * np.log(q / p)).sum()
    assert drift["psi"]["p"] == pytest.approx(by_hand)
    assert drift["psi"]["c"] == pytest.approx(by_hand)
    assert list(drift["band"]) == ["large", "large"]


def test_a_bin_holds_its_upper_edge():
    schema = Schema(name="one", label="fraud", time="at", amount=None, features=("p",))
    frame = pd.DataFrame(
        {"at": np.arange(1000.0), "p": np.arange(1000.0) % 3, "fraud": (np.arange(1000) % 10 == 0) * 1}
    )
    frame.loc[800:, "p"] = 0.0  # of 800 before the cut 267 are zero, 267 one, the median, and 266 two
    drift = explore.stability(split_transactions(frame, schema), schema, bins=2)
    p, q = np.array([534.5, 266.5]) / 801, np.array([200.5, 0.5]) / 201
    assert drift["psi"]["p"] == pytest.approx(((q - p) * np.log(q / p)).sum())


def test_drift_is_claimed_where_it_is_and_not_for_few_rows():
    frame = noise(rows=20_000)
    assert "No column is shown to have shifted" in drift_of(frame)
    frame.loc[16_000:, "q"] += 1
    assert re.match(r"1 column shifted .*\(`q`\): the largest index is [\d.]+, of `q`", drift_of(frame))
    frame.loc[16_000:, "q"] = np.nan  # a column that ceases to be filled in has shifted too
    assert "(`q`)" in drift_of(frame)
    noisy = [drift_of(noise(rows=150, rate=0.3, seed=seed)) for seed in range(8)]
    assert all("No column is shown" in finding for finding in noisy)
    assert any("within what chance gives" in finding for finding in noisy)


def drift_of(frame: pd.DataFrame) -> str:
    split = split_transactions(frame, SCHEMA)
    return text(explore.stability_finding(explore.stability(split, SCHEMA), split, SCHEMA))


def test_a_column_that_follows_the_clock_drifts_only_against_other_hours():
    frame = noise(rows=20_000, days=3)
    frame["p"] += 3 * np.sin(2 * np.pi * frame["at"] / 86_400)
    split = split_transactions(frame, SCHEMA)
    drift = explore.stability(split, SCHEMA)
    assert drift["psi"]["p"] > 0.25 > 0.1 > drift["psi_same_hours"]["p"]
    assert "0 of 1 are still at 0.1" in drift_of(frame)
