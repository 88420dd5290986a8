"""One notebook executed with papermill, in a kernel of this very interpreter."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fraud_utils.report.errors import NotebookError

PAUSE = 2  # seconds between two copies of a running notebook on disk; one takes some hundredths


def execute(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, Any],
    on_cell: Callable[[int], None],
    on_line: Callable[[str], None],
) -> None:
    """Execute a notebook and leave no process behind.

    Parameters
    ----------
    notebook, output : Path
        What to execute, and where to keep it with its outputs; written every `PAUSE` seconds and at the end, however
        that comes.
    parameters : mapping
        Typed values for names that the notebook declares.
    on_cell : callable
        Gets each code cell's position, from 1, when it begins.
    on_line : callable
        Gets what long work reports of its progress, line by line.

    Raises
    ------
    NotebookError
        A cell raised, left early, or its kernel died; the partial notebook is in `output`.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    cell, source = 0, ""

    def follow(cell_index: int, **now: Any) -> None:
        nonlocal cell, source
        cell, source = cell_index + 1, now["cell"].source
        on_cell(cell)

    with (
        tempfile.TemporaryDirectory() as private,
        (Path(private) / "output").open("w+", errors="replace") as noise,
        _followed(Path(private) / "progress", on_line) as progress,
        _kernel(private, noise, progress) as kernel,
    ):
        try:
            executed = papermill.execute_notebook(
                notebook,
                output,
                dict(parameters),
                engine_name=_engine(),
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
    if executed.metadata.papermill.exception:  # papermill takes sys.exit(0) for success
        raise NotebookError(notebook.stem, cell, source, "", "the cell left the notebook before its end")


def _engine() -> str:
    """The name of papermill's engine, told not to write the whole notebook before and after every cell."""
    from papermill.engines import NBClientEngine, papermill_engines

    class SeldomWritten(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, *given: Any, **named: Any) -> None:
            save, due = nb_man.save, 0.0

            def save_if_due(**now: Any) -> None:
                nonlocal due
                if time.monotonic() >= due:
                    save(**now)
                    due = time.monotonic() + PAUSE

            nb_man.save = save_if_due
            try:
                super().execute_managed_notebook(nb_man, *given, **named)
            finally:
                nb_man.save = save  # papermill calls it once more when all has ended

    papermill_engines.register("seldom written", SeldomWritten)
    return "seldom written"


@contextmanager
def _kernel(private: str, noise: Any, progress: Path) -> Iterator[Any]:
    """A running kernel; at the end it is shut down within five seconds, and what it started is killed."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import run_sync

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
        yield kernel
    finally:
        group = getattr(kernel.provisioner, "pgid", None)
        try:
            run_sync(kernel.shutdown_kernel)()
        finally:
            if group:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)


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


def mark_unfinished(output: Path, cell: int) -> None:
    """Say at the top of a partial notebook that it is one, unless papermill has done so."""
    import nbformat

    notebook = nbformat.read(output, as_version=4)
    tag = "papermill-error-cell-tag"
    if not any(tag in each.metadata.get("tags", []) for each in notebook.cells):
        text = f"**This notebook stopped in cell {cell}; the cells after it were not executed.**"
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(text, metadata={"tags": [tag]}))
        nbformat.write(notebook, output)
