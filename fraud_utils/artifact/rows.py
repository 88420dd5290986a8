"""Raw rows, however they are given: checked, and turned into the booster's inputs. Errors name row and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import numpy as np

from fraud_utils.artifact.features import FeatureMap

_MISSING = "the value is missing, and training rows had none missing"
_LISTED = 40  # names in a message
_NUMBERS = frozenset({int, float, type(None)})


class RowError(ValueError):
    """Rows that cannot be scored; the message names row and column."""


@dataclass(frozen=True)
class Layout:
    """What rows look like.

    Attributes
    ----------
    features : FeatureMap
        How raw columns become the booster's inputs.
    columns : tuple of str
        The values of a row without names, in this order. No other width is taken: a row that lacks one value would be
        read with all that follow shifted.
    accepted : frozenset of str
        Column names that rows may have; the label, the time and the like are passed over.
    may_be_missing : frozenset of str
        Columns whose values may be missing.
    id : str or None
        The column that comes back with the scores.
    negative_amounts : bool
        Whether an amount below zero is one.
    history : frozenset of str
        Columns on what an entity did before; their values may be missing, the columns may not.
    """

    features: FeatureMap
    columns: tuple[str, ...]
    accepted: frozenset[str]
    may_be_missing: frozenset[str]
    id: str | None = None
    negative_amounts: bool = True
    history: frozenset[str] = frozenset()

    @cached_property
    def numeric(self) -> tuple[str, ...]:
        """The raw columns that hold numbers."""
        return tuple(column for column in self.features.raw if column not in self.features.categories)

    @cached_property
    def _strict(self) -> np.ndarray:
        """Which of the matrix's columns must have a value."""
        strict = np.zeros(len(self.features.names), dtype=bool)
        strict[: len(self.numeric)] = [column not in self.may_be_missing | self.history for column in self.numeric]
        return strict

    @cached_property
    def _places(self) -> list[int]:
        """Where a row without names holds each raw column."""
        return [self.columns.index(column) for column in self.features.raw]

    def names_of(self, width: int, row: int) -> tuple[str, ...]:
        """The columns meant by a row of so many values without names."""
        if width == len(self.columns):
            return self.columns
        first = ", ".join(self.columns[:3])
        which = f"{first}, ... {self.columns[-1]}" if len(self.columns) > 4 else ", ".join(self.columns)
        raise RowError(
            f"row {row} has {width} values; expected {len(self.columns)} ({which}) in a row without names; "
            "send these, in this order and without the label, or name the columns"
        )

    def columns_of(self, rows: Any) -> dict[str, Any]:
        """The raw columns that the features need, as arrays, lists or tuples.

        Parameters
        ----------
        rows : DataFrame, mapping of str to array, numpy.ndarray, or sequence
            Columns by name; or an array, or a sequence of lists, with values in the order of `columns`; or a sequence
            of mappings from column to value. None and NaN are missing values.
        """
        if isinstance(rows, Mapping) or hasattr(rows, "columns"):
            return self._from_columns(rows)
        if isinstance(rows, np.ndarray):
            if rows.ndim != 2:
                raise RowError(f"an array has {rows.ndim} dimensions; give one of shape (rows, columns)")
            names = self.names_of(rows.shape[1], 1)
            return {name: rows[:, names.index(name)] for name in self.features.raw}
        return self._from_rows(rows)

    def ids_of(self, rows: Any) -> list[Any] | None:
        """The id of each row as it was given, None for a row without; None where no row has one.

        Raises
        ------
        RowError
            An id is neither text nor a number.
        """
        if self.id is None:
            return None
        if isinstance(rows, Mapping) or hasattr(rows, "columns"):
            given = rows.columns if hasattr(rows, "columns") else rows
            return list(rows[self.id]) if self.id in given else None
        if self.id in self.columns:
            place = self.columns.index(self.id)
            ids = [row.get(self.id) if isinstance(row, Mapping) else row[place] for row in rows]
        else:
            ids = [row.get(self.id) if isinstance(row, Mapping) else None for row in rows]
        for number, value in enumerate(ids, 1):
            where = f"row {number}, column {self.id!r}"
            if isinstance(value, bool) or not isinstance(value, str | int | float | None):
                raise RowError(f"{where}: {_kind(value)} where text or a number is needed")
            if isinstance(value, float) and not np.isfinite(value):
                raise RowError(f"{where}: the value is no finite number")
            if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
                raise RowError(f"{where}: half of a surrogate pair, which UTF-8 cannot write")
        return None if all(value is None for value in ids) else ids

    def matrix(self, columns: Mapping[str, Any], first: int = 0) -> np.ndarray:
        """Check raw columns and derive the matrix; `first` is how many rows came before these."""
        numbers: Any = [columns[column] for column in self.numeric]
        if not all(isinstance(values, np.ndarray) and values.dtype == np.float64 for values in numbers):
            try:
                numbers = np.array(numbers, dtype=np.float64)
            except (TypeError, ValueError, OverflowError):
                raise self._not_a_number(columns, first) from None
        checked: dict[str, Any] = dict(zip(self.numeric, numbers, strict=True))
        for column in self.features.categories:
            checked[column] = self._texts(column, columns[column], first)
        with np.errstate(over="ignore"):  # what 32 bits cannot hold becomes infinite, and is refused
            matrix = self.features.matrix(checked)
        if not np.isfinite(matrix).all():
            for bad, fault in (
                (np.isinf(matrix), "the value is infinite or beyond what a 32-bit float holds"),
                (np.isnan(matrix) & self._strict, _MISSING),
            ):
                if bad.any():
                    row = int(np.argmax(bad.any(axis=1)))
                    column = self.numeric[int(np.argmax(bad[row]))]
                    raise RowError(f"row {first + row + 1}, column {column!r}: {fault}")
        amount = self.features.amount
        if amount and not self.negative_amounts and (negative := np.asarray(checked[amount]) < 0).any():
            row = first + int(np.argmax(negative)) + 1
            raise RowError(
                f"row {row}, column {amount!r}: the amount is negative, which the model's schema does not allow"
            )
        return matrix

    def _from_columns(self, table: Any) -> dict[str, Any]:
        given = list(table.columns if hasattr(table, "columns") else table)
        self._check_names(given)
        rows = next((len(table[column]) for column in self.features.raw if column in given), 0)
        columns = {}
        for column in self.features.raw:
            if column in given:
                values = table[column]
                columns[column] = values if isinstance(values, list | tuple) else np.asarray(values)
            elif column in self.may_be_missing and column not in self.history:
                columns[column] = np.full(rows, None if column in self.features.categories else np.nan)
            else:
                raise RowError(f"column {column!r} is missing; this model cannot score without it")
        return columns

    def _check_names(self, given: Sequence[str], row: str = "") -> None:
        for name in given:
            if name not in self.accepted:
                absent = {column.casefold(): column for column in self.columns if column not in given}
                close = get_close_matches(str(name).casefold(), absent, 1)
                remedy = f"did you mean {absent[close[0]]!r}?" if close else f"known: {_listed(self.columns)}"
                raise RowError(f"{row}column {str(name)[:60]!r} is unknown; {remedy}")

    def _from_rows(self, rows: Sequence[Any]) -> dict[str, Any]:
        raw, table, needed = self.features.raw, [], self.history.intersection(self.features.raw)
        for number, row in enumerate(rows, 1):
            if isinstance(row, Mapping):
                if not row.keys() <= self.accepted:
                    self._check_names(list(row), f"row {number}, ")
                if not needed <= row.keys():
                    raise _without_history(min(needed - row.keys()), number)
                table.append([row.get(column) for column in raw])
            elif isinstance(row, list | tuple):
                self.names_of(len(row), number)
                table.append([row[place] for place in self._places])
            else:
                raise RowError(f"row {number} is {_kind(row)}; give an object of names and values, or a list of values")
        count = len(self.numeric)
        for number, row in enumerate(table, 1):
            if not _NUMBERS.issuperset(map(type, row[:count])):
                column, value = next(
                    (column, value) for column, value in zip(raw, row, strict=True) if type(value) not in _NUMBERS
                )
                raise RowError(f"row {number}, column {column!r}: {_kind(value)} where a number is needed")
        return dict(zip(raw, zip(*table, strict=True), strict=True)) if table else dict.fromkeys(raw, ())

    def _texts(self, column: str, values: Any, first: int) -> np.ndarray:
        texts = np.empty(len(values), dtype=object)
        for row, value in enumerate(values):
            if isinstance(value, str) and value:
                texts[row] = value
            elif value is None or value == "" or value != value:  # NaN is how pandas marks a missing text
                if column not in self.may_be_missing:
                    raise RowError(f"row {first + row + 1}, column {column!r}: {_MISSING}")
            else:
                raise RowError(f"row {first + row + 1}, column {column!r}: {_kind(value)} where text is needed")
        return texts

    def _not_a_number(self, columns: Mapping[str, Any], first: int) -> RowError:
        for column in self.numeric:
            for row, value in enumerate(columns[column], first + 1):
                try:
                    float(np.nan if value is None else value)
                except (TypeError, ValueError, OverflowError):
                    return RowError(f"row {row}, column {column!r}: {_kind(value)} where a number is needed")
        return RowError("columns have different numbers of rows")


def header_of(line: Sequence[str], layout: Layout) -> tuple[str, ...] | None:
    """The columns that the first line of a CSV names; None where it is a row.

    A header is a line with a column's name in it, or without any number. Spaces around names do not count.
    """
    names = tuple(name.strip() for name in line)
    return None if layout.accepted.isdisjoint(names) and any(map(_is_value, names)) else names


def _is_value(text: str) -> bool:
    try:
        float(text or "nan")
    except ValueError:
        return False
    return True


def _without_history(column: str, row: int) -> RowError:
    return RowError(f"row {row}, column {column!r} is missing; send all columns of history, or none")


def _listed(names: Sequence[str]) -> str:
    """Names, of many only the first."""
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _kind(value: Any) -> str:
    """What a value is, in words, without repeating the transaction it belongs to."""
    names = {str: "text", bool: "true or false", dict: "an object", list: "a list", type(None): "nothing"}
    names |= {int: "a number out of range", float: "a number"}
    return names.get(type(value), f"a {type(value).__name__}")
