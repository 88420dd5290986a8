"""Execute the notebooks, in order, into one folder that can be sent to somebody: `runs/<run>/`.

`make report` runs this program; `python -m fraud_utils.report --help` explains its options. A run is finished when
its `metrics.json` exists: it is written last. Until then `state.json` says what is going on, or what went wrong.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import fcntl
import importlib.metadata
import json
import logging
import math
import os
import platform
import re
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from fraud_utils import __version__, project
from fraud_utils import record as results
from fraud_utils.data import DataError, Schema
from fraud_utils.report import compare_runs as runs
from fraud_utils.report import pages, tracking
from fraud_utils.report.compare_runs import RUNS

SECTIONS = ("data", "split", "models", "tie_set", "chosen", "endpoint")  # what notebooks record, in metrics.json
SHOWN_LINES = 5  # of a failing cell on the terminal
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CHOICES = {"profile": ("full", "quick"), "target": ("local", "aws")}


class UsageError(Exception):
    """A run that was asked for wrongly; nothing has been executed or written."""


class Stopped(KeyboardInterrupt):
    """A signal ended the run. A KeyboardInterrupt, because asyncio lets nothing else through its event loop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class NotebookError(Exception):
    """A notebook that did not reach its end.

    Attributes
    ----------
    notebook : str
        Its stem.
    cell : int
        Position of the cell in the executed notebook, from 1; 0 when no cell had begun.
    source : str
        The cell's code.
    name : str
        Of the exception, "" when there was none to see.
    """

    def __init__(self, notebook: str, cell: int, source: str, name: str, message: str) -> None:
        super().__init__(message)
        self.notebook, self.cell, self.source, self.name = notebook, cell, source, name

    def explanation(self, page: Path) -> str:
        """What to print: which cell of which notebook, its first lines, what it raised, and where to read on."""
        if self.name == "DataError":  # its message is written to stand alone
            return f"error: {self}\n({self.notebook}, cell {self.cell}; all up to there is in {page.as_posix()})"
        lines = self.source.strip().splitlines()
        shown = "\n".join(lines[:SHOWN_LINES] + ["..."] * (len(lines) > SHOWN_LINES))
        what = f"{self.name}: {self}" if self.name else str(self)
        return (
            f"error: {self.notebook}, cell {self.cell}\n{textwrap.indent(shown, '    ')}\n{what}\n"
            f"(all up to there is in {page.as_posix()})"
        )


# Parameters ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameter:
    """One line `name: type = value  # help` of a notebook's `parameters` cell."""

    name: str
    type: str
    default: Any
    help: str
    notebook: str


def declared(notebooks: Iterable[Path]) -> dict[str, dict[str, Parameter]]:
    """The parameters of each notebook, by the notebook's stem.

    The cell is parsed as Python rather than matched line by line as papermill does, which overlooks a parameter whose
    comment holds a '=' and both of two on one line.

    Raises
    ------
    UsageError
        A notebook has no `parameters` cell or more than one, a line of it is no `name: type = literal`, a default is
        not of its type, or two notebooks disagree about a parameter.
    """
    by_notebook: dict[str, dict[str, Parameter]] = {}
    first: dict[str, Parameter] = {}
    for notebook in notebooks:
        found = by_notebook[notebook.stem] = _parameters(notebook)
        for name, parameter in found.items():
            other = first.setdefault(name, parameter)
            if (other.type, other.default) != (parameter.type, parameter.default):
                raise UsageError(
                    f"parameter {name!r} is '{other.type} = {other.default!r}' in {other.notebook} but "
                    f"'{parameter.type} = {parameter.default!r}' in {parameter.notebook}; make them the same"
                )
    return by_notebook


def _cells(notebook: Path) -> list[dict[str, Any]]:
    """The cells as they stand in the file; reading them through nbformat would take seconds to import."""
    try:
        return json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{notebook}: is no notebook of format 4: {error!r}") from None


def _parameters(notebook: Path) -> dict[str, Parameter]:
    tagged = [cell for cell in _cells(notebook) if "parameters" in cell["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise UsageError(f"{notebook}: {len(tagged)} cells carry the tag 'parameters'; exactly one must")
    try:
        source = "".join(tagged[0]["source"])  # a string, or its lines
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise UsageError(f"{notebook}: the parameters cell is no Python: {error.msg}, line {error.lineno}") from None
    lines = source.splitlines()
    found: dict[str, Parameter] = {}
    for node in statements:
        text = ast.unparse(node)
        rest = lines[(node.end_lineno or 1) - 1].encode()[node.end_col_offset :].decode().strip()
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if rest[:1] in ("", "#"):
                kind = ast.unparse(node.annotation)
                try:
                    literal = ast.literal_eval(value)
                    default = _convert(literal, kind)
                except (ValueError, TypeError):
                    literal = default = None
                if default is None or default != literal:
                    raise UsageError(
                        f"{notebook}: parameter '{text}': the default must be a literal of its type, which is one of "
                        "int, float, bool, str, list, list[...], dict"
                    )
                if name in found:
                    raise UsageError(f"{notebook}: parameter {name!r} is declared twice")
                found[name] = Parameter(name, kind, default, rest.lstrip("# "), notebook.name)
            case _:
                raise UsageError(
                    f"{notebook}: '{text}' in the parameters cell; each line there is "
                    "'name: type = value  # help', with a literal as the value"
                )
    return found


def _convert(value: Any, kind: str) -> Any:
    """The value as the annotated type, from text or from what YAML made of it; ValueError when it is none."""
    wrong = ValueError(f"takes {kind}, not {value!r}")
    item = re.fullmatch(r"list\[(.+)\]", kind)
    try:
        if isinstance(value, str) and (item or kind in ("list", "dict")):
            value = yaml.safe_load(value)
        if item and isinstance(value, list):
            return [_convert(element, item[1]) for element in value]
        if kind in ("int", "float") and isinstance(value, str):
            value = int(value) if kind == "int" else float(value)
    except (ValueError, yaml.YAMLError):
        raise wrong from None
    if kind == "bool" and isinstance(value, str):
        value = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(value.lower())
    if kind == "float" and type(value) is int:
        value = float(value)
    types = {"int": int, "float": float, "bool": bool, "str": str, "list": list, "dict": dict}
    if type(value) is not types.get(kind) or (isinstance(value, float) and not math.isfinite(value)):
        raise wrong
    return value


def given(options: argparse.Namespace, known: Mapping[str, Parameter]) -> dict[str, Any]:
    """The parameters somebody set, typed.

    What has an option of its own wins, then single values on the command line, then PARAMS, then the file.

    Raises
    ------
    UsageError
        A name no notebook knows, a value of another type, or a file that is not there.
    """
    asked: dict[str, tuple[Any, str]] = {}
    if options.params_file:
        try:
            content = yaml.safe_load(Path(options.params_file).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"{options.params_file}: not readable as YAML: {error}") from None
        if not isinstance(content, dict):
            raise UsageError(f"{options.params_file}: expected 'name: value' lines such as 'seed: 7'")
        asked |= {str(name): (value, options.params_file) for name, value in content.items()}
    try:
        words = shlex.split(options.params)
    except ValueError as error:
        raise UsageError(f"PARAMS={options.params!r}: {error}") from None
    for source, pairs in (("PARAMS", words), ("command line", options.override)):
        for pair in pairs:
            name, equals, text = pair.partition("=")
            if not equals:
                raise UsageError(f"{source}: {pair!r} is not name=value, for example seed=7")
            asked[name] = (text, source)
    for name in ("data", "schema", "profile", "target"):
        if value := getattr(options, name):
            asked[name] = (value, name.upper())

    values: dict[str, Any] = {}
    for name, (value, source) in asked.items():
        if name == "run_folder":
            raise UsageError(f"{source}: 'run_folder' follows from the run's name; set RUN instead")
        if name not in known:
            ours = sorted(known.keys() - {"run_folder"})
            close = difflib.get_close_matches(name, ours, 1)
            hint = f"did you mean {close[0]!r}?" if close else "no notebook has it"
            raise UsageError(f"{source}: unknown parameter {name!r}; {hint} (known: {', '.join(ours)})")
        try:
            values[name] = _convert(value, known[name].type)
        except ValueError as error:
            raise UsageError(f"{source}: parameter {name!r} {error}") from None
        if values[name] not in CHOICES.get(name, (values[name],)):
            raise UsageError(f"{source}: {name} is {' or '.join(CHOICES[name])}, not {value!r}")
        if name in ("data", "schema") and values[name] and not Path(values[name]).expanduser().is_file():
            raise UsageError(f"{source}={values[name]}: no such file (paths are relative to {Path.cwd()})")
    try:
        Schema.read(values.get("schema", ""))
    except DataError as error:
        raise UsageError(str(error)) from None
    return values


# Run folder ---------------------------------------------------------------------------------------------------------


@contextmanager
def _claimed(name: str) -> Iterator[Path]:
    """`runs/<name>/`, empty, and this process's alone until the block ends.

    The lock on the folder is the system's: it goes when the process does, however it ends, so that a killed run can be
    told from one at work.
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
        if any(folder.iterdir()):
            state = _state(folder)
            if state is None or state == "finished":
                what = "holds a finished run" if state else "exists and is no run"
                raise UsageError(f"RUN={name}: {folder} {what}; choose another RUN or delete it")
            for item in sorted(folder.iterdir(), key=lambda item: item.name == "state.json"):  # what it was, last
                if item.is_dir() and not item.is_symlink():
                    shutil.rmtree(item)
                else:
                    item.unlink()
        yield folder
    finally:
        os.close(lock)


def _state(folder: Path) -> str | None:
    """What `state.json` says of a run; None where there is no such file."""
    try:
        return json.loads((folder / "state.json").read_text(encoding="utf-8"))["state"]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _point_latest(folder: Path) -> None:
    """Let `runs/latest` point at the folder; a reader sees the old target or the new one, never none."""
    link = RUNS / f".latest-{secrets.token_hex(4)}"
    try:
        link.symlink_to(folder.name)
        link.replace(RUNS / "latest")
    except OSError as error:  # a folder of that name, or a file system without links: no reason to lose the run
        link.unlink(missing_ok=True)
        print(f"warning: {RUNS / 'latest'} does not point at this run: {error}", file=sys.stderr)


# Notebooks ----------------------------------------------------------------------------------------------------------


def _execute(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, Any],
    on_cell: Callable[[int, str], None],
    on_line: Callable[[str], None],
) -> None:
    """Execute a notebook with papermill in a kernel of this very interpreter, and leave no process behind.

    Parameters
    ----------
    notebook, output : Path
        What to execute, and where to keep it with its outputs; written after every cell.
    parameters : mapping
        Typed values for names that the notebook declares.
    on_cell : callable
        Told each code cell's position, from 1, and its id when it begins.
    on_line : callable
        Told what long work says of its progress, line by line.

    Raises
    ------
    NotebookError
        A cell raised, left early, or its kernel died; the partial notebook is in `output`.
    """
    import papermill
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import run_sync
    from papermill.exceptions import PapermillExecutionError

    cell, source = 0, ""

    def follow(cell_index: int, **now: Any) -> None:
        nonlocal cell, source
        cell, source = cell_index + 1, now["cell"].source
        on_cell(cell, now["cell"].id)

    with (
        tempfile.TemporaryDirectory() as private,
        (Path(private) / "output").open("w+", errors="replace") as noise,
        _followed(Path(private) / "progress", on_line) as progress,
    ):
        kernel = AsyncKernelManager(
            kernel_name="python3",
            # With no folder to look in, this is ipykernel in sys.executable, whatever kernels the user registered.
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            # Sockets in a folder of our own, where their path can be that long (a socket's holds some 100
            # characters): two runs cannot pick the same port, nor other users connect.
            transport="ipc" if len(private) < 80 else "tcp",
            connection_file=f"{private}/kernel.json",
        )
        try:
            run_sync(kernel.start_kernel)(
                extra_arguments=["--HistoryManager.hist_file=:memory:"],
                stdout=noise,
                stderr=noise,
                # Bars are for a screen, not for a page: what they would show comes as lines, and to the terminal.
                env=os.environ | {"TQDM_DISABLE": "1", "FRAUD_PROGRESS": str(progress)},
            )
            executed = papermill.execute_notebook(
                notebook,
                output,
                dict(parameters),
                kernel_name="python3",
                language="python",
                progress_bar=False,
                coalesce_streams=True,  # what a program prints line by line is one block on the page
                start_timeout=300,
                km=kernel,
                on_cell_execute=follow,
            )
        except PapermillExecutionError as error:
            raise NotebookError(notebook.stem, error.cell_index + 1, error.source, error.ename, error.evalue) from None
        except RuntimeError as error:  # how nbclient says that the kernel died, or never answered
            noise.seek(0)
            last_words = "".join(f"\n{line}" for line in noise.read().strip().splitlines()[-5:])
            message = f"the notebook's kernel died, killed perhaps for lack of memory ({error}){last_words}"
            raise NotebookError(notebook.stem, cell, source, "", message) from None
        finally:
            _stop(kernel)
    if executed.metadata.papermill.exception:  # papermill takes sys.exit(0) for success
        raise NotebookError(notebook.stem, cell, source, "", "the cell left the notebook before its end")


@contextmanager
def _followed(path: Path, on_line: Callable[[str], None]) -> Iterator[Path]:
    """Hand on the lines that others append to a file, as they come."""
    path.touch()
    done = threading.Event()

    def follow() -> None:
        with path.open(encoding="utf-8", errors="replace") as file:
            last = False
            while not last:
                last = done.wait(0.5)
                for line in file:
                    on_line(line.rstrip("\n"))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield path
    finally:
        done.set()
        thread.join()


def _stop(kernel: Any) -> None:
    """Shut the kernel down within five seconds, then kill what it started and did not stop."""
    from jupyter_core.utils import run_sync

    group = kernel.provisioner.pgid if kernel.has_kernel else None
    try:
        run_sync(kernel.shutdown_kernel)()
    finally:
        if group:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


def _mark_unfinished(output: Path, cell: int) -> None:
    """Say at the top of a partial notebook that it is one, unless papermill has done so."""
    import nbformat

    notebook = nbformat.read(output, as_version=4)
    tag = "papermill-error-cell-tag"
    if not any(tag in each.metadata.get("tags", []) for each in notebook.cells):
        text = f"**This notebook stopped in cell {cell}; the cells after it were not executed.**"
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(text, metadata={"tags": [tag]}))
        nbformat.write(notebook, output)


# Record -------------------------------------------------------------------------------------------------------------


def version() -> dict[str, Any]:
    """What figures are computed with here: project, commit, Python, and the packages that the project asks for.

    The commit is that of the working directory, "-dirty" when a tracked file differs from it; None outside a
    repository of its own, as in an unpacked archive.
    """
    from packaging.requirements import Requirement

    needed = [Requirement(line) for line in importlib.metadata.requires("fraud-detection") or []]
    names = sorted(r.name for r in needed if r.marker is None or r.marker.evaluate())
    return {
        "project": __version__,
        "git": project.commit(7, mark_changes=True),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in names},
    }


def _metrics(
    state: Mapping[str, Any],
    recorded: Mapping[str, Any],
    seconds: Mapping[str, float],
    effective: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of `metrics.json`: what the notebooks recorded, with what it was computed from."""
    missing = [section for section in SECTIONS if section not in recorded]
    if missing:
        text = f"warning: no notebook recorded {', '.join(missing)}; null in metrics.json"
        print(text, file=sys.stderr)
    sections = dict.fromkeys(SECTIONS) | dict(recorded)
    return {
        "run": state["run"],
        "created": state["created"],
        "version": version(),
        "data": sections.pop("data"),
        "parameters": dict(sorted(effective.items())),
        **sections,
        "seconds": seconds,
    }


# The run ------------------------------------------------------------------------------------------------------------


def run(
    notebooks: list[Path], name: str, values: dict[str, Any], parameters: dict[str, dict[str, Parameter]]
) -> dict[str, Any]:
    """Execute the notebooks into `runs/<name>/`, point `runs/latest` at it, and write `runs/index.html` again.

    Parameters
    ----------
    notebooks : list of Path
        In order of execution.
    name : str
        The run's.
    values : dict
        The parameters that somebody set, typed, by name.
    parameters : dict
        What each notebook declares, by its stem.

    Returns
    -------
    dict
        The content of its `metrics.json`.

    Raises
    ------
    UsageError
        The name is not valid, or taken by a finished run or by one at work.
    NotebookError
        A notebook did not reach its end.
    """
    effective = {p.name: p.default for mine in parameters.values() for p in mine.values()} | values
    effective.pop("run_folder", None)  # the run's name again, which two equal runs do not share
    values = values | {"run_folder": str(RUNS / name)}
    with _claimed(name) as folder:
        state: dict[str, Any] = {
            "state": "running",
            "run": name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "pid": os.getpid(),
        }

        def note(**changes: Any) -> None:
            state.update(changes)
            told = {key: value for key, value in state.items() if value is not None}
            results.write_json(folder / "state.json", told)

        started = time.perf_counter()
        seconds: dict[str, float] = {}
        try:
            for notebook in notebooks:
                mine = {key: value for key, value in values.items() if key in parameters[notebook.stem]}
                rows = (results.raw(folder).get("data") or {}).get("rows")
                expected = runs.cell_seconds(notebook.stem, effective, rows)
                seconds[notebook.stem] = _run_notebook(notebook, folder, mine, note, expected)
            seconds["total"] = round(time.perf_counter() - started, 2)
            metrics = _metrics(state, results.raw(folder), seconds, effective)
            pages.write_summary(folder, metrics)
            for notebook in notebooks:  # now that there is a page for each to lead to
                pages.write_notebook(folder / notebook.name)
            results.write_json(folder / "metrics.json", metrics)
            note(state="finished", notebook=None, cell=None)
            _point_latest(folder)
        except BaseException as error:
            for file in ("metrics.json", "index.html"):
                (folder / file).unlink(missing_ok=True)
            interrupted = isinstance(error, KeyboardInterrupt)
            note(
                state="interrupted" if interrupted else "failed",
                error=None if interrupted else _one_line(error),
                seconds=round(time.perf_counter() - started, 2),
            )
            raise
        finally:
            _list_runs()
    return metrics


def _list_runs() -> None:
    """Write `runs/index.html`; where that is impossible the run is what it is, and only a warning is printed."""
    try:
        runs.write_index()
    except OSError as error:
        print(f"warning: {RUNS}/index.html is not up to date: {error}; make runs writes it again", file=sys.stderr)


def _run_notebook(
    notebook: Path,
    folder: Path,
    parameters: Mapping[str, Any],
    note: Callable[..., None],
    expected: tuple[str, Mapping[str, float]],
) -> float:
    """Execute one notebook into the run's folder and write its page, the partial one's too; returns its seconds."""
    output = folder / notebook.name
    started = time.perf_counter()
    cell = 0
    note(notebook=notebook.stem, cell=cell)
    source = _cells(notebook)
    cells = len(source) + bool(parameters)  # papermill injects one
    like, took = expected
    left = _Left([each.get("id", "") for each in source], took)
    try:
        with _progress(notebook.stem, cells, left, like) as (show, say):

            def on_cell(position: int, identity: str) -> None:
                nonlocal cell
                cell = position
                note(cell=cell)
                left.begin(identity)
                show(cell)

            _execute(notebook, output, parameters, on_cell, say)
    except (NotebookError, KeyboardInterrupt) as error:
        if output.exists():
            _mark_unfinished(output, cell)
            if isinstance(error, NotebookError):  # whoever interrupts does not want to wait for a page
                pages.write_notebook(output)
        raise
    seconds = round(time.perf_counter() - started, 2)
    pages.write_notebook(output)
    return seconds


def _one_line(error: BaseException) -> str:
    name = error.name if isinstance(error, NotebookError) else type(error).__name__
    return f"{name}: {error}" if name and name != "DataError" else str(error)


class _Left:
    """What is left of a notebook, by how long each of its cells took in an earlier run that was like this one.

    Nothing is said where there was none, nor while a cell takes much longer than it should: then the earlier run is no
    guide, for example because its fits came from the cache.
    """

    def __init__(self, cells: Sequence[str], took: Mapping[str, float]) -> None:
        self.cells, self.took = list(cells), took
        self.place = 0
        self.began = self.since = 0.0  # of the first cell, of this one; the kernel's start is no guide to the rest
        self.pace = 1.0

    def begin(self, cell: str) -> None:
        """Note that a cell begins, and how fast the cells before it were compared with the earlier run."""
        self.since = time.monotonic()
        self.began = self.began or self.since
        self.place = self.cells.index(cell) if cell in self.cells else 0  # the injected cell is among the first
        settled = 5.0  # seconds before which haste or delay says little
        self.pace = (self.since - self.began + settled) / (self._sum(self.cells[: self.place]) + settled)

    def seconds(self) -> float | None:
        if not self.took:
            return None
        here = self.took.get(self.cells[self.place], 0.0) * self.pace
        spent = time.monotonic() - self.since if self.since else 0.0
        if spent > 2 * here + 5:
            return None
        return self._sum(self.cells[self.place + 1 :]) * self.pace + max(here - spent, 0.0)

    def _sum(self, cells: Sequence[str]) -> float:
        return sum(self.took.get(cell, 0.0) for cell in cells)

    def __str__(self) -> str:
        seconds = self.seconds()
        return "" if seconds is None else f"about {_rounded(seconds)} left"


def _rounded(seconds: float) -> str:
    """A duration as exact as an estimate is."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(5 * round(seconds / 5), 5)} s"


@contextmanager
def _progress(
    notebook: str, cells: int, left: _Left, like: str
) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """One live line a notebook on a terminal, plain lines elsewhere; lines of long work stand above it."""
    if not sys.stderr.isatty():
        started = time.perf_counter()
        seconds = left.seconds()
        estimate = "" if seconds is None else f"; about {_rounded(seconds)}, as in {like}"
        print(f"{notebook}: {cells} cells{estimate}", file=sys.stderr, flush=True)
        yield lambda cell: None, lambda line: print(f"  {line}", file=sys.stderr, flush=True)
        print(f"{notebook}: done in {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
        return
    columns, rows = shutil.get_terminal_size()  # not 0 by 0, as tqdm finds where a container gave no size
    look = "{desc}  cell {n}/{total} |{bar:24}| {elapsed}{postfix}"
    bar = tqdm(total=cells, desc=notebook, bar_format=look, ncols=columns, nrows=rows)
    done = threading.Event()

    def tick() -> None:  # a cell may take minutes, and the clock should not stand still
        while not done.wait(1):
            bar.set_postfix_str(str(left))

    def show(cell: int) -> None:
        bar.n = cell
        bar.set_postfix_str(str(left))

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield show, lambda line: bar.write(f"  {line}", file=sys.stderr)
        bar.n = cells
        left.took = {}
    finally:
        done.set()
        thread.join()
        bar.set_postfix_str(str(left))
        bar.close()


def _told(metrics: Mapping[str, Any]) -> str:
    """What a run took and found, for the terminal: a line a notebook, the choice, what it reaches, the endpoint."""
    lines = {stem: f"{value:.1f} s" for stem, value in metrics["seconds"].items()}
    finished = runs.Run(metrics["run"], "finished", metrics=dict(metrics))
    if metrics["data"]:
        lines["data"] = finished.data
    if metrics["chosen"]:
        value, bounds = finished.figure("test", "average_precision")
        lines["chosen"] = finished.chosen
        lines["average precision"] = f"{runs.reach(value, bounds)} on the test set"
    if endpoint := metrics["endpoint"]:
        difference = endpoint.get("max_abs_difference")
        same = "not compared" if difference is None else f"scores differ by at most {difference:.2g}"
        kept = "" if endpoint.get("deleted") else "; NOT deleted, it bills until it is"
        lines["endpoint"] = f"{endpoint.get('rows') or 0:,} transactions, {same}{kept}"
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())


def _parser(notebooks: Iterable[Path]) -> argparse.ArgumentParser:
    """The command line, explained with what the notebooks say of their parameters."""
    try:
        known = {p.name: p for mine in reversed(declared(notebooks).values()) for p in mine.values()}
        lines = [f"  {p.name}: {p.type} = {p.default!r}  {p.help}" for p in known.values() if p.name != "run_folder"]
    except UsageError as error:
        lines = [f"  {error}"]
    parser = argparse.ArgumentParser(
        prog="python -m fraud_utils.report",
        description="Execute the notebooks, in order, into runs/RUN/. An option that is not given is taken from the "
        "environment variable of its name in capitals, which is how make passes it.",
        epilog="\n".join(["parameters of the notebooks:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, text in (
        ("data", "table of transactions: .csv, .csv.gz, .csv.zip or .parquet"),
        ("schema", "YAML file that says what the table's columns mean"),
        ("run", "name of the run; the date and time when it is not given"),
        ("profile", "full, or quick for laptops and CI"),
        ("target", "local, or aws"),
        ("params", 'parameters of the notebooks, as "seed=7 review_cost=3"'),
    ):
        default = os.environ.get(option.upper(), "")
        parser.add_argument(f"--{option}", default=default, metavar=option.upper(), help=text)
    parser.add_argument("--params-file", default="", metavar="YAML", help="the same, as 'name: value' lines")
    parser.add_argument("override", nargs="*", metavar="name=value", help="the same, one by one")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit status: 0, 1 a notebook failed, 2 asked wrongly, 128 + n ended by signal n."""
    os.chdir(project.root())  # so that what a run writes about itself names no path of this machine
    for name in ("papermill", "traitlets", "asyncio"):  # their errors reach us as exceptions, and are told once
        logging.getLogger(name).setLevel(logging.CRITICAL)
    notebooks = sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb"))
    options = _parser(notebooks).parse_args(arguments)
    name = options.run or f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    try:
        if not notebooks:
            raise UsageError(f"no notebooks/NN_*.ipynb in {Path.cwd()}; run this inside the project")
        parameters = declared(notebooks)
        values = given(options, {name: p for mine in parameters.values() for name, p in mine.items()})
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup's and a background job's choice stays
                signal.signal(number, _on_signal)
        metrics = run(notebooks, name, values, parameters)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(f"interrupted by {signal.Signals(stop.number).name}; runs/latest is as it was", file=sys.stderr)
        return 128 + stop.number
    except NotebookError as error:
        print(error.explanation(RUNS / name / f"{error.notebook}.html"), file=sys.stderr)
        return 1
    print(_told(metrics))
    tracking.send(RUNS / name, metrics)
    print(f"make open RUN={name} opens this page:\n{(RUNS / name / 'index.html').as_posix()}")
    return 0


def _on_signal(number: int, frame: object) -> None:
    """End the run in order; further signals are ignored, so that an impatient second Ctrl-C does not spoil that."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)
