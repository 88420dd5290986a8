"""`make check` on a million rows of 31 columns as CSV: seconds, CPU and peak memory, with a schema and drafting one.

    make bench            # all benchmarks

DuckDB's SUMMARIZE of the same file is a fair comparison: `duckdb -c "SUMMARIZE SELECT * FROM 'million.csv'"`.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fraud_utils.data.simulate import simulate_transactions

ROOT = Path(__file__).resolve().parents[2]
ROWS = 1_000_000
SCHEMA = "label: Fraud\ntime: Time\namount: Amount\nfeatures: [{}]\n"


def measured(*arguments: str) -> tuple[float, float, float]:
    """Seconds, CPU seconds and megabytes of one check in a process of its own."""
    before, start = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "fraud_utils.report.check", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds, after = time.perf_counter() - start, os.times()
    assert status == 0, f"the check failed: {arguments}"
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, cpu, usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def main() -> None:
    with tempfile.TemporaryDirectory(dir=ROOT / "runs", prefix=".bench-") as folder:  # a draft is kept beside its table
        table, schema = Path(folder) / "million.csv", Path(folder) / "schema.yaml"
        frame = simulate_transactions(ROWS, seed=7).rename(columns={"Class": "Fraud"})
        frame.to_csv(table, index=False)
        schema.write_text(SCHEMA.format(", ".join(name for name in frame.columns if name.startswith("V"))))
        print(f"{ROWS:,} rows, {len(frame.columns)} columns, {table.stat().st_size / 1e6:.0f} MB")
        for name, given in {"drafting": (), "with a schema": ("--schema", str(schema))}.items():
            seconds, cpu, megabytes = measured("--data", str(table), *given)
            print(f"{name:15}{seconds:8.1f} s{cpu:8.1f} s of CPU{megabytes:8.0f} MB")


if __name__ == "__main__":
    main()
