"""What a deployment puts into S3."""

import boto3
import numpy as np
import pandas as pd

from fraud_utils.data import Schema, split_transactions


def test_many_test_rows_are_uploaded_in_objects_that_instances_can_share(deployment):
    rows = 130_000
    table = pd.DataFrame({"seconds": np.arange(rows), "V1": np.arange(rows) / 7, "fraud": np.arange(rows) % 2})
    schema = Schema.from_dict({"label": "fraud", "time": "seconds", "features": ["V1"], "name": "two", "amount": None})
    split = split_transactions(table, schema, test_share=0.8)
    bucket, _, prefix = deployment.upload(split, schema)["test"].removeprefix("s3://").partition("/")
    s3 = boto3.client("s3")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]
    assert [key.removeprefix(prefix) for key in keys] == ["part-00000.csv", "part-00001.csv"]
    parts = [s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys]
    assert parts[0].count("\n") == 100_000
    assert "".join(parts) == split.test[["seconds", "V1"]].to_csv(index=False, header=False)
