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


class Work:
    """How far a notebook is: by the relative costs of its fits where it announces them, else by its cells.

    Attributes
    ----------
    cells : int
    cell : int
        At work, from 1.
    """

    def __init__(self, cells: int, earlier: Estimate) -> None:
        self.cells, self.cell, self._earlier = cells, 0, earlier
        self._of = self._done = 0.0
        self._started = self._announced = time.perf_counter()

    def take(self, line: str) -> str:
        """Count what a line of `evaluation.fits` says; returns its text."""
        text, _, number = line.partition("\t")
        cost = float(number or 0)
        if not text:
            self._of, self._announced = cost, time.perf_counter()
        elif cost < 0:  # found: nobody waits for it
            self._of += cost
        else:
            self._done += cost
        return text

    @property
    def share(self) -> float | None:
        """Of all fits; None where none were announced. Below 1 until the notebook ends, for what comes after them."""
        return min(self._done / max(self._of, self._done), 0.99) if self._done else None

    def left(self) -> str:
        """The time that is left, in words; "" where nothing is known."""
        if self.cell >= self.cells:
            return ""
        if 0.05 * self._of < self._done < self._of:  # the first fits start slowly
            pace = (time.perf_counter() - self._announced) / self._done
            return Estimate(seconds=max(pace * (self._of - self._done), 5)).left()
        return self._earlier.left(time.perf_counter() - self._started)


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
        Takes a line of long work: on a terminal it replaces the last one at the live line's end.
    """
    work, started = Work(cells, earlier), time.perf_counter()
    if not sys.stderr.isatty():
        similar = f"; {earlier.left()}, as in {earlier.run}" if earlier.run else ""
        print(f"{notebook}: {cells} cells{similar}", file=sys.stderr, flush=True)

        def plain(line: str) -> None:
            if text := work.take(line):
                print(f"  {text}", file=sys.stderr, flush=True)

        yield lambda cell: None, plain
        print(f"{notebook}: done in {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
        return
    columns, rows = shutil.get_terminal_size()  # not 0 by 0, as tqdm finds where a container gave no size
    bar = tqdm(total=1, desc=notebook, bar_format="{desc}", ncols=columns, nrows=rows)
    done, last = threading.Event(), ""

    def refresh() -> None:
        share, left = work.share, work.left()
        far = f"cell {work.cell}/{cells}" if share is None or work.cell == cells else f"fits {share:.0%}"
        bar.n = work.cell / cells if share is None or work.cell == cells else share
        bar.bar_format = f"{{desc}}  {far} |{{bar:12}}| {{elapsed}}{{postfix}}"
        bar.set_postfix_str(", ".join(filter(None, (f"{left} left" if left else "", last))))

    def begin(cell: int) -> None:
        work.cell = cell
        refresh()

    def say(line: str) -> None:
        nonlocal last
        last = work.take(line) or last
        refresh()

    def tick() -> None:  # a cell may take minutes, and the clock should not stand still
        while not done.wait(1):
            refresh()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield begin, say
        last = ""
        begin(cells)
    finally:
        done.set()
        thread.join()
        bar.close()
