"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The ULB file, from FRAUD_DATA or beside the repository; CI refuses to go without it."""
    path = Path(os.environ.get("FRAUD_DATA") or ROOT.parent / "shared" / "data" / "creditcard.csv.zip")
    if not path.is_file():
        if os.environ.get("CI"):
            pytest.fail(f"{path}: the real data is needed in CI; set FRAUD_DATA")
        pytest.skip(f"{path}: no such file; set FRAUD_DATA to run on the real data")
    return path
