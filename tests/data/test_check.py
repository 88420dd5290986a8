"""Checking: a value that cannot be is refused with its column, its row and a remedy."""

import numpy as np
import pandas as pd
import pytest
from small_tables import SMALL, small, written

from fraud_utils.data import DataError, Schema, Written, fold_groups, load_transactions


def changed(column: str, row: int, value: object) -> pd.DataFrame:
    """The small table with one other value, rows counted from 1."""
    frame = small().astype(object)
    frame.loc[row - 1, column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "parts"),
    [
        pytest.param(small().drop(columns="b"), ["column 'b' is missing; add it"], id="missing column"),
        pytest.param(
            small().rename(columns={"amount": "amuont"}), ["column 'amount'", "has 'amuont': rename it"], id="misspelt"
        ),
        pytest.param(small().assign(note=1), ["column 'note'", "ignored"], id="extra column"),
        pytest.param(changed("a", 7, "abc"), ["row 7", "column 'a'", "'abc'", "not a number"], id="text"),
        pytest.param(changed("t", 5, None), ["row 5", "column 't'", "missing"], id="no time"),
        pytest.param(changed("fraud", 9, None), ["row 9", "column 'fraud'", "missing"], id="no label"),
        pytest.param(changed("amount", 2, None), ["row 2", "column 'amount'", "missing"], id="no amount"),
        pytest.param(changed("fraud", 3, 2), ["row 3", "column 'fraud'", "neither 0 nor 1"], id="label 2"),
        pytest.param(changed("fraud", 3, 0.5), ["row 3", "column 'fraud'", "neither 0 nor 1"], id="label 0.5"),
        pytest.param(small().assign(fraud=0), ["column 'fraud'", "all 40 rows are legitimate"], id="one class"),
        pytest.param(changed("b", 11, np.inf), ["row 11", "column 'b'", "infinite"], id="infinite"),
        pytest.param(
            changed("amount", 4, -1), ["row 4", "column 'amount'", "negative", "negative_amounts"], id="refund"
        ),
        pytest.param(small()[:0], ["no rows"], id="header only"),
    ],
)
def test_a_bad_csv_is_refused_with_column_row_and_remedy(tmp_path, frame, parts):
    with pytest.raises(DataError) as caught:
        load_transactions(written(tmp_path, frame), SMALL)
    for part in [str(tmp_path / "table.csv"), *parts]:
        assert part in str(caught.value)


def test_another_table_with_timestamps_categories_and_an_entity(tmp_path):
    frame = pd.DataFrame(
        {
            "when": ["2026-03-02T00:00:10", "2026-03-01T06:00:00", "2026-03-02T00:00:10"],
            "card": ["c1", "c2", "c1"],
            "shop": ["book", None, "food"],
            "x": [1.0, None, 3.0],
            "is_fraud": [0, 1, 0],
            "note": ["free", "text", "here"],
        }
    )
    schema = Schema(
        "shop",
        label="is_fraud",
        time="when",
        written=Written(time_unit="timestamp"),
        amount=None,
        features=("x",),
        categorical=("shop",),
        entity="card",
        ignored=("note",),
    )
    loaded = load_transactions(written(tmp_path, frame), schema)
    assert loaded["when"].tolist() == [6 * 3600, 86410, 86410]  # from midnight of the first day, in order of time
    assert loaded["shop"].tolist()[1:] == ["book", "food"]
    assert loaded["shop"].isna().tolist() == [True, False, False]
    groups = fold_groups(loaded, schema)
    assert groups[1] == groups[2] != groups[0]
    frame.loc[1, "when"] = "yesterday"
    with pytest.raises(DataError, match="row 2, column 'when': no timestamp"):
        load_transactions(written(tmp_path, frame), schema)
