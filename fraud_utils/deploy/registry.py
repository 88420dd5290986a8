"""The Model Registry."""

from botocore import exceptions

from fraud_utils.deploy.errors import explained
from fraud_utils.deploy.place import Site
from fraud_utils.deploy.storage import split_url


def register(site: Site, model_url: str, group: str, description: str) -> str:
    """Put a model into a group, to be approved there; returns the version's ARN.

    Its archive is copied to a place that outlives the deployment.
    """
    sagemaker, s3 = site.connection.sagemaker, site.connection.s3
    source, key = split_url(model_url)
    bucket, kept = site.place.bucket, f"{site.place.prefix}/registered/{site.name}/model.tar.gz"
    media = ["text/csv", "application/json", "application/jsonlines"]
    with explained(f"registering the model in {group}"):
        s3.copy_object(Bucket=bucket, Key=kept, CopySource={"Bucket": source, "Key": key})
        try:
            sagemaker.describe_model_package_group(ModelPackageGroupName=group)
        except exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("ValidationException", "ResourceNotFound"):
                raise
            sagemaker.create_model_package_group(ModelPackageGroupName=group)
        return sagemaker.create_model_package(
            ModelPackageGroupName=group,
            ModelPackageDescription=description[:1024],
            InferenceSpecification={
                "Containers": [{"Image": site.place.image, "ModelDataUrl": f"s3://{bucket}/{kept}"}],
                "SupportedContentTypes": media,
                "SupportedResponseMIMETypes": media,
            },
            ModelApprovalStatus="PendingManualApproval",
        )["ModelPackageArn"]
