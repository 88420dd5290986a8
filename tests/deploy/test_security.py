"""What a company demands: read and checked before anything starts, and sent with every request that makes something."""

import boto3
import deployments
import pytest

from fraud_utils import deploy
from fraud_utils.data import ULB
from fraud_utils.deploy import DeployError, Place, Security, Serving, Training

PARTS = ("volume", "output", "capture", "upload", "registry")
KEYS = {name: f"arn:aws:kms:us-east-1:123456789012:key/{name}" for name in PARTS}
DEMANDS = """
subnets: [subnet-0a1b, subnet-0c2d]
security_groups: [sg-0e3f]
volume_key: arn:aws:kms:us-east-1:123456789012:key/volume
output_key: arn:aws:kms:us-east-1:123456789012:key/output
capture_key: arn:aws:kms:us-east-1:123456789012:key/capture
upload_key: arn:aws:kms:us-east-1:123456789012:key/upload
registry_key: arn:aws:kms:us-east-1:123456789012:key/registry
network_isolation: true
tags: {cost-centre: "4711", owner: fraud team}
"""
VPC = {"SecurityGroupIds": ["sg-0e3f"], "Subnets": ["subnet-0a1b", "subnet-0c2d"]}


@pytest.fixture
def demands(tmp_path):
    path = tmp_path / "deploy.yaml"
    path.write_text(DEMANDS)
    return Security.read(path)


def encrypted_with(url):
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return boto3.client("s3").head_object(Bucket=bucket, Key=key).get("SSEKMSKeyId")


def tags_of(arn):
    return {tag["Key"]: tag["Value"] for tag in boto3.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]}


def test_every_request_carries_what_the_company_demands(server, log, split, demands, tmp_path):
    folder = deployments.run_folder(tmp_path / "company", deployments.choice())
    deployment = deploy.connect("local", folder, place=Place(security=demands))
    assert "are recorded here and not acted on" in deployment.describe()
    uploaded = deployment.upload(split, ULB)
    assert encrypted_with(f"{deployment.site.url}/train/train.parquet") == KEYS["upload"]
    assert encrypted_with(f"{deployment.site.url}/schema/schema.json") == KEYS["upload"]
    deployment.train(deployments.choice(num_round=2), uploaded)
    deployment.serve(Serving(capture=True))
    deployment.transform(uploaded["test"])
    version = deployment.register("company")

    name, sagemaker = deployment.name, boto3.client("sagemaker")
    job = sagemaker.describe_training_job(TrainingJobName=name)
    model = sagemaker.describe_model(ModelName=name)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    batch = sagemaker.describe_transform_job(TransformJobName=name)
    assert job["VpcConfig"] == model["VpcConfig"] == VPC
    assert job["EnableNetworkIsolation"] is model["EnableNetworkIsolation"] is True
    volumes = (job["ResourceConfig"]["VolumeKmsKeyId"], batch["TransformResources"]["VolumeKmsKeyId"])
    assert {*volumes, config["KmsKeyId"]} == {KEYS["volume"]}
    assert {job["OutputDataConfig"]["KmsKeyId"], batch["TransformOutput"]["KmsKeyId"]} == {KEYS["output"]}
    assert encrypted_with(deployment.model_url) == KEYS["output"]
    assert encrypted_with(f"{deployment.site.url}/scored/test.csv.out") == KEYS["output"]
    package = sagemaker.describe_model_package(ModelPackageName=version)
    assert encrypted_with(package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]) == KEYS["output"]
    assert package["SecurityConfig"]["KmsKeyId"] == KEYS["registry"]
    assert encrypted_with(package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]) == KEYS["output"]
    assert config["DataCaptureConfig"]["KmsKeyId"] == KEYS["capture"]
    group = sagemaker.describe_model_package_group(ModelPackageGroupName="company")
    arns = [job["TrainingJobArn"], model["ModelArn"], config["EndpointConfigArn"], batch["TransformJobArn"]]
    arns += [sagemaker.describe_endpoint(EndpointName=name)["EndpointArn"], group["ModelPackageGroupArn"]]
    for arn in arns:
        assert tags_of(arn).items() >= {"cost-centre": "4711", "owner": "fraud team"}.items()
    said = [line for line in log.read_text().splitlines() if "recorded, not acted on" in line]
    assert any("VpcConfig, EnableNetworkIsolation" in line and "training-job" in line for line in said)
    assert deployment.delete()
    assert deployments.left("company") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("subnet: [subnet-1]", r"unknown key 'subnet'; did you mean 'subnets'\?"),
        ("subnets: [subnet-1]", "subnets and security_groups go together"),
        ("subnets: subnet-1", "must be a list in brackets"),
        ("subnets: [vpc-1]\nsecurity_groups: [sg-1]", "'vpc-1'; it must look like subnet-"),
        ("volume_key: arn:aws:s3:::bucket", "it must look like arn:aws:kms"),
        ("network_isolation: 1", "must be true or false"),
        ("tags: {cost: 4711}", "write both as text, in quotes"),
        ("tags: {'aws:x': y}", "kept for AWS"),
        ("tags: {'fraud-detection:run': y}", "kept for AWS or for this project"),
        ("tags: {a: 'x|y'}", "a sign that AWS does not take"),
        ("- subnets", "must hold lines such as"),
        ("subnets: [", "cannot be read"),
    ],
)
def test_a_file_of_demands_that_aws_would_refuse_is_refused_with_its_name(tmp_path, line, message):
    path = tmp_path / "deploy.yaml"
    path.write_text(line)
    with pytest.raises(DeployError, match=rf"deploy\.yaml.*{message}"):
        Security.read(path)


def test_all_faults_are_named_at_once_and_a_missing_file_is_too(tmp_path):
    path = tmp_path / "deploy.yaml"
    path.write_text("subnets: [x]\nvolum_key: y\n")
    with pytest.raises(DeployError) as refused:
        Security.read(path)
    assert len(str(refused.value).splitlines()) == 3
    with pytest.raises(DeployError, match=r"none\.yaml cannot be read"):
        Security.read(tmp_path / "none.yaml")
    assert Security.read("") == Security()


@pytest.mark.parametrize(
    ("security", "serving", "named"),
    [
        (Security(subnets=("subnet-1",), security_groups=("sg-1",)), Serving(serverless=True), "no subnets"),
        (Security(network_isolation=True), Serving(serverless=True), "no network_isolation"),
        (Security(), Serving(serverless=True, capture=True), "no capture"),
    ],
)
def test_what_a_serverless_endpoint_cannot_do_is_said_before_anything_starts(
    server, tmp_path, security, serving, named
):
    deployment = deploy.connect("local", tmp_path / "serverless", place=Place(security=security))
    with pytest.raises(DeployError, match=f"a serverless endpoint takes {named}"):
        deployment.plan(Training(), serving, deployments.choice())
    assert deployment.delete()
