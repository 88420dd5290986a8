"""Endpoints: `serve`, asked over HTTP and captured, and replaced while it answers."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import urllib3

from fraud_utils.local_sagemaker import capture
from fraud_utils.local_sagemaker.account import ACCOUNT, Account, Running, reason_of
from fraud_utils.local_sagemaker.alarms import Watch
from fraud_utils.local_sagemaker.bluegreen import Plan
from fraud_utils.local_sagemaker.capture import CONTENT_TYPE, INFERENCE_ID
from fraud_utils.local_sagemaker.checks import ApiError
from fraud_utils.local_sagemaker.fleet import EndpointConfig, Fleet

LIMIT_BYTES = {"instance": 25 << 20, "serverless": 4 << 20}  # of a request
# Headers of a request: of HTTP, by their names; of SageMaker, by InvokeEndpoint's members.
ACCEPT, ATTRIBUTES, TARGET_VARIANT = "accept", "x-amzn-sagemaker-custom-attributes", "x-amzn-sagemaker-target-variant"
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
    """A fleet that answers until the endpoint is deleted, or another configuration's takes its place.

    While one does, the two may share the requests, and a `Watch` measures them.
    """

    kind, word, title = "Endpoint", "endpoint", "endpoint"

    def prepare(self) -> None:
        if "DeploymentConfig" in self.record:
            raise ApiError("SageMaker on this machine takes 'DeploymentConfig' with UpdateEndpoint only; leave it out")
        self._fleet = Fleet(self.account, self._config(self.record))
        self._beside: tuple[Fleet, float] | None = None  # another fleet, and its share of the requests
        self._watch: Watch | None = None
        self._exchange = threading.Condition()  # for the fleets that answer, and for what they are asked
        self.record |= {"EndpointStatus": "Creating", **self._fleet.record}

    def _config(self, request: Mapping[str, Any]) -> EndpointConfig:
        return self.account.find(EndpointConfig, request["EndpointConfigName"], self.region)

    def run(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._fleet.launch(self.name, folder, self.stop_asked, self._read)
            self.set_status("InService")
            self.stop_asked.wait()
        finally:
            self._fleet.close()
        super().delete()

    def delete(self) -> None:
        if self.status in ("Creating", "Updating", "RollingBack", "Deleting"):
            raise ApiError(f'Cannot update in-progress endpoint "{self.arn}".')
        if self.status == "Failed":
            super().delete()
        else:
            self.set_status("Deleting")
            self.stop_asked.set()

    def update(self, request: Mapping[str, Any]) -> None:
        """Have another configuration answer once all its programs do, in steps where that is asked for.

        Where one does not, or an alarm goes off meanwhile, the present one stays.
        """
        self._check_idle()
        fleet, deployment = Fleet(self.account, self._config(request)), request.get("DeploymentConfig", {})
        plan = Plan.read(deployment, self._fleet, fleet)
        group = f"/aws/sagemaker/Endpoints/{self.name}"
        self._watch = Watch(self.account, self.region, group, plan.alarms)
        self.change(**{"LastDeploymentConfig": deployment} if deployment else {})
        self._begin_update(self._replace, fleet, plan, self._watch)

    def update_weights(self, request: Mapping[str, Any]) -> None:
        """Share the traffic in another way, and let instances go."""
        self._check_idle()
        fleet, changed = self._fleet, request["DesiredWeightsAndCapacities"]
        if unknown := {each["VariantName"] for each in changed} - fleet.variants.keys():
            raise ApiError(f"Variant {', '.join(sorted(unknown))} not found for Endpoint {self.name}.")
        weights, counts = (
            {each["VariantName"]: each[member] for each in changed if member in each}
            for member in ("DesiredWeight", "DesiredInstanceCount")
        )
        if not sum((fleet.weights | weights).values()):
            raise ApiError("At least one variant needs a DesiredWeight above 0.")
        if more := [name for name, count in counts.items() if not 0 < count <= fleet.counts[name]]:
            raise ApiError(f"SageMaker on this machine gives {more[0]} no other DesiredInstanceCount than 1 to now's")
        self._begin_update(self._weigh, weights, counts)

    def _check_idle(self) -> None:
        if self.status != "InService":
            state = "in-progress endpoint" if self.status != "Failed" else "failed endpoint"
            raise ApiError(f'Cannot update {state} "{self.arn}".')

    def _begin_update(self, work: Callable[..., None], *arguments: Any) -> None:
        self.set_status("Updating")
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _weigh(self, weights: dict[str, float], counts: dict[str, int]) -> None:
        with self._exchange:
            self._fleet.weights = self._fleet.weights | weights
            let_go, asked = self._fleet.shrink(counts), set(self._fleet.asked)
            self._exchange.wait_for(lambda: asked.isdisjoint(self._fleet.asked))
        for program in let_go:
            program.close()
        self._settle()

    def _replace(self, fleet: Fleet, plan: Plan, watch: Watch) -> None:
        began, old = time.monotonic(), self._fleet
        self._show_step(fleet, "Creating")
        try:
            fleet.launch(self.name, self._folder, self.stop_asked, self._read)
            for share, seconds in plan.steps:
                self._show_step(fleet, "Baking" if seconds else "ActivatingTraffic")
                self._beside = (fleet, share)
                plan.hold(watch, seconds, began, self.stop_asked)
        except Exception as error:
            if self._beside:
                self.set_status("RollingBack")
            self._exchange_fleets(kept=old, gone=fleet)
            self._settle(FailureReason=reason_of(error))
        else:
            self._exchange_fleets(kept=fleet, gone=old)
            self._settle()

    def _exchange_fleets(self, kept: Fleet, gone: Fleet) -> None:
        """Have one fleet answer alone, and end the other once it has answered."""
        with self._exchange:
            self._fleet, self._beside, self._watch = kept, None, None
            self._exchange.wait_for(lambda: not gone.asked)
        gone.close()

    def _show_step(self, fleet: Fleet, step: str) -> None:
        variants = [{"VariantName": name, "VariantStatus": [{"Status": step}]} for name in fleet.variants]
        self.change(PendingDeploymentSummary={"EndpointConfigName": fleet.config, "ProductionVariants": variants})

    def _settle(self, **more: Any) -> None:
        with self.account.lock:
            for member in ("FailureReason", "DataCaptureConfig", "PendingDeploymentSummary"):
                self.record.pop(member, None)
            self.set_status("InService", **self._fleet.record, **more)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[Fleet]:
        """A fleet that answers now; it is not closed before the block ends."""
        request = object()
        with self._exchange:
            if self.status not in ("InService", "Updating", "RollingBack"):
                raise ApiError(f"Endpoint {self.name} of account {ACCOUNT} is in {self.status}.", RUNTIME)
            fleet = self._fleet
            if self._beside and random.random() < self._beside[1]:  # noqa: S311
                fleet = self._beside[0]
            fleet.asked.add(request)
        try:
            yield fleet
        finally:
            with self._exchange:
                fleet.asked.discard(request)
                self._exchange.notify_all()

    def _read(self, line: str) -> None:
        """Take note of what a program logs."""
        if watch := self._watch:
            watch.read(line)

    def _note(self, fleet: Fleet, variant: str, status: int, began: float) -> None:
        """Take note of how a request went; 500 is no answer."""
        if watch := self._watch:
            watch.take(self.name, variant, fleet.config, status, 1e6 * (time.perf_counter() - began))

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        """Send a request, with header names in small letters; returns the answer's headers and body."""
        with self._answering() as fleet:
            self._check(fleet, body, headers)
            variant, program = fleet.choose(headers.get(TARGET_VARIANT, ""))
            passed = {name: headers[name] for name in PASSED if headers.get(name)}
            began = time.perf_counter()
            try:
                answer = program.ask("POST", "/invocations", body, passed)
                self._note(fleet, variant, answer.status, began)
            except urllib3.exceptions.HTTPError as error:
                self._note(fleet, variant, 500, began)
                message = f"the container did not answer: {error!r}"
                raise ApiError(message, "ModelError", 424, OriginalStatusCode=0) from None
        if answer.status != 200:
            text, whose = answer.data.decode(errors="replace"), "server" if answer.status >= 500 else "client"
            message = f'Received {whose} error ({answer.status}) from primary with message "{text}".'
            logs = f"arn:aws:logs:{self.region}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{self.name}"
            more = {"OriginalStatusCode": answer.status, "OriginalMessage": text, "LogStreamArn": logs}
            raise ApiError(message, "ModelError", 424, **more)
        options = fleet.capture
        if options.get("EnableCapture") and 100 * random.random() < options["InitialSamplingPercentage"]:  # noqa: S311
            place = f"{options['DestinationS3Uri'].rstrip('/')}/{self.name}/{variant}"
            capture.write(self.account.writer, options, place, (body, headers), answer)
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


def invoke(
    account: Account, name: str, region: str, body: bytes, headers: Mapping[str, str]
) -> tuple[dict[str, str], bytes]:
    """Send a request to the endpoint of that name; see `Endpoint.invoke`."""
    if name not in account.of(Endpoint, region):
        raise ApiError(f"Endpoint {name} of account {ACCOUNT} not found.", RUNTIME)
    return account.find(Endpoint, name, region).invoke(body, headers)
