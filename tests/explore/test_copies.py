"""Copies of rows: how many, with which labels, and on which side of the cut."""

import numpy as np
import pandas as pd
import pytest
from noise import SCHEMA, noise

from fraud_utils import explore, intervals
from fraud_utils.data import split_transactions


def test_duplicates_are_counted_with_their_frauds_labels_and_leaks():
    frame = noise(rows=1000, rate=0.03)
    frame.loc[11] = frame.loc[10]
    frame.loc[12] = frame.loc[10]
    frame.loc[501] = frame.loc[500]
    frame.loc[10:12, "fraud"] = 1
    frame.loc[500, "fraud"], frame.loc[501, "fraud"] = 0, 1
    twin = frame.loc[20].copy()
    twin["at"], twin["fraud"] = frame.loc[950, "at"], 0
    frame.loc[950] = twin
    frame["fraud"] = frame["fraud"].astype("int8")
    split = split_transactions(frame, SCHEMA)
    copies = explore.duplicates(frame, split, SCHEMA)
    exact, timeless = copies.loc["exact copies"], copies.loc["equal but for the time"]
    assert [exact[k] for k in ("groups", "copies", "frauds", "mixed_groups", "seen_in_test")] == [2, 3, 3, 1, 0]
    assert [timeless[k] for k in ("groups", "copies", "seen_in_test")] == [3, 4, 1]
    low, high = intervals.exact(3, 3, intervals.together(4))
    assert exact[["copy_rate", "copy_low", "copy_high"]].tolist() == pytest.approx([1, float(low), float(high)])
    finding = explore.duplicates_finding(copies)
    assert finding.headline == "3 rows are exact copies of an earlier row, 3 of them fraud."
    assert "copies are more often fraud" in finding.detail and "disagree within 1 group" in finding.detail

    rng = np.random.default_rng(0)
    group = pd.factorize(pd.util.hash_pandas_object(frame.drop(columns="fraud"), index=False))[0]
    leaks = []
    for _ in range(4000):
        order = rng.permutation(1000)
        leaks.append(np.isin(group[order[:200]], group[order[200:]]).sum())
    assert exact["seen_at_random"] == pytest.approx(np.mean(leaks), abs=0.05)


def test_no_copies_is_said():
    frame = noise()
    finding = explore.duplicates_finding(explore.duplicates(frame, split_transactions(frame, SCHEMA), SCHEMA))
    assert finding.headline == "No row is an exact copy of another."
    assert finding.detail == "No row repeats an earlier one at another time."
