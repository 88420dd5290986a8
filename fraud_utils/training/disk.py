"""Rows that are more than memory: kept on disk column by column, and read from there one column or page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_utils.data import parquet_rows

PAGE_ROWS = 500_000
# A job in memory takes 3.5 times its rows as numbers of 64 bits (measured on two million); above this share of memory
# they are kept on disk, which takes a quarter of that.
TIMES, SHARE = 3.5, 0.5


def needed_bytes(folder: Path, columns: int) -> float:
    """How much memory a job takes that reads the parquet files of a folder into it."""
    rows = sum(parquet_rows(path) for path in folder.rglob("*.parquet"))
    return TIMES * rows * columns * 8


class Store:
    """A table on disk, to which frames are added; all have the same columns."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self.rows = folder, 0
        self._kinds: dict[str, np.dtype] = {}
        self._known: dict[str, dict[str, int]] = {}  # the code of each category

    def add(self, frame: pd.DataFrame) -> None:
        """Append rows; an OSError says where the disk is full."""
        for number, name in enumerate(frame):
            values = frame[name]
            if isinstance(values.dtype, pd.CategoricalDtype):
                known = self._known.setdefault(name, {})
                codes = [known.setdefault(value, len(known)) for value in values.cat.categories]
                array = np.array([*codes, -1], dtype=np.int32)[values.cat.codes]
            else:
                array = np.ascontiguousarray(values.to_numpy())
            self._kinds[name] = array.dtype
            with (self.folder / str(number)).open("ab") as file:
                file.write(array.view(np.uint8))  # tofile would not say why it cannot
        self.rows += len(frame)

    def column(self, name: str) -> np.ndarray:
        """The values of a column, or the codes of its categories, to be read or changed."""
        number = list(self._kinds).index(name)
        return np.memmap(self.folder / str(number), self._kinds[name], "r+", shape=(self.rows,))

    def order(self, by: str, shifts: Sequence[float], sizes: Sequence[int]) -> None:
        """Add a shift to each run of rows in a column, and bring all rows in its order."""
        values = self.column(by)
        values += np.repeat(shifts, sizes)
        if np.any(np.diff(values) < 0):
            order = np.argsort(values, kind="stable")
            for name in self._kinds:
                column = self.column(name)
                column[:] = column[order]

    def frame(self) -> pd.DataFrame:
        """All rows, which stay on disk until they are looked at."""
        columns = {}
        for name in self._kinds:
            values = self.column(name)
            if name in self._known:
                columns[name] = pd.Categorical.from_codes(values, categories=list(self._known[name]))
            else:
                columns[name] = values
        return pd.DataFrame(columns, copy=False)
