"""The Model Registry over boto3: groups, versions that are approved or not, and models made of them."""

import json

import pytest
from botocore.exceptions import ClientError

from fraud_utils.local_sagemaker.registry import CARD


@pytest.fixture(scope="module")
def specification(local, split):
    local.s3.put_object(Bucket=local.bucket, Key="registered.tar.gz", Body=b"a model")
    container = {"Image": "fraud-detect", "ModelDataUrl": local.url("registered.tar.gz")}
    return {"Containers": [container], "SupportedContentTypes": ["text/csv"]}


def put(local, specification, group="versions", **more):
    request = {"ModelPackageGroupName": group, "InferenceSpecification": specification}
    return local.sagemaker.create_model_package(**request | more)["ModelPackageArn"]


def refusal(call, **request):
    with pytest.raises(ClientError) as refused:
        call(**request)
    return refused.value.response["Error"]["Message"]


def test_versions_are_numbered_listed_approved_and_deleted(local, specification):
    sagemaker, group = local.sagemaker, {"ModelPackageGroupName": "versions"}
    assert "does not exist" in refusal(sagemaker.describe_model_package_group, **group)
    sagemaker.create_model_package_group(**group, Tags=[{"Key": "owner", "Value": "fraud team"}])
    arn = sagemaker.describe_model_package_group(**group)["ModelPackageGroupArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "owner", "Value": "fraud team"}]
    told = {"CustomerMetadataProperties": {"run": "first", "commit": "abc"}}
    first, second = put(local, specification, **told), put(local, specification)
    assert [name.rpartition("/")[2] for name in (first, second)] == ["1", "2"]

    def listed(**wanted):
        order = {"SortBy": "CreationTime", "SortOrder": "Descending"}
        page = sagemaker.list_model_packages(**group, **order, **wanted)["ModelPackageSummaryList"]
        return [(each["ModelPackageVersion"], each["ModelApprovalStatus"]) for each in page]

    assert listed() == [(2, "PendingManualApproval"), (1, "PendingManualApproval")]
    changed = {"ModelApprovalStatus": "Approved", "ApprovalDescription": "the board said yes"}
    changed["CustomerMetadataPropertiesToRemove"] = ["commit"]
    sagemaker.update_model_package(ModelPackageArn=first, **changed)
    assert listed(ModelApprovalStatus="Approved") == [(1, "Approved")]
    described = sagemaker.describe_model_package(ModelPackageName=first)
    assert described["ApprovalDescription"] == "the board said yes"
    assert described["CustomerMetadataProperties"] == {"run": "first"}

    assert "still contains Model Packages" in refusal(sagemaker.delete_model_package_group, **group)
    for each in (first, second):
        sagemaker.delete_model_package(ModelPackageName=each)
    sagemaker.delete_model_package_group(**group)
    assert "does not exist" in refusal(sagemaker.describe_model_package, ModelPackageName=first)


def test_a_model_is_made_of_a_version(local, specification):
    local.sagemaker.create_model_package_group(ModelPackageGroupName="made")
    version = put(local, specification, "made")
    request = {"ModelName": "made", "ExecutionRoleArn": local.role}
    container = {"ModelPackageName": version, "Environment": {"X": "1"}}
    local.sagemaker.create_model(**request, PrimaryContainer=container)
    assert local.sagemaker.describe_model(ModelName="made")["PrimaryContainer"] == container
    for wrong, part in (
        (container | {"Image": "fraud-detect"}, "either ModelPackageName"),
        ({"ModelPackageName": version.replace("/1", "/7")}, "made/7 does not exist"),
    ):
        assert part in refusal(local.sagemaker.create_model, **request | {"ModelName": "wrong"}, PrimaryContainer=wrong)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"ModelPackageGroupName": "nobodys"}, "nobodys does not exist"),
        ({"ModelPackageName": "unversioned"}, "keeps versions only"),
        ({"ModelCard": {"ModelCardContent": "no JSON", "ModelCardStatus": "Draft"}}, "must be a JSON object"),
        (
            {"ModelCard": {"ModelCardContent": '{"model_package_details": {}}', "ModelCardStatus": "Draft"}},
            "does not follow the schema: model_package_details",
        ),
        ({"CustomerMetadataProperties": {"a": "x" * 257}}, "less than or equal to 256"),
        ({"Domain": "MACHINE_LEARNING"}, "does not support 'Domain'"),
    ],
)
def test_a_version_is_refused_for_what_the_service_or_this_machine_does_not_take(local, specification, change, part):
    if not local.sagemaker.list_model_package_groups(NameContains="refusing")["ModelPackageGroupSummaryList"]:
        local.sagemaker.create_model_package_group(ModelPackageGroupName="refusing")
    wanted = {"group": "refusing"} if "ModelPackageGroupName" not in change else {}
    assert part in refusal(lambda **more: put(local, specification, **wanted, **more), **change)


def test_a_version_needs_its_artefact(local, specification):
    gone = {"Containers": [{"Image": "fraud-detect", "ModelDataUrl": local.url("gone.tar.gz")}]}
    local.sagemaker.create_model_package_group(ModelPackageGroupName="gone")
    assert "Could not find model data" in refusal(lambda: put(local, specification | gone, "gone"))


def test_a_card_may_hold_all_parts_of_its_schema(local, specification):
    local.sagemaker.create_model_package_group(ModelPackageGroupName="cards")
    content = json.dumps({part: [] if part == "evaluation_details" else {} for part in CARD})
    version = put(local, specification, "cards", ModelCard={"ModelCardContent": content, "ModelCardStatus": "Draft"})
    described = local.sagemaker.describe_model_package(ModelPackageName=version)
    assert json.loads(described["ModelCard"]["ModelCardContent"]).keys() == CARD
