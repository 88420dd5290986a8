"""Which rows train and which test: the chronological cut, and the groups that stay together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data.schema import DataError, Schema


def duplicate_groups(frame: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Number the groups of rows that are equal in every column but the label.

    Copies of one row must stay on one side of every split, whatever their label: a model that has seen one knows
    the others.

    Returns
    -------
    numpy.ndarray of int64, shape (rows,)
        Equal numbers for copies; a number of its own for every other row.
    """
    inputs = frame[[column for column in schema.columns if column != schema.label]]
    return pd.factorize(pd.util.hash_pandas_object(inputs, index=False).to_numpy())[0]


def fold_groups(frame: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Rows that must share a fold: an entity's transactions where the table names entities, else exact copies."""
    return pd.factorize(frame[schema.entity])[0] if schema.entity else duplicate_groups(frame, schema)


@dataclass(frozen=True)
class Split:
    """A chronological cut: `train` lies wholly before `test_from` (seconds), `test` at or after it.

    `test_days` is the time from the cut to the last transaction in days, None where all of `test` share one time.
    """

    train: pd.DataFrame = field(repr=False)
    test: pd.DataFrame = field(repr=False)
    test_from: float
    train_rows: int
    train_frauds: int
    test_rows: int
    test_frauds: int
    test_days: float | None

    def sizes(self) -> dict[str, float | int | None]:
        """The cut's time, rows, frauds and days, as `metrics.json` holds them."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)[2:]}

    def describe(self, provenance: Mapping[str, Any]) -> str:
        """Say what lies on either side."""
        frauds, rows = provenance["frauds"], provenance["rows"]
        return (
            f"{provenance['name']}: {words.count(rows, 'transaction')}, {words.count(frauds, 'fraud')} "
            f"({words.percent(frauds / rows)}). Choices are made on the {self.train_rows:,} before second "
            f"{self.test_from:,.0f} ({words.count(self.train_frauds, 'fraud')}); the test set is the "
            f"{self.test_rows:,} from then on ({words.count(self.test_frauds, 'fraud')})."
        )


def split_by_time(frame: pd.DataFrame, schema: Schema, test_share: float = 0.2) -> Split:
    """Cut off the last part by time as the test set.

    Rows that share a time stay on one side, so the cut falls at the change of time that leaves a share nearest to
    `test_share`; exact copies share a time and never straddle it.

    Parameters
    ----------
    frame : pandas.DataFrame
        In order of time, as `load_transactions` gives it.
    test_share : float
        Share of rows wanted in the test set, between 0 and 1.

    Raises
    ------
    DataError
        All rows share one time, or a side has no fraud.
    """
    if not 0 < test_share < 1:
        raise DataError(f"test_share is {test_share}; it must lie between 0 and 1")
    time = frame[schema.time].to_numpy()
    if np.any(np.diff(time) < 0):
        raise DataError(f"column {schema.time!r}: rows are not in order of time; sort them first")
    changes = np.flatnonzero(np.diff(time)) + 1  # the rows at which a new time begins
    if not len(changes):
        raise DataError(f"column {schema.time!r}: all rows share one time; a chronological split needs at least two")
    cut = int(changes[np.argmin(np.abs(changes - int((1 - test_share) * len(time))))])
    train, test = frame.iloc[:cut], frame.iloc[cut:]
    frauds = {side: int(part[schema.label].sum()) for side, part in (("training", train), ("test", test))}
    for side, count in frauds.items():
        if not count:
            raise DataError(
                f"the {side} side of the split at {schema.time} = {time[cut]:g} has no fraud; "
                "bring a longer table or choose another test_share"
            )
    days = float(time[-1] - time[cut]) / 86_400 or None
    return Split(train, test, float(time[cut]), cut, frauds["training"], len(time) - cut, frauds["test"], days)
