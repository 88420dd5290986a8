"""The few columns derived from raw ones. NumPy only: notebooks, `train` and `serve` share this very code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

MAX_CATEGORIES = 32
MAX_CODES = 1023
# How CSV spells a missing value, in training tables and in requests: as pyarrow, which reads both, does by default.
MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "N/A", "NA"}
    | {"NULL", "NaN", "n/a", "nan", "null"}
)


@dataclass(frozen=True)
class FeatureMap:
    """How raw columns become the matrix that a model sees.

    Numeric columns pass as they are; the amount becomes sign(a) log(1 + |a|), since it spans five orders of magnitude;
    a categorical column becomes one indicator for each of its most frequent training values, and any other value
    is all zeros. A column of more values than have indicators also becomes its value's rank by frequency, from 0;
    values that training rows did not have, and missing ones, share the rank after the last.
    Columns that are alike in all training rows (`constant`) are left out.

    Attributes
    ----------
    numeric : tuple of str
    amount : str or None
    categories : dict of str to tuple of str
        The values that have an indicator, by column.
    ranks : dict of str to tuple of str
        By column of more values than that, the most frequent ones (at most `MAX_CODES`), in order.
    """

    numeric: tuple[str, ...]
    amount: str | None = None
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ranks: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def fit(cls, schema: Any, frame: Mapping[str, Any]) -> FeatureMap:
        """Learn from training rows which columns vary, and the categories; `schema` is a `data.Schema`.

        Raises
        ------
        ValueError
            No column varies.
        """
        alike = cls.constant(schema, frame)
        categories, ranks = {}, {}
        for column in schema.categorical:
            if column not in alike:
                known, counts = np.unique(_texts(frame[column]), return_counts=True)
                frequent = known[np.argsort(-counts, kind="stable")][:MAX_CODES].tolist()
                categories[column] = tuple(sorted(frequent[:MAX_CATEGORIES]))
                if len(frequent) > MAX_CATEGORIES:
                    ranks[column] = tuple(frequent)
        numeric = tuple(column for column in schema.measures if column not in alike)
        amount = None if schema.amount in alike else schema.amount
        if not numeric and not amount and not categories:
            raise ValueError(
                f"no column to learn from: in all training rows {next(iter(alike))!r} and every other column of the "
                "schema are alike; list a column that varies"
            )
        return cls(numeric, amount, categories, ranks)

    @staticmethod
    def constant(schema: Any, frame: Mapping[str, Any]) -> dict[str, str]:
        """Columns of `schema` in which these rows are all alike, so that nothing can be learned from them.

        One value beside missing ones is not alike: that a value is missing may tell something.

        Returns
        -------
        dict of str to str
            By column what is found there: `no value`, or `always 0`.
        """
        found = {}
        for column in (*schema.numeric, *schema.categorical):
            text = column in schema.categorical
            values = np.asarray(frame[column], dtype=object if text else np.float64)
            known = _texts(values) if text else values[~np.isnan(values)]
            if not len(known):
                found[column] = "no value"
            elif len(known) == len(values) and (known == known[0]).all():
                found[column] = f"always {known[0] if text else format(known[0], 'g')}"
        return found

    @property
    def raw(self) -> tuple[str, ...]:
        """The columns that `matrix` reads."""
        return (*self.numeric, *((self.amount,) if self.amount else ()), *self.categories)

    @property
    def names(self) -> tuple[str, ...]:
        """The matrix's columns, in order; one that a table has under a derived name keeps it alone."""
        indicators = (f"{column}={value}" for column, values in self.categories.items() for value in values)
        ranks = (f"{column}_rank" for column in self.ranks)
        names = dict.fromkeys(self.numeric)
        for name in (*((f"log_{self.amount}",) if self.amount else ()), *indicators, *ranks):
            while name in names:
                name += "_"
            names[name] = None
        return tuple(names)

    @property
    def sources(self) -> tuple[str, ...]:
        """The raw column that each of the matrix's columns comes from."""
        indicators = (column for column, values in self.categories.items() for _ in values)
        return (*self.numeric, *((self.amount,) if self.amount else ()), *indicators, *self.ranks)

    @property
    def coded(self) -> tuple[int, ...]:
        """Places of the matrix's columns that are ranks: codes of categories, for learners that part them by sets."""
        return tuple(range(len(self.names) - len(self.ranks), len(self.names)))

    @cached_property
    def _rank_of(self) -> dict[str, dict[str, int]]:
        return {column: {value: rank for rank, value in enumerate(values)} for column, values in self.ranks.items()}

    def matrix(self, columns: Mapping[str, Any]) -> np.ndarray:
        """Derive the model's inputs.

        Parameters
        ----------
        columns : mapping of str to array of shape (rows,)
            Raw columns by name: a DataFrame, or a dict of arrays.

        Returns
        -------
        numpy.ndarray of float32, shape (rows, len(names)), C-contiguous
            Missing values are NaN.

        Raises
        ------
        KeyError
            A raw column is missing.
        """
        first = np.asarray(columns[self.raw[0]])
        out = np.empty((len(first), len(self.names)), dtype=np.float32)
        for j, column in enumerate(self.numeric):
            out[:, j] = columns[column]
        j = len(self.numeric)
        if self.amount:
            amount = np.asarray(columns[self.amount], dtype=np.float64)
            out[:, j] = np.copysign(np.log1p(np.abs(amount)), amount)
            j += 1
        for column, values in self.categories.items():
            given = np.asarray(columns[column], dtype=object)
            for value in values:
                out[:, j] = given == value
                j += 1
        for column, rank_of in self._rank_of.items():
            unknown = len(rank_of)
            out[:, j] = [rank_of.get(value, unknown) for value in np.asarray(columns[column], dtype=object)]
            j += 1
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `from_dict` builds the same map."""
        return {
            "numeric": list(self.numeric),
            "amount": self.amount,
            "categories": {column: list(values) for column, values in self.categories.items()},
            "ranks": {column: list(values) for column, values in self.ranks.items()},
        }

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> FeatureMap:
        """Inverse of `to_dict`."""
        categories = {column: tuple(values) for column, values in mapping["categories"].items()}
        ranks = {column: tuple(values) for column, values in mapping.get("ranks", {}).items()}
        return cls(tuple(mapping["numeric"]), mapping["amount"], categories, ranks)


def _texts(values: Any) -> np.ndarray:
    """The values that are no missing ones, as text."""
    values = np.asarray(values, dtype=object)
    return values[[isinstance(value, str) for value in values]].astype(str)
