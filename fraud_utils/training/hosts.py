"""The hosts of a job: which part of the rows is whose, and what has to be known of all rows on each of them.

XGBoost's own engine does the work: a tracker on the first host, and a communicator on each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from xgboost import collective
from xgboost.tracker import RabitTracker

from fraud_utils.training.hyperparameters import SetupError
from fraud_utils.training.meeting import Meeting

# XGBoost's own limits: to find each other, once all hosts are there; and to wait for each other, which may take as long
# as the longest shard takes to be read. That a host is gone is noticed by `Meeting`.
FINDING_SECONDS, WAITING_SECONDS = 60, 86_400


@dataclass(frozen=True)
class Hosts:
    """The hosts of a job, seen from one of them.

    What asks the others is a collective operation: every host has to call it, in the same order.
    """

    names: tuple[str, ...] = ("algo-1",)
    place: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.names)

    @property
    def first(self) -> bool:
        """Whether this is the one that logs, and writes checkpoints and the model."""
        return self.place == 0

    def say(self, line: str) -> None:
        """Log what holds for all hosts, once."""
        if self.first:
            print(line, flush=True)

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        """An array of each host; they may differ in length, not in type."""
        if self.count == 1:
            return [values]
        own = np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)
        sizes = np.zeros(self.count, dtype=np.int64)
        sizes[self.place] = len(own)
        ends = np.cumsum([0, *collective.allreduce(sizes, collective.Op.SUM)])
        everything = np.zeros(ends[-1], dtype=np.uint8)  # a sum with zeros: exact, and nothing has to be unpickled
        everything[ends[self.place] : ends[self.place + 1]] = own
        if len(everything):
            everything = collective.allreduce(everything, collective.Op.SUM)
        return [np.frombuffer(everything[start:end].tobytes(), dtype=values.dtype) for start, end in pairwise(ends)]

    def whole(self, values: np.ndarray) -> np.ndarray:
        """The values of all hosts, one host after another."""
        return values if self.count == 1 else np.concatenate(self.gather(values))

    def tell(self, value: Any) -> list[Any]:
        """Plain values, as JSON holds them, of each host."""
        text = np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)
        return [json.loads(each.tobytes()) for each in self.gather(text)] if self.count > 1 else [value]

    def any(self, flag: bool) -> bool:
        """Whether it is true on some host."""
        return flag if self.count == 1 else bool(self.whole(np.array([flag])).any())

    def column(self, values: pd.Series) -> np.ndarray:
        """A column of all hosts' rows; texts are objects, missing ones NaN."""
        if self.count == 1 or not isinstance(values.dtype, pd.CategoricalDtype):
            return self.whole(values.to_numpy())
        own = values.cat.categories.tolist()
        known = sorted(set(chain.from_iterable(self.tell(own))))
        place = {value: code for code, value in enumerate(known)}
        codes = np.array([*(place[value] for value in own), len(known)], dtype=np.int32)[values.cat.codes]
        return np.array([*known, np.nan], dtype=object)[self.whole(codes)]

    def share(self, rows: int) -> slice:
        """This host's range of rows that all hosts have."""
        return slice(rows * self.place // self.count, rows * (self.place + 1) // self.count)


ALONE = Hosts()


@dataclass(frozen=True)
class Columns(Mapping[str, np.ndarray]):
    """The columns of all hosts' rows, each gathered when it is asked for, so that one at a time is held."""

    frame: pd.DataFrame
    hosts: Hosts

    def __getitem__(self, name: str) -> np.ndarray:
        return self.hosts.column(self.frame[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.frame)

    def __len__(self) -> int:
        return self.frame.shape[1]


def read_hosts(file: Path) -> Hosts:
    """The hosts that resourceconfig.json names; one without the file, or where it names none."""
    config = json.loads(file.read_bytes()) if file.exists() else {}
    names = tuple(sorted(config.get("hosts", [])))
    if len(names) < 2:
        return Hosts(names) if names else ALONE
    current = config.get("current_host")
    if current not in names or len(set(names)) < len(names):
        raise SetupError(
            f"{file.name}: 'hosts' are {', '.join(names)}, and 'current_host' is {current!r}; it must be one of them, "
            "and each must have a name of its own"
        )
    return Hosts(names, names.index(current))


@contextmanager
def joined(hosts: Hosts, stop: Callable[[], bool], lost: Callable[[str], None]) -> Iterator[None]:
    """Wait until all hosts are there, and let them ask each other; they end together.

    Parameters
    ----------
    stop : callable
        True once the job has been asked to stop, which it may be while it waits.
    lost : callable
        As `Meeting`'s.

    Raises
    ------
    Stopped
        `stop` was true before all hosts had met.
    """
    if hosts.count == 1:
        yield
        return
    meeting, trackers = Meeting(hosts.names, hosts.names[hosts.place], lost), []

    def invite(address: str) -> Mapping[str, Any]:
        trackers.append(RabitTracker(hosts.count, address, sortby="task", timeout=FINDING_SECONDS))
        trackers[0].start()
        return trackers[0].worker_args()

    try:
        arguments = meeting.gather(stop, invite)
        # Ranks are in order of the task's id, so that each host's is its place.
        collective.init(**arguments, dmlc_task_id=f"{hosts.place:04}", dmlc_timeout=WAITING_SECONDS)
        yield
        hosts.any(False)  # nobody goes before the first host has saved
        collective.finalize()
    except BaseException as error:
        if isinstance(error, xgboost.core.XGBoostError):
            meeting.hear()
        meeting.fail(str(error) or type(error).__name__)
        raise
    meeting.part()
    for tracker in trackers:
        tracker.wait_for(FINDING_SECONDS)
