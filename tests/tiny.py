"""A project of two tiny notebooks that take parameters, record what runs record, and go wrong when asked to."""

from pathlib import Path

import nbformat

PARAMETERS = """\
data: str = ""  # a table
seed: int = 7  # what = what
profile: str = "full"
run_folder: str = "runs/lab"
rate: float = 0.5
label: str = ""
flag: bool = True
costs: list[float] = [1.0, 2.0]
behave: str = "well"
"""
SECTIONS = """\
import json
import os
import sys
import time
from pathlib import Path
from subprocess import run

from fraud_utils import record

here = Path(run_folder)
record.add(here, data={"name": "tiny", "simulated": True, "rows": 10, "frauds": 2, "columns": None},
           split={"test_from": 8.0, "train_rows": 8, "train_frauds": 1, "test_rows": 2, "test_frauds": 1})
types = {name: type(value).__name__ for name, value in dict(rate=rate, label=label, flag=flag, costs=costs).items()}
(here / "seen.json").write_text(json.dumps({"types": types, "interpreter": sys.executable}))
with open(os.environ["FRAUD_PROGRESS"], "a") as file:
    print("\\t10", file=file)
    print("Fitting: 1 of 2, dummy, 0.5 s\\t5", file=file)
"""
BEHAVE = """\
# one
# two
# three
# four
class DataError(ValueError):
    pass

if behave == "data":
    raise DataError("bad.csv, row 3, column Amount: 'ten' is not a number; fix it")
if behave == "raise":
    raise ValueError("the well is dry")
if behave == "leave":
    sys.exit(0)
if behave in ("die", "linger"):
    orphan = run("sleep 600 >/dev/null 2>&1 & echo $!", shell=True, capture_output=True, text=True).stdout
    (here / "partial").write_text(f"{os.getpid()} {orphan}")
    (here / "partial").rename(here / "pids")
    if behave == "die":
        os.kill(os.getpid(), 9)
    time.sleep(600)
"""
CHOICE = """\
record.add(
    run_folder,
    models=[{"name": "xgboost <plain>", "kind": "supervised", "oof": {"average_precision": 0.8},
             "test": {"average_precision": 0.75, "average_precision_ci": [0.7, 0.79]}}],
    tie_set=["xgboost <plain>"],
    chosen=record.Choice("xgboost <plain>", "the only one", alerting=(record.Threshold("f1", 0.5),)),
    endpoint={"target": "local", "rows": 2, "max_abs_difference": 0.0, "deleted": True,
              "latency_ms": {"p50": time.perf_counter(), "p99": 2.0}},
)
"""


def write_notebook(path: Path, parameters: str | None, *cells: str) -> None:
    tagged = [] if parameters is None else [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(f"# Chapter {path.stem}\n\nOf $x^2$ and [a link](https://example.org)."),
            *tagged,
            *(nbformat.v4.new_code_cell(cell) for cell in cells),
        ]
    )
    nbformat.write(notebook, path)


def make_project(folder: Path) -> Path:
    (folder / "notebooks").mkdir(parents=True)
    (folder / "pyproject.toml").write_text("")
    write_notebook(folder / "notebooks/01_first.ipynb", PARAMETERS, SECTIONS, BEHAVE, "seed * 6")
    write_notebook(
        folder / "notebooks/02_second.ipynb",
        'seed: int = 7\nrun_folder: str = "runs/lab"',
        "import time\n\nfrom fraud_utils import record",
        CHOICE,
    )
    write_notebook(folder / "notebooks/scratch.ipynb", None, "1 / 0")  # not a chapter
    return folder
