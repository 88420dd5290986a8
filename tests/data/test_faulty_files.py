"""Faulty files: each is refused with one message that names row, column, value and remedy."""

import gzip
import io
import random
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from small_tables import SMALL, small, written

from fraud_utils.data import DataError, Schema, load_transactions

HEAD = "when,a,x,c,y\n"
GOOD = "2025-01-01,1.5,1,k,0\n2025-01-02,2.5,2,m,1\n"
KEYS = {"label": "y", "time": "when", "time_unit": "timestamp", "amount": "a", "features": ["x"], "categorical": ["c"]}


def load(folder, content: str | bytes, name: str = "t.csv", **keys: object) -> pd.DataFrame:
    """Load a file with these bytes by a schema with these keys."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_transactions(path, Schema.from_dict({"name": "mine", **KEYS, **keys}))


def parquet(**columns: object) -> bytes:
    frame = pd.DataFrame({"when": pd.to_datetime(["2025-01-01", "2025-01-02"]), "a": [1.5, 2.5], "x": [1.0, 2.0],
                          "c": ["k", "m"], "y": [0, 1], **columns})  # fmt: skip
    return frame.to_parquet(index=False)


def with_row(row: str) -> str:
    """The good table with one more row, the third, on line 4."""
    return HEAD + GOOD + row + "\n"


FAULTS: Mapping[str, tuple[str | bytes, Mapping[str, object], list[str]]] = {
    # The file as a whole
    "empty": (b"", {}, ["the file is empty", "export it again"]),
    "blank lines": ("\n\n", {}, ["names no columns", "header line is needed"]),
    "no rows": (HEAD, {}, ["no rows", "export it again"]),
    "an Excel workbook": (b"PK\x03\x04rest", {}, ["Excel workbook", "save the sheet as CSV"]),
    "an old workbook": (b"\xd0\xcf\x11\xe0rest", {}, ["Excel workbook", "save the sheet as CSV"]),
    "parquet by another name": (b"PAR1rest", {}, ["parquet", "name it .parquet"]),
    "gzip by another name": (gzip.compress(b"when,a"), {}, ["gzip", "name it .csv.gz"]),
    "a web page": ("<!DOCTYPE html><html>", {}, ["web page", "download the table itself"]),
    "JSON": ('{"when": 1}', {}, ["JSON", "export the table as CSV"]),
    "zero bytes": (b"when,a,x,c,y\n\0\0,1,2,k,0\n", {}, ["zero bytes", "export it"]),
    "not in the encoding given": (
        (HEAD + GOOD + "2025-01-03,1,1,café,0\n").encode("latin-1"), {"encoding": "utf-8"},
        ["line 4", "not utf-8", r"b'\xe9'", "correct 'encoding'"],
    ),
    # The header
    "no header": ("1,2,3,4,0\n1,2,3,4,1\n", {}, ["first line holds values", "add a line"]),
    "a missing column": ("when,x,c,y\n2025-01-01,1,k,0\n2025-01-02,1,k,1\n", {}, ["column 'a' is missing", "add it"]),
    "another table": ("id,price\n1,2\n", {}, ["column 'when' is missing (and 4 more", "has 'id', 'price'", "describe"]),
    "a misspelt column": (HEAD.replace("x", "xx") + GOOD, {"features": ["xxx"]}, ["'xxx'", "did you mean 'xx'"]),
    "a column in capitals": (HEAD.replace("a", "A") + GOOD, {}, ["column 'a'", "did you mean 'A'"]),
    "a repeated column": (
        "when,a,x,x,c,y\n2025-01-01,1,1,1,k,0\n2025-01-02,1,1,1,k,1\n", {},
        ["column 'x' appears 2 times", "rename or drop"],
    ),
    "an extra column": ("when,a,x,c,y,note\n2025-01-01,1,1,k,0,hi\n2025-01-02,1,1,k,1,hi\n", {},
                        ["column 'note'", "ignore_others: true"]),
    "a column without a name": ("when,a,x,c,y,\n2025-01-01,1,1,k,0,hi\n2025-01-02,1,1,k,1,ho\n", {},
                                ["column 6 has no name", "'ignored'"]),
    "another separator than said": (
        HEAD + GOOD, {"separator": ";"},
        ["nothing is separated by ';'", "'separator'", "commas"],
    ),
    # Rows
    "too few values": (with_row("2025-01-03,1"), {}, ["row 3 (line 4) has 2 values", "5 columns", "correct the row"]),
    "too many values": (with_row("2025-01-03,1,1,k,0,9"), {}, ["row 3 (line 4) has 6 values", "needs quotes"]),
    "an unquoted comma": (with_row("2025-01-03,1,1,Smith, Inc,0"), {}, ["row 3 (line 4) has 6 values", "quotes"]),
    # Numbers
    "a word": (
        with_row("2025-01-03,1,abc,k,0"), {},
        ["row 3 (line 4), column 'x'", "'abc' is not a number", "ignored"],
    ),
    "a word in the amount": (with_row("2025-01-03,free,1,k,0"), {}, ["row 3", "column 'a'", "'free' is not a number"]),
    "hexadecimal": (with_row("2025-01-03,1,0x1F,k,0"), {}, ["row 3", "column 'x'", "'0x1F' is not a number"]),
    "percent": (with_row("2025-01-03,1,12%,k,0"), {}, ["row 3", "column 'x'", "'12%' is not a number"]),
    "two points": (with_row("2025-01-03,1,1.2.3,k,0"), {}, ["row 3", "column 'x'", "'1.2.3' is not a number"]),
    "a code": (with_row("2025-01-03,1,ABC123,k,0"), {}, ["row 3", "column 'x'", "'ABC123' is not a number"]),
    "a question mark": (with_row("2025-01-03,1,?,k,0"), {}, ["row 3", "'?' is not a number", "leave it empty"]),
    "true among numbers": (with_row("2025-01-03,1,true,k,0"), {}, ["row 3", "column 'x'", "'true' is not a number"]),
    "infinite": (with_row("2025-01-03,1,inf,k,0"), {}, ["row 3 (line 4), column 'x'", "infinite", "leave it empty"]),
    "thousands or decimals": (
        'when,a,x,c,y\n2025-01-01,"1,234",1,k,0\n2025-01-02,"5,678",2,m,1\n', {},
        ["row 1 (line 2), column 'a' (and 1 more row)", "'1,234' can be read in two", "decimal: '.'", "decimal: ','"],
    ),
    "no amount": (with_row("2025-01-03,,1,k,0"), {}, ["row 3 (line 4), column 'a'", "missing", "fill it in"]),
    "a refund": (with_row("2025-01-03,-7.5,1,k,0"), {}, ["row 3", "'a'", "-7.5 is negative", "negative_amounts: true"]),
    # Labels
    "words": (HEAD + GOOD.replace(",0\n", ",legit\n").replace(",1\n", ",fraud\n"), {},
              ["row 1 (line 2), column 'y'", "'legit'", "'fraud' in 1 row", "'fraud: "]),
    "a third word": (HEAD + GOOD.replace(",0\n", ",no\n").replace(",1\n", ",yes\n") + "2025-01-03,1,1,k,maybe\n",
                     {"fraud": "yes"}, ["row 3", "column 'y'", "'maybe' in 1 row", "unlabelled: leave_out"]),
    "a word that is not there": (
        HEAD + GOOD, {"fraud": "bad"},
        ["column 'y'", "'bad' that 'fraud' names", "'0' in 1 row"],
    ),
    "label 2": (with_row("2025-01-03,1,1,k,2"), {}, ["row 3 (line 4)", "column 'y'", "'2'", "neither 0 nor 1"]),
    "label 0.5": (with_row("2025-01-03,1,1,k,0.5"), {}, ["row 3", "column 'y'", "'0.5'", "code fraud as 1"]),
    "no label": (with_row("2025-01-03,1,1,k,"), {}, ["row 3 (line 4), column 'y'", "missing", "unlabelled: leave_out"]),
    "no label at all": (
        HEAD + "2025-01-01,1,1,k,\n", {"unlabelled": "leave_out"},
        ["column 'y'", "no row has a label"],
    ),
    "one class": (HEAD + GOOD.replace(",1\n", ",0\n"), {}, ["column 'y'", "all 2 rows are legitimate", "both classes"]),
    "all fraud": (HEAD + GOOD.replace(",0\n", ",1\n"), {}, ["column 'y'", "all 2 rows are fraud"]),
    # Times
    "no moment": (with_row(",1,1,k,0"), {}, ["row 3 (line 4), column 'when'", "missing"]),
    "no timestamp": (
        with_row("yesterday,1,1,k,0"), {},
        ["row 3 (line 4), column 'when'", "'yesterday'", "time_format"],
    ),
    "no such day": (with_row("2025-02-30,1,1,k,0"), {}, ["row 3", "column 'when'", "'2025-02-30' is no timestamp"]),
    "only a clock": (HEAD + GOOD.replace("2025-01-01", "22:22").replace("2025-01-02", "22:23"), {},
                     ["row 1", "'22:22' is a time of day without a date", "time: [Year, Month, Day, Time]"]),
    "day or month": (HEAD + GOOD.replace("2025-01-01", "4/5/2015").replace("2025-01-02", "6/7/2015"), {},
                     ["row 1 (line 2), column 'when' (and 1 more row)", "'4/5/2015' can be 5 April 2015 or 4 May 2015",
                      "time_format: '%m/%d/%Y'", "time_format: '%d/%m/%Y'"]),
    "another format than said": (HEAD + GOOD, {"time_format": "%d.%m.%Y"}, ["row 1", "'2025-01-01'", "time_format"]),
    "a format that is none": (HEAD + GOOD, {"time_format": "%Q"}, ["row 1", "'2025-01-01'", "time_format"]),
    "an hour that was skipped": (with_row("2025-03-30 02:30,1,1,k,0"), {"time_zone": "Europe/Paris"},
                                 ["row 3 (line 4)", "'2025-03-30 02:30' is skipped", "Europe/Paris", "offset"]),
    "an hour that came twice": (with_row("2025-10-26 02:30,1,1,k,0"), {"time_zone": "Europe/Paris"},
                                ["row 3 (line 4)", "'2025-10-26 02:30' comes twice", "Europe/Paris", "offset"]),
    "a word among seconds": (with_row("soon,1,1,k,0").replace("2025-01-0", ""), {"time_unit": "seconds"},
                             ["row 3 (line 4), column 'when'", "'soon' is not a number"]),
    "dates under hours": (
        HEAD + GOOD, {"time_unit": "hours"},
        ["column 'when'", "'2025-01-01' is a date, not hours", "time_unit: timestamp"],
    ),
    "dates without an origin": (
        "when,a,x,c,y,since\n1,1,1,k,0,2025-01-01\n2,1,1,k,1,2025-01-02\n", {"time_unit": "hours", "dates": ["since"]},
        ["column 'when'", "no dates from which 'dates' could be counted", "time_unit: timestamp"],
    ),
    "a further date that is none": (
        "when,a,x,c,y,since\n2025-01-03,1,1,k,0,never\n2025-01-03,1,1,k,1,2025-01-02\n", {"dates": ["since"]},
        ["row 1 (line 2), column 'since'", "'never' is no timestamp"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_csv_is_refused_with_one_message_that_teaches(tmp_path, fault):
    content, keys, parts = FAULTS[fault]
    with pytest.raises(DataError) as caught:
        load(tmp_path, content, **keys)
    assert str(caught.value).startswith(f"{tmp_path / 't.csv'}: ")
    assert len(caught.value.faults) == 1
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"y": pd.array([True, None], "boolean")}, ["row 2, column 'y'", "missing", "unlabelled: leave_out"]),
        ({"x": ["1", "abc"]}, ["row 2, column 'x'", "'abc' is not a number"]),
        ({"x": pd.to_datetime(["2025-01-01", "2025-01-02"])}, ["column 'x'", "timestamps, not numbers", "'dates'"]),
        ({"x": [[1], [2]]}, ["column 'x'", "list", "neither number nor text", "'ignored'"]),
        ({"x": [{"a": 1}, {"a": 2}]}, ["column 'x'", "struct", "'ignored'"]),
        ({"c": [b"k", b"m"]}, ["column 'c'", "binary"]),
        ({"y": ["legit", "fraud"]}, ["row 1, column 'y'", "'legit'", "fraud: "]),
        ({"when": [None, pd.Timestamp("2025-01-01")]}, ["row 1, column 'when'", "missing"]),
        ({"when": [pd.Timedelta(1), pd.Timedelta(2)]}, ["column 'when'", "duration"]),
        ({"a": [np.inf, 1.0]}, ["row 1, column 'a'", "infinite"]),
    ],
)
def test_a_faulty_parquet_file_is_refused_with_one_message_that_teaches(tmp_path, columns, parts):
    with pytest.raises(DataError) as caught:
        load(tmp_path, parquet(**columns), "t.parquet")
    assert len(caught.value.faults) == 1
    for part in [str(tmp_path / "t.parquet"), *parts]:
        assert part in str(caught.value)


def test_all_faults_are_named_at_once_each_column_once(tmp_path):
    content = (
        "when,amount,x,c,y,note\n2025-01-01,1,abc,k,0,\n,1\nsoon,1,2,k,1,\n2025-01-03,1,3,k,2,\n2025-01-03,1,def,k,0,\n"
    )
    with pytest.raises(DataError) as caught:
        load(tmp_path, content, amount="amuont")
    expected = [
        "row 2 (line 3) has 2 values",
        "column 'amuont' is missing; did you mean 'amount'",
        "column 'note' is not in the schema",
        "row 4 (line 5), column 'y': '2'",
        "row 1 (line 2), column 'x' (and 1 more row): 'abc' is not a number",
        "row 3 (line 4), column 'when': 'soon' is no timestamp",
    ]
    assert len(caught.value.faults) == len(expected)
    for part in expected:
        assert sum(part in fault for fault in caught.value.faults) == 1
        assert part in str(caught.value)
    assert "6 faults" in str(caught.value)


def test_many_faults_are_counted_and_not_all_shown(tmp_path):
    names = [f"v{i}" for i in range(60)]
    frame = small().assign(**dict.fromkeys(names, "abc"))
    schema = Schema("wide", "fraud", "t", "amount", ("a", "b", *names))
    with pytest.raises(DataError) as caught:
        load_transactions(written(tmp_path, frame), schema)
    assert len(caught.value.faults) == 60
    assert len(str(caught.value).splitlines()) == 22  # how many, twenty of them, and how many more
    assert "and 40 more" in str(caught.value)


def test_a_row_is_found_behind_blank_lines_and_line_breaks_in_quotes(tmp_path):
    with pytest.raises(DataError, match=r"row 3 \(line 8\), column 'x': 'abc'"):
        load(tmp_path, HEAD + '\n2025-01-01,1,1,"a\nb",0\n\n2025-01-02,1,1,k,1\n2025-01-03,1,abc,"c\nd",0\n')


def test_the_message_names_the_schema_file_and_the_nearest_column(tmp_path):
    (tmp_path / "mine.yaml").write_text("label: fraud\ntime: t\namount: amount\nfeatures: [a, distance_in_km]")
    path = written(tmp_path, small().rename(columns={"b": "distance_km"}))
    with pytest.raises(DataError) as caught:
        load_transactions(path, Schema.read(tmp_path / "mine.yaml"))
    assert "did you mean 'distance_km'" in str(caught.value)
    assert str(tmp_path / "mine.yaml") in str(caught.value)


def test_no_damage_to_a_csv_ends_in_anything_but_a_message(tmp_path):
    """Bytes flipped, lost or added anywhere: the file loads, or a DataError says why not."""
    clean = io.BytesIO()
    small(60).to_csv(clean, index=False)
    rng = random.Random(5)  # noqa: S311
    for _ in range(150):
        content = bytearray(clean.getvalue())
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(content))
            content[place : place + rng.randint(0, 2)] = rng.choice(
                [b",", b'"', b"\n", b"\0", b"\xe9", b";", b"-", b"x", b""]
            )
        (tmp_path / "t.csv").write_bytes(content)
        try:
            load_transactions(tmp_path / "t.csv", SMALL)
        except DataError as error:
            assert "t.csv" in str(error)
