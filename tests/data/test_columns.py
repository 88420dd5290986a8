"""Looking at a file without a schema: what its columns hold, and how it writes them."""

from datetime import time

import numpy as np
import pandas as pd
import pytest

from fraud_utils.data import DataError, Schema, TableFile
from fraud_utils.data.columns import Look, look


def look_at(path, source: str) -> Look:
    return look([TableFile(path, Schema("", "label", None, None, ("feature",)), source)], source)


def columns(tmp_path, text: str, name: str = "t.csv", encoding: str = "utf-8") -> dict:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return {column.name: column for column in look_at(path, str(path)).columns}


def test_a_column_is_what_all_of_its_rows_can_be_read_as(tmp_path):
    lines = ["n,money,when,word,mixed,gone", "1,$1.50,2025-01-31,a,1,", ",$-2.50,2025-02-01 12:30:00,b,x,NA"]
    found = columns(tmp_path, "\n".join([*lines, "3,$1000,2025-02-02,,2,"]))
    kinds = {name: (column.kind, column.missing, column.distinct) for name, column in found.items()}
    assert kinds == {
        "n": ("number", 1, 2), "money": ("number", 0, 3), "when": ("date", 0, 3), "word": ("text", 1, 2),
        "mixed": ("text", 0, 3), "gone": ("empty", 3, 0),
    }  # fmt: skip
    assert (found["money"].sign, found["money"].range) == ("$", (-2.5, 1000.0))
    assert found["when"].values[1] == np.datetime64("2025-02-01T12:30:00")
    assert found["n"].whole and not found["money"].whole
    assert found["word"].examples == ("a", "b")


@pytest.mark.parametrize(
    ("dates", "formats"),
    [
        (["4/18/2015 2:47", "6/8/2015 13:38"], ("%m/%d/%Y %H:%M",)),
        (["18/4/2015", "8/6/2015"], ("%d/%m/%Y",)),
        (["4/5/2015", "6/8/2015"], ("%d/%m/%Y", "%m/%d/%Y")),
        (["18.04.15 02:47:01", "01.02.15 03:00:00"], ("%d.%m.%y %H:%M:%S",)),
        (["2015/4/18", "2015/12/1"], ("%Y/%m/%d",)),
        (["4/18/2015 02:47:11 PM", "6/8/2015 11:00:00 AM"], ("%m/%d/%Y %I:%M:%S %p",)),
        (["Apr 18, 2015", "May 01, 2015"], ("%b %d, %Y",)),
        (["May 18, 2015", "May 01, 2015"], ("%b %d, %Y",)),
        (["April 18, 2015 2:47", "May 01, 2015 12:00"], ("%B %d, %Y %H:%M",)),
        (["18-Apr-2015", "01-May-2015"], ("%d-%b-%Y",)),
        (["18/04/2015 02:47:01.250", "", "18/04/2015 02:47:01.250"], ("%d/%m/%Y %H:%M:%S.%f",)),
        (["2015-04-18 02:47:01.123456789", "2015-04-18 02:47:02"], ("",)),
        (["4/5/2015 02:47:01.5", "6/8/2015 02:47:01.5"], ("%m/%d/%Y %H:%M:%S.%f", "%d/%m/%Y %H:%M:%S.%f")),
        (["2015-04-18T02:47:00Z", "2015-04-19T02:47:00+02:00"], ("",)),
    ],
)
def test_every_reading_of_dates_that_fits_all_rows_is_given(tmp_path, dates, formats):
    lines = [f'"{date}",1' for date in dates]  # a date may have a comma, and none may be a gap
    column = columns(tmp_path, "\n".join(["d,x", *lines]) + "\n")["d"]
    assert (column.kind, column.formats) == ("date", formats)
    assert np.isnat(column.values).tolist() == [len(formats) > 1 or not date for date in dates]


@pytest.mark.parametrize("texts", [["1001-05", "1001-06"], ["4 Mile Road", "12 Oak Street"], ["31/02/15 x", "1/1/15"]])
def test_texts_that_only_begin_as_dates_do_are_texts(tmp_path, texts):
    assert columns(tmp_path, "\n".join(["d", *texts]) + "\n")["d"].kind == "text"


def test_semicolons_decimal_commas_and_latin_letters_are_seen(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("où;betrag\ncafé;1.234,50\nthé;2,25\n".encode("cp1252"))
    seen = look_at(path, "t.csv")
    assert [(column.name, column.kind) for column in seen.columns] == [("où", "text"), ("betrag", "number")]
    assert seen.columns[1].values.tolist() == [1234.5, 2.25]
    assert seen.written["separator"] == ";" and seen.written["decimal"] == ","


def test_of_columns_without_a_name_one_is_shown_and_it_has_values_where_any_has(tmp_path):
    """A spreadsheet's empty columns leave separators behind; a frame's index has no name either."""
    found = columns(tmp_path, ",a,b,,\n0,1,x,,\n1,2,y,,\n")
    assert [(name, column.kind, column.examples) for name, column in found.items()] == [
        ("", "number", ("0", "1")), ("a", "number", ("1", "2")), ("b", "text", ("x", "y")),
    ]  # fmt: skip
    assert columns(tmp_path, "a,b,,\n1,x,,\n2,y,,\n")[""].kind == "empty"


def test_a_letter_that_is_not_utf_8_after_many_that_are_is_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(("c,x\n" + "cafe,1\n" * 20_000 + "café,2\n").encode("latin-1"))
    seen = look_at(path, "t.csv")
    assert seen.columns[0].distinct == 2
    assert seen.written["encoding"] == "cp1252"


def test_a_parquet_file_has_types_of_its_own(tmp_path):
    frame = pd.DataFrame({"t": pd.to_datetime(["2025-01-01", "2025-01-02"]), "n": [1, 2], "b": [True, False]})
    frame["c"] = pd.Categorical(["x", None])
    frame["clock"] = [time(22, 22), time(6, 18)]
    frame["lists"], frame["bytes"], frame["nothing"] = [[1], [2]], [b"\xff", None], [None, None]
    frame.to_parquet(tmp_path / "t.parquet")
    found = {column.name: (column.kind, column.missing) for column in look_at(tmp_path / "t.parquet", "t").columns}
    assert found == {
        "t": ("date", 0), "n": ("number", 0), "b": ("text", 0), "c": ("text", 1), "clock": ("other", 0),
        "lists": ("other", 0),
        "bytes": ("other", 1), "nothing": ("empty", 2),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"x", "unknown format"),
        ("t.csv", b"", "empty"),
        ("t.csv", b"a,b\n", "no rows"),
        ("t.csv", b"a,a\n1,2\n", "appears 2 times"),
        ("t.csv", b",,a,a\n,,1,2\n", "column 'a' appears 2 times"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "not readable as CSV"),
        ("t.csv.gz", b"no gzip", "archive"),
        ("t.parquet", b"no parquet", "not readable as parquet"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        look_at(tmp_path / name, name)
