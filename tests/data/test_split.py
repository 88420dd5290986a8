"""Splitting: no time, no copy and no entity on both sides of a cut."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tables import SMALL, small

from fraud_utils.data import DataError, Schema, duplicate_groups, fold_groups, split_transactions


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=4, max_size=60), st.floats(0.05, 0.95))
def test_ties_and_copies_never_straddle_the_cut(rows, share):
    frame = pd.DataFrame(sorted(rows), columns=["t", "fraud"]).astype({"t": float, "fraud": int})
    frame = frame.assign(a=frame["t"] % 3, b=0.0, amount=1.0)[list(SMALL.columns)]
    try:
        split = split_transactions(frame, SMALL, share)
    except DataError as error:
        assert "share one time" in str(error) or "no fraud" in str(error)
        return
    assert split.train["t"].max() < split.test_from == split.test["t"].min()
    assert len(split.train) + len(split.test) == len(frame)
    groups = duplicate_groups(frame, SMALL)
    assert not set(groups[: split.train_rows]) & set(groups[split.train_rows :])
    assert (split.train_frauds, split.test_frauds) == (split.train["fraud"].sum(), split.test["fraud"].sum())
    assert min(split.train_frauds, split.test_frauds) > 0


def test_rows_that_differ_in_their_id_alone_are_copies():
    known = Schema.from_dict(SMALL.to_dict() | {"id": "row"})
    frame = pd.concat([small(), small()], ignore_index=True)
    frame = frame.assign(row=frame.index.astype(str))[list(known.columns)]
    groups = duplicate_groups(frame, known)
    np.testing.assert_array_equal(groups[:40], groups[40:])
    np.testing.assert_array_equal(groups, duplicate_groups(frame.drop(columns="row"), SMALL))


def test_the_cut_leaves_the_share_asked_for_when_times_differ():
    split = split_transactions(small(), SMALL, 0.2)
    assert split.sizes() == {
        "test_from": 32.0,
        "train_rows": 32,
        "train_frauds": 8,
        "test_rows": 8,
        "test_frauds": 2,
        "test_days": pytest.approx(7 / 86_400),
        "waiting_rows": 0,
    }


def test_rows_whose_labels_come_after_the_cut_are_left_out_and_counted():
    late = dataclasses.replace(SMALL, label_delay_days=5 / 86_400)
    split = split_transactions(small(), late, 0.2)
    assert (split.test_from, split.train["t"].max(), split.waiting_rows) == (32.0, 27.0, 4)
    assert len(split.train) + split.waiting_rows + len(split.test) == 40
    text = split.describe({"name": "small", "rows": 40, "frauds": 10})
    assert "28 whose labels were known at" in text
    assert "4 rows before then were not labelled yet, and left out." in text
    with pytest.raises(DataError, match=r"training side .* shorter label_delay_days \(1\)"):
        split_transactions(small(), dataclasses.replace(SMALL, label_delay_days=1.0), 0.2)


def test_days_of_a_test_set_at_one_moment_are_not_known():
    frame = small()
    frame.loc[frame["t"] >= 32, "t"] = 32.0
    assert split_transactions(frame, SMALL, 0.2).test_days is None


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
        split_transactions(frame, SMALL, share)


def test_a_split_says_what_lies_on_either_side():
    text = split_transactions(small(), SMALL, 0.2).describe({"name": "small", "rows": 40, "frauds": 10})
    for part in (
        "small: 40 transactions, 10 frauds (25\N{NO-BREAK SPACE}%)",
        "the 32 before day 1, 00:00 (8 frauds)",
        "the 8",
    ):
        assert part in text


def timeless(rows: int = 400) -> tuple[pd.DataFrame, Schema]:
    """Cards with five rows each, every tenth card a fraud's; the table has no times."""
    card = np.arange(rows) // 5
    frame = pd.DataFrame({"card": card.astype(str), "x": np.arange(rows) % 7.0, "y": (card % 10 == 0).astype(np.int8)})
    return frame, Schema("cards", "y", None, None, ("x",), entity="card")


def test_a_table_without_times_is_split_at_random_by_groups():
    frame, schema = timeless()
    split = split_transactions(frame, schema, test_share=0.25)
    assert not {*split.train["card"]} & {*split.test["card"]}
    assert split.test_rows == pytest.approx(100, abs=5)
    assert split.test_frauds == pytest.approx(0.25 * frame["y"].sum(), abs=5)
    assert (split.test_from, split.test_days) == (None, None)
    assert "drawn at random" in split.describe({"name": "cards", "rows": 400, "frauds": 40})


def test_the_seed_decides_the_random_split():
    frame, schema = timeless()
    first, again, other = (split_transactions(frame, schema, seed=seed).test.index.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_rows_without_an_entity_are_groups_of_their_own():
    frame = pd.DataFrame({"card": ["a", None, "a", None, None], "x": [1.0, 2.0, 3.0, 2.0, 4.0], "y": 0})
    groups = fold_groups(frame, Schema("cards", "y", None, None, ("x",), entity="card"))
    assert groups[0] == groups[2]
    assert groups[1] == groups[3]  # copies of one another
    assert len({*groups}) == 3
