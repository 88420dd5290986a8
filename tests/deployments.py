"""What several tests of deployments share: a choice to deploy, and what a server holds and runs, asked from outside."""

import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import states
from botocore import exceptions

from fraud_utils import deploy, record
from fraud_utils.data import ULB, split_transactions
from fraud_utils.data.simulate import simulate_transactions

ROOT = Path(__file__).resolve().parents[1]
S3 = [  # method, path, part of the query, action
    ("PUT", r"/[^/]+", "", "s3:CreateBucket"),
    ("HEAD", r"/[^/]+", "", "s3:ListBucket"),
    ("GET", r"/[^/]+", "list-type=2", "s3:ListBucket"),
    ("POST", r"/[^/]+", "delete", "s3:DeleteObject"),
    ("PUT", r"/[^/]+/.+", "", "s3:PutObject"),
    ("POST", r"/[^/]+/.+", "upload", "s3:PutObject"),
    ("DELETE", r"/[^/]+/.+", "uploadId", "s3:AbortMultipartUpload"),
    ("GET", r"/[^/]+/.+", "", "s3:GetObject"),
    ("HEAD", r"/[^/]+/.+", "", "s3:GetObject"),
]
# Python runs this when it starts: it changes how answers in JSON lines are written (a dict each), or those in JSON (a
# list), and no others.
SPOILT = """
import json, time
dumps = json.dumps
def spoilt(value, **more):
    if isinstance(value, {kind}) and "score" in str(value):
        {what}
    return dumps(value, **more)
json.dumps = spoilt
"""
POLICY = json.loads((ROOT / "container/policy.json").read_text())
ALLOWED = {a for s in POLICY["Statement"] for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}
CREDENTIALS = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


def choice(**hyperparameters) -> record.Choice:
    """XGBoost with 20 trees, or other hyperparameters."""
    values = {"imbalance": "undersample 1:10", "num_round": 20, "seed": 3} | hyperparameters
    tiers = record.Tiers(0.1, 0.5, 3.0, 30.0)
    return record.Choice("xgboost", "it is the only one", values, (record.Threshold("f1", 0.25),), tiers=tiers)


def endless() -> record.Choice:
    """Goes on training until it is stopped; the log says so after each twentieth of the rounds."""
    return choice(imbalance="none", num_round=100_000, max_depth=1)


def run_folder(folder: Path, chosen: record.Choice) -> Path:
    """A run's folder, as notebook 02 leaves it."""
    judged = record.Model("xgboost", test=record.Metrics(average_precision=0.7))
    record.add(folder, chosen=chosen, models=[judged])
    return folder


@contextlib.contextmanager
def local_sagemaker(log: Path, *arguments: str) -> Iterator[tuple[psutil.Popen, dict[str, str]]]:
    """SageMaker on this machine as somebody else runs it: its process, and the environment in which clients find it."""
    command = [sys.executable, "-m", "fraud_utils.local_sagemaker", *arguments]
    with log.open("a") as stream:  # so that it can be emptied meanwhile
        process = psutil.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
    try:
        states.until(lambda: process.poll() is not None or "\n" in log.read_text(), "the server's address")
        assert process.poll() is None, log.read_text()
        yield process, CREDENTIALS | {"AWS_ENDPOINT_URL": log.read_text().splitlines()[0]}
    finally:
        process.terminate()
        assert process.wait(states.HANGS) == 0


@contextlib.contextmanager
def pointed_at(environment: dict[str, str]) -> Iterator[None]:
    """A server's address in the environment, for as long as it is asked: other tests run in the same process."""
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment.items():
            patch.setenv(key, value)
        yield


def client(service: str) -> Any:
    """A client of the server that the environment names; made once, which takes as long as some calls."""
    return _client(service, os.environ.get("AWS_ENDPOINT_URL", ""))


@functools.cache
def _client(service: str, address: str) -> Any:
    return boto3.client(service)


def left(run: str) -> list[str]:
    """What a server holds of a run: things by their tags, but jobs that have ended; data by its key.

    Registered models and captured requests are to stay, and are left out.
    """
    sagemaker, s3 = client("sagemaker"), client("s3")
    tuning = sagemaker.list_hyper_parameter_tuning_jobs(MaxResults=100)["HyperParameterTuningJobSummaries"]
    listed = [
        *(("HyperParameterTuningJob", item) for item in tuning),
        *(("Endpoint", item) for item in sagemaker.list_endpoints(MaxResults=100)["Endpoints"]),
        *(("EndpointConfig", item) for item in sagemaker.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]),
        *(("Model", item) for item in sagemaker.list_models(MaxResults=100)["Models"]),
        *(("TrainingJob", item) for item in sagemaker.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]),
        *(("TransformJob", item) for item in sagemaker.list_transform_jobs(MaxResults=100)["TransformJobSummaries"]),
    ]
    things = []
    for kind, item in listed:
        if kind.endswith("Job") and item[f"{kind}Status"] in ("Completed", "Failed", "Stopped"):
            continue
        tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=item[f"{kind}Arn"])["Tags"]}
        if tags.get("fraud-detection:run") == run:
            things.append(f"{kind} {item[f'{kind}Name']}")
    cloudwatch, logs = client("cloudwatch"), client("logs")
    for alarm in cloudwatch.describe_alarms(AlarmNamePrefix="fraud-")["MetricAlarms"]:
        tags = {
            tag["Key"]: tag["Value"] for tag in cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
        }
        things += [f"Alarm {alarm['AlarmName']}"] * (tags.get("fraud-detection:run") == run)
    for each in logs.describe_metric_filters()["metricFilters"]:
        if each["logGroupName"].startswith(f"/aws/sagemaker/Endpoints/fraud-{run}-"):
            things.append(f"MetricFilter {each['filterName']}")
    for bucket in s3.list_buckets()["Buckets"]:
        page = s3.list_objects_v2(Bucket=bucket["Name"], Prefix=f"fraud-detection/fraud-{run}-")
        things += [item["Key"] for item in page.get("Contents", [])]
    return things


def programs(process: psutil.Process) -> list[str]:
    """Names of the Python programs that run below a process, as `serve.py`."""
    words = [word for child in process.children(recursive=True) for word in command(child)]
    return [Path(word).name for word in words if word.endswith(".py")]


def command(process: psutil.Process) -> list[str]:
    """The words that a process was started with; none where it has ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def spoiling(folder: Path, what: str, kind: str = "dict") -> dict[str, str]:
    """The environment in which `serve` executes a statement with each row in JSON lines, or each "list" of rows."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(SPOILT.format(what=what, kind=kind))
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}


@contextlib.contextmanager
def asking(runtime: Any, endpoint: str, body: str, forgiven: str = "never", **form: str) -> Iterator[list[str]]:
    """Somebody who asks an endpoint all the while; yields the variants that answered.

    Every request gets an answer, but for errors that hold what is forgiven.
    """
    form = {"ContentType": "text/csv"} | form
    variants: list[str] = []
    lost: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                answer = runtime.invoke_endpoint(EndpointName=endpoint, Body=body, **form)
                variants.append(answer["InvokedProductionVariant"])
            except (exceptions.ClientError, exceptions.BotoCoreError) as error:
                lost.extend([str(error)] * (forgiven not in str(error)))
            ended.wait(0.1)  # a client that never pauses leaves the others no processor

    with ThreadPoolExecutor(1) as pool:
        pool.submit(ask)
        try:
            states.until(lambda: variants, "an answer")
            yield variants
        finally:
            ended.set()
    assert lost == []


def marked(mark: str) -> list[psutil.Process]:
    """The processes that carry a mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def deploy_until(environment: dict[str, str], folder: Path, last: str, model_url: str) -> None:
    """Deploy a model up to one step, and then wait: upload, train (without an end), serve or transform.

    Without the address of a model, train one.
    """
    os.environ.update(environment)
    split = split_transactions(simulate_transactions(5_000, fraud_rate=0.02, seed=1), ULB)
    deployment = deploy.connect("local", folder)
    uploaded = deployment.upload(split, ULB)
    if last == "train":
        deployment.train(endless(), uploaded)
    elif last != "upload":
        deployment.model_url = model_url
        if not model_url:
            deployment.train(choice(), uploaded)
        deployment.serve()
    if last == "transform":
        deployment.transform(uploaded["test"])
    signal.pause()


def action(service: str, operation: str) -> str:
    """The IAM action of a call; S3's operations are a method and a target."""
    if service != "s3":
        return f"{'cloudwatch' if service == 'monitoring' else service}:{operation}"
    method, _, target = operation.partition(" ")
    path, _, query = target.partition("?")
    return next(a for m, p, part, a in S3 if m == method and re.fullmatch(p, path) and part in query)


def actions(log: Path) -> set[str]:
    """The IAM actions of the calls in a server's log."""
    calls = (re.fullmatch(r"\d\d:\d\d:\d\d (\S+) (\S.*) \d\d\d", line) for line in log.read_text().splitlines())
    return {action(*call.groups()) for call in calls if call} - {"sts:GetCallerIdentity"}  # which needs no permission
