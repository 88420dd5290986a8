"""Dialects: separators and encodings are seen, used and said."""

import numpy as np
import pandas as pd
import pytest
from small_tables import SMALL, small

from fraud_utils.data import DataError, Schema, load_transactions

TEXT = "t,c,x,y\n1,café,1.5,0\n2,Österreich,2.5,1\n"
KEYS = {"name": "m", "label": "y", "time": "t", "amount": None, "features": ["x"], "categorical": ["c"]}


def load(folder, content: bytes, **keys: object) -> pd.DataFrame:
    (folder / "t.csv").write_bytes(content)
    return load_transactions(folder / "t.csv", Schema.from_dict(KEYS | keys))


@pytest.mark.parametrize(
    ("separator", "name"), [(",", ""), (";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")]
)
def test_the_separator_is_seen_and_said(tmp_path, separator, name):
    small().to_csv(tmp_path / "t.csv", index=False, sep=separator)
    frame = load_transactions(tmp_path / "t.csv", SMALL)
    pd.testing.assert_frame_equal(frame, small().astype({"fraud": np.int8}))
    assert frame.attrs["provenance"]["read_as"] == ((f"Columns are separated by {name}.",) if name else ())


def test_a_separator_that_nobody_guesses_is_said_in_the_schema(tmp_path):
    frame = load(tmp_path, TEXT.replace(",", "~").encode(), separator="~")
    assert frame["c"].tolist() == ["café", "Österreich"]


@pytest.mark.parametrize(
    ("encoding", "word"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("latin-1", "Windows-1252 (Latin-1)"),
        ("cp1252", "Windows-1252"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
    ],
)
def test_the_encoding_is_seen_and_said(tmp_path, encoding, word):
    frame = load(tmp_path, TEXT.encode(encoding))
    assert frame["c"].tolist() == ["café", "Österreich"]
    assert word in " ".join(frame.attrs["provenance"]["read_as"])
    assert bool(word) == bool(frame.attrs["provenance"]["read_as"])


def test_an_encoding_in_the_schema_is_used(tmp_path):
    assert load(tmp_path, TEXT.replace("é", "ł").encode("cp1250"), encoding="cp1250")["c"].tolist()[0] == "cafł"
    with pytest.raises(DataError, match=r"line 2 is not utf-8 .* correct 'encoding'"):
        load(tmp_path, TEXT.encode("latin-1"), encoding="utf-8")


def test_a_byte_that_is_not_utf_8_after_many_that_are_is_found(tmp_path):
    rows = "".join(f"{i},cafe,1.5,{i % 2}\n" for i in range(20_000))
    frame = load(tmp_path, ("t,c,x,y\n" + rows + "20000,café,1,0\n").encode("latin-1"))
    assert frame["c"].iloc[-1] == "café"
    assert "not UTF-8" in " ".join(frame.attrs["provenance"]["read_as"])


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_line_that_only_excel_understands_is_named(tmp_path, mark):
    (tmp_path / "t.csv").write_text(f"{mark}sep=;\nt;a;fraud\n1;2;0\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"the first line, 'sep=;', is for Excel alone; delete it"):
        load_transactions(tmp_path / "t.csv", SMALL)
