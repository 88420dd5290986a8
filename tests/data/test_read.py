"""Reading: every format gives the same frame, and damage is named with place and remedy."""

import dataclasses
import gzip
import hashlib
import zipfile
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from small_tables import SMALL, small, written

from fraud_utils.data import DataError, load_transactions


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.csv.zip", "t.parquet", "T.CSV"])
def test_every_format_gives_the_same_frame(tmp_path, name):
    frame = small()
    loaded = load_transactions(written(tmp_path, frame, name), SMALL)
    pd.testing.assert_frame_equal(loaded, frame.astype({"fraud": np.int8}))
    provenance = loaded.attrs["provenance"]
    assert (provenance["rows"], provenance["frauds"], provenance["simulated"]) == (40, 10, False)
    assert provenance["columns"] == 5


def test_the_checksum_is_that_of_the_uncompressed_csv(tmp_path):
    path = written(tmp_path, small())
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "inside.csv")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    for name in ("table.csv", "t.csv.zip", "t.csv.gz"):
        assert load_transactions(tmp_path / name, SMALL).attrs["provenance"]["sha256"] == expected


def test_exponents_quotes_and_a_byte_order_mark_are_read(tmp_path):
    text = '\ufeff"t","a","b","amount","fraud"\n1e+00,1,2,3,"0"\n2,1.5e-3,2,0,"1"\n'
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    loaded = load_transactions(tmp_path / "t.csv", SMALL)
    assert loaded.to_numpy().tolist() == [[1, 1, 2, 3, 0], [2, 0.0015, 2, 0, 1]]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["empty"]),
        (b"\n\n", ["names no columns"]),
        (b"t,a,a,amount,fraud\n1,2,3,4,0\n", ["'a' appears 2 times"]),
        (b"t,a,b,amount,fraud\n1,2,3,4,0\n2,2,3\n", ["row 2 (line 3)", "has 3 values", "5 columns"]),
        (b"t,a,b,amount,fraud\n1,2,3,4,0\n2,2,3,4,1,9\n", ["row 2", "has 6 values"]),
        (b"t,a,b,amount,fraud\n1,2\n2,2,3,4,1\n3\n4\n", ["row 1 (line 2) (and 2 more rows) has 2 values"]),
        (b"t,a,b,amount,fraud\n1,2,3,4,0\n2,2,0x1F,4,1\n", ["row 2", "'b'", "'0x1F' is not a number"]),
    ],
)
def test_a_broken_csv_is_refused(tmp_path, content, parts):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_transactions(tmp_path / "t.csv", SMALL)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("suffix", ["zip", "gz"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95, 0.999])
def test_an_archive_cut_short_is_refused(tmp_path, suffix, share):
    path = written(tmp_path, small(4000), f"t.csv.{suffix}")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"t\.csv\.\w+: damaged, cut short"):
        load_transactions(path, SMALL)


def test_an_archive_with_a_flipped_bit_is_refused(tmp_path):
    path = written(tmp_path, small(4000), "t.csv.gz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged|not a number|has . values"):
        load_transactions(path, SMALL)


def test_a_zip_of_two_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    with pytest.raises(DataError, match="holds 2 files"):
        load_transactions(tmp_path / "t.csv.zip", SMALL)


def test_parquet_of_other_types_is_converted_or_refused(tmp_path):
    frame = small().astype({"t": "int32", "fraud": bool, "a": "float32"})
    loaded = load_transactions(written(tmp_path, frame, "t.parquet"), SMALL)
    assert loaded["fraud"].tolist() == small()["fraud"].tolist()
    assert loaded["t"].dtype == np.float64
    with pytest.raises(DataError, match=r"row 1, column 'a' \(and 39 more rows\): 'x' is not a number"):
        load_transactions(written(tmp_path, small().assign(a="x"), "u.parquet"), SMALL)
    (tmp_path / "v.parquet").write_bytes(b"PAR1 no parquet")
    with pytest.raises(DataError, match="not readable as parquet"):
        load_transactions(tmp_path / "v.parquet", SMALL)


def test_an_unknown_format_is_refused_with_those_that_are_known(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"unknown format; expected one of \.csv"):
        load_transactions(tmp_path / "t.xlsx", SMALL)


def test_whole_numbers_that_are_names_read_alike_from_both_formats(tmp_path):
    frame = small().assign(shop=np.arange(40) % 3 + 100)
    schema = dataclasses.replace(SMALL, categorical=("shop",))
    shops = [load_transactions(written(tmp_path, frame, name), schema)["shop"] for name in ("t.csv", "t.parquet")]
    assert shops[0].astype(str).tolist() == shops[1].astype(str).tolist() == [str(100 + i % 3) for i in range(40)]


def test_numbers_that_are_names_are_their_digits_though_a_gap_made_them_floats(tmp_path):
    card = 4_532_015_112_830_000 + np.arange(40) % 7
    frame = small().assign(shop=card.astype(float))
    frame.loc[3, "shop"] = np.nan
    schema = dataclasses.replace(SMALL, categorical=("shop",))
    shops = load_transactions(written(tmp_path, frame, "t.parquet"), schema)["shop"].astype(object)
    assert shops[3] is None or pd.isna(shops[3])
    assert shops.drop(3).tolist() == np.delete(card.astype(str), 3).tolist()
    decimals = frame.assign(shop=frame["shop"].fillna(0).astype(int).map(Decimal))
    read = load_transactions(written(tmp_path, decimals, "u.parquet"), schema)["shop"]
    assert read.drop(3).tolist() == np.delete(card.astype(str), 3).tolist()


def test_whole_numbers_in_floats_read_as_the_same_names_and_nan_as_none(tmp_path):
    shop = pa.array([4_532_012_345_678_901.0, 7.5, float("nan"), None] * 10)
    table = pa.Table.from_pandas(small()).append_column("shop", shop)
    parquet.write_table(table, tmp_path / "t.parquet")
    loaded = load_transactions(tmp_path / "t.parquet", dataclasses.replace(SMALL, categorical=("shop",)))["shop"]
    assert loaded.cat.categories.tolist() == ["4532012345678901", "7.5"] and loaded.isna().sum() == 20


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_text_is_text_however_parquet_keeps_it(tmp_path, kind):
    shop = pa.array(["x", "NA", "", "y"] * 10).cast(kind)
    parquet.write_table(pa.Table.from_pandas(small()).append_column("shop", shop), tmp_path / "t.parquet")
    loaded = load_transactions(tmp_path / "t.parquet", dataclasses.replace(SMALL, categorical=("shop",)))["shop"]
    assert loaded.cat.categories.tolist() == ["x", "y"] and loaded.isna().sum() == 20
