"""What an entity did before a transaction, as columns. NumPy only: a table's rows and a served row share this code.

A window of d days before a transaction at t holds its entity's events in (t - d, t), and the transaction itself: peers
of the same second do not count each other, so that the order of rows within a second is of no matter. Fraud rates
are of labels that are known at t, of events in (t - delay - d, t - delay], as the Fraud Detection Handbook's terminal
risk is (Le Borgne et al., 2022, chapter 3); the transaction itself is never among them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import numpy as np

OF = ("count", "mean", "ratio", "since_last", "fraud_rate")
OF_AMOUNTS = ("mean", "ratio")
EVENTS = "history"  # what a row of JSON calls the events that are sent along
DAY = 86_400.0
_BLOCK = 1 << 17  # rows whose positions are held at once


class Events(NamedTuple):
    """Transactions in order of time; arrays of one shape.

    Attributes
    ----------
    entity : ndarray of int
        Equal numbers for one entity's; below 0, not known.
    time : ndarray of float
        In seconds since any origin.
    cents : ndarray of int64
        The amounts; see `cents`.
    fraud : ndarray of int or bool
        1 for what is fraud, or is known to be.
    """

    entity: np.ndarray
    time: np.ndarray
    cents: np.ndarray
    fraud: np.ndarray


def cents(amount: Any) -> np.ndarray:
    """Amounts as whole hundredths (int64), whose sums no order of summation rounds."""
    return np.rint(np.asarray(amount, dtype=np.float64) * 100).astype(np.int64)


@dataclass(frozen=True)
class History:
    """Columns on what an entity did before.

    Attributes
    ----------
    by : str
        The entity's column, such as the card.
    days : tuple of float
        The windows' lengths.
    of : tuple of str
        Some of `OF`: the transactions in a window, the mean of their amounts, the amount over that mean (1 where both
        are 0), the seconds since the last one (at most the longest window), and the share of frauds among those whose
        label is known (0 where there are none).
    """

    by: str
    days: tuple[float, ...]
    of: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.of:
            if name not in OF:
                close = get_close_matches(str(name), OF, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(OF)}"
                raise ValueError(f"history by {self.by!r}: nothing is known of {name!r}; {hint}")
        if not self.of or not self.days:
            raise ValueError(f"history by {self.by!r} needs days, such as [1, 7, 30], and 'of', such as [count]")
        for length in self.days:
            if not 0 < length < math.inf:
                raise ValueError(f"history by {self.by!r}: a window of {length:g} days; it must be longer than 0")
        for key, given in (("days", self.days), ("of", self.of)):
            if len({*given}) < len(given):
                raise ValueError(f"history by {self.by!r}: {key!r} lists a value twice; take one of them out")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names, in order: `{by}_{of}_{days}d`, and `{by}_since_last`."""
        return tuple(
            f"{self.by}_{of}{window}"
            for of in self.of
            for window in ([""] if of == "since_last" else [f"_{length:g}d" for length in self.days])
        )

    def reach(self, label_delay_days: float = 0) -> float:
        """How long before a transaction an event still matters to it, in seconds."""
        return (max(self.days) + (label_delay_days if "fraud_rate" in self.of else 0)) * DAY

    def values(self, events: Events, label_delay_days: float = 0) -> dict[str, np.ndarray]:
        """Each event's columns.

        Parameters
        ----------
        events : Events
            In order of time.
        label_delay_days : float
            How long after an event its label is known.

        Returns
        -------
        dict of str to ndarray of float64, shape (events,)
            By `columns`; NaN where the entity is not known.
        """
        made = {name: np.empty(len(events.time)) for name in self.columns}
        past = _Past(events)
        before = past.positions(events.time, "left")
        for days in self.days:
            self._window(made, past, before, days)
            if "fraud_rate" in self.of:
                self._fraud_rate(made, past, before, days, label_delay_days)
        if (unknown := events.entity < 0).any():
            for column in made.values():
                column[unknown] = np.nan
        return made

    def of_event(
        self, time: float, amount_cents: int, recent: Sequence[tuple[float, int, bool]], label_delay_days: float = 0
    ) -> dict[str, float]:
        """One event's columns from its entity's recent ones: the value that `values` has for it, to the bit.

        Parameters
        ----------
        time : float
            In seconds.
        amount_cents : int
            0 in tables without amounts.
        recent : sequence of (time, cents, known to be fraud)
            At least those of the last `reach` seconds, in any order. Those at `time` or later count for nothing.
        """
        past = sorted(event for event in recent if event[0] < time)
        moments = [event[0] for event in past]
        total = [0, *accumulate(event[1] for event in past)]
        frauds = [0, *accumulate(event[2] for event in past)]
        before, known, longest = len(past), time - label_delay_days * DAY, max(self.days) * DAY
        gap = time - moments[-1] if past else longest
        made = {"since_last": min(gap, longest)}
        until = bisect_right(moments, known)
        for days in self.days:
            first, window = bisect_right(moments, time - days * DAY), f"_{days:g}d"
            count = before - first + 1
            mean = (total[before] - total[first] + amount_cents) / count
            made |= {f"count{window}": count, f"mean{window}": mean / 100}
            made[f"ratio{window}"] = amount_cents / mean if mean else (math.nan if amount_cents else 1.0)
            first = min(bisect_right(moments, known - days * DAY), until)
            made[f"fraud_rate{window}"] = (frauds[until] - frauds[first]) / max(until - first, 1)
        return {name: float(made[name.removeprefix(f"{self.by}_")]) for name in self.columns}

    def _window(self, made: dict[str, np.ndarray], past: _Past, before: np.ndarray, days: float) -> None:
        """What one window holds, amounts and the time since the last one; labels left out."""
        out = {of: made.get(f"{self.by}_{of}_{days:g}d") for of in ("count", *OF_AMOUNTS)}
        out["since_last"] = made.get(f"{self.by}_since_last") if days == max(self.days) else None
        if all(column is None for column in out.values()):
            return
        time, amounts = past.events.time, past.events.cents
        first = past.positions(time - days * DAY, "right")
        total = past.running(amounts) if {*OF_AMOUNTS} & {*self.of} else None
        for rows, own in past.blocks():
            start, end = first[own], before[own]
            count = end - start + 1
            if out["count"] is not None:
                out["count"][rows] = count
            if out["since_last"] is not None:
                gap = time[rows] - time[past.order[np.maximum(end - 1, 0)]]
                out["since_last"][rows] = np.where(count > 1, gap, days * DAY)
            if total is not None:
                amount = amounts[rows]
                mean = (total[end] - total[start] + amount) / count
                if out["mean"] is not None:
                    out["mean"][rows] = mean / 100
                if out["ratio"] is not None:
                    ratio = np.where(amount == 0, 1.0, np.nan)
                    out["ratio"][rows] = np.divide(amount, mean, out=ratio, where=mean != 0)

    def _fraud_rate(
        self, made: dict[str, np.ndarray], past: _Past, before: np.ndarray, days: float, delay: float
    ) -> None:
        """The share of frauds in one window of known labels."""
        out, known = made[f"{self.by}_fraud_rate_{days:g}d"], past.events.time - delay * DAY
        until = np.minimum(past.positions(known, "right"), before)
        first = np.minimum(past.positions(known - days * DAY, "right"), before)
        frauds = past.running(past.events.fraud)
        for rows, own in past.blocks():
            start, end = first[own], until[own]
            out[rows] = (frauds[end] - frauds[start]) / np.maximum(end - start, 1)


class _Past:
    """Events with an entity's next to each other, in order of time; a position is a place in that order.

    An event's key is its entity and its place in time as one number, so that one binary search finds where, among its
    entity's, any moment falls.
    """

    def __init__(self, events: Events) -> None:
        self.events, count = events, len(events.time)
        self.keys = events.entity.astype(np.int64) * (count + 1)
        self.keys += np.arange(count)
        self.keys.sort()
        self.order = np.empty(count, dtype=np.int32 if count < 2**31 else np.int64)
        for own in self._slices():
            self.order[own] = self.keys[own] % (count + 1)

    def positions(self, moments: np.ndarray, side: Literal["left", "right"]) -> np.ndarray:
        """For each event, in this order: the position of its entity's first event at ("left") or after its moment."""
        places, found = np.searchsorted(self.events.time, moments, side), np.empty_like(self.order)
        for rows, own in self.blocks():
            found[own] = np.searchsorted(self.keys, self.keys[own] - rows + places[rows])
        return found

    def running(self, values: np.ndarray) -> np.ndarray:
        """Sums of the values of all events before a position."""
        sums = np.zeros(len(values) + 1, dtype=np.int64)
        np.cumsum(values[self.order], out=sums[1:])
        return sums

    def blocks(self) -> Iterator[tuple[np.ndarray, slice]]:
        """Events, by their places in the table, and their positions, a block at a time."""
        return ((self.order[own], own) for own in self._slices())

    def _slices(self) -> Iterator[slice]:
        return (slice(start, start + _BLOCK) for start in range(0, len(self.order), _BLOCK))
