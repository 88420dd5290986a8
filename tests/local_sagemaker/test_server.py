"""SageMaker on this machine, used as anybody would: with boto3 and with the plain AWS command line."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
import numpy as np
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from fraud_utils import artifact
from fraud_utils.data import ULB, split_by_time
from fraud_utils.data.simulate import simulate_transactions

SETTINGS = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret"}
ROLE = "arn:aws:iam::123456789012:role/mine"
BUCKET = "mine"


def start(log, *arguments):
    """A server of its own, and its address."""
    with log.open("w") as stream:
        command = [sys.executable, "-m", "fraud_utils.local_sagemaker", *arguments]
        process = psutil.Popen(command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
    while not (printed := log.read_text().splitlines()[:1]):
        assert process.poll() is None
        time.sleep(0.05)
    return process, printed[0]


@pytest.fixture(scope="module")
def split():
    return split_by_time(simulate_transactions(5_000, fraud_rate=0.02, seed=1), ULB)


def fill(address, split):
    s3 = client(address, "s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="train/rows.csv", Body=split.train.to_csv(index=False).encode())
    features = split.test.drop(columns="Class")
    s3.put_object(Bucket=BUCKET, Key="test/rows.csv", Body=features.to_csv(index=False, header=False).encode())


@pytest.fixture(scope="module")
def server(tmp_path_factory, split):
    process, address = start(tmp_path_factory.mktemp("server") / "log", "--ping-seconds", "20")
    fill(address, split)
    yield process, address
    process.terminate()
    assert process.wait(30) == 0


def client(address, service):
    config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
    keys = {"aws_access_key_id": "me", "aws_secret_access_key": "secret"}
    return boto3.client(service, "us-east-1", endpoint_url=address, config=config, **keys)


def job(name, rounds=20, **more):
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/train/"}}
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": "fraud-detect",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "round", "Regex": r"round:(\d+);"}],
        },
        "HyperParameters": {"num_round": str(rounds)},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": source}],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/jobs"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    } | more


def wait(condition, seconds=60):
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
    return value


def finished(sagemaker, name):
    def ended():
        described = sagemaker.describe_training_job(TrainingJobName=name)
        return described if described["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return wait(ended)


def log_of(address, name):
    logs = client(address, "logs")
    (stream,) = logs.describe_log_streams(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/")[
        "logStreams"
    ]
    events = logs.get_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    return [event["message"] for event in events]


def trainers(process):
    return [
        each for each in process.children(recursive=True) if each.cmdline()[1:2] and "train.py" in each.cmdline()[1]
    ]


@pytest.fixture(scope="module")
def trained(server):
    """A finished job, described."""
    sagemaker = client(server[1], "sagemaker")
    sagemaker.create_training_job(**job("plain"))
    return finished(sagemaker, "plain")


def test_the_plain_aws_command_line_sees_the_job_invokes_the_endpoint_and_sees_it_gone(
    server, trained, split, tmp_path
):
    def aws(*words, refused=False):
        command = [str(Path(sys.executable).with_name("aws")), *words]
        environment = os.environ | SETTINGS | {"AWS_ENDPOINT_URL": server[1], "AWS_PAGER": ""}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert bool(done.returncode) == refused, done.stderr
        return json.loads(done.stdout) if done.stdout.startswith("{") else done.stderr

    described = aws("sagemaker", "describe-training-job", "--training-job-name", "plain")
    assert described["TrainingJobStatus"] == "Completed"
    steps = [step["Status"] for step in described["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert described["FinalMetricDataList"][0]["Value"] == 20
    url = described["ModelArtifacts"]["S3ModelArtifacts"]
    container = json.dumps({"Image": "fraud-detect", "ModelDataUrl": url})
    aws(
        *("sagemaker", "create-model", "--model-name", "m", "--execution-role-arn", ROLE),
        *("--primary-container", container),
    )
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    aws(
        *("sagemaker", "create-endpoint-config", "--endpoint-config-name", "c"),
        *("--production-variants", json.dumps([variant])),
    )
    aws("sagemaker", "create-endpoint", "--endpoint-name", "e", "--endpoint-config-name", "c")
    aws("sagemaker", "wait", "endpoint-in-service", "--endpoint-name", "e")
    row = tmp_path / "row.csv"
    split.test.head(1).to_csv(row, index=False)
    invoke = ["sagemaker-runtime", "invoke-endpoint", "--endpoint-name", "e", "--content-type", "text/csv"]
    answer = aws(*invoke, "--body", f"fileb://{row}", str(tmp_path / "answer"))
    assert answer["InvokedProductionVariant"] == "v"
    client(server[1], "s3").download_file(BUCKET, url.split("/", 3)[3], str(tmp_path / "model.tar.gz"))
    artifact.unpack(tmp_path / "model.tar.gz", tmp_path / "model")
    expected = artifact.load(tmp_path / "model").score(split.test.head(1))[0]
    assert float((tmp_path / "answer").read_text()) == pytest.approx(expected, abs=1e-9)
    aws("sagemaker", "delete-endpoint", "--endpoint-name", "e")
    aws("sagemaker", "wait", "endpoint-deleted", "--endpoint-name", "e")
    gone = aws("sagemaker", "describe-endpoint", "--endpoint-name", "e", refused=True)
    assert "Could not find endpoint" in gone
    assert "not found" in aws(*invoke, "--body", f"fileb://{row}", str(tmp_path / "answer"), refused=True)
    assert not [each for each in server[0].children(recursive=True) if "serve.py" in " ".join(each.cmdline())]


def test_a_model_in_s3_and_a_log_are_left_by_a_job(server, trained):
    bucket, _, key = trained["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    assert (bucket, key) == (BUCKET, "jobs/plain/output/model.tar.gz")
    assert client(server[1], "s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 1000
    lines = log_of(server[1], "plain")
    assert "train_rows:4000; train_frauds:85;" in lines
    assert "model saved" in lines


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"TrainingJobName": "under_score"}, "regular expression pattern"),
        ({"TrainingJobName": "x" * 64}, "less than or equal to 63"),
        ({"HyperParameters": {"schema": "x" * 2501}}, "less than or equal to 2500, has 2501"),
        ({"RoleArn": "arn:aws:iam::1:role/too-few-digits"}, "regular expression pattern"),
        ({"ResourceConfig": {"InstanceType": "ml.none.huge", "InstanceCount": 1, "VolumeSizeInGB": 1}}, "enum value"),
        ({"Tags": [{"Key": "bad|key", "Value": ""}]}, "regular expression pattern"),
        ({"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["?"]}}, "regular expression pattern"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds"),
        ({"AlgorithmSpecification": {"TrainingImage": "nothing:here", "TrainingInputMode": "File"}}, "not found"),
    ],
)
def test_requests_are_checked_as_the_services_model_says(server, change, part):
    sagemaker = client(server[1], "sagemaker")
    with pytest.raises(ClientError, match=part) as told:
        sagemaker.create_training_job(**job("wrong", **change))
    assert told.value.response["Error"]["Code"] == "ValidationException"
    assert not sagemaker.list_training_jobs(NameContains="wrong")["TrainingJobSummaries"]


def test_a_name_can_be_used_once_and_lists_come_in_pages(server, trained):
    sagemaker = client(server[1], "sagemaker")
    with pytest.raises(sagemaker.exceptions.ResourceInUse):
        sagemaker.create_training_job(**job("plain"))
    container = {"Image": "fraud-detect", "ModelDataUrl": trained["ModelArtifacts"]["S3ModelArtifacts"]}
    names = {f"page-{i}" for i in range(23)}
    for name in names:
        tags = [{"Key": "number", "Value": name}]
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container, Tags=tags)
    pages = list(sagemaker.get_paginator("list_models").paginate(NameContains="page-"))
    assert [len(page["Models"]) for page in pages] == [10, 10, 3]
    assert {model["ModelName"] for page in pages for model in page["Models"]} == names
    arn = next(m["ModelArn"] for m in pages[0]["Models"] if m["ModelName"] in names)
    (tag,) = sagemaker.list_tags(ResourceArn=arn)["Tags"]
    assert arn.endswith(tag["Value"])
    for name in names:
        sagemaker.delete_model(ModelName=name)
    assert not sagemaker.list_models(NameContains="page-")["Models"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"HyperParameters": {"num_round": "many"}}, "AlgorithmError: hyperparameter 'num_round' is 'many'"),
        (
            {
                "InputDataConfig": [
                    {
                        "ChannelName": "train",
                        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/none/"}},
                    }
                ]
            },
            f"no objects found under S3 URL s3://{BUCKET}/none/",
        ),
    ],
)
def test_a_job_that_fails_says_why(server, change, reason):
    sagemaker = client(server[1], "sagemaker")
    name = f"fails-{len(sagemaker.list_training_jobs(NameContains='fails')['TrainingJobSummaries'])}"
    sagemaker.create_training_job(**job(name, **change))
    described = finished(sagemaker, name)
    assert described["TrainingJobStatus"] == described["SecondaryStatus"] == "Failed"
    assert reason in described["FailureReason"]
    assert "ModelArtifacts" not in described


def test_a_stopped_job_keeps_the_trees_grown_so_far(server):
    process, address = server
    sagemaker = client(address, "sagemaker")
    sagemaker.create_training_job(**job("stopped", 100_000))
    wait(lambda: trainers(process))
    time.sleep(3)
    sagemaker.stop_training_job(TrainingJobName="stopped")
    described = finished(sagemaker, "stopped")
    assert described["SecondaryStatus"] == "Stopped"
    assert described["ModelArtifacts"]["S3ModelArtifacts"].endswith("stopped/output/model.tar.gz")
    assert not trainers(process)


def test_a_job_is_ended_when_its_time_is_over(server):
    sagemaker = client(server[1], "sagemaker")
    sagemaker.create_training_job(**job("endless", 100_000, StoppingCondition={"MaxRuntimeInSeconds": 4}))
    assert finished(sagemaker, "endless")["SecondaryStatus"] == "MaxRuntimeExceeded"


def test_a_spot_job_that_loses_its_instance_goes_on_from_its_checkpoint(server, split):
    process, address = server
    sagemaker = client(address, "sagemaker")
    sagemaker.create_training_job(
        **job(
            "spot",
            2_000,
            EnableManagedSpotTraining=True,
            StoppingCondition={"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 900},
            CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints"},
        )
    )
    (trainer,) = wait(lambda: trainers(process))
    tree = Path(trainer.environ()["SAGEMAKER_BASE_DIR"])
    wait((tree / "checkpoints/checkpoint.ubj").exists)
    trainer.kill()
    described = finished(sagemaker, "spot")
    steps = [step["Status"] for step in described["SecondaryStatusTransitions"]]
    assert steps[2:5] == ["Training", "Interrupted", "Starting"]
    assert described["TrainingJobStatus"] == "Completed"
    assert any(line.startswith("going on from the checkpoint after round") for line in log_of(address, "spot"))
    assert not tree.exists()


def test_batch_transform_splits_by_line_and_stays_within_the_payload(server, trained, split, tmp_path):
    address = server[1]
    sagemaker, s3 = client(address, "sagemaker"), client(address, "s3")
    url = trained["ModelArtifacts"]["S3ModelArtifacts"]
    container = {"Image": "fraud-detect", "ModelDataUrl": url}
    sagemaker.create_model(ModelName="batch", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    rows = s3.get_object(Bucket=BUCKET, Key="test/rows.csv")["Body"].read()
    s3.put_object(Bucket=BUCKET, Key="large/rows.csv", Body=rows * 8)
    s3.put_object(Bucket=BUCKET, Key="bad/rows.csv", Body=b"1,2,3\n")

    def transform(name, prefix):
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}/"}}
        sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName="batch",
            MaxPayloadInMB=1,
            MaxConcurrentTransforms=2,
            TransformInput={"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
            TransformOutput={"S3OutputPath": f"s3://{BUCKET}/scored", "Accept": "text/csv", "AssembleWith": "Line"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        )

        def ended():
            described = sagemaker.describe_transform_job(TransformJobName=name)
            return described["TransformJobStatus"] != "InProgress" and described

        return wait(ended)

    assert transform("large", "large")["TransformJobStatus"] == "Completed"
    text = s3.get_object(Bucket=BUCKET, Key="scored/rows.csv.out")["Body"].read()
    s3.download_file(BUCKET, url.split("/", 3)[3], str(tmp_path / "model.tar.gz"))
    artifact.unpack(tmp_path / "model.tar.gz", tmp_path / "model")
    expected = np.tile(artifact.load(tmp_path / "model").score(split.test), 8)
    np.testing.assert_allclose(np.loadtxt(io.BytesIO(text)), expected, atol=1e-9)

    def requests(name):
        logs = client(address, "logs")
        group = "/aws/sagemaker/TransformJobs"
        events = logs.filter_log_events(logGroupName=group, logStreamNamePrefix=f"{name}/")["events"]
        return [event["message"] for event in events]

    assert len([line for line in requests("large") if '"/invocations"' in line]) == -(-len(rows) * 8 // (1 << 20))
    failed = transform("bad", "bad")
    assert (failed["TransformJobStatus"], failed["FailureReason"]) == (
        "Failed",
        "ClientError: See job logs for more information",
    )
    assert any("Bad HTTP status received from algorithm: 400" in line for line in requests("bad"))


def test_it_listens_on_this_machine_only(server):
    process, _ = server
    assert {connection.laddr.ip for connection in process.net_connections("tcp") if connection.status == "LISTEN"} == {
        "127.0.0.1"
    }


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_everything_it_started_ends_with_it(tmp_path, split, end):
    process, address = start(tmp_path / "log")
    fill(address, split)
    sagemaker = client(address, "sagemaker")
    sagemaker.create_training_job(**job("short"))
    url = finished(sagemaker, "short")["ModelArtifacts"]["S3ModelArtifacts"]
    container = {"Image": "fraud-detect", "ModelDataUrl": url}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    wait(lambda: sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService")
    sagemaker.create_training_job(**job("long", 100_000))
    wait(lambda: trainers(process))
    time.sleep(1)
    started = process.children(recursive=True)
    trees = {each.environ().get("SAGEMAKER_BASE_DIR") for each in started} - {None}
    assert len(trees) == 2
    process.send_signal(end)
    process.wait(60)
    wait(lambda: not [p for p in started if p.is_running() and p.status() != psutil.STATUS_ZOMBIE], 20)
    wait(lambda: not [tree for tree in trees if Path(tree).exists()], 5)
