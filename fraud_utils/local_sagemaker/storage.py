"""S3 and CloudWatch: between S3 and a folder, and what is written in the background."""

from __future__ import annotations

import contextlib
import io
import queue
import tarfile
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

WRITE_SECONDS = 0.2  # between two writes of the log


class JobError(Exception):
    """Why a job or an endpoint failed, as its FailureReason says it."""


def split(url: str) -> tuple[str, str]:
    """Bucket and key of an address, s3://bucket/key."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def keys(s3: Any, url: str) -> list[str]:
    """The keys of the objects under a prefix."""
    bucket, prefix = split(url)
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = [item["Key"] for page in pages for item in page.get("Contents", [])]
    except ClientError as error:
        raise JobError(f"ClientError: Data download failed: {error}") from None
    return [key for key in found if not key.endswith("/")]


def below(key: str, prefix: str) -> str:
    """The part of a key that comes after the folder that a prefix ends in."""
    whole = prefix.endswith("/") or key.startswith(f"{prefix}/")
    return key[len(prefix if whole else prefix.rpartition("/")[0]) :].lstrip("/")


def download(s3: Any, url: str, folder: Path, shard: tuple[int, int] = (0, 1)) -> int:
    """Lay the objects under a prefix into a folder; returns their number.

    `shard` is the place of a host among so many, which gets every n-th object; some may get none.
    """
    bucket, prefix = split(url)
    found = keys(s3, url)
    place, hosts = shard
    for key in found[place::hosts]:
        path = folder / (key[len(prefix) :].lstrip("/") or Path(key).name)
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(path))
    return len(found)


def upload(s3: Any, folder: Path, url: str) -> None:
    """Put a folder's files under a prefix."""
    bucket, prefix = split(url)
    for path in folder.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), bucket, f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}")


def encryption(key: str) -> dict[str, str]:
    """What S3 is asked for with a KMS key, or without one."""
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}


def upload_archive(s3: Any, folder: Path, url: str, key: str = "") -> None:
    """Put a folder's content into one .tar.gz, encrypted where there is a KMS key."""
    archive = folder.with_suffix(".tar.gz")
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    try:
        s3.upload_file(str(archive), *split(url), ExtraArgs=encryption(key))
    except Exception as error:
        raise JobError(f"ClientError: Artifact upload failed: {error}") from None


def unpack(s3: Any, url: str, folder: Path) -> None:
    """Unpack a .tar.gz into a folder."""
    bucket, key = split(url)
    try:
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            tar.extractall(folder, filter="data")
    except (ClientError, tarfile.TarError, OSError) as error:
        raise JobError(f"Failed to extract model data from {url}: {error}") from None


class Writer:
    """Writes log lines and captured requests in a thread of its own, so that no answer waits for them."""

    def __init__(self, client: Callable[[str, str], Any]) -> None:
        self._client = client
        self._lines: queue.SimpleQueue[tuple[tuple[str, str, str], int, str]] = queue.SimpleQueue()
        self._captured: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._writing = threading.Lock()
        threading.Thread(target=self._write_regularly, daemon=True).start()

    def stream(self, group: str, name: str, region: str) -> Callable[[str], None]:
        """A function that adds a line to a log stream."""
        return lambda line: self._lines.put(((group, name, region), int(time.time() * 1000), line))

    def capture(self, url: str, line: str) -> None:
        """Write a line into a new object under a prefix."""
        self._captured.put((url, line))

    def _write_regularly(self) -> None:
        while True:
            time.sleep(WRITE_SECONDS)
            with contextlib.suppress(OSError, ClientError):
                self.flush()

    def flush(self) -> None:
        """Write all that is waiting."""
        with self._writing:
            streams: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
            while not self._lines.empty():
                stream, moment, line = self._lines.get()
                streams.setdefault(stream, []).append({"timestamp": moment, "message": line or " "})
            for (group, name, region), events in streams.items():
                self._write_lines(region, {"logGroupName": group}, {"logStreamName": name}, events)
            captured: dict[str, str] = {}
            while not self._captured.empty():
                url, line = self._captured.get()
                captured[url] = captured.get(url, "") + line
            for url, lines in captured.items():
                bucket, key = split(url)
                s3 = self._client("s3", "us-east-1")
                written = f"{datetime.now(UTC):%M-%S-%f}"[:-3]
                s3.put_object(Bucket=bucket, Key=f"{key}/{written}-{uuid.uuid4()}.jsonl", Body=lines.encode())

    def _write_lines(
        self, region: str, group: dict[str, str], stream: dict[str, str], events: list[dict[str, Any]]
    ) -> None:
        logs = self._client("logs", region)
        try:
            logs.put_log_events(**group, **stream, logEvents=events)
        except logs.exceptions.ResourceNotFoundException:  # the first lines
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_group(**group)
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_stream(**group, **stream)
            logs.put_log_events(**group, **stream, logEvents=events)
