"""Rows score alike however they are given; what cannot be scored is named by row and column."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud_utils import artifact
from fraud_utils.artifact import RowError
from fraud_utils.data import ULB, Schema

ROW = [0.0] * 30
NAMED = dict(zip([name for name in ULB.columns if name != "Class"], ROW, strict=True))


@given(st.data())
def test_any_way_of_giving_rows_gives_the_same_scores(frame, model, data):
    picked = data.draw(st.lists(st.integers(0, len(frame) - 1), min_size=1, max_size=40))
    rows = frame.iloc[picked].reset_index(drop=True)
    order = data.draw(st.permutations(rows.columns.to_list()))
    expected = model.score(rows)
    plain = rows.drop(columns="Class").to_numpy()
    for given_rows in (
        rows[order],
        {name: rows[name].to_numpy() for name in order},
        {name: rows[name].to_list() for name in order},
        rows[order].to_dict("records"),
        plain,
        plain.tolist(),
    ):
        np.testing.assert_array_equal(model.score(given_rows), expected)
    one_by_one = np.concatenate([model.score([row]) for row in plain.tolist()])
    np.testing.assert_allclose(one_by_one, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("forgotten", NAMED)
def test_a_row_without_names_that_forgets_a_column_is_never_scored(model, forgotten):
    row = [value for name, value in NAMED.items() if name != forgotten]
    for rows in ([row], np.array([row]), [list(NAMED.values()), row]):
        with pytest.raises(RowError, match=r"has 29 values; expected 30 .* without the label, or name the columns"):
            model.score(rows)


def test_a_model_may_be_set_to_take_only_what_it_uses(shop, fitted, tmp_path):
    model, frame = shop
    fitted(
        tmp_path,
        Schema.from_dict(model.manifest["schema"]),
        frame,
        may_be_missing=["b", "channel"],
        unnamed_rows="features",
    )
    narrow, rows = artifact.load(tmp_path), frame.astype(object).where(frame.notna(), None).head(9)
    used = rows[["a", "b", "total", "channel"]].to_numpy().tolist()
    np.testing.assert_array_equal(narrow.score(used), model.score(rows))
    with pytest.raises(RowError, match=r"row 1 has 6 values; expected 4 \(a, b, total, channel\)"):
        narrow.score(rows.drop(columns="fraud").to_numpy().tolist())
    np.testing.assert_array_equal(narrow.score(rows), model.score(rows))  # names say what is meant, as ever


def test_missing_values_where_training_had_some(shop):
    model, frame = shop
    rows = frame.head(200)
    expected = model.score(rows)
    assert rows.b.isna().any()
    assert rows.channel.isna().any()
    records = [
        {name: value for name, value in row.items() if value == value and name != "card"}  # NaN is left out
        for row in rows.to_dict("records")
    ]
    np.testing.assert_array_equal(model.score(records), expected)
    np.testing.assert_array_equal(model.score(rows.drop(columns="b")), model.score(rows.assign(b=np.nan)))
    np.testing.assert_array_equal(np.concatenate([model.score([record]) for record in records]), expected)
    unseen = model.score([records[0] | {"channel": "carrier pigeon"}])
    assert unseen == model.score([{name: v for name, v in records[0].items() if name != "channel"}])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, ROW[:7]], r"row 2 has 7 values; expected 30 \(Time, V1, V2, ... Amount\) in a row without names"),
        (np.zeros((3, 5)), "row 1 has 5 values"),
        (np.zeros(30), "1 dimensions"),
        ([NAMED, NAMED | {"v14": 1}], "row 2, column 'v14' is unknown"),
        ([{"v14": 1} | {name: 0 for name in NAMED if name != "V14"}], "row 1, .*did you mean 'V14'"),
        ([NAMED, {name: 0 for name in NAMED if name != "V3"}], "row 2, column 'V3': the value is missing"),
        (pd.DataFrame([NAMED]).drop(columns="V3"), "column 'V3' is missing"),
        ([NAMED | {"V2": "1.5"}], "row 1, column 'V2': text where a number"),
        ([NAMED | {"V2": True}], "row 1, column 'V2': true or false where a number"),
        ([NAMED | {"V2": [1]}], "row 1, column 'V2': a list where a number"),
        ([NAMED, NAMED | {"Amount": None}], "row 2, column 'Amount': the value is missing"),
        ([NAMED, NAMED | {"Amount": float("inf")}], "row 2, column 'Amount': the value is infinite"),
        (
            [NAMED, NAMED | {"Amount": -0.01}],
            "row 2, column 'Amount': the amount is negative, which the model's schema",
        ),
        ([NAMED | {"V28": -1e39}], "row 1, column 'V28': the value is infinite or beyond"),
        ([NAMED | {"V28": 10**400}], "row 1, column 'V28': a number out of range"),
        (["text"], "row 1 is text"),
        ([3.5], "row 1 is a number"),
        ([None], "row 1 is nothing"),
    ],
)
def test_rows_that_cannot_be_scored_are_named(model, rows, message):
    with pytest.raises(RowError, match=message):
        model.score(rows)


def test_negative_amounts_are_scored_where_the_schema_allows_them(frame, fitted, tmp_path):
    refunds = Schema.from_dict(ULB.to_dict() | {"negative_amounts": True})
    fitted(tmp_path, refunds, frame.assign(Amount=frame.Amount - 20))
    assert artifact.load(tmp_path).score([NAMED | {"Amount": -5.0}]).shape == (1,)


def test_categorical_values_must_be_text(shop):
    model, frame = shop
    row = frame.dropna().iloc[0].to_dict()
    with pytest.raises(RowError, match="row 1, column 'channel': a number where text is needed"):
        model.score([row | {"channel": 7.0}])
