"""Objects in S3, by their addresses."""

from datetime import datetime

from fraud_utils.deploy.errors import DeployError
from fraud_utils.deploy.session import Connection


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
