"""Endpoints: `serve`, asked over HTTP and captured, and replaced while it answers."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3

from fraud_utils.local_sagemaker.account import ACCOUNT, Account, Running, reason_of
from fraud_utils.local_sagemaker.checks import ApiError
from fraud_utils.local_sagemaker.fleet import EndpointConfig, Fleet

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


class Endpoint(Running):
    """A fleet that answers until the endpoint is deleted, or another configuration's takes its place."""

    kind, word, title = "Endpoint", "endpoint", "endpoint"

    def prepare(self) -> None:
        self._fleet = Fleet(self.account, self._config(self.record))
        self._exchange = threading.Condition()  # for the fleet that answers, and for what it is asked
        self.record |= {"EndpointStatus": "Creating", **self._fleet.record}

    def _config(self, request: Mapping[str, Any]) -> EndpointConfig:
        return self.account.find(EndpointConfig, request["EndpointConfigName"], self.region)

    def run(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._fleet.launch(self.name, folder, self.stop_asked)
            self.set_status("InService")
            self.stop_asked.wait()
        finally:
            self._fleet.close()
        super().delete()

    def delete(self) -> None:
        if self.status in ("Creating", "Updating", "Deleting"):
            raise ApiError(f'Cannot update in-progress endpoint "{self.arn}".')
        if self.status == "Failed":
            super().delete()
        else:
            self.set_status("Deleting")
            self.stop_asked.set()

    def update(self, request: Mapping[str, Any]) -> None:
        """Have another configuration answer once all its programs do; where one does not, the present one stays."""
        self._begin_update(self._replace, Fleet(self.account, self._config(request)))

    def update_weights(self, request: Mapping[str, Any]) -> None:
        """Share the traffic in another way."""
        changed = {each["VariantName"]: each.get("DesiredWeight") for each in request["DesiredWeightsAndCapacities"]}
        weights = self._fleet.weights | {name: weight for name, weight in changed.items() if weight is not None}
        if unknown := changed.keys() - self._fleet.variants.keys():
            raise ApiError(f"Variant {', '.join(sorted(unknown))} not found for Endpoint {self.name}.")
        if not sum(weights.values()):
            raise ApiError("At least one variant needs a DesiredWeight above 0.")
        self._begin_update(self._weigh, weights)

    def _begin_update(self, work: Callable[..., None], *arguments: Any) -> None:
        if self.status != "InService":
            state = "in-progress endpoint" if self.status != "Failed" else "failed endpoint"
            raise ApiError(f'Cannot update {state} "{self.arn}".')
        self.set_status("Updating")
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _weigh(self, weights: dict[str, float]) -> None:
        self._fleet.weights = weights
        self._settle()

    def _replace(self, fleet: Fleet) -> None:
        try:
            fleet.launch(self.name, self._folder, self.stop_asked)
        except Exception as error:
            fleet.close()
            self.set_status("InService", FailureReason=reason_of(error))
            return
        with self._exchange:
            old, self._fleet = self._fleet, fleet
            self._exchange.wait_for(lambda: not old.asked)
        old.close()
        self._settle()

    def _settle(self) -> None:
        with self.account.lock:
            for member in ("FailureReason", "DataCaptureConfig"):
                self.record.pop(member, None)
            self.set_status("InService", **self._fleet.record)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[Fleet]:
        """The fleet that answers now; it is not closed before the block ends."""
        with self._exchange:
            if self.status not in ("InService", "Updating"):
                raise ApiError(f"Endpoint {self.name} of account {ACCOUNT} is in {self.status}.", RUNTIME)
            fleet = self._fleet
            fleet.asked += 1
        try:
            yield fleet
        finally:
            with self._exchange:
                fleet.asked -= 1
                self._exchange.notify_all()

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        """Send a request, with header names in small letters; returns the answer's headers and body."""
        with self._answering() as fleet:
            self._check(fleet, body, headers)
            variant, program = fleet.choose(headers.get(TARGET_VARIANT, ""))
            passed = {name: headers[name] for name in PASSED if headers.get(name)}
            try:
                answer = program.ask("POST", "/invocations", body, passed)
            except urllib3.exceptions.HTTPError as error:
                message = f"the container did not answer: {error!r}"
                raise ApiError(message, "ModelError", 424, OriginalStatusCode=0) from None
        if answer.status != 200:
            text, whose = answer.data.decode(errors="replace"), "server" if answer.status >= 500 else "client"
            message = f'Received {whose} error ({answer.status}) from primary with message "{text}".'
            logs = f"arn:aws:logs:{self.region}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{self.name}"
            more = {"OriginalStatusCode": answer.status, "OriginalMessage": text, "LogStreamArn": logs}
            raise ApiError(message, "ModelError", 424, **more)
        capture = fleet.capture
        if capture.get("EnableCapture") and 100 * random.random() < capture["InitialSamplingPercentage"]:  # noqa: S311
            place = f"{capture['DestinationS3Uri'].rstrip('/')}/{self.name}/{variant}"
            self._write_capture(capture, place, (body, headers), answer)
        kept = {CONTENT_TYPE: answer.headers[CONTENT_TYPE], "x-Amzn-Invoked-Production-Variant": variant}
        if echoed := answer.headers.get(ATTRIBUTES):
            kept[ATTRIBUTES] = echoed
        return kept, answer.data

    def _check(self, fleet: Fleet, body: bytes, headers: Mapping[str, str]) -> None:
        if refused := [member for header, member in REFUSED.items() if headers.get(header)]:
            message = f"SageMaker on this machine does not support {', '.join(refused)}; leave it out"
            raise ApiError(message, RUNTIME)
        if (target := headers.get(TARGET_VARIANT)) and target not in fleet.variants:
            raise ApiError(f"Variant {target} not found for Endpoint {self.name}.", RUNTIME)
        serverless = any("ServerlessConfig" in variant for variant in fleet.variants.values())
        kind = "serverless" if serverless else "instance"
        if len(body) > (limit := LIMIT_BYTES[kind]):
            message = f"Request of {len(body)} bytes; at most {limit} are taken by an endpoint on a {kind}."
            raise ApiError(message, RUNTIME)

    def _write_capture(
        self,
        capture: Mapping[str, Any],
        place: str,
        asked: tuple[bytes, Mapping[str, str]],
        answer: urllib3.BaseHTTPResponse,
    ) -> None:
        """Keep request and answer as SageMaker's data capture writes them."""
        body, headers = asked
        modes = {option["CaptureMode"] for option in capture["CaptureOptions"]}
        texts = capture.get("CaptureContentTypeHeader", {})
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
        line = json.dumps({"captureData": data, "eventMetadata": event, "eventVersion": "0"})
        self.account.writer.capture(f"{place}/{now:%Y/%m/%d/%H}", line + "\n")


def invoke(
    account: Account, name: str, region: str, body: bytes, headers: Mapping[str, str]
) -> tuple[dict[str, str], bytes]:
    """Send a request to the endpoint of that name; see `Endpoint.invoke`."""
    if name not in account.of(Endpoint, region):
        raise ApiError(f"Endpoint {name} of account {ACCOUNT} not found.", RUNTIME)
    return account.find(Endpoint, name, region).invoke(body, headers)
