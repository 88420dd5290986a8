"""What a deployment puts into S3."""

import io

import boto3
import numpy as np
import pandas as pd

from fraud_utils.data import Schema, load_transactions, split_transactions


def objects(url: str) -> dict[str, bytes]:
    """What lies under an address, by what comes after it."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    s3 = boto3.client("s3")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]
    return {key.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def test_many_test_rows_are_uploaded_in_objects_that_instances_can_share(deployment):
    rows = 130_000
    table = pd.DataFrame({"seconds": np.arange(rows), "V1": np.arange(rows) / 7, "fraud": np.arange(rows) % 2})
    schema = Schema.from_dict({"label": "fraud", "time": "seconds", "features": ["V1"], "name": "two", "amount": None})
    split = split_transactions(table, schema, test_share=0.8)
    parts = objects(deployment.upload(split, schema)["test"])
    assert list(parts) == ["part-00000.csv", "part-00001.csv"]
    assert parts["part-00000.csv"].count(b"\n") == 100_000
    assert b"".join(parts.values()).decode() == split.test[["seconds", "V1"]].to_csv(index=False, header=False)


def test_jobs_learn_from_all_rows_where_the_notebooks_have_a_sample(deployment, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)  # where all rows are kept
    rows = 4_000
    table = pd.DataFrame({"seconds": np.arange(rows), "V1": np.arange(rows) / 7, "fraud": np.arange(rows) % 50 == 3})
    for number in range(2):
        table[number::2].to_parquet(tmp_path / f"{number}.parquet", index=False)
    schema = Schema.from_dict({"label": "fraud", "time": "seconds", "features": ["V1"], "name": "two", "amount": None})
    split = split_transactions(load_transactions(tmp_path, schema, 7, 500), schema)
    uploaded = deployment.upload(split, schema)
    cut = int(split.test_from)
    for folder, whole in (("train", table[:cut]), ("validation", table[cut:])):
        parts = [pd.read_parquet(io.BytesIO(content)) for content in objects(uploaded[folder]).values()]
        assert len(parts) == 2
        found = pd.concat(parts).sort_values("seconds")
        assert np.array_equal(found[["seconds", "V1", "fraud"]].to_numpy(float), whole.to_numpy(float))
    assert len(split.test) < len(table[cut:]) / 4
    (test,) = objects(uploaded["test"]).values()
    assert test.count(b"\n") == len(split.test)
