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
import logging
import math
import os
import platform
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import yaml
from tqdm import tqdm

from . import __version__, results
from .data import DataError, Schema, project_root

RUNS = Path("runs")
TEMPLATES = Path(__file__).parent / "templates"
SECTIONS = ("data", "split", "models", "tie_set", "chosen", "endpoint")  # what notebooks record, in metrics.json
CHOICES = {"profile": ("full", "quick"), "target": ("local", "aws")}


class UsageError(Exception):
    """A run that was asked for wrongly; nothing has been executed or written."""


class Stopped(KeyboardInterrupt):
    """A signal ended the run. A KeyboardInterrupt, because asyncio lets nothing else through its event loop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class NotebookFailed(Exception):
    """A cell that raised, or took its kernel with it.

    Attributes
    ----------
    cell : int
        Position in the executed notebook, from 1.
    source : str
        The cell's code.
    name, message : str
        Of the exception.
    """

    def __init__(self, cell: int, source: str, name: str, message: str) -> None:
        super().__init__(message)
        self.cell, self.source, self.name, self.message = cell, source, name, message


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


def _parameters(notebook: Path) -> dict[str, Parameter]:
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise UsageError(f"{notebook}: {len(tagged)} cells carry the tag 'parameters'; exactly one must")
    try:
        statements = ast.parse(tagged[0]).body
    except SyntaxError as error:
        raise UsageError(f"{notebook}: the parameters cell is no Python: {error.msg}, line {error.lineno}") from None
    lines = tagged[0].splitlines()
    found: dict[str, Parameter] = {}
    for node in statements:
        text = ast.unparse(node)
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                kind = ast.unparse(node.annotation)
                try:
                    default = _convert(ast.literal_eval(value), kind)
                except ValueError:
                    raise UsageError(
                        f"{notebook}: parameter '{text}': the default must be a literal of a type among "
                        "int, float, bool, str, list, list[...], dict"
                    ) from None
                if name in found:
                    raise UsageError(f"{notebook}: parameter {name!r} is declared twice")
                comment = lines[(node.end_lineno or 1) - 1].encode()[node.end_col_offset :].decode()
                found[name] = Parameter(name, kind, default, comment.lstrip(" #"), notebook.name)
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
    if type(value) is not types.get(kind) or (kind == "float" and not math.isfinite(value)):
        raise wrong
    return value


def given(options: argparse.Namespace, known: Mapping[str, Parameter]) -> dict[str, Any]:
    """The parameters somebody set, typed; the command line wins over PARAMS, and PARAMS over the file.

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
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise UsageError(f"{source}: unknown parameter {name!r}; {hint}(known: {', '.join(sorted(known))})")
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
            for item in folder.iterdir():
                if item.is_dir() and not item.is_symlink():
                    shutil.rmtree(item)
                else:
                    item.unlink()
        yield folder
    finally:
        os.close(lock)


def _state(folder: Path) -> str | None:
    try:
        return yaml.safe_load((folder / "state.json").read_text(encoding="utf-8"))["state"]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return None


def _point_latest(folder: Path) -> None:
    """Let `runs/latest` point at the folder; a reader sees the old target or the new one, never none."""
    link = RUNS / f".latest-{secrets.token_hex(4)}"
    link.symlink_to(folder.name)
    try:
        link.replace(RUNS / "latest")
    except OSError:
        link.unlink()
        raise


# Notebooks ----------------------------------------------------------------------------------------------------------


def _execute(notebook: Path, output: Path, parameters: Mapping[str, Any], on_cell: Callable[..., None]) -> None:
    """Execute a notebook with papermill in a kernel of this very interpreter, and leave no process behind.

    Raises
    ------
    NotebookFailed
        A cell raised, left early, or its kernel died; the partial notebook is in `output`.
    """
    import papermill
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import run_sync
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    current = [0, ""]

    def follow(cell: Any, cell_index: int) -> None:
        current[:] = [cell_index + 1, cell.source]
        on_cell(cell_index + 1)

    # With no folder to look in, "python3" is ipykernel in sys.executable, whatever kernels the user has registered.
    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    with tempfile.TemporaryFile("w+", errors="replace") as noise:
        try:
            run_sync(kernel.start_kernel)(
                extra_arguments=["--HistoryManager.hist_file=:memory:"],
                stdout=noise,
                stderr=noise,
                env=os.environ | {"TQDM_DISABLE": "1"},
            )
            executed = papermill.execute_notebook(
                notebook,
                output,
                dict(parameters),
                kernel_name="python3",
                language="python",
                progress_bar=False,
                start_timeout=300,
                km=kernel,
                on_cell_execute=follow,
            )
        except PapermillExecutionError as error:
            raise NotebookFailed(error.cell_index + 1, error.source, error.ename, error.evalue) from None
        except DeadKernelError:
            noise.seek(0)
            last = noise.read().strip().splitlines()[-3:]
            why = "; ".join(["the kernel died (killed for lack of memory?)", *last])
            raise NotebookFailed(*current, "DeadKernelError", why) from None  # type: ignore[arg-type]
        finally:
            _stop(kernel)
    if executed.metadata.papermill.exception:  # papermill takes sys.exit(0) for success
        raise NotebookFailed(*current, "SystemExit", "the cell left the notebook before its end")  # type: ignore[arg-type]


def _stop(kernel: Any) -> None:
    """Shut the kernel down, then kill what it started and did not stop."""
    from jupyter_core.utils import run_sync

    group = kernel.provisioner.pgid if kernel.has_kernel else None
    run_sync(kernel.shutdown_kernel)()
    if group:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _write_page(executed: Path, run: str) -> None:
    """Write an executed notebook as one HTML file beside it, which fetches nothing."""
    from nbconvert import HTMLExporter

    notebook = nbformat.read(executed, as_version=4)
    headings = (re.search(r"^# +(.+)", c.source, re.M) for c in notebook.cells if c.cell_type == "markdown")
    title = next((heading[1] for heading in headings if heading), executed.stem)
    exporter = HTMLExporter(template_name="notebook", extra_template_basedirs=[str(TEMPLATES)])
    html, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": f"{title} · {run}"}})
    executed.with_suffix(".html").write_text(html, encoding="utf-8")


# Summary ------------------------------------------------------------------------------------------------------------


def _version() -> dict[str, Any]:
    """What the figures were computed with: project, commit, Python and the packages that the project asks for."""
    from packaging.requirements import Requirement

    git = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        capture_output=True,
        text=True,
        env=os.environ | {"GIT_CEILING_DIRECTORIES": str(Path.cwd().parent)},
    )
    needed = [Requirement(line) for line in importlib.metadata.requires("fraud-detection") or []]
    names = sorted(r.name for r in needed if r.marker is None or r.marker.evaluate())
    return {
        "project": __version__,
        "git": git.stdout.strip() or None,
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in names},
    }


def _write_summary(folder: Path, metrics: Mapping[str, Any]) -> None:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    figures = sorted(p.relative_to(folder).as_posix() for p in folder.glob("figures/*.png"))
    pages = sorted(p.name for p in folder.glob("[0-9][0-9]_*.html"))
    html = environment.get_template("summary.html.j2").render(metrics, figures=figures, pages=pages)
    (folder / "index.html").write_text(html, encoding="utf-8")


# The run ------------------------------------------------------------------------------------------------------------


def run(notebooks: list[Path], name: str, values: Mapping[str, Any], parameters: Mapping[str, Any]) -> Path:
    """Execute the notebooks into `runs/<name>/` and point `runs/latest` at it.

    Parameters
    ----------
    notebooks : list of Path
        In order of execution.
    name : str
        The run's.
    values : mapping
        Parameters that differ from the notebooks' defaults, typed.
    parameters : mapping
        As `declared` returns.

    Returns
    -------
    Path
        The run's folder.
    """
    with _claimed(name) as folder:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        state: dict[str, Any] = {"state": "running", "run": name, "created": created, "pid": os.getpid()}
        results.write_json(folder / "state.json", state)
        try:
            seconds: dict[str, float] = {}
            for notebook in notebooks:
                started = time.perf_counter()
                state |= {"notebook": notebook.stem, "cell": None}
                output = folder / notebook.name
                mine = parameters[notebook.stem]
                passed = {key: value for key, value in (values | {"run_folder": str(folder)}).items() if key in mine}
                cells = len(nbformat.read(notebook, as_version=4).cells) + bool(passed)
                try:
                    with _progress(notebook.stem, cells) as show:

                        def on_cell(cell: int, show: Callable[[int], None] = show) -> None:
                            state["cell"] = cell
                            results.write_json(folder / "state.json", state)
                            show(cell)

                        _execute(notebook, output, passed, on_cell)
                finally:
                    if output.exists():
                        _write_page(output, name)
                seconds[notebook.stem] = round(time.perf_counter() - started, 2)
            seconds["total"] = round(sum(seconds.values()), 2)

            recorded = results.read(folder)
            for section in SECTIONS:
                if section not in recorded:
                    print(f"warning: no notebook recorded '{section}'; it is null in metrics.json", file=sys.stderr)
            effective = {p.name: p.default for mine in parameters.values() for p in mine.values()} | values
            effective.pop("run_folder", None)
            metrics = {
                "run": name,
                "created": created,
                "version": _version(),
                "data": recorded.pop("data", None),
                "parameters": dict(sorted(effective.items())),
                **{section: recorded.pop(section, None) for section in SECTIONS[1:]},
                **recorded,
                "seconds": seconds,
            }
            _write_summary(folder, metrics)
            results.write_json(folder / "state.json", state | {"state": "finished", "notebook": None, "cell": None})
            results.write_json(folder / "metrics.json", metrics)
            _point_latest(folder)
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            reason = {"state": "interrupted" if stopped else "failed"}
            if not stopped:
                reason["error"] = f"{getattr(error, 'name', type(error).__name__)}: {error}"
            results.write_json(folder / "state.json", state | reason)
            raise
    return folder


@contextmanager
def _progress(notebook: str, cells: int) -> Iterator[Callable[[int], None]]:
    """One live line a notebook on a terminal, plain lines elsewhere."""
    live = sys.stderr.isatty()
    if not live:
        print(f"{notebook}: {cells} cells", file=sys.stderr, flush=True)
    bar = tqdm(total=cells, desc=notebook, unit="cell", disable=not live, dynamic_ncols=True)
    done = threading.Event()

    def tick() -> None:  # a cell may take minutes, and the clock should not stand still
        while not done.wait(1):
            bar.refresh()

    def show(cell: int) -> None:
        bar.n = cell - 1
        bar.refresh()

    if live:
        threading.Thread(target=tick, daemon=True).start()
    try:
        yield show
        bar.n = cells
    finally:
        done.set()
        bar.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    os.chdir(project_root())  # what a run writes about itself names no path of this machine
    for name in ("papermill", "traitlets"):
        logging.getLogger(name).setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(
        prog="python -m fraud_utils.report",
        description="Execute the notebooks, in order, into runs/RUN/. Each option's default is the environment "
        "variable of its name in capitals, which is how make passes it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options_help = {
        "data": "table of transactions, .csv, .csv.gz, .csv.zip or .parquet",
        "schema": "YAML file that says what the table's columns mean",
        "run": "name of the run",
        "profile": "full or quick",
        "target": "local or aws",
        "params": 'parameters of the notebooks, "seed=7 review_cost=3"',
    }
    for option, text in options_help.items():
        default = os.environ.get(option.upper(), "")
        parser.add_argument(f"--{option}", default=default, metavar=option.upper(), help=text)
    parser.add_argument("--params-file", default="", metavar="YAML", help="parameters as 'name: value' lines")
    parser.add_argument("override", nargs="*", metavar="name=value", help="further parameters")
    options = parser.parse_args(arguments)

    try:
        notebooks = sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb"))
        if not notebooks:
            raise UsageError(f"no notebooks/NN_*.ipynb under {Path.cwd()}; run this inside the project")
        parameters = declared(notebooks)
        known = {name: p for mine in parameters.values() for name, p in mine.items()}
        values = given(options, known)
        name = options.run or f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _on_signal)
        folder = run(notebooks, name, values, parameters)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(f"interrupted by {signal.Signals(stop.number).name}", file=sys.stderr)
        return 128 + stop.number
    except NotebookFailed as error:
        print(f"error: {error.name}: {error.message}\n{textwrap.indent(error.source, '    ')}", file=sys.stderr)
        return 1
    print(folder / "index.html")
    return 0


def _on_signal(number: int, frame: object) -> None:
    """End the run in order; further signals wait, so that an impatient second Ctrl-C does not spoil that."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)


if __name__ == "__main__":
    sys.exit(main())
