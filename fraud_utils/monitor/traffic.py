"""Captured rows gathered: counts per day and bin, and of each row its id, day, score and amount. Nothing else stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_utils.artifact import Model, Reference, RowError
from fraud_utils.data import DataError
from fraud_utils.monitor.apart import sentences
from fraud_utils.monitor.captured import Piece, read_captured
from fraud_utils.monitor.tables import is_table, read_table

DAY, WEEK = 86_400, 7
LONGEST = 3_660  # days between the first and the last row; more, and times are wrong


@dataclass(frozen=True)
class Traffic:
    """What came in, day by day; the first day is that of the first row, days without rows are there, too.

    Attributes
    ----------
    first : int
        Number of the first day, since 1970 or the table's origin.
    counts : dict of str to array of shape (days, bins)
        Of each raw column, by the reference's bins; of history, only of rows that brought it.
    score_counts : array of shape (days, bins)
    requests : array of shape (days,)
        Rows with a score.
    refused : pandas.DataFrame
        `day` (counted from the first; -1 where it is not known), `why`, `rows`.
    rows : pandas.DataFrame
        `id` ("" where a row has none), `day`, `score`, `amount` (where there are amounts) and `challenger` (the other
        model's score, if asked).
    apart : Counter of str
        See `apart.sentences`.
    """

    first: int
    counts: dict[str, np.ndarray]
    score_counts: np.ndarray
    requests: np.ndarray
    refused: pd.DataFrame
    rows: pd.DataFrame
    apart: Counter[str] = field(default_factory=Counter)

    @property
    def days(self) -> int:
        return len(self.requests)

    @property
    def names(self) -> list[str]:
        """Of the days: dates, or numbers where the times have no date."""
        if self.first < 366 * 10:  # seconds from an origin of the table's own
            return [f"day {self.first + day + 1}" for day in range(self.days)]
        return [f"{datetime.fromtimestamp((self.first + day) * DAY, UTC):%Y-%m-%d}" for day in range(self.days)]

    @property
    def short_names(self) -> list[str]:
        """Of the days, for an axis."""
        named = [(name, name.startswith("day")) for name in self.names]
        return [name if plain else f"{date.fromisoformat(name):%d %b}".lstrip("0") for name, plain in named]

    def name(self, day: int) -> str:
        """Of one day, as it stands in a sentence."""
        text = self.names[day]
        return text if text.startswith("day") else f"{date.fromisoformat(text):%d %B %Y}".lstrip("0")


def read_traffic(path: str | Path, model: Model, challenger: Model | None = None) -> Traffic:
    """Read captured requests, or a plain table of them, piece by piece.

    Parameters
    ----------
    path : str or Path
        A folder or S3 address as data capture fills it, a `.jsonl` file, or a table (`tables.read_table`).
    model : artifact.Model
        The one that was asked; it must have a reference.
    challenger : artifact.Model, optional
        Another that scores the same rows now.

    Raises
    ------
    DataError
        Nothing can be read there, or the model has no reference.
    """
    reference = reference_of(model)
    if is_table(path):
        pieces = read_table(path, model.layout, model.manifest["schema"])
    else:
        pieces = read_captured(path, model.layout)
    return gather(pieces, reference, model.layout.features.amount, challenger, str(path))


def reference_of(model: Model) -> Reference:
    """What the model keeps for monitoring; a DataError where it is older than monitoring."""
    if model.reference is None:
        raise DataError(
            "this model was trained by an earlier version and keeps nothing to compare with: no distribution of its "
            "columns and scores, no promise; train it again (make report)"
        )
    return model.reference


def gather(
    pieces: Iterator[Piece], reference: Reference, amount: str | None, challenger: Model | None, source: str
) -> Traffic:
    """Count pieces of rows; see `read_traffic`."""
    by_day: dict[int, dict[str, np.ndarray]] = {}
    refused: Counter[tuple[int | None, str]] = Counter()
    apart: Counter[str] = Counter()
    parts = []
    for piece in pieces:
        apart += piece.apart
        for each in piece.refused:
            refused[None if each.time is None else int(each.time // DAY), each.why] += each.rows
        if not len(piece.score):
            continue
        day = np.floor(piece.time / DAY).astype(np.int64)
        codes = {name: bins.codes(piece.columns[name]) for name, bins in reference.columns.items()}
        codes[""] = reference.score.codes(piece.score)
        for number in np.unique(day).tolist():
            chosen = day == number
            kept = by_day.setdefault(number, {})
            for name, code in codes.items():
                counted = chosen & ~piece.unknown[name] if name in piece.unknown else chosen
                size = (reference.columns[name] if name else reference.score).bins
                kept[name] = kept.get(name, 0) + np.bincount(code[counted], minlength=size)
        part = {"id": pd.array(piece.identity, dtype="string[pyarrow]"), "day": day, "score": piece.score}
        if amount:
            part["amount"] = piece.columns[amount]
        if challenger:
            part["challenger"] = _challenged(challenger, piece)
        parts.append(pd.DataFrame(part))
    if not parts:
        reasons: Counter[str] = Counter()
        for (_, why), rows in refused.items():
            reasons[why] += rows
        found = "; ".join(f"{why} ({rows:,})" for why, rows in reasons.most_common(2))
        said = " ".join([f"no row with a score{f'; refused: {found}' if found else ''}.", *sentences(apart)])
        raise DataError(f"CAPTURED={source}: {said.removesuffix('.')}")
    return replace(_arranged(by_day, refused, pd.concat(parts, ignore_index=True), source), apart=apart)


def _challenged(challenger: Model, piece: Piece) -> np.ndarray:
    if lacking := sorted(set(piece.unknown).intersection(challenger.layout.features.raw)):
        raise DataError(
            f"the challenger cannot score what this model was asked: rows came without {lacking[0]!r}, which the "
            "endpoint found itself and data capture does not see. 'make compare A=... B=...' compares the two runs"
        )
    try:
        accepted = challenger.layout.accepted
        return challenger.score({name: values for name, values in piece.columns.items() if name in accepted})
    except RowError as error:
        raise DataError(
            f"the challenger cannot score what this model was asked: {error}. Only the columns that this model uses "
            "are read; 'make compare A=... B=...' compares the two runs"
        ) from None


def _arranged(
    by_day: dict[int, dict[str, np.ndarray]], refused: Counter[tuple[int | None, str]], rows: pd.DataFrame, source: str
) -> Traffic:
    known = [*by_day, *(day for day, _ in refused if day is not None)]
    first, days = min(known), max(known) - min(known) + 1
    if days > LONGEST:
        raise DataError(f"CAPTURED={source}: its times span {days:,} days; some of them are wrong")
    some = next(iter(by_day.values()))
    counts = {
        name: np.stack([by_day.get(first + day, {}).get(name, np.zeros_like(zero)) for day in range(days)])
        for name, zero in some.items()
    }
    score_counts = counts.pop("")
    rows["day"] -= first
    faults = [(-1 if day is None else day - first, why, count) for (day, why), count in refused.items()]
    table = pd.DataFrame(faults, columns=["day", "why", "rows"])
    return Traffic(first, counts, score_counts, score_counts.sum(1), table, rows)
