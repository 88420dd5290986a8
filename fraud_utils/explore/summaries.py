"""What the values of columns are: how many are missing and distinct, their quantiles, the most common text.

A frame that holds all rows is asked at once. Of a table larger than memory each column is read once, in bounded memory:
quantiles are exact all the same; beyond `DISTINCT` distinct values their number is estimated, and a text that is
rarer than one row in `COMMON` may be missed where there are more texts than that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fraud_utils.data import Schema, all_rows, weights
from fraud_utils.explore.whole import sizes

DISTINCT = 1 << 16  # the standard error of an estimate is 1 / sqrt of it, 0.4 %
COMMON = 1 << 18
COLLECTED = 1 << 25  # numbers held at once to find quantiles among them: 256 MB
Where = Callable[[pd.DataFrame], Any] | None
RANGE = (0.0, 0.5, 1.0)  # smallest, median, largest


class Description(NamedTuple):
    """A column's values: `range` has the smallest, the median and the largest number; `most_common` is a text."""

    missing: int
    distinct: int
    range: np.ndarray | None
    most_common: str | None


def describe(frame: pd.DataFrame, schema: Schema) -> dict[str, Description]:
    """Every column of the table, by name; of texts equally common, the first in the order of the alphabet."""
    columns = {name: _Column() for name in schema.columns}
    if "whole" not in frame.attrs:
        return {name: _described(frame[name]) for name in columns}
    orders = _orders(frame, schema, [name for name in columns if is_number(frame[name])], RANGE)
    for block in _blocks(columns, orders, frame, schema):
        for part in all_rows(frame, schema, block):
            for name in block:
                columns[name].add(part[name])
                if name in orders:
                    orders[name].add(known(part[name]))
    found = _found(orders, frame, schema)
    return {
        name: Description(column.missing, column.distinct.count(), found.get(name), column.texts.most_common())
        for name, column in columns.items()
    }


def quantiles(
    frame: pd.DataFrame, schema: Schema, columns: Sequence[str], probabilities: Any, where: Where = None
) -> dict[str, np.ndarray]:
    """Exact quantiles of each column's known values, interpolated as `numpy.quantile` does.

    Parameters
    ----------
    where : callable, optional
        From rows, with these columns and the label, to a mask of those to look at.

    Returns
    -------
    dict of str to numpy.ndarray, shape (probabilities,)
        NaN where no value is known.
    """
    if "whole" in frame.attrs:
        return _found(_orders(frame, schema, columns, probabilities, where), frame, schema, where)
    values = {name: known((frame[where(frame)] if where else frame)[name]) for name in columns}
    nothing = np.full(len(probabilities), np.nan)
    return {name: np.quantile(of, probabilities) if len(of) else nothing for name, of in values.items()}


def known(column: pd.Series) -> np.ndarray:
    """A column's numbers without the missing ones."""
    values = column.to_numpy(np.float64)
    missing = np.isnan(values)
    return values[~missing] if missing.any() else values


def is_number(column: pd.Series) -> bool:
    """Whether a column holds numbers, not texts."""
    return column.dtype.kind in "fiu"


def _described(column: pd.Series) -> Description:
    missing, distinct = int(column.isna().sum()), column.nunique()
    if is_number(column):
        ends = np.array([column.min(), column.median(), column.max()], dtype=np.float64)
        return Description(missing, distinct, ends, None)
    texts = Texts()
    texts.add(column)
    return Description(missing, distinct, None, texts.most_common())


def _orders(
    frame: pd.DataFrame, schema: Schema, columns: Sequence[str], probabilities: Sequence[float], where: Where = None
) -> dict[str, _Order]:
    """What looks for each column's quantiles, around where the sample has them."""
    sample = frame[where(frame)] if where else frame
    weight = weights(sample, schema)
    p = np.asarray(probabilities, dtype=np.float64)
    return {name: _Order(p, *_around(known(sample[name]), weight[sample[name].notna()], p)) for name in columns}


def _around(values: np.ndarray, weight: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """By probability, two values between which a sample expects the quantile, and the share of rows between all."""
    if not len(values):
        ends = np.full(len(p), np.inf)
        return -ends, ends, 1.0
    order = np.argsort(values)
    share = np.cumsum(weight[order]) / weight.sum()
    rows = weight.sum() ** 2 / (weight**2).sum()  # of equal weight that tell as much
    margin = 4 * np.sqrt(p * (1 - p) / rows) + 4 / rows
    ends = np.concatenate([[-np.inf], values[order], [np.inf]])
    low, high = ends[np.searchsorted(share, p - margin)], ends[np.searchsorted(share, p + margin) + 1]
    return low, high, float(2 * margin.sum())


@dataclass
class _Order:
    """Quantiles of many numbers: those below each bracket are counted, and those inside it collected.

    A quantile that turns out to lie beyond its bracket gets a wider one, and the numbers must be read again.
    """

    probabilities: np.ndarray
    low: np.ndarray
    high: np.ndarray
    share: float  # of the numbers, expected to be collected
    rows: int = 0

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget the numbers seen."""
        self.rows = 0
        self.below, self.at_low, self.at_high = np.zeros((3, len(self.low)), dtype=np.int64)
        self.inside: list[list[np.ndarray]] = [[] for _ in self.low]

    def add(self, values: np.ndarray) -> None:
        self.rows += len(values)
        for j, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            reached = values >= low
            self.below[j] += len(values) - np.count_nonzero(reached)
            near = values[reached & (values <= high)]
            self.at_low[j] += np.count_nonzero(near == low)
            self.at_high[j] += np.count_nonzero(near == high) if high > low else 0
            self.inside[j].append(near[(near > low) & (near < high)])  # many equal numbers end a bracket, by its width

    def values(self) -> np.ndarray | None:
        """The quantiles; None where brackets were missed, which are wider now."""
        if not self.rows:
            return np.full(len(self.low), np.nan)
        found, missed = np.zeros(len(self.low)), False
        for j, place in enumerate(self.probabilities * (self.rows - 1)):
            inside = np.sort(np.concatenate(self.inside[j]))
            runs = np.cumsum([self.below[j], self.at_low[j], len(inside), self.at_high[j]])
            first, last = int(place), min(int(place) + 1, self.rows - 1)
            if first < runs[0]:
                self.low[j], missed = -np.inf, True
            elif last >= runs[-1]:
                self.high[j], missed = np.inf, True
            else:
                pair = [self._at(rank, runs, inside, j) for rank in (first, last)]
                found[j] = np.quantile(pair, place - first)
        return None if missed else found

    def _at(self, rank: int, runs: np.ndarray, inside: np.ndarray, j: int) -> float:
        run = np.searchsorted(runs, rank, side="right")  # 1: the low end, 2: inside, 3: the high end
        return self.low[j] if run == 1 else inside[rank - runs[1]] if run == 2 else self.high[j]


def _blocks(
    columns: Any, orders: Mapping[str, _Order], frame: pd.DataFrame, schema: Schema
) -> Iterator[tuple[str, ...]]:
    """The columns, so many at a time as may be read without collecting too much."""
    rows = sizes(frame, schema)[0]
    share = max((order.share for order in orders.values()), default=0)
    return batched(columns, max(1, int(COLLECTED / max(rows * share, 1))))


def _found(
    orders: dict[str, _Order], frame: pd.DataFrame, schema: Schema, where: Where = None
) -> dict[str, np.ndarray]:
    """All quantiles, after as many readings as they take."""
    found: dict[str, np.ndarray] = {}
    for name, order in orders.items():
        if order.rows and (values := order.values()) is not None:
            found[name] = values
    while left := [name for name in orders if name not in found]:
        for block in _blocks(left, orders, frame, schema):
            for name in block:
                orders[name].clear()
            for part in all_rows(frame, schema, list(dict.fromkeys([*block, schema.label]))):
                chosen = part[where(part)] if where else part
                for name in block:
                    orders[name].add(known(chosen[name]))
            found |= {name: values for name in block if (values := orders[name].values()) is not None}
    return found


class _Distinct:
    """How many distinct hashes there are, from the smallest of them (Bar-Yossef et al. 2002)."""

    def __init__(self) -> None:
        self.kept, self.bound = np.empty(0, dtype=np.uint64), np.uint64(2**64 - 1)
        self.new: list[np.ndarray] = []

    def add(self, hashes: np.ndarray) -> None:
        self.new.append(pd.unique(hashes[hashes < self.bound]))
        if sum(map(len, self.new)) > DISTINCT:
            self._merge()

    def _merge(self) -> None:
        hashes = np.sort(np.concatenate([self.kept, *self.new]))
        self.kept, self.new = hashes[np.diff(hashes, prepend=~hashes[:1]) != 0][: DISTINCT + 1], []
        if len(self.kept) > DISTINCT:
            self.bound = self.kept[-1]

    def count(self) -> int:
        self._merge()
        if len(self.kept) <= DISTINCT:
            return len(self.kept)
        return int(float(f"{DISTINCT / (float(self.bound) / 2.0**64):.3g}"))


class Texts:
    """How often each text occurs; of too many, the frequent ones (Misra and Gries 1982; Agarwal et al. 2013)."""

    def __init__(self) -> None:
        self.missing, self.counts = 0, Counter[Any]()

    def add(self, values: pd.Series) -> None:
        """Count the texts of further rows."""
        self.missing += int(values.isna().sum())
        if len(self.counts) > COMMON:
            floor = sorted(self.counts.values())[-COMMON - 1]
            self.counts = Counter({text: count - floor for text, count in self.counts.items() if count > floor})
        counts = values.value_counts()
        self.counts.update({text: count for text, count in zip(counts.index, counts.tolist(), strict=True) if count})

    def most_common(self) -> str | None:
        """The most frequent text, of several the first in the order of the alphabet."""
        most = max(self.counts.values(), default=0)
        return min((str(text) for text, count in self.counts.items() if count == most), default=None)


class _Column:
    """What a column of a table larger than memory holds."""

    def __init__(self) -> None:
        self.missing, self.distinct, self.texts = 0, _Distinct(), Texts()

    def add(self, values: pd.Series) -> None:
        self.missing += int(values.isna().sum())
        if is_number(values):
            self.distinct.add(pd.util.hash_array(known(values)))  # one hash for both zeros
        else:
            self.distinct.add(pd.util.hash_array(values.dropna().unique().astype(object)))
            self.texts.add(values)
