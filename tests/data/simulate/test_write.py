"""Simulated transactions as a file: by Python, and by the program."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from fraud_utils.data import ULB, load_transactions
from fraud_utils.data.simulate import simulate_chunks, simulate_transactions, write_chunks


@cache
def small() -> list[pd.DataFrame]:
    return [chunk for start in (0, 500) for chunk in simulate_chunks(500, seed=start)]


@pytest.mark.parametrize("name", ["many.csv", "many.csv.gz", "MANY.PARQUET"])
def test_a_file_is_what_its_name_says(tmp_path: Path, name: str) -> None:
    chunks = small()
    write_chunks(tmp_path / name, chunks)
    read = pd.read_parquet if name.lower().endswith("parquet") else pd.read_csv
    frame = read(tmp_path / name).drop(columns="SIMULATED", errors="ignore")
    pd.testing.assert_frame_equal(frame, pd.concat(chunks, ignore_index=True), check_dtype=False)


@pytest.mark.parametrize("name", ["many.csv", "many.csv.gz", "creditcard.csv", "many.parquet"])
def test_what_the_simulator_wrote_says_so_when_it_is_loaded(tmp_path: Path, name: str) -> None:
    write_chunks(tmp_path / name, small())
    frame = load_transactions(tmp_path / name)
    assert frame.attrs["provenance"]["simulated"]
    assert frame.attrs["provenance"]["name"] == f"SIMULATED transactions ({name})"
    assert frame.columns.tolist() == list(ULB.columns)
    if name.endswith("csv"):  # the column stays with the rows
        pd.read_csv(tmp_path / name).to_parquet(tmp_path / "copy.parquet", index=False)
        assert load_transactions(tmp_path / "copy.parquet").attrs["provenance"]["simulated"]


def test_an_unknown_format_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rows.xlsx: unknown format; .* \.csv, \.csv\.gz or \.parquet"):
        write_chunks(tmp_path / "rows.xlsx", simulate_chunks(100))
    assert not list(tmp_path.iterdir())


def program(*arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "fraud_utils.data.simulate", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_program_writes_what_python_draws(tmp_path: Path) -> None:
    path = tmp_path / "week.parquet"
    done = program(path, "--rows", "7000", "--days", "7", "--cards")
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(pd.read_parquet(path), simulate_transactions(7_000, days=7, cards=True))


def test_the_program_says_what_it_cannot_do(tmp_path: Path) -> None:
    done = program(tmp_path / "x.csv", "--rows", "0")
    assert (done.returncode, done.stderr[:17]) == (1, "simulate: rows=0,")
    assert not list(tmp_path.iterdir())
