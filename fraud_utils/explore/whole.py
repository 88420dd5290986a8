"""What is counted over both classes, of all rows of a table: a frame's, or part by part all it stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from fraud_utils.data import Schema, Split, all_rows, count, within


def parts_of(split: Split, schema: Schema, columns: Sequence[str]) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """All rows of the training and of the test part, side by side as `data.all_rows` yields them, from one reading.

    The columns have the time among them.
    """
    both = (split.train, split.test)
    bounds = [frame.attrs.get("whole") for frame in both]
    if not bounds[0]:
        yield tuple(frame[list(columns)] for frame in both)
        return
    whole = pd.DataFrame()
    whole.attrs["whole"] = bounds[0] | {"since": None, "until": None}
    for part in all_rows(whole, schema, columns):
        yield tuple(part[within(part, schema, bound)] for bound in bounds)


def tally(
    frame: pd.DataFrame, schema: Schema, column: str, place: Callable[[np.ndarray], np.ndarray], cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """Count rows and frauds by where a column's value belongs.

    Parameters
    ----------
    place : callable
        From values to whole numbers from 0 to `cells` - 1.

    Returns
    -------
    rows, frauds : numpy.ndarray of int64, shape (cells,)
    """
    counts = np.zeros((2, cells), dtype=np.int64)
    for part in all_rows(frame, schema, list(dict.fromkeys([column, schema.label]))):
        at = place(part[column].to_numpy()).astype(np.int64)
        fraud = part[schema.label].to_numpy() == 1
        counts += [np.bincount(at, minlength=cells), np.bincount(at[fraud], minlength=cells)]
    return counts[0], counts[1]


def sizes(frame: pd.DataFrame, schema: Schema) -> tuple[int, int]:
    """Rows and frauds; a sample has all frauds."""
    return count(frame), int(frame[schema.label].sum())


def span(frame: pd.DataFrame, schema: Schema, until: float = np.inf) -> tuple[float, float]:
    """The first and the last time, in seconds; of rows up to `until` only."""
    times = (part.to_numpy()[:, 0] for part in all_rows(frame, schema, [str(schema.time)]))
    ends = [(time.min(), time.max()) for each in times if len(time := each[each <= until])]
    return float(min(first for first, _ in ends)), float(max(last for _, last in ends))
