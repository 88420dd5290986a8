"""Notebook 01's counts over tables larger than memory: seconds, CPU seconds and peak memory, and how they grow.

    ROWS="1000000 10000000" python tests/bench/bench_explore.py

A hundred thousand simulated rows, again and again with a little noise and at other times of the same 30 days, are
written as parquet files, and about 100,000 legitimate ones are held beside the frauds. Each count runs in a process of
its own, whose whole peak is given. The bounds: time that grows no faster than the rows, and memory that does not.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

REPEATED = 100_000

COUNTS = {
    "integrity": "explore.integrity(frame, ULB)",
    "imbalance": "explore.class_sizes(split, ULB)",
    "volume": "explore.volume(frame, ULB)",
    "days": "explore.rate_along_time(frame, ULB)",
    "hours": "explore.rate_by_hour(split.train, ULB)",
    "amount curves": "explore.amount_distribution(split.train, ULB)",
    "amounts": "explore.amounts_below(split.train, ULB)",
    "price points": "explore.price_points(split.train, ULB)",
    "duplicates": "explore.duplicates(frame, split, ULB)",
    "drift": "explore.stability(split, ULB)",
}
MEASURE = """
import json, resource, sys, time
import pandas as pd
from fraud_utils import explore
from fraud_utils.data import ULB, split_transactions
from fraud_utils.data.sample import between
folder, expression = sys.argv[1:]
frame = pd.read_parquet(f"{folder}/sample.parquet")
frame.attrs |= {"provenance": {"name": "", "simulated": True, "origin": None}, "whole": {"folder": folder}}
frame = between(frame, ULB, None, None)
split = split_transactions(frame, ULB)
import scipy.stats, pyarrow.parquet  # not counted
start, cpu = time.perf_counter(), time.process_time()
eval(expression)
print(json.dumps({"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu,
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def write(folder: Path, rows: int) -> None:
    """Write all rows as parts, and a sample of them."""
    import pandas as pd

    from fraud_utils.data import ULB
    from fraud_utils.data.simulate import simulate_transactions

    rng, table, kept = np.random.default_rng(0), simulate_transactions(REPEATED, days=30), []
    for place in range(rows // REPEATED):
        part = table.assign(Time=rng.permutation(table["Time"]))
        part[[*ULB.features]] += 1e-6 * rng.standard_normal((REPEATED, len(ULB.features)))
        part.to_parquet(folder / f"part-{place:05}.parquet", index=False)
        kept.append(part[(part["Class"] == 1) | (rng.random(REPEATED) < REPEATED / rows)])
    pd.concat(kept).sort_values("Time", ignore_index=True).to_parquet(folder / "sample.parquet")


def measured(rows: int) -> dict[str, dict[str, float]]:
    """Figures of every count."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "--write", folder, str(rows)], check=True)
        found = {}
        for name, expression in COUNTS.items():
            command = [sys.executable, "-c", MEASURE, folder, expression]
            found[name] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        total = {key: sum(each[key] for each in found.values()) for key in ("seconds", "cpu")}
        return found | {"all": total | {"peak_mb": max(each["peak_mb"] for each in found.values())}}


def main() -> None:
    """Print a line a count and a size, and how the sum of all grows."""
    print(f"{'':16}{'rows':>14}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}", flush=True)
    totals = []
    for rows in map(int, os.environ.get("ROWS", "1000000 10000000").split()):
        found = measured(rows)
        for name, each in found.items():
            print(f"{name:16}{rows:14,}{each['seconds']:10.1f}{each['cpu']:10.1f}{each['peak_mb']:10,.0f}", flush=True)
        totals.append((rows, found["all"]))
    for (few, before), (many, after) in pairwise(totals):
        time, peak = (math.log(after[key] / before[key], many / few) for key in ("cpu", "peak_mb"))
        print(f"from {few:,} to {many:,} rows: CPU time as rows^{time:.2f}, peak as rows^{peak:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
