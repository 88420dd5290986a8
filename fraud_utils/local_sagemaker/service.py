"""SageMaker's operations: which there are, and what they do with the resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fraud_utils.local_sagemaker.account import Account, Job, Resource
from fraud_utils.local_sagemaker.checks import MODEL, ApiError, check
from fraud_utils.local_sagemaker.endpoints import Endpoint
from fraud_utils.local_sagemaker.fleet import EndpointConfig, Model
from fraud_utils.local_sagemaker.jobs import TrainingJob, TransformJob
from fraud_utils.local_sagemaker.registry import ModelPackage, ModelPackageGroup
from fraud_utils.local_sagemaker.tuning import TuningJob

Request = Mapping[str, Any]
FILTERS = ("ModelPackageGroupName", "ModelApprovalStatus")  # members that listed resources must share


def create(account: Account, kind: type[Resource], request: Request, region: str) -> dict[str, Any]:
    """Make a resource, and start what goes on behind it."""
    return {f"{kind.kind}Arn": account.create(kind, request, region).arn}


def describe(account: Account, kind: type[Resource], request: Request, region: str) -> dict[str, Any]:
    """What is known of a resource."""
    return account.find(kind, request[f"{kind.kind}Name"], region).describe()


def list_all(account: Account, kind: type[Resource], request: Request, region: str) -> dict[str, Any]:
    """A page of the resources of a kind, the newest first."""
    members = MODEL.operation_model(f"List{kind.kind}s").output_shape.members
    answer, summary = next((name, shape) for name, shape in members.items() if shape.type_name == "list")
    before, after = request.get("CreationTimeBefore", 1e12), request.get("CreationTimeAfter", 0)
    found = []
    for name, resource in account.of(kind, region).items():
        record, status = resource.record, resource.record.get(f"{kind.kind}Status")
        if (
            request.get("NameContains", "").lower() in name.lower()
            and after <= record["CreationTime"] <= before
            and request.get("StatusEquals", status) == status
            and all(request[member] == record[member] for member in FILTERS if member in request)
        ):
            found.append({key: value for key, value in record.items() if key in summary.member.members})
    found.sort(key=lambda each: each["CreationTime"], reverse=request.get("SortOrder") != "Ascending")
    return _page(answer, found, request)


def _page(answer: str, found: list[dict[str, Any]], request: Request) -> dict[str, Any]:
    start, count = int(request.get("NextToken", 0)), request.get("MaxResults", 10)
    more = {"NextToken": str(start + count)} if start + count < len(found) else {}
    return {answer: found[start : start + count]} | more


def list_tuned(account: Account, kind: type[TuningJob], request: Request, region: str) -> dict[str, Any]:
    """A page of a tuning job's training jobs."""
    job = account.find(kind, request["HyperParameterTuningJobName"], region)
    return _page("TrainingJobSummaries", [job.summary(each) for each in job.jobs], request)


def stop(account: Account, kind: type[Job], request: Request, region: str) -> dict[str, Any]:
    """Have a job end early."""
    account.find(kind, request[f"{kind.kind}Name"], region).stop()
    return {}


def delete(account: Account, kind: type[Resource], request: Request, region: str) -> dict[str, Any]:
    """Delete a resource."""
    account.find(kind, request[f"{kind.kind}Name"], region).delete()
    return {}


def update(account: Account, kind: type[Endpoint | ModelPackage], request: Request, region: str) -> dict[str, Any]:
    """Have an endpoint run another configuration, or change what is known of a version."""
    resource = account.find(kind, request.get("EndpointName") or request["ModelPackageArn"], region)
    resource.update(request)
    return {f"{kind.kind}Arn": resource.arn}


def update_weights(account: Account, kind: type[Endpoint], request: Request, region: str) -> dict[str, Any]:
    """Have an endpoint's variants share the traffic in another way."""
    endpoint = account.find(kind, request["EndpointName"], region)
    endpoint.update_weights(request)
    return {"EndpointArn": endpoint.arn}


OPERATIONS: dict[str, tuple[Callable[..., dict[str, Any]], type[Resource]]] = {
    "CreateTrainingJob": (create, TrainingJob),
    "DescribeTrainingJob": (describe, TrainingJob),
    "ListTrainingJobs": (list_all, TrainingJob),
    "StopTrainingJob": (stop, TrainingJob),
    "DeleteTrainingJob": (delete, TrainingJob),
    "CreateHyperParameterTuningJob": (create, TuningJob),
    "DescribeHyperParameterTuningJob": (describe, TuningJob),
    "ListHyperParameterTuningJobs": (list_all, TuningJob),
    "ListTrainingJobsForHyperParameterTuningJob": (list_tuned, TuningJob),
    "StopHyperParameterTuningJob": (stop, TuningJob),
    "CreateTransformJob": (create, TransformJob),
    "DescribeTransformJob": (describe, TransformJob),
    "ListTransformJobs": (list_all, TransformJob),
    "StopTransformJob": (stop, TransformJob),
    "CreateModel": (create, Model),
    "DescribeModel": (describe, Model),
    "ListModels": (list_all, Model),
    "DeleteModel": (delete, Model),
    "CreateEndpointConfig": (create, EndpointConfig),
    "DescribeEndpointConfig": (describe, EndpointConfig),
    "ListEndpointConfigs": (list_all, EndpointConfig),
    "DeleteEndpointConfig": (delete, EndpointConfig),
    "CreateEndpoint": (create, Endpoint),
    "DescribeEndpoint": (describe, Endpoint),
    "ListEndpoints": (list_all, Endpoint),
    "UpdateEndpoint": (update, Endpoint),
    "UpdateEndpointWeightsAndCapacities": (update_weights, Endpoint),
    "DeleteEndpoint": (delete, Endpoint),
    "CreateModelPackageGroup": (create, ModelPackageGroup),
    "DescribeModelPackageGroup": (describe, ModelPackageGroup),
    "ListModelPackageGroups": (list_all, ModelPackageGroup),
    "DeleteModelPackageGroup": (delete, ModelPackageGroup),
    "CreateModelPackage": (create, ModelPackage),
    "DescribeModelPackage": (describe, ModelPackage),
    "ListModelPackages": (list_all, ModelPackage),
    "UpdateModelPackage": (update, ModelPackage),
    "DeleteModelPackage": (delete, ModelPackage),
}
TAGS = ("AddTags", "ListTags", "DeleteTags")


def is_motos(account: Account, operation: str, request: Request) -> bool:
    """Whether moto answers an operation."""
    return operation in TAGS and request.get("ResourceArn") not in account.tags


def answer(account: Account, operation: str, request: Request, region: str) -> dict[str, Any]:
    """Do what an operation asks for.

    Raises
    ------
    ApiError
        The request is refused.
    """
    if operation not in OPERATIONS and operation not in TAGS:
        raise ApiError(f"SageMaker on this machine does not support {operation}")
    check(operation, request)
    with account.lock:
        if operation in TAGS:
            return _change_tags(account.tags[request["ResourceArn"]], request)
        act, kind = OPERATIONS[operation]
        return act(account, kind, request, region)


def _change_tags(tags: dict[str, str], request: Request) -> dict[str, Any]:
    tags.update({tag["Key"]: tag["Value"] for tag in request.get("Tags", [])})
    for key in request.get("TagKeys", []):
        tags.pop(key, None)
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
