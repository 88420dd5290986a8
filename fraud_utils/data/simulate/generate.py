"""Simulated transactions, chunk by chunk: each draws its labels and times, then amounts and V's, copies and cards."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils.data.simulate.cards import Cards
from fraud_utils.data.simulate.hours import hourly_weights, kind_drift
from fraud_utils.data.simulate.kinds import INPUTS, draw_kinds
from fraud_utils.data.simulate.legitimate import Legitimate
from fraud_utils.data.simulate.streams import generator

GENERATOR_VERSION = "2.0"
AGGREGATES = Path(__file__).with_name("aggregates.json")
COLUMNS = ["Time", *INPUTS, "Class"]
CHUNK_ROWS = 300_000


def simulate_transactions(
    rows: int = 80_000, fraud_rate: float | None = None, seed: int = 7, days: int = 2, *, cards: bool = False
) -> pd.DataFrame:
    """Simulate card transactions in the schema of ULB's creditcard.csv.

    Parameters
    ----------
    rows : int
        Number of transactions, exact.
    fraud_rate : float, optional
        Share of frauds, met to the nearest row; the reference set's 0.001727 when not given.
    seed : int
        The same seed gives the same bytes.
    days : int
        Days that the transactions span. The first two follow the reference set's; later ones repeat their hours and
        drift.
    cards : bool
        Add a column Card (integer id), for features and metrics by card.

    Returns
    -------
    pandas.DataFrame
        Columns Time (seconds since the first midnight, whole, ascending), V1..V28, Amount (euro, whole cents), Class
        (int8, 1 is fraud) and, when asked for, Card (int64).

    Raises
    ------
    ValueError
        For fewer than 1 row or day, or a rate outside 0 to 1.
    """
    chunks = simulate_chunks(rows, fraud_rate, seed, days, cards=cards)
    return pd.concat(chunks, ignore_index=True)


def simulate_chunks(
    rows: int, fraud_rate: float | None = None, seed: int = 7, days: int = 2, *, cards: bool = False
) -> Iterator[pd.DataFrame]:
    """Yield what ``simulate_transactions`` returns piece by piece in time order, about ``CHUNK_ROWS`` rows each."""
    if rows < 1 or days < 1:
        raise ValueError(f"rows={rows}, days={days}: simulate at least one row over at least one day")
    aggregates = _aggregates(AGGREGATES)
    rate = aggregates["rate"] if fraud_rate is None else fraud_rate
    if not 0 <= rate <= 1:
        raise ValueError(f"fraud_rate={rate}: give a share between 0 and 1 (the reference set's is 0.0017)")
    frauds = round(rows * rate)
    rng = generator(seed, 0)
    # An hour that would not fit into a chunk is cut into equal slots.
    slots = 1 << max(0, int(np.ceil(np.log2(max(1.0, rows / (15 * days) / CHUNK_ROWS)))))
    count = np.stack(
        [
            rng.multinomial(total, np.repeat(weight / weight.sum() / slots, slots))
            for total, weight in zip((rows - frauds, frauds), hourly_weights(aggregates, days, rng), strict=True)
        ]
    )
    drift = kind_drift(aggregates, days, rng)
    plan = _Plan(aggregates, count, slots, drift, Cards(rows, days, rng) if cards else None)
    start = 0
    filled = np.cumsum(count.sum(0))
    while start < count.shape[1]:
        before = filled[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(filled, before + CHUNK_ROWS, side="right")))
        if count[:, start:stop].any():
            yield plan.chunk(start, stop, generator(seed, 1, start))
        start = stop


@lru_cache(maxsize=1)
def _aggregates(path: Path) -> dict[str, Any]:
    aggregates = json.loads(path.read_text(encoding="utf-8"))
    aggregates["legitimate"] = Legitimate(aggregates["legitimate"])
    return aggregates


@dataclass(frozen=True)
class _Plan:
    """What is settled before the first chunk.

    Attributes
    ----------
    count : numpy.ndarray of int, shape (2, hours * slots)
        Transactions of each class in each slot.
    slots : int
        Slots of an hour.
    drift : list of tuple
        Of each day, as ``kind_drift`` gives it.
    """

    aggregates: dict[str, Any]
    count: np.ndarray
    slots: int
    drift: list[tuple[np.ndarray, np.ndarray]]
    cards: Cards | None

    def chunk(self, start: int, stop: int, rng: np.random.Generator) -> pd.DataFrame:
        """Draw the transactions of the slots from start to before stop."""
        label, time = self._times(start, stop, rng)
        hour = (time // 3600).astype(int)
        table = np.empty((len(COLUMNS), time.size))
        table[0], table[-1] = time, label
        uniform = rng.random(time.size)
        alike = np.where((label == 0) & (uniform < self.aggregates["look-alike"]["share"]), 0, -1)
        kind = np.full(time.size, -1)
        shift = np.zeros((29, time.size))
        for day in np.unique(hour[label == 1] // 24):
            today = np.flatnonzero((label == 1) & (hour // 24 == day))
            weight, moved = self.drift[day]
            kind[today] = np.searchsorted(np.cumsum(weight)[:-1], uniform[today], side="right")
            shift[:, today] = moved[kind[today]].T
        draw_kinds(table[1:30], self.aggregates["look-alike"], alike, shift, rng)
        draw_kinds(table[1:30], self.aggregates["fraud"], kind, shift, rng)
        camouflaged = kind == len(self.aggregates["fraud"]["kinds"])
        usual = np.flatnonzero((alike < 0) & (camouflaged | (label == 0)))
        table[1:30, usual] = self.aggregates["legitimate"].draw(hour[usual] % 48, rng)

        table = table[:, _copies(self.aggregates["copies"], label, rng)]
        table = table[:, np.argsort(table[0], kind="stable")]
        frame = pd.DataFrame(dict(zip(COLUMNS, table, strict=True)), copy=False).astype({"Class": "int8"})
        if self.cards is not None:
            frame["Card"] = self.cards.draw(frame, rng)
        return frame

    def _times(self, start: int, stop: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Label and time of each transaction, in order of time."""
        count = self.count[:, start:stop]
        label = np.repeat([0, 1], count.sum(1)).astype("int8")
        slot = start + np.concatenate([np.repeat(np.arange(stop - start), of_class) for of_class in count])
        time = np.floor((slot + rng.random(slot.size)) * (3600 / self.slots))
        order = np.argsort(time, kind="stable")
        return label[order], time[order]


def _copies(copies: list[dict], label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each row the row it repeats: itself, but for as many as the reference set has exact copies."""
    source = np.arange(label.size)
    for of_class, fitted in enumerate(copies):
        rows = np.flatnonzero(label == of_class)
        size = np.repeat(np.arange(1, 6), fitted["sizes"])  # further copies a group has
        groups = rng.binomial(rows.size, fitted["share"] / size.mean())
        extra = rng.choice(size, groups)
        extra = extra[np.cumsum(extra + 1) <= rows.size]
        if extra.size:
            chosen = rng.choice(rows, size=int((extra + 1).sum()), replace=False)
            head = np.cumsum(extra + 1) - (extra + 1)
            source[chosen] = np.repeat(chosen[head], extra + 1)
    return source
