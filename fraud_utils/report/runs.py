"""The folders in `runs/`, read: what each says of its run.

A run is whatever folder holds a `metrics.json` or a `state.json`. What cannot be read of it becomes its problem, and
keeps no other run from being listed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fraud_utils import record, words
from fraud_utils.record import Data, RunRecord, State

RUNS = Path("runs")


@dataclass(frozen=True)
class Run:
    """What one folder says of itself.

    Attributes
    ----------
    name : str
        The folder's.
    state : {"finished", "running", "failed", "interrupted", "killed", "damaged"}
        Killed: it says that it is running, and no process holds it. Damaged: its files cannot be read.
    problem : str
        Of a run that is not finished: where it is, or what went wrong.
    begun : float
        When, in seconds since 1970; of a damaged run, when its folder last changed.
    record : RunRecord, optional
        Of a finished run.
    data : Data, optional
        What it was computed from, as far as that was recorded.
    parameters : mapping
        Of the notebooks, by name; {} where the folder does not say.
    seconds : float, optional
    page : str
        The file to read, in its folder; "" where there is none.
    left : tuple of str
        What a run that is not finished left to read: of each notebook its page, else the notebook itself.
    """

    name: str
    state: str
    problem: str = ""
    begun: float = 0.0
    record: RunRecord | None = None
    data: Data | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    page: str = ""
    left: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return RUNS / self.name

    @property
    def created(self) -> str:
        """When it began, "2026-01-02 03:04 UTC"."""
        return f"{datetime.fromtimestamp(self.begun, UTC):%Y-%m-%d %H:%M} UTC"

    @property
    def shown(self) -> str:
        """The name, whatever bytes a folder's may hold."""
        return os.fsencode(self.name).decode("utf-8", "replace")

    @property
    def link(self) -> str:
        """From `runs/` to its page, "" where there is none."""
        return self.link_to(self.page) if self.page else ""

    def link_to(self, file: str) -> str:
        """From `runs/` to a file of the run; quoted, so that no name is taken for an address of another kind."""
        return f"{quote(os.fsencode(self.name), safe='')}/{quote(file, safe='')}"

    @property
    def chosen(self) -> str:
        return self.record.chosen.name if self.record and self.record.chosen else words.UNKNOWN

    def figure(self, part: str, name: str) -> tuple[float | None, tuple[float, float] | None]:
        """A metric of the chosen candidate, `oof` or `test`, and its interval; None where it was not recorded."""
        served = self.record.served if self.record else None
        return getattr(served, part).figure(name) if served else (None, None)


def data_name(data: Data | None) -> str:
    """What to call a table, so that nobody takes simulated transactions for real ones."""
    if not data:
        return words.UNKNOWN
    return f"SIMULATED: {data.name}" if data.simulated and "SIMULATED" not in data.name else data.name


def listed() -> list[Run]:
    """All runs, newest first."""
    folders = sorted(RUNS.iterdir()) if RUNS.is_dir() else []
    runs = [read(folder) for folder in folders if folder.name != "latest" and not folder.name.startswith(".")]
    return sorted((run for run in runs if run), key=lambda run: run.begun, reverse=True)


def read(folder: Path) -> Run | None:
    """What a folder says of itself; None when it holds no run. A fault in its files becomes part of the answer."""
    try:
        if (folder / record.FILE).exists():
            return _finished(folder, record.load(folder))
        state = record.state(folder)
        return _unfinished(folder, state) if state else None
    except OSError:
        return None  # a file, or a folder that may not be looked into
    except (ValueError, OverflowError) as error:
        return Run(folder.name, "damaged", short(error), folder.stat().st_mtime)


def _finished(folder: Path, finished: RunRecord) -> Run:
    return Run(
        folder.name,
        "finished",
        begun=_moment(finished.created),
        record=finished,
        data=finished.data,
        parameters=finished.parameters,
        seconds=finished.seconds.get("total"),
        page="index.html" if (folder / "index.html").exists() else "",
    )


def _unfinished(folder: Path, state: State) -> Run:
    if state.state == "finished":
        raise record.RecordError(f"{record.FILE} is missing, though the run was finished")
    place = f"in {state.notebook}, cell {state.cell or 0}" if state.notebook else ""
    left = {file.stem: file.name for kind in ("ipynb", "html") for file in sorted(folder.glob(f"[0-9][0-9]_*.{kind}"))}
    return Run(
        folder.name,
        "killed" if state.state == "running" and not _held(folder) else state.state,
        ": ".join(filter(None, [place, " ".join((state.error or "").split())])),
        _moment(state.created),
        data=record.read(folder).data,
        parameters=state.parameters,
        seconds=state.seconds,
        page=left.get(state.notebook or "", ""),
        left=tuple(left.values()),
    )


def _held(folder: Path) -> bool:
    """Whether a process holds the lock that a run takes on its folder."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # held; or a file system that cannot say, where the run's own word has to do
        return True
    finally:
        os.close(lock)
    return False


def _moment(created: datetime) -> float:
    moment = created.timestamp()
    datetime.fromtimestamp(moment, UTC)  # can be shown, too
    return moment


def short(text: object, length: int = 200) -> str:
    """One line, cut where it is too long."""
    line = " ".join(str(text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"
