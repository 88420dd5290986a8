"""Frames that several files of these tests share."""

import hashlib

import pandas as pd
import pytest

from fraud_utils.data.simulate import simulate_transactions


@pytest.fixture(scope="session")
def simulated() -> pd.DataFrame:
    return simulate_transactions(30_000, seed=3)


@pytest.fixture(scope="session")
def digest():
    """SHA-256 of a frame's values."""
    return lambda frame: hashlib.sha256(b"".join(frame[column].to_numpy().tobytes() for column in frame)).hexdigest()
