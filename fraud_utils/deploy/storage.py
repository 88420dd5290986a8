"""Objects in S3, by their addresses."""

import io
import json
import tempfile
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import IO

from fraud_utils.data import Schema, Split, as_parquet
from fraud_utils.deploy.errors import DeployError, explained
from fraud_utils.deploy.place import Site
from fraud_utils.deploy.security import encryption
from fraud_utils.deploy.session import Connection

PART_ROWS = 100_000  # of an object of test rows: some 50 MB, and the instances of a batch transform share objects


def split_url(url: str) -> tuple[str, str]:
    """Bucket and key of an address."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def list_objects(connection: Connection, url: str) -> dict[str, datetime]:
    """All objects whose addresses begin so, and when they were written."""
    bucket, prefix = split_url(url)
    pages = connection.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    items = (item for page in pages for item in page.get("Contents", []))
    return {f"s3://{bucket}/{item['Key']}": item["LastModified"] for item in items}


def read(connection: Connection, url: str) -> bytes:
    """One object's content."""
    bucket, key = split_url(url)
    return connection.s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def lines(connection: Connection, url: str) -> Iterator[str]:
    """One object's lines, read while they are used."""
    bucket, key = split_url(url)
    body = connection.s3.get_object(Bucket=bucket, Key=key)["Body"]
    with io.TextIOWrapper(io.BufferedReader(body, 1 << 20), "utf-8", newline="\n") as text:
        yield from text


def delete_objects(connection: Connection, urls: list[str]) -> None:
    """Delete objects of one bucket.

    Raises
    ------
    DeployError
        Some were not deleted; the message names the first.
    """
    s3 = connection.s3
    for start in range(0, len(urls), 1000):  # as many as a request takes
        bucket, keys = split_url(urls[0])[0], [{"Key": split_url(url)[1]} for url in urls[start : start + 1000]]
        errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True}).get("Errors", [])
        if errors:
            first = errors[0]
            raise DeployError(f"s3://{bucket}/{first['Key']} was not deleted: {first.get('Message')} [{first['Code']}]")


def upload(site: Site, split: Split, schema: Schema, learning: bool = True) -> dict[str, str]:
    """Put a deployment's rows where its jobs read them.

    `train` and `validation` are tables with labels, before and after the cut in time: all rows, also where the frames
    are samples of them. Nothing is chosen on the validation rows: the job only reports on them. `test` are the frame's
    rows after the cut as a client would send them: CSV without a header and without labels. What are many rows are
    several objects. `schema` says what the columns mean; a file, since a hyperparameter ends at 2,500 characters, which
    300 columns exceed.

    Parameters
    ----------
    learning : bool
        Whether a job will learn from the rows; else `test` is all that is uploaded.

    Returns
    -------
    dict
        The S3 addresses by name.
    """
    encrypted, folders = encryption(site.place.security.upload_key), []
    with explained(f"uploading to {site.url}"):
        contents = chain(_to_learn_from(split, schema) if learning else (), _to_score(split, schema))
        for name, stream in contents:
            folders.append(name.split("/")[0])
            site.connection.s3.upload_fileobj(stream, *split_url(f"{site.url}/{name}"), ExtraArgs=encrypted)
    return {folder: f"{site.url}/{folder}/" for folder in dict.fromkeys(folders)}


def _to_learn_from(split: Split, schema: Schema) -> Iterator[tuple[str, IO[bytes]]]:
    """The objects of a training job by their names, each open until the next one is asked for."""
    for folder, frame in (("train", split.train), ("validation", split.test)):
        for number, stream in enumerate(as_parquet(frame, schema)):
            yield f"{folder}/{f'part-{number:05}' if 'whole' in frame.attrs else folder}.parquet", stream
    yield "schema/schema.json", io.BytesIO(json.dumps(schema.as_loaded.to_dict(), indent=1).encode())


def _to_score(split: Split, schema: Schema) -> Iterator[tuple[str, IO[bytes]]]:
    """The objects of a batch transform, in the same way."""
    columns = [column for column in schema.as_loaded.columns if column != schema.label]
    for start in range(0, len(split.test), PART_ROWS):
        name = f"part-{start // PART_ROWS:05}" if len(split.test) > PART_ROWS else "test"
        with tempfile.TemporaryFile() as stream:  # rows in memory are not there again as text
            rows = split.test.iloc[start : start + PART_ROWS]
            rows.to_csv(stream, columns=columns, index=False, header=False, mode="wb")
            stream.seek(0)
            yield f"test/{name}.csv", stream
