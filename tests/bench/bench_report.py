"""The reports on the reference set: seconds by notebook and the peak memory of all their processes together.

The bounds, on two quiet cores once the environment exists: quick two minutes, full ten, in 4 GB; and seconds for a full
one that is repeated, since its fits are kept.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]


def resident_mb(process: psutil.Process) -> float:
    """Memory of a process and all below it; pages that they share count once for each, so it is an upper bound."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def measure(profile: str, cache: str, what: str) -> None:
    data = Path(os.environ.get("FRAUD_DATA") or ROOT.parent / "shared" / "data" / "creditcard.csv.zip")
    run = f"bench-{os.getpid()}"
    command = [sys.executable, "-m", "fraud_utils.report", "--data", str(data), "--run", run, "--profile", profile]
    start, peak = time.perf_counter(), 0.0
    with subprocess.Popen(
        [*command, f"cache={cache}"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as report:
        watched = psutil.Process(report.pid)
        while report.poll() is None:
            peak = max(peak, resident_mb(watched))
            time.sleep(0.2)
    seconds = time.perf_counter() - start
    folder = ROOT / "runs" / run
    parts = json.loads((folder / "metrics.json").read_text())["seconds"]
    shutil.rmtree(folder)
    print(f"{what}: {seconds:.0f} s, peak {peak:.0f} MB", flush=True)
    print("  " + ", ".join(f"{name} {value:.0f} s" for name, value in parts.items()), flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        measure("quick", cache, "quick report")
        measure("full", cache, "full report")
        measure("full", cache, "full report again")


if __name__ == "__main__":
    main()
