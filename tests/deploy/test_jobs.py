"""Jobs that fail, that somebody stops, or that are refused."""

import concurrent.futures
import dataclasses
import json

import boto3
import deployments
import numpy as np
import pandas as pd
import pytest
import states

from fraud_utils import artifact
from fraud_utils.data import ULB, Schema, split_transactions
from fraud_utils.deploy import DeployError, Serving, Training
from fraud_utils.deploy.jobs import scores_of


def test_a_failing_training_says_what_the_program_left_in_its_failure_file(deployment, split):
    with pytest.raises(DeployError, match=r"training job failed: hyperparameter 'max_dept'.*did you mean 'max_depth'"):
        deployment.train(deployments.choice(max_dept=5), deployment.upload(split, ULB))
    assert not (deployment.run_folder / "model").exists()


def test_a_job_that_somebody_stops_leaves_no_model_that_could_be_taken_for_the_whole(server, deployment, split):
    logs, sagemaker = boto3.client("logs"), boto3.client("sagemaker")

    def grows_trees():
        try:
            events = logs.filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs", filterPattern="round")
        except logs.exceptions.ResourceNotFoundException:
            return False
        return any(deployment.name in event["logStreamName"] for event in events["events"])

    def stop():
        states.until(grows_trees, "the first tree")
        sagemaker.stop_training_job(TrainingJobName=deployment.name)

    few = dataclasses.replace(split, train=split.train.iloc[::20])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        stopped = pool.submit(stop)
        with pytest.raises(DeployError, match="stopped before its end"):
            deployment.train(deployments.endless(), deployment.upload(few, ULB))
        stopped.result()
    assert not (deployment.run_folder / "model").exists()
    assert deployments.programs(server) == []


def test_what_several_instances_cannot_train_is_refused_before_anything_starts(deployment):
    smote = deployments.choice(imbalance="SMOTE 1:10")
    with pytest.raises(DeployError, match=r"SMOTE 1:10, which makes rows between .* set train_count to 1"):
        deployment.plan(Training(count=2), Serving(), smote)
    with pytest.raises(DeployError, match="train_count is 0; a training job runs on at least 1 instance"):
        deployment.plan(Training(count=0), Serving(), smote)
    assert "USD" in deployment.plan(Training(count=1), Serving(), smote)


def test_the_disk_of_a_job_is_as_large_as_its_rows_on_disk_need(deployment, split):
    uploaded = deployment.upload(split, ULB)
    assert deployment.volume_gb == 30
    many = dataclasses.replace(split, train_rows=80_000_000, test_rows=20_000_000)
    deployment.upload(many, ULB)
    assert 80 < deployment.volume_gb < 100
    kinds = pd.Categorical([f"k{i % 30}" for i in range(len(split.train))])
    test = split.test.assign(kind="k1").astype({"kind": "category"})
    with_category = dataclasses.replace(many, train=split.train.assign(kind=kinds), test=test)
    least = deployment.volume_gb + 100_000_000 * 30 * 12 / 2**30  # 30 columns more for the model
    deployment.upload(with_category, dataclasses.replace(ULB, categorical=("kind",)))
    assert least < deployment.volume_gb < least + 5
    deployment.train(deployments.choice(num_round=2), uploaded)
    described = boto3.client("sagemaker").describe_training_job(TrainingJobName=deployment.name)
    assert described["ResourceConfig"]["VolumeSizeInGB"] == deployment.volume_gb


def test_a_line_of_an_answer_ends_with_its_score():
    assert scores_of(['"a,b",0.25\n', "\n", "c,1e-05"]).tolist() == [0.25, 1e-05]


def test_a_value_too_long_for_sagemaker_is_refused_with_its_name(deployment):
    with pytest.raises(DeployError, match="'eval_metric' is 2600 characters long; SageMaker takes 2500"):
        deployment.train(deployments.choice(eval_metric="x" * 2600), {})


def test_a_schema_of_four_hundred_columns_reaches_the_job_and_the_model(deployment):
    """As wide as IEEE-CIS's: the schema is longer than a hyperparameter may be."""
    rng, rows = np.random.default_rng(1), 400
    features = [f"V{i}" for i in range(1, 391)]
    table = pd.DataFrame(rng.normal(size=(rows, len(features))), columns=features)
    table["seconds"], table["fraud"] = np.arange(rows), np.arange(rows) % 8 == 0
    table["card_type"] = rng.choice(["debit", "credit"], rows)
    schema = Schema.from_dict(
        {
            "label": "fraud",
            "time": "seconds",
            "features": features,
            "categorical": ["card_type"],
            "name": "wide",
            "amount": None,
        }
    )
    table["fraud"] = table["fraud"].astype(int)
    assert len(json.dumps(schema.to_dict())) > 2500
    deployment.train(deployments.choice(num_round=2), deployment.upload(split_transactions(table, schema), schema))
    model = artifact.load(deployment.run_folder / "model")
    assert model.manifest["schema"] == schema.to_dict()
    described = boto3.client("sagemaker").describe_training_job(TrainingJobName=deployment.name)
    assert "schema" not in described["HyperParameters"]
