"""A deployment against SageMaker on this machine, which runs the container's programs."""

import json

import boto3
import deployments
import numpy as np
import psutil
import pytest

from fraud_utils import artifact, deploy
from fraud_utils.data import ULB
from fraud_utils.deploy import DeployError, Deployment, trial
from fraud_utils.project import OWN_REQUESTS


def test_a_choice_becomes_a_model_an_endpoint_a_batch_of_scores_and_then_nothing(server, log, split, tmp_path):
    """And asks for nothing that the policy does not allow, which the whole notebook is held to in test_policy."""
    log.write_text("")
    deployment = deploy.connect("local", tmp_path / "whole-way")
    assert "SageMaker on this machine, `train` and `serve` as processes" in deployment.describe()
    uploaded = deployment.upload(split, ULB)
    metrics = deployment.train(deployments.choice(), uploaded)
    folder = tmp_path / "whole-way"
    model = artifact.load(folder / "model")
    assert model.manifest["thresholds"] == {"f1": 0.25}
    assert model.manifest["training"]["rows"] == split.train_rows
    assert model.manifest["hyperparameters"]["num_round"] == 20
    artifact.unpack(folder / "model.tar.gz", folder / "unpacked")
    assert {path.name for path in (folder / "unpacked").iterdir()} == {"model.ubj", "manifest.json"}
    assert metrics.value["round"] == 20
    judged = model.manifest["metrics"]["validation_average_precision"]
    assert metrics.value["validation_average_precision"] == pytest.approx(judged, abs=1e-6)

    deployment.serve()
    np.testing.assert_allclose(deployment.endpoint.score(split.test), model.score(split.test), atol=1e-9)
    bucket, _, key = uploaded["test"].removeprefix("s3://").partition("/")
    few = split.test[:10].drop(columns="Class").to_csv(index=False, header=False).encode()
    boto3.client("s3").put_object(Bucket=bucket, Key=f"{key}test.csv+", Body=few)  # whose answers are listed first
    scores = model.score(split.test)
    np.testing.assert_allclose(deployment.transform(uploaded["test"]), [*scores, *scores[:10]], atol=1e-9)
    latency = deployment.endpoint.latency_ms(split.test, count=20)
    assert 0 < latency["p50"] <= latency["p99"]
    with pytest.raises(DeployError, match=r"answered 400: .*V7"):
        deployment.endpoint.score(split.test.drop(columns="V7"))
    called = deployments.actions(log)
    assert {"sagemaker:CreateTrainingJob", "sagemaker:CreateEndpoint", "sagemaker:InvokeEndpoint"} <= called
    assert called - deployments.ALLOWED == set()
    bucket = f"s3://{deployment.site.place.bucket}/"
    assert {each.removeprefix(bucket) for each in deployment.remaining()} == set(deployments.left("whole-way"))
    assert {each.split()[0] for each in deployment.remaining()} >= {"Endpoint", "EndpointConfig", "Model"}
    assert "serve.py" in deployments.programs(server)

    assert deployment.delete()
    assert deployments.left("whole-way") == []
    assert deployments.programs(server) == []


@pytest.mark.long
def test_options_of_training_and_of_the_endpoint(server, split, tmp_path):
    deployment = deploy.connect("local", deployments.run_folder(tmp_path / "options", deployments.choice()))
    uploaded = deployment.upload(split, ULB)
    deployment.train(deployments.choice(num_round=2), uploaded, deploy.Training(spot=True, count=2))
    sagemaker, scaling, s3 = (boto3.client(name) for name in ("sagemaker", "application-autoscaling", "s3"))
    job = sagemaker.describe_training_job(TrainingJobName=deployment.name)
    assert job["EnableManagedSpotTraining"]
    assert job["ResourceConfig"]["InstanceCount"] == 2
    assert job["StoppingCondition"]["MaxWaitTimeInSeconds"] > job["StoppingCondition"]["MaxRuntimeInSeconds"]
    deployment.serve(deploy.Serving(count=2, capture=True))
    deployment.endpoint.autoscale(4)
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    version = deployment.register("fraud")
    deployment.endpoint.score(split.test)
    deployment.endpoint.latency_ms(split.test, 2)
    trial.Client(deployment.site).ask(split.test, 2)

    assert deployment.delete()
    assert not scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    package = sagemaker.describe_model_package(ModelPackageName=version)
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    url = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    bucket, _, key = url.removeprefix("s3://").partition("/")
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] > 1000  # it outlives the deployment
    captured = s3.list_objects_v2(Bucket=bucket, Prefix=f"fraud-detection/captured/{deployment.name}")["Contents"]
    bodies = [s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in captured]
    lines = [json.loads(line) for body in bodies for line in body.splitlines()]
    assert len(lines) == 6
    ids = {line["eventMetadata"].get("inferenceId", "") for line in lines}
    assert len(ids) == 6 and all(name.startswith(OWN_REQUESTS) for name in ids)  # none is a customer's
    asked = [line["captureData"]["endpointInput"] for line in lines]
    assert all((each["observedContentType"], each["encoding"]) == ("text/csv", "CSV") for each in asked)
    assert split.test.to_csv(index=False) in [each["data"] for each in asked]  # readable as it is, not in base64


def test_a_verb_called_too_early_says_which_one_comes_first(deployment, split):
    for verb in (deployment.serve, lambda: deployment.register("fraud"), lambda: deployment.endpoint):
        with pytest.raises(DeployError, match=r"call train\(\) first"):
            verb()
    deployment.model_url = "s3://bucket/model.tar.gz"
    for verb in (lambda: deployment.endpoint.score(split.test), lambda: deployment.transform("s3://bucket/test/")):
        with pytest.raises(DeployError, match=r"call serve\(\) first"):
            verb()


def test_making_a_deployment_starts_and_writes_nothing(deployment, tmp_path):
    before = {child.pid for child in psutil.Process().children()}
    made = Deployment(deployment.site, tmp_path / "another")
    assert {child.pid for child in psutil.Process().children()} == before
    assert not (tmp_path / "another").exists()
    assert made.remaining() == []
