"""Models, endpoint configurations, and endpoints: `serve`, asked over HTTP and captured."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import urllib3
from botocore.exceptions import ClientError

from fraud_utils.local_sagemaker import storage
from fraud_utils.local_sagemaker.account import ACCOUNT, Account, Resource, Running
from fraud_utils.local_sagemaker.checks import ApiError
from fraud_utils.local_sagemaker.programs import Serving

LIMIT_BYTES = {"instance": 25 << 20, "serverless": 4 << 20}  # of a request
# Headers of a request: of HTTP, by their names; of SageMaker, by InvokeEndpoint's members.
CONTENT_TYPE, ACCEPT, ATTRIBUTES = "content-type", "accept", "x-amzn-sagemaker-custom-attributes"
TARGET_VARIANT, INFERENCE_ID = "x-amzn-sagemaker-target-variant", "x-amzn-sagemaker-inference-id"
PASSED = (CONTENT_TYPE, ACCEPT, ATTRIBUTES, INFERENCE_ID)  # to the container
REFUSED = {  # what nothing here acts on
    "x-amzn-sagemaker-target-model": "TargetModel",
    "x-amzn-sagemaker-target-container-hostname": "TargetContainerHostname",
    "x-amzn-sagemaker-enable-explanations": "EnableExplanations",
    "x-amzn-sagemaker-inference-component": "InferenceComponentName",
    "x-amzn-sagemaker-session-id": "SessionId",
}
RUNTIME = "ValidationError"  # the code of SageMaker's runtime, which is a service of its own


class Model(Resource):
    """An image and an artefact in S3."""

    kind, word, title = "Model", "model", "model"

    def prepare(self) -> None:
        container = self.record.get("PrimaryContainer", {})
        if not container.get("Image") or not container.get("ModelDataUrl"):
            raise ApiError("SageMaker on this machine serves a PrimaryContainer with Image and ModelDataUrl only")
        self.account.check_image(container["Image"])
        bucket, key = storage.split(container["ModelDataUrl"])
        try:
            self.account.client("s3", self.region).head_object(Bucket=bucket, Key=key)
        except ClientError:
            raise ApiError(f"Could not find model data at {container['ModelDataUrl']}.") from None

    @contextlib.contextmanager
    def serving(self, tree: Path, environment: Mapping[str, str], log: Callable[[str], None]) -> Iterator[Serving]:
        """`serve` with the artefact, until the block ends."""
        container = self.record["PrimaryContainer"]
        storage.unpack(self.account.client("s3", self.region), container["ModelDataUrl"], tree / "model")
        environment = {**container.get("Environment", {}), **environment}
        program = self.account.run(Serving, tree, container["Image"], environment, log)
        try:
            yield program
        finally:
            program.close()


class EndpointConfig(Resource):
    """What an endpoint runs: one production variant of one model."""

    kind, word, title = "EndpointConfig", "endpoint-config", "endpoint configuration"

    def prepare(self) -> None:
        if len(self.record["ProductionVariants"]) != 1:
            raise ApiError("SageMaker on this machine serves one production variant only")
        self.variant = self.record["ProductionVariants"][0]
        if "InstanceType" not in self.variant and "ServerlessConfig" not in self.variant:
            raise ApiError("A variant needs an InstanceType or a ServerlessConfig.")
        model = self.account.find(Model, self.variant["ModelName"], self.region)
        if "ServerlessConfig" in self.variant:
            asked = {**self.record, **model.record}
            for member in ("InstanceType", "DataCaptureConfig", "VpcConfig", "EnableNetworkIsolation"):
                if self.variant.get(member) or asked.get(member):
                    raise ApiError(f"A serverless variant does not support {member}.")


class Endpoint(Running):
    """`serve`, once for each instance, which take turns, until it is deleted."""

    kind, word, title = "Endpoint", "endpoint", "endpoint"

    def prepare(self) -> None:
        config = self.account.find(EndpointConfig, self.record["EndpointConfigName"], self.region)
        self._variant, self._capture = config.variant, config.record.get("DataCaptureConfig", {})
        self._model = self.account.find(Model, self._variant["ModelName"], self.region)
        self._turns: Iterator[Serving] | None = None  # one program an instance
        variant = {"VariantName": self._variant["VariantName"], "CurrentWeight": 1.0, "DesiredWeight": 1.0}
        if "ServerlessConfig" in self._variant:
            variant["CurrentServerlessConfig"] = self._variant["ServerlessConfig"]
        else:
            count = self._variant.get("InitialInstanceCount", 1)
            variant |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
        self.record |= {"EndpointStatus": "Creating", "ProductionVariants": [variant]}
        if self._capture:
            self.record["DataCaptureConfig"] = {
                "EnableCapture": self._capture.get("EnableCapture", False),
                "CaptureStatus": "Started" if self._capture.get("EnableCapture") else "Stopped",
                "CurrentSamplingPercentage": self._capture["InitialSamplingPercentage"],
                "DestinationS3Uri": self._capture["DestinationS3Uri"],
            }

    def run(self, folder: Path) -> None:
        group, variant = f"/aws/sagemaker/Endpoints/{self.name}", self._variant["VariantName"]
        with contextlib.ExitStack() as stack:
            programs = []
            for i in range(self._variant.get("InitialInstanceCount", 1)):
                log = self.account.writer.stream(group, f"{variant}/i-{uuid.uuid4().hex[:17]}", self.region)
                programs.append(stack.enter_context(self._model.serving(folder / str(i), {}, log)))
            if not all(each.wait_until_ready(self.account.ping_seconds, self.stop_asked) for each in programs):
                raise storage.JobError(
                    f"The primary container for production variant {variant} did not pass the "
                    "ping health check. Please check CloudWatch logs for this endpoint."
                )
            self._turns = itertools.cycle(programs)
            self.set_status("InService")
            self.stop_asked.wait()
        super().delete()

    def delete(self) -> None:
        if self.status in ("Creating", "Deleting"):
            raise ApiError(f'Cannot update in-progress endpoint "{self.arn}".')
        if self.status == "Failed":
            super().delete()
        else:
            self.set_status("Deleting")
            self.stop_asked.set()

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        """Send a request, with header names in small letters; returns the answer's headers and body."""
        if self._turns is None or self.status != "InService":
            raise ApiError(f"Endpoint {self.name} of account {ACCOUNT} is in {self.status}.", RUNTIME)
        self._check(body, headers)
        passed = {name: headers[name] for name in PASSED if headers.get(name)}
        try:
            answer = next(self._turns).ask("POST", "/invocations", body, passed)
        except urllib3.exceptions.HTTPError as error:
            message = f"the container did not answer: {error!r}"
            raise ApiError(message, "ModelError", 424, OriginalStatusCode=0) from None
        if answer.status != 200:
            text, whose = answer.data.decode(errors="replace"), "server" if answer.status >= 500 else "client"
            message = f'Received {whose} error ({answer.status}) from primary with message "{text}".'
            logs = f"arn:aws:logs:{self.region}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{self.name}"
            more = {"OriginalStatusCode": answer.status, "OriginalMessage": text, "LogStreamArn": logs}
            raise ApiError(message, "ModelError", 424, **more)
        if self._capture.get("EnableCapture") and 100 * random.random() < self._capture["InitialSamplingPercentage"]:  # noqa: S311
            self._write_capture(body, headers, answer)
        kept = {CONTENT_TYPE: answer.headers[CONTENT_TYPE]}
        kept["x-Amzn-Invoked-Production-Variant"] = self._variant["VariantName"]
        if echoed := answer.headers.get(ATTRIBUTES):
            kept[ATTRIBUTES] = echoed
        return kept, answer.data

    def _check(self, body: bytes, headers: Mapping[str, str]) -> None:
        if refused := [member for header, member in REFUSED.items() if headers.get(header)]:
            message = f"SageMaker on this machine does not support {', '.join(refused)}; leave it out"
            raise ApiError(message, RUNTIME)
        if (target := headers.get(TARGET_VARIANT) or self._variant["VariantName"]) != self._variant["VariantName"]:
            raise ApiError(f"Variant {target} not found for Endpoint {self.name}.", RUNTIME)
        kind = "serverless" if "ServerlessConfig" in self._variant else "instance"
        if len(body) > (limit := LIMIT_BYTES[kind]):
            message = f"Request of {len(body)} bytes; at most {limit} are taken by an endpoint on a {kind}."
            raise ApiError(message, RUNTIME)

    def _write_capture(self, body: bytes, headers: Mapping[str, str], answer: urllib3.BaseHTTPResponse) -> None:
        """Keep request and answer as SageMaker's data capture writes them."""
        modes = {option["CaptureMode"] for option in self._capture["CaptureOptions"]}
        texts = self._capture.get("CaptureContentTypeHeader", {})
        data = {}
        for mode, content, media in (
            ("Input", body, headers.get(CONTENT_TYPE, "")),
            ("Output", answer.data, answer.headers[CONTENT_TYPE]),
        ):
            if modes & {mode, "InputAndOutput"}:
                encoding = "CSV" if media in texts.get("CsvContentTypes", []) else "BASE64"
                encoding = "JSON" if media in texts.get("JsonContentTypes", []) else encoding
                text = (base64.b64encode(content) if encoding == "BASE64" else content).decode(errors="replace")
                part = {"observedContentType": media, "mode": mode.upper(), "data": text, "encoding": encoding}
                data[f"endpoint{mode}"] = part
        now = datetime.now(UTC)
        event = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
        if identity := headers.get(INFERENCE_ID):
            event["inferenceId"] = identity
        place = f"{self._capture['DestinationS3Uri'].rstrip('/')}/{self.name}/{self._variant['VariantName']}"
        line = json.dumps({"captureData": data, "eventMetadata": event, "eventVersion": "0"})
        self.account.writer.capture(f"{place}/{now:%Y/%m/%d/%H}", line + "\n")


def invoke(
    account: Account, name: str, region: str, body: bytes, headers: Mapping[str, str]
) -> tuple[dict[str, str], bytes]:
    """Send a request to the endpoint of that name; see `Endpoint.invoke`."""
    if name not in account.of(Endpoint, region):
        raise ApiError(f"Endpoint {name} of account {ACCOUNT} not found.", RUNTIME)
    return account.find(Endpoint, name, region).invoke(body, headers)
