"""The values of a frame: brought into form, checked, every fault named, and put in order of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data import labels, numbers, times
from fraud_utils.data.faults import Raw, shown
from fraud_utils.data.files import TableFile
from fraud_utils.data.schema import Schema


@dataclass(frozen=True)
class Spelling:
    """How a file writes numbers.

    Attributes
    ----------
    signs : frozenset of str
        The decimal signs of which clear numbers give evidence.
    either : str
        A number that has another value with another decimal sign; "" for none.
    codes : dict of str to str
        By column of texts that are whole numbers, the first of them: `5411` or `5411.0`.
    """

    signs: frozenset[str] = frozenset()
    either: str = ""
    codes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Loaded:
    """A table as it can be used.

    Attributes
    ----------
    frame : DataFrame
        `schema.columns`, in order of time where there is one: the label int8, the time in seconds, categorical columns
        `category`.
    sha256 : str
    read_as : tuple of str
        What was detected or decided, a sentence each.
    unlabelled : int
        Rows left out because they have no label.
    origin : str or None
        The instant of second 0; None where times have no date.
    simulated : bool
        Whether the file says that the simulator wrote it.
    legitimate : frozenset of str
        The values of a label in words that do not mean fraud.
    spelling : Spelling
        How the file writes numbers, which files of one table have to do alike.
    """

    frame: pd.DataFrame
    sha256: str
    read_as: tuple[str, ...] = ()
    unlabelled: int = 0
    origin: str | None = None
    simulated: bool = False
    legitimate: frozenset[str] = frozenset()
    spelling: Spelling = Spelling()


def checked(raw: Raw, table: TableFile) -> Loaded:
    """Bring into form and check what `read` returns.

    Raises
    ------
    DataError
        All that is wrong: a value is missing, of another kind, infinite, or out of its range.
    """
    frame, faults, schema = raw.frame, raw.faults, table.schema
    if frame.empty and table.part:
        return Loaded(frame, raw.sha256)
    if frame.empty:
        faults.add("has a header and no rows; export it again")
        faults.refuse()
    labelled = np.ones(len(frame), dtype=bool)
    if schema.label in frame:
        fraud, labelled = labels.decide(raw, schema, table.part)
        frame[schema.label] = fraud
    texts = {*schema.file_text, *((schema.time,) if _are_timestamps(raw, schema) else ())}
    wordy = [name for name in frame if name not in texts and frame[name].dtype.kind not in "fib"]
    raw.said += numbers.convert(raw, [name for name in wordy if frame[name].dtype.kind != "M"], schema)
    for name in wordy:
        if frame[name].dtype.kind == "M":
            faults.column(name, "holds timestamps, not numbers; list it under 'dates' or 'ignored'")
    origin = times.convert(raw, schema)
    if schema.time in frame and schema.written.dates and origin is None:
        faults.column(
            str(schema.time), "has no dates from which 'dates' could be counted; write 'time_unit: timestamp'"
        )
    _check_numbers(raw, schema)
    faults.refuse()
    return _in_order(raw, schema, labelled, origin)


def _are_timestamps(raw: Raw, schema: Schema) -> bool:
    """Whether times are timestamps: said where the schema names no unit, a fault where it names another."""
    unit = schema.written.time_unit
    if unit == "timestamp" or schema.time is None or schema.time not in raw.frame:
        return unit == "timestamp"
    if found := times.are_timestamps(raw.frame[schema.time]):
        if unit == "seconds":
            raw.said.append(f"Column {schema.time!r} holds dates and is read as 'time_unit: timestamp'.")
        else:
            value = shown(raw.frame[schema.time].dropna().iloc[0])
            raw.faults.column(schema.time, f"{value} is a date, not {unit}; write 'time_unit: timestamp' in the schema")
    return found


def _check_numbers(raw: Raw, schema: Schema) -> None:
    """Missing, infinite and negative values where none can be."""
    frame, faults = raw.frame, raw.faults
    names = (*((schema.time,) if schema.time else ()), *schema.numeric)
    floats = [name for name in names if name in frame and frame[name].dtype.kind == "f"]
    for name in floats:
        if name in (schema.time, schema.amount):
            faults.values(name, frame[name].isna(), "the value is missing; fill it in or drop the row")
        text = "the value is infinite; replace it with a number or leave it empty"
        faults.values(name, np.isinf(frame[name].to_numpy()), text)
    if schema.amount and schema.amount in floats and not schema.negative_amounts:
        text = "the amount {} is negative; correct it, or allow refunds with 'negative_amounts: true' in the schema"
        amount = frame[schema.amount]
        faults.values(schema.amount, amount < 0, lambda cell: text.format(f"{cell:g}"), amount)


def _in_order(raw: Raw, schema: Schema, labelled: np.ndarray, origin: str | None) -> Loaded:
    """The frame without rows that are left out, in order of time, its columns in the schema's."""
    frame, unlabelled = raw.frame, int((~labelled).sum())
    if unlabelled:
        frame = frame[labelled].reset_index(drop=True)
        also = ", of history too" if schema.to_compute else ""
        raw.said.append(f"{words.count(unlabelled, 'row')} without a label left out{also}.")
    columns = [name for name in schema.columns if name not in schema.to_compute]
    if [*frame] != columns:
        frame = frame[columns]
    for column in schema.categorical:
        frame[column] = frame[column].astype("category")
    if schema.time and not frame[schema.time].is_monotonic_increasing:
        frame = frame.sort_values(schema.time, kind="stable", ignore_index=True)
    return Loaded(
        frame, raw.sha256, tuple(raw.said), unlabelled, origin, raw.simulated, raw.legitimate, _spelling(raw, schema)
    )


def _spelling(raw: Raw, schema: Schema) -> Spelling:
    """How a file writes numbers; of codes the first thousand tell."""
    codes = {}
    for column in schema.text:
        first = raw.frame[column].dropna().head(1_000).astype(str)
        if len(first) and (first.str.fullmatch(r"\d+").all() or first.str.fullmatch(r"\d+\.0").all()):
            codes[column] = first.iloc[0]
    return Spelling(raw.signs, raw.either, codes)
