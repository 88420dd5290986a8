"""What the columns contain and how rare fraud is."""

import re

import numpy as np
import pandas as pd
from noise import SCHEMA, noise, text

from fraud_utils import explore
from fraud_utils.data import Schema, split_transactions


def test_every_column_is_described_by_its_role_and_its_values():
    schema = Schema(name="s", label="bad", time="at", amount="sum", features=("gap",), categorical=("land",))
    land = pd.Series(["SE", "NO", "SE", None], dtype="category")
    frame = pd.DataFrame({"at": [0.0, 1, 2, 3], "gap": [np.nan, 2, 4, 4], "land": land, "sum": 5.0, "bad": 0})
    described = explore.integrity(frame, schema)
    assert list(described.index) == ["at", "gap", "land", "sum", "bad"]
    assert list(described["role"]) == ["time", "feature", "categorical", "amount", "label"]
    assert described.loc["gap", ["missing", "distinct", "minimum", "maximum"]].tolist() == [1, 2, 2, 4]
    assert described.loc["land", ["missing", "distinct", "most_common"]].tolist() == [1, 2, "SE"]
    finding = text(explore.integrity_finding(described, frame, schema))
    assert "2 values missing, in 2 columns" in finding and "single value: `sum` and `bad`" in finding


def test_a_span_with_dates_is_said_in_dates_and_without_times_not_at_all():
    frame = noise(days=3)
    frame.attrs["provenance"]["origin"] = "2015-03-02T00:00:00Z"
    described = explore.integrity(frame, SCHEMA)
    assert np.isnan(described.loc["at", "maximum"]) and described.loc["p", "maximum"] == frame["p"].max()
    found = text(explore.integrity_finding(described, frame, SCHEMA))
    assert re.search(r"spans [\d.]+ days, from 2015-03-02 00:\d\d to 2015-03-04 23:\d\d \(UTC\)", found)
    timeless = Schema("claims", label="fraud", time=None, amount="paid", features=("p",), noun="claim")
    found = text(explore.integrity_finding(explore.integrity(frame, timeless), frame, timeless))
    assert "3,000 claims" in found and "has 3 columns and no times" in found


def test_entities_and_groups_have_their_roles_and_gaps_are_counted():
    schema = Schema("s", "bad", "at", None, ("x",), id="no", entity="card", entities=("shop",), groups=("age",))
    frame = pd.DataFrame(
        {
            "at": [0.0, 1, 2],
            "no": ["1", "2", "3"],
            "card": ["a", None, "a"],
            "shop": ["b", "c", "b"],
            "age": "old",
            "x": 1.0,
        }
    )
    frame["bad"] = [0, 1, 0]
    described = explore.integrity(frame, schema)
    assert list(described["role"]) == ["time", "id", "entity", "entity", "group", "feature", "label"]
    found = text(explore.integrity_finding(described, frame, schema))
    assert "`card` has 1 distinct value, and 1 row has none" in found and "`shop` has 2 distinct values." in found


def test_unusual_amounts_are_counted_with_their_frauds():
    frame = noise()
    assert "amounts are" not in text(explore.integrity_finding(explore.integrity(frame, SCHEMA), frame, SCHEMA))
    frame.loc[:9, ["paid", "fraud"]] = 0.0, 0
    frame.loc[:2, "fraud"] = 1
    finding = text(explore.integrity_finding(explore.integrity(frame, SCHEMA), frame, SCHEMA))
    assert "10 amounts are zero, 3 of them fraud." in finding and "no value is missing" in finding


def test_imbalance_says_whether_the_parts_differ():
    frame = noise()
    same = explore.imbalance_finding(explore.class_sizes(split_transactions(frame, SCHEMA), SCHEMA), SCHEMA)
    assert "no change is claimed" in same.detail
    frame.loc[frame.index >= 2400, "fraud"] = (np.arange(600) % 3 == 0).astype("int8")
    sizes = explore.class_sizes(split_transactions(frame, SCHEMA), SCHEMA)
    assert (sizes["frauds"]["test"], sizes["rows"]["test"], sizes["rows"]["all"]) == (200, 600, 3000)
    assert "fraud is more frequent in the test part" in explore.imbalance_finding(sizes, SCHEMA).detail
