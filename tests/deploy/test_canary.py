"""What a canary may be, and what SageMaker is asked for; test_replace has it at work."""

import pytest

from fraud_utils import deploy


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"minutes": 61}, "canary_minutes is 61; SageMaker waits from 0 to 60 minutes"),
        ({"minutes": -1}, "canary_minutes is -1"),
        ({"percent": 0}, "canary_percent is 0; SageMaker gives a canary from 1 to 50 percent"),
        ({"percent": 51}, "canary_percent is 51"),
    ],
)
def test_what_sagemaker_does_not_take_is_refused_before_anything_starts(values, part):
    with pytest.raises(deploy.DeployError, match=part):
        deploy.Canary(**values)


def test_minutes_are_waited_for_before_and_after_the_whole_traffic():
    policy = deploy.Canary(minutes=2.5, percent=20).deployment("e")["BlueGreenUpdatePolicy"]
    routing = policy["TrafficRoutingConfiguration"]
    assert (routing["WaitIntervalInSeconds"], policy["TerminationWaitInSeconds"]) == (150, 150)
    assert routing["CanarySize"] == {"Type": "CAPACITY_PERCENT", "Value": 20}
    assert policy["MaximumExecutionTimeoutInSeconds"] > 300
