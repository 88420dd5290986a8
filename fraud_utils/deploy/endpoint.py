"""An endpoint: made, waited for, asked, and allowed to grow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils.deploy import jobs
from fraud_utils.deploy.errors import DeployError, explained
from fraud_utils.deploy.place import Site
from fraud_utils.project import own_request

VARIANT = "AllTraffic"
MODEL_NAME = "FRAUD_MODEL_NAME"  # in the container's environment
MOST_ROWS, MOST_BYTES = 5_000, 3_500_000  # a request; an endpoint takes 25 MB, a serverless one 4
READABLE = {  # captured as text; whatever else in base64
    "CsvContentTypes": ["text/csv"],
    "JsonContentTypes": ["application/json", "application/jsonlines"],
}


@dataclass(frozen=True)
class Serving:
    """What an endpoint runs on."""

    instance: str = "ml.m5.large"
    count: int = 1
    serverless: bool = False  # without instances, billed by the request
    memory_mb: int = 2048  # of a serverless endpoint
    capture: bool = False  # keep requests and answers in the bucket, beyond the endpoint's end
    environment: Mapping[str, str] = field(default_factory=dict)  # of the container


def start(site: Site, model_url: str, options: Serving) -> Endpoint:
    """Make model, endpoint configuration and endpoint, and wait until it answers; see `Deployment.serve`."""
    from sagemaker.core.resources import Endpoint as Resource

    variant: dict[str, Any] = {"VariantName": VARIANT, "ModelName": site.name}
    if options.serverless:
        variant["ServerlessConfig"] = {"MemorySizeInMB": options.memory_mb, "MaxConcurrency": 5}
    else:
        variant |= {"InstanceType": options.instance, "InitialInstanceCount": options.count}
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{site.place.bucket}/{site.place.prefix}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": READABLE,
    }
    security = site.place.security
    if security.capture_key:
        capture["KmsKeyId"] = security.capture_key
    with explained("making the endpoint"):
        create_model(site, site.name, model_url, options.environment)
        # With boto3, because the SDK sends a serverless variant's memory under a wrong name.
        site.connection.sagemaker.create_endpoint_config(
            EndpointConfigName=site.name,
            ProductionVariants=[variant],
            Tags=[{"Key": key, "Value": value} for key, value in site.tags.items()],
            **({"DataCaptureConfig": capture} if options.capture else {}),
            **({"KmsKeyId": security.volume_key} if security.volume_key else {}),
        )
        endpoint: Any = Resource.create(endpoint_name=site.name, endpoint_config_name=site.name, **site.sdk)
    jobs.follow(site, "endpoint", endpoint, lambda: (endpoint.endpoint_status, endpoint.endpoint_status != "Creating"))
    if endpoint.endpoint_status != "InService":
        last = jobs.log_lines(site, f"/aws/sagemaker/Endpoints/{site.name}", VARIANT)()[-10:]
        raise DeployError("\n".join([f"the endpoint is {endpoint.endpoint_status}: {endpoint.failure_reason}", *last]))
    return Endpoint(site, site.name)


def create_model(site: Site, name: str, model_url: str, environment: Mapping[str, str]) -> None:
    """Make a model of the site's image and an archive in S3, or of a registered version, by its ARN.

    Its container logs its name with each request, so that metrics of two models behind one endpoint can be told apart.
    """
    from sagemaker.core import shapes
    from sagemaker.core.resources import Model

    what = {"image": site.place.image, "model_data_url": model_url}
    if model_url.startswith("arn:"):
        what = {"model_package_name": model_url}
    container = shapes.ContainerDefinition(**what, environment={MODEL_NAME: name, **environment})
    who = {"model_name": name, "execution_role_arn": site.place.role}
    Model.create(primary_container=container, **who, **site.network, **site.sdk)


def scalable(name: str) -> dict[str, str]:
    """An endpoint's instances, as Application Auto Scaling names them."""
    dimension, resource = "sagemaker:variant:DesiredInstanceCount", f"endpoint/{name}/variant/{VARIANT}"
    return {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": dimension}


class Endpoint:
    """An endpoint in service, and the name of its model."""

    def __init__(self, site: Site, model: str) -> None:
        self.site, self.model = site, model
        # One try: a request that the container refuses is not better the second time.
        self._runtime = site.connection.client("sagemaker-runtime", read_timeout=70, retries={"max_attempts": 1})

    def invoke(self, body: str) -> str:
        """Send rows as CSV, get a probability a line, after the id where the schema has one.

        The request bears this project's mark (`project.OWN_REQUESTS`): where requests are captured, monitoring leaves
        it out.

        Raises
        ------
        DeployError
            The rows were refused; the message names row and column.
        """
        form = {"ContentType": "text/csv", "Accept": "text/csv", "InferenceId": own_request()}
        with explained("asking the endpoint"):
            try:
                answer = self._runtime.invoke_endpoint(EndpointName=self.site.name, Body=body.encode(), **form)
            except self._runtime.exceptions.ModelError as error:
                status, text = (error.response.get(f"Original{part}") for part in ("StatusCode", "Message"))
                raise DeployError(f"the endpoint answered {status}: {text or error}") from None
            return answer["Body"].read().decode()

    def score(self, rows: pd.DataFrame) -> np.ndarray:
        """Score rows, some thousands a request.

        Returns
        -------
        numpy.ndarray of float64, shape (rows,)
        """
        width = len(rows.head(100).to_csv(index=False).encode()) / min(100, len(rows))
        step = max(1, min(MOST_ROWS, int(MOST_BYTES / width)))
        parts = (rows.iloc[start : start + step] for start in range(0, len(rows), step))
        answers = [self.invoke(part.to_csv(index=False)) for part in parts]
        return jobs.scores_of("".join(answers).split("\n"))

    def latency_ms(self, rows: pd.DataFrame, count: int = 200) -> dict[str, float]:
        """Median and 99th percentile of the milliseconds from request to answer, for single rows one by one."""
        bodies = [rows.iloc[[i % len(rows)]].to_csv(index=False) for i in range(count)]
        taken = []
        for body in bodies:
            start = time.perf_counter()
            self.invoke(body)
            taken.append(1000 * (time.perf_counter() - start))
        return {"p50": float(np.quantile(taken, 0.5)), "p99": float(np.quantile(taken, 0.99))}

    def autoscale(self, most: int, invocations_a_minute: int = 3_000) -> None:
        """Let it grow to so many instances, and shrink to one, by its invocations; this machine only records it."""
        scaling, target = self.site.connection.client("application-autoscaling"), scalable(self.site.name)
        metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
        policy = {"TargetValue": invocations_a_minute, "PredefinedMetricSpecification": metric}
        if self.site.connection.target == "local":
            print("scaling is recorded on this machine, and not acted on")
        with explained("setting up autoscaling"):
            scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=most)
            scaling.put_scaling_policy(
                **target,
                PolicyName=self.site.name,
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration=policy,
            )
