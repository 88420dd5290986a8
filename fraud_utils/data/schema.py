"""What the columns of a table mean: `Schema`, read from a small YAML file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

from fraud_utils.project import resolve


class DataError(ValueError):
    """Something is wrong with a table or its schema; the message says what, where and what to do."""


@dataclass(frozen=True)
class Schema:
    """Which column plays which part.

    Attributes
    ----------
    name : str
        What the table is called on pages.
    label : str
        1 for fraud, 0 for legitimate.
    time : str
        When, in `time_unit`: seconds from any origin, or timestamps that ISO 8601 allows.
    amount : str or None
        How much, in `currency`; costs are counted with it.
    features : tuple of str
        Numeric columns that models use besides the amount.
    categorical : tuple of str
        Text columns that models use.
    entity : str or None
        Card or account; folds keep an entity together.
    ignored : tuple of str
        Columns that the file has and nobody uses.
    negative_amounts : bool
        Whether an amount below zero (a refund) is allowed.
    """

    name: str
    label: str
    time: str
    amount: str | None
    features: tuple[str, ...]
    categorical: tuple[str, ...] = ()
    entity: str | None = None
    ignored: tuple[str, ...] = ()
    time_unit: str = "seconds"
    currency: str = "EUR"
    negative_amounts: bool = False

    def __post_init__(self) -> None:
        roles = [*self.columns, *self.ignored]
        if repeated := sorted({name for name in roles if roles.count(name) > 1}):
            raise DataError(f"column {repeated[0]!r} has two roles; give it one")
        if not self.features and not self.categorical and not self.amount:
            raise DataError("no column to learn from; list some under 'features'")
        if self.time_unit not in ("seconds", "timestamp"):
            raise DataError(f"time_unit is {self.time_unit!r}; it must be 'seconds' or 'timestamp'")

    @property
    def numeric(self) -> tuple[str, ...]:
        """Numeric columns, the label and the time left out."""
        return self.features + ((self.amount,) if self.amount else ())

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a loaded frame has, in its order."""
        amount = self.numeric[len(self.features) :]
        return (self.time, *self._entity, *self.features, *self.categorical, *amount, self.label)

    @property
    def text(self) -> tuple[str, ...]:
        """The columns that a file holds as text."""
        return (*self.categorical, *self._entity, *((self.time,) if self.time_unit == "timestamp" else ()))

    @property
    def _entity(self) -> tuple[str, ...]:
        return (self.entity,) if self.entity else ()

    @classmethod
    def read(cls, path: str | Path = "") -> Schema:
        """Read a schema from a YAML file; an empty path is the reference set's.

        Raises
        ------
        DataError
            The file is missing, is no YAML mapping, or has an unknown or missing key.
        """
        if not str(path):
            return ULB
        import yaml

        file = resolve(path)
        try:
            mapping = yaml.safe_load(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"SCHEMA={path}: no such file") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DataError(f"SCHEMA={path}: not readable as YAML: {error}") from None
        if not isinstance(mapping, dict):
            raise DataError(f"SCHEMA={path}: expected 'key: value' lines such as 'label: is_fraud'")
        try:
            return cls.from_dict({"name": file.stem, "amount": None, "features": []} | mapping)
        except DataError as error:
            raise DataError(f"SCHEMA={path}: {error}") from None

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Schema:
        """Build a schema from plain values.

        Raises
        ------
        DataError
            A key is unknown or missing, or its value is of the wrong type; the caller adds where the values are from.
        """
        kinds = get_type_hints(cls)
        for key in mapping:
            if key not in kinds:
                close = get_close_matches(str(key), kinds, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(kinds)}"
                raise DataError(f"unknown key {key!r}; {hint}")
        for item in dataclasses.fields(cls):
            if item.name not in mapping and item.default is dataclasses.MISSING:
                raise DataError(f"key {item.name!r} is missing; add a line '{item.name}: ...'")
        return cls(**{key: _value(key, value, kinds[key]) for key, value in mapping.items()})

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `from_dict` builds the same schema."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()
        }


def _value(key: str, value: Any, kind: Any) -> Any:
    """A plain value as a field of this type."""
    if kind == tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
            raise DataError(f"{key!r} must be a list of column names, not {value!r}")
        return tuple(value)
    if kind is bool and not isinstance(value, bool):
        raise DataError(f"{key!r} must be true or false, not {value!r}")
    if kind is not bool and not isinstance(value, str) and not (value is None and kind == str | None):
        raise DataError(f"{key!r} must be text, not {value!r}; put quotes around it")
    return value


ULB = Schema(
    name="ULB creditcard.csv",
    label="Class",
    time="Time",
    amount="Amount",
    features=tuple(f"V{i}" for i in range(1, 29)),
)
