"""The Model Registry: groups of versions, each an image and an artefact that somebody approves or rejects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fraud_utils.local_sagemaker.account import Account, Resource
from fraud_utils.local_sagemaker.checks import ApiError

# What a version's card may hold: the schema of model cards, without the details of the package that it belongs to.
CARD = {
    *("model_overview", "intended_uses", "business_details", "training_details", "evaluation_details"),
    "additional_information",
}


class ModelPackageGroup(Resource):
    """Versions of one model; `versions` is the number of the last."""

    kind, word, title = "ModelPackageGroup", "model-package-group", "Model Package Group"
    not_found = "ModelPackageGroup {arn} does not exist."
    versions = 0

    def prepare(self) -> None:
        self.record["ModelPackageGroupStatus"] = "Completed"

    def delete(self) -> None:
        """Forget it, once it has no versions."""
        packages = self.account.of(ModelPackage, self.region).values()
        if any(package.record["ModelPackageGroupName"] == self.name for package in packages):
            raise ApiError("Model Package Group cannot be deleted because it still contains Model Packages.")
        super().delete()


class ModelPackage(Resource):
    """A version; its name is the group's and its number."""

    kind, word, title = "ModelPackage", "model-package", "Model Package"
    not_found = "ModelPackage {arn} does not exist."

    def __init__(self, account: Account, request: Mapping[str, Any], region: str) -> None:
        if not request.get("ModelPackageGroupName") or request.get("ModelPackageName"):
            raise ApiError("SageMaker on this machine keeps versions only: give ModelPackageGroupName alone")
        group = account.find(ModelPackageGroup, request["ModelPackageGroupName"], region)
        version = group.versions + 1
        named = {"ModelPackageName": f"{group.name}/{version}", "ModelPackageGroupName": group.name}
        super().__init__(account, {**request, **named, "ModelPackageVersion": version}, region)
        group.versions = version

    def prepare(self) -> None:
        for container in self.record.get("InferenceSpecification", {}).get("Containers", []):
            self.account.check_artefact(container["Image"], container.get("ModelDataUrl", ""), self.region)
        _check_card(self.record)
        self.record.setdefault("ModelApprovalStatus", "PendingManualApproval")
        self.record |= {"ModelPackageStatus": "Completed", "ModelPackageStatusDetails": {"ValidationStatuses": []}}

    def update(self, request: Mapping[str, Any]) -> None:
        """Approve or reject it, or change what is known of it."""
        _check_card(request)
        removed = request.get("CustomerMetadataPropertiesToRemove", [])
        known = {**self.record.get("CustomerMetadataProperties", {}), **request.get("CustomerMetadataProperties", {})}
        changed = {name: request[name] for name in ("ModelApprovalStatus", "ApprovalDescription") if name in request}
        if "ModelCard" in request:
            changed["ModelCard"] = {**self.record.get("ModelCard", {}), **request["ModelCard"]}
        self.change(**changed, CustomerMetadataProperties={key: v for key, v in known.items() if key not in removed})


def _check_card(request: Mapping[str, Any]) -> None:
    if "ModelCardContent" not in request.get("ModelCard", {}):
        return
    try:
        content = json.loads(request["ModelCard"]["ModelCardContent"])
        unknown = content.keys() - CARD | content.get("model_overview", {}).keys() - {"model_creator", "model_artifact"}
    except (ValueError, AttributeError) as error:
        raise ApiError(f"Model card content must be a JSON object: {error}") from None
    if unknown:
        raise ApiError(f"Model card content does not follow the schema: {', '.join(sorted(unknown))}")


def container_of(account: Account, container: Mapping[str, Any], region: str) -> Mapping[str, Any]:
    """A model's container with image and artefact, which a version may have been named instead of."""
    if not (name := container.get("ModelPackageName")):
        return container
    if container.keys() & {"Image", "ModelDataUrl"}:
        raise ApiError("A container has either ModelPackageName, or Image and ModelDataUrl.")
    specification = account.find(ModelPackage, name, region).record["InferenceSpecification"]
    (packed,) = specification["Containers"]
    environment = {**packed.get("Environment", {}), **container.get("Environment", {})}
    return {**container, "Image": packed["Image"], "ModelDataUrl": packed["ModelDataUrl"], "Environment": environment}
