"""The search for XGBoost's settings as a tuning job, whose training jobs judge them on the folds of notebook 02."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

import pandas as pd

from fraud_utils.data import share_of
from fraud_utils.deploy import jobs
from fraud_utils.deploy.errors import DeployError, explained
from fraud_utils.deploy.jobs import Training
from fraud_utils.deploy.place import Site, short
from fraud_utils.deploy.prices import describe_tuning
from fraud_utils.evaluation import tune as search

OBJECTIVE, ROUNDS = "cv_average_precision", "cv_rounds"
AT_ONCE = 2  # training jobs; what an account may run by default


def require_all_rows(frame: pd.DataFrame, count: int) -> None:
    """See that a tuning job of so many training jobs could judge settings on these rows, before anything is uploaded.

    Raises
    ------
    DeployError
        They are a sample, and the jobs would get the whole table, which they copy in memory.
    """
    if count and share_of(frame) < 1:
        raise DeployError(
            f"tune_jobs={count}: of so large a table models are compared on some of the rows, drawn at random, and "
            "training jobs would judge settings on all of them, in memory. Leave tune_jobs out, to search on the "
            "drawn rows on this machine; or set most_rows to as many as the table has, for both to take all"
        )


def tune(
    site: Site,
    job: search.Job,
    uploaded: Mapping[str, str],
    count: int,
    options: Training,
    volume: int,
) -> pd.DataFrame:
    """Run a tuning job to its end: so many training jobs, with settings drawn at random.

    Parameters
    ----------
    job : tuple
        Hyperparameters that are fixed, and the space to draw others from; `evaluation.tune.as_job` gives them.
    volume : int
        GB of disk that each training job gets.

    Returns
    -------
    pandas.DataFrame
        As `evaluation.tune.tune` gives it, without the setting by hand.

    Raises
    ------
    DeployError
        The job was stopped, or all of its training jobs failed; the message says why the first did.
    """
    fixed, space = job
    print(describe_tuning(options, count), flush=True)
    sagemaker, name = site.connection.sagemaker, {"HyperParameterTuningJobName": short(site.name)}
    limits = {"MaxNumberOfTrainingJobs": count, "MaxParallelTrainingJobs": min(count, AT_ONCE)}
    config = {
        "Strategy": "Random",  # the only one that draws the same settings again, and on this machine
        "RandomSeed": int(fixed["seed"]),
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": OBJECTIVE},
        "ResourceLimits": limits,
        "ParameterRanges": _ranges(space),
    }
    with explained("starting the tuning job"):
        tags = [{"Key": key, "Value": value} for key, value in site.tags.items()]
        definition = _definition(site, fixed, uploaded, options, volume)
        sagemaker.create_hyper_parameter_tuning_job(
            **name, HyperParameterTuningJobConfig=config, TrainingJobDefinition=definition, Tags=tags
        )
    shown: tuple[Any, ...] = ()
    while True:
        with explained("following the tuning job"):
            described = sagemaker.describe_hyper_parameter_tuning_job(**name)
        status, done = described["HyperParameterTuningJobStatus"], described["TrainingJobStatusCounters"]["Completed"]
        if (status, done) != shown:
            print(f"tuning job {status}, {done} of {count} training jobs completed", flush=True)
            shown = status, done
        if status not in ("InProgress", "Stopping"):
            break
        time.sleep(5 if site.connection.target == "aws" else 0.2)
    if status != "Completed":
        raise DeployError(f"the tuning job is {status}: {described.get('FailureReason', 'somebody stopped it')}")
    with explained("reading what the tuning job found"):
        pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(**name)
        trials = [each for page in pages for each in page["TrainingJobSummaries"]]
        return _table(site, sorted(trials, key=lambda each: each["CreationTime"]), fixed)


def _definition(
    site: Site, fixed: Mapping[str, Any], uploaded: Mapping[str, str], options: Training, volume: int
) -> dict[str, Any]:
    security, metrics = site.place.security, (*jobs.METRICS, *jobs.PER_ROUND)
    output = {"S3OutputPath": f"{site.url}/jobs"} | ({"KmsKeyId": security.output_key} if security.output_key else {})
    disk = {"VolumeKmsKeyId": security.volume_key} if security.volume_key else {}
    groups, subnets = list(security.security_groups), list(security.subnets)
    network = {"VpcConfig": {"SecurityGroupIds": groups, "Subnets": subnets}} if subnets else {}
    sources = {name: {"S3DataType": "S3Prefix", "S3Uri": uploaded[name]} for name in ("train", "schema")}
    return {
        "StaticHyperParameters": {name: str(value) for name, value in fixed.items()},
        "AlgorithmSpecification": {
            "TrainingImage": site.place.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": each, "Regex": jobs.regex(each)} for each in metrics],
        },
        "RoleArn": site.place.role,
        "InputDataConfig": [
            {"ChannelName": name, "DataSource": {"S3DataSource": source}} for name, source in sources.items()
        ],
        "OutputDataConfig": output,
        "ResourceConfig": {"InstanceType": options.instance, "InstanceCount": 1, "VolumeSizeInGB": volume} | disk,
        "StoppingCondition": {"MaxRuntimeInSeconds": jobs.TRAIN_HOURS * 3600},
        "EnableNetworkIsolation": security.network_isolation,
        **network,
    }


def _ranges(space: Mapping[str, search.Setting]) -> dict[str, list[dict[str, Any]]]:
    """The search's space as a tuning job takes it."""
    ranges: dict[str, list[dict[str, Any]]] = {}
    for name, where in space.items():
        if not isinstance(where, search.Between):
            ranges.setdefault("CategoricalParameterRanges", []).append({"Name": name, "Values": [*map(str, where)]})
            continue
        low, high, log = astuple(where)
        kind = "IntegerParameterRanges" if where.whole else "ContinuousParameterRanges"
        bounds = {"MinValue": str(low), "MaxValue": str(high), "ScalingType": "Logarithmic" if log else "Linear"}
        ranges.setdefault(kind, []).append({"Name": name, **bounds})
    return ranges


def _table(site: Site, trials: list[dict[str, Any]], fixed: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each training job that was completed, best first, as `evaluation.tune` gives them."""
    rows = {}
    for number, trial in enumerate(trials, 1):
        if trial["TrainingJobStatus"] == "Completed":
            described = site.connection.sagemaker.describe_training_job(TrainingJobName=trial["TrainingJobName"])
            metrics = {each["MetricName"]: each["Value"] for each in described["FinalMetricDataList"]}
            drawn = {name: float(value) for name, value in trial["TunedHyperParameters"].items()}
            known = {"average_precision": metrics[OBJECTIVE], "folds": int(fixed["folds"])}
            settings = {"max_delta_step": float(fixed["max_delta_step"]), "num_round": metrics[ROUNDS]}
            rows[number] = {**known, **drawn, **settings}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("trial")
    table.attrs["stopped"] = False
    return table.sort_values("average_precision", ascending=False, kind="stable")
