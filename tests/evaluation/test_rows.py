"""What travels through the evaluation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evaluation import made

from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema
from fraud_utils.evaluation import Protocol, Rows
from fraud_utils.models import Candidate

FRAME = pd.DataFrame({
    "when": [0.0, 10.0, 10.0, 86_400.0],
    "card": ["a", "b", "a", "c"],
    "place": pd.Categorical(["x", "y", "y", "x"]),
    "v": [1.0, 2.0, np.nan, 4.0],
    "paid": [5.0, 6.0, 7.0, 8.0],
    "fraud": np.array([0, 1, 0, 0], dtype=np.int8),
})  # fmt: skip
SCHEMA = Schema(
    "cards", label="fraud", time="when", amount="paid", features=("v",), categorical=("place",), entity="card"
)


def test_rows_hold_what_the_schema_says_in_the_order_of_the_table():
    rows = Rows.of(FRAME, SCHEMA, FeatureMap.fit(SCHEMA, FRAME))
    assert len(rows) == 4
    assert rows.names == ("v", "log_paid", "place=x", "place=y")
    assert rows.X[:, 1] == pytest.approx(np.log1p(FRAME["paid"]))
    assert [list(rows.y), list(rows.time), list(rows.amount)] == [
        list(FRAME[name]) for name in ("fraud", "when", "paid")
    ]
    assert rows.groups[0] == rows.groups[2] and len(set(rows.groups)) == 3  # a card's transactions share a fold
    assert not rows.complete and rows.days == 1


def test_a_table_without_amounts_has_none():
    bare = Schema("bare", label="fraud", time="when", amount=None, features=("v",), ignored=("card", "place", "paid"))
    rows = Rows.of(FRAME, bare, FeatureMap.fit(bare, FRAME))
    assert rows.amount is None and rows.names == ("v",)


def test_a_table_without_times_has_no_days_and_one_with_dates_knows_when_it_began():
    bare = Schema("bare", label="fraud", time=None, amount=None, features=("v",))
    rows = Rows.of(FRAME, bare, FeatureMap.fit(bare, FRAME))
    assert rows.time is None and rows.days == 0 and rows.origin is None
    dated = FRAME.copy()
    dated.attrs["provenance"] = {"origin": "2015-03-04T00:00:00+00:00"}
    features = FeatureMap.fit(SCHEMA, dated)
    assert Rows.of(dated.iloc[2:], SCHEMA, features).origin == "2015-03-04T00:00:00+00:00"


def test_repeats_are_seen_only_by_who_asks_for_them():
    one, two = Candidate("dummy"), Candidate("xgboost")
    scores = made.scores(np.array([0, 1, 0]), pd.DataFrame({"dummy": np.arange(6.0), "xgboost": np.arange(6.0) * 2}))
    assert list(scores.of(two)) == [0, 2, 4]
    assert list(score := scores.of_all_repeats(one)) == [0, 1, 2, 3, 4, 5]
    assert scores.repeats(score) == 2
    assert list(scores.repeated(scores.rows.y, score)) == [0, 1, 0, 0, 1, 0]
    once = replace(scores, values=scores.values.assign(dummy=[0.0, 1.0, 2.0, np.nan, np.nan, np.nan]))
    assert list(score := once.of_all_repeats(one)) == list(once.of(one)) == [0, 1, 2]
    assert list(once.repeated(scores.rows.y, score)) == [0, 1, 0]


def test_a_quick_protocol_does_less_of_everything_but_folds():
    full, quick = (Protocol.of(profile, seed=3, cache="kept") for profile in ("full", "quick"))
    assert (full.seed, full.cache, quick.seed, quick.cache) == (3, "kept", 3, "kept")
    assert full.folds == quick.folds
    for name in ("repeats", "resamples", "trials", "random_splits"):
        assert getattr(quick, name) < getattr(full, name)
