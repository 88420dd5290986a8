"""The reference set from the network, checked by its SHA-256."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fraud_utils.data.load import DEFAULT_PATH, ULB_SHA256
from fraud_utils.data.schema import DataError
from fraud_utils.project import resolve

ULB_URL = "https://storage.googleapis.com/download.tensorflow.org/data/creditcard.csv"


def download(url: str = ULB_URL, path: str | Path = DEFAULT_PATH, sha256: str = ULB_SHA256) -> Path:
    """Fetch the reference set, with a progress bar; nothing is left at `path` unless it is whole and right.

    Raises
    ------
    DataError
        No connection, an error from the server, or bytes with another checksum.
    """
    import pooch
    import requests

    file = resolve(path)
    fetcher = pooch.create(
        path=file.parent,
        base_url="",
        registry={file.name: f"sha256:{sha256}"},
        urls={file.name: url},
        retry_if_failed=2,
    )
    pooch.get_logger().setLevel("WARNING")
    try:
        fetcher.fetch(file.name, downloader=pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=60))
    except (requests.RequestException, OSError) as error:
        raise DataError(f"could not download {url}: {error}; check the connection and run 'make data' again") from None
    except ValueError:
        raise DataError(
            f"{url} gave other bytes than ULB's file (SHA-256 differs) three times; nothing was kept. Try again later, "
            f"or take the file from Kaggle (mlg-ulb/creditcardfraud) and put it at {path}"
        ) from None
    return file


def main() -> int:
    """Download the reference set: `python -m fraud_utils.data`."""
    parser = argparse.ArgumentParser(prog="make data", description="Download ULB's creditcard.csv (150 MB, no login).")
    parser.add_argument("--url", default=ULB_URL, help="where from (default: %(default)s)")
    parser.add_argument("--path", default=DEFAULT_PATH, help="where to (default: %(default)s)")
    options = parser.parse_args()
    try:
        file = download(options.url, options.path)
    except DataError as error:
        print(f"make data: {error}", file=sys.stderr)
        return 1
    print(f"{options.path}: {file.stat().st_size:,} bytes, SHA-256 as ULB's")
    return 0
