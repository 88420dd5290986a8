"""Where captures lie in S3: an address names one endpoint's folder, or one file."""

import boto3
import deployments
import pytest

from fraud_utils.data import DataError
from fraud_utils.monitor.sources import lines_of

KEYS = [f"cap/{name}/AllTraffic/2026/01/05/10/x.jsonl" for name in ("first", "first-2")]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    with (
        deployments.local_sagemaker(tmp_path_factory.mktemp("server") / "log") as (_, environment),
        deployments.pointed_at(environment),
    ):
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="captures")
        for key in KEYS:
            s3.put_object(Bucket="captures", Key=key, Body=f"{key}\n".encode())
        yield "s3://captures"


@pytest.mark.parametrize("place", ["cap/first", "cap/first/", "cap/first/AllTraffic/2026", KEYS[0]])
def test_an_address_is_a_folder_or_a_file_and_none_that_begins_alike(bucket, place):
    assert list(lines_of(f"{bucket}/{place}")) == [KEYS[0].encode()]


@pytest.mark.parametrize("place", ["", "/", "/cap"])
def test_several_endpoints_are_told_apart_by_name(bucket, place):
    with pytest.raises(DataError, match=r"2 endpoints or variants \(.*first-2/AllTraffic, .*first/AllTraffic\)"):
        list(lines_of(f"{bucket}{place}"))


def test_an_address_with_nothing_in_it_is_said(bucket):
    with pytest.raises(DataError, match=r"captures/cap/fir: no \.jsonl file is there"):
        list(lines_of(f"{bucket}/cap/fir"))
