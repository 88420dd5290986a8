"""SageMaker's operations: which there are, and what they do with the resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fraud_utils.local_sagemaker.account import Account, Job, Resource
from fraud_utils.local_sagemaker.checks import MODEL, ApiError, check, recorded
from fraud_utils.local_sagemaker.endpoints import Endpoint
from fraud_utils.local_sagemaker.fleet import EndpointConfig, Model
from fraud_utils.local_sagemaker.jobs import TrainingJob, TransformJob

Request = Mapping[str, Any]


def create(account: Account, kind: type[Resource], request: Request, region: str) -> dict[str, Any]:
    """Make a resource, and start what goes on behind it."""
    resource = kind(account, request, region)
    account.of(kind, region)[resource.name] = resource
    account.tags[resource.arn] = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
    if names := ", ".join(recorded(request)):
        print(f"{resource.arn}: recorded, not acted on: {names}", flush=True)
    resource.start()
    return {f"{kind.kind}Arn": resource.arn}


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
        ):
            found.append({key: value for key, value in record.items() if key in summary.member.members})
    found.sort(key=lambda each: each["CreationTime"], reverse=request.get("SortOrder") != "Ascending")
    start, count = int(request.get("NextToken", 0)), request.get("MaxResults", 10)
    more = {"NextToken": str(start + count)} if start + count < len(found) else {}
    return {answer: found[start : start + count]} | more


def stop(account: Account, kind: type[Job], request: Request, region: str) -> dict[str, Any]:
    """Have a job end early."""
    account.find(kind, request[f"{kind.kind}Name"], region).stop()
    return {}


def delete(account: Account, kind: type[Resource], request: Request, region: str) -> dict[str, Any]:
    """Delete a resource."""
    account.find(kind, request[f"{kind.kind}Name"], region).delete()
    return {}


def update(account: Account, kind: type[Endpoint], request: Request, region: str) -> dict[str, Any]:
    """Have an endpoint run another configuration."""
    endpoint = account.find(kind, request["EndpointName"], region)
    endpoint.update(request)
    return {"EndpointArn": endpoint.arn}


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
}
TAGS = ("AddTags", "ListTags", "DeleteTags")
REGISTRY = {  # moto's: it only keeps what it is given, as the model registry does
    *("CreateModelPackage", "DescribeModelPackage", "ListModelPackages", "UpdateModelPackage", "DeleteModelPackage"),
    *("CreateModelPackageGroup", "DescribeModelPackageGroup", "ListModelPackageGroups", "DeleteModelPackageGroup"),
}


def is_motos(account: Account, operation: str, request: Request) -> bool:
    """Whether moto answers an operation."""
    return operation in REGISTRY or (operation in TAGS and request.get("ResourceArn") not in account.tags)


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
