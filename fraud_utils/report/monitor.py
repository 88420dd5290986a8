"""`python -m fraud_utils.report.monitor`, which `make monitor` runs: notebook 04 executed into a run's folder."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from fraud_utils import project, record
from fraud_utils.report import pages, progress
from fraud_utils.report.errors import NotebookError, UsageError
from fraud_utils.report.execute import execute, mark_unfinished
from fraud_utils.report.parameters import cells, declared, given
from fraud_utils.report.runs import RUNS

NOTEBOOK = Path("notebooks/04_monitor.ipynb")
VERDICT = "monitor.json"


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit status: 0 whatever the verdict, 1 the notebook failed, 2 asked wrongly."""
    os.chdir(project.root())
    for name in ("papermill", "traitlets", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    options = _parser().parse_args(arguments)
    folder = RUNS / options.run
    page = folder / f"{NOTEBOOK.stem}.html"
    try:
        monitor(folder, _values(options, folder))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except NotebookError as error:
        print(error.explanation(page), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    verdict = json.loads((folder / VERDICT).read_text(encoding="utf-8"))
    print(f"{verdict['headline']}\n{verdict['action']}\n{page.as_posix()}")
    return 0


def monitor(folder: Path, values: dict[str, Any]) -> None:
    """Execute the notebook into the folder of a run, and write its page and the run's summary, which links to it.

    Raises
    ------
    NotebookError
        A cell raised; the partial page is there.
    """
    (folder / VERDICT).unlink(missing_ok=True)  # of an earlier look
    output, cell = folder / NOTEBOOK.name, 0
    finished = record.load(folder)
    try:
        with progress.shown(NOTEBOOK.stem, len(cells(NOTEBOOK)) + 1, progress.Estimate()) as (begin, say):

            def on_cell(position: int) -> None:
                nonlocal cell
                cell = position
                begin(position)

            execute(NOTEBOOK, output, values, on_cell, say)
    except (NotebookError, KeyboardInterrupt):
        if output.exists():
            mark_unfinished(output, cell)
        raise
    finally:
        if output.exists():
            pages.write_notebook(output, finished.data)
    pages.write_summary(folder, finished)


def _values(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The run's own parameters, then what somebody has set."""
    if not options.run:
        raise UsageError(
            "name the run whose model is to be watched: make monitor RUN=name [CAPTURED=path] [LABELS=path]"
        )
    try:
        finished = record.load(folder)
    except FileNotFoundError:
        raise UsageError(
            f"RUN={options.run}: {folder} holds no finished run; make runs lists those there are"
        ) from None
    except record.RecordError as error:
        raise UsageError(f"RUN={options.run}: {error}") from None
    known = declared([NOTEBOOK])[NOTEBOOK.stem]
    values = {name: value for name, value in finished.parameters.items() if name in known}
    values |= given(options, known)
    values |= {name: getattr(options, name) for name in ("captured", "labels") if getattr(options, name)}
    if values.get("labels") and not values.get("captured"):
        raise UsageError(f"LABELS={values['labels']} are of captured requests; name these too: CAPTURED=path|s3://...")
    return values | {"run_folder": folder.as_posix()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fraud_utils.report.monitor",
        description="Execute notebook 04 into runs/RUN/. An option that is not given is taken from the environment "
        "variable of its name in capitals, which is how make passes it.",
    )
    for option, text in (
        ("run", "name of the run whose model was deployed"),
        ("captured", "captured requests: a folder, s3://..., a .jsonl file, or a table; simulated when not given"),
        ("labels", "table of id and label"),
        ("params", 'parameters of the notebook, as "label_delay_days=14 challenger=next"'),
    ):
        parser.add_argument(f"--{option}", default=os.environ.get(option.upper(), ""), help=text)
    parser.set_defaults(data="", schema="", profile="", target="", params_file="", override=[])
    return parser


if __name__ == "__main__":
    sys.exit(main())
