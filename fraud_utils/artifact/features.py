"""The few columns derived from raw ones. NumPy only: notebooks, `train` and `serve` share this very code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAX_CATEGORIES = 32
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
    is all zeros.

    Attributes
    ----------
    numeric : tuple of str
    amount : str or None
    categories : dict of str to tuple of str
        The values that have an indicator, by column.
    """

    numeric: tuple[str, ...]
    amount: str | None = None
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def fit(cls, schema: Any, frame: Mapping[str, Any]) -> FeatureMap:
        """Learn the categories from training rows; `schema` is a `data.Schema`."""
        categories = {}
        for column in schema.categorical:
            values = np.asarray(frame[column], dtype=object)
            known, counts = np.unique(
                values[[isinstance(value, str) for value in values]].astype(str), return_counts=True
            )
            categories[column] = tuple(sorted(known[np.argsort(-counts, kind="stable")][:MAX_CATEGORIES].tolist()))
        return cls(tuple(schema.measures), schema.amount, categories)

    @property
    def raw(self) -> tuple[str, ...]:
        """The columns that `matrix` reads."""
        return (*self.numeric, *((self.amount,) if self.amount else ()), *self.categories)

    @property
    def names(self) -> tuple[str, ...]:
        """The matrix's columns, in order."""
        indicators = (f"{column}={value}" for column, values in self.categories.items() for value in values)
        return (*self.numeric, *((f"log_{self.amount}",) if self.amount else ()), *indicators)

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
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `from_dict` builds the same map."""
        return {
            "numeric": list(self.numeric),
            "amount": self.amount,
            "categories": {column: list(values) for column, values in self.categories.items()},
        }

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> FeatureMap:
        """Inverse of `to_dict`."""
        categories = {column: tuple(values) for column, values in mapping["categories"].items()}
        return cls(tuple(mapping["numeric"]), mapping["amount"], categories)
