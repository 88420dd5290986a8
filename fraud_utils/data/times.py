"""From times as a file has them to seconds: units, epochs, timestamps, time zones and further dates."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import numpy as np
import pandas as pd

from fraud_utils.data.faults import Raw, shown
from fraud_utils.data.schema import Schema

SECONDS = {"seconds": 1.0, "minutes": 60.0, "hours": 3_600.0, "days": 86_400.0, "milliseconds": 1e-3}
SECONDS["months"] = 30.4375 * SECONDS["days"]  # a mean one: where months are numbered, days are not known
_EPOCH = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
_BETWEEN = (631_152_000.0, 4_102_444_800.0)  # 1990 to 2100 in seconds since 1970: other origins give no such numbers
_OFFSET = r":\d{2}(?:\.\d+)?\s*[+-]\d{2}(?::?\d{2})?$"
_DATES = (
    *("%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%Y", "%d.%m.%y", "%Y/%m/%d"),
    *("%Y %m %d", "%Y-%m-%d", "%Y.%m.%d", "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", " %H")
_FORMATS = tuple(date + clock for date, clock in product(_DATES, _CLOCKS))
_SAMPLE = 1_000  # cells that narrow the formats down


def convert(raw: Raw, schema: Schema) -> str | None:
    """Replace the time by seconds, and each further date by the seconds from it to the transaction.

    Returns
    -------
    str or None
        The instant of second 0 as ISO 8601: midnight, in UTC, of the first day with a row that counts. None where
        times have no date.
    """
    frame, written = raw.frame, schema.written
    _join_parts(raw, schema)
    if schema.time is None or schema.time not in frame:
        return None
    if frame[schema.time].dtype.kind == "f" and written.time_unit != "timestamp":
        return _numbers(raw, schema.time, written.time_unit)
    reader = _Reader(raw, schema)
    instants = reader.read(schema.time)
    counted = instants if raw.faults.counted is None else instants[raw.faults.counted]
    if counted.isna().all():
        return None
    origin = counted.min().floor("D")
    frame[schema.time] = (instants - origin).dt.total_seconds()
    for date in written.dates:
        if date in frame:
            frame[f"seconds_since_{date}"] = (instants - reader.read(date, may_be_missing=True)).dt.total_seconds()
            del frame[date]
    return origin.isoformat()


def are_timestamps(cells: pd.Series) -> bool:
    """Whether a column is of instants, or of texts that begin as dates do."""
    if cells.dtype.kind in "fiu":
        return False
    if cells.dtype.kind == "M":
        return True
    return bool(cells.dropna().head(_SAMPLE).str.match(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}").any())


def since_1970(low: float, high: float) -> str:
    """The unit in which numbers from `low` to `high` are times since 1970, in the years from 1990 to 2100; or none."""
    scales = ((unit, scale) for unit, scale in _EPOCH.items() if _BETWEEN[0] <= low * scale)
    return next((unit for unit, scale in scales if high * scale <= _BETWEEN[1]), "")


def fitting_formats(cells: pd.Series) -> list[str]:
    """The known formats, beside ISO 8601, that read some of these texts, from the first to the last."""
    sample = cells.iloc[:: max(1, len(cells) // _SAMPLE)]
    return [form for form in _FORMATS if parsed(sample, form).notna().all()]


def parsed(cells: pd.Series, form: str) -> pd.Series:
    """Instants in UTC, NaT where the format does not fit."""
    try:
        return pd.to_datetime(cells, format=form, utc=True, errors="coerce")
    except ValueError:  # no such code
        return pd.Series(pd.NaT, index=cells.index, dtype="datetime64[us, UTC]")


def _join_parts(raw: Raw, schema: Schema) -> None:
    """One column of texts from those of which the time is put together."""
    parts = schema.written.time_from
    if parts and all(part in raw.frame for part in parts):
        first, *others = (raw.frame[part] for part in parts)
        raw.frame[schema.time] = first.str.cat(others, sep=" ")
        for part in parts:
            del raw.frame[part]


def _numbers(raw: Raw, time: str, unit: str) -> str | None:
    """Numbers in a unit; those since 1970 count from the first day on."""
    values = raw.frame[time]
    known = values[np.isfinite(values)]
    if unit in ("seconds", "milliseconds"):
        epoch = since_1970(known.min(), known.max())
        if epoch in ("seconds", "milliseconds"):
            scale = _EPOCH[epoch]
            origin = pd.Timestamp(known.min() * scale, unit="s", tz="UTC").floor("D")
            raw.said.append(f"Column {time!r} is read as {epoch} since 1970, in UTC.")
            raw.frame[time] = values * scale - origin.timestamp()
            return origin.isoformat()
        for finer in ("microseconds", "nanoseconds"):
            bad = values.between(*(bound / _EPOCH[finer] for bound in _BETWEEN))
            raw.faults.values(time, bad, partial(_no_such_unit, unit, finer), values)
    if SECONDS[unit] != 1:
        raw.frame[time] = values * SECONDS[unit]
    return None


@dataclass
class _Reader:
    """Reads columns of instants; the format that one of them shows holds for the others."""

    raw: Raw
    schema: Schema
    formats: list[str] = field(default_factory=list)

    def read(self, column: str, may_be_missing: bool = False) -> pd.Series:
        """A column as instants in UTC; what is none becomes a fault."""
        cells, written = self.raw.frame[column], self.schema.written
        if cells.dtype.kind == "M":
            local = cells.dt.tz is None
            if not local and str(cells.dt.tz) != "UTC":
                self.raw.said.append(f"Column {column!r}: times with the zone {cells.dt.tz} are read as UTC.")
            instants = cells.dt.tz_localize("UTC") if local else cells.dt.tz_convert("UTC")
            naive = np.full(len(cells), local)
        elif (since_1970 := self._epoch(cells, column)) is not None:
            instants, naive = since_1970, np.zeros(len(cells), dtype=bool)
        else:
            cells = cells.astype("str").str.strip()
            instants, naive = self._texts(cells, column), ~self._offsets(cells, column)
        if not may_be_missing:
            self.raw.faults.values(column, cells.isna(), "the value is missing; fill it in or drop the row")
        self.raw.faults.values(column, instants.isna() & cells.notna(), _no_timestamp, cells)
        return self._localized(instants, naive, column, cells) if written.time_zone and naive.any() else instants

    def _offsets(self, cells: pd.Series, column: str) -> np.ndarray:
        """Which texts end in an offset from UTC."""
        offset = cells.str.contains(_OFFSET, regex=True, na=False).to_numpy(dtype=bool)
        if offset.any():
            example = shown(cells[offset].iloc[0])
            self.raw.said.append(f"Column {column!r}: offsets are taken into account, {example} is read as UTC.")
        return offset | cells.str.upper().str.endswith("Z", na=False).to_numpy(dtype=bool)

    def _epoch(self, cells: pd.Series, column: str) -> pd.Series | None:
        """Numbers since 1970 in the unit that their size shows; None for anything else."""
        known = cells.dropna()
        if cells.dtype.kind != "f" and not known.head(_SAMPLE).str.fullmatch(r"\s*\d{9,20}(\.\d*)?\s*").all():
            return None
        form = self.schema.written.time_format if column == self.schema.time and cells.dtype.kind != "f" else ""
        if form and parsed(known.str.strip(), form).notna().all():  # a date in digits: 2025013112
            return None
        values = pd.to_numeric(cells, errors="coerce")
        unit = since_1970(values.min(), values.max())
        if not unit:
            return None
        self.raw.said.append(f"Column {column!r} is read as {unit} since 1970, in UTC.")
        return pd.to_datetime(values * _EPOCH[unit], unit="s", utc=True)

    def _texts(self, cells: pd.Series, column: str) -> pd.Series:
        """Texts as instants by the format given, by ISO 8601, or by the one other format that fits them all."""
        known = cells.notna()
        given = [self.schema.written.time_format] if self.schema.written.time_format else []
        for form in [*given, "ISO8601", *self.formats]:
            instants = parsed(cells, form)
            if instants.notna().equals(known) or (form in given and column == self.schema.time):
                return instants
        fitting = fitting_formats(cells[known])
        read = {form: parsed(cells, form) for form in fitting}
        whole = [form for form in read if read[form].notna().equals(known)]
        if len(whole) > 1:
            self._ask(cells, column, {form: read[form] for form in whole})
            return read[whole[0]]
        if not whole:
            return read[fitting[0]] if len(fitting) == 1 else parsed(cells, "ISO8601")
        self.formats.append(whole[0])
        example = f"{shown(cells[known].iloc[0])} is {read[whole[0]][known].iloc[0]:%-d %B %Y}"
        self.raw.said.append(f"Column {column!r} is read with time_format: {whole[0]!r}: {example}.")
        return read[whole[0]]

    def _ask(self, cells: pd.Series, column: str, read: dict[str, pd.Series]) -> None:
        """Refuse to guess between several readings of a whole column."""
        first, *others = read.values()
        row = int(np.argmax(np.logical_or.reduce([(each != first) & cells.notna() for each in others])))
        readings = " or ".join(f"{instants.iloc[row]:%-d %B %Y}" for instants in read.values())
        lines = " or ".join(f"\"time_format: '{form}'\"" for form in read)
        cell = shown(cells.iloc[row])
        text = f"{cell} can be {readings}, and no row beside it decides which; write {lines} in the schema"
        self.raw.faults.values(column, cells.notna(), text)

    def _localized(self, instants: pd.Series, naive: np.ndarray, column: str, cells: pd.Series) -> pd.Series:
        """Local times as instants; hours that a change of clocks leaves out or repeats become faults."""
        zone = self.schema.written.time_zone
        local = instants.dt.tz_localize(None)
        placed = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
        twice = local.dt.tz_localize(zone, ambiguous=np.zeros(len(local), bool), nonexistent="NaT").notna()
        remedy = "write such times with their offset, as 2026-03-29T02:30:00+01:00, or leave 'time_zone' out"
        lost = naive & placed.isna() & instants.notna()
        for kind, what in ((lost & ~twice, "is skipped by"), (lost & twice, "comes twice with")):
            text = f"{{}} {what} the change of clocks in {zone}; {remedy}"
            self.raw.faults.values(column, kind, lambda cell, text=text: text.format(shown(cell)), cells)  # type: ignore
        self.raw.said.append(f"Column {column!r}: local times of {zone} are read as UTC.")
        return placed.dt.tz_convert("UTC").where(naive, instants)


def _no_such_unit(unit: str, finer: str, cell: float) -> str:
    instant = pd.Timestamp(cell * _EPOCH[finer], unit="s")
    return (
        f"{cell:.0f} is too large for {unit}, and in {finer} since 1970 it is {instant:%-d %B %Y}; write 'time_unit: "
        "timestamp', which tells them by their size"
    )


def _no_timestamp(cell: object) -> str:
    if re.match(r"\d{1,2}:\d{2}", str(cell)):
        return (
            f"{shown(cell)} is a time of day without a date; list the columns that make up the timestamp, as "
            "'time: [Year, Month, Day, Time]', in the schema"
        )
    return (
        f"{shown(cell)} is no timestamp; write it as 2026-01-31T23:59:59, or say how it is written, as "
        "\"time_format: '%d/%m/%Y %H:%M'\" in the schema"
    )
