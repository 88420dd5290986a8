"""Loading the reference set against plain pandas: seconds and memory, each load in a process of its own, in turn.

    make bench            # all benchmarks; the real data is found as in the tests

The bounds: at most twice pandas' time, and a frame of at most 80 MB.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MEASURE = """
import json, resource, sys, time
import numpy, pandas, pyarrow.csv, pyarrow.parquet
from fraud_utils.data import load_transactions
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, cpu = time.perf_counter(), time.process_time()
frame = {}
json.dump({{"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu,
           "peak_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
           "frame_mb": frame.memory_usage(deep=True).sum() / 1e6}}, sys.stdout)
"""


def measured(expression: str, path: Path) -> dict[str, float]:
    """Figures of one load in a fresh process."""
    done = subprocess.run([sys.executable, "-c", MEASURE.format(expression), path], capture_output=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    path = Path(os.environ.get("FRAUD_DATA") or ROOT.parent / "shared" / "data" / "creditcard.csv.zip")
    loads = {"pandas.read_csv": "pandas.read_csv(sys.argv[1])", "load_transactions": "load_transactions(sys.argv[1])"}
    rounds = [{name: measured(expression, path) for name, expression in loads.items()} for _ in range(5)]
    print(f"{'':20}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}{'frame MB':>10}   medians of {len(rounds)}")
    for name in loads:
        row = {key: statistics.median(r[name][key] for r in rounds) for key in rounds[0][name]}
        print(f"{name:20}{row['seconds']:10.2f}{row['cpu']:10.2f}{row['peak_mb']:10.0f}{row['frame_mb']:10.1f}")
    ratios = [r["load_transactions"]["seconds"] / r["pandas.read_csv"]["seconds"] for r in rounds]
    print(f"load_transactions takes {statistics.median(ratios):.2f} times pandas' seconds (bound: 2)")


if __name__ == "__main__":
    main()
