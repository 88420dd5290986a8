"""What deployments make, kind by kind: how it is listed, and how it ends."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore import exceptions

from fraud_utils.deploy import canary
from fraud_utils.deploy.errors import explained
from fraud_utils.deploy.place import NAME, RUN_TAG, short, stem
from fraud_utils.deploy.session import Connection

GONE = re.compile("could not find|not found|does not exist|is in status|no scalable target", re.IGNORECASE)
ACTIVE = ("InProgress", "Stopping")  # of a job; one that has ended is history, and free


@dataclass(frozen=True)
class Kind:
    """A kind of thing: what lists it, what stops a job or deletes anything else, what tells a job's status."""

    name: str  # as SageMaker's own names have it: `EndpointName`, `EndpointArn`
    paginator: str
    items: str  # where a page holds the list
    end: Callable[[Connection, str], Any]  # by its name, as below
    status: Callable[[Connection, str], str] | None = None
    named: Callable[[str], str] = str  # what it is called, of a deployment's name or how such names begin


TUNING_JOB = Kind(
    *("HyperParameterTuningJob", "list_hyper_parameter_tuning_jobs", "HyperParameterTuningJobSummaries"),
    end=lambda to, name: to.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
    status=lambda to, name: to.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)[
        "HyperParameterTuningJobStatus"
    ],
    named=short,
)
TRAINING_JOB = Kind(
    *("TrainingJob", "list_training_jobs", "TrainingJobSummaries"),
    end=lambda to, name: to.sagemaker.stop_training_job(TrainingJobName=name),
    status=lambda to, name: to.sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"],
)
TRANSFORM_JOB = Kind(
    *("TransformJob", "list_transform_jobs", "TransformJobSummaries"),
    end=lambda to, name: to.sagemaker.stop_transform_job(TransformJobName=name),
    status=lambda to, name: to.sagemaker.describe_transform_job(TransformJobName=name)["TransformJobStatus"],
)
ENDPOINT = Kind(
    *("Endpoint", "list_endpoints", "Endpoints"), end=lambda to, name: to.sagemaker.delete_endpoint(EndpointName=name)
)
ENDPOINT_CONFIG = Kind(
    *("EndpointConfig", "list_endpoint_configs", "EndpointConfigs"),
    end=lambda to, name: to.sagemaker.delete_endpoint_config(EndpointConfigName=name),
)
# What watches over an update of an endpoint, under the endpoint's name.
ALARMS = Kind("Alarm", "describe_alarms", "MetricAlarms", end=canary.end)
MODEL = Kind(*("Model", "list_models", "Models"), end=lambda to, name: to.sagemaker.delete_model(ModelName=name))
KINDS = (
    TUNING_JOB,
    TRAINING_JOB,
    TRANSFORM_JOB,
    ENDPOINT,
    ALARMS,
    ENDPOINT_CONFIG,
    MODEL,
)  # in the order in which they are to end


@dataclass(frozen=True)
class Scope:
    """Which things are meant."""

    run: str = ""  # empty for all
    deployment: str = ""  # empty for all of the run's
    before: datetime | None = None  # only what was made before

    @property
    def stem(self) -> str:
        """How their names begin."""
        return self.deployment or (f"{stem(self.run)}-" if self.run else "fraud-")

    def has_name(self, name: str) -> bool:
        """Whether a name alone shows that its bearer is meant; never so for the things of all runs."""
        named = bool(self.run or self.deployment)
        return named and name.startswith((self.stem, short(self.stem))) and NAME.fullmatch(name) is not None


def list_names(connection: Connection, kind: Kind, scope: Scope) -> Iterator[tuple[str, str]]:
    """Names and ARNs of what may be in scope and can still be stopped or deleted; the tags tell whether it is.

    By listing names and reading tags: the tagging service that could do both at once lags behind by minutes.
    """
    if kind is ALARMS:
        yield from _alarms(connection, scope)
        return
    wanted: dict[str, Any] = {"NameContains": kind.named(scope.stem), "MaxResults": 100}
    if scope.before:
        wanted["CreationTimeBefore"] = scope.before
    for page in connection.sagemaker.get_paginator(kind.paginator).paginate(**wanted):
        for item in page[kind.items]:
            if kind.status is None or item[f"{kind.name}Status"] in ACTIVE:
                yield item[f"{kind.name}Name"], item[f"{kind.name}Arn"]


def _alarms(connection: Connection, scope: Scope) -> Iterator[tuple[str, str]]:
    """The endpoints that alarms watch over, and the ARN of one of these."""
    found = {}
    for page in connection.client("cloudwatch").get_paginator(ALARMS.paginator).paginate(AlarmNamePrefix=scope.stem):
        for item in page[ALARMS.items]:
            if not scope.before or item["AlarmConfigurationUpdatedTimestamp"] < scope.before:
                found[item["AlarmName"].rpartition("-")[0]] = item["AlarmArn"]
    yield from found.items()


def read_tags(connection: Connection, arn: str, scope: Scope) -> dict[str, str] | None:
    """The tags of a resource; None where they show that it is not in scope, or somebody has deleted it meanwhile."""
    try:
        if arn.split(":")[2] == "cloudwatch":
            answer = connection.client("cloudwatch").list_tags_for_resource(ResourceARN=arn)
        else:
            answer = connection.sagemaker.list_tags(ResourceArn=arn)
    except exceptions.ClientError as error:
        if "AccessDenied" in error.response["Error"]["Code"]:
            raise
        return None
    tags = {tag["Key"]: tag["Value"] for tag in answer["Tags"]}
    return tags if RUN_TAG in tags and scope.run in ("", tags[RUN_TAG]) else None


def find(connection: Connection, scope: Scope) -> list[str]:
    """Kind and name of everything in scope."""
    return [
        f"{kind.name} {name}"
        for kind in KINDS
        for name, arn in list_names(connection, kind, scope)
        if read_tags(connection, arn, scope) is not None
    ]


def is_there(end: Callable[..., Any], *arguments: Any, **request: Any) -> bool:
    """Ask for the end of a thing; returns whether there is one, which AWS may not end for as long as it is made."""
    try:
        end(*arguments, **request)
    except exceptions.ClientError as error:
        if GONE.search(str(error)):
            return False
        if "in-progress" not in str(error):
            raise
    return True


def end(connection: Connection, kind: Kind, name: str) -> None:
    """Delete one thing, if it is there."""
    with explained(f"deleting {kind.name} {name}"):
        is_there(kind.end, connection, name)
