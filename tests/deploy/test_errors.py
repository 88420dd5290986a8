"""What AWS refuses becomes what to do."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from fraud_utils.deploy.errors import DeployError, UnreachableError, explained

PERFORM = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: sagemaker:CreateModel on resource: y"


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("AccessDeniedException", PERFORM, "let the role do sagemaker:CreateModel; container/policy.json"),
        ("AccessDenied", "Access Denied", "let the role do CreateTrainingJob; container/policy.json"),
        ("403", "Forbidden", "let the role do CreateTrainingJob; container/policy.json"),
        ("ResourceLimitExceeded", "The limit 'ml.m5.large for endpoint usage' is 0 Instances", "Service Quotas"),
        ("ValidationException", "Requested image 1.dkr.ecr/x:y not found.", "make push"),
        ("ResourceInUse", "Training job names must be unique within an AWS account", "the name is taken"),
        ("ExpiredTokenException", "The security token included in the request is expired", "sign in again"),
        ("NoSuchBucket", "The specified bucket does not exist", "parameter bucket"),
        ("ValidationException", "Could not assume role arn:aws:iam::1:role/x", "may assume"),
    ],
)
def test_what_aws_refuses_becomes_what_to_do(code, message, advice):
    with pytest.raises(DeployError) as refusal, explained("starting"):
        raise ClientError({"Error": {"Code": code, "Message": message}}, "CreateTrainingJob")
    first, second = str(refusal.value).splitlines()
    assert first == f"starting: {message} [{code}]"
    assert advice in second


def test_what_nobody_foresaw_is_passed_on_as_it_is():
    with pytest.raises(DeployError, match=r"^starting: Odd \[Strange\]$"), explained("starting"):
        raise ClientError({"Error": {"Code": "Strange", "Message": "Odd"}}, "CreateTrainingJob")


def test_a_region_that_does_not_answer_is_another_kind_of_error():
    with pytest.raises(UnreachableError, match="check region and network"), explained("starting"):
        raise EndpointConnectionError(endpoint_url="https://nowhere")
