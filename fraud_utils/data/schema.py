"""What the columns of a table mean: `Schema`, read from a small YAML file."""

from __future__ import annotations

import dataclasses
import math
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

from fraud_utils.artifact import OF_AMOUNTS, History
from fraud_utils.project import resolve

TIME_UNITS = ("seconds", "minutes", "hours", "days", "months", "milliseconds", "timestamp")
SIMULATED = {"cards": str(Path(__file__).with_name("simulate") / "cards.yaml")}  # schemas of what is made, by name


class DataError(ValueError):
    """Something is wrong with a table or its schema; the message says what, where and what to do.

    Attributes
    ----------
    faults : tuple of str
        All that is wrong, each fault in a sentence of its own.
    """

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults) or (message,)


@dataclass(frozen=True)
class Written:
    """How a file writes what its columns hold. A loaded frame has nothing of it left: `Written()` describes one.

    Attributes
    ----------
    fraud : str
        The label's value that means fraud, in any case; the other one is legitimate. Empty: 1, or true.
    unlabelled : str
        `leave_out`: rows without a label are passed over and counted. Empty: they are refused.
    time_unit : str
        One of `TIME_UNITS`: numbers since any origin, or `timestamp`.
    time_format : str
        Of timestamps, in the codes of Python's strptime. Empty: as ISO 8601 allows.
    time_zone : str
        Of timestamps that name none, such as `Europe/Paris`. Empty: UTC.
    time_from : tuple of str
        The columns whose texts, joined by spaces, are the timestamp. Empty: the time is one column.
    dates : tuple of str
        Further timestamps; of each, models get the seconds from it to the transaction.
    separator, decimal, thousands, encoding : str
        Of a CSV. Empty: what its first rows show.
    ignore_others : bool
        Whether columns that the schema does not name are passed over.
    """

    fraud: str = ""
    unlabelled: str = ""
    time_unit: str = "seconds"
    time_format: str = ""
    time_zone: str = ""
    time_from: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    separator: str = ""
    decimal: str = ""
    thousands: str = ""
    encoding: str = ""
    ignore_others: bool = False

    def __post_init__(self) -> None:
        if self.time_unit not in TIME_UNITS:
            raise DataError(f"time_unit is {self.time_unit!r}; it must be one of {', '.join(TIME_UNITS)}")
        if self.unlabelled not in ("", "leave_out"):
            raise DataError(f"unlabelled is {self.unlabelled!r}; it can only be 'leave_out'")
        if self.time_zone and not _is_time_zone(self.time_zone):
            raise DataError(f"time_zone is {self.time_zone!r}; it must be a name such as Europe/Paris")
        if self.encoding and not _is_encoding(self.encoding):
            raise DataError(f"encoding is {self.encoding!r}; it must be a name such as utf-8 or latin-1")
        if len(self.separator) > 1:
            raise DataError(f'separator is {self.separator!r}; it must be one character, a tab is "\\t"')
        if self.decimal not in ("", ".", ","):
            raise DataError(f"decimal is {self.decimal!r}; it must be '.' or ','")
        if len(self.thousands) > 1 or self.thousands.isalnum() or (self.thousands and self.thousands == self.decimal):
            raise DataError(f"thousands is {self.thousands!r}; it must be one character, and not the decimal's")


@dataclass(frozen=True)
class Schema:
    """Which column plays which part.

    Attributes
    ----------
    name : str
        What the table is called on pages.
    label : str
        Whether a row is fraud.
    time : str or None
        When; a loaded frame has it in seconds.
    amount : str or None
        How much, in `currency`; costs are counted with it.
    features : tuple of str
        Numeric columns that models use besides the amount.
    categorical : tuple of str
        Text columns that models use.
    id : str or None
        What a row is known by, as text; it comes back with the row's score, and labels are joined to a monitored
        table by it. Models do not use it.
    entity : str or None
        Card or account; folds keep an entity together.
    entities : tuple of str
        Further ones, such as the merchant. Models do not use them.
    groups : tuple of str
        Columns that tell groups of people apart, between whom errors are compared.
    ignored : tuple of str
        Columns that the file has and nobody uses.
    negative_amounts : bool
        Whether an amount below zero (a refund) is allowed.
    noun : str
        What one row is called on pages.
    label_delay_days : float
        How long after a transaction its label is known.
    history : tuple of History
        Columns on what an entity did before. Those that `features` name are in the table already.
    written : Written
        How the file writes it. In a YAML file its keys stand beside the others, and `time` may list the columns of
        `time_from`.
    source : str
        The YAML file, where there is one. It tells no two schemas apart.
    """

    name: str
    label: str
    time: str | None
    amount: str | None
    features: tuple[str, ...]
    categorical: tuple[str, ...] = ()
    id: str | None = None
    entity: str | None = None
    entities: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    currency: str = "EUR"
    negative_amounts: bool = False
    noun: str = "transaction"
    label_delay_days: float = 0.0
    history: tuple[History, ...] = ()
    written: Written = Written()
    source: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        roles = [*self.columns, *self.written.time_from, *self.written.dates, *self.ignored]
        if repeated := sorted({name for name in roles if roles.count(name) > 1}):
            raise DataError(f"column {repeated[0]!r} has two roles; give it one")
        if not self.numeric and not self.categorical:
            raise DataError("no column to learn from; list some under 'features'")
        if self.written.dates and not self.time:
            raise DataError("'dates' are counted from the time of the transaction; name its column under 'time'")
        if not 0 <= self.label_delay_days < math.inf:
            raise DataError(f"label_delay_days is {self.label_delay_days:g}; it must be 0 or a number of days")
        if (self.label_delay_days or self.history) and not self.time:
            key = "history" if self.history else "label_delay_days"
            raise DataError(f"{key!r} needs times; name the column of the transaction's time under 'time'")
        for history in self.history:
            _check_history(self, history)

    @property
    def measures(self) -> tuple[str, ...]:
        """Numeric columns of a loaded frame that models use, the amount left out."""
        return (*self.features, *(f"seconds_since_{date}" for date in self.written.dates), *self.to_compute)

    @property
    def to_compute(self) -> tuple[str, ...]:
        """The history columns that the table does not have already."""
        return tuple(name for each in self.history for name in each.columns if name not in self.features)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Numeric columns of a loaded frame, the label and the time left out."""
        return self.measures + ((self.amount,) if self.amount else ())

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a loaded frame has, in its order."""
        amount = self.numeric[len(self.measures) :]
        return (*self._time, *self._known_by, *self.measures, *self.categorical, *amount, self.label)

    @property
    def text(self) -> tuple[str, ...]:
        """The columns of a loaded frame that hold text."""
        return (*self.categorical, *self._known_by)

    @property
    def file_columns(self) -> tuple[str, ...]:
        """Every column that the file must have."""
        amount = (self.amount,) if self.amount else ()
        time = self.written.time_from or self._time
        inputs = (*self.features, *self.written.dates, *self.categorical)
        return (*time, *self._known_by, *inputs, *amount, self.label)

    @property
    def file_text(self) -> tuple[str, ...]:
        """The columns that the file holds as text."""
        time = self._time if self.written.time_unit == "timestamp" else ()
        return (*self.text, *(self.written.time_from or time), *self.written.dates)

    @property
    def as_loaded(self) -> Schema:
        """What a loaded frame's columns mean: nothing of the file is left, and the history's columns are features."""
        return replace(self, features=self.measures, ignored=(), written=Written())

    @property
    def _time(self) -> tuple[str, ...]:
        return (self.time,) if self.time else ()

    @property
    def _known_by(self) -> tuple[str, ...]:
        """The id, entities, and groups that models do not learn from."""
        names = (*((self.id,) if self.id else ()), *((self.entity,) if self.entity else ()), *self.entities)
        learnt = {*self.features, *self.categorical, self.amount}
        return names + tuple(name for name in self.groups if name not in learnt and name not in names)

    @classmethod
    def read(cls, path: str | Path = "", simulate: str = "") -> Schema:
        """Read a schema from a YAML file; an empty path is the reference set's, or that of what is to be simulated.

        Raises
        ------
        DataError
            The file is missing, is no YAML mapping, or has an unknown or missing key.
        """
        if simulate and simulate not in SIMULATED:
            raise DataError(f"simulate is {simulate!r}; it can be empty, or {' or '.join(SIMULATED)}")
        path = path or SIMULATED.get(simulate, "")
        if not str(path):
            return ULB
        import yaml

        file = resolve(path)
        try:
            mapping = yaml.safe_load(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"SCHEMA={path}: no such file") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            hint = "; put quotes around what has a sign such as % or ?" if isinstance(error, yaml.YAMLError) else ""
            raise DataError(f"SCHEMA={path}: not readable as YAML: {error}{hint}") from None
        if not isinstance(mapping, dict):
            raise DataError(f"SCHEMA={path}: expected 'key: value' lines such as 'label: is_fraud'")
        try:
            schema = cls.from_dict({"name": file.stem, "time": None, "amount": None, "features": []} | mapping)
            return replace(schema, source=str(path))
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
        kinds = get_type_hints(cls) | get_type_hints(Written)
        del kinds["written"], kinds["source"]
        for key in mapping:
            if key not in kinds:
                close = get_close_matches(str(key), kinds, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(kinds)}"
                raise DataError(f"unknown key {key!r}; {hint}")
        for item in dataclasses.fields(cls):
            if item.name not in mapping and item.default is dataclasses.MISSING:
                raise DataError(f"key {item.name!r} is missing; add a line '{item.name}: ...'")
        given = _time_of_parts(mapping)
        if isinstance(given.get("fraud"), int | float):  # YAML makes true of yes, and numbers of digits
            given["fraud"] = str(given["fraud"]).lower()
        values = {key: _value(key, value, kinds[key]) for key, value in given.items()}
        written = {item.name: values.pop(item.name) for item in dataclasses.fields(Written) if item.name in values}
        return cls(**values, written=Written(**written))

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `from_dict` builds the same schema."""
        values = dataclasses.asdict(self)
        del values["source"]
        values |= values.pop("written")
        return {key: _plain(value) for key, value in values.items()}


def _check_history(schema: Schema, history: History) -> None:
    """Refuse what is of no entity, or of amounts where there are none."""
    known = [*((schema.entity,) if schema.entity else ()), *schema.entities]
    if history.by not in known:
        close = get_close_matches(history.by, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else "list its column under 'entity' or 'entities'"
        if history.by == schema.id:
            hint = "it is the id, which no two rows share; take the card, the account or the merchant"
        raise DataError(f"history by {history.by!r}: there is no such entity; {hint}")
    if not schema.amount and (of := next((name for name in history.of if name in OF_AMOUNTS), None)):
        raise DataError(
            f"history by {history.by!r}: {of!r} is of amounts, and the schema names none; name their column under "
            "'amount', or take it out of 'of'"
        )


def _is_time_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # not a name, a folder of names, unknown
        return False
    return True


def _is_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except LookupError:
        return False
    return True


def _time_of_parts(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The same values, with a name for a time of several columns."""
    given = dict(mapping)
    if isinstance(given["time"], list):  # the parts of one timestamp
        if not given["time"]:
            raise DataError("'time' lists no column; name those that make up the timestamp, or leave it out")
        if (unit := given.get("time_unit", "timestamp")) != "timestamp":
            raise DataError(f"time_unit is {unit!r}, but the columns under 'time' make up a timestamp; leave it out")
        name = "date_and_time" if "time" in given["time"] else "time"
        given |= {"time": name, "time_from": given["time"], "time_unit": "timestamp"}
    return given


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _history(value: Any) -> tuple[History, ...]:
    """The entries under `history`."""
    example = "such as '- {by: card, days: [1, 7, 30], of: [count, mean]}'"
    if not isinstance(value, list | tuple) or not all(isinstance(entry, Mapping) for entry in value):
        raise DataError(f"'history' must be a list, with lines {example}, not {value!r}")
    entries = []
    for entry in value:
        if odd := {*entry} ^ {"by", "days", "of"}:
            key = sorted(map(str, odd))[0]
            raise DataError(f"'history': {key!r} is {'unknown' if key in entry else 'missing'}; write lines {example}")
        if not isinstance(entry["by"], str) or not isinstance(entry["days"], list | tuple):
            raise DataError(f"'history': 'by' must be a column's name and 'days' a list, {example}")
        days = tuple(_number("days", each) for each in entry["days"])
        try:
            entries.append(History(entry["by"], days, _value("of", entry["of"], tuple[str, ...])))
        except ValueError as error:
            raise DataError(str(error)) from None
    return tuple(entries)


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{key!r} must be a number, not {value!r}")
    return float(value)


def _value(key: str, value: Any, kind: Any) -> Any:
    """A plain value as a field of this type."""
    if kind == tuple[History, ...]:
        return _history(value)
    if kind is float:
        return _number(key, value)
    if kind == tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
            raise DataError(f"{key!r} must be a list of names, not {value!r}")
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
