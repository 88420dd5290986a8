"""SageMaker on this machine as anybody would use it: a process of its own, asked over HTTP with boto3."""

import subprocess
import sys
from functools import cached_property
from pathlib import Path

import boto3
import deployments
import psutil
import pytest
from botocore.config import Config
from states import HANGS, until

from fraud_utils import artifact
from fraud_utils.data import ULB, split_transactions
from fraud_utils.data.simulate import simulate_transactions

IMAGE = "fraud-detect"


class Local:
    """A server with a bucket, in which rows lie to train on and to score."""

    bucket = "mine"
    role = "arn:aws:iam::123456789012:role/mine"

    def __init__(self, folder, *arguments):
        self.folder, self.log = folder, folder / "log"  # a folder that is not the project's
        with self.log.open("w") as stream:
            command = [sys.executable, "-m", "fraud_utils.local_sagemaker", *arguments]
            options = {"stdout": stream, "stderr": subprocess.STDOUT, "cwd": folder, "start_new_session": True}
            self.process = psutil.Popen(command, **options)
        self.address = until(self._address, "the server's address")

    def _address(self):
        assert self.process.poll() is None, self.log.read_text()
        lines = self.log.read_text().splitlines(keepends=True)
        return lines[0].strip() if lines and lines[0].endswith("\n") else None

    def client(self, service):
        config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
        keys = {"aws_access_key_id": "me", "aws_secret_access_key": "secret"}
        return boto3.client(service, "us-east-1", endpoint_url=self.address, config=config, **keys)

    @cached_property
    def sagemaker(self):
        return self.client("sagemaker")

    @cached_property
    def s3(self):
        return self.client("s3")

    def put(self, split, model=None):
        self.s3.create_bucket(Bucket=self.bucket)
        features = split.test.drop(columns="Class").to_csv(index=False, header=False)
        objects = {"train/rows.csv": split.train.to_csv(index=False).encode(), "test/rows.csv": features.encode()}
        if model:
            objects["model.tar.gz"] = model
        for key, body in objects.items():
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def url(self, key):
        return f"s3://{self.bucket}/{key}"

    def get(self, url):
        bucket, _, key = url.removeprefix("s3://").partition("/")
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def train(self, name, rounds=20, **more):
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": self.url("train/")}}
        request = {
            "TrainingJobName": name,
            "RoleArn": self.role,
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "round", "Regex": r"round:(\d+);"}],
            },
            "HyperParameters": {"num_round": str(rounds), "max_depth": "2"},
            "InputDataConfig": [{"ChannelName": "train", "DataSource": source}],
            "OutputDataConfig": {"S3OutputPath": self.url("jobs")},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        }
        return self.sagemaker.create_training_job(**request | more)

    def described(self, name):
        return self.sagemaker.describe_training_job(TrainingJobName=name)

    def finished(self, name):
        ended = ("Completed", "Failed", "Stopped")
        until(lambda: self.described(name)["TrainingJobStatus"] in ended, f"the end of the job {name}")
        return self.described(name)

    def create_model(self, name, url, **more):
        container = {"Image": IMAGE, "ModelDataUrl": url}
        request = {"ModelName": name, "ExecutionRoleArn": self.role, "PrimaryContainer": container}
        return self.sagemaker.create_model(**request | more)

    def create_config(self, name, model, **more):
        variant = {"VariantName": "v", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        request = {"EndpointConfigName": name, "ProductionVariants": [variant]}
        return self.sagemaker.create_endpoint_config(**request | more)

    def create_endpoint(self, name, config):
        """Makes one, and waits until it answers."""
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)

        def status():
            return self.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]

        until(lambda: status() != "Creating", f"a status of the endpoint {name}")
        assert status() == "InService"

    def lines(self, group, name):
        """What a job has logged."""
        begin = name if "/" in name else f"{name}/"  # moto gives all streams, whichever are asked for
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/aws/sagemaker/{group}")
        events = [event for page in pages for event in page["events"]]
        return [event["message"] for event in events if event["logStreamName"].startswith(begin)]

    def running(self, program):
        """The processes of a program, not their guards."""
        children = self.process.children(recursive=True)
        return [each for each in children if "".join(deployments.command(each)[1:2]).endswith(f"/{program}.py")]


@pytest.fixture(scope="session")
def split():
    return split_transactions(simulate_transactions(5_000, fraud_rate=0.02, seed=1), ULB)


@pytest.fixture(scope="session")
def start_local(tmp_path_factory):
    """Starts a server of its own."""
    return lambda *arguments: Local(tmp_path_factory.mktemp("server"), *arguments)


@pytest.fixture(scope="session")
def local(start_local, split):
    """The server that tests share."""
    server = start_local()
    server.put(split)
    yield server
    server.process.terminate()
    assert server.process.wait(HANGS) == 0


@pytest.fixture(scope="session")
def trained(local):
    """A finished job, described."""
    local.train("plain")
    return local.finished("plain")


@pytest.fixture(scope="session")
def model(local, trained):
    """The name of the model that the job left."""
    local.create_model("shared", trained["ModelArtifacts"]["S3ModelArtifacts"])
    return "shared"


@pytest.fixture(scope="session")
def artefact(local, trained, tmp_path_factory) -> Path:
    """The job's model.tar.gz."""
    path = tmp_path_factory.mktemp("artefact") / "model.tar.gz"
    path.write_bytes(local.get(trained["ModelArtifacts"]["S3ModelArtifacts"]))
    return path


@pytest.fixture(scope="session")
def loaded(artefact):
    """The job's model, as it scores in this process."""
    artifact.unpack(artefact, artefact.parent / "model")
    return artifact.load(artefact.parent / "model")
