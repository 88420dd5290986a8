"""Endpoints that answer in parts, and those that never answer."""

import subprocess

import boto3
import deployments
import numpy as np
import pytest

from fraud_utils import artifact, deploy
from fraud_utils.deploy import DeployError, Serving


def test_a_serverless_endpoint_answers_in_parts_that_it_takes(deployment, trained, split):
    deployment.model_url = trained.model_url
    deployment.serve(Serving(serverless=True, memory_mb=1024))
    config = boto3.client("sagemaker").describe_endpoint_config(EndpointConfigName=deployment.name)
    assert config["ProductionVariants"][0]["ServerlessConfig"]["MemorySizeInMB"] == 1024
    long = split.test.assign(Amount=[f"{amount:.5000f}" for amount in split.test.Amount])
    assert len(long.to_csv(index=False)) > 5_000_000  # more than a serverless endpoint takes at once
    scores = artifact.load(trained.run_folder / "model").score(split.test)
    np.testing.assert_allclose(deployment.endpoint.score(long), scores, atol=1e-9)
    with pytest.raises(DeployError, match="at most 4194304 are taken"):
        deployment.endpoint.score(split.test.head(1).assign(note="x" * 5_000_000))


@pytest.mark.long  # test_replace.py has such a container, too
def test_a_container_that_never_answers_ping_is_reported_with_its_log(trained, tmp_path):
    with (
        deployments.local_sagemaker(tmp_path / "log", "--ping-seconds", "2") as (_, environment),
        deployments.pointed_at(environment),
    ):
        deployment = deploy.connect("local", tmp_path / "mute")
        bucket, model = deployment.site.place.bucket, trained.run_folder / "model.tar.gz"
        boto3.client("s3").upload_file(str(model), bucket, "kept.tar.gz")
        deployment.model_url = f"s3://{bucket}/kept.tar.gz"
        with pytest.raises(DeployError, match=r"endpoint is Failed: .*ping health check"):
            deployment.serve(Serving(environment={"SAGEMAKER_BIND_TO_PORT": "1"}))
        assert deployment.delete()


def test_a_damaged_model_is_not_served_and_its_log_says_why(deployment, trained, tmp_path):
    manifest = (trained.run_folder / "model/manifest.json").read_bytes()
    (tmp_path / "manifest.json").write_bytes(manifest)
    (tmp_path / "model.ubj").write_bytes(b"damaged")
    subprocess.run(["tar", "czf", "bad.tar.gz", "model.ubj", "manifest.json"], cwd=tmp_path, check=True)
    bucket, key = trained.site.place.bucket, f"fraud-detection/{deployment.name}/bad.tar.gz"
    boto3.client("s3").upload_file(str(tmp_path / "bad.tar.gz"), bucket, key)
    deployment.model_url = f"s3://{bucket}/{key}"
    with pytest.raises(DeployError, match=r"endpoint is Failed(.|\n)*SHA-256"):
        deployment.serve()
