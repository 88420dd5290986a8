"""Training jobs, which run `train`, and batch transform jobs, which send objects to `serve`."""

from __future__ import annotations

import io
import json
import re
import shutil
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from fraud_utils.local_sagemaker import storage
from fraud_utils.local_sagemaker.account import Job
from fraud_utils.local_sagemaker.checks import ApiError
from fraud_utils.local_sagemaker.fleet import Model
from fraud_utils.local_sagemaker.programs import Serving, Training, TrainingHost, free_port, wait
from fraud_utils.local_sagemaker.storage import JobError

KILLED = 137  # exit status after SIGKILL
LONGEST_SECONDS = 86_400  # for training, where no limit is given
ANSWER_SECONDS = 600  # for a payload of a transform job
PAYLOAD, CONCURRENT = "MaxPayloadInMB", "MaxConcurrentTransforms"
VARIABLES = {PAYLOAD: "SAGEMAKER_MAX_PAYLOAD_IN_MB", CONCURRENT: "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"}
DEFAULTS = {PAYLOAD: 6, CONCURRENT: 1}
MOST_MB = 100  # of one payload, and of all that are sent at a time


class TrainingJob(Job):
    """`train` on a tree with the channels, then model.tar.gz in S3.

    A job of several instances is as many processes, each on a tree of its own. Their hosts are called 127.0.0.1, .2 and
    so on, since names must resolve; they meet at a port that is free.

    A job that is stopped uploads what its program has saved by then. ModelArtifacts names the place that is configured
    for the model once a job is Completed or Stopped, as AWS's DescribeTrainingJob does: if nothing was saved, no object
    is there, and CreateModel says so.
    """

    kind, word, title = "TrainingJob", "training-job", "training job"

    def prepare(self) -> None:
        self._limits = self.record.get("StoppingCondition", {})
        if self.record.get("EnableManagedSpotTraining") and "MaxWaitTimeInSeconds" not in self._limits:
            raise ApiError("Invalid MaxWaitTimeInSeconds. It must be present for spot training.")
        self.account.check_image(self.record["AlgorithmSpecification"].get("TrainingImage", ""))
        self.record |= {"TrainingJobStatus": "InProgress", "SecondaryStatusTransitions": [], "FinalMetricDataList": []}
        self._step("Starting", "Preparing the instances for training")

    def _step(self, status: str, message: str) -> None:
        with self.account.lock:
            now, steps = time.time(), self.record["SecondaryStatusTransitions"]
            if steps:
                steps[-1]["EndTime"] = now
            steps.append({"Status": status, "StartTime": now, "StatusMessage": message})
            self.change(SecondaryStatus=status)

    def stop(self) -> None:
        with self.account.lock:
            super().stop()
            self._step("Stopping", "Stopping the training job")

    def fail(self, reason: str) -> None:
        with self.account.lock:
            super().fail(reason)
            self._step("Failed", "Training job failed")

    def run(self, folder: Path) -> None:
        s3 = self.account.client("s3", self.region)
        count = self.record["ResourceConfig"].get("InstanceCount", 1)
        trees = [folder, *(folder.with_name(f"{folder.name}-{number}") for number in range(2, count + 1))]
        try:
            self._run_on(trees, s3)
        finally:
            for tree in trees[1:]:
                shutil.rmtree(tree, ignore_errors=True)

    def _run_on(self, trees: list[Path], s3: Any) -> None:
        self._step("Downloading", "Downloading input data")
        for place in range(len(trees)):
            self._lay_out(trees, place, s3)
        late = not self.stop_asked.is_set() and self._train(trees, s3)
        folder = trees[0]
        url = f"{self.record['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output/model.tar.gz"
        if any((folder / "model").iterdir()):
            self._step("Uploading", "Uploading generated training model")
            storage.upload_archive(s3, folder / "model", url, self.record["OutputDataConfig"].get("KmsKeyId", ""))
        self.account.writer.flush()
        with self.account.lock:
            status = "Stopped" if self.stop_asked.is_set() or late else "Completed"
            self._step("MaxRuntimeExceeded" if late else status, f"Training job {status.lower()}")
            self.set_status(status, ModelArtifacts={"S3ModelArtifacts": url})

    def _lay_out(self, trees: list[Path], place: int, s3: Any) -> None:
        """Make the tree that a container finds under /opt/ml, on one of the job's hosts."""
        tree, count = trees[place], len(trees)
        for part in ("input/config", "input/data", "model", "output/data", "checkpoints"):
            (tree / part).mkdir(parents=True)
        channels = {}
        for channel in self.record.get("InputDataConfig", []):
            source, name = channel["DataSource"]["S3DataSource"], channel["ChannelName"]
            url, dealt = source["S3Uri"], source.get("S3DataDistributionType", "FullyReplicated")
            (tree / "input/data" / name).mkdir(exist_ok=True)
            shard = (place, count) if dealt == "ShardedByS3Key" else (0, 1)
            if not storage.download(s3, url, tree / "input/data" / name, shard):
                raise JobError(f"ClientError: Data download failed: no objects found under S3 URL {url}")
            media = {"ContentType": channel["ContentType"]} if "ContentType" in channel else {}
            settings = {"TrainingInputMode": "File", "RecordWrapperType": "None", "S3DistributionType": dealt}
            channels[name] = settings | media
        hosts = [f"127.0.0.{number}" for number in range(1, count + 1)] if count > 1 else ["algo-1"]
        resources = {"current_host": hosts[place], "hosts": hosts, "network_interface_name": "lo"}
        for file, content in (
            ("hyperparameters", self.record.get("HyperParameters", {})),
            ("inputdataconfig", channels),
            ("resourceconfig", resources),
        ):
            (tree / f"input/config/{file}.json").write_text(json.dumps(content))
        if url := self.record.get("CheckpointConfig", {}).get("S3Uri"):
            storage.download(s3, url, tree / "checkpoints")

    def _train(self, trees: list[Path], s3: Any) -> bool:
        """Run the program, again where a spot job was interrupted; returns whether its time was over."""
        began, checkpoints = time.time(), self.record.get("CheckpointConfig", {}).get("S3Uri")
        streams = [f"{self.name}/algo-{number}-{int(began)}" for number in range(1, len(trees) + 1)]
        group = "/aws/sagemaker/TrainingJobs"
        logs = [self.account.writer.stream(group, stream, self.region) for stream in streams]
        self.change(TrainingStartTime=began)
        while True:
            self._step("Training", "Training image download completed. Training in progress.")
            statuses, late = self._run_programs(trees, logs)
            if checkpoints:
                for tree in trees:
                    storage.upload(s3, tree / "checkpoints", checkpoints)
            ended = late or self.stop_asked.is_set()
            if KILLED not in statuses or not self.record.get("EnableManagedSpotTraining") or ended:
                break
            # Killed, and not by us: what a spot job meets when its instance is taken away.
            self._step("Interrupted", "The spot instance was taken away")
            self._step("Starting", "Waiting for another spot instance")
        seconds = int(time.time() - began) + 1
        self.change(TrainingEndTime=time.time(), TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds)
        if any(statuses) and not ended:
            failures = [tree / "output/failure" for tree in trees]
            texts = [failure.read_text(errors="replace") for failure in failures if failure.exists()]
            status = next(filter(None, statuses))
            raise JobError(f"AlgorithmError: {''.join(texts[:1])[:900]}, exit code: {status}")
        return late

    def _run_programs(self, trees: list[Path], logs: list[Callable[[str], None]]) -> tuple[list[int], bool]:
        """Run `train` on each host; their statuses, and whether their time was over."""
        algorithm = self.record["AlgorithmSpecification"]

        def on_line(log: Callable[[str], None], line: str) -> None:
            log(line)
            for definition in algorithm.get("MetricDefinitions", []):
                if match := re.search(definition["Regex"], line):
                    name, metrics = definition["Name"], self.record["FinalMetricDataList"]
                    metric = {"MetricName": name, "Value": float(match[1]), "Timestamp": time.time()}
                    self.change(FinalMetricDataList=[*(m for m in metrics if m["MetricName"] != name), metric])

        environment = {"TRAINING_JOB_NAME": self.name, **self.record.get("Environment", {})}
        kind = Training if len(trees) == 1 else TrainingHost
        if len(trees) > 1:
            environment = {"TRAIN_PORT": str(free_port()), **environment}
        programs = [
            self.account.run(kind, tree, algorithm["TrainingImage"], environment, partial(on_line, log))
            for tree, log in zip(trees, logs, strict=True)
        ]
        return wait(programs, self.stop_asked, self._limits.get("MaxRuntimeInSeconds", LONGEST_SECONDS))


class TransformJob(Job):
    """Each object under a prefix is sent to `serve`, and its answers become one object.

    One object comes after the other, read as a stream while its answers are written to a file: in memory are
    MaxConcurrentTransforms payloads and a few more, however long it is. An object that fails leaves no answers; the
    others leave theirs, and then the job fails.
    """

    kind, word, title = "TransformJob", "transform-job", "transform job"

    def prepare(self) -> None:
        self._model = self.account.find(Model, self.record["ModelName"], self.region)
        payload, concurrent = self.record.get(PAYLOAD), self.record.get(CONCURRENT) or 1
        if payload == 0:
            raise ApiError(f"SageMaker on this machine does not support a {PAYLOAD} of 0, payloads without a limit")
        if payload and payload * concurrent > MOST_MB:
            raise ApiError(f"{PAYLOAD} is {payload} and {CONCURRENT} {concurrent}; their product ends at {MOST_MB} MB")
        self.record["TransformJobStatus"] = "InProgress"

    def run(self, folder: Path) -> None:
        self.change(TransformStartTime=time.time())
        stream = f"{self.name}/i-{uuid.uuid4().hex[:17]}"
        log = self.account.writer.stream("/aws/sagemaker/TransformJobs", stream, self.region)
        environment = {"SAGEMAKER_BATCH": "true", **self.record.get("Environment", {})}
        environment |= {v: str(self.record[name]) for name, v in VARIABLES.items() if name in self.record}
        with self._model.serving(folder, environment, log) as program:
            if program.wait_until_ready(self.account.ping_seconds, self.stop_asked):
                self._transform_all(folder, program, log)
            elif not self.stop_asked.is_set():
                raise JobError("AlgorithmError: the container did not pass the ping health check; see the job's log")
        self.account.writer.flush()
        status = "Stopped" if self.stop_asked.is_set() else "Completed"
        self.set_status(status, TransformEndTime=time.time())

    def _transform_all(self, folder: Path, program: Serving, log: Callable[[str], None]) -> None:
        s3, output = self.account.client("s3", self.region), self.record["TransformOutput"]
        url = self.record["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        (bucket, prefix), (target, place) = storage.split(url), storage.split(output["S3OutputPath"])
        if not (keys := storage.keys(s3, url)):
            raise JobError("ClientError: no objects found under the input's S3 URL")
        suggested = json.loads(program.ask("GET", "/execution-parameters").data or b"{}")
        settings = {name: self.record.get(name) or suggested.get(name) or DEFAULTS[name] for name in DEFAULTS}
        encrypted, failed = storage.encryption(output.get("KmsKeyId", "")), False
        with ThreadPoolExecutor(settings[CONCURRENT]) as pool:
            for key in keys:
                with tempfile.TemporaryFile(dir=folder) as results:
                    try:
                        payloads = self._payloads(s3.get_object(Bucket=bucket, Key=key)["Body"], settings[PAYLOAD])
                        for answer in _in_order(pool, partial(self._send, program), payloads, settings[CONCURRENT]):
                            results.write(answer)
                    except JobError as error:
                        failed = True
                        for line in str(error).splitlines():
                            log(f"{bucket}/{key}: {line}")
                        continue
                    if self.stop_asked.is_set():
                        return
                    results.seek(0)
                    name = f"{place.rstrip('/')}/{storage.below(key, prefix)}.out"
                    s3.upload_fileobj(results, target, name, ExtraArgs=encrypted)
        if failed:
            raise JobError("ClientError: See job logs for more information")

    def _send(self, program: Serving, payload: bytes) -> bytes:
        source, output = self.record["TransformInput"], self.record["TransformOutput"]
        headers = {"Content-Type": source.get("ContentType", ""), "Accept": output.get("Accept", "")}
        headers = {name: value for name, value in headers.items() if value}
        if self.stop_asked.is_set():
            return b""
        answer = program.ask("POST", "/invocations", payload, headers, ANSWER_SECONDS)
        if answer.status != 200:
            message = answer.data.decode(errors="replace")
            raise JobError(f"Bad HTTP status received from algorithm: {answer.status}\nMessage: {message}")
        return answer.data.removesuffix(b"\n") + b"\n" if output.get("AssembleWith") == "Line" else answer.data

    def _payloads(self, content: Any, megabytes: int) -> Iterator[bytes]:
        """A stream whole, or its lines: one, or as many as fit into a payload."""
        lines = self.record["TransformInput"].get("SplitType") == "Line"
        single = self.record.get("BatchStrategy") == "SingleRecord"
        limit, kept = megabytes << 20, b""
        while not self.stop_asked.is_set() and (kept := kept + content.read(limit + 1 - len(kept))):
            end = len(kept)
            if end > limit:
                end = kept.rfind(b"\n", 0, limit) + 1 if lines else 0
            if not end:
                what = "a line" if lines else "the object, which SplitType=Line would cut at its lines,"
                raise JobError(f"Too much data for max payload size: {what} is over {PAYLOAD}={megabytes}")
            payload, kept = kept[:end], kept[end:]
            yield from io.BytesIO(payload) if lines and single else [payload]


def _in_order(
    pool: ThreadPoolExecutor, send: Callable[[bytes], bytes], payloads: Iterable[bytes], most: int
) -> Iterator[bytes]:
    """The answers to payloads, in their order; one payload more than are sent at a time is ready."""
    waiting: deque[Future[bytes]] = deque()
    for payload in payloads:
        waiting.append(pool.submit(send, payload))
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
