"""The quick report on the reference set: seconds by notebook and the peak memory of all its processes together.

The bounds: three minutes on two quiet cores once the environment exists, and 2.5 GB.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]


def resident_mb(process: psutil.Process) -> float:
    """Memory of a process and all below it; pages that they share count once for each, so it is an upper bound."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def main() -> None:
    data = Path(os.environ.get("FRAUD_DATA") or ROOT.parent / "shared" / "data" / "creditcard.csv.zip")
    run = f"bench-{os.getpid()}"
    command = [sys.executable, "-m", "fraud_utils.report", "--data", str(data), "--run", run, "--profile", "quick"]
    start, peak = time.perf_counter(), 0.0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as report:
        watched = psutil.Process(report.pid)
        while report.poll() is None:
            peak = max(peak, resident_mb(watched))
            time.sleep(0.2)
    seconds = time.perf_counter() - start
    folder = ROOT / "runs" / run
    parts = json.loads((folder / "metrics.json").read_text())["seconds"]
    shutil.rmtree(folder)
    print(f"quick report: {seconds:.0f} s (bound on quiet cores: 180), peak {peak:.0f} MB (bound: 2500)")
    print("  " + ", ".join(f"{name} {value:.0f} s" for name, value in parts.items()))


if __name__ == "__main__":
    main()
