"""An account: what its resources share, and what they have in common. All of it is in memory only."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

from fraud_utils.local_sagemaker import storage
from fraud_utils.local_sagemaker.checks import MODEL, ApiError, recorded
from fraud_utils.local_sagemaker.programs import Program
from fraud_utils.local_sagemaker.storage import JobError, Writer

ACCOUNT = "123456789012"  # moto's
PROJECT_IMAGE = "fraud-detect"  # stands for the programs in container/ where no engine is named
CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}


class Account:
    """The resources there are, their tags, the programs that run for them, and clients of the other services.

    `address` is this server's, which answers for those services too.
    """

    def __init__(self, address: str, engine: str, ping_seconds: float) -> None:
        self.address, self.engine, self.ping_seconds = address, engine, ping_seconds
        self.lock = threading.RLock()
        self._resources: dict[tuple[type[Resource], str], dict[str, Any]] = {}
        self.tags: dict[str, dict[str, str]] = {}  # by ARN
        self._programs: list[Program] = []
        self._clients: dict[tuple[str, str], Any] = {}
        self.writer = Writer(self.client)

    def client(self, service: str, region: str) -> Any:
        """A client of one of the services that this server answers for."""
        with self.lock:
            if (service, region) not in self._clients:
                options = Config(proxies={}, s3={"addressing_style": "path"}, retries={"max_attempts": 1})
                self._clients[service, region] = boto3.client(
                    service, region, endpoint_url=self.address, config=options, **CREDENTIALS
                )
            return self._clients[service, region]

    def of(self, kind: type[Resource], region: str) -> dict[str, Any]:
        """The resources of a kind by name."""
        return self._resources.setdefault((kind, region), {})

    def find[R: Resource](self, kind: type[R], name: str, region: str) -> R:
        """One resource by its name or ARN; an ApiError where there is none."""
        name = name.rpartition(f":{kind.word}/")[2]
        if name not in self.of(kind, region):
            raise ApiError(kind.not_found.format(title=kind.title, arn=kind.arn_of(name, region)))
        return self.of(kind, region)[name]

    def create[R: Resource](self, kind: type[R], request: Mapping[str, Any], region: str) -> R:
        """Make a resource, and start what goes on behind it."""
        resource = kind(self, request, region)
        self.of(kind, region)[resource.name] = resource
        self.tags[resource.arn] = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        if names := ", ".join(recorded(request)):
            print(f"{resource.arn}: recorded, not acted on: {names}", flush=True)
        resource.start()
        return resource

    def run[P: Program](
        self, kind: type[P], tree: Path, image: str, environment: Mapping[str, str], on_line: Callable[[str], None]
    ) -> P:
        """Start a program that ends with this server."""
        program = kind(tree, self.engine, image, environment, on_line)
        self._programs.append(program)
        return program

    def check_image(self, image: str) -> None:
        """Refuse an image that does not exist, as SageMaker does."""
        exists = False
        if registry := re.fullmatch(r"(\d{12})\.dkr\.ecr\.([\w-]+)\.amazonaws\.com/([^:@]+)(?::([^@]+))?", image):
            _, region, repository, tag = registry.groups()
            with contextlib.suppress(ClientError):
                ids = [{"imageTag": tag or "latest"}]
                exists = bool(self.client("ecr", region).describe_images(repositoryName=repository, imageIds=ids))
        elif self.engine:
            exists = not subprocess.run([self.engine, "image", "inspect", image], capture_output=True).returncode
        else:
            exists = image.split(":")[0] == PROJECT_IMAGE
        if not exists:
            raise ApiError(f"Requested image {image} not found.")

    def check_artefact(self, image: str, url: str, region: str) -> None:
        """Refuse to serve what is not there."""
        self.check_image(image)
        bucket, key = storage.split(url)
        try:
            self.client("s3", region).head_object(Bucket=bucket, Key=key)
        except (ClientError, ParamValidationError):
            raise ApiError(f"Could not find model data at {url}.") from None

    def close(self) -> None:
        """End every program at once: nobody is left who waits for its work."""
        everything = [each for named in list(self._resources.values()) for each in list(named.values())]
        running = [resource for resource in everything if isinstance(resource, Running)]
        for resource in running:
            resource.stop_asked.set()
        for program in list(self._programs):
            program.kill()
        for resource in running:
            resource.join(10)


class Resource:
    """Something with a name. Its `record` has the names of the service's model."""

    kind, word, title = "", "", ""  # what it is called in operations, in ARNs and in messages
    not_found = 'Could not find {title} "{arn}".'
    name_taken = ('Cannot create already existing {title} "{arn}".', "ValidationException")

    def __init__(self, account: Account, request: Mapping[str, Any], region: str) -> None:
        self.account, self.region, self.name = account, region, request[f"{self.kind}Name"]
        self.arn = self.arn_of(self.name, region)
        if self.name in account.of(type(self), region):
            message, code = self.name_taken
            raise ApiError(message.format(title=self.title, arn=self.arn, name=self.name), code)
        now = time.time()
        self.record = {name: value for name, value in request.items() if name != "Tags"}
        self.record |= {f"{self.kind}Arn": self.arn, "CreationTime": now, "LastModifiedTime": now}
        self.prepare()

    @classmethod
    def arn_of(cls, name: str, region: str) -> str:
        """The ARN of one of that name."""
        return f"arn:aws:sagemaker:{region}:{ACCOUNT}:{cls.word}/{name}"

    def prepare(self) -> None:
        """Refuse what cannot be, and complete the record."""

    def start(self) -> None:
        """Begin what goes on behind it."""

    def describe(self) -> dict[str, Any]:
        """The members of the record that the service shows."""
        members = MODEL.operation_model(f"Describe{self.kind}").output_shape.members
        return {name: value for name, value in self.record.items() if name in members}

    def change(self, **changes: Any) -> None:
        """Change the record."""
        with self.account.lock:
            self.record.update(changes, LastModifiedTime=time.time())

    def delete(self) -> None:
        """Forget it."""
        with self.account.lock:
            self.account.of(type(self), self.region).pop(self.name, None)
            self.account.tags.pop(self.arn, None)


def reason_of(error: Exception) -> str:
    """A FailureReason."""
    return (str(error) if isinstance(error, JobError) else f"InternalServerError: {error!r}")[:1024]


class Running(Resource):
    """A resource behind which a thread works, in a folder of its own; what goes wrong becomes its FailureReason."""

    def __init__(self, account: Account, request: Mapping[str, Any], region: str) -> None:
        self.stop_asked = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.join = self._thread.join
        super().__init__(account, request, region)

    def start(self) -> None:
        self._thread.start()

    def run(self, folder: Path) -> None:
        """The thread's work."""
        raise NotImplementedError

    def _work(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="local-sagemaker-"))
        try:
            self.run(folder)
        except Exception as error:
            with contextlib.suppress(OSError, ClientError):
                self.account.writer.flush()
            self.fail(reason_of(error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def status(self) -> str:
        """The step it has reached."""
        return self.record[f"{self.kind}Status"]

    def set_status(self, status: str, **more: Any) -> None:
        """Take the next step."""
        self.change(**{f"{self.kind}Status": status}, **more)

    def fail(self, reason: str) -> None:
        """End with a reason."""
        self.set_status("Failed", FailureReason=reason)


class Job(Running):
    """Work that ends by itself or is stopped."""

    not_found = "Requested resource not found."
    name_taken = ("{title} names must be unique within an account and region: {name}", "ResourceInUse")

    def stop(self) -> None:
        """Ask for an early end."""
        if self.status != "InProgress":
            raise ApiError(f"The request was rejected because the {self.title} is in status {self.status}.")
        self.set_status("Stopping")
        self.stop_asked.set()

    def delete(self) -> None:
        """Forget it once it has ended."""
        if self.status in ("InProgress", "Stopping"):
            raise ApiError(f"{self.arn} is at work; stop it first", "ResourceInUse")
        super().delete()
