"""What the terminal shows while a notebook runs: which cell it is at, and how long the rest will take."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from fraud_utils import record, words
from fraud_utils.report import runs


@dataclass(frozen=True)
class Estimate:
    """How many seconds a notebook took in an earlier, similar run; that run's name is "" where there was none."""

    run: str = ""
    seconds: float = 0.0

    def left(self, spent: float = 0.0) -> str:
        """What is left in words; "" when nothing is known, or the notebook takes longer than it did then."""
        seconds = self.seconds - spent
        return f"about {words.duration(max(5 * round(seconds / 5), 5))}" if seconds > 0 else ""


def estimate(notebook: str, parameters: Mapping[str, Any], rows: int | None) -> Estimate:
    """An estimate from the newest finished run of this machine that is similar to this one.

    Parameters
    ----------
    notebook : str
        Its stem.
    parameters : mapping
        Of this run. Similar are runs with the same profile and target, and with as many rows.
    rows : int, optional
        Where they are not known yet, the same table and schema make runs similar.
    """
    same = ["profile", "target"] + ["data", "schema"] * (rows is None)
    for run in runs.listed():
        if not run.record or not (run.folder / record.STATE_FILE).exists():  # the example comes from elsewhere
            continue
        alike = all(run.record.parameters.get(name) == parameters.get(name) for name in same)
        if alike and (rows is None or (run.data and run.data.rows == rows)) and notebook in run.record.seconds:
            return Estimate(run.name, run.record.seconds[notebook])
    return Estimate()


@contextmanager
def shown(
    notebook: str, cells: int, earlier: Estimate
) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """One live line a notebook on a terminal, plain lines elsewhere.

    Yields
    ------
    begin : callable
        Takes a cell's position when it begins.
    say : callable
        Takes a line of long work, which is shown above the live one.
    """
    started = time.perf_counter()
    if not sys.stderr.isatty():
        similar = f"; {earlier.left()}, as in {earlier.run}" if earlier.run else ""
        print(f"{notebook}: {cells} cells{similar}", file=sys.stderr, flush=True)
        yield lambda cell: None, lambda line: print(f"  {line}", file=sys.stderr, flush=True)
        print(f"{notebook}: done in {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
        return
    columns, rows = shutil.get_terminal_size()  # not 0 by 0, as tqdm finds where a container gave no size
    look = "{desc}  cell {n}/{total} |{bar:24}| {elapsed}{postfix}"
    bar = tqdm(total=cells, desc=notebook, bar_format=look, ncols=columns, nrows=rows)
    done = threading.Event()

    def refresh(cell: int) -> None:
        left = earlier.left(time.perf_counter() - started) if cell < cells else ""
        bar.n = cell
        bar.set_postfix_str(f"{left} left" if left else "")

    def tick() -> None:  # a cell may take minutes, and the clock should not stand still
        while not done.wait(1):
            refresh(bar.n)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield refresh, lambda line: bar.write(f"  {line}", file=sys.stderr)
        bar.n = cells
    finally:
        done.set()
        thread.join()
        refresh(bar.n)
        bar.close()
