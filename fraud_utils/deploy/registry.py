"""The Model Registry: a model goes there with what is known of it, and comes from there once somebody approved it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore import exceptions

from fraud_utils import record, words
from fraud_utils.deploy import storage
from fraud_utils.deploy.errors import DeployError, explained
from fraud_utils.deploy.findings import read_choice
from fraud_utils.deploy.place import Site
from fraud_utils.deploy.security import encryption
from fraud_utils.deploy.session import ADDRESS, Connection, connection, lasting
from fraud_utils.record import Choice, Sections

APPROVED = "Approved"
MEDIA = ["text/csv", "application/json", "application/jsonlines"]


def register(site: Site, model_url: str, known: Sections, manifest: Mapping[str, Any], group: str) -> str:
    """Put a model into a group, to be approved there; see `Deployment.register`.

    Its archive, and what is recorded of it, are copied to a place that outlives the deployment.
    """
    sagemaker, s3, security = site.connection.sagemaker, site.connection.s3, site.place.security
    source, key = storage.split_url(model_url)
    bucket, folder = site.place.bucket, f"{site.place.prefix}/registered/{site.name}"
    encrypted = encryption(security.output_key)
    copied = {"CopySource": {"Bucket": source, "Key": key}, **encrypted}
    with tempfile.TemporaryDirectory() as kept, explained(f"registering the model in {group}"):
        record.add(kept, data=known.data, split=known.split, models=[known.served], chosen=known.chosen)
        (file,) = Path(kept).iterdir()
        s3.put_object(Bucket=bucket, Key=f"{folder}/{file.name}", Body=file.read_bytes(), **encrypted)
        s3.copy_object(Bucket=bucket, Key=f"{folder}/model.tar.gz", **copied)
        try:
            sagemaker.describe_model_package_group(ModelPackageGroupName=group)
        except exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("ValidationException", "ResourceNotFound"):
                raise
            tags = [{"Key": name, "Value": value} for name, value in security.tags.items()]
            sagemaker.create_model_package_group(ModelPackageGroupName=group, Tags=tags)
        statistics = {"ContentType": "application/json", "S3Uri": f"s3://{bucket}/{folder}/{file.name}"}
        origin = _origin(site.run, known, manifest)
        container = {"Image": site.place.image, "ModelDataUrl": f"s3://{bucket}/{folder}/model.tar.gz"}
        return sagemaker.create_model_package(
            ModelPackageGroupName=group,
            ModelPackageDescription=_description(known),
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": MEDIA,
                "SupportedResponseMIMETypes": MEDIA,
            },
            ModelApprovalStatus="PendingManualApproval",
            ModelMetrics={"ModelQuality": {"Statistics": statistics}},
            ModelCard={
                "ModelCardContent": json.dumps(_card(known, manifest, origin)),
                "ModelCardStatus": "PendingReview",
            },
            CustomerMetadataProperties=origin,
            MetadataProperties={"GeneratedBy": site.run, **({"CommitId": manifest["git"]} if manifest["git"] else {})},
            **({"SecurityConfig": {"KmsKeyId": security.registry_key}} if security.registry_key else {}),
        )["ModelPackageArn"]


def require_version(version: str, target: str, region: str = "") -> None:
    """See that a version can be served, before anything else takes time.

    Raises
    ------
    DeployError
        As `find` and `recorded` do, and for a registry that begins empty.
    """
    if target == "local" and not lasting():
        raise DeployError(
            "SageMaker on this machine begins empty with each run, so its registry has no version. Start one that "
            f"stays with 'make sagemaker', set {ADDRESS} to its address and register a model there (register_in); or "
            "set target to aws"
        )
    other_side = connection(target, region)
    recorded(other_side, find(other_side, version))


def find(there: Connection, version: str) -> dict[str, Any]:
    """The description of an approved version.

    Parameters
    ----------
    version : str
        `group:3`; `group` for the latest that is approved; or a version's ARN.

    Raises
    ------
    DeployError
        There is no such version, or it is not approved.
    """
    sagemaker, arn = there.sagemaker, version
    with explained(f"looking for {version} in the model registry"):
        if not version.startswith("arn:"):
            group, _, number = version.partition(":")
            pages = sagemaker.get_paginator("list_model_packages").paginate(
                ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
            )
            listed = [each for page in pages for each in page["ModelPackageSummaryList"]]
            wanted = ("ModelPackageVersion", number) if number else ("ModelApprovalStatus", APPROVED)
            arn = next((each["ModelPackageArn"] for each in listed if str(each[wanted[0]]) == wanted[1]), "")
        if not arn:
            states = [f"{each['ModelPackageVersion']} ({each['ModelApprovalStatus']})" for each in listed]
            raise DeployError(
                f"the model registry has no {'version ' + number if number else 'approved version'} in {group!r}; it "
                f"has {words.listed(states, 10) or 'none at all'}. Name another, or approve one in SageMaker Studio"
            )
        found = sagemaker.describe_model_package(ModelPackageName=arn)
    if found["ModelApprovalStatus"] != APPROVED:
        raise DeployError(
            f"{version} is {found['ModelApprovalStatus']}, and only an approved version is deployed; whoever may "
            f"approve it does so in SageMaker Studio, or with: aws sagemaker update-model-package --model-package-arn "
            f"{found['ModelPackageArn']} --model-approval-status {APPROVED}"
        )
    return found


def recorded(there: Connection, found: Mapping[str, Any]) -> tuple[Choice, float]:
    """What was chosen in the run that a version comes from, and the average precision that it reached there."""
    try:
        url = found["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    except KeyError:
        raise DeployError(
            f"{found['ModelPackageArn']} has no record of its run: only versions that notebook 03 registered "
            "(register_in) are deployed"
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        with explained("reading what is recorded of the version"):
            (Path(folder) / url.rpartition("/")[2]).write_bytes(storage.read(there, url))
        return read_choice(folder)


def _description(known: Sections) -> str:
    test = known.served.test if known.served else record.Metrics()
    shown = words.decimals_between(*test.figure("average_precision"))
    return f"{known.chosen.name if known.chosen else ''}, average precision {shown} on the test set"[:1024]


def _origin(run: str, known: Sections, manifest: Mapping[str, Any]) -> dict[str, str]:
    """What a version comes from, by which versions can be searched."""
    told = {
        "run": run,
        "data_sha256": known.data.sha256 if known.data else None,
        "training_rows_sha256": manifest["training"]["sha256"],
        "model_sha256": manifest["model_sha256"],
        "commit": manifest["git"],
    }
    return {name: value for name, value in told.items() if value}


def _card(known: Sections, manifest: Mapping[str, Any], origin: Mapping[str, str]) -> dict[str, Any]:
    """A model card, in the schema that the registry takes for versions."""
    data, split, trained = known.data, known.split, manifest["training"]
    metrics = vars(known.served.test) if known.served else {}
    figures = []
    for name, value in metrics.items():
        if not name.endswith("_ci") and value is not None:
            bounds = metrics.get(f"{name}_ci")
            figures.append({"name": name, "type": "number", "value": value})
            figures[-1] |= {"notes": f"95 % interval {bounds[0]:.4g} to {bounds[1]:.4g}"} if bounds else {}
    decisions = {f"threshold_{name}": f"{value:.6g}" for name, value in manifest["thresholds"].items()}
    decisions |= {f"tiers_{name}": f"{value:.6g}" for name, value in manifest["tiers"].items()}
    settings = [{"name": name, "value": str(value)} for name, value in manifest["hyperparameters"].items()]
    seen = f"{split.test_rows} rows, {split.test_frauds} frauds, " if split else ""
    return {
        "intended_uses": {
            "purpose_of_model": "The probability that a transaction is fraud, for those who review or block it.",
            "risk_rating": "Unknown",
        },
        "training_details": {
            "training_observations": f"{trained['rows']} rows, {trained['frauds']} frauds of {trained['name']}"
            + (" (simulated)" if data and data.simulated else ""),
            "training_job_details": {"user_provided_hyper_parameters": settings},
        },
        "evaluation_details": [
            {
                "name": "test set",
                "evaluation_observation": f"{seen}scored once, after all choices; intervals at 95 %",
                "metric_groups": [{"name": "test set", "metric_data": figures}],
            }
        ],
        "additional_information": {"custom_details": {**origin, **decisions}},
    }
