"""Names, pages and tags, which all resources have."""

import pytest


def test_a_name_can_be_used_once(local, trained, model):
    with pytest.raises(local.sagemaker.exceptions.ResourceInUse):
        local.train("plain")
    with pytest.raises(local.sagemaker.exceptions.ClientError, match="Cannot create already existing model"):
        local.create_model(model, trained["ModelArtifacts"]["S3ModelArtifacts"])


def test_lists_come_in_pages_and_tags_with_their_resource(local, trained):
    names = {f"page-{i}" for i in range(23)}
    for name in names:
        tags = [{"Key": "number", "Value": name}]
        local.create_model(name, trained["ModelArtifacts"]["S3ModelArtifacts"], Tags=tags)
    pages = list(local.sagemaker.get_paginator("list_models").paginate(NameContains="page-"))
    assert [len(page["Models"]) for page in pages] == [10, 10, 3]
    assert {model["ModelName"] for page in pages for model in page["Models"]} == names
    arn = pages[0]["Models"][0]["ModelArn"]
    (tag,) = local.sagemaker.list_tags(ResourceArn=arn)["Tags"]
    assert arn.endswith(f"/{tag['Value']}")
    for name in names:
        local.sagemaker.delete_model(ModelName=name)
    assert not local.sagemaker.list_models(NameContains="page-")["Models"]
