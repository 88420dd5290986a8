"""Jobs: a training job or a batch transform is started and followed, and what it logs and makes comes back."""

import json
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema, Split
from fraud_utils.deploy import storage
from fraud_utils.deploy.errors import DeployError, explained
from fraud_utils.deploy.place import Site
from fraud_utils.record import Choice

LONGEST_HYPERPARAMETER = 2_500  # characters that SageMaker takes
LEAST_GB = 30  # of a job's disk
TRAIN_HOURS, SPOT_HOURS = 4, 8  # after which a job is stopped; how long a spot job may also wait for its instance
METRICS = (
    *("round", "train_average_precision", "validation_average_precision", "train_log_loss", "validation_log_loss"),
    *("cv_average_precision", "cv_rounds"),  # of a job that judges settings on folds, for a tuning job
)
PER_ROUND = ("validation_logloss", "validation_aucpr")  # after every twentieth of the rounds, for a tuning job, too


@dataclass(frozen=True)
class Training:
    """What a training job runs on."""

    instance: str = "ml.m5.xlarge"
    spot: bool = False  # spare capacity, cheaper and at times taken away; the job goes on from its last checkpoint
    count: int = 1  # instances, each of which learns from a part of the rows

    def check(self, choice: Choice) -> None:
        """Refuse what so many instances cannot do, before anything is started.

        Raises
        ------
        DeployError
            There is none, or rows are to be made between rows that several of them have.
        """
        if self.count < 1:
            raise DeployError(f"train_count is {self.count}; a training job runs on at least 1 instance")
        imbalance = str(choice.hyperparameters.get("imbalance", "none"))
        if self.count > 1 and "SMOTE" in imbalance:
            raise DeployError(
                f"{choice.name} is trained with {imbalance}, which makes rows between a fraud and its nearest frauds, "
                f"and on {self.count} instances some of these lie elsewhere; set train_count to 1"
            )


def hyperparameters(choice: Choice) -> dict[str, str]:
    """A choice as a training job takes it: every value a string.

    Raises
    ------
    DeployError
        A value is longer than SageMaker takes.
    """
    values = choice.hyperparameters | {"thresholds": choice.thresholds, "decides": choice.decides}
    values |= {"tiers": asdict(choice.tiers)} if choice.tiers else {}
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    for name, text in texts.items():
        if len(text) > LONGEST_HYPERPARAMETER:
            raise DeployError(
                f"hyperparameter {name!r} is {len(text)} characters long; SageMaker takes {LONGEST_HYPERPARAMETER}"
            )
    return texts


def volume_gb(split: Split, schema: Schema) -> int:
    """The disk that a job on these rows needs, should they be more than its memory, in GB.

    There are then the rows as they were uploaded and the program's copy of them, at most 8 bytes a value each, what
    the model sees at 4 bytes a value (a category is a column for each of its values), and XGBoost's pages of that, up
    to 8. A million rows as in the reference set took 735 MB, which these figures put at 845; of flags, which parquet
    packs to a fifth, 556 MB: bytes uploaded would tell less than rows and columns do.
    """
    loaded = schema.as_loaded
    seen = len(FeatureMap.fit(loaded, split.train).names)
    needed = (split.train_rows + split.test_rows) * (16 * len(loaded.columns) + 12 * seen)
    return max(LEAST_GB, math.ceil(needed / 2**30) + 10)


def train(site: Site, values: Mapping[str, str], uploaded: Mapping[str, str], options: Training, volume: int) -> Any:
    """Run a training job to its end, showing its status and log lines as they come; returns the SDK's job.

    Parameters
    ----------
    volume : int
        GB of disk that each instance gets.
    """
    from sagemaker.core import shapes
    from sagemaker.core.resources import TrainingJob

    # Early stopping would choose the number of trees on the rows that are kept for the end.
    stops_early = float(values.get("early_stopping_rounds", 0)) > 0
    channels = {name: uploaded[name] for name in ("train", *(() if stops_early else ("validation",)), "schema")}
    security = site.place.security
    limits: dict[str, Any] = {"max_runtime_in_seconds": TRAIN_HOURS * 3600}
    spot: dict[str, Any] = {}
    if options.spot:
        limits["max_wait_time_in_seconds"] = SPOT_HOURS * 3600
        spot["enable_managed_spot_training"] = True
        spot["checkpoint_config"] = shapes.CheckpointConfig(s3_uri=f"{site.url}/checkpoints")
    metrics = [shapes.MetricDefinition(name=name, regex=regex(name)) for name in METRICS + PER_ROUND]
    with explained("starting the training job"):
        job: Any = TrainingJob.create(
            training_job_name=site.name,
            role_arn=site.place.role,
            algorithm_specification=shapes.AlgorithmSpecification(
                training_image=site.place.image, training_input_mode="File", metric_definitions=metrics
            ),
            hyper_parameters=dict(values),
            input_data_config=[_channel(name, url) for name, url in channels.items()],
            output_data_config=shapes.OutputDataConfig(
                s3_output_path=f"{site.url}/jobs", **_given(kms_key_id=security.output_key)
            ),
            resource_config=shapes.ResourceConfig(
                instance_type=options.instance,
                instance_count=options.count,
                volume_size_in_gb=volume,
                **_given(volume_kms_key_id=security.volume_key),
            ),
            stopping_condition=shapes.StoppingCondition(**limits),
            **spot,
            **site.network,
            **site.sdk,
        )
    lines = log_lines(site, "/aws/sagemaker/TrainingJobs", site.name)
    follow(site, "training job", job, lambda: (job.secondary_status, _ended(job.training_job_status)), lines)
    if job.training_job_status == "Failed":
        reason = re.sub(r"^AlgorithmError: (.*?)(, exit code: \d+)?$", r"\1", job.failure_reason, flags=re.S)
        raise DeployError(f"the training job failed: {reason or job.failure_reason}")
    if job.training_job_status == "Stopped":
        raise DeployError(f"the training job was stopped before its end ({job.secondary_status}); run it again")
    return job


def regex(metric: str) -> str:
    """How a metric stands in a job's log."""
    return rf"\b{metric}:([-+.\deE]+);"


def _given(**arguments: str) -> dict[str, Any]:
    """The arguments that are not empty."""
    return {name: value for name, value in arguments.items() if value}


def _channel(name: str, url: str) -> Any:
    from sagemaker.core import shapes

    source = shapes.S3DataSource(s3_data_type="S3Prefix", s3_uri=url)
    return shapes.Channel(channel_name=name, data_source=shapes.DataSource(s3_data_source=source))


def transform(site: Site, model: str, url: str, instance: str) -> np.ndarray:
    """Score the rows under an S3 address by a batch transform; see `Deployment.transform`."""
    from sagemaker.core import shapes
    from sagemaker.core.resources import TransformJob

    security = site.place.security
    source = shapes.TransformS3DataSource(s3_data_type="S3Prefix", s3_uri=url)
    with explained("starting the batch transform"):
        job: Any = TransformJob.create(
            transform_job_name=site.name,
            model_name=model,
            batch_strategy="MultiRecord",
            transform_input=shapes.TransformInput(
                data_source=shapes.TransformDataSource(s3_data_source=source),
                content_type="text/csv",
                split_type="Line",
            ),
            transform_output=shapes.TransformOutput(
                s3_output_path=f"{site.url}/scored",
                accept="text/csv",
                assemble_with="Line",
                **_given(kms_key_id=security.output_key),
            ),
            transform_resources=shapes.TransformResources(
                instance_type=instance, instance_count=1, **_given(volume_kms_key_id=security.volume_key)
            ),
            **site.sdk,
        )
    follow(site, "batch transform", job, lambda: (job.transform_job_status, _ended(job.transform_job_status)))
    if job.transform_job_status != "Completed":
        last = log_lines(site, "/aws/sagemaker/TransformJobs", site.name)()[-5:]
        reason = f": {job.failure_reason}" if job.transform_job_status == "Failed" else ""
        raise DeployError("\n".join([f"the batch transform is {job.transform_job_status}{reason}", *last]))
    with explained("reading the batch transform's scores"):
        urls = sorted(storage.list_objects(site.connection, f"{site.url}/scored/"), key=_input_of)
        return scores_of(line for each in urls for line in storage.lines(site.connection, each))


def _input_of(url: str) -> str:
    """What the batch transform made an object of, by which objects are in order."""
    return url.removesuffix(".out")


def scores_of(lines: Iterable[str]) -> np.ndarray:
    """The scores in lines of CSV, where an id stands before each if the schema has one."""
    return np.fromiter((float(line.rpartition(",")[2]) for line in lines if line.strip()), dtype=np.float64)


def _ended(status: str) -> bool:
    return status in ("Completed", "Failed", "Stopped")


def follow(
    site: Site,
    what: str,
    resource: Any,
    state: Callable[[], tuple[str, bool]],
    lines: Callable[[], list[str]] = list,
) -> None:
    """Print a resource's status when it changes, and what it logs, until its state says that it has ended."""
    shown, ended = "", False
    while not ended:
        with explained(f"following the {what}"):
            resource.refresh()
            status, ended = state()
            if status != shown:
                print(f"{datetime.now():%H:%M:%S} {what} {status}", flush=True)
                shown = status
            for line in lines():
                print(line, flush=True)
        if not ended:
            time.sleep(5 if site.connection.target == "aws" else 0.2)


def log_lines(site: Site, group: str, stream: str) -> Callable[[], list[str]]:
    """A function that gives what has been logged since the last call."""
    logs = site.connection.client("logs")
    tokens: dict[str, str] = {}

    def new_lines() -> list[str]:
        lines: list[str] = []
        try:
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)["logStreams"]
            for name in sorted(each["logStreamName"] for each in streams):
                token = {"nextToken": tokens[name]} if name in tokens else {}
                page = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True, **token)
                lines += [event["message"] for event in page["events"]]
                tokens[name] = page["nextForwardToken"]
        except logs.exceptions.ResourceNotFoundException:
            pass  # nothing has been logged yet
        return lines

    return new_lines
