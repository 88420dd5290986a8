"""The search as a tuning job: its table is that of the search in the notebook, and nothing is left of it."""

import boto3
import deployments
import pytest

from fraud_utils import deploy
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import ULB
from fraud_utils.deploy.place import short, stem
from fraud_utils.evaluation import Protocol, Rows, tune
from fraud_utils.models import Candidate

START = Candidate("xgboost", hyperparameters={"num_round": 10, "eta": 0.9})


def test_a_tuning_job_finds_settings_that_the_notebook_would_judge_alike(deployment, split, log):
    job = tune.as_job(START, Protocol(seed=3))
    log.write_text("")
    uploaded = deployment.upload(split, ULB)
    deployment.volume_gb = 45
    table = deployment.tune(job, uploaded, 2, deploy.Training())
    assert len(table) == 2
    assert table["average_precision"].is_monotonic_decreasing
    assert {"sagemaker:CreateHyperParameterTuningJob", "sagemaker:ListTrainingJobsForHyperParameterTuningJob"} <= (
        deployments.actions(log)
    )
    (newest,) = boto3.client("sagemaker").list_training_jobs(MaxResults=1)["TrainingJobSummaries"]
    described = boto3.client("sagemaker").describe_training_job(TrainingJobName=newest["TrainingJobName"])
    assert described["ResourceConfig"]["VolumeSizeInGB"] == 45
    winner = tune.winner(table, START)
    assert winner.name == "xgboost (tuned)"
    assert "best of 2 training jobs" in tune.describe(table)
    rows = Rows.of(split.train, ULB, FeatureMap.fit(ULB, split.train))
    again = Candidate("xgboost", hyperparameters=dict(winner.hyperparameters))
    _, judged = tune.tune(rows, Protocol(seed=3, jobs=1), 1, 1e9, again)
    assert judged["average_precision"].iloc[0] == pytest.approx(table["average_precision"].iloc[0], abs=1e-6)
    assert deployment.delete()
    assert deployments.left("some run_1") == []


def test_a_tuning_job_that_goes_on_is_stopped_with_the_deployment(deployment, split):
    uploaded = deployment.upload(split, ULB)
    sagemaker, name = boto3.client("sagemaker"), {"HyperParameterTuningJobName": short(deployment.name)}
    fixed, space = tune.as_job(START, Protocol())
    with pytest.raises(deploy.DeployError, match="'num_round' is '0'"):
        deployment.tune(({**fixed, "num_round": 0}, space), uploaded, 1, deploy.Training())
    assert sagemaker.describe_hyper_parameter_tuning_job(**name)["HyperParameterTuningJobStatus"] == "Failed"
    assert deployment.delete()


def test_of_a_sample_no_tuning_job_is_started(split):
    sampled = split.train.head(100)
    sampled.attrs["whole"] = {"share": 0.1}
    deploy.require_all_rows(split.train, 2)
    deploy.require_all_rows(sampled, 0)
    with pytest.raises(deploy.DeployError, match=r"tune_jobs=2: .* Leave tune_jobs out, .* set most_rows to as many"):
        deploy.require_all_rows(sampled, 2)


def test_names_of_tuning_jobs_are_short_and_known_by_the_run(deployment):
    assert len(short(deployment.name)) <= 32
    run = "a run with a long name, whose end is cut off"
    whole = f"{stem(run)}-1127101010-ab12"
    assert short(whole).startswith(short(f"{stem(run)}-"))
    assert short("fraud-") == "fraud-"
