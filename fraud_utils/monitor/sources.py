"""Where captured requests lie: a file, a folder as SageMaker fills it, or an address in S3."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fraud_utils.data import DataError
from fraud_utils.project import resolve

# endpoint/variant, then year/month/day/hour (AWS adds nothing, some copies the minute), then the file
_TREE = re.compile(r"^(?:(.*)/)?\d{4}/\d{2}/\d{2}/\d{2}/(?:\d{2}/)?[^/]+$")


def lines_of(path: str | Path) -> Iterator[bytes]:
    """The lines of JSON under a path, file by file in the order of their names.

    Raises
    ------
    DataError
        Nothing is there, or captures of several endpoints or variants are.
    """
    if str(path).startswith("s3://"):
        yield from _lines_in_s3(str(path))
        return
    place = resolve(path)
    if not place.exists():
        raise DataError(f"CAPTURED={path}: no such file or folder")
    files = [place] if place.is_file() else sorted(place.rglob("*.jsonl*"))
    if place.is_dir():
        _check_one(path, [file.relative_to(place).as_posix() for file in files])
    for file in files:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            yield from (line for line in stream if line.strip())


def _lines_in_s3(url: str) -> Iterator[bytes]:
    import boto3
    from botocore import exceptions

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if prefix and ".jsonl" not in prefix:
        prefix = prefix.rstrip("/") + "/"  # a folder: `first` is not `first-2`
    try:
        client = boto3.client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = sorted(item["Key"] for page in pages for item in page.get("Contents", []) if ".jsonl" in item["Key"])
        _check_one(url, [key.removeprefix(prefix).lstrip("/") for key in keys])
        for key in keys:
            content = client.get_object(Bucket=bucket, Key=key)["Body"].read()
            yield from (line for line in content.split(b"\n") if line.strip())
    except (exceptions.BotoCoreError, exceptions.ClientError) as error:
        raise DataError(f"CAPTURED={url}: {error}; check the address and AWS_PROFILE") from None


def _check_one(path: str | Path, names: Iterable[str]) -> None:
    """Refuse an empty place, and one with more than one endpoint's captures."""
    names = list(names)
    if not names:
        raise DataError(f"CAPTURED={path}: no .jsonl file is there; data capture writes them some minutes late")
    roots = sorted({found[1] or "" for name in names if (found := _TREE.match(name))})
    if len(roots) > 1:
        shown = ", ".join(roots[:3]) + ", ..." * (len(roots) > 3)
        raise DataError(
            f"CAPTURED={path}: holds captures of {len(roots)} endpoints or variants ({shown}); name one of them"
        )
