"""The choice that is deployed, and what is found out about it."""

import deployments
import pytest

from fraud_utils import deploy, record
from fraud_utils.deploy import DeployError


def test_a_choice_is_read_with_what_it_reached(tmp_path):
    assert deploy.read_choice(deployments.run_folder(tmp_path, deployments.choice())) == (deployments.choice(), 0.7)


def test_a_run_without_a_choice_is_refused(tmp_path):
    with pytest.raises(DeployError, match="run notebook 02 with the same run_folder first"):
        deploy.read_choice(tmp_path)


@pytest.mark.parametrize(
    ("reached", "deleted", "sentence"),
    [
        (0.7, True, "0.7000 on the test set, as in notebook 02"),
        (0.6, True, "**not** the 0.7000"),
        (0.7, False, "still there"),
    ],
)
def test_the_findings_say_whether_the_served_model_is_the_one_that_was_judged(reached, deleted, sentence):
    endpoint = record.Endpoint("local", 5, 0.0, {"p50": 1.0, "p99": 2.0}, deleted)
    assert sentence in deploy.describe(deployments.choice(), 0.7, reached, endpoint)


def test_a_model_of_several_instances_is_another_one_for_a_reason_that_is_said():
    endpoint = record.Endpoint("local", 5, 0.0, {"p50": 1.0, "p99": 2.0}, True)
    said = deploy.describe(deployments.choice(), 0.7, 0.71, endpoint, 2)
    assert "job on 2 instances" in said and "**not** the 0.7000 found in notebook 02, since several instances" in said
    assert "since" not in deploy.describe(deployments.choice(), 0.7, 0.7, endpoint, 2)
    said = deploy.describe(deployments.choice(), 0.7, 0.71, endpoint, 1, 0.25)
    assert "was trained as a SageMaker job on all rows and served" in said
    assert "since the job learned from all legitimate rows, notebook 02 from 25\xa0% of them" in said
