"""A request that is accepted means what it means on AWS: all others are refused, each fault by its name."""

import pytest
from botocore.exceptions import ClientError

FILE = {"TrainingImage": "fraud-detect", "TrainingInputMode": "File"}
INSTANCE = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
KEY = "arn:aws:kms:us-east-1:123456789012:key/x"
VPC = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
OUTPUT = {"S3OutputPath": "s3://mine/jobs"}
VARIANT = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
MODES = [{"CaptureMode": "Input"}]
CAPTURE = {"InitialSamplingPercentage": 100, "DestinationS3Uri": "s3://mine/captured", "CaptureOptions": MODES}
NOT_SUPPORTED = "SageMaker on this machine does not support"


def refusal(call, **request):
    with pytest.raises(ClientError) as refused:
        call(**request)
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationException"
    return error["Message"]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"TrainingJobName": "under_score"}, "regular expression pattern"),
        ({"TrainingJobName": "x" * 64}, "less than or equal to 63"),
        ({"HyperParameters": {"schema": "x" * 2501}}, "less than or equal to 2500, has 2501"),
        ({"RoleArn": "arn:aws:iam::1:role/too-few-digits"}, "regular expression pattern"),
        ({"ResourceConfig": INSTANCE | {"InstanceType": "ml.none.huge"}}, "enum value"),
        ({"Tags": [{"Key": "bad|key", "Value": ""}]}, "regular expression pattern"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds"),
        ({"AlgorithmSpecification": FILE | {"TrainingImage": "nothing:here"}}, "not found"),
        ({"AlgorithmSpecification": FILE | {"TrainingInputMode": "Pipe"}}, "does not support Pipe at 'AlgorithmSpec"),
        ({"ResourceConfig": INSTANCE | {"InstanceCount": 9}}, "does not support 9 at 'ResourceConfig.InstanceCount'"),
        ({"ResourceConfig": INSTANCE | {"VolumeKmsKeyId": "not a key"}}, "regular expression pattern"),
        ({"VpcConfig": VPC | {"Subnets": ["under_score"]}}, "regular expression pattern"),
        ({"ResourceConfig": INSTANCE | {"KeepAlivePeriodInSeconds": 60}}, "'ResourceConfig.KeepAlivePeriodInSeconds'"),
        ({"OutputDataConfig": OUTPUT | {"CompressionType": "NONE"}}, "does not support NONE at 'OutputDataConfig.Comp"),
        ({"RetryStrategy": {"MaximumRetryAttempts": 2}}, f"{NOT_SUPPORTED} 'RetryStrategy'"),
    ],
)
def test_a_training_job_is_refused_for_what_the_service_or_this_machine_does_not_take(local, change, part):
    assert part in refusal(local.train, name="wrong", **change)
    assert not local.sagemaker.list_training_jobs(NameContains="wrong")["TrainingJobSummaries"]


def not_acted_on(local, word):
    """What the log says of a resource."""
    (line,) = (each for each in local.log.read_text().splitlines() if f"{word}: recorded, not acted on: " in each)
    return line.rpartition(": ")[2]


def test_a_companys_network_and_volume_keys_are_recorded_and_said_not_to_be_acted_on(local, model):
    switched = {"EnableNetworkIsolation": True, "EnableInterContainerTrafficEncryption": False}
    local.train("company", VpcConfig=VPC, ResourceConfig=INSTANCE | {"VolumeKmsKeyId": KEY}, **switched)
    described = local.finished("company")
    assert described["VpcConfig"] == VPC
    assert described["ResourceConfig"]["VolumeKmsKeyId"] == KEY
    said = not_acted_on(local, "training-job/company")
    assert set(said.split(", ")) == {"VpcConfig", "ResourceConfig.VolumeKmsKeyId", "EnableNetworkIsolation"}
    local.create_config("company", model, KmsKeyId=KEY, DataCaptureConfig=CAPTURE | {"KmsKeyId": KEY})
    assert not_acted_on(local, "endpoint-config/company") == "KmsKeyId, DataCaptureConfig.KmsKeyId"
    assert local.sagemaker.describe_endpoint_config(EndpointConfigName="company")["KmsKeyId"] == KEY


def test_a_key_of_the_output_encrypts_the_model(local):
    local.train("encrypted", rounds=1, OutputDataConfig=OUTPUT | {"KmsKeyId": KEY})
    _, _, key = local.finished("encrypted")["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    assert local.s3.head_object(Bucket=local.bucket, Key=key)["SSEKMSKeyId"] == KEY


def test_what_is_switched_off_is_no_reason_to_say_anything_of_a_job(local):
    local.train("off", Environment={}, EnableNetworkIsolation=False, EnableInterContainerTrafficEncryption=False)
    local.sagemaker.stop_training_job(TrainingJobName="off")
    local.finished("off")
    assert "training-job/off: recorded" not in local.log.read_text()


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"ShadowProductionVariants": [VARIANT]}, "ShadowProductionVariants"),
        ({"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://mine/async"}}}, "AsyncInferenceConfig"),
        ({"DataCaptureConfig": CAPTURE | {"InitialSamplingPercentage": 50}}, "InitialSamplingPercentage"),
        ({"ProductionVariants": [VARIANT | {"EnableSSMAccess": True}]}, "ProductionVariants.1.member.EnableSSMAccess"),
    ],
)
def test_an_endpoint_configuration_is_refused_for_what_nothing_here_does(local, change, member):
    message = refusal(local.create_config, name="wrong", model="m", **change)
    assert NOT_SUPPORTED in message
    assert f"{member}'" in message


SERVERLESS = {"VariantName": "v", "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}}


def test_a_serverless_variant_is_refused_what_only_instances_have(local, trained, model):
    url = trained["ModelArtifacts"]["S3ModelArtifacts"]
    local.create_model("walled", url, VpcConfig=VPC)
    local.create_model("isolated", url, EnableNetworkIsolation=True)
    for name, more, member in (
        (model, {"DataCaptureConfig": CAPTURE}, "DataCaptureConfig"),
        ("walled", {}, "VpcConfig"),
        ("isolated", {}, "EnableNetworkIsolation"),
    ):
        variants = [SERVERLESS | {"ModelName": name}]
        message = refusal(local.create_config, name="less", model=name, ProductionVariants=variants, **more)
        assert message == f"A serverless variant does not support {member}."


STEP = {"Type": "CAPACITY_PERCENT", "Value": 10}
AT_ONCE = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 60}
LINEAR = AT_ONCE | {"Type": "LINEAR", "LinearStepSize": STEP}
ROLLING = {"MaximumBatchSize": STEP, "WaitIntervalInSeconds": 60}


def test_other_deployments_than_blue_green_and_several_containers_are_refused_by_name(local):
    sagemaker, endpoint = local.sagemaker, {"EndpointName": "e", "EndpointConfigName": "c"}
    policy = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": LINEAR}}
    message = refusal(sagemaker.update_endpoint, DeploymentConfig=policy, **endpoint)
    assert f"{NOT_SUPPORTED} LINEAR at 'DeploymentConfig.BlueGreenUpdatePolicy" in message
    assert "LinearStepSize'" in message
    message = refusal(sagemaker.update_endpoint, DeploymentConfig={"RollingUpdatePolicy": ROLLING}, **endpoint)
    assert f"{NOT_SUPPORTED} 'DeploymentConfig.RollingUpdatePolicy'" in message
    policy = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": AT_ONCE}}
    message = refusal(sagemaker.create_endpoint, DeploymentConfig=policy, **endpoint)
    assert "takes 'DeploymentConfig' with UpdateEndpoint only" in message
    message = refusal(sagemaker.create_model, ModelName="m", Containers=[{"Image": "fraud-detect"}] * 2)
    assert f"{NOT_SUPPORTED} 'Containers'" in message
