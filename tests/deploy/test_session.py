"""Targets, regions and credentials: what is missing is named with where to get it."""

import pytest

from fraud_utils import deploy
from fraud_utils.deploy import DeployError, Place

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-fraud-detect:1"


def test_a_target_is_local_or_aws(tmp_path):
    with pytest.raises(DeployError, match="it is local or aws"):
        deploy.connect("moon", tmp_path)


def test_aws_needs_a_region(tmp_path, monkeypatch):
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(DeployError, match="no AWS region: set"):
        deploy.connect("aws", tmp_path)


def test_aws_needs_credentials(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DeployError, match=r"Unable to locate credentials(.|\n)*aws configure"):
        deploy.connect("aws", tmp_path, "eu-west-1", Place(image=IMAGE))
