"""Simulated transactions: the same bytes for the same seed, whole or in chunks, with the reference set's schema."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fraud_utils.data.simulate import generate, simulate_chunks, simulate_transactions


def test_has_the_reference_schema(simulated: pd.DataFrame) -> None:
    assert list(simulated) == ["Time", *(f"V{i}" for i in range(1, 29)), "Amount", "Class"]
    assert (simulated.dtypes.drop("Class") == "float64").all()
    assert simulated["Class"].dtype == "int8"
    assert np.isfinite(simulated.to_numpy()).all()
    assert simulated["Time"].is_monotonic_increasing
    assert simulated["Time"].between(0, 2 * 86_400, inclusive="left").all()
    assert (simulated["Time"] % 1 == 0).all()
    assert (simulated["Amount"] >= 0).all()
    assert np.abs(simulated["Amount"] * 100 - (simulated["Amount"] * 100).round()).max() < 1e-6


@pytest.mark.parametrize(
    ("rows", "rate", "frauds"), [(20_000, 0.01, 200), (1_000, 0.0, 0), (500, 1.0, 500), (1, None, 0)]
)
def test_gives_the_rows_and_frauds_asked_for(rows: int, rate: float | None, frauds: int) -> None:
    frame = simulate_transactions(rows, rate)
    assert len(frame) == rows
    assert frame["Class"].sum() == frauds


@pytest.mark.parametrize(
    ("arguments", "named"), [((0,), "rows=0"), ((10, 2.0), "fraud_rate=2.0"), ((10, None, 7, 0), "days=0")]
)
def test_refuses_what_cannot_be(arguments: tuple, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        simulate_transactions(*arguments)


def test_seed_decides_every_byte_in_any_process(digest) -> None:
    program = (
        "import hashlib; from fraud_utils.data.simulate import simulate_transactions;"
        "f = simulate_transactions(4_000, seed=11, days=3, cards=True);"
        "print(hashlib.sha256(b''.join(f[c].to_numpy().tobytes() for c in f)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_CORETYPE": kernel},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for threads, kernel in (("1", "Prescott"), ("2", "Haswell"))
    }
    assert digests == {digest(simulate_transactions(4_000, seed=11, days=3, cards=True))}
    assert digest(simulate_transactions(4_000, seed=12, days=3, cards=True)) not in digests


def test_chunks_come_in_time_order_and_make_the_whole(monkeypatch: pytest.MonkeyPatch, digest) -> None:
    monkeypatch.setattr(generate, "CHUNK_ROWS", 400)
    chunks = list(simulate_chunks(1_500, seed=5, days=10))
    assert len(chunks) > 3
    assert max(map(len, chunks)) <= 400
    whole = pd.concat(chunks, ignore_index=True)
    assert len(whole) == 1_500
    assert whole["Time"].is_monotonic_increasing
    assert digest(whole) == digest(simulate_transactions(1_500, seed=5, days=10))


def test_an_hour_larger_than_a_chunk_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "CHUNK_ROWS", 100)
    chunks = list(simulate_chunks(2_000, seed=5, days=1))  # up to 130 an hour
    assert max(map(len, chunks)) <= 100
    assert sum(map(len, chunks)) == 2_000


def test_copies_share_their_second_and_label(simulated: pd.DataFrame) -> None:
    inputs = [c for c in simulated if c not in ("Time", "Class")]
    assert 0.002 < simulated.duplicated().mean() < 0.006  # the reference set: 1,081 of 284,807
    assert (simulated.duplicated(inputs) == simulated.duplicated()).all()
