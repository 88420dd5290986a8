"""Tables of a million rows and more: seconds, CPU seconds and peak memory of each step, and how they grow.

    make bench                                                # a million rows
    ROWS="1000000 10000000" .venv/bin/python tests/bench/bench_sizes.py [step ...]

The steps, each in a process of its own: `check` reads and checks every row and keeps a sample, `load` takes that again,
`explore` and `compare` are notebooks 01 and 02 of a quick report, `train` a job on all rows, rare frauds against fifty
legitimate rows each; `hosts` trains on one, two and four hosts of this machine, of the first size only: with as many
cores as before that shows what the collective costs, not what more machines gain.

The rows are two million simulated ones, written again and again, shifted in time and each number moved by a hundred
thousandth of itself, so that no row is a copy. The bounds, on two quiet cores: a quick report of two million rows in
four minutes, of twenty million in eight.
"""

import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("check", "load", "explore", "compare", "train", "hosts")
SETTINGS = {"imbalance": "undersample 1:50", "num_round": "270"}
LOAD = "import sys; from fraud_utils.data import load_transactions; load_transactions(sys.argv[1])"


def written(folder: Path, rows: int) -> Path:
    """A table of so many rows, a file for each two million."""
    import pyarrow as pa
    from pyarrow import parquet

    from fraud_utils.data.simulate import simulate_transactions

    block = simulate_transactions(min(rows, 2_000_000), seed=7)
    numbers, rng, table = block.columns[1:-1], np.random.default_rng(7), folder / "table"
    table.mkdir()
    span = float(block["Time"].max()) + 1
    for number, start in enumerate(range(0, rows, len(block))):
        part = block.iloc[: rows - start].assign(Time=lambda part, at=number * span: part["Time"] + at)
        for column in numbers:
            part[column] = (part[column] * (1 + 1e-5 * rng.standard_normal(len(part)))).astype(np.float32)
        parquet.write_table(pa.Table.from_pandas(part, preserve_index=False), table / f"{number:03}.parquet")
    return table


def measured(command: list[str], **variables: str) -> dict[str, float]:
    """Seconds, CPU seconds and the peak memory of one of a command's processes."""
    script = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)\n"
        "sys.stderr.buffer.write(done.stdout[-2000:] if done.returncode else b'')\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, *command],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        check=True,
    )
    seconds = time.perf_counter() - start
    status, cpu, peak = json.loads(done.stdout)
    if status:
        raise SystemExit(f"{' '.join(command)}: status {status}")
    return {"seconds": seconds, "cpu": cpu, "peak_mb": peak}


def report(table: Path) -> dict[str, dict[str, float]]:
    """A quick report's first two notebooks; CPU seconds and memory are those of the whole."""
    run = f"bench-{os.getpid()}"
    command = [sys.executable, "-m", "fraud_utils.report", "--data", str(table), "--run", run, "--profile", "quick"]
    whole = measured([*command, "cache="])
    folder = ROOT / "runs" / run
    seconds = json.loads((folder / "metrics.json").read_text())["seconds"]
    shutil.rmtree(folder)
    return {
        "explore": {"seconds": seconds["01_explore"]},
        "compare": {"seconds": seconds["02_compare_models"]},
        "report": whole,
    }


def job(base: Path, table: Path, host: str, hosts: list[str]) -> Path:
    """The tree of a training job on all rows."""
    tree = base / host
    (tree / "input" / "config").mkdir(parents=True)
    (tree / "input" / "data").mkdir()
    (tree / "input" / "data" / "train").symlink_to(table)
    config = {
        "hyperparameters": SETTINGS,
        "resourceconfig": {"current_host": host, "hosts": hosts},
        "inputdataconfig": {"train": {"TrainingInputMode": "File"}},
    }
    for name, content in config.items():
        (tree / "input" / "config" / f"{name}.json").write_text(json.dumps(content))
    return tree


def trained(base: Path, table: Path, count: int) -> dict[str, float]:
    """A job on so many hosts of this machine, each with one thread where there are several."""
    names = [f"127.0.0.{number}" for number in range(1, count + 1)]
    trees = [job(base / str(count), table, name, names) for name in names]
    threads = {"OMP_NUM_THREADS": "1"} if count > 1 else {}
    program = str(ROOT / "container" / "train.py")
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    jobs = [
        subprocess.Popen(
            [sys.executable, program],
            env=os.environ | threads | {"SAGEMAKER_BASE_DIR": str(tree)},
            stdout=subprocess.DEVNULL,
        )
        for tree in trees
    ]
    if any(each.wait() for each in jobs):
        raise SystemExit((trees[0] / "output" / "failure").read_text())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.perf_counter() - start, "cpu": cpu, "peak_mb": used.ru_maxrss / 1024}


def main() -> None:
    wanted = sys.argv[1:] or STEPS
    sizes = [int(word) for word in os.environ.get("ROWS", "1000000").split()]
    seen: dict[str, list[tuple[int, float]]] = {}
    for rows in sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as name:
            start = time.perf_counter()
            folder = Path(name)
            table = written(folder, rows)
            size = sum(file.stat().st_size for file in table.iterdir()) / 1e9
            print(f"{rows:,} rows, {size:.1f} GB, written in {time.perf_counter() - start:.0f} s", flush=True)
            check = [sys.executable, "-m", "fraud_utils.report.check", "--data", str(table)]
            makers = {
                "check": lambda table=table, check=check: {"check": measured(check)},
                "load": lambda table=table: {"load": measured([sys.executable, "-c", LOAD, str(table)])},
                "compare": lambda table=table: report(table),
                "train": lambda folder=folder, table=table: {"train": trained(folder / "one", table, 1)},
            }
            for step, make in makers.items():
                if step in wanted:
                    for name, figures in make().items():
                        seen.setdefault(name, []).append((rows, figures["seconds"]))
                        print(
                            f"  {name:8}" + "".join(f"{value:10,.0f} {key}" for key, value in figures.items()),
                            flush=True,
                        )
            if "hosts" in wanted and rows == sizes[0]:
                for count in (1, 2, 4):
                    figures = trained(folder / "hosts", table, count)
                    print(
                        f"  {count} hosts" + "".join(f"{value:10,.0f} {key}" for key, value in figures.items()),
                        flush=True,
                    )
    for name, points in seen.items():
        if len(points) > 1:
            (fewer, quick), (more, slow) = points[0], points[-1]
            print(f"{name} grows with the rows to the power of {math.log(slow / quick) / math.log(more / fewer):.2f}")


if __name__ == "__main__":
    main()
