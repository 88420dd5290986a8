"""Splitting: no time, no copy and no entity on both sides of a cut."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tables import SMALL, small

from fraud_utils.data import DataError, duplicate_groups, split_by_time


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=4, max_size=60), st.floats(0.05, 0.95))
def test_ties_and_copies_never_straddle_the_cut(rows, share):
    frame = pd.DataFrame(sorted(rows), columns=["t", "fraud"]).astype({"t": float, "fraud": int})
    frame = frame.assign(a=frame["t"] % 3, b=0.0, amount=1.0)[list(SMALL.columns)]
    try:
        split = split_by_time(frame, SMALL, share)
    except DataError as error:
        assert "share one time" in str(error) or "no fraud" in str(error)
        return
    assert split.train["t"].max() < split.test_from == split.test["t"].min()
    assert len(split.train) + len(split.test) == len(frame)
    groups = duplicate_groups(frame, SMALL)
    assert not set(groups[: split.train_rows]) & set(groups[split.train_rows :])
    assert (split.train_frauds, split.test_frauds) == (split.train["fraud"].sum(), split.test["fraud"].sum())
    assert min(split.train_frauds, split.test_frauds) > 0


def test_the_cut_leaves_the_share_asked_for_when_times_differ():
    split = split_by_time(small(), SMALL, 0.2)
    assert split.sizes() == {
        "test_from": 32.0,
        "train_rows": 32,
        "train_frauds": 8,
        "test_rows": 8,
        "test_frauds": 2,
        "test_days": pytest.approx(7 / 86_400),
    }


def test_days_of_a_test_set_at_one_moment_are_not_known():
    frame = small()
    frame.loc[frame["t"] >= 32, "t"] = 32.0
    assert split_by_time(frame, SMALL, 0.2).test_days is None


@pytest.mark.parametrize(
    ("frame", "share", "part"),
    [
        (small().assign(fraud=[1] * 4 + [0] * 36), 0.2, "test side .* no fraud"),
        (small().assign(fraud=[0] * 36 + [1] * 4), 0.2, "training side .* no fraud"),
        (small().assign(t=1.0), 0.2, "share one time"),
        (small()[::-1], 0.2, "not in order of time"),
        (small(), 1.5, "between 0 and 1"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused(frame, share, part):
    with pytest.raises(DataError, match=part):
        split_by_time(frame, SMALL, share)


def test_a_split_says_what_lies_on_either_side():
    text = split_by_time(small(), SMALL, 0.2).describe({"name": "small", "rows": 40, "frauds": 10})
    for part in (
        "small: 40 transactions, 10 frauds (25\N{NO-BREAK SPACE}%)",
        "the 32 before second 32 (8 frauds)",
        "the 8",
    ):
        assert part in text
