"""Where a deployment runs, as whom, and what the things that it makes are called."""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from botocore import exceptions

from fraud_utils import project
from fraud_utils.deploy.errors import DeployError, explained
from fraud_utils.deploy.security import NO_DEMANDS, Security
from fraud_utils.deploy.session import Connection

RUN_TAG, PLACE_TAG = "fraud-detection:run", "fraud-detection:data"
REPOSITORY = "sagemaker-fraud-detect"  # make push's; "sagemaker" in it lets the usual execution role in
LOCAL_IMAGE = "fraud-detect"
NAME = re.compile(r"fraud-.*[0-9a-f]{6}-\d{10}(-[0-9a-f]{4}){1,2}")  # a deployment's, or what replaces its model
REGISTRY = re.compile(r"\d{12}\.dkr\.ecr\.([\w-]+)\.amazonaws\.com[\w.]*/([^:@]+):([^@]+)")


@dataclass(frozen=True)
class Place:
    """As whom a deployment acts, where its data lies, and what it runs."""

    role: str = ""  # ARN; empty for the notebook instance's own
    bucket: str = ""  # empty for SageMaker's default bucket, made when it is missing
    prefix: str = "fraud-detection"  # of all keys in the bucket
    image: str = ""  # in ECR, or of the local engine; empty for what make push pushed, or processes on this machine
    security: Security = NO_DEMANDS  # network, keys and tags that a company asks for


def settle(place: Place, connection: Connection) -> Place:
    """Fill in what is empty, and see that all of it is there.

    Raises
    ------
    DeployError
        Something is missing; the message says how to get it.
    """
    image = _image(place.image, connection)
    role = place.role or _role(connection)
    bucket = place.bucket or connection.default_bucket
    _find_bucket(bucket, connection)
    return replace(place, role=role, bucket=bucket, prefix=place.prefix.strip("/"), image=image)


def _image(image: str, connection: Connection) -> str:
    if connection.target == "aws" and not image:
        commit = project.commit(12)
        if not commit:
            raise DeployError("not in a git checkout: name the image with the parameter image")
        image = f"{connection.account}.dkr.ecr.{connection.region}.amazonaws.com/{REPOSITORY}:{commit}"
    if parts := REGISTRY.fullmatch(image):
        with explained(f"looking for the image {image}"):
            try:
                connection.client("ecr").describe_images(repositoryName=parts[2], imageIds=[{"imageTag": parts[3]}])
            except exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in ("ImageNotFoundException", "RepositoryNotFoundException"):
                    raise
                raise DeployError(
                    f"image {image} is not in the registry; push it with 'make push' from this commit, or name "
                    "another with the parameter image"
                ) from None
    elif connection.target == "aws":
        raise DeployError(f"image {image!r} is not in ECR: it must be ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG")
    return image or LOCAL_IMAGE


def _role(connection: Connection) -> str:
    """The execution role of the notebook instance that this is; on this machine, one that nobody checks."""
    if connection.target == "local":
        return f"arn:aws:iam::{connection.account}:role/local"
    try:
        name = json.loads(Path("/opt/ml/metadata/resource-metadata.json").read_text())["ResourceName"]
    except (OSError, ValueError, KeyError):
        raise DeployError(
            "no role: outside of a notebook instance, set the parameter role to the ARN of a role that SageMaker may "
            "assume"
        ) from None
    with explained("reading the notebook instance's role"):
        return connection.sagemaker.describe_notebook_instance(NotebookInstanceName=name)["RoleArn"]


def _find_bucket(bucket: str, connection: Connection) -> None:
    s3 = connection.s3
    with explained(f"looking for the bucket {bucket}"):
        try:
            s3.head_bucket(Bucket=bucket)
        except exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            region = {"CreateBucketConfiguration": {"LocationConstraint": connection.region}}
            s3.create_bucket(Bucket=bucket, **({} if connection.region == "us-east-1" else region))


def stem(run: str) -> str:
    """How the names of all that a run makes begin: valid on AWS, and no other run's."""
    slug = re.sub(r"[^a-zA-Z0-9]+", "-", run).strip("-")[:24].strip("-")
    return f"fraud-{slug}-{hashlib.sha256(run.encode()).hexdigest()[:6]}"


def short(name: str) -> str:
    """A deployment's name, or how those of a run begin, without the run's: a tuning job's name ends at 32 letters."""
    return re.sub(r"^fraud-.*-(?=[0-9a-f]{6}-(\d{10}-[0-9a-f]{4})?$)", "fraud-", name)


@dataclass(frozen=True)
class Site:
    """What all requests of one deployment share."""

    connection: Connection
    place: Place
    run: str
    name: str  # of the job, the model, the endpoint and its configuration; no other deployment's

    @property
    def url(self) -> str:
        """Where its data lies in S3."""
        return f"s3://{self.place.bucket}/{self.place.prefix}/{self.name}"

    @property
    def tags(self) -> dict[str, str]:
        """What everything is tagged with that it makes."""
        return {**self.place.security.tags, RUN_TAG: self.run, PLACE_TAG: self.url}

    @property
    def network(self) -> dict[str, Any]:
        """What a training job and a model take of the SDK's arguments."""
        from sagemaker.core import shapes

        security = self.place.security
        arguments: dict[str, Any] = {"enable_network_isolation": True} if security.network_isolation else {}
        if security.subnets:
            groups, subnets = list(security.security_groups), list(security.subnets)
            arguments["vpc_config"] = shapes.VpcConfig(security_group_ids=groups, subnets=subnets)
        return arguments

    @property
    def sdk(self) -> dict[str, Any]:
        """What every creation by the SDK takes; its tags have lower-case keys, where boto3's have upper-case ones."""
        tags = [{"key": key, "value": value} for key, value in self.tags.items()]
        return {"tags": tags, "session": self.connection.session, "region": self.connection.region}
