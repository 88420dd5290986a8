"""Channels: every way to lay out the same rows gives the same rows, and what cannot be used is named."""

import gzip

import numpy as np
import pandas as pd
import pytest

from fraud_utils.data import ULB, DataError, Schema, split_transactions
from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.training.channels import read_channel
from fraud_utils.training.hyperparameters import Hyperparameters, SetupError
from fraud_utils.training.material import read_material


@pytest.fixture(scope="module")
def frame():
    return simulate_transactions(1_200, fraud_rate=0.02, seed=5)


def asked(**given):
    return Hyperparameters(booster={}, thresholds={"f1": 0.5}, decides="f1", **given)


def without_header(frame):
    """The lines of a CSV as SageMaker's own XGBoost expects it: the label first, no header."""
    text = frame[["Class", *(name for name in ULB.columns if name != "Class")]].to_csv(index=False, header=False)
    return text.encode().splitlines(keepends=True)


def test_files_with_and_without_a_header_hold_the_same_rows(frame, job, tmp_path):
    lines = without_header(frame)
    folder = tmp_path / "input" / "data" / "train"
    job(
        tmp_path,
        {},
        train={
            "a.csv": b"\xef\xbb\xbf" + b"".join(lines[:400]),
            "b.csv.gz": gzip.compress(b"".join(lines[400:800])),
            "c.csv": frame[800:1000],
            "d.parquet": frame[1000:],
            ".DS_Store": b"x",
            "_SUCCESS": b"",
        },
    )
    rows, _ = read_channel(folder, ULB)
    pd.testing.assert_frame_equal(rows, frame)


def test_rows_of_several_files_come_in_order_of_time(frame, job, tmp_path):
    job(tmp_path, {}, train={"a_late.csv": frame[600:], "b_early.csv": frame[:600]})
    rows, _ = read_channel(tmp_path / "input" / "data" / "train", ULB)
    assert rows.Time.is_monotonic_increasing
    assert len(rows) == len(frame)


def test_of_many_parts_some_may_lack_frauds_or_rows(frame, job, tmp_path, capsys):
    """As Spark exports: 24 frauds in 60 parts, and parts and markers that hold nothing."""
    parts = {f"part-{i:05}.csv": frame[i * 20 : (i + 1) * 20] for i in range(60)}
    assert sum(part.Class.sum() == 0 for part in parts.values()) > 10
    header = ",".join(frame.columns).encode()
    nothing = {
        "part-90000.csv": b"",
        "part-90001.csv": header,
        "part-90002.csv": header + b"\r\n",
        "part-90003.csv.gz": gzip.compress(b""),
        "part-90004.parquet": frame[:0],
        "train_$folder$": b"",
    }
    job(tmp_path, {}, train=parts | nothing | {"_SUCCESS": b""}, validation={"b.csv": frame})
    material = read_material(tmp_path / "input", asked())
    np.testing.assert_array_equal(material.train.X, material.validation.X)
    np.testing.assert_array_equal(material.train.y, frame.Class)
    assert (
        "channel 'train': passed over 6 of 66 files, without a row: train/part-90000.csv, " in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.csv": "legitimate", "b.csv": "legitimate"},
            "'train': column 'Class': all 22 rows are legitimate; .* both",
        ),
        ({"a.csv": "fraud"}, "channel 'train': column 'Class': all 2 rows are fraud; learning needs both classes"),
        ({"a.csv": b"", "train_$folder$": b""}, "channel 'train': its files hold no rows"),
        (
            {"a.csv": "legitimate", "b.csv": "strange"},
            r"train/b.csv: row 2 .*, column 'Class': '2' is neither 0 nor 1",
        ),
    ],
)
def test_labels_are_judged_over_the_whole_channel(job, tmp_path, files, message):
    rows = pd.DataFrame(0.0, index=range(11), columns=ULB.columns)
    kinds = {
        "legitimate": rows,
        "fraud": rows.head(2).assign(Class=1),
        "strange": rows.head(2).assign(Class=[1, 2]),
    }
    job(tmp_path, {}, train={name: kinds.get(kind, kind) for name, kind in files.items()})
    with pytest.raises((SetupError, DataError), match=message):
        read_channel(tmp_path / "input" / "data" / "train", ULB)


@pytest.mark.parametrize("media", ["text/csv", "csv", "text/csv; label_size=1; charset=utf-8", "application/x-parquet"])
def test_a_file_without_an_extension_is_what_its_channel_says(frame, job, tmp_path, media):
    frame.to_parquet(tmp_path / "rows", index=False)
    content = (tmp_path / "rows").read_bytes() if "parquet" in media else b"".join(without_header(frame))
    laid_out = job(tmp_path, {}, train={"part-00000": content, "data.csv": frame}, content_types={"train": media})
    material = read_material(laid_out.base / "input", asked())
    assert len(material.train.y) == 2 * len(frame)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "train/part-0: has no extension; name it .csv or .* or set the channel's ContentType to text/csv"),
        (
            {"ContentType": "text/libsvm"},
            "'train' has the ContentType 'text/libsvm'; set text/csv or application/x-par",
        ),
        ({"ContentType": "text/csv;label_size=5"}, "'train' has label_size=5 in its ContentType; rows have one label"),
        ({"TrainingInputMode": "Pipe"}, "'train' comes through a pipe; set its input mode to File or FastFile"),
    ],
)
def test_a_channel_that_cannot_be_read_says_what_to_set(job, tmp_path, settings, message):
    job(tmp_path, {}, train={"part-0": b"0,1\n"})
    with pytest.raises((SetupError, DataError), match=message):
        read_channel(tmp_path / "input" / "data" / "train", ULB, settings)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"rows.xlsx": b"x"}, "train/rows.xlsx: unknown format; expected one of .csv"),
        ({"rows.csv": b"1,2,3\n"}, "train/rows.csv: no header and 3 columns, but schema 'ULB creditcard.csv' has 31"),
        ({"rows.csv": b"Time,V1,Klass\n0,1,0\n"}, "'V2' is missing .* describe the columns in the job's schema"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_as_the_user_knows_it(job, tmp_path, files, message):
    job(tmp_path, {}, train=files)
    with pytest.raises(DataError, match=message):
        read_channel(tmp_path / "input" / "data" / "train", ULB)


def test_an_archive_without_a_header_that_is_cut_short_is_named(frame, job, tmp_path):
    whole = gzip.compress(b"".join(without_header(frame)))
    job(tmp_path, {}, train={"rows.csv.gz": whole[: len(whole) // 2]})
    with pytest.raises(DataError, match=r"train/rows.csv.gz: damaged, cut short"):
        read_channel(tmp_path / "input" / "data" / "train", ULB)


def test_a_wrong_value_in_a_file_without_a_header_is_named_by_its_line(frame, job, tmp_path):
    lines = without_header(frame[:50])
    job(tmp_path, {}, train={"rows.csv": b"".join([*lines, b"1,x" + b",0" * 29 + b"\n"])})
    with pytest.raises(DataError, match=r"train/rows.csv: row 51 \(line 51\), column 'Time': 'x' is not a number"):
        read_channel(tmp_path / "input" / "data" / "train", ULB)


def test_a_part_of_the_reference_set_may_have_its_name(frame, job, tmp_path):
    job(tmp_path, {}, train={"creditcard.csv": frame})
    rows, _ = read_channel(tmp_path / "input" / "data" / "train", ULB)
    assert len(rows) == len(frame)


def test_early_stopping_watches_the_last_rows_by_time(frame, job, tmp_path):
    job(tmp_path, {}, train={"rows.parquet": frame})
    material = read_material(tmp_path / "input", asked(early_stopping_rounds=5))
    split = split_transactions(frame, ULB)
    assert (len(material.train.y), len(material.validation.y)) == (split.train_rows, split.test_rows)
    assert material.origin["validation"] == "last 20% by time"


def test_a_validation_channel_is_watched_instead(frame, job, tmp_path):
    job(tmp_path, {}, train={"a.parquet": frame[:900]}, validation={"b.parquet": frame[900:]})
    material = read_material(tmp_path / "input", asked(early_stopping_rounds=5))
    assert (len(material.train.y), len(material.validation.y)) == (900, 300)


def test_a_channel_that_is_not_read_is_named(frame, job, tmp_path, capsys):
    job(tmp_path, {}, train={"a.parquet": frame}, test={"b.parquet": frame}, code={"x": b"x"})
    read_material(tmp_path / "input", asked())
    assert "channels that are not read: code, test (known: train, validation, schema)" in capsys.readouterr().out


def test_another_schema_brings_categories_and_missing_values(job, tmp_path):
    shop = Schema(name="shop", label="fraud", time="t", amount=None, features=("a",), categorical=("kind",))
    rows = pd.DataFrame({"t": range(40), "a": [np.nan, 1.0] * 20, "kind": ["x", "y"] * 20, "fraud": [0, 0, 0, 1] * 10})
    job(tmp_path, {}, train={"rows.csv": rows})
    material = read_material(tmp_path / "input", asked(schema=shop))
    assert material.features.names == ("a", "kind=x", "kind=y")
    assert material.may_be_missing == ["a"]


def test_history_is_that_of_all_files_of_the_channel_and_not_of_two_channels(job, tmp_path):
    shop = Schema.from_dict(
        {
            "name": "shop",
            "label": "fraud",
            "time": "t",
            "amount": None,
            "features": [],
            "entity": "card",
            "history": [{"by": "card", "days": [1], "of": ["count"]}],
        }
    )
    rows = pd.DataFrame({"t": range(40), "card": ["x", "y"] * 20, "fraud": [0, 0, 0, 1] * 10})
    job(tmp_path / "one", {}, train={"a.csv": rows[1::3], "b.csv": rows[0::3], "c.csv": rows[2::3]})
    material = read_material(tmp_path / "one" / "input", asked(schema=shop))
    assert material.features.names == ("card_count_1d",)
    assert material.train.X[:, 0].tolist() == [1 + second // 2 for second in range(40)]
    job(tmp_path / "two", {}, train={"a.csv": rows[:30]}, validation={"b.csv": rows[30:]})
    with pytest.raises(SetupError, match="'validation': 'card_count_1d' of its rows needs those of channel 'train'"):
        read_material(tmp_path / "two" / "input", asked(schema=shop))


def test_rows_that_are_alike_in_every_column_are_the_tables_fault(job, tmp_path):
    shop = Schema(name="shop", label="fraud", time="t", amount=None, features=("a",))
    job(tmp_path, {}, train={"rows.csv": pd.DataFrame({"t": range(40), "a": 1.0, "fraud": [0, 0, 0, 1] * 10})})
    with pytest.raises(DataError, match="channel 'train': no column to learn from: in all training rows 'a'"):
        read_material(tmp_path / "input", asked(schema=shop))


def test_rows_may_have_weights_after_the_label_or_by_name(frame, job, tmp_path):
    weight = np.arange(len(frame)) % 3.0
    columns = ["Class", "csv_weights", *(name for name in ULB.columns if name != "Class")]
    rows = frame.assign(csv_weights=weight)
    bare = rows[columns].to_csv(index=False, header=False).encode()
    job(tmp_path, {}, train={"a.csv": bare}, validation={"b.parquet": rows})
    material = read_material(tmp_path / "input", asked(csv_weights=True))
    for part in (material.train, material.validation):
        np.testing.assert_array_equal(part.weight, weight)
        assert part.X.shape[1] == 29
    with pytest.raises(SetupError, match="'imbalance' is 'undersample 1:10', which draws or makes rows that have no w"):
        read_material(tmp_path / "input", asked(csv_weights=True, imbalance="undersample 1:10"))


@pytest.mark.parametrize(
    ("weight", "message"),
    [(None, "column 'csv_weights' is missing"), (-2.0, "channel 'train': row 1 by time: its weight is -2; it must be")],
)
def test_weights_that_are_missing_or_negative_are_refused(frame, job, tmp_path, weight, message):
    rows = frame if weight is None else frame.assign(csv_weights=weight)
    job(tmp_path, {}, train={"a.csv": rows})
    with pytest.raises((SetupError, DataError), match=message):
        read_material(tmp_path / "input", asked(csv_weights=True))


@pytest.mark.parametrize("imbalance", ["SMOTE", "SMOTE 1:10", "Borderline-SMOTE 1:10"])
def test_every_smote_is_refused_where_values_are_missing(tmp_path, frame, job, imbalance):
    holes = frame.copy()
    holes.loc[holes.index[::50], "V3"] = np.nan
    job(tmp_path, {}, train={"rows.parquet": holes})
    with pytest.raises(SetupError, match=f"'imbalance' is '{imbalance}', but column 'V3' has missing values"):
        read_material(tmp_path / "input", asked(imbalance=imbalance))
