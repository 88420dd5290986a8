"""The Handbook's protocol runs from daily files, on a small table of their shape."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bench import handbook

PROGRAM = Path(__file__).with_name("handbook.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixty days of forty customers at thirty terminals, ten of which are compromised for four weeks each."""
    path, rng = tmp_path_factory.mktemp("days"), np.random.default_rng(2)
    when = pd.Timestamp("2018-06-01") + pd.to_timedelta(np.sort(rng.integers(0, 60 * 86_400, 6_000)), unit="s")
    terminal = rng.integers(0, 30, len(when))
    begin = rng.integers(0, 60, 30)[terminal]
    day = (when - when[0]).days
    frame = pd.DataFrame(
        {
            "TRANSACTION_ID": np.arange(len(when)),
            "TX_DATETIME": when,
            "CUSTOMER_ID": rng.integers(0, 400, len(when)),
            "TERMINAL_ID": terminal,
            "TX_AMOUNT": rng.integers(100, 20_000, len(when)) / 100,
            "TX_FRAUD": ((terminal < 10) & (day >= begin) & (day < begin + 28)).astype(int),
            "TX_FRAUD_SCENARIO": 0,
        }
    )
    for place, (date, rows) in enumerate(frame.groupby(when.strftime("%Y-%m-%d"))):
        if place % 2:
            rows.to_csv(path / f"{date}.csv", index=False)
        else:
            rows.to_parquet(path / f"{date}.parquet")
    return path


def program(data, *arguments):
    return subprocess.run(
        [sys.executable, PROGRAM, *arguments],
        env=os.environ | {"HANDBOOK_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_figures_stand_beside_the_published_ones(folder):
    done = program(folder, "--start", "2018-07-08", "--cards", "5")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line]
    figures = {line[:24].strip(): [float(value) for value in line[24:].replace(",", "").split()] for line in lines[1:6]}
    assert [*figures] == ["amount", "+ customer", "+ terminal", "+ ratio, since last", "30 days to learn from"]
    week, month = figures["amount"], figures["30 days to learn from"]
    assert week[2:4] == month[2:4]  # one test
    assert month[0] > 3 * week[0]
    assert figures["+ terminal"][4] > 1.5 * week[4]  # the terminals' risk is what tells
    assert 0 < figures["+ terminal"][5] <= 1
    assert lines[-3].split() == ["XGBoost", "0.639", "0.273"]


def test_pickles_are_not_read(tmp_path):
    (tmp_path / "2018-04-01.pkl").write_bytes(b"never opened")
    with pytest.raises(SystemExit, match="pickles; convert them"):
        handbook.table(tmp_path)
