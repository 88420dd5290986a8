"""A model registered with what is known of it, and served untrained once somebody has approved it."""

import json
import shutil

import boto3
import deployments
import numpy as np
import papermill
import pytest

from fraud_utils import artifact, deploy, record
from fraud_utils.data import ULB
from fraud_utils.deploy.__main__ import main
from fraud_utils.deploy.place import stem


@pytest.fixture
def origin(server, trained, tmp_path):
    """A deployment whose model notebook 03 would register."""
    folder = deployments.run_folder(tmp_path / "origin", deployments.choice())
    record.add(folder, data=record.Data("small", sha256="a" * 64), split=record.Split(test_rows=1_000, test_frauds=20))
    shutil.copytree(trained.run_folder / "model", folder / "model")
    deployment = deploy.connect("local", folder)
    deployment.model_url = trained.model_url
    yield deployment
    deployment.delete()


def approve(version):
    boto3.client("sagemaker").update_model_package(ModelPackageArn=version, ModelApprovalStatus="Approved")


def test_a_version_says_what_it_is_and_comes_from(origin):
    version = origin.register("known")
    package = boto3.client("sagemaker").describe_model_package(ModelPackageName=version)
    manifest = artifact.load(origin.run_folder / "model").manifest
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["ModelPackageDescription"] == "xgboost, average precision 0.700 on the test set"
    origin_of = package["CustomerMetadataProperties"]
    assert (origin_of["run"], origin_of["data_sha256"]) == ("origin", "a" * 64)
    assert origin_of["training_rows_sha256"] == manifest["training"]["sha256"]
    assert origin_of["model_sha256"] == manifest["model_sha256"]
    assert package["MetadataProperties"]["GeneratedBy"] == "origin"
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    (evaluation,) = card["evaluation_details"]
    assert evaluation["evaluation_observation"].startswith("1000 rows, 20 frauds, scored once")
    (figures,) = (group["metric_data"] for group in evaluation["metric_groups"])
    assert figures == [{"name": "average_precision", "type": "number", "value": 0.7}]
    details = card["additional_information"]["custom_details"]
    assert (details["threshold_f1"], details["tiers_block"]) == ("0.25", "0.5")
    assert details["data_sha256"] == "a" * 64
    bucket, _, key = package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"][5:].partition("/")
    kept = json.loads(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    assert kept["models"][0]["test"]["average_precision"] == 0.7


@pytest.mark.long
def test_only_an_approved_version_is_taken_and_it_is_served_untrained(origin, log, split, table, tmp_path):
    version = origin.register("governed")
    newer = origin.register("governed")
    other = deploy.connect("local", tmp_path / "other")
    for name, message in (
        ("governed:1", "is PendingManualApproval.*update-model-package --model-package-arn arn"),
        (version, "only an approved version is deployed"),
        ("governed", r"no approved version in 'governed'; it has 2 \(Pend.*\) and 1 \(Pend"),
        ("governed:7", "no version 7"),
        ("nobodys", "it has none at all"),
    ):
        with pytest.raises(deploy.DeployError, match=message):
            other.take(name)
        with pytest.raises(deploy.DeployError, match=message):
            deploy.require_version(name, "local")
    with pytest.raises(deploy.DeployError, match=r"call train\(\) first"):
        other.serve()
    approve(version)
    deploy.require_version("governed", "local")
    assert other.take("governed")[0] == deployments.choice()  # the newer one is not approved
    assert other.version == "governed:1"
    assert other.register("governed") == version
    approve(newer)
    assert other.take("governed")[1] == 0.7
    assert other.version == "governed:2"
    assert other.delete()

    log.write_text("")
    run = tmp_path / "run"  # in which notebook 02 has not run
    values = {"run_folder": str(run), "data": str(table), "model_version": "governed:1", "keep_endpoint": True}
    notebook = str(deployments.ROOT / "notebooks/03_deploy.ipynb")
    papermill.execute_notebook(notebook, None, values, kernel_name="python3", progress_bar=False)
    assert record.read(run).endpoint.version == "governed:1"
    called = deployments.actions(log)
    assert {"sagemaker:ListModelPackages", "sagemaker:DescribeModelPackage", "sagemaker:CreateModel"} <= called
    assert "sagemaker:CreateTrainingJob" not in called
    assert called - deployments.ALLOWED == set()

    (endpoint,) = boto3.client("sagemaker").list_endpoints(NameContains=stem("run"))["Endpoints"]
    name = endpoint["EndpointName"]
    container = boto3.client("sagemaker").describe_model(ModelName=name)["PrimaryContainer"]
    assert container["ModelPackageName"] == version
    body, form = split.test.to_csv(index=False), {"ContentType": "text/csv", "Accept": "application/json"}
    answer = boto3.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=body, **form)
    predictions = json.loads(answer["Body"].read())["predictions"]
    model = artifact.load(run / "model")
    scores = model.score(split.test)
    np.testing.assert_allclose([each["score"] for each in predictions], scores, atol=1e-9)
    assert [each["action"] for each in predictions] == model.actions(scores)
    assert {each["action"] for each in predictions} >= {"accept", "review"}
    assert main(["cleanup", "--target", "local", "--run", "run"]) == 0


def test_for_a_version_that_is_served_untrained_only_the_test_rows_are_uploaded(origin, split, tmp_path):
    approve(origin.register("untrained"))
    other = deploy.connect("local", tmp_path / "other")
    other.take("untrained")
    uploaded = other.upload(split, ULB)
    assert list(uploaded) == ["test"]
    assert [url.removeprefix(other.site.url) for url in other.remaining()] == ["/test/test.csv"]
    assert other.delete()


def test_a_version_that_others_registered_is_not_taken(origin, trained):
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="others")
    container = {"Image": "fraud-detect", "ModelDataUrl": trained.model_url}
    specification = {"Containers": [container], "SupportedContentTypes": ["text/csv"]}
    request = {"ModelPackageGroupName": "others", "InferenceSpecification": specification}
    approve(sagemaker.create_model_package(**request)["ModelPackageArn"])
    with pytest.raises(deploy.DeployError, match="has no record of its run"):
        deploy.require_version("others", "local")


def test_a_run_without_a_choice_is_not_registered(trained):
    with pytest.raises(deploy.DeployError, match="no choice is recorded there"):
        trained.register("known")
