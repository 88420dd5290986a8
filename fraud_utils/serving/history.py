"""History of a request's rows: as they bring it, from events that come with them, or from the store.

What a row brings counts: all history columns before events, and events before the store, which is asked, and told, only
about rows that bring neither. Rows of one request count as if each had come in a request of its own, in their order.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fraud_utils.artifact import EVENTS, MISSING, Model, RowError, cents
from fraud_utils.serving.stores import SETTING, Event, Store, StoreError, add, open_store

UNAVAILABLE, UNRECORDED = "unavailable", "unrecorded"
LABELS: dict[str, bool | None] = {"0": False, "1": True, "0.0": False, "1.0": True, "False": False, "True": True}
LABELS |= dict.fromkeys((*MISSING, "None"))  # not known yet


class Past:
    """What a model's rows need from the past, and the store that keeps it, where there is one."""

    @classmethod
    def of(cls, model: Model, setting: str, folder: Path, seconds: float) -> Past | None:
        """What a model needs, None for nothing; see `open_store` for the rest."""
        used = model.layout.history.intersection(model.layout.features.raw)
        if not used:
            return None
        delay = model.manifest["schema"]["label_delay_days"]
        return cls(model, open_store(setting, folder, max(each.reach(delay) for each in model.histories), seconds))

    def __init__(self, model: Model, store: Store | None) -> None:
        schema = model.manifest["schema"]
        self.histories, self.store = model.histories, store
        self.delay = schema["label_delay_days"]
        self.columns = model.layout.history
        self.entities = tuple(dict.fromkeys(history.by for history in self.histories))
        self.id, self.time, self.amount, self.label = (schema[role] for role in ("id", "time", "amount", "label"))

    def event(self, row: Mapping[str, Any], where: str, identity: str = "") -> Event:
        """A row as an event; `identity` is what a row without an id is known by.

        Raises
        ------
        RowError
        """
        moment = _number(row, self.time, where)
        amount = int(cents(_number(row, self.amount, where))) if self.amount else 0
        known = row.get(self.id) if self.id else None
        label = str(row.get(self.label))
        if label not in LABELS:
            raise RowError(f"{where}, column {self.label!r}: a label is 0 or 1, and left out while it is not known")
        return Event(identity if known in (None, "") else str(known), moment, amount, LABELS[label])

    def entity(self, row: Mapping[str, Any], by: str, where: str) -> str:
        """An entity, as text; empty where it is not known."""
        value = row.get(by)
        if value is None or value != value or (isinstance(value, str) and value in MISSING):
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise RowError(f"{where}, column {by!r}: an entity is text or a whole number")
        return str(value)

    def values(self, event: Event, events: Mapping[str, list[Event]]) -> dict[str, float]:
        """An event's history columns from its entities' recent events; NaN where an entity is not known."""
        values: dict[str, float] = {}
        for history in self.histories:
            if (known := events.get(history.by)) is None:
                values |= dict.fromkeys(history.columns, math.nan)
            else:
                recent = [(e.time, e.cents, bool(e.fraud)) for e in known if e.id != event.id]
                values |= history.of_event(event.time, event.cents, recent, self.delay)
        return values


class Rows:
    """A request's rows with their history, of which the store is told only once they have all been scored.

    Attributes
    ----------
    rows : mapping of str to sequence, or list
        As `Model.score` takes them.
    notes : list of str
        For each row what its answer has to say: `UNAVAILABLE`, where the store did not answer and all history is
        missing; `UNRECORDED`, where the store has not kept the event; else nothing.
    fault : str
        Why the store did not answer.
    """

    def __init__(self, past: Past, rows: Any, identity: str) -> None:
        self.past, self.identity, self.fault = past, identity or os.urandom(8).hex(), ""
        self._known: dict[str, dict[str, Event]] = {}  # what the store knows, and what it will be told, by entity
        self._told: list[tuple[int, str, Event]] = []
        if isinstance(rows, Mapping):
            self.notes = [""] * len(next(iter(rows.values()), ()))
            self.rows: Any = rows if past.columns & rows.keys() else self._complete_columns(rows)
        else:
            self.notes = [""] * len(rows)
            self.rows = [self._complete(row, number) if isinstance(row, Mapping) else row
                         for number, row in enumerate(rows)]  # fmt: skip

    def record(self) -> list[str]:
        """Tell the store about the rows whose history it gave; returns the notes."""
        for number, entity, event in self._told:
            if not self.fault:
                try:
                    self.past.store.record(entity, event)  # type: ignore[union-attr]
                except StoreError as error:
                    self.fault = str(error)
            if self.fault:
                self.notes[number] = self.notes[number] or UNRECORDED
        return self.notes

    def _complete_columns(self, rows: Mapping[str, Any]) -> dict[str, Any]:
        past = self.past
        names = [name for name in (past.id, past.time, past.amount, past.label, *past.entities) if name in rows]
        each = zip(*(rows[name] for name in names), strict=True)
        made = [self._from_store(dict(zip(names, values, strict=True)), number) for number, values in enumerate(each)]
        return {**rows, **{name: [values[name] for values in made] for name in past.columns}}

    def _complete(self, row: Mapping[str, Any], number: int) -> Mapping[str, Any]:
        """A row of JSON with its history columns."""
        events = row.get(EVENTS)
        if EVENTS in row:
            row = {name: value for name, value in row.items() if name != EVENTS}
        if self.past.columns & row.keys():
            return row
        return {**row, **(self._from_store(row, number) if events is None else self._from_events(row, events, number))}

    def _from_events(self, row: Mapping[str, Any], given: Any, number: int) -> dict[str, float]:
        past, where = self.past, f"row {number + 1}"
        if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
            raise RowError(f"{where}: {EVENTS!r} must be a list of objects, the entities' earlier rows")
        own = past.event(row, where)
        events: dict[str, dict[str, Event]] = {by: {} for by in past.entities if past.entity(row, by, where)}
        for place, each in enumerate(given, 1):
            of = f"{where}, {EVENTS} {place}"
            event = past.event(each, of, f"{self.identity}/{place}")
            for by, known in events.items():
                if past.entity(each, by, of) == past.entity(row, by, where):
                    add(known, event)
        return past.values(own, {by: list(known.values()) for by, known in events.items()})

    def _from_store(self, row: Mapping[str, Any], number: int) -> dict[str, float]:
        past, where = self.past, f"row {number + 1}"
        if past.store is None:
            raise RowError(
                f"{where}, column {min(past.columns)!r} is missing; send all columns of history, or the entities' "
                f"earlier rows as {EVENTS!r} in JSON, or set {SETTING} so that the endpoint keeps them"
            )
        event = past.event(row, where, f"{self.identity}/{number}")
        entities = {by: f"{by}={name}" for by in past.entities if (name := past.entity(row, by, where))}
        try:
            for entity in entities.values():
                if not self.fault and entity not in self._known:
                    self._known[entity] = {each.id: each for each in past.store.recent(entity)}
        except StoreError as error:
            self.fault = str(error)
        if self.fault:  # and it is not asked again: each time may take as long
            self.notes[number] = UNAVAILABLE
            return dict.fromkeys(past.columns, math.nan)
        values = past.values(event, {by: list(self._known[entity].values()) for by, entity in entities.items()})
        for entity in entities.values():
            add(self._known[entity], event)
            self._told.append((number, entity, event))
        return values


def _number(row: Mapping[str, Any], column: str, where: str) -> float:
    """A number that history cannot do without."""
    value = row.get(column)
    try:
        number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise RowError(f"{where}, column {column!r}: history needs a number here")
    return number
