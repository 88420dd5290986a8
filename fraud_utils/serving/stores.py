"""Where an endpoint keeps its entities' recent events: a file of SQLite's, or a table of DynamoDB's.

A store has two verbs, `recent(entity)` and `record(entity, event)`. Events expire a day after the longest window, by
the clock and from when they were recorded: a transaction's own time, were it wrong, expires nothing.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

SETTING = "FRAUD_HISTORY"
LATE_SECONDS = 86_400  # how late an event may come and still find its whole window
EXPIRE_EVERY = 1_000  # events recorded


class StoreError(Exception):
    """The store did not answer in time, or not as it should; the message says what happened."""


class Event(NamedTuple):
    """What is kept of a transaction: its amount in `cents`, and whether it is known to be fraud, None for not yet."""

    id: str
    time: float
    cents: int
    fraud: bool | None = None


class Store(Protocol):
    """Recent events by entity; an entity is any text.

    Attributes
    ----------
    remote : bool
        Whether it is asked over a network, which takes milliseconds.
    """

    remote: bool

    def recent(self, entity: str) -> list[Event]:
        """The events that are kept, in no order; none of an entity that is not known.

        Raises
        ------
        StoreError
        """

    def record(self, entity: str, event: Event) -> None:
        """Keep an event. One with an id that is kept already changes nothing but the label, where it has one.

        Raises
        ------
        StoreError
        """


def check(setting: str) -> str:
    """The setting as it is, where `open_store` can act on it.

    Raises
    ------
    ValueError
    """
    if setting and not re.fullmatch(r"sqlite:.+|dynamodb:[\w.-]{3,255}", setting):
        raise ValueError(f"{SETTING} is {setting!r}; it must be sqlite:PATH, or dynamodb:TABLE, or empty for no store")
    return setting


def open_store(setting: str, folder: Path, reach: float, seconds: float) -> Store | None:
    """The store that a setting names, None for an empty one; whether it answers shows when it is asked.

    Parameters
    ----------
    setting : str
        `sqlite:PATH`, from `folder` on where it is relative, or `dynamodb:TABLE`.
    reach : float
        The longest time that an event counts for, in seconds.
    seconds : float
        How long to wait for an answer.
    """
    kind, _, name = check(setting).partition(":")
    if kind == "sqlite":
        return SqliteStore(folder / name, reach + LATE_SECONDS, seconds)
    return DynamoStore(name, reach + LATE_SECONDS, seconds) if kind else None


def add(events: dict[str, Event], event: Event) -> None:
    """What `Store.record` does, in a dict by id."""
    known = events.get(event.id, event)
    events[event.id] = known if event.fraud is None else known._replace(fraud=event.fraud)


class SqliteStore:
    """A file that the worker processes of one instance share, and that outlives them."""

    remote = False

    def __init__(self, path: Path, keep_seconds: float, seconds: float) -> None:
        self.path, self.keep_seconds, self.seconds = path, keep_seconds, seconds
        self._own = threading.local()  # a connection serves one thread, and no fork

    def recent(self, entity: str) -> list[Event]:
        return [Event._make(row) for row in self._run(
            "SELECT id, time, cents, fraud FROM events WHERE entity = ?", (entity,)
        )]  # fmt: skip

    def record(self, entity: str, event: Event) -> None:
        now = time.time()
        self._run(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET fraud = coalesce(excluded.fraud, fraud)",
            (entity, *event, now),
        )
        self._own.recorded += 1
        if self._own.recorded % EXPIRE_EVERY == 1:
            self._run("DELETE FROM events WHERE recorded < ?", (now - self.keep_seconds,))

    def _run(self, statement: str, values: Iterable[Any]) -> list[tuple[Any, ...]]:
        try:
            if not hasattr(self._own, "connection"):
                self._own.connection, self._own.recorded = self._open(), 0
            return self._own.connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            if connection := self._own.__dict__.pop("connection", None):
                connection.close()  # the next one meets the file as it is then
            raise StoreError(f"{self.path.name}: {error}") from None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=self.seconds, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # readers and a writer do not wait for each other
            connection.execute("PRAGMA synchronous = NORMAL")  # a crash of the machine may lose the last events
            connection.execute(
                "CREATE TABLE IF NOT EXISTS events (entity TEXT, id TEXT, time REAL, cents INTEGER, fraud INTEGER, "
                "recorded REAL, PRIMARY KEY (entity, id)) WITHOUT ROWID"
            )
            connection.execute("CREATE INDEX IF NOT EXISTS by_recorded ON events (recorded)")
        except sqlite3.Error:
            connection.close()
            raise
        return connection


class DynamoStore:
    """A table that all instances of an endpoint share: an item an entity, with its events as JSON.

    An item that another writer changed since it was read is read again, so that no event is lost. DynamoDB takes 400 KB
    an item, some 6,000 events.
    """

    remote = True

    def __init__(self, table: str, keep_seconds: float, seconds: float) -> None:
        import boto3  # here, so that workers share its memory; nobody else pays for it

        self.table, self.keep_seconds, self.seconds = table, keep_seconds, seconds
        self._boto3, self._read = boto3, {}  # type: ignore[var-annotated]

    @cached_property
    def _client(self) -> Any:
        from botocore.config import Config

        waits = {"connect_timeout": self.seconds, "read_timeout": self.seconds}
        config = Config(region_name=os.environ.get("AWS_REGION"), **waits, retries={"total_max_attempts": 1})
        return self._boto3.client("dynamodb", config=config)  # boto3 does not read what SageMaker sets

    def recent(self, entity: str) -> list[Event]:
        if len(self._read) > EXPIRE_EVERY:
            self._read.clear()
        kept, _ = self._read[entity] = self._get(entity)
        return [Event(*each[:-1]) for each in kept]

    def record(self, entity: str, event: Event) -> None:
        until = time.monotonic() + self.seconds
        read = self._read.pop(entity, None) or self._get(entity)  # most often what `recent` has read is still there
        while not self._put(entity, read, event):
            if time.monotonic() > until:
                raise StoreError(f"{self.table}: other writers came first for {self.seconds:g} seconds")
            read = self._get(entity)

    def _get(self, entity: str) -> tuple[list[Any], int]:
        """An entity's events, each with when it was recorded, and its item's version: 0 where there is none."""
        item = self._ask("get_item", Key={"entity": {"S": entity}}, ConsistentRead=True).get("Item")
        return (json.loads(item["events"]["S"]), int(item["version"]["N"])) if item else ([], 0)

    def _put(self, entity: str, read: tuple[list[Any], int], event: Event) -> bool:
        """Write an item, with one event more; False where it is not of that version any more."""
        (kept, version), now = read, int(time.time())
        recorded = {each[0]: each[-1] for each in kept}
        events = {each[0]: Event(*each[:-1]) for each in kept if each[-1] >= now - self.keep_seconds}
        add(events, event)
        text = json.dumps([[*each, recorded.get(each.id, now)] for each in events.values()], separators=(",", ":"))
        numbers = {"version": version + 1, "expires": now + int(self.keep_seconds) + 1}
        answer = self._ask(
            "put_item",
            Item={"entity": {"S": entity}, "events": {"S": text}, **{k: {"N": str(v)} for k, v in numbers.items()}},
            ConditionExpression="#version = :version" if version else "attribute_not_exists(#version)",
            ExpressionAttributeNames={"#version": "version"},
            **({"ExpressionAttributeValues": {":version": {"N": str(version)}}} if version else {}),
        )
        return bool(answer)

    def _ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """DynamoDB's answer; an empty one where the condition does not hold."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client, operation)(TableName=self.table, **arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ConditionalCheckFailedException":
                return {}
            raise StoreError(f"{self.table}: {code}") from None
        except BotoCoreError as error:
            raise StoreError(f"{self.table}: {type(error).__name__}") from None
