"""Which rows train and which test: the chronological cut, and the groups that stay together."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data import sample
from fraud_utils.data.folds import labelled
from fraud_utils.data.schema import DataError, Schema

WITHOUT_TIME = (
    "The table has no times, so its test set is drawn at random: whether the past predicts the future, it cannot know."
)


def duplicate_groups(frame: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Number the groups of rows that are equal in every column but the label and the id.

    Copies of one row must stay on one side of every split, whatever their label: a model that has seen one knows
    the others.

    Returns
    -------
    numpy.ndarray of int64, shape (rows,)
        Equal numbers for copies; a number of its own for every other row.
    """
    return pd.factorize(row_hashes(frame, schema))[0]


def row_hashes(frame: pd.DataFrame, schema: Schema, but: Collection[str | None] = ()) -> np.ndarray:
    """Number each row by what it holds, the label and the id aside: equal numbers for copies.

    Parameters
    ----------
    but : collection of str, optional
        Further columns to leave aside.

    Returns
    -------
    numpy.ndarray of uint64, shape (rows,)
    """
    inputs = frame[[column for column in schema.columns if column not in (schema.label, schema.id, *but)]]
    return pd.util.hash_pandas_object(inputs, index=False).to_numpy()


def fold_groups(frame: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Rows that must share a fold: an entity's transactions where the table names entities, else exact copies.

    A row whose entity is not known is a group of its own, or shares that of its exact copies.

    Returns
    -------
    numpy.ndarray of int64, shape (rows,)
    """
    copies = duplicate_groups(frame, schema)
    if not schema.entity:
        return copies
    entity = pd.factorize(frame[schema.entity])[0]
    return pd.factorize(np.where(entity < 0, copies + len(frame), entity))[0]


@dataclass(frozen=True)
class Split:
    """A cut: `train` lies wholly before `test_from` (seconds), `test` at or after it.

    Sizes are those of the whole table where `train` and `test` are samples of it. `waiting_rows` more lie before the
    cut and are in neither: at the cut, their labels were not known yet. `test_days` is the time from the cut to the
    last transaction in days, None where all of `test` share one time. A table without times is split at random;
    `test_from` and `test_days` are None then.
    """

    train: pd.DataFrame = field(repr=False)
    test: pd.DataFrame = field(repr=False)
    test_from: float | None
    train_rows: int
    train_frauds: int
    test_rows: int
    test_frauds: int
    test_days: float | None
    waiting_rows: int = 0

    @property
    def both(self) -> pd.DataFrame:
        """Training and test rows, in one frame."""
        both = pd.concat([self.train, self.test])
        both.attrs = self.train.attrs
        if whole := both.attrs.get("whole"):
            rows, frauds = self.train_rows + self.test_rows, self.train_frauds + self.test_frauds
            share = (len(both) - frauds) / max(rows - frauds, 1)
            both.attrs["whole"] = whole | {"since": None, "until": None, "rows": rows, "share": share}
        return both

    def sizes(self) -> dict[str, float | int | None]:
        """The cut's time, rows, frauds and days, as `metrics.json` holds them."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)[2:]}

    def describe(self, provenance: Mapping[str, Any]) -> str:
        """Say what lies on either side."""
        frauds, rows = provenance["frauds"], words.count(provenance["rows"], provenance.get("noun", "transaction"))
        cut, rest, doubt = "drawn at random", "others", f" {WITHOUT_TIME}"
        if self.test_from is not None:
            cut, rest, doubt = f"before {words.moment(self.test_from, provenance.get('origin'))}", "from then on", ""
        if self.test_from is not None and self.waiting_rows:
            cut = f"whose labels were known at {words.moment(self.test_from, provenance.get('origin'))}"
            were = "was" if self.waiting_rows == 1 else "were"
            doubt = f" {words.count(self.waiting_rows, 'row')} before then {were} not labelled yet, and left out."
        if (share := provenance.get("share", 1.0)) < 1:
            doubt += f" {sample.describe(share)}"
        return (
            f"{provenance['name']}: {rows}, {words.count(frauds, 'fraud')} "
            f"({words.percent(frauds / provenance['rows'])}). Choices are made on the {self.train_rows:,} {cut} "
            f"({words.count(self.train_frauds, 'fraud')}); the test set is the {self.test_rows:,} {rest} "
            f"({words.count(self.test_frauds, 'fraud')}).{doubt}"
        )


def split_transactions(frame: pd.DataFrame, schema: Schema, test_share: float = 0.2, seed: int = 7) -> Split:
    """Set the test rows apart: the last part by time, or random groups of a table without times.

    Training rows whose labels come only after the cut (`schema.label_delay_days`) are left out, as they would be on the
    day of the cut. Rows that share a time stay on one side, so the cut falls at the change of time that leaves a share
    nearest to `test_share`; exact copies share a time and never straddle it. Without times, what `fold_groups` keeps
    together stays on one side, and groups with a fraud are drawn apart from those without.

    Parameters
    ----------
    frame : pandas.DataFrame
        In order of time, as `load_transactions` gives it.
    test_share : float
        Share of rows wanted in the test set, between 0 and 1.
    seed : int
        Of the random split.

    Raises
    ------
    DataError
        All rows share one time, or a side has no fraud.
    """
    if not 0 < test_share < 1:
        raise DataError(f"test_share is {test_share}; it must lie between 0 and 1")
    if schema.time is None:
        held_out = _random_groups(fold_groups(frame, schema), frame[schema.label].to_numpy(), test_share, seed)
        return _split(frame[~held_out], frame[held_out], schema, "the random split")
    time = frame[schema.time].to_numpy()
    if np.any(np.diff(time) < 0):
        raise DataError(f"column {schema.time!r}: rows are not in order of time; sort them first")
    changes = np.flatnonzero(np.diff(time)) + 1  # the rows at which a new time begins
    if not len(changes):
        raise DataError(f"column {schema.time!r}: all rows share one time; a chronological split needs at least two")
    stands = sample.weights(frame, schema).cumsum()
    cut = int(changes[np.argmin(np.abs(stands[changes - 1] - int((1 - test_share) * stands[-1])))])
    moment = float(time[cut])
    when = words.moment(moment, frame.attrs.get("provenance", {}).get("origin"))
    known = int(labelled(time, moment, schema.label_delay_days))
    until = min(float(np.nextafter(moment - 86_400 * schema.label_delay_days, np.inf)), moment)
    train = sample.between(frame.iloc[:known], schema, None, until)
    test = sample.between(frame.iloc[cut:], schema, moment, None)
    split = _split(train, test, schema, f"the split at {schema.time} = {when}")
    waiting = sample.count(sample.between(frame.iloc[:cut], schema, None, moment)) - split.train_rows
    days = float(time[-1] - time[cut]) / 86_400 or None
    return dataclasses.replace(split, test_from=moment, test_days=days, waiting_rows=waiting)


def _random_groups(groups: np.ndarray, y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which rows to hold out, as a mask: of the groups with a fraud and of those without, about that share each."""
    sizes = np.bincount(groups)
    with_fraud = np.bincount(groups, weights=y) > 0
    held_out = np.zeros(len(sizes), dtype=bool)
    for kind in (with_fraud, ~with_fraud):
        order = np.random.default_rng(seed).permutation(np.flatnonzero(kind))
        taken = np.cumsum(sizes[order]) - sizes[order] / 2  # a group belongs where its middle falls
        held_out[order[taken < share * sizes[order].sum()]] = True
    return held_out[groups]


def _split(train: pd.DataFrame, test: pd.DataFrame, schema: Schema, what: str) -> Split:
    frauds = {side: int(part[schema.label].sum()) for side, part in (("training", train), ("test", test))}
    for side, count in frauds.items():
        if not count:
            raise DataError(
                f"the {side} side of {what} has no fraud; bring a longer table or choose another test_share"
                + (f", or a shorter label_delay_days ({schema.label_delay_days:g})" if schema.label_delay_days else "")
            )
    rows = sample.count(train), sample.count(test)
    return Split(train, test, None, rows[0], frauds["training"], rows[1], frauds["test"], None)
