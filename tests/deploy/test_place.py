"""Role, bucket, image and names: what is missing is said before anything is made."""

import json
import re

import boto3
import botocore.session
import deployments
import pytest

from fraud_utils import deploy
from fraud_utils.deploy import DeployError, Place
from fraud_utils.deploy.place import stem

IMAGE = "123456789012.dkr.ecr.{}.amazonaws.com/sagemaker-fraud-detect:1"


def test_an_image_that_is_not_there_is_refused_before_anything_is_uploaded(server, tmp_path):
    with pytest.raises(DeployError, match=r"not in the registry; push it with 'make push'"):
        deploy.connect("local", tmp_path / "no-image", place=Place(image=IMAGE.format("us-east-1")))
    assert deployments.left("no-image") == []
    with pytest.raises(DeployError, match="not in ECR: it must be ACCOUNT"):
        deploy.connect("aws", tmp_path, place=Place(image="fraud-detect"))


def test_a_role_is_asked_for_and_the_usual_bucket_is_made(server, tmp_path):
    image = IMAGE.format("eu-west-1")
    ecr = boto3.client("ecr", "eu-west-1")
    ecr.create_repository(repositoryName="sagemaker-fraud-detect")
    media = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": media, "layers": []})
    ecr.put_image(repositoryName="sagemaker-fraud-detect", imageManifest=manifest, imageTag="1")
    with pytest.raises(DeployError, match="no role: outside of a notebook instance"):
        deploy.connect("aws", tmp_path, "eu-west-1", Place(image=image))
    role = "arn:aws:iam::123456789012:role/mine"
    deployment = deploy.connect("aws", tmp_path, "eu-west-1", Place(role=role, image=image))
    assert deployment.delete()
    bucket = boto3.client("s3", "eu-west-1").get_bucket_location(Bucket="sagemaker-eu-west-1-123456789012")
    assert bucket["LocationConstraint"] == "eu-west-1"


@pytest.mark.parametrize("run", ["lab", "20261124-091500-ab12", "a.b_c", "_", "x" * 100, "-" * 9 + "é"])
def test_names_are_valid_on_aws(run):
    shape = botocore.session.get_session().get_service_model("sagemaker").shape_for("TrainingJobName")
    name = f"{stem(run)}-1124094810-d330"
    assert re.fullmatch(shape.metadata["pattern"], name)
    assert len(name) <= shape.metadata["max"]


def test_names_differ_by_run_where_only_a_sign_differs():
    assert stem("a.b") != stem("a_b")
