"""A batch transform of many rows: its time, and the memory of all who take part, which does not grow with the rows.

    ROWS="1000000 10000000" python tests/bench/bench_transform.py    # `make bench` takes 200,000 and 1,000,000

For each size one process does as notebook 03: it starts SageMaker on this machine, trains, serves and transforms
objects of 100,000 rows. Peaks are of the transform alone, as Linux counts them: of the process that is SageMaker and
S3, of the served program's processes together (pages that they share count in each), and of the notebook's process, to
which a row's score adds some 8 to 12 bytes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import deployments

from fraud_utils import artifact, deploy
from fraud_utils.data import ULB, split_transactions
from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.deploy import session

PART = 100_000  # rows of an object
HEAD = f"{'rows':>12}{'seconds':>10}{'rows/s':>10}{'CPU s':>8}   peak MB: SageMaker and S3, served program, notebook"


def peak_mb(process: psutil.Process) -> float:
    """The most memory that a process has had since it began, or since `reset`."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


class Served(threading.Thread):
    """Looks at the programs that a transform job starts, until it is told that the job has ended."""

    def __init__(self, sagemaker: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.sagemaker, self.ended = sagemaker, threading.Event()
        self.others = {each.pid for each in sagemaker.children(recursive=True)}
        self.peaks: dict[int, float] = {}
        self.cpu: dict[int, float] = {}

    def run(self) -> None:
        while not self.ended.wait(0.1):
            for process in self.sagemaker.children(recursive=True):
                if process.pid not in self.others:
                    try:
                        self.peaks[process.pid], self.cpu[process.pid] = peak_mb(process), cpu_seconds(process)
                    except (OSError, StopIteration, psutil.Error):
                        continue  # it has ended


def measure(rows: int, folder: Path) -> None:
    """Transform so many rows in this process, and print a line."""
    deployment = deploy.connect("local", folder)
    frame = simulate_transactions(PART + 20_000, fraud_rate=0.005, seed=1)
    uploaded = deployment.upload(split_transactions(frame[PART:], ULB), ULB)
    deployment.train(deployments.choice(num_round=150, max_depth=4), uploaded)
    deployment.serve()

    expected = artifact.load(folder / "model").score(frame[:PART])
    lines = frame[:PART].drop(columns="Class").to_csv(index=False, header=False).splitlines(keepends=True)
    bucket, s3 = deployment.site.place.bucket, deployment.site.connection.s3
    for number in range(rows // PART):  # each begins with another row
        body = "".join(lines[number:] + lines[:number]).encode()
        s3.put_object(Bucket=bucket, Key=f"many/part-{number:05}.csv", Body=body)
    del frame, lines, body

    processes = psutil.Process(session.server.process.pid), psutil.Process()
    for each in processes:
        Path(f"/proc/{each.pid}/clear_refs").write_text("5")  # forget the peak
    served = Served(processes[0])
    served.start()
    began, cpu = time.perf_counter(), sum(map(cpu_seconds, processes))
    scores = deployment.transform(f"s3://{bucket}/many/")
    seconds = time.perf_counter() - began
    served.ended.set()
    served.join()
    cpu = sum(map(cpu_seconds, processes)) - cpu + sum(served.cpu.values())
    peaks = peak_mb(processes[0]), sum(served.peaks.values()), peak_mb(processes[1])
    assert len(scores) == rows
    for number in range(rows // PART):
        np.testing.assert_allclose(scores[number * PART :][:PART], np.roll(expected, -number), atol=1e-9)
    deployment.delete()
    shown = "".join(f"{peak:16.0f}" for peak in peaks)
    print(f"{rows:12,}{seconds:10.1f}{rows / seconds:10,.0f}{cpu:8.0f}            {shown}")


def main() -> None:
    """Measure each size in a process of its own, and print a line for it."""
    if len(sys.argv) > 2:
        measure(int(sys.argv[1]), Path(sys.argv[2]))
        return
    print(HEAD, flush=True)
    for rows in os.environ.get("ROWS", "200000 1000000").replace(",", "").split():
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, __file__, rows, f"{folder}/run"], stdout=subprocess.PIPE, text=True, check=True
            )
        print(done.stdout.splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
