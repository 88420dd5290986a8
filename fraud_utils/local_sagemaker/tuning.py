"""Tuning jobs: training jobs with settings drawn at random, a few at a time, and which of them did best."""

from __future__ import annotations

import math
import random
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fraud_utils.local_sagemaker.account import Job
from fraud_utils.local_sagemaker.checks import ApiError, check
from fraud_utils.local_sagemaker.jobs import TrainingJob
from fraud_utils.local_sagemaker.storage import JobError

ENDED = ("Completed", "Failed", "Stopped")
RANGES = ("IntegerParameterRanges", "ContinuousParameterRanges", "CategoricalParameterRanges")
OBJECTIVE = "HyperParameterTuningJobObjective"
PASSED = (  # members of a definition that each training job gets as they are
    *("RoleArn", "AlgorithmSpecification", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "VpcConfig"),
    *("StoppingCondition", "EnableNetworkIsolation", "EnableManagedSpotTraining", "CheckpointConfig", "Environment"),
)


class TuningJob(Job):
    """As many training jobs as its limit, so many at a time, by random search.

    A job's figure is the last value of the objective's metric in its log.
    """

    kind, word, title = "HyperParameterTuningJob", "hyper-parameter-tuning-job", "tuning job"

    def prepare(self) -> None:
        self.jobs: list[TrainingJob] = []
        self._config = self.record["HyperParameterTuningJobConfig"]
        self._definition = self.record.get("TrainingJobDefinition", {})
        self._limits = self._config["ResourceLimits"]
        self._objective = self._config.get(OBJECTIVE, {})
        algorithm = self._definition.get("AlgorithmSpecification", {})
        metrics = [each["Name"] for each in algorithm.get("MetricDefinitions", [])]
        if self._objective.get("MetricName") not in metrics:
            raise ApiError(
                f"The objective metric must be one of the MetricDefinitions: {', '.join(metrics) or 'none'}."
            )
        if "MaxNumberOfTrainingJobs" not in self._limits:
            raise ApiError("ResourceLimits must have MaxNumberOfTrainingJobs.")
        given = self._config.get("ParameterRanges", {})
        self._ranges = [(kind, each) for kind in RANGES for each in given.get(kind, [])]
        if not self._ranges:
            raise ApiError("ParameterRanges must have at least one range.")
        for kind, each in self._ranges:
            if kind != RANGES[2] and not float(each["MinValue"]) < float(each["MaxValue"]):
                raise ApiError(f"MinValue of {each['Name']} must be below its MaxValue.")
            if each.get("ScalingType") == "Logarithmic" and float(each["MinValue"]) <= 0:
                raise ApiError(f"{each['Name']} has logarithmic scaling, so its MinValue must be above 0.")
        if (
            fixed := {each["Name"] for _, each in self._ranges}
            & self._definition.get("StaticHyperParameters", {}).keys()
        ):
            raise ApiError(f"Hyperparameters are static and tuned: {', '.join(sorted(fixed))}.")
        self._draw = random.Random(self._config.get("RandomSeed"))  # noqa: S311
        check("CreateTrainingJob", self._request({}))
        self.account.check_image(algorithm.get("TrainingImage", ""))
        self.record |= {"HyperParameterTuningJobStatus": "InProgress", "Strategy": self._config["Strategy"]}
        self.record |= {"ResourceLimits": self._limits}
        self._count()

    def _request(self, drawn: Mapping[str, str]) -> dict[str, Any]:
        """A training job with these settings."""
        metric = {"_tuning_objective_metric": self._objective["MetricName"]}
        return {
            "TrainingJobName": f"{self.name}-{len(self.jobs) + 1:03d}-{uuid.uuid4().hex[:8]}",
            "HyperParameters": {**self._definition.get("StaticHyperParameters", {}), **drawn, **metric},
            **{name: self._definition[name] for name in PASSED if name in self._definition},
        }

    def _drawn(self, kind: str, where: Mapping[str, Any]) -> str:
        if kind == RANGES[2]:
            return self._draw.choice(where["Values"])
        low, high = float(where["MinValue"]), float(where["MaxValue"])
        if kind == RANGES[0]:
            low, high = low - 0.499, high + 0.499  # so that the ends are as likely as others
        if where.get("ScalingType") == "Logarithmic":
            value = math.exp(self._draw.uniform(math.log(low), math.log(high)))
        else:
            value = self._draw.uniform(low, high)
        return str(round(value)) if kind == RANGES[0] else repr(value)

    def run(self, folder: Path) -> None:
        seconds = self._limits.get("MaxRuntimeInSeconds", math.inf)
        began = time.monotonic()
        while True:
            over = self.stop_asked.is_set() or time.monotonic() - began > seconds
            active = [job for job in self.jobs if job.status not in ENDED]
            self._count()
            if over:
                for job in active:
                    with self.account.lock:
                        if job.status == "InProgress":
                            job.stop()
            if not active and (over or len(self.jobs) == self._limits["MaxNumberOfTrainingJobs"]):
                break
            if not over and len(active) < self._limits["MaxParallelTrainingJobs"] and self._left():
                self._begin()
            else:
                time.sleep(0.05)
        if not self.stop_asked.is_set() and not any(job.status == "Completed" for job in self.jobs):
            why = self.jobs[0].record.get("FailureReason", "") if self.jobs else ""
            raise JobError(f"All training jobs failed. The first: {why}")
        status = "Stopped" if self.stop_asked.is_set() else "Completed"
        self.set_status(status, HyperParameterTuningEndTime=time.time())

    def _left(self) -> bool:
        return len(self.jobs) < self._limits["MaxNumberOfTrainingJobs"]

    def _begin(self) -> None:
        """Start one more training job; it has this one's tags."""
        drawn = {each["Name"]: self._drawn(kind, each) for kind, each in self._ranges}
        tags = [{"Key": key, "Value": value} for key, value in self.account.tags.get(self.arn, {}).items()]
        with self.account.lock:
            request = self._request(drawn) | {"Tags": tags}
            job = self.account.create(TrainingJob, request, self.region)
            job.record["TuningJobArn"] = self.arn
            self.jobs.append(job)

    def summary(self, job: TrainingJob) -> dict[str, Any]:
        """What is listed of one of its training jobs."""
        names = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime")
        record, tuned = job.record, {each["Name"] for _, each in self._ranges}
        shown = {name: record[name] for name in (*names, "TrainingJobStatus", "FailureReason") if name in record}
        shown["TunedHyperParameters"] = {k: v for k, v in record["HyperParameters"].items() if k in tuned}
        metric = self._objective["MetricName"]
        values = [each["Value"] for each in record["FinalMetricDataList"] if each["MetricName"] == metric]
        if values:
            final = {**self._objective, "Value": values[0]}
            shown["FinalHyperParameterTuningJobObjectiveMetric"] = final
        judged = "Succeeded" if values else "Failed"
        return {**shown, "ObjectiveStatus": judged if job.status in ENDED else "Pending"}

    def _count(self) -> None:
        """Keep the number of jobs by their states, and the best of those that are completed."""
        all_of_them = [self.summary(job) for job in self.jobs]
        states, judged = (Counter(each[of] for each in all_of_them) for of in ("TrainingJobStatus", "ObjectiveStatus"))
        running = states["InProgress"] + states["Stopping"]
        counters = {"Completed": states["Completed"], "InProgress": running, "Stopped": states["Stopped"]}
        counters |= {"RetryableError": 0, "NonRetryableError": states["Failed"]}
        objectives = {name: judged[name] for name in ("Succeeded", "Pending", "Failed")}
        final, sign = "FinalHyperParameterTuningJobObjectiveMetric", 1 if self._objective["Type"] == "Maximize" else -1
        done = [each for each in all_of_them if each["TrainingJobStatus"] == "Completed" and final in each]
        best = {"BestTrainingJob": max(done, key=lambda each: sign * each[final]["Value"])} if done else {}
        self.change(TrainingJobStatusCounters=counters, ObjectiveStatusCounters=objectives, **best)
