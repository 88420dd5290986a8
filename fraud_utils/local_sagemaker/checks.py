"""Is a request what the service allows, and what this machine can do?

botocore's own check, which clients make too, knows neither patterns nor upper bounds nor enumerations. And what
SageMaker would act on and nothing here does is refused by name: a request that is accepted means what it means on AWS.
A company's network and the keys of its disks are the exception, since this machine has neither, and a deployment must
be tried with them: they are recorded, and the log says that they are not acted on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
from botocore.model import Shape
from botocore.validate import ParamValidator

MODEL = botocore.session.get_session().get_service_model("sagemaker")
# Classes that `re` does not know. Signs and punctuation are all that is no letter; they are allowed together.
CHARACTERS = {r"\p{L}": r"\w", r"\p{Z}": r"\s", r"\p{N}": r"\d", r"\p{M}": "", r"\p{P}": "", r"\p{S}": r"\W"}
# Members of requests that are acted on or need nothing here, wherever they stand, or by their paths.
_SUPPORTED = """
    TrainingJobName TransformJobName ModelName EndpointConfigName EndpointName ResourceArn Tags Key Value TagKeys
    NameContains StatusEquals CreationTimeAfter CreationTimeBefore SortOrder MaxResults NextToken
    RoleArn ExecutionRoleArn InstanceType VolumeSizeInGB Environment DataSource S3DataSource S3Uri S3OutputPath
    AlgorithmSpecification TrainingImage MetricDefinitions Name Regex HyperParameters InputDataConfig ChannelName
    ContentType S3DataDistributionType OutputDataConfig ResourceConfig CheckpointConfig EnableManagedSpotTraining
    StoppingCondition MaxRuntimeInSeconds MaxWaitTimeInSeconds
    TransformInput TransformOutput TransformResources Accept BatchStrategy MaxConcurrentTransforms MaxPayloadInMB
    PrimaryContainer Image ModelDataUrl ProductionVariants VariantName InitialInstanceCount InitialVariantWeight
    DesiredWeightsAndCapacities DesiredWeight DesiredInstanceCount ServerlessConfig MemorySizeInMB MaxConcurrency
    DeploymentConfig BlueGreenUpdatePolicy TrafficRoutingConfiguration WaitIntervalInSeconds CanarySize
    TerminationWaitInSeconds MaximumExecutionTimeoutInSeconds AutoRollbackConfiguration Alarms AlarmName
    DataCaptureConfig EnableCapture DestinationS3Uri CaptureOptions CaptureMode CaptureContentTypeHeader
    CsvContentTypes JsonContentTypes
    KmsKeyId VolumeKmsKeyId VpcConfig SecurityGroupIds Subnets EnableNetworkIsolation
    EnableInterContainerTrafficEncryption
    HyperParameterTuningJobName HyperParameterTuningJobConfig HyperParameterTuningJobObjective Type MetricName
    ResourceLimits MaxNumberOfTrainingJobs MaxParallelTrainingJobs ParameterRanges IntegerParameterRanges
    ContinuousParameterRanges CategoricalParameterRanges MinValue MaxValue Values RandomSeed TrainingJobDefinition
    StaticHyperParameters
    ModelPackageGroupName ModelPackageGroupDescription ModelPackageName ModelPackageDescription ModelPackageArn
    InferenceSpecification InferenceSpecification.Containers SupportedContentTypes SupportedResponseMIMETypes
    SupportedRealtimeInferenceInstanceTypes SupportedTransformInstanceTypes ModelApprovalStatus ApprovalDescription
    ModelMetrics ModelQuality Statistics ModelCard ModelCardContent ModelCardStatus SecurityConfig
    CustomerMetadataProperties CustomerMetadataPropertiesToRemove MetadataProperties CommitId GeneratedBy ClientToken
"""
SUPPORTED = frozenset(_SUPPORTED.split())
RECORDED = re.compile(  # members that are kept and shown, by their paths; an output's key is acted on
    r"VpcConfig|EnableNetworkIsolation|EnableInterContainerTrafficEncryption|\w+\.VolumeKmsKeyId|"
    r"((DataCapture|Security)Config\.)?KmsKeyId"
)
ONLY: dict[str, tuple[Any, ...]] = {  # members that may have certain values, by their names or paths
    "DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration.Type": ("ALL_AT_ONCE", "CANARY"),
    "TrainingInputMode": ("File", "FastFile"),
    "InputMode": ("File", "FastFile"),
    "S3DataType": ("S3Prefix",),
    "CompressionType": ("None", "GZIP"),
    "RecordWrapperType": ("None",),
    "LocalPath": ("/opt/ml/checkpoints",),
    "InstanceCount": (1,),
    "ResourceConfig.InstanceCount": tuple(range(1, 9)),  # of a training job, a process each
    "SplitType": ("None", "Line"),
    "AssembleWith": ("None", "Line"),
    "Mode": ("SingleModel",),
    "InitialSamplingPercentage": (100,),
    "SortBy": ("CreationTime",),
    "ModelPackageType": ("Versioned",),
    "Strategy": ("Random",),
    "ScalingType": ("Auto", "Linear", "Logarithmic"),
    "TrainingJobEarlyStoppingType": ("Off",),
}


class ApiError(Exception):
    """The answer to a request that the service refuses."""

    def __init__(self, message: str, code: str = "ValidationException", status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.code, self.status, self.more = code, status, more


def check(operation: str, request: Mapping[str, Any]) -> None:
    """Refuse a request that the service's model does not allow, or that asks for what nothing here does."""
    shape = MODEL.operation_model(operation).input_shape
    if (report := ParamValidator().validate(request, shape)).has_errors():
        raise ApiError(report.generate_report())
    if found := list(_faults(shape, request)):
        raise ApiError(f"{len(found)} validation error{'s' * (len(found) > 1)} detected: {'; '.join(found)}")


def _faults(shape: Shape, value: Any, where: str = "") -> Iterator[str]:
    """Values that are too large or too long, or of another pattern or enumeration; members that are not supported."""
    wrong = f"Value {str(value)[:80]!r} at '{where}' failed to satisfy constraint: Member must"
    size = len(value) if isinstance(value, str | list | dict) else value
    high, allowed, pattern = (shape.metadata.get(name) for name in ("max", "enum", "pattern"))
    if high is not None and size > high:
        yield f"{wrong} have length (or value) less than or equal to {high}, has {size}"
    if allowed and value not in allowed:
        yield f"{wrong} satisfy enum value set: [{', '.join(allowed)}]"
    elif pattern and isinstance(value, str):
        for theirs, ours in CHARACTERS.items():
            pattern = pattern.replace(theirs, ours)
        if not re.fullmatch(re.sub(r"\$\{\d+,\d+\}$", "", pattern), value):  # some repeat their own end
            yield f"{wrong} satisfy regular expression pattern: {shape.metadata['pattern']}"
    match shape.type_name:
        case "structure":
            yield from _structure_faults(shape, value, where)
        case "list":
            for i, item in enumerate(value, 1):
                yield from _faults(shape.member, item, f"{where}.{i}.member")
        case "map":
            for name, item in value.items():
                yield from _faults(shape.key, name, f"{where}.key")
                yield from _faults(shape.value, item, f"{where}.{name}")


def _structure_faults(shape: Shape, value: dict[str, Any], where: str) -> Iterator[str]:
    for name, item in value.items():
        path = f"{where}.{name}".lstrip(".")
        only = ONLY.get(path) or ONLY.get(name)
        if only and item not in only:
            choices = " or ".join(map(str, only))
            yield f"SageMaker on this machine does not support {item} at '{path}'; it must be {choices}"
        elif item and not only and not {name, path} & SUPPORTED:
            yield f"SageMaker on this machine does not support '{path}'; leave it out"
        else:
            yield from _faults(shape.members[name], item, path)


def recorded(request: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Members of a request that are kept and shown, and that nothing here acts on."""
    for name, item in request.items():
        path = f"{where}{name}"
        if item and RECORDED.fullmatch(path):
            yield path
        elif isinstance(item, Mapping):
            yield from recorded(item, f"{path}.")
