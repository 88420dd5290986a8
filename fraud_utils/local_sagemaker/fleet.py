"""What an endpoint runs: models, the configurations that name them, and the programs of one configuration."""

from __future__ import annotations

import contextlib
import itertools
import random
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fraud_utils.local_sagemaker import storage
from fraud_utils.local_sagemaker.account import Account, Resource
from fraud_utils.local_sagemaker.checks import ApiError
from fraud_utils.local_sagemaker.programs import Serving
from fraud_utils.local_sagemaker.registry import container_of

MOST_VARIANTS = 10  # of a configuration, as on SageMaker


class Model(Resource):
    """An image and an artefact in S3, named by themselves or by a version in the registry."""

    kind, word, title = "Model", "model", "model"

    def prepare(self) -> None:
        self._container = container_of(self.account, self.record.get("PrimaryContainer", {}), self.region)
        if not self._container.get("Image") or not self._container.get("ModelDataUrl"):
            raise ApiError(
                "SageMaker on this machine serves a PrimaryContainer with Image and ModelDataUrl, or a ModelPackageName"
            )
        self.account.check_artefact(self._container["Image"], self._container["ModelDataUrl"], self.region)

    @contextlib.contextmanager
    def serving(self, tree: Path, environment: Mapping[str, str], log: Callable[[str], None]) -> Iterator[Serving]:
        """`serve` with the artefact, until the block ends."""
        container = self._container
        storage.unpack(self.account.client("s3", self.region), container["ModelDataUrl"], tree / "model")
        environment = {**container.get("Environment", {}), **environment}
        program = self.account.run(Serving, tree, container["Image"], environment, log)
        try:
            yield program
        finally:
            program.close()


class EndpointConfig(Resource):
    """What an endpoint runs: production variants, each of one model, which share the traffic by their weights."""

    kind, word, title = "EndpointConfig", "endpoint-config", "endpoint configuration"

    def prepare(self) -> None:
        self.variants: list[dict[str, Any]] = self.record["ProductionVariants"]
        names = [variant["VariantName"] for variant in self.variants]
        if len(names) > MOST_VARIANTS or len(set(names)) < len(names):
            raise ApiError(f"ProductionVariants must have at most {MOST_VARIANTS} members, each with its own name.")
        if not sum(variant.setdefault("InitialVariantWeight", 1.0) for variant in self.variants):
            raise ApiError("At least one variant needs an InitialVariantWeight above 0.")
        for variant in self.variants:
            self._check(variant)

    def _check(self, variant: Mapping[str, Any]) -> None:
        if "InstanceType" not in variant and "ServerlessConfig" not in variant:
            raise ApiError("A variant needs an InstanceType or a ServerlessConfig.")
        model = self.account.find(Model, variant["ModelName"], self.region)
        if "ServerlessConfig" in variant:
            if len(self.variants) > 1:
                raise ApiError("A serverless endpoint has one variant only.")
            asked = {**self.record, **model.record}
            for member in ("InstanceType", "DataCaptureConfig", "VpcConfig", "EnableNetworkIsolation"):
                if variant.get(member) or asked.get(member):
                    raise ApiError(f"A serverless variant does not support {member}.")


class Fleet:
    """The programs of one endpoint configuration: for each variant one an instance, which take turns.

    Attributes
    ----------
    counts : dict of str to int
        Instances of each variant.
    asked : set of object
        Requests that it is answering.
    """

    def __init__(self, account: Account, config: EndpointConfig) -> None:
        self._account, self._config = account, config
        self.variants = {variant["VariantName"]: variant for variant in config.variants}
        self._models = {
            name: account.find(Model, variant["ModelName"], config.region) for name, variant in self.variants.items()
        }
        self.weights = {name: float(variant["InitialVariantWeight"]) for name, variant in self.variants.items()}
        self.capture: Mapping[str, Any] = config.record.get("DataCaptureConfig", {})
        self.counts = {name: variant.get("InitialInstanceCount", 1) for name, variant in self.variants.items()}
        self.asked: set[object] = set()
        self._programs: dict[str, list[Serving]] = {}
        self._turns: dict[str, Iterator[Serving]] = {}
        self._stack = contextlib.ExitStack()

    @property
    def config(self) -> str:
        """Name of the configuration."""
        return self._config.name

    def launch(self, endpoint: str, folder: Path, stop: threading.Event, read: Callable[[str], None]) -> None:
        """Start the programs, and wait until all of them answer; `read` gets each line that they log.

        Raises
        ------
        JobError
            One did not in time.
        """
        tree = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        for name, count in self.counts.items():
            for i in range(count):
                stream = f"{name}/i-{uuid.uuid4().hex[:17]}"
                write = self._account.writer.stream(f"/aws/sagemaker/Endpoints/{endpoint}", stream, self._config.region)
                serving = self._models[name].serving(tree / name / str(i), {}, _both(write, read))
                self._programs.setdefault(name, []).append(self._stack.enter_context(serving))
        for name, programs in self._programs.items():
            if not all(each.wait_until_ready(self._account.ping_seconds, stop) for each in programs):
                raise storage.JobError(
                    f"The primary container for production variant {name} did not pass the "
                    "ping health check. Please check CloudWatch logs for this endpoint."
                )
        self._turns = {name: itertools.cycle(programs) for name, programs in self._programs.items()}

    def shrink(self, counts: Mapping[str, int]) -> list[Serving]:
        """Ask fewer instances of some variants from now on; returns the others' programs, to be closed."""
        let_go: list[Serving] = []
        for name, count in counts.items():
            let_go += self._programs[name][count:]
            del self._programs[name][count:]
            self._turns[name] = itertools.cycle(self._programs[name][:])
        self.counts |= counts
        return let_go

    def close(self) -> None:
        """End the programs, all at once: each gives its clients a second to leave."""
        for program in (each for programs in self._programs.values() for each in programs):
            program.terminate()
        self._stack.close()

    def choose(self, target: str = "") -> tuple[str, Serving]:
        """A variant's name, the target or else one drawn by the weights, and its program whose turn it is."""
        (name,) = [target] if target else random.choices([*self.weights], [*self.weights.values()])  # noqa: S311
        return name, next(self._turns[name])

    @property
    def record(self) -> dict[str, Any]:
        """What DescribeEndpoint shows of it."""
        shown = []
        for name, variant in self.variants.items():
            part = {"VariantName": name, "CurrentWeight": self.weights[name], "DesiredWeight": self.weights[name]}
            if "ServerlessConfig" in variant:
                part["CurrentServerlessConfig"] = variant["ServerlessConfig"]
            else:
                part |= {"CurrentInstanceCount": self.counts[name], "DesiredInstanceCount": self.counts[name]}
            shown.append(part)
        record: dict[str, Any] = {"EndpointConfigName": self._config.name, "ProductionVariants": shown}
        if self.capture:
            record["DataCaptureConfig"] = {
                "EnableCapture": self.capture.get("EnableCapture", False),
                "CaptureStatus": "Started" if self.capture.get("EnableCapture") else "Stopped",
                "CurrentSamplingPercentage": self.capture["InitialSamplingPercentage"],
                "DestinationS3Uri": self.capture["DestinationS3Uri"],
            }
        return record


def _both(*readers: Callable[[str], None]) -> Callable[[str], None]:
    def read(line: str) -> None:
        for each in readers:
            each(line)

    return read
