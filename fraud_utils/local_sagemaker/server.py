"""SageMaker on this machine: its API on a loopback address, where jobs and endpoints are this project's programs.

`python -m fraud_utils.local_sagemaker` starts it; boto3, the AWS command line or a notebook then use it through
AWS_ENDPOINT_URL. moto's server answers for S3, STS, CloudWatch's logs, ECR, Application Auto Scaling and the model
registry. Training jobs, models, endpoints and transform jobs are answered here: `train` and `serve` really run, as
processes, or in a container where an engine is named. Requests are checked against botocore's model of the service.

Nothing outlives the server, however it ends: each program has a guard, a small process that kills it when the pipe to
the server closes. State is in memory only.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import io
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import Shape
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from fraud_utils.project import root

ACCOUNT = "123456789012"  # moto's
PROJECT_IMAGE = "fraud-detect"  # stands for the programs in container/ where no engine is named
CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
PING_SECONDS = 8 * 60  # as long as SageMaker waits for the first /ping
STOP_SECONDS = {"train": 120, "serve": 30}  # from SIGTERM to SIGKILL
LOG_SECONDS = 0.2  # between two writes to the log
MOST_BYTES = {"instance": 25 << 20, "serverless": 4 << 20}  # of a request to an endpoint
KINDS = {
    "TrainingJob": "training-job",
    "TransformJob": "transform-job",
    "Model": "model",
    "EndpointConfig": "endpoint-config",
    "Endpoint": "endpoint",
}

# Runs a program in a session of its own and passes SIGTERM on. When stdin closes, whoever started it is gone or wants
# an end: the program's whole group is killed, what it needs besides (a container) too, and its folder removed.
GUARD = """
import json, os, shutil, signal, subprocess, sys, threading
command, after, folder = json.loads(sys.argv[1])
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
signal.signal(signal.SIGTERM, lambda *_: program.terminate())
def end_group():
    try:
        os.killpg(program.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
left_alone = threading.Event()
def follow():
    status = program.wait()
    if not left_alone.is_set():
        end_group()
        os._exit(status if status >= 0 else 128 - status)
threading.Thread(target=follow, daemon=True).start()
while os.read(0, 1):
    pass
left_alone.set()
end_group()
program.wait()
if after:
    subprocess.run(after, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
shutil.rmtree(folder, ignore_errors=True)
os._exit(137)
"""


class ApiError(Exception):
    """An answer that the service gives to a request it refuses."""

    def __init__(self, code: str, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.code, self.status, self.more = code, status, more


class JobError(Exception):
    """Why a job or an endpoint failed, in the words of its FailureReason."""


# Requests -----------------------------------------------------------------------------------------------------------


def faults(shape: Shape, value: Any, where: str = "") -> Iterator[str]:
    """What of a request the service's model does not allow: names, types, lengths, ranges, patterns, enumerations.

    botocore's own check, on the client's side, knows neither patterns nor upper bounds.
    """
    kinds = {
        "structure": dict,
        "map": dict,
        "list": list,
        "string": str,
        "boolean": bool,
        "blob": str,
        "integer": int,
        "long": int,
        "float": int | float,
        "double": int | float,
        "timestamp": int | float,
    }
    if not isinstance(value, kinds[shape.type_name]) or (isinstance(value, bool) and shape.type_name != "boolean"):
        yield f"Value {str(value)[:80]!r} at '{where}' failed to satisfy constraint: must be a {shape.type_name}"
        return
    size = len(value) if isinstance(value, str | list | dict) else value
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    wrong = f"Value {str(value)[:80]!r} at '{where}' failed to satisfy constraint: Member must"
    if low is not None and size < low:
        yield f"{wrong} have length (or value) greater than or equal to {low}"
    if high is not None and size > high:
        yield f"{wrong} have length (or value) less than or equal to {high}, has {size}"
    if (allowed := getattr(shape, "enum", None)) and value not in allowed:
        yield f"{wrong} satisfy enum value set: [{', '.join(allowed)}]"
    elif pattern := shape.metadata.get("pattern"):
        for theirs, ours in ((r"\p{L}", r"\w"), (r"\p{Z}", r"\s"), (r"\p{N}", r"\d"), (r"\p{M}", "")):
            pattern = pattern.replace(theirs, ours)
        if isinstance(value, str) and not re.fullmatch(pattern, value):
            yield f"{wrong} satisfy regular expression pattern: {shape.metadata['pattern']}"
    match shape.type_name:
        case "structure":
            members = shape.members
            for name in shape.required_members:
                if name not in value:
                    yield f"Value null at '{where}.{name}' failed to satisfy constraint: Member must not be null"
            for name, item in value.items():
                if name in members:
                    yield from faults(members[name], item, f"{where}.{name}".lstrip("."))
                else:
                    yield f"'{where}.{name}' is not a member; known: {', '.join(members)}"
        case "list":
            for i, item in enumerate(value, 1):
                yield from faults(shape.member, item, f"{where}.{i}.member")
        case "map":
            for name, item in value.items():
                yield from faults(shape.key, name, f"{where}.key")
                yield from faults(shape.value, item, f"{where}.{name}")


def _split_url(url: str) -> tuple[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


# Programs -----------------------------------------------------------------------------------------------------------


class Program:
    """`train` or `serve`, running on a tree of the shape that SageMaker gives a container."""

    def __init__(
        self, what: str, tree: Path, engine: str, image: str, environment: Mapping[str, str], on_line: Callable
    ) -> None:
        self.what, self.engine, self.port = what, engine, 0
        if what == "serve":
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self.port = probe.getsockname()[1]
            environment = {"SAGEMAKER_BIND_TO_PORT": str(self.port), "SERVE_HOST": "127.0.0.1", **environment}
        theirs = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SAGEMAKER_"))}
        after: list[str] = []
        if engine:
            name = f"fraud-{uuid.uuid4().hex[:12]}"
            after = [engine, "rm", "--force", name]
            settings = [word for item in environment.items() for word in ("--env", "=".join(item))]
            user = [] if Path(engine).name == "podman" else ["--user", f"{os.getuid()}:{os.getgid()}"]
            mount = f"{tree}:/opt/ml" if what == "train" else f"{tree}/model:/opt/ml/model:ro"
            network = "none" if what == "train" else "host"
            command = [engine, "run", "--rm", "--name", name, "--network", network, "--volume", mount, *user, *settings]
            command += [image, what]
        else:
            command = [sys.executable, str(root() / "container" / f"{what}.py")]
            theirs |= {"SAGEMAKER_BASE_DIR": str(tree), "PYTHONUNBUFFERED": "1", **environment}
        self.guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", GUARD, json.dumps([command, after, str(tree)])],
            env=theirs,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(on_line,), daemon=True)
        self._reader.start()
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()

    def _read(self, on_line: Callable[[str], None]) -> None:
        for line in self.guard.stdout or ():
            on_line(line.decode(errors="replace").rstrip("\n"))

    def wait(self, stop: threading.Event, seconds: float) -> tuple[int, bool]:
        """Wait for its end, ask it to end when told to or when the time is over; gives status and "time is over"."""
        until, asked, late = time.monotonic() + seconds, False, False
        while self.guard.poll() is None:
            late = late or time.monotonic() > until
            if (stop.is_set() or late) and not asked:
                asked = True
                self.terminate()
            time.sleep(0.02)
        self._reader.join(5)
        return self.guard.returncode, late

    def terminate(self) -> None:
        """Send SIGTERM, and SIGKILL later to one that does not heed it."""
        self.guard.terminate()
        killer = threading.Timer(STOP_SECONDS[self.what], self.kill)
        killer.daemon = True
        killer.start()

    def kill(self) -> None:
        """End it and all that it started, at once."""
        with contextlib.suppress(OSError):
            self.guard.stdin.close()  # type: ignore[union-attr]

    def close(self) -> None:
        """End it in order, and wait."""
        if self.guard.poll() is None:
            self.terminate()
            self.guard.wait()
        self.kill()
        self._reader.join(5)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}, seconds: float = 60
    ) -> Any:
        """An HTTP request to `serve`; gives status, headers and body."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        connection.timeout = seconds
        if connection.sock:
            connection.sock.settimeout(seconds)
        try:
            try:
                connection.request(method, path, body, dict(headers))
                answer = connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError):  # it was idle for too long
                connection.close()
                connection.request(method, path, body, dict(headers))
                answer = connection.getresponse()
            content = answer.read()
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)
        return answer.status, answer.headers, content

    def wait_until_ready(self, seconds: float, stop: threading.Event) -> bool:
        """Whether `/ping` answered 200 in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.guard.poll() is None and not stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/ping", seconds=2)[0] == 200:
                    return True
            time.sleep(0.05)
        return False


# The service --------------------------------------------------------------------------------------------------------


class SageMaker:
    """Training jobs, models, endpoint configs, endpoints, transform jobs and their tags."""

    def __init__(self, address: str, engine: str = "", ping_seconds: float = PING_SECONDS) -> None:
        self.address, self.engine, self.ping_seconds = address, engine, ping_seconds
        self.model = botocore.session.get_session().get_service_model("sagemaker")
        self.lock = threading.RLock()
        self.kept: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}  # by (region, kind), then name
        self.tags: dict[str, dict[str, str]] = {}  # by ARN
        self.stops: dict[str, threading.Event] = {}  # by ARN
        self.threads: dict[str, threading.Thread] = {}  # by ARN
        self.served: dict[str, Program] = {}  # by the endpoint's ARN
        self.programs: list[Program] = []
        self.lines: queue.SimpleQueue[tuple[str, str, str, int, str]] = queue.SimpleQueue()
        self.captured: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self.writing = threading.Lock()
        self.closing = threading.Event()
        threading.Thread(target=self._write_regularly, daemon=True).start()

    def client(self, service: str, region: str) -> Any:
        """A client of the services that this one uses, at our own address."""
        options = Config(proxies={}, s3={"addressing_style": "path"}, retries={"max_attempts": 1})
        return boto3.client(service, region, endpoint_url=self.address, config=options, **CREDENTIALS)

    def knows(self, operation: str, request: Mapping[str, Any]) -> bool:
        """Whether the operation is answered here; what is not goes to moto."""
        if operation in ("AddTags", "ListTags", "DeleteTags"):
            return request.get("ResourceArn") in self.tags
        verb, kind = re.fullmatch(r"(Create|Describe|Delete|Stop|List|)(.*?)", operation).groups()  # type: ignore[union-attr]
        return bool(verb) and (kind.removesuffix("s") if verb == "List" else kind) in KINDS

    def answer(self, operation: str, request: dict[str, Any], region: str) -> dict[str, Any]:
        """Do what an operation asks for.

        Raises
        ------
        ApiError
            The request is refused.
        """
        found = list(faults(self.model.operation_model(operation).input_shape, request))
        if found:
            message = f"{len(found)} validation error{'s' * (len(found) > 1)} detected: {'; '.join(found)}"
            raise ApiError("ValidationException", message)
        with self.lock:
            if operation.endswith("Tags"):
                return self._change_tags(operation, request)
            verb, kind = re.fullmatch(r"(Create|Describe|Delete|Stop|List)(.*)", operation).groups()  # type: ignore[union-attr]
            if verb == "List":
                return self._list(kind.removesuffix("s"), request, region)
            if verb == "Create":
                return self._create(kind, request, region)
            record = self.record(kind, request[f"{kind}Name"], region)
            if verb == "Describe":
                members = self.model.operation_model(operation).output_shape.members
                return {name: value for name, value in record.items() if name in members}
            getattr(self, f"_{verb.lower()}")(kind, record, region)
            return {}

    def record(self, kind: str, name: str, region: str) -> dict[str, Any]:
        """What is known of a resource."""
        try:
            return self.kept[region, kind][name]
        except KeyError:
            if kind.endswith("Job"):
                raise ApiError("ValidationException", "Requested resource not found.") from None
            words = re.sub("(?<=[a-z])(?=[A-Z])", " ", kind).lower().replace("config", "configuration")
            arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:{KINDS[kind]}/{name}"
            raise ApiError("ValidationException", f'Could not find {words} "{arn}".') from None

    def _create(self, kind: str, request: dict[str, Any], region: str) -> dict[str, Any]:
        name = request[f"{kind}Name"]
        arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:{KINDS[kind]}/{name}"
        if name in self.kept.setdefault((region, kind), {}):
            if kind.endswith("Job"):
                raise ApiError("ResourceInUse", f"{kind} names must be unique within an account and region: {name}")
            raise ApiError("ValidationException", f'Cannot create already existing {KINDS[kind]} "{arn}".')
        now = time.time()
        record = {k: v for k, v in request.items() if k != "Tags"}
        record |= {f"{kind}Arn": arn, "CreationTime": now, "LastModifiedTime": now}
        work = getattr(self, f"_prepare_{KINDS[kind].replace('-', '_')}")(record, region)
        self.kept[region, kind][name] = record
        self.tags[arn] = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        if work:
            self.stops[arn] = threading.Event()
            self.threads[arn] = threading.Thread(target=self._work, args=(work, kind, record, region), daemon=True)
            self.threads[arn].start()
        return {f"{kind}Arn": arn}

    def _work(self, work: Callable[..., None], kind: str, record: dict[str, Any], region: str) -> None:
        """What goes on behind a job or an endpoint; its fault is told by the resource."""
        folder = Path(tempfile.mkdtemp(prefix="local-sagemaker-"))
        try:
            work(record, region, folder)
        except Exception as error:
            with contextlib.suppress(OSError, ClientError):
                self.flush()
            told = str(error) if isinstance(error, JobError) else f"InternalServerError: {error!r}"
            self.change(record, **{f"{kind}Status": "Failed", "FailureReason": told[:1024]})
            if kind == "TrainingJob":
                self._step(record, "Failed", "Training job failed")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def change(self, record: dict[str, Any], **changes: Any) -> None:
        """Change what is told of a resource."""
        with self.lock:
            record.update(changes, LastModifiedTime=time.time())

    def _list(self, kind: str, request: dict[str, Any], region: str) -> dict[str, Any]:
        members = self.model.operation_model(f"List{kind}s").output_shape.members
        answer, summary = next((name, shape) for name, shape in members.items() if shape.type_name == "list")
        before, after = request.get("CreationTimeBefore", 1e12), request.get("CreationTimeAfter", 0)
        found = [
            {key: value for key, value in record.items() if key in summary.member.members}
            for name, record in self.kept.get((region, kind), {}).items()
            if request.get("NameContains", "").lower() in name.lower()
            and after <= record["CreationTime"] <= before
            and request.get("StatusEquals", record.get(f"{kind}Status")) == record.get(f"{kind}Status")
        ]
        found.sort(key=lambda each: each["CreationTime"], reverse=request.get("SortOrder") != "Ascending")
        start, count = int(request.get("NextToken", 0)), request.get("MaxResults", 10)
        more = {"NextToken": str(start + count)} if start + count < len(found) else {}
        return {answer: found[start : start + count]} | more

    def _change_tags(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        tags = self.tags[request["ResourceArn"]]
        tags.update({tag["Key"]: tag["Value"] for tag in request.get("Tags", [])})
        for key in request.get("TagKeys", []):
            tags.pop(key, None)
        return {} if operation == "DeleteTags" else {"Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}

    def _stop(self, kind: str, record: dict[str, Any], region: str) -> None:
        if record[f"{kind}Status"] != "InProgress":
            raise ApiError(
                "ValidationException", f"The job is in status {record[f'{kind}Status']}; it cannot be stopped."
            )
        self.change(record, **{f"{kind}Status": "Stopping"})
        if kind == "TrainingJob":
            self._step(record, "Stopping", "Stopping the training job")
        self.stops[record[f"{kind}Arn"]].set()

    def _delete(self, kind: str, record: dict[str, Any], region: str) -> None:
        arn = record[f"{kind}Arn"]
        if kind == "Endpoint":
            if record["EndpointStatus"] in ("Creating", "Deleting"):
                raise ApiError("ValidationException", f'Cannot update in-progress endpoint "{arn}".')
            self.change(record, EndpointStatus="Deleting")
            threading.Thread(target=self._undeploy, args=(record, region), daemon=True).start()
            return
        if record.get(f"{kind}Status") in ("InProgress", "Stopping"):
            raise ApiError("ResourceInUse", f"{arn} is at work; stop it first")
        self._forget(kind, record, region)

    def _forget(self, kind: str, record: dict[str, Any], region: str) -> None:
        with self.lock:
            self.kept[region, kind].pop(record[f"{kind}Name"], None)
            self.tags.pop(record[f"{kind}Arn"], None)

    # Logs and captured requests are written by one thread, some at a time: an answer need not wait for them.

    def _log(self, group: str, stream: str, region: str) -> Callable[[str], None]:
        return lambda line: self.lines.put((group, stream, region, int(time.time() * 1000), line))

    def _write_regularly(self) -> None:
        while not self.closing.wait(LOG_SECONDS):
            with contextlib.suppress(OSError, ClientError):
                self.flush()

    def flush(self) -> None:
        """Write what is waiting to CloudWatch's place, and captured requests to S3."""
        with self.writing:
            streams: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
            while not self.lines.empty():
                group, stream, region, moment, line = self.lines.get()
                streams.setdefault((group, stream, region), []).append({"timestamp": moment, "message": line or " "})
            for (group, stream, region), events in streams.items():
                logs = self.client("logs", region)
                with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                    logs.create_log_group(logGroupName=group)
                with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                    logs.create_log_stream(logGroupName=group, logStreamName=stream)
                logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
            records: dict[str, list[str]] = {}
            while not self.captured.empty():
                url, line = self.captured.get()
                records.setdefault(url, []).append(line)
            for url, lines in records.items():
                bucket, key = _split_url(url)
                s3 = self.client("s3", "us-east-1")
                s3.put_object(Bucket=bucket, Key=f"{key}/{uuid.uuid4()}.jsonl", Body="".join(lines).encode())

    # S3

    def _objects(self, url: str, region: str) -> list[tuple[str, str]]:
        """Bucket and key of what lies under a prefix."""
        bucket, prefix = _split_url(url)
        pages = self.client("s3", region).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        try:
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        except ClientError as error:
            raise JobError(f"ClientError: Data download failed: {error}") from None
        return [(bucket, key) for key in keys if not key.endswith("/")]

    def _download(self, url: str, folder: Path, region: str) -> int:
        """Lay the objects under a prefix into a folder; gives their number."""
        objects = self._objects(url, region)
        prefix = _split_url(url)[1]
        for bucket, key in objects:
            path = folder / (key[len(prefix) :].lstrip("/") or Path(key).name)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.client("s3", region).download_file(bucket, key, str(path))
        return len(objects)

    def _check_image(self, image: str, region: str) -> None:
        """Refuse an image that is not there, as SageMaker does."""
        found = False
        if registry := re.fullmatch(r"(\d{12})\.dkr\.ecr\.([\w-]+)\.amazonaws\.com/([^:@]+)(?::([^@]+))?", image):
            _, place, repository, tag = registry.groups()
            with contextlib.suppress(ClientError):
                ids = [{"imageTag": tag or "latest"}]
                found = bool(self.client("ecr", place).describe_images(repositoryName=repository, imageIds=ids))
        elif self.engine:
            found = not subprocess.run([self.engine, "image", "inspect", image], capture_output=True).returncode
        else:
            found = image.split(":")[0] == PROJECT_IMAGE
        if not found:
            raise ApiError("ValidationException", f"Requested image {image} not found.")

    # Training

    def _prepare_training_job(self, record: dict[str, Any], region: str) -> Callable[..., None]:
        algorithm = record["AlgorithmSpecification"]
        for channel in record.get("InputDataConfig", []):
            source = channel["DataSource"].get("S3DataSource", {})
            if source.get("S3DataType") != "S3Prefix":
                raise ApiError("ValidationException", "SageMaker on this machine reads channels of type S3Prefix only")
        if record.get("EnableManagedSpotTraining") and "MaxWaitTimeInSeconds" not in record["StoppingCondition"]:
            raise ApiError("ValidationException", "Invalid MaxWaitTimeInSeconds. It must be present for spot training.")
        self._check_image(algorithm.get("TrainingImage", ""), region)
        record |= {"TrainingJobStatus": "InProgress", "SecondaryStatusTransitions": [], "FinalMetricDataList": []}
        self._step(record, "Starting", "Preparing the instances for training")
        return self._train

    def _step(self, record: dict[str, Any], status: str, message: str) -> None:
        with self.lock:
            now, steps = time.time(), record["SecondaryStatusTransitions"]
            if steps:
                steps[-1]["EndTime"] = now
            steps.append({"Status": status, "StartTime": now, "StatusMessage": message})
            record.update(SecondaryStatus=status, LastModifiedTime=now)

    def _train(self, record: dict[str, Any], region: str, tree: Path) -> None:
        name, stop = record["TrainingJobName"], self.stops[record["TrainingJobArn"]]
        self._step(record, "Downloading", "Downloading input data")
        for part in ("input/config", "input/data", "model", "output/data", "checkpoints"):
            (tree / part).mkdir(parents=True)
        channels = {}
        for channel in record.get("InputDataConfig", []):
            url = channel["DataSource"]["S3DataSource"]["S3Uri"]
            if not self._download(url, tree / "input/data" / channel["ChannelName"], region):
                raise JobError(f"ClientError: Data download failed: no objects found under S3 URL {url}")
            channels[channel["ChannelName"]] = {"TrainingInputMode": "File", "RecordWrapperType": "None"}
        config = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"}
        for file, content in (
            ("hyperparameters", record.get("HyperParameters", {})),
            ("inputdataconfig", channels),
            ("resourceconfig", config),
        ):
            (tree / f"input/config/{file}.json").write_text(json.dumps(content))
        checkpoints = record.get("CheckpointConfig", {}).get("S3Uri")
        if checkpoints:
            self._download(checkpoints, tree / "checkpoints", region)
        stream = f"{name}/algo-1-{int(time.time())}"
        began = time.time()
        self.change(record, TrainingStartTime=began)
        while True:
            self._step(record, "Training", "Training image download completed. Training in progress.")
            status, late = self._run_training(record, region, tree, stream, stop)
            if checkpoints:
                self._upload(tree / "checkpoints", checkpoints, region)
            if status != 137 or not record.get("EnableManagedSpotTraining") or stop.is_set() or late:
                break
            # Killed, and not by us: what a spot job meets when its instance is taken away.
            self._step(record, "Interrupted", "The spot instance was taken away")
            self._step(record, "Starting", "Waiting for another spot instance")
        seconds = int(time.time() - began) + 1
        self.change(record, TrainingEndTime=time.time(), TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds)
        failure = tree / "output/failure"
        if status and not (stop.is_set() or late):
            text = failure.read_text(errors="replace") if failure.exists() else ""
            raise JobError(f"AlgorithmError: {text[:900]}, exit code: {status}")
        self._step(record, "Uploading", "Uploading generated training model")
        url = f"{record['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{name}/output"
        if any((tree / "model").iterdir()):
            self._upload_archive(tree / "model", f"{url}/model.tar.gz", region)
            self.change(record, ModelArtifacts={"S3ModelArtifacts": f"{url}/model.tar.gz"})
        self.flush()
        ended = "Stopped" if stop.is_set() or late else "Completed"
        self._step(record, "MaxRuntimeExceeded" if late else ended, f"Training job {ended.lower()}")
        self.change(record, TrainingJobStatus=ended)

    def _run_training(
        self, record: dict[str, Any], region: str, tree: Path, stream: str, stop: threading.Event
    ) -> tuple[int, bool]:
        log = self._log("/aws/sagemaker/TrainingJobs", stream, region)
        definitions = record["AlgorithmSpecification"].get("MetricDefinitions", [])

        def on_line(line: str) -> None:
            log(line)
            for definition in definitions:
                if found := re.search(definition["Regex"], line):
                    metric = {"MetricName": definition["Name"], "Value": float(found[1]), "Timestamp": time.time()}
                    with self.lock:
                        others = [m for m in record["FinalMetricDataList"] if m["MetricName"] != definition["Name"]]
                        record["FinalMetricDataList"] = [*others, metric]

        environment = {"TRAINING_JOB_NAME": record["TrainingJobName"], **record.get("Environment", {})}
        image = record["AlgorithmSpecification"]["TrainingImage"]
        program = self._start("train", tree, image, environment, on_line)
        try:
            return program.wait(stop, record.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86_400))
        finally:
            program.close()

    def _upload(self, folder: Path, url: str, region: str) -> None:
        bucket, prefix = _split_url(url)
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}"
                self.client("s3", region).upload_file(str(path), bucket, key)

    def _upload_archive(self, folder: Path, url: str, region: str) -> None:
        bucket, key = _split_url(url)
        archive = folder.with_suffix(".tar.gz")
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, path.name)
        try:
            self.client("s3", region).upload_file(str(archive), bucket, key)
        except Exception as error:
            raise JobError(f"ClientError: Artifact upload failed: {error}") from None

    # Models and endpoints

    def _prepare_model(self, record: dict[str, Any], region: str) -> None:
        container = record.get("PrimaryContainer", {})
        if not container.get("Image") or not container.get("ModelDataUrl"):
            message = "SageMaker on this machine serves a PrimaryContainer with Image and ModelDataUrl only"
            raise ApiError("ValidationException", message)
        self._check_image(container["Image"], region)
        bucket, key = _split_url(container["ModelDataUrl"])
        try:
            self.client("s3", region).head_object(Bucket=bucket, Key=key)
        except ClientError:
            raise ApiError(
                "ValidationException", f"Could not find model data at {container['ModelDataUrl']}."
            ) from None

    def _prepare_endpoint_config(self, record: dict[str, Any], region: str) -> None:
        if len(record["ProductionVariants"]) != 1:
            raise ApiError("ValidationException", "SageMaker on this machine serves one production variant only")
        variant = record["ProductionVariants"][0]
        if "InstanceType" not in variant and "ServerlessConfig" not in variant:
            raise ApiError("ValidationException", "A variant needs an InstanceType or a ServerlessConfig.")
        self.record("Model", variant["ModelName"], region)

    def _prepare_endpoint(self, record: dict[str, Any], region: str) -> Callable[..., None]:
        config = self.record("EndpointConfig", record["EndpointConfigName"], region)
        asked = config["ProductionVariants"][0]
        variant = {"VariantName": asked["VariantName"], "CurrentWeight": 1.0, "DesiredWeight": 1.0}
        if "ServerlessConfig" in asked:
            variant["CurrentServerlessConfig"] = asked["ServerlessConfig"]
        else:
            count = asked.get("InitialInstanceCount", 1)
            variant |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
        record |= {"EndpointStatus": "Creating", "ProductionVariants": [variant]}
        if capture := config.get("DataCaptureConfig"):
            record["DataCaptureConfig"] = {
                "EnableCapture": capture.get("EnableCapture", False),
                "CaptureStatus": "Started" if capture.get("EnableCapture") else "Stopped",
                "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
                "DestinationS3Uri": capture["DestinationS3Uri"],
            }
        model = self.record("Model", asked["ModelName"], region)["PrimaryContainer"]
        group, stream = f"/aws/sagemaker/Endpoints/{record['EndpointName']}", f"AllTraffic/i-{uuid.uuid4().hex[:17]}"

        def deploy(record: dict[str, Any], region: str, folder: Path) -> None:
            stop = self.stops[record["EndpointArn"]]
            with self._serving(model, region, folder, {}, self._log(group, stream, region)) as program:
                if not program.wait_until_ready(self.ping_seconds, stop):
                    raise JobError(
                        f"The primary container for production variant {variant['VariantName']} did not pass the ping "
                        "health check. Please check CloudWatch logs for this endpoint."
                    )
                with self.lock:
                    self.served[record["EndpointArn"]] = program
                    self.change(record, EndpointStatus="InService")
                stop.wait()

        return deploy

    @contextlib.contextmanager
    def _serving(
        self, model: Mapping[str, Any], region: str, tree: Path, environment: Mapping[str, str], log: Callable
    ) -> Iterator[Program]:
        """`serve` with the model's artefact unpacked, until the block ends."""
        bucket, key = _split_url(model["ModelDataUrl"])
        try:
            content = self.client("s3", region).get_object(Bucket=bucket, Key=key)["Body"].read()
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                tar.extractall(tree / "model", filter="data")
        except (ClientError, tarfile.TarError, OSError) as error:
            raise JobError(f"Failed to extract model data from {model['ModelDataUrl']}: {error}") from None
        environment = {**model.get("Environment", {}), **environment}
        program = self._start("serve", tree, model["Image"], environment, log)
        try:
            yield program
        finally:
            program.close()

    def _undeploy(self, record: dict[str, Any], region: str) -> None:
        arn = record["EndpointArn"]
        self.stops[arn].set()
        self.threads[arn].join()
        self.served.pop(arn, None)
        self._forget("Endpoint", record, region)

    def invoke(self, name: str, region: str, body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        """Send a request to an endpoint's program; gives the answer's headers and body."""
        try:
            record = self.record("Endpoint", name, region)
        except ApiError:
            raise ApiError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.") from None
        program = self.served.get(record["EndpointArn"])
        if program is None or record["EndpointStatus"] != "InService":
            raise ApiError("ValidationError", f"Endpoint {name} of account {ACCOUNT} is in {record['EndpointStatus']}.")
        variant = record["ProductionVariants"][0]
        kind = "serverless" if "CurrentServerlessConfig" in variant else "instance"
        if len(body) > MOST_BYTES[kind]:
            message = f"Request of {len(body)} bytes; at most {MOST_BYTES[kind]} are taken by an endpoint on a {kind}."
            raise ApiError("ValidationError", message)
        try:
            status, answered, content = program.ask("POST", "/invocations", body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(
                "ModelError", f"the container did not answer: {error!r}", 424, OriginalStatusCode=0
            ) from None
        if status != 200:
            text = content.decode(errors="replace")
            logs = f"arn:aws:logs:{region}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{name}"
            message = f'Received client error ({status}) from primary with message "{text}".'
            if status >= 500:
                message = message.replace("client", "server")
            raise ApiError(
                "ModelError", message, 424, OriginalStatusCode=status, OriginalMessage=text, LogStreamArn=logs
            )
        if record.get("DataCaptureConfig", {}).get("EnableCapture"):
            self._capture(record, body, content, headers, answered)
        keep = {"Content-Type": answered["content-type"], "x-Amzn-Invoked-Production-Variant": variant["VariantName"]}
        if echoed := answered.get("x-amzn-sagemaker-custom-attributes"):
            keep["X-Amzn-SageMaker-Custom-Attributes"] = echoed
        return keep, content

    def _capture(
        self, record: dict[str, Any], body: bytes, answer: bytes, asked: Mapping[str, str], answered: Any
    ) -> None:
        parts = {
            part: {"observedContentType": media, "mode": part[8:].upper(), "data": base64.b64encode(content).decode()}
            | {"encoding": "BASE64"}
            for part, content, media in (
                ("endpointInput", body, asked.get("Content-Type", "")),
                ("endpointOutput", answer, answered["content-type"]),
            )
        }
        now = datetime.now(UTC)
        event = {"eventId": str(uuid.uuid4()), "inferenceTime": now.isoformat(timespec="seconds")}
        line = {"captureData": parts, "eventMetadata": event, "eventVersion": "0"}
        variant = record["ProductionVariants"][0]["VariantName"]
        place = f"{record['EndpointName']}/{variant}/{now:%Y/%m/%d/%H}"
        url = f"{record['DataCaptureConfig']['DestinationS3Uri'].rstrip('/')}/{place}"
        self.captured.put((url, json.dumps(line) + "\n"))

    # Batch transform

    def _prepare_transform_job(self, record: dict[str, Any], region: str) -> Callable[..., None]:
        source, output = record["TransformInput"], record["TransformOutput"]
        if source["DataSource"]["S3DataSource"]["S3DataType"] != "S3Prefix":
            raise ApiError("ValidationException", "SageMaker on this machine transforms inputs of type S3Prefix only")
        if record.get("DataProcessing"):
            raise ApiError("ValidationException", "SageMaker on this machine does not filter or join: DataProcessing")
        if source.get("SplitType", "None") not in ("None", "Line") or output.get("AssembleWith", "None") == "RecordIO":
            raise ApiError("ValidationException", "SageMaker on this machine splits and assembles by Line or None only")
        model = self.record("Model", record["ModelName"], region)["PrimaryContainer"]
        record["TransformJobStatus"] = "InProgress"

        def transform(record: dict[str, Any], region: str, folder: Path) -> None:
            name, stop = record["TransformJobName"], self.stops[record["TransformJobArn"]]
            self.change(record, TransformStartTime=time.time())
            log = self._log("/aws/sagemaker/TransformJobs", f"{name}/i-{uuid.uuid4().hex[:17]}", region)
            environment = {"SAGEMAKER_BATCH": "true", **record.get("Environment", {})}
            for key, variable in (
                ("MaxPayloadInMB", "SAGEMAKER_MAX_PAYLOAD_IN_MB"),
                ("MaxConcurrentTransforms", "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"),
            ):
                if key in record:
                    environment[variable] = str(record[key])
            with self._serving(model, region, folder, environment, log) as program:
                if not program.wait_until_ready(self.ping_seconds, stop) and not stop.is_set():
                    raise JobError(
                        "AlgorithmError: the container did not pass the ping health check; see the job's log"
                    )
                suggested = json.loads(program.ask("GET", "/execution-parameters")[2] or b"{}")
                settings = {"MaxConcurrentTransforms": 1, "MaxPayloadInMB": 6, **suggested}
                settings |= {key: record[key] for key in settings if key in record}
                objects = self._objects(source["DataSource"]["S3DataSource"]["S3Uri"], region)
                if not objects:
                    raise JobError("ClientError: no objects found under the input's S3 URL")
                for bucket, key in objects:
                    if not stop.is_set():
                        self._transform_object(bucket, key, record, settings, program, region, log)
            self.flush()
            ended = "Stopped" if stop.is_set() else "Completed"
            self.change(record, TransformJobStatus=ended, TransformEndTime=time.time())

        return transform

    def _transform_object(
        self,
        bucket: str,
        key: str,
        record: dict[str, Any],
        settings: Mapping[str, Any],
        program: Program,
        region: str,
        log: Callable[[str], None],
    ) -> None:
        source, output = record["TransformInput"], record["TransformOutput"]
        content = self.client("s3", region).get_object(Bucket=bucket, Key=key)["Body"].read()
        single = record.get("BatchStrategy") == "SingleRecord"
        limit = settings["MaxPayloadInMB"] << 20
        split = source.get("SplitType") == "Line"
        payloads = list(_payloads(content, limit, single)) if split else [content]
        headers = {"Content-Type": source.get("ContentType", ""), "Accept": output.get("Accept", "")}
        headers = {name: value for name, value in headers.items() if value}

        def send(payload: bytes) -> bytes:
            status, _, answer = program.ask("POST", "/invocations", payload, headers, seconds=600)
            if status != 200:
                log(f"{bucket}/{key}: Bad HTTP status received from algorithm: {status}")
                log(f"{bucket}/{key}: Message: {answer.decode(errors='replace')}")
                raise JobError("ClientError: See job logs for more information")
            return answer

        with ThreadPoolExecutor(settings["MaxConcurrentTransforms"]) as pool:
            answers = list(pool.map(send, payloads))
        if output.get("AssembleWith") == "Line":
            answers = [answer.removesuffix(b"\n") + b"\n" for answer in answers]
        place, prefix = _split_url(output["S3OutputPath"])
        self.client("s3", region).put_object(
            Bucket=place, Key=f"{prefix.rstrip('/')}/{Path(key).name}.out", Body=b"".join(answers)
        )

    def _start(self, what: str, tree: Path, image: str, environment: Mapping[str, str], on_line: Callable) -> Program:
        program = Program(what, tree, self.engine, image, environment, on_line)
        self.programs.append(program)
        return program

    def close(self) -> None:
        """End every program at once: nobody is left to whom its work would matter."""
        self.closing.set()
        for stop in list(self.stops.values()):
            stop.set()
        for program in list(self.programs):
            program.kill()
        for thread in list(self.threads.values()):
            thread.join(10)


def _payloads(content: bytes, limit: int, single: bool) -> Iterator[bytes]:
    """Lines, one or as many as fit into a payload."""
    kept: list[bytes] = []
    size = 0
    for line in content.splitlines(keepends=True):
        if kept and (single or size + len(line) > limit):
            yield b"".join(kept)
            kept, size = [], 0
        kept.append(line)
        size += len(line)
    if kept:
        yield b"".join(kept)


# HTTP ---------------------------------------------------------------------------------------------------------------


class Front:
    """The WSGI application: SageMaker's requests go to `SageMaker`, all others to moto. One log line a request."""

    def __init__(self, service: SageMaker) -> None:
        self.service = service
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        path = environ["PATH_INFO"]
        scope = re.search(r"Credential=[^/]*/\d+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        region, name = scope.groups() if scope else ("us-east-1", "-")
        invoked = re.fullmatch(r"/endpoints/([^/]+)/invocations", path)
        if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):  # IAM's and STS's way
            form = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(form)
            target = dict(parse_qsl(form.decode(errors="replace"))).get("Action", "")
        what = target.rpartition(".")[2] or ("InvokeEndpoint" if invoked else f"{environ['REQUEST_METHOD']} {path}")

        def respond(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") and " " in what else ""
            sys.stdout.write(f"{datetime.now(UTC):%H:%M:%S} {name} {what}{query} {status[:3]}\n")  # whole lines
            sys.stdout.flush()
            return start_response(status, headers, *more)

        if invoked:
            return self._answer(respond, lambda: self._invoke(invoked[1], region, environ))
        if target.startswith("SageMaker."):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            try:
                request = json.loads(body or b"{}")
            except ValueError:
                request = {}
            if self.service.knows(what, request):
                media = {"Content-Type": "application/x-amz-json-1.1"}
                return self._answer(
                    respond, lambda: (media, json.dumps(self.service.answer(what, request, region)).encode())
                )
            environ["wsgi.input"] = io.BytesIO(body)
        return self.moto(environ, respond)

    def _invoke(self, name: str, region: str, environ: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        passed = {
            "Content-Type": environ.get("CONTENT_TYPE"),
            "Accept": environ.get("HTTP_ACCEPT"),
            "X-Amzn-SageMaker-Custom-Attributes": environ.get("HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES"),
        }
        return self.service.invoke(name, region, body, {key: value for key, value in passed.items() if value})

    def _answer(self, respond: Callable[..., Any], work: Callable[[], tuple[dict[str, str], bytes]]) -> Iterable[bytes]:
        status = "200 OK"
        try:
            headers, content = work()
        except ApiError as error:
            status = f"{error.status} {error.code}"
            headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}
            text = {"__type": error.code, "message": str(error), "Message": str(error)} | error.more
            content = json.dumps(text).encode()
        headers |= {"Content-Length": str(len(content)), "x-amzn-RequestId": str(uuid.uuid4())}
        respond(status, list(headers.items()))
        return [content]


class _Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open between requests

    def log(self, type: str, message: str, *args: Any) -> None:
        """Front writes the log."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM, or until standard input closes where that is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m fraud_utils.local_sagemaker",
        description="SageMaker's API on a loopback address, running this project's train and serve.",
    )
    parser.add_argument("--port", type=int, default=0, help="to listen on; a free one when it is not given")
    parser.add_argument("--engine", default="", help="docker or podman: run the image that a request names in it")
    parser.add_argument(
        "--ping-seconds", type=float, default=PING_SECONDS, help="how long an endpoint may take to answer /ping"
    )
    parser.add_argument("--owned", action="store_true", help="end when standard input closes, as its owner's end does")
    options = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    server = make_server("127.0.0.1", options.port, lambda *_: [], threaded=True, request_handler=_Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]
    address = f"http://127.0.0.1:{server.port}"
    service = SageMaker(address, options.engine, options.ping_seconds)
    server.app = Front(service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(address, flush=True)
    if options.owned:

        def watch() -> None:
            while os.read(0, 1024):
                pass
            ended.set()

        threading.Thread(target=watch, daemon=True).start()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads on
    else:
        print(f"point clients at it:  export AWS_ENDPOINT_URL={address} AWS_DEFAULT_REGION=us-east-1 ", end="")
        print("AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local", flush=True)
    ended.wait()
    service.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
