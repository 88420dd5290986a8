"""Channels: every way to lay out the same rows gives the same rows, and what cannot be used is named."""

import gzip

import numpy as np
import pandas as pd
import pytest

from fraud_utils.data import ULB, DataError, Schema, split_transactions
from fraud_utils.training.channels import read_channel, read_material
from fraud_utils.training.hyperparameters import Hyperparameters, SetupError


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
            "a.csv": b"\xef\xbb\xbf" + b"".join(lines[:4000]),
            "b.csv.gz": gzip.compress(b"".join(lines[4000:8000])),
            "c.csv": frame[8000:10000],
            "d.parquet": frame[10000:],
            ".DS_Store": b"x",
            "_SUCCESS": b"",
        },
    )
    rows, _ = read_channel(folder, ULB)
    pd.testing.assert_frame_equal(rows, frame)


def test_rows_of_several_files_come_in_order_of_time(frame, job, tmp_path):
    job(tmp_path, {}, train={"a_late.csv": frame[6000:], "b_early.csv": frame[:6000]})
    rows, _ = read_channel(tmp_path / "input" / "data" / "train", ULB)
    assert rows.Time.is_monotonic_increasing
    assert len(rows) == len(frame)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"rows.xlsx": b"x"}, "train/rows.xlsx: unknown format; expected one of .csv"),
        ({"rows.csv": b"1,2,3\n"}, "train/rows.csv: no header and 3 columns, but schema 'ULB creditcard.csv' has 31"),
        ({"rows.csv": b"Time,V1,Klass\n0,1,0\n"}, "'V2' is missing .* describe the columns in the hyperparameter"),
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
    material = read_material(tmp_path / "input" / "data", asked(early_stopping_rounds=5))
    split = split_transactions(frame, ULB)
    assert (len(material.train.y), len(material.validation.y)) == (split.train_rows, split.test_rows)
    assert material.origin["validation"] == "last 20% by time"


def test_a_validation_channel_is_watched_instead(frame, job, tmp_path):
    job(tmp_path, {}, train={"a.parquet": frame[:9000]}, validation={"b.parquet": frame[9000:]})
    material = read_material(tmp_path / "input" / "data", asked(early_stopping_rounds=5))
    assert (len(material.train.y), len(material.validation.y)) == (9000, 3000)


def test_another_schema_brings_categories_and_missing_values(job, tmp_path):
    shop = Schema(name="shop", label="fraud", time="t", amount=None, features=("a",), categorical=("kind",))
    rows = pd.DataFrame({"t": range(40), "a": [np.nan, 1.0] * 20, "kind": ["x", "y"] * 20, "fraud": [0, 0, 0, 1] * 10})
    job(tmp_path, {}, train={"rows.csv": rows})
    material = read_material(tmp_path / "input" / "data", asked(schema=shop))
    assert material.features.names == ("a", "kind=x", "kind=y")
    assert material.may_be_missing == ["a"]


@pytest.mark.parametrize("imbalance", ["SMOTE", "SMOTE 1:10", "Borderline-SMOTE 1:10"])
def test_every_smote_is_refused_where_values_are_missing(tmp_path, frame, job, imbalance):
    holes = frame.copy()
    holes.loc[holes.index[::50], "V3"] = np.nan
    job(tmp_path, {}, train={"rows.parquet": holes})
    with pytest.raises(SetupError, match=f"'imbalance' is '{imbalance}', but column 'V3' has missing values"):
        read_material(tmp_path / "input" / "data", asked(imbalance=imbalance))
