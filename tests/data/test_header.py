"""Headers: nameless columns, spaces, and columns that nobody named."""

import pandas as pd
import pytest
from small_tables import SMALL, small, written

from fraud_utils.data import DataError, Schema, load_transactions


def said(frame: pd.DataFrame) -> str:
    return " ".join(frame.attrs["provenance"]["read_as"])


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_the_index_that_pandas_writes_is_left_out(tmp_path, name):
    frame = small().set_index(pd.Index(range(5, 45)))
    frame.to_parquet(tmp_path / name, index=True) if name == "t.parquet" else frame.to_csv(tmp_path / name)
    assert len(load_transactions(tmp_path / name, SMALL)) == 40


def test_a_column_without_a_name_is_left_out_where_it_counts_rows_or_is_empty(tmp_path):
    small().to_csv(tmp_path / "t.csv")
    assert "Column 1 has no name and counts rows" in said(load_transactions(tmp_path / "t.csv", SMALL))
    text = "\n".join(f"{line}," for line in small().to_csv(index=False).splitlines())
    (tmp_path / "t.csv").write_text(text)
    assert "Column 6 has no name and is empty" in said(load_transactions(tmp_path / "t.csv", SMALL))
    small().assign(**{" ": 3.5}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="column 6 has no name; name it, or list '' under 'ignored'"):
        load_transactions(tmp_path / "t.csv", SMALL)


def test_spaces_around_names_do_not_matter(tmp_path):
    frame = load_transactions(written(tmp_path, small().rename(columns={"a": " a ", "b": "b "})), SMALL)
    assert frame.columns.tolist() == ["t", "a", "b", "amount", "fraud"]
    assert "'a', 'b'" in said(frame)


def test_columns_that_nobody_named_are_passed_over_where_the_schema_says_so(tmp_path):
    path = written(tmp_path, small().assign(note="x", other=1))
    with pytest.raises(DataError, match=r"column 'note' \(and 1 more: 'other'\) is not in the schema"):
        load_transactions(path, SMALL)
    schema = Schema.from_dict(SMALL.to_dict() | {"ignore_others": True})
    frame = load_transactions(path, schema)
    assert frame.columns.tolist() == ["t", "a", "b", "amount", "fraud"]
    assert "passed over: 'note', 'other'" in said(frame)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_na_is_missing_in_every_format(tmp_path, name):
    frame = pd.DataFrame({"t": [1, 2, 3], "c": ["NA", "k", ""], "y": [0, 1, 0]})
    schema = Schema("m", "y", "t", None, (), categorical=("c",))
    loaded = load_transactions(written(tmp_path, frame, name), schema)
    assert loaded["c"].isna().tolist() == [True, False, True]


def test_entities_and_groups_are_loaded_as_text_in_the_schemas_order(tmp_path):
    frame = pd.DataFrame(
        {"age": ["young", "old"], "shop": [7, 8], "card": ["c1", None], "t": [2, 1], "x": 0.5, "y": [0, 1]}
    )
    schema = Schema("m", "y", "t", None, ("x",), entity="card", entities=("shop",), groups=("age",))
    loaded = load_transactions(written(tmp_path, frame), schema)
    assert tuple(loaded.columns) == schema.columns == ("t", "card", "shop", "age", "x", "y")
    assert loaded["shop"].tolist() == ["8", "7"]
    assert loaded["card"].isna().tolist() == [True, False]
