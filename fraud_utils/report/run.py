"""A run: its folder, claimed and emptied; its notebooks, one after the other; its record and its pages.

A run is finished when its `metrics.json` exists: it is written last. Until then `state.json` says how far the run is,
or what went wrong.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import platform
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fraud_utils import __version__, project, record
from fraud_utils.record import RunRecord, State, Version
from fraud_utils.report import compare_runs, pages, progress
from fraud_utils.report.errors import NotebookError, UsageError
from fraud_utils.report.execute import execute, mark_unfinished
from fraud_utils.report.parameters import Parameter, cells, defaults
from fraud_utils.report.runs import RUNS


def run(
    notebooks: list[Path], name: str, values: dict[str, Any], parameters: dict[str, dict[str, Parameter]]
) -> RunRecord:
    """Execute the notebooks into `runs/<name>/`, point `runs/latest` at it, and write `runs/index.html` again.

    Parameters
    ----------
    notebooks : list of Path
        In order of execution.
    name : str
        The run's.
    values : dict
        The parameters that somebody has set, typed, by name.
    parameters : dict
        What each notebook declares, by its stem.

    Returns
    -------
    RunRecord
        The content of its `metrics.json`.

    Raises
    ------
    UsageError
        The name is not valid, or taken by a finished run or by one at work.
    NotebookError
        A notebook did not reach its end.
    """
    effective = defaults(parameters) | values
    effective.pop("run_folder", None)  # the run's name again, which two equal runs do not share
    values = values | {"run_folder": str(RUNS / name)}
    with _claimed(name) as folder:
        begun = datetime.now(UTC).replace(microsecond=0)
        state = State("running", name, begun, os.getpid(), parameters=dict(sorted(effective.items())))

        def note(**changes: Any) -> None:
            nonlocal state
            state = replace(state, **changes)
            record.save(folder, state)

        started = time.perf_counter()
        seconds: dict[str, float] = {}
        try:
            for notebook in notebooks:
                known = {key: value for key, value in values.items() if key in parameters[notebook.stem]}
                data = record.read(folder).data
                earlier = progress.estimate(notebook.stem, effective, data.rows if data else None)
                seconds[notebook.stem] = _run_notebook(notebook, folder, known, note, earlier)
            seconds["total"] = round(time.perf_counter() - started, 2)
            finished = _record(folder, state, seconds)
            _finish(folder, finished)
            note(state="finished", notebook=None, cell=None)
            _point_latest(folder)
        except BaseException as error:
            for file in (record.FILE, "index.html"):
                (folder / file).unlink(missing_ok=True)
            took = round(time.perf_counter() - started, 2)
            if isinstance(error, KeyboardInterrupt):
                note(state="interrupted", seconds=took)
            else:
                what = error.summary if isinstance(error, NotebookError) else f"{type(error).__name__}: {error}"
                note(state="failed", error=what, seconds=took)
            raise
        finally:
            _list_runs()
    return finished


def _run_notebook(
    notebook: Path,
    folder: Path,
    parameters: Mapping[str, Any],
    note: Callable[..., None],
    earlier: progress.Estimate,
) -> float:
    """Execute one notebook into the run's folder and write its page, the partial one's too; returns its seconds."""
    output = folder / notebook.name
    started = time.perf_counter()
    cell = 0
    note(notebook=notebook.stem, cell=cell)
    total = len(cells(notebook)) + bool(parameters)  # papermill injects one
    try:
        with progress.shown(notebook.stem, total, earlier) as (begin, say):

            def on_cell(position: int) -> None:
                nonlocal cell
                cell = position
                note(cell=cell)
                begin(cell)

            execute(notebook, output, parameters, on_cell, say)
    except (NotebookError, KeyboardInterrupt) as error:
        if output.exists():
            mark_unfinished(output, cell)
            if isinstance(error, NotebookError):  # whoever interrupts does not want to wait for a page
                pages.write_notebook(output, record.read(folder).data)
        raise
    seconds = round(time.perf_counter() - started, 2)
    pages.write_notebook(output, record.read(folder).data)
    return seconds


def _record(folder: Path, state: State, seconds: dict[str, float]) -> RunRecord:
    """What the notebooks have recorded, with what it was computed from."""
    sections = vars(record.read(folder))
    needed = ("data", "split", "models", "tie_set", "chosen", "endpoint")  # pages do without the others
    if missing := [name for name in needed if sections[name] is None]:
        print(f"warning: no notebook recorded {', '.join(missing)}; null in metrics.json", file=sys.stderr)
    return RunRecord(
        **sections,
        run=state.run,
        created=state.created,
        version=version(),
        parameters=state.parameters,
        seconds=seconds,
    )


def _finish(folder: Path, finished: RunRecord) -> None:
    """Write the summary, let the notebooks' pages lead to it and to one another, and write `metrics.json` last."""
    pages.write_summary(folder, finished)
    pages.link_notebooks(folder, finished.data)
    record.save(folder, finished)


def version() -> Version:
    """What figures are computed with here: project, commit, Python, and the packages that the project asks for.

    The commit is that of the working copy, "-dirty" when a tracked file differs from it; None outside a repository of
    its own, as in an unpacked archive.
    """
    from packaging.requirements import Requirement

    needed = [Requirement(line) for line in importlib.metadata.requires("fraud-detection") or []]
    names = sorted(each.name for each in needed if each.marker is None or each.marker.evaluate())
    return Version(
        __version__,
        project.commit(7, mark_changes=True),
        platform.python_version(),
        {name: importlib.metadata.version(name) for name in names},
    )


# The folder ---------------------------------------------------------------------------------------------------------


@contextmanager
def _claimed(name: str) -> Iterator[Path]:
    """`runs/<name>/`, empty, and this process's alone until the block ends.

    The lock on the folder is the system's: it goes when the process does, however it ends, so that a killed run can be
    distinguished from one at work.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", name, re.ASCII) or name == "latest":
        raise UsageError(
            f"RUN={name}: a run's name is up to 100 letters, digits, '.', '_' and '-', starts with a letter or digit, "
            "and is not 'latest'"
        )
    folder = RUNS / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"RUN={name}: {folder} is a file; choose another RUN") from None
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"RUN={name}: {folder} is being written by another run; choose another RUN") from None
        except OSError:
            pass  # some network file systems cannot lock a folder; different names keep runs apart there too
        _empty(folder)
        yield folder
    finally:
        os.close(lock)


def _empty(folder: Path) -> None:
    """Remove what an unfinished run has left; a UsageError where the folder holds anything else."""
    if not any(folder.iterdir()):
        return
    try:
        state = record.state(folder)
    except record.RecordError:
        state = None
    if state is None or state.state == "finished":
        what = "holds a finished run" if state else "exists and is not a run"
        raise UsageError(f"RUN={folder.name}: {folder} {what}; choose another RUN or delete it")
    for item in sorted(folder.iterdir(), key=lambda item: item.name == record.STATE_FILE):  # what it was, last
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink()


def _point_latest(folder: Path) -> None:
    """Let `runs/latest` point at the folder; a reader sees the old target or the new one, never none."""
    link = RUNS / f".latest-{secrets.token_hex(4)}"
    try:
        link.symlink_to(folder.name)
        link.replace(RUNS / "latest")
    except OSError as error:  # a folder of that name, or a file system without links: no reason to lose the run
        link.unlink(missing_ok=True)
        print(f"warning: {RUNS / 'latest'} does not point at this run: {error}", file=sys.stderr)


def _list_runs() -> None:
    """Write `runs/index.html`; where that is impossible the run is what it is, and only a warning is printed."""
    try:
        compare_runs.write_index()
    except OSError as error:
        print(f"warning: {RUNS}/index.html is not up to date: {error}; make runs writes it again", file=sys.stderr)
