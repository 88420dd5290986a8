"""A table on its way from a file to a frame, and all that is wrong with it: row, column, value and remedy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils.data.schema import DataError

LINES = 20  # of one message
Locate = Callable[[Collection[int]], Mapping[int, str]]


@dataclass(frozen=True)
class _Fault:
    column: str
    text: str
    row: int | None = None
    more: int = 0

    def sentence(self, places: Mapping[int, str]) -> str:
        place = "" if self.row is None else f"{places[self.row]}, "
        more = f" (and {self.more:,} more {'row' if self.more == 1 else 'rows'})" if self.more else ""
        return f"{place}column {self.column!r}{more}: {self.text}"


class Faults:
    """Gathers faults, so that whoever corrects a file is told of all of them at once.

    Parameters
    ----------
    source : str
        What messages call the table.
    locate : callable
        From rows of the frame, counted from 0, to where they are in the file: `row 3 (line 4)`.
    """

    def __init__(self, source: str, locate: Locate) -> None:
        self.source, self.locate = source, locate
        self.columns: dict[str, _Fault] = {}
        self.others: list[str] = []
        self.counted: np.ndarray | None = None

    def count_only(self, rows: np.ndarray) -> None:
        """From here on, faults in other rows do not matter."""
        self.counted = rows

    def add(self, sentence: str) -> None:
        """Something that is wrong with the table as a whole."""
        self.others.append(sentence)

    def column(self, column: str, text: str) -> None:
        """Something that is wrong with a whole column."""
        self.columns.setdefault(column, _Fault(column, text))

    def values(self, column: str, bad: Any, text: Callable[[Any], str] | str, cells: pd.Series | None = None) -> None:
        """Something that is wrong with some rows of a column, if there are any.

        Parameters
        ----------
        text : str or callable
            What is wrong; a callable gets the first bad row's cell.
        """
        bad = np.asarray(bad)
        if self.counted is not None:
            bad = bad & self.counted
        if column in self.columns or not bad.any():
            return
        row = int(np.argmax(bad))
        what = text if isinstance(text, str) else text(None if cells is None else cells.iloc[row])
        self.columns[column] = _Fault(column, what, row, int(bad.sum()) - 1)

    def refuse(self) -> None:
        """Raise one `DataError` with all faults, if there are any."""
        found = [*self.columns.values()]
        rows = {fault.row for fault in found if fault.row is not None}
        places = self.locate(rows) if rows else {}
        faults = [*self.others, *(fault.sentence(places) for fault in found)]
        if not faults:
            return
        if len(faults) == 1:
            raise DataError(f"{self.source}: {faults[0]}", faults)
        shown = [f"- {fault}" for fault in faults[:LINES]]
        if len(faults) > LINES:
            shown.append(f"- and {len(faults) - LINES:,} more")
        raise DataError("\n".join([f"{self.source}: {len(faults)} faults", *shown]), faults)


@dataclass
class Raw:
    """A file's columns as read, on their way to values.

    Attributes
    ----------
    frame : DataFrame
        Text, instants or float64; columns that the file lacks are missing here too.
    sha256 : str
        Of the uncompressed CSV, or of the parquet file.
    faults : Faults
        What is wrong so far.
    said : list of str
        What was detected so far, a sentence each.
    signs : frozenset of str
        Decimal signs that the numbers read so far show.
    either : str
        A number that has another value with another decimal sign; "" for none.
    simulated : bool
        Whether the file says that the simulator wrote it.
    legitimate : frozenset of str
        The values of a label in words that do not mean fraud.
    """

    frame: pd.DataFrame
    sha256: str
    faults: Faults
    said: list[str]
    signs: frozenset[str] = frozenset()
    either: str = ""
    simulated: bool = False
    legitimate: frozenset[str] = frozenset()


def shown(value: Any) -> str:
    """A cell as a message shows it."""
    text = str(value)
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
