"""From a choice to a training job, an endpoint that answers, and nothing left behind.

`connect` gives a `Deployment`, whose verbs a notebook calls one after the other, against AWS or against SageMaker on
this machine (`local_sagemaker`): only the address differs. All that a deployment makes carries its name and the run's
tag, and is deleted when the notebook says so, when a cell fails or is interrupted, and when the process ends in any
other way. `python -m fraud_utils.deploy cleanup` deletes by tag from anywhere.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
import numpy as np
import pandas as pd
from botocore.config import Config

from fraud_utils import artifact, project
from fraud_utils import record as results
from fraud_utils.data import Schema, Split
from fraud_utils.project import resolve

RUN_TAG, PLACE_TAG = "fraud-detection:run", "fraud-detection:data"
REPOSITORY = "sagemaker-fraud-detect"  # make push's; "sagemaker" in it lets the usual execution role in
LOCAL_IMAGE = "fraud-detect"
VARIANT = "AllTraffic"
MOST_ROWS, MOST_BYTES = 5_000, 3_500_000  # a request; an endpoint takes 25 MB, a serverless one 4
LONGEST_HYPERPARAMETER = 2_500  # characters that SageMaker takes
TRAIN_HOURS, SPOT_HOURS = 4, 8  # after which a job is stopped; how long a spot job may also wait for its instance
METRICS = ("round", "train_average_precision", "validation_average_precision", "train_log_loss", "validation_log_loss")
# USD an hour in us-east-1, training and hosting alike, on 2026-11-24; other regions differ by up to a half.
PRICES = {"ml.m5.large": 0.115, "ml.m5.xlarge": 0.23, "ml.m5.2xlarge": 0.461, "ml.m5.4xlarge": 0.922}
PRICES |= {"ml.c5.large": 0.102, "ml.c5.xlarge": 0.204, "ml.c5.2xlarge": 0.408, "ml.c5.4xlarge": 0.816}
PRICES_FROM = "us-east-1, seen 2026-11-24; today's: https://aws.amazon.com/sagemaker/ai/pricing"
SERVERLESS_GB_SECOND = 0.00002  # USD, of the same source

# Waits for the end of the process that holds the other end of its stdin. Where that ended without a word, deletes.
KEEPER = "import os, sys; sys.stdin.buffer.read() or os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


class DeployError(RuntimeError):
    """Something was refused, failed or is missing; the message says what to do."""


# Errors -------------------------------------------------------------------------------------------------------------


def _advice(doing: str, error: botocore.exceptions.ClientError) -> str:
    """What AWS said, and what to do about it."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    denied = re.search(r"not authorized to perform:? ([\w-]+:\w+)", message)
    remedy = ""
    if denied or "AccessDenied" in code or code in ("403", "Forbidden"):
        what = denied[1] if denied else f"{error.operation_name}"
        remedy = f"let the role do {what}; container/policy.json lists all that is needed"
    elif "LimitExceeded" in code:
        remedy = "ask for more of it under Service Quotas, SageMaker, in this region, or name another instance type"
    elif code in ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"):
        remedy = "the credentials are not valid or no longer: sign in again, and check AWS_PROFILE"
    elif re.search(r"image .*not found|cannot find repository|Manifest.*not|unsupported manifest", message, re.I):
        remedy = "push the image with 'make push' from this commit, or name one with the parameter image"
    elif code == "ResourceInUse" or "already exist" in message:
        remedy = "the name is taken: run the notebook again, names carry the time"
    elif code == "NoSuchBucket":
        remedy = "name a bucket of this account and region with the parameter bucket"
    elif "PassRole" in message or "assume role" in message.lower() or "role" in message.lower():
        remedy = "the parameter role must be a role that sagemaker.amazonaws.com may assume, and you may pass"
    return f"{doing}: {message} [{code}]" + (f"\n{remedy}" if remedy else "")


@contextlib.contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Turn AWS's errors into what to do."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise DeployError(_advice(doing, error)) from None
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
        raise DeployError(
            f"{doing}: {error}\nset credentials up with 'aws configure', AWS_PROFILE or a notebook instance's role"
        ) from None
    except (botocore.exceptions.EndpointConnectionError, botocore.exceptions.HTTPClientError) as error:
        raise DeployError(f"{doing}: {error}\ncheck region and network; names of regions look like eu-west-1") from None


# Where ----------------------------------------------------------------------------------------------------------------


@dataclass
class _LocalServer:
    """SageMaker on this machine, started by this process and ending with it."""

    process: subprocess.Popen[bytes]
    address: str
    engine: str


_local: _LocalServer | None = None


def _local_address(image: str) -> str:
    """The address of SageMaker on this machine: AWS_ENDPOINT_URL's where somebody runs one, else one of our own."""
    global _local
    given = os.environ.get("AWS_ENDPOINT_URL", "")
    ours = _local is not None and given == _local.address
    if not ours and urlsplit(given).hostname in ("127.0.0.1", "localhost", "::1"):
        return given
    engine = (os.environ.get("ENGINE") or shutil.which("docker") or shutil.which("podman") or "docker") if image else ""
    if _local and _local.process.poll() is None and _local.engine == engine:
        return _local.address
    command = [sys.executable, "-m", "fraud_utils.local_sagemaker", "--owned", "--engine", engine]
    with tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise, start_new_session=True
        )
        address = process.stdout.readline().decode().strip() if process.stdout else ""
        if not address:
            noise.seek(0)
            raise DeployError(f"SageMaker on this machine did not start:\n{noise.read()[-2000:].decode()}")
    _local = _LocalServer(process, address, engine)
    return address


def _session(target: str, region: str, image: str = "") -> boto3.Session:
    """Credentials, region and address for a target; the address goes through the environment, as the SDK reads it."""
    if target == "local":
        os.environ["AWS_ENDPOINT_URL"] = _local_address(image)
        for name in ("no_proxy", "NO_PROXY"):  # a proxy has no business on loopback
            known = [host for host in os.environ.get(name, "").split(",") if host not in ("", "127.0.0.1")]
            os.environ[name] = ",".join([*known, "127.0.0.1"])
        return boto3.Session("local", "local", region_name=region or "us-east-1")
    if target != "aws":
        raise DeployError(f"target is {target!r}; it is local or aws")
    if _local and os.environ.get("AWS_ENDPOINT_URL") == _local.address:
        del os.environ["AWS_ENDPOINT_URL"]
    try:
        session = boto3.Session(region_name=region or None)
    except botocore.exceptions.ProfileNotFound as error:
        raise DeployError(f"{error}; see AWS_PROFILE and ~/.aws/config") from None
    if not session.region_name:
        raise DeployError("no AWS region: set the parameter region, AWS_REGION or 'aws configure set region'")
    return session


def _client(session: boto3.Session, service: str) -> Any:
    # Paths rather than host names: 127.0.0.1 has no subdomains.
    style = "path" if os.environ.get("AWS_ENDPOINT_URL") else "auto"
    return session.client(service, config=Config(s3={"addressing_style": style}, retries={"mode": "standard"}))


def _account(session: boto3.Session) -> str:
    with _explained("asking AWS who we are"):
        return _client(session, "sts").get_caller_identity()["Account"]


def _instance_role(session: boto3.Session) -> str:
    """The execution role of the notebook instance that this is."""
    try:
        name = json.loads(Path("/opt/ml/metadata/resource-metadata.json").read_text())["ResourceName"]
    except (OSError, ValueError, KeyError):
        raise DeployError(
            "no role: outside of a notebook instance, set the parameter role to the ARN of a role that SageMaker may "
            "assume"
        ) from None
    with _explained("reading the notebook instance's role"):
        return _client(session, "sagemaker").describe_notebook_instance(NotebookInstanceName=name)["RoleArn"]


def _stem(run: str) -> str:
    """How the names of all that a run makes begin: valid on AWS, and no other run's."""
    slug = re.sub(r"[^a-zA-Z0-9]+", "-", run).strip("-")[:24].strip("-")
    return f"fraud-{slug}-{hashlib.sha256(run.encode()).hexdigest()[:6]}"


# A deployment ---------------------------------------------------------------------------------------------------------


def connect(
    target: str,
    run_folder: str | Path,
    region: str = "",
    role: str = "",
    bucket: str = "",
    prefix: str = "fraud-detection",
    image: str = "",
) -> Deployment:
    """Find account, role, bucket and image, before anything is trained or paid for.

    Parameters
    ----------
    target : str
        "aws", or "local" for SageMaker on this machine: the one at AWS_ENDPOINT_URL, else one that ends with this
        process.
    run_folder : str or Path
        Of the run; its name goes into the names and tags of all that is made.
    region, role, bucket, prefix, image : str
        Empty: the usual place's region, the notebook instance's role, SageMaker's default bucket (made when missing),
        and the image that `make push` pushed from this commit; for "local", `train` and `serve` as processes.

    Raises
    ------
    DeployError
        One of them is missing; the message says how to get it.
    """
    session = _session(target, region, image)
    account = _account(session)
    if target == "aws" and not image:
        image = f"{account}.dkr.ecr.{session.region_name}.amazonaws.com/{REPOSITORY}:{_commit()}"
    if registry := re.fullmatch(r"\d{12}\.dkr\.ecr\.([\w-]+)\.amazonaws\.com[\w.]*/([^:@]+):([^@]+)", image):
        ids = [{"imageTag": registry[3]}]
        with _explained(f"looking for the image {image}"):
            try:
                _client(session, "ecr").describe_images(repositoryName=registry[2], imageIds=ids)
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in ("ImageNotFoundException", "RepositoryNotFoundException"):
                    raise
                raise DeployError(
                    f"image {image} is not in the registry; push it with 'make push' from this commit, or name "
                    "another with the parameter image"
                ) from None
    elif target == "aws":
        raise DeployError(f"image {image!r} is none of ECR's: ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG")
    role = role or (_instance_role(session) if target == "aws" else f"arn:aws:iam::{account}:role/local")
    bucket = bucket or f"sagemaker-{session.region_name}-{account}"
    _find_bucket(session, bucket)
    return Deployment(session, target, resolve(run_folder), role, bucket, prefix.strip("/"), image or LOCAL_IMAGE)


def _commit() -> str:
    if found := project.commit(12):
        return found
    raise DeployError("not in a git checkout: name the image with the parameter image")


def _find_bucket(session: boto3.Session, bucket: str) -> None:
    s3 = _client(session, "s3")
    with _explained(f"looking for the bucket {bucket}"):
        try:
            s3.head_bucket(Bucket=bucket)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            place = {"LocationConstraint": session.region_name}
            elsewhere = {} if session.region_name == "us-east-1" else {"CreateBucketConfiguration": place}
            s3.create_bucket(Bucket=bucket, **elsewhere)


class Deployment:
    """One training job, model and endpoint, with what they need, under one name.

    Attributes
    ----------
    name : str
        Of the job, the model, the endpoint and its configuration; no other deployment's.
    """

    def __init__(
        self, session: boto3.Session, target: str, run_folder: Path, role: str, bucket: str, prefix: str, image: str
    ) -> None:
        self.session, self.target, self.run_folder, self.run = session, target, run_folder, run_folder.name
        self.role, self.bucket, self.prefix, self.image = role, bucket, prefix, image
        self.name = f"{_stem(self.run)}-{datetime.now(UTC):%m%d%H%M%S}-{secrets.token_hex(2)}"
        self.place = f"s3://{bucket}/{prefix}/{self.name}"
        self.tags = {RUN_TAG: self.run, PLACE_TAG: self.place}
        self._poll_seconds = 5.0 if target == "aws" else 0.2
        self._keeper = self._shell = None
        self._watch()

    # The SDK's shapes take tags as dictionaries with lower-case keys only; boto3 wants upper-case ones.
    @property
    def _sdk_tags(self) -> list[dict[str, str]]:
        return [{"key": key, "value": value} for key, value in self.tags.items()]

    @property
    def _aws_tags(self) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]

    # -- its end

    def _watch(self) -> None:
        """See to it that everything is deleted when a cell fails or this process ends.

        SageMaker on this machine that we started ends with us, and all it runs. For any other, a small process of its
        own waits for our end and then deletes what is there: no kill of ours can keep it from that.
        """
        shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if shell:
            shell.events.register("post_run_cell", self._after_cell)
            self._shell = shell
        if self.target == "local" and _local and os.environ.get("AWS_ENDPOINT_URL") == _local.address:
            return
        self.run_folder.mkdir(parents=True, exist_ok=True)
        with (self.run_folder / "cleanup.log").open("a") as log:
            self._keeper = subprocess.Popen(  # type: ignore[assignment]
                [sys.executable, "-c", KEEPER, *self._cleanup],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _after_cell(self, result: Any) -> None:
        if not result.success:
            print(f"a cell failed or was interrupted: deleting {self.name}", file=sys.stderr)
            try:
                self.delete()
            except (DeployError, botocore.exceptions.BotoCoreError) as error:
                print(f"{error}\ntry: {self._command}", file=sys.stderr)

    @property
    def _cleanup(self) -> list[str]:
        words = ["-m", "fraud_utils.deploy", "cleanup", "--run", self.run, "--deployment", self.name, "--target"]
        words += [self.target, "--region", self.session.region_name, "--bucket", self.bucket, "--prefix", self.prefix]
        return words

    @property
    def _command(self) -> str:
        return shlex.join(["python", *self._cleanup])

    def _unwatch(self) -> None:
        if self._shell:
            with contextlib.suppress(ValueError):
                self._shell.events.unregister("post_run_cell", self._after_cell)
            self._shell = None
        if self._keeper:
            self._keeper.communicate(b"done")
            self._keeper = None
            (self.run_folder / "cleanup.log").unlink(missing_ok=True)

    def delete(self) -> bool:
        """Delete all that this deployment made but registered models; gives whether nothing is left."""
        cleanup(self.session, self.run, self.name, self.bucket, self.prefix)
        self._unwatch()
        return not self.remaining()

    def keep(self) -> str:
        """Leave the endpoint and what it needs; gives the command that deletes it later."""
        self._unwatch()
        return self._command

    def remaining(self) -> list[str]:
        """What exists of this deployment and can be billed or deleted; jobs that ended are history, and free."""
        with _explained("listing what is left"):
            found = [f"{kind} {name}" for kind, name, _ in _resources(self.session, self.run, self.name)]
            return found + [f"s3://{bucket}/{key}" for bucket, key in _objects(self.session, self.place)]

    # -- its steps

    def describe(self) -> str:
        """Where it happens."""
        where = f"region {self.session.region_name}" if self.target == "aws" else "SageMaker on this machine"
        programs = f"image `{self.image}`"
        if self.target == "local" and self.image == LOCAL_IMAGE:
            programs = "`train` and `serve` as processes"
        return f"**{self.name}** in {where}, {programs}."

    def upload(self, split: Split, schema: Schema) -> dict[str, str]:
        """Put the rows where the jobs read them.

        `train` and `validation` are tables with labels, before and after the cut in time. Nothing is chosen on the
        validation rows: the job only reports on them. `test` are the rows after the cut as a client would send them:
        CSV without a header and without labels.

        Returns
        -------
        dict
            The S3 addresses by name.
        """
        columns = [column for column in schema.columns if column != schema.label]
        tables = {
            "train/train.parquet": _parquet(split.train),
            "validation/validation.parquet": _parquet(split.test),
            "test/test.csv": split.test[columns].to_csv(index=False, header=False).encode(),
        }
        s3, bucket, prefix = _client(self.session, "s3"), self.bucket, f"{self.prefix}/{self.name}"
        with _explained(f"uploading to {self.place}"):
            for key, content in tables.items():
                s3.upload_fileobj(io.BytesIO(content), bucket, f"{prefix}/{key}")
        return {key.split("/")[0]: f"{self.place}/{key.split('/')[0]}/" for key in tables}

    def train(
        self,
        choice: Mapping[str, Any],
        schema: Schema,
        uploaded: Mapping[str, str],
        instance: str = "ml.m5.xlarge",
        spot: bool = False,
    ) -> pd.DataFrame:
        """Train the choice as a job, show status and log lines as they come, keep the model in the run's folder.

        Parameters
        ----------
        choice : mapping
            The section `chosen` that notebook 02 recorded: `hyperparameters` and `thresholds`.
        spot : bool
            Use spare capacity, cheaper and at times taken away; the job goes on from its last checkpoint.

        Returns
        -------
        pandas.DataFrame
            The job's metrics.

        Raises
        ------
        DeployError
            The job failed or was stopped; the message is what the program left in its failure file.
        """
        from sagemaker.core import shapes
        from sagemaker.core.resources import TrainingJob

        values = choice["hyperparameters"] | {"schema": schema.to_dict(), "thresholds": choice["thresholds"]}
        values["decides"] = choice.get("decides", "f1")
        hyperparameters = {key: v if isinstance(v, str) else json.dumps(v) for key, v in values.items()}
        if long := [name for name, text in hyperparameters.items() if len(text) > LONGEST_HYPERPARAMETER]:
            raise DeployError(
                f"hyperparameter {long[0]!r} is {len(hyperparameters[long[0]])} characters long; SageMaker takes "
                f"{LONGEST_HYPERPARAMETER}. A schema gets shorter by fewer or shorter columns' names"
            )
        # Early stopping would choose the number of trees on the rows that are kept for the end.
        stops_early = float(hyperparameters.get("early_stopping_rounds", 0)) > 0
        channels = [
            shapes.Channel(
                channel_name=name,
                data_source=shapes.DataSource(
                    s3_data_source=shapes.S3DataSource(s3_data_type="S3Prefix", s3_uri=uploaded[name])
                ),
            )
            for name in ("train", "validation")[: 1 if stops_early else 2]
        ]
        limits: dict[str, Any] = {"max_runtime_in_seconds": TRAIN_HOURS * 3600}
        options: dict[str, Any] = {}
        if spot:
            limits["max_wait_time_in_seconds"] = SPOT_HOURS * 3600
            options["enable_managed_spot_training"] = True
            options["checkpoint_config"] = shapes.CheckpointConfig(s3_uri=f"{self.place}/checkpoints")
        with _explained("starting the training job"):
            job: Any = TrainingJob.create(
                training_job_name=self.name,
                role_arn=self.role,
                algorithm_specification=shapes.AlgorithmSpecification(
                    training_image=self.image,
                    training_input_mode="File",
                    metric_definitions=[
                        shapes.MetricDefinition(name=name, regex=rf"\b{name}:([-+.\deE]+);") for name in METRICS
                    ],
                ),
                hyper_parameters=hyperparameters,
                input_data_config=channels,
                output_data_config=shapes.OutputDataConfig(s3_output_path=f"{self.place}/jobs"),
                resource_config=shapes.ResourceConfig(instance_type=instance, instance_count=1, volume_size_in_gb=30),
                stopping_condition=shapes.StoppingCondition(**limits),
                tags=self._sdk_tags,
                session=self.session,
                region=self.session.region_name,
                **options,
            )
        self._follow_training(job)
        self._fetch_model(job.model_artifacts.s3_model_artifacts)
        metrics = {metric.metric_name: metric.value for metric in job.final_metric_data_list or []}
        return pd.DataFrame({"value": metrics}).rename_axis("metric").reindex([m for m in METRICS if m in metrics])

    def _follow_training(self, job: Any) -> None:
        lines = self._log_lines("/aws/sagemaker/TrainingJobs", self.name)
        shown = ""
        while True:
            with _explained("following the training job"):
                job.refresh()
                if job.secondary_status != shown:
                    shown = job.secondary_status
                    print(f"{datetime.now():%H:%M:%S} {shown}", flush=True)
                for line in lines():
                    print(line, flush=True)
            if job.training_job_status in ("Completed", "Failed", "Stopped"):
                break
            time.sleep(self._poll_seconds)
        if job.training_job_status == "Failed":
            reason = re.sub(r"^AlgorithmError: (.*?)(, exit code: \d+)?$", r"\1", job.failure_reason, flags=re.S)
            raise DeployError(f"the training job failed: {reason or job.failure_reason}")
        if job.training_job_status == "Stopped":
            raise DeployError(f"the training job was stopped before its end ({job.secondary_status}); run it again")

    def _log_lines(self, group: str, stream: str) -> Callable[[], list[str]]:
        """A function that gives what a job has logged since the last call."""
        logs = _client(self.session, "logs")
        tokens: dict[str, str] = {}

        def new_lines() -> list[str]:
            found: list[str] = []
            try:
                streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)["logStreams"]
                for name in sorted(each["logStreamName"] for each in streams):
                    token = {"nextToken": tokens[name]} if name in tokens else {}
                    page = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True, **token)
                    found += [event["message"] for event in page["events"]]
                    tokens[name] = page["nextForwardToken"]
            except logs.exceptions.ResourceNotFoundException:
                pass  # nothing has been logged yet
            return found

        return new_lines

    def _fetch_model(self, url: str) -> None:
        """Lay the job's model into the run's folder, as `model/` and `model.tar.gz`."""
        self.run_folder.mkdir(parents=True, exist_ok=True)
        self.model_url = url
        archive = self.run_folder / "model.tar.gz"
        bucket, key = _split_url(url)
        with _explained("fetching the model"):
            _client(self.session, "s3").download_file(bucket, key, str(archive))
        shutil.rmtree(self.run_folder / "model", ignore_errors=True)
        artifact.unpack(archive, self.run_folder / "model")

    def serve(
        self,
        instance: str = "ml.m5.large",
        count: int = 1,
        serverless: bool = False,
        memory_mb: int = 2048,
        capture: bool = False,
        environment: Mapping[str, str] = {},  # never changed
    ) -> None:
        """Make model, endpoint configuration and endpoint, and wait until it answers.

        Raises
        ------
        DeployError
            The container did not answer `/ping` in time; the message holds its last log lines.
        """
        from sagemaker.core import shapes
        from sagemaker.core.resources import Endpoint, Model

        here: dict[str, Any] = {"session": self.session, "region": self.session.region_name}
        variant: dict[str, Any] = {"VariantName": VARIANT, "ModelName": self.name}
        if serverless:
            variant["ServerlessConfig"] = {"MemorySizeInMB": memory_mb, "MaxConcurrency": 5}
        else:
            variant |= {"InstanceType": instance, "InitialInstanceCount": count}
        options: dict[str, Any] = {}
        if capture:  # stays when the endpoint goes: whoever asks for it wants to look at it
            options["DataCaptureConfig"] = {
                "EnableCapture": True,
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": f"s3://{self.bucket}/{self.prefix}/captured",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            }
        with _explained("making the endpoint"):
            Model.create(
                model_name=self.name,
                execution_role_arn=self.role,
                primary_container=shapes.ContainerDefinition(
                    image=self.image, model_data_url=self.model_url, environment=dict(environment)
                ),
                tags=self._sdk_tags,
                **here,
            )
            # With boto3, because the SDK sends a serverless variant's memory under a wrong name.
            _client(self.session, "sagemaker").create_endpoint_config(
                EndpointConfigName=self.name, ProductionVariants=[variant], Tags=self._aws_tags, **options
            )
            endpoint: Any = Endpoint.create(
                endpoint_name=self.name, endpoint_config_name=self.name, tags=self._sdk_tags, **here
            )
        shown = ""
        while True:
            with _explained("waiting for the endpoint"):
                endpoint.refresh()
            if endpoint.endpoint_status != shown:
                shown = endpoint.endpoint_status
                print(f"{datetime.now():%H:%M:%S} endpoint {shown}", flush=True)
            if shown == "InService":
                break
            if shown != "Creating":
                last = self._log_lines(f"/aws/sagemaker/Endpoints/{self.name}", VARIANT)()[-10:]
                raise DeployError("\n".join([f"the endpoint is {shown}: {endpoint.failure_reason}", *last]))
            time.sleep(self._poll_seconds)
        # One try: a request that the container refuses is not better the second time.
        options = {"config": Config(read_timeout=70, retries={"max_attempts": 1})}
        self._runtime = self.session.client("sagemaker-runtime", **options)

    def invoke(self, body: str) -> str:
        """Send rows as CSV, get a probability a line.

        Raises
        ------
        DeployError
            The rows were refused; the message names row and column.
        """
        try:
            answer = self._runtime.invoke_endpoint(
                EndpointName=self.name, Body=body.encode(), ContentType="text/csv", Accept="text/csv"
            )
        except self._runtime.exceptions.ModelError as error:
            status, text = error.response.get("OriginalStatusCode"), error.response.get("OriginalMessage", str(error))
            raise DeployError(f"the endpoint answered {status}: {text}") from None
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
            with _explained("asking the endpoint"):
                raise
        return answer["Body"].read().decode()

    def score(self, rows: pd.DataFrame) -> np.ndarray:
        """Score rows through the endpoint, some thousands a request.

        Returns
        -------
        numpy.ndarray of float64, shape (rows,)
        """
        width = len(rows.head(100).to_csv(index=False).encode()) / min(100, len(rows))
        step = max(1, min(MOST_ROWS, int(MOST_BYTES / width)))
        parts = (rows.iloc[start : start + step] for start in range(0, len(rows), step))
        answers = [self.invoke(part.to_csv(index=False)) for part in parts]
        return np.array("".join(answers).split(), dtype=np.float64)

    def latency_ms(self, rows: pd.DataFrame, count: int = 200) -> dict[str, float]:
        """Milliseconds from request to answer for single rows, one after the other: median and 99th percentile."""
        bodies = [rows.iloc[[i % len(rows)]].to_csv(index=False) for i in range(count)]
        taken = []
        for body in bodies:
            start = time.perf_counter()
            self.invoke(body)
            taken.append(1000 * (time.perf_counter() - start))
        return {"p50": float(np.quantile(taken, 0.5)), "p99": float(np.quantile(taken, 0.99))}

    def transform(self, url: str, instance: str = "ml.m5.xlarge") -> np.ndarray:
        """Score the rows under an S3 address as a batch transform job.

        Returns
        -------
        numpy.ndarray of float64, shape (rows,)

        Raises
        ------
        DeployError
            The job failed; the message holds its last log lines.
        """
        from sagemaker.core import shapes
        from sagemaker.core.resources import TransformJob

        source = shapes.TransformS3DataSource(s3_data_type="S3Prefix", s3_uri=url)
        with _explained("starting the batch transform"):
            job: Any = TransformJob.create(
                transform_job_name=self.name,
                model_name=self.name,
                batch_strategy="MultiRecord",
                transform_input=shapes.TransformInput(
                    data_source=shapes.TransformDataSource(s3_data_source=source),
                    content_type="text/csv",
                    split_type="Line",
                ),
                transform_output=shapes.TransformOutput(
                    s3_output_path=f"{self.place}/scored", accept="text/csv", assemble_with="Line"
                ),
                transform_resources=shapes.TransformResources(instance_type=instance, instance_count=1),
                tags=self._sdk_tags,
                session=self.session,
                region=self.session.region_name,
            )
        while job.transform_job_status in ("InProgress", "Stopping"):
            time.sleep(self._poll_seconds)
            with _explained("waiting for the batch transform"):
                job.refresh()
        print(f"{datetime.now():%H:%M:%S} batch transform {job.transform_job_status}", flush=True)
        if job.transform_job_status != "Completed":
            last = self._log_lines("/aws/sagemaker/TransformJobs", self.name)()[-5:]
            reason = f": {job.failure_reason}" if job.transform_job_status == "Failed" else ""
            raise DeployError("\n".join([f"the batch transform is {job.transform_job_status}{reason}", *last]))
        s3 = _client(self.session, "s3")
        with _explained("reading the batch transform's scores"):
            found = _objects(self.session, f"{self.place}/scored/")
            texts = [s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for bucket, key in found]
        return np.array("".join(texts).split(), dtype=np.float64)

    def register(self, group: str, description: str) -> str:
        """Put the model into a group of the Model Registry, to be approved there; gives the version's ARN.

        Its archive is copied to a place that outlives this deployment.
        """
        sagemaker, s3 = _client(self.session, "sagemaker"), _client(self.session, "s3")
        bucket, key = _split_url(self.model_url)
        kept = f"{self.prefix}/registered/{self.name}/model.tar.gz"
        with _explained(f"registering the model in {group}"):
            s3.copy_object(Bucket=self.bucket, Key=kept, CopySource={"Bucket": bucket, "Key": key})
            try:
                sagemaker.describe_model_package_group(ModelPackageGroupName=group)
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in ("ValidationException", "ResourceNotFound"):
                    raise
                sagemaker.create_model_package_group(ModelPackageGroupName=group)
            container = {"Image": self.image, "ModelDataUrl": f"s3://{self.bucket}/{kept}"}
            return sagemaker.create_model_package(
                ModelPackageGroupName=group,
                ModelPackageDescription=description[:1024],
                InferenceSpecification={
                    "Containers": [container],
                    "SupportedContentTypes": ["text/csv", "application/json", "application/jsonlines"],
                    "SupportedResponseMIMETypes": ["text/csv", "application/json", "application/jsonlines"],
                },
                ModelApprovalStatus="PendingManualApproval",
            )["ModelPackageArn"]

    def autoscale(self, most: int, invocations_a_minute: int = 3_000) -> None:
        """Let the endpoint grow to so many instances, and shrink to one, by its invocations."""
        scaling = _client(self.session, "application-autoscaling")
        dimension = "sagemaker:variant:DesiredInstanceCount"
        target = {"ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{self.name}/variant/{VARIANT}"}
        target["ScalableDimension"] = dimension
        metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
        with _explained("setting up autoscaling"):
            scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=most)
            scaling.put_scaling_policy(
                **target,
                PolicyName=self.name,
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration={
                    "TargetValue": invocations_a_minute,
                    "PredefinedMetricSpecification": metric,
                },
            )


def _parquet(rows: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    rows.to_parquet(out, index=False)
    return out.getvalue()


def _split_url(url: str) -> tuple[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


# Deletion -------------------------------------------------------------------------------------------------------------

_ACTIVE = ("InProgress", "Stopping")


def _resources(
    session: boto3.Session, run: str, deployment: str = "", before: datetime | None = None
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Kind, name and tags of what a run has made on SageMaker and can still be stopped or deleted.

    By listing names and reading tags: the tagging service that could do both at once lags behind by minutes.
    """
    sagemaker = _client(session, "sagemaker")
    for kind in ("Endpoint", "EndpointConfig", "Model", "TrainingJob", "TransformJob"):
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()
        asked: dict[str, Any] = {"NameContains": deployment or (_stem(run) if run else "fraud-"), "MaxResults": 100}
        if before:
            asked["CreationTimeBefore"] = before
        for page in sagemaker.get_paginator(f"list_{words}s").paginate(**asked):
            items = next(value for value in page.values() if isinstance(value, list))
            for item in items:
                if kind.endswith("Job") and item[f"{kind}Status"] not in _ACTIVE:
                    continue
                try:
                    found = sagemaker.list_tags(ResourceArn=item[f"{kind}Arn"])["Tags"]
                except botocore.exceptions.ClientError as error:
                    if "AccessDenied" in error.response["Error"]["Code"]:
                        raise
                    continue  # somebody deleted it in the meantime
                tags = {tag["Key"]: tag["Value"] for tag in found}
                if RUN_TAG in tags and run in ("", tags[RUN_TAG]):
                    yield kind, item[f"{kind}Name"], tags


def _objects(session: boto3.Session, url: str) -> list[tuple[str, str]]:
    bucket, prefix = _split_url(url)
    pages = _client(session, "s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [(bucket, item["Key"]) for page in pages for item in page.get("Contents", [])]


def cleanup(
    session: boto3.Session,
    run: str = "",
    deployment: str = "",
    bucket: str = "",
    prefix: str = "fraud-detection",
    older_than: timedelta | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> int:
    """Stop and delete what carries a run's tag, and the data it was made from; gives how many things that were.

    Registered models and captured requests stay: somebody asked for them.

    Parameters
    ----------
    run : str
        Its name; empty for all runs, which needs `older_than`.
    deployment : str
        One deployment of the run only.
    bucket, prefix : str
        Where data lies for which there is no tag to tell; the account's default bucket when empty.
    older_than : timedelta, optional
        Leave what is younger.
    say : callable
        Told each thing that is deleted.
    """
    before = datetime.now(UTC) - older_than if older_than is not None else None
    sagemaker, done = _client(session, "sagemaker"), 0
    with _explained("deleting"):
        places: set[str] = set()
        stopping: list[tuple[str, str]] = []
        for kind, name, tags in list(_resources(session, run, deployment, before)):
            say(f"{kind} {name}")
            done += 1
            if tags.get(PLACE_TAG, "").endswith(f"/{name}"):  # else it is not ours to empty
                places.add(tags[PLACE_TAG])
            if kind.endswith("Job"):
                stopping.append((kind, name))
                _stop_job(sagemaker, kind, name)
            elif kind == "Endpoint":
                _delete_endpoint(session, name)
            else:
                words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()
                _unless_gone(getattr(sagemaker, f"delete_{words}"), **{f"{kind}Name": name})
        for kind, name in stopping:  # their last files are written when they end
            _wait_for_job(sagemaker, kind, name)
        bucket = bucket or f"sagemaker-{session.region_name}-{_account(session)}"
        places |= set(_data_folders(session, bucket, prefix, run, deployment, before))
        for place in sorted(places):
            done += _delete_objects(session, place, say)
    return done


def _unless_gone(call: Callable[..., Any], **request: Any) -> None:
    try:
        call(**request)
    except botocore.exceptions.ClientError as error:
        if not re.search("could not find|not found|does not exist", str(error), re.I):
            raise


def _stop_job(sagemaker: Any, kind: str, name: str) -> None:
    stop = sagemaker.stop_training_job if kind == "TrainingJob" else sagemaker.stop_transform_job
    with contextlib.suppress(botocore.exceptions.ClientError):  # it has ended by itself, or is stopping
        stop(**{f"{kind}Name": name})


def _wait_for_job(sagemaker: Any, kind: str, name: str) -> None:
    describe = sagemaker.describe_training_job if kind == "TrainingJob" else sagemaker.describe_transform_job
    until = time.monotonic() + 15 * 60
    while describe(**{f"{kind}Name": name})[f"{kind}Status"] in _ACTIVE:
        if time.monotonic() > until:
            raise DeployError(f"{kind} {name} has not stopped in 15 minutes; look at it in the console")
        time.sleep(1)


def _delete_endpoint(session: boto3.Session, name: str) -> None:
    """Delete an endpoint, waiting while it is being made: AWS refuses until then."""
    sagemaker, scaling = _client(session, "sagemaker"), _client(session, "application-autoscaling")
    resource = f"endpoint/{name}/variant/{VARIANT}"
    found = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])
    for target in found["ScalableTargets"]:
        keys = ("ServiceNamespace", "ResourceId", "ScalableDimension")
        scaling.deregister_scalable_target(**{key: target[key] for key in keys})
    until, pause = time.monotonic() + 30 * 60, 0.2
    while True:
        try:
            status = sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]
            if status in ("InService", "Failed", "OutOfService", "UpdateRollbackFailed"):
                sagemaker.delete_endpoint(EndpointName=name)
        except botocore.exceptions.ClientError as error:
            if "could not find" in str(error).lower():
                return
            if "in-progress" not in str(error):
                raise
        if time.monotonic() > until:
            raise DeployError(f"endpoint {name} is still {status} after 30 minutes and BILLS; delete it in the console")
        time.sleep(pause)
        pause = min(2 * pause, 5)


def _data_folders(
    session: boto3.Session, bucket: str, prefix: str, run: str, deployment: str, before: datetime | None
) -> Iterator[str]:
    """S3 folders of deployments, by their names: a kill between upload and first job leaves no tag to go by."""
    s3 = _client(session, "s3")
    stem = deployment or (f"{_stem(run)}-" if run else "fraud-")
    try:
        pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/{stem}"))
    except s3.exceptions.NoSuchBucket:
        return
    newest: dict[str, datetime] = {}
    for item in (item for page in pages for item in page.get("Contents", [])):
        folder = "/".join(item["Key"].split("/")[: prefix.count("/") + 2])
        newest[folder] = max(item["LastModified"], newest.get(folder, item["LastModified"]))
    yield from (f"s3://{bucket}/{folder}" for folder, time in newest.items() if before is None or time < before)


def _delete_objects(session: boto3.Session, place: str, say: Callable[[str], None]) -> int:
    s3 = _client(session, "s3")
    found = _objects(session, f"{place}/")
    if found:
        say(f"{len(found)} objects under {place}")
    for start in range(0, len(found), 1000):
        keys = [{"Key": key} for _, key in found[start : start + 1000]]
        errors = s3.delete_objects(Bucket=found[0][0], Delete={"Objects": keys, "Quiet": True}).get("Errors", [])
        if errors:
            raise DeployError(f"{place}: {errors[0]['Key']} was not deleted: {errors[0].get('Message')}")
    return bool(found)


def main(arguments: list[str] | None = None) -> int:
    """Run `python -m fraud_utils.deploy cleanup`."""
    parser = argparse.ArgumentParser(prog="python -m fraud_utils.deploy")
    command = parser.add_subparsers(required=True).add_parser(
        "cleanup", help="delete what notebook 03 made and left: endpoints, configurations, models, jobs, data"
    )
    command.add_argument("--run", default="", help="the run's name, as in runs/NAME")
    command.add_argument("--older-than", type=_duration, metavar="AGE", help="only what is older: 45m, 6h, 2d")
    command.add_argument("--deployment", default="", help="one deployment only, by the name that its notebook shows")
    command.add_argument("--target", default="aws", choices=("aws", "local"), help="local needs AWS_ENDPOINT_URL")
    command.add_argument("--region", default="", help="AWS_REGION's or the profile's when it is not given")
    command.add_argument("--bucket", default="", help="of the data; SageMaker's default bucket when it is not given")
    command.add_argument("--prefix", default="fraud-detection", help="of the data in the bucket")
    options = parser.parse_args(arguments)
    if not options.run and options.older_than is None:
        command.error("name a run with --run, or an age with --older-than for all runs")
    if options.target == "local" and not os.environ.get("AWS_ENDPOINT_URL"):
        print("no AWS_ENDPOINT_URL: SageMaker on this machine ended with its notebook, and nothing is left of it")
        return 0
    try:
        session = _session(options.target, options.region)
        done = cleanup(
            *(session, options.run, options.deployment, options.bucket, options.prefix, options.older_than),
            say=lambda text: print(f"deleting {text}", flush=True),
        )
        left = [f"{kind} {name}" for kind, name, _ in _resources(session, options.run, options.deployment)]
    except (DeployError, botocore.exceptions.BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if left and options.older_than is None:
        print(f"error: still there: {', '.join(left)}; run this again", file=sys.stderr)
        return 1
    print("nothing was left" if not done else f"deleted {done}; nothing is left")
    return 0


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)([mhd])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; write 45m, 6h or 2d")
    return timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[found[2]]: int(found[1])})


# Words ----------------------------------------------------------------------------------------------------------------


def read_choice(run_folder: str | Path) -> dict[str, Any]:
    """What notebook 02 chose in this run, with the average precision it `reached` on the test set.

    Raises
    ------
    DeployError
        Notebook 02 has not run there.
    """
    recorded = results.raw(run_folder)
    try:
        choice = recorded["chosen"]
        tested = next(model["test"] for model in recorded["models"] if model["name"] == choice["name"])
    except (KeyError, StopIteration):
        raise DeployError(
            f"{run_folder}: no choice is recorded there; run notebook 02 with the same run_folder first"
        ) from None
    return choice | {"reached": tested["average_precision"]}


def describe_price(instance: str, count: int = 1, serverless: bool = False, memory_mb: int = 2048) -> str:
    """What the endpoint costs on AWS, with date and source."""
    if serverless:
        price = memory_mb / 1024 * SERVERLESS_GB_SECOND * 3600
        return f"On AWS: about {price:.2f} USD for an hour of answering, nothing between requests ({PRICES_FROM})."
    if instance not in PRICES:
        return f"On AWS: no price is noted for {instance}; {PRICES_FROM.split('; ')[1]}."
    return f"On AWS: about {count * PRICES[instance]:.3f} USD an hour, used or not ({PRICES_FROM})."


def describe(
    choice: Mapping[str, Any],
    served: np.ndarray,
    difference: float,
    reached: float,
    latency_ms: Mapping[str, float],
    deleted: bool,
) -> str:
    """The notebook's findings."""
    same = "as" if abs(reached - choice["reached"]) < 1e-6 else f"**not** the {choice['reached']:.4f} that was found"
    return "\n".join(
        [
            f"- **{choice['name']}** was trained as a SageMaker job and served by an endpoint.",
            f"- All {len(served):,} test rows were scored through the endpoint and by a batch transform; the largest "
            f"difference from scoring in the notebook is {difference:.2g}.",
            f"- Served scores reach an average precision of {reached:.4f} on the test set, {same} in notebook 02.",
            f"- A single row took {latency_ms['p50']:.1f} ms in the median, {latency_ms['p99']:.1f} ms in the slowest "
            "hundredth, from this client.",
            "- The endpoint and all that belonged to it are gone." if deleted else "- **The endpoint is still there.**",
        ]
    )
