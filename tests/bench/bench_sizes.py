"""Tables of a million rows and more: seconds, CPU seconds and peak memory of each step, and how they grow.

    make bench                                                # a million rows
    ROWS="1000000 10000000" .venv/bin/python tests/bench/bench_sizes.py [step ...]

The steps, each in processes of its own: `check` reads and checks every row and keeps a sample, `load` takes that again,
`explore` and `compare` are notebooks 01 and 02 of a quick report; `train` is a job on all rows, rare frauds against
fifty legitimate rows each; `hosts` is such a job on one, two and four hosts of this machine, of the first size only:
with as many cores as before that shows what the collective costs, not what more machines gain.

The rows are two million simulated ones, written again and again, shifted in time and each number moved by a hundred
thousandth of itself, so that no row is a copy. BENCH_FOLDER says where: a row takes 0.14 kB, and 0.3 kB more where its
sample is kept. The bounds, on two quiet cores: two million rows checked, explored and compared in four minutes, twenty
million in eight.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"imbalance": "undersample 1:50", "num_round": "270"}
LOAD = "import sys; from fraud_utils.data import load_transactions; load_transactions(sys.argv[1])"
Figures = dict[str, float]
# Runs commands side by side, so that what they used can be told from what others did.
RUN = """
import json, os, resource, subprocess, sys
started = [
    subprocess.Popen(command, env=os.environ | given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for command, given in json.load(sys.stdin)
]
for each in started:
    said, _ = each.communicate()
    if each.returncode:
        sys.exit(f"{each.args}: status {each.returncode}: {said[-2000:].decode()}")
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}))
"""


def measured(*commands: list[str], variables: list[dict[str, str]] | None = None) -> Figures:
    """Seconds and CPU seconds of commands side by side, and the peak memory of the largest of their processes."""
    pairs = list(zip(commands, variables or [{}] * len(commands), strict=True))
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=json.dumps(pairs), text=True, cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    return {"seconds": time.perf_counter() - start, **json.loads(done.stdout)}


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
        part = block.iloc[: rows - start].copy()
        part["Time"] += number * span
        for column in numbers:
            part[column] = (part[column] * (1 + 1e-5 * rng.standard_normal(len(part)))).astype(np.float32)
        parquet.write_table(pa.Table.from_pandas(part, preserve_index=False), table / f"{number:03}.parquet")
    return table


def notebook(name: str, table: Path, run: Path) -> Figures:
    """A notebook as a quick report runs it, all its fits made anew."""
    run.mkdir(exist_ok=True)
    given = {"data": table, "run_folder": run, "profile": "quick"} | ({"cache": ""} if name[:2] == "02" else {})
    options = [word for key, value in given.items() for word in ("-p", key, str(value))]
    return measured(
        [sys.executable, "-m", "papermill", f"notebooks/{name}.ipynb", str(run / f"{name}.ipynb"), *options]
    )


def trained(folder: Path, table: Path, count: int = 1) -> Figures:
    """A job on so many hosts of this machine, each with one thread where there are several."""
    hosts = [f"127.0.0.{number}" for number in range(1, count + 1)]
    variables = []
    for host in hosts:
        tree = folder / str(count) / host
        (tree / "input" / "config").mkdir(parents=True)
        (tree / "input" / "data" / "train").mkdir(parents=True)
        for file in table.iterdir():
            os.link(file, tree / "input" / "data" / "train" / file.name)
        config = {
            "hyperparameters": SETTINGS,
            "resourceconfig": {"current_host": host, "hosts": hosts},
            "inputdataconfig": {"train": {"TrainingInputMode": "File"}},
        }
        for name, content in config.items():
            (tree / "input" / "config" / f"{name}.json").write_text(json.dumps(content))
        variables.append({"SAGEMAKER_BASE_DIR": str(tree)} | ({"OMP_NUM_THREADS": "1"} if count > 1 else {}))
    program = [sys.executable, str(ROOT / "container" / "train.py")]
    figures = measured(*[program] * count, variables=variables)
    shutil.rmtree(folder / str(count))
    return figures


def steps(folder: Path, table: Path, with_hosts: bool) -> dict[str, Callable[[], Figures]]:
    check = [sys.executable, "-m", "fraud_utils.report.check", "--data", str(table)]
    found: dict[str, Callable[[], Figures]] = {
        "check": lambda: measured(check),
        "load": lambda: measured([sys.executable, "-c", LOAD, str(table)]),
        "explore": lambda: notebook("01_explore", table, folder / "run"),
        "compare": lambda: notebook("02_compare_models", table, folder / "run"),
        "train": lambda: trained(folder / "jobs", table),
    }
    for count in (1, 2, 4) if with_hosts else ():
        found[f"hosts {count}"] = lambda count=count: trained(folder / "hosts", table, count)  # type: ignore[misc]
    return found


def main() -> None:
    sizes = [int(word) for word in os.environ.get("ROWS", "1000000").split()]
    seen: dict[str, list[tuple[int, float]]] = {}
    for rows in sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as name:
            start = time.perf_counter()
            table = written(Path(name), rows)
            size = sum(file.stat().st_size for file in table.iterdir()) / 1e9
            print(f"{rows:,} rows, {size:.1f} GB, written in {time.perf_counter() - start:.0f} s", flush=True)
            for step, measure in steps(Path(name), table, rows == sizes[0]).items():
                if step.split()[0] in (sys.argv[1:] or [step.split()[0]]):
                    figures = measure()
                    seen.setdefault(step, []).append((rows, figures["seconds"]))
                    said = "".join(f"{value:10,.0f} {key}" for key, value in figures.items())
                    print(f"  {step:8}{said}", flush=True)
    for step, points in seen.items():
        if len(points) > 1:
            (fewer, quick), (more, slow) = points[0], points[-1]
            print(f"{step} grows with the rows to the power of {math.log(slow / quick) / math.log(more / fewer):.2f}")


if __name__ == "__main__":
    main()
