"""Jobs that fail, that somebody stops, or that are refused."""

import concurrent.futures

import boto3
import deployments
import pytest
import states

from fraud_utils.data import ULB, Schema
from fraud_utils.deploy import DeployError


def test_a_failing_training_says_what_the_program_left_in_its_failure_file(deployment, split):
    with pytest.raises(DeployError, match=r"training job failed: hyperparameter 'max_dept'.*did you mean 'max_depth'"):
        deployment.train(deployments.choice(max_dept=5), ULB, deployment.upload(split, ULB))
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

    with concurrent.futures.ThreadPoolExecutor() as pool:
        stopped = pool.submit(stop)
        with pytest.raises(DeployError, match="stopped before its end"):
            deployment.train(deployments.endless(), ULB, deployment.upload(split, ULB))
        stopped.result()
    assert not (deployment.run_folder / "model").exists()
    assert deployments.programs(server) == []


def test_a_value_too_long_for_sagemaker_is_refused_with_its_name(deployment):
    wide = Schema.from_dict(ULB.to_dict() | {"features": [f"a_long_name_{i}" for i in range(300)]})
    with pytest.raises(DeployError, match=r"'schema' is .* characters long; SageMaker takes 2500"):
        deployment.train(deployments.choice(), wide, {})
