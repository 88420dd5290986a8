"""What the training rows looked like, in bins, and what was promised: monitoring compares with this. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

BINS, VALUES = 10, 32  # of a column of numbers; values of a column of text that have a bin of their own


@dataclass(frozen=True)
class Distribution:
    """How often each bin of a column was filled.

    Bins of numbers end at `edges`, each edge within the bin below it; one more lies on either side of the range. Bins
    of text are its most frequent `values`, and one for all others. The last bin is that of missing values.
    """

    counts: np.ndarray
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] | None = None

    @classmethod
    def of(cls, column: Any) -> Distribution:
        """Learn bins from training rows, deciles or frequent values, and count."""
        data = np.asarray(column)
        if data.dtype.kind in "fiub":
            numbers = data.astype(np.float64)
            known = numbers[~np.isnan(numbers)]
            if len(known):
                inner = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])
                below = np.nextafter(known.min(), -np.inf)
                empty = cls(np.zeros(0), tuple(np.unique([below, *inner, known.max()]).tolist()))
            else:
                empty = cls(np.zeros(0))
            return cls(empty.count(numbers), empty.edges)
        known = np.array([value for value in data.astype(object) if isinstance(value, str)], dtype=str)
        names, often = np.unique(known, return_counts=True)
        frequent = tuple(sorted(names[np.argsort(-often, kind="stable")][:VALUES].tolist()))
        return cls(cls(np.zeros(0), values=frequent).count(data), values=frequent)

    @property
    def bins(self) -> int:
        """How many there are."""
        return len(self.edges if self.values is None else self.values) + 2

    def codes(self, column: Any) -> np.ndarray:
        """The bin of each value, counted from 0."""
        if self.values is None:
            numbers = np.asarray(column, dtype=np.float64)
            codes = np.searchsorted(self.edges, numbers)
            codes[np.isnan(numbers)] = self.bins - 1
            return codes
        place = {value: code for code, value in enumerate(self.values)}
        other, missing = self.bins - 2, self.bins - 1
        known = (
            place.get(value, other) if isinstance(value, str) and value else missing
            for value in np.asarray(column, dtype=object)
        )  # fmt: skip
        return np.fromiter(known, dtype=np.int64)

    def count(self, column: Any) -> np.ndarray:
        """How many values fall into each bin."""
        return np.bincount(self.codes(column), minlength=self.bins)

    def names(self) -> list[str]:
        """What each bin holds, for tables."""
        if self.values is not None:
            return [*self.values, "other values", "missing"]
        if not self.edges:
            return ["any number", "missing"]
        ends = [f"{float(f'{edge:.3g}'):,g}" for edge in self.edges]
        between = [f"{low} to {high}" if low != high else low for low, high in pairwise(ends)]
        return [f"below {ends[0]}", *between, f"above {ends[-1]}", "missing"]

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `from_dict` builds the same distribution."""
        bins = {"edges": list(self.edges)} if self.values is None else {"values": list(self.values)}
        return {**bins, "counts": self.counts.tolist()}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Distribution:
        """Inverse of `to_dict`."""
        values = tuple(mapping["values"]) if "values" in mapping else None
        return cls(np.asarray(mapping["counts"]), tuple(mapping.get("edges", ())), values)


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What the model did at the threshold that decides, on rows of known labels.

    Attributes
    ----------
    rows_of : str
        "validation", which the model has not learned from, or "train", where there were no others: too favourable.
    rows, frauds, alerts, caught : int
        Of these, `caught` is both.
    expected_frauds : float
        The scores' sum: what a calibrated model's frauds come to.
    average_precision : float or None
        None where a class is missing.
    fraud_amount, caught_amount : float or None
        Money of all frauds, and of those caught; None without amounts.
    """

    rows_of: str
    rows: int
    frauds: int
    alerts: int
    caught: int
    expected_frauds: float
    average_precision: float | None = None
    fraud_amount: float | None = None
    caught_amount: float | None = None

    @classmethod
    def of(cls, rows_of: str, y: Any, score: Any, threshold: float, amount: Any = None) -> Promise:
        """Count on rows with labels `y` and scores; `amount` where the table has them."""
        fraud, alert = np.asarray(y) == 1, np.asarray(score) >= threshold
        money = {}
        if amount is not None:
            paid = np.asarray(amount)
            money = {
                "fraud_amount": float(np.nansum(paid[fraud])),
                "caught_amount": float(np.nansum(paid[fraud & alert])),
            }
        return cls(
            rows_of=rows_of,
            rows=len(fraud),
            frauds=int(fraud.sum()),
            alerts=int(alert.sum()),
            caught=int((fraud & alert).sum()),
            expected_frauds=float(np.sum(score)),
            average_precision=average_precision(fraud, np.asarray(score)),
            **money,
        )


def average_precision(fraud: np.ndarray, score: np.ndarray) -> float | None:
    """Mean over the frauds of the precision at their score, as scikit-learn has it; None where a class is missing.

    Parameters
    ----------
    fraud : numpy.ndarray of bool, shape (rows,)
    score : numpy.ndarray, shape (rows,)
    """
    if not 0 < fraud.sum() < len(fraud):
        return None
    order = np.argsort(-score, kind="stable")
    caught, last = np.cumsum(fraud[order]), np.append(np.diff(score[order]) != 0, True)
    at = np.flatnonzero(last)  # precision is defined where the score changes
    new = np.diff(caught[at], prepend=0)
    return float(np.sum(new * caught[at] / (at + 1)) / caught[-1])


@dataclass(frozen=True)
class Reference:
    """What monitoring compares with: the distribution of each raw column and of the score, and the promise."""

    columns: Mapping[str, Distribution]
    score: Distribution
    promise: Promise

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `from_dict` builds the same reference."""
        columns = {name: column.to_dict() for name, column in self.columns.items()}
        return {"columns": columns, "score": self.score.to_dict(), "promise": asdict(self.promise)}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Reference:
        """Inverse of `to_dict`."""
        columns = {name: Distribution.from_dict(column) for name, column in mapping["columns"].items()}
        return cls(columns, Distribution.from_dict(mapping["score"]), Promise(**mapping["promise"]))
