"""What an endpoint was asked and answered, read piece by piece: SageMaker's data capture, or a plain table.

SageMaker writes one JSON object a request and line, into files under endpoint/variant/year/month/day/hour. A request's
id is the inference id that its caller sent, else the event's; where one request holds several rows, theirs are that id
with `/1`, `/2` and so on. A row that comes again under the caller's id, as in a retry or a copied line, counts once.
What this project asked its endpoint itself is nobody's traffic, and left out.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from fraud_utils.artifact import EVENTS, MISSING, Layout, RowError, header_of
from fraud_utils.monitor.answers import AnswerError, scores_of
from fraud_utils.monitor.apart import BARE, OWN, REPEATED
from fraud_utils.monitor.sources import lines_of
from fraud_utils.project import OWN_REQUESTS

PIECE = 20_000  # requests that are parsed together
ENCODINGS = ("CSV", "JSON", "BASE64")
NOT_CAPTURE = "the line is not what data capture writes"
BOM = "\ufeff"
# What reading a request may raise, whatever it holds: a RowError is a ValueError.
UNREADABLE = (
    *(ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError),
    *(csv.Error, pa.ArrowException),
)
_WHERE = re.compile(r"^row \d+,? ?(?:has|is)?\s*")


class Request(NamedTuple):
    """One captured request; `scores` are None where it got none, and `why` says what the endpoint said."""

    time: float
    identity: str
    named: bool  # by its caller, rather than by the event
    media: str
    body: str
    scores: list[float] | None
    why: str = ""

    @property
    def answered(self) -> int:
        """How many scores came."""
        return len(self.scores or ())


class Refusal(NamedTuple):
    """Rows that have no score, and why; `time` is None where not even that can be read."""

    time: float | None
    why: str
    rows: int = 1


@dataclass
class Piece:
    """Some rows with their scores, by raw column, and what was refused among them.

    Attributes
    ----------
    columns : mapping of str to array of shape (rows,)
        Numbers as float64, NaN where missing; text as objects.
    time : numpy.ndarray
        Seconds since 1970, or since the table's origin.
    identity : list of str
    score : numpy.ndarray
    apart : Counter of str
        See `apart.sentences`.
    unknown : dict of str to array of bool, shape (rows,)
        By column of history, which rows came without it: the endpoint found it in events or in its store.
    """

    columns: dict[str, np.ndarray] = field(default_factory=dict)
    time: np.ndarray = field(default_factory=lambda: np.zeros(0))
    identity: list[str] = field(default_factory=list)
    score: np.ndarray = field(default_factory=lambda: np.zeros(0))
    refused: list[Refusal] = field(default_factory=list)
    apart: Counter[str] = field(default_factory=Counter)
    unknown: dict[str, np.ndarray] = field(default_factory=dict)


def read_captured(path: str | Path, layout: Layout) -> Iterator[Piece]:
    """The captured requests under a folder or an S3 address, or in a file of JSON lines.

    Raises
    ------
    DataError
        There is nothing to read, or what is there belongs to several endpoints.
    """
    waiting: list[Request] = []
    piece, seen = Piece(), set[str]()
    for line in lines_of(path):
        try:
            if request := _request(line, layout):
                waiting.append(request)
            else:
                piece.apart[OWN] += 1
        except UnreadableError as fault:
            piece.refused.append(Refusal(fault.time, str(fault)))
        if len(waiting) + len(piece.refused) >= PIECE:
            yield _filled(piece, waiting, layout, seen)
            waiting, piece = [], Piece()
    if waiting or piece.refused or piece.apart:
        yield _filled(piece, waiting, layout, seen)


class UnreadableError(ValueError):
    def __init__(self, why: str, time: float | None = None) -> None:
        super().__init__(why)
        self.time = time


# A line ------------------------------------------------------------------------------------------------------------


def _request(line: bytes, layout: Layout) -> Request | None:
    """What a line holds; None where this project asked."""
    try:
        record = json.loads(line)
        event, data = record["eventMetadata"], record["captureData"]
        time = datetime.fromisoformat(event["inferenceTime"]).timestamp()
        asked, answered = data.get("endpointInput"), data.get("endpointOutput")
        named = str(event.get("inferenceId") or "")
    except UNREADABLE:
        raise UnreadableError(NOT_CAPTURE) from None
    if named.startswith(OWN_REQUESTS):
        return None
    if not asked:
        raise UnreadableError("the request itself was not captured; capture Input and Output", time)
    scores, why = None, ""
    try:
        body = _text(asked).lstrip("\r\n")
        media = str(asked.get("observedContentType") or "").partition(";")[0].lower()
        scores = scores_of(_text(answered), layout) if answered else None
    except AnswerError as fault:
        why = _shortened(str(fault))
    except ValueError as fault:
        raise UnreadableError(str(fault), time) from None
    return Request(time, named or str(event.get("eventId") or ""), bool(named), media, body, scores, why)


def _text(part: Any) -> str:
    """What was sent, whatever the capture wrote it as."""
    if not isinstance(part, Mapping) or not isinstance(part.get("data"), str):
        raise ValueError(NOT_CAPTURE)
    if part.get("encoding") not in ENCODINGS:
        raise ValueError(f"encoding {part.get('encoding')!r} is not one that data capture writes")
    if part["encoding"] != "BASE64":
        return part["data"].removeprefix(BOM)
    try:
        return base64.b64decode(part["data"], validate=True).decode("utf-8-sig")
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("what was captured is not BASE64 of text, as it says") from None


# Many requests ------------------------------------------------------------------------------------------------------


def _filled(piece: Piece, requests: list[Request], layout: Layout, seen: set[str]) -> Piece:
    """Requests of one kind are parsed at once; only where that fails, one by one.

    Parameters
    ----------
    seen : set of str
        Ids of all rows so far whose caller named them; those of these requests are added.
    """
    groups: dict[Any, list[Request]] = {}
    headers: dict[str, tuple[str, ...]] = {}
    for request in requests:
        if request.scores is None:
            piece.refused.append(_unanswered(request, layout))
            continue
        try:
            groups.setdefault(_kind(request, layout, headers), []).append(request)
        except UNREADABLE as fault:
            piece.refused.append(Refusal(request.time, _reason(fault), max(request.answered, 1)))
    parts = [part for kind, group in groups.items() for part in _parsed(kind, group, layout, piece.refused)]
    if parts:
        columns, bare, requests_of, scores = zip(*parts, strict=True)
        piece.columns = {name: np.concatenate([each[name] for each in columns]) for name in layout.features.raw}
        answered = list(chain.from_iterable(requests_of))
        rows = [each.answered for each in answered]
        piece.time = np.repeat([each.time for each in answered], rows)
        piece.identity = list(chain.from_iterable(map(_identities, answered)))
        piece.score = np.concatenate(scores)
        if (without := np.concatenate(bare)).any():
            piece.unknown = dict.fromkeys(_needed(layout), without)
        _drop_repeated(piece, np.repeat([each.named for each in answered], rows), seen)
        piece.apart[BARE] += int(next(iter(piece.unknown.values()), np.zeros(0)).sum())
    return piece


def _needed(layout: Layout) -> frozenset[str]:
    """The columns of history that the model uses; the endpoint finds them itself where a row brings none."""
    return layout.history.intersection(layout.features.raw)


def _drop_repeated(piece: Piece, named: np.ndarray, seen: set[str]) -> None:
    """Keep the first row of each id that a caller gave."""
    kept = np.ones(len(named), dtype=bool)
    for row in np.argsort(piece.time, kind="stable").tolist():
        if named[row]:
            kept[row] = piece.identity[row] not in seen
            seen.add(piece.identity[row])
    if not kept.all():
        piece.apart[REPEATED] += int((~kept).sum())
        piece.columns = {name: values[kept] for name, values in piece.columns.items()}
        piece.unknown = {name: rows[kept] for name, rows in piece.unknown.items()}
        piece.time, piece.score = piece.time[kept], piece.score[kept]
        piece.identity = [name for name, keep in zip(piece.identity, kept.tolist(), strict=True) if keep]


def _identities(request: Request) -> list[str]:
    count = request.answered
    return [request.identity] if count == 1 else [f"{request.identity}/{row}" for row in range(1, count + 1)]


def _kind(request: Request, layout: Layout, headers: dict[str, tuple[str, ...]]) -> _Kind:
    """Media type, and of CSV the columns that its first line names, else how many there are: such can be joined.

    Parameters
    ----------
    headers : dict
        First lines that name columns, and these: most requests begin with the same one. New ones are added.
    """
    if "json" in request.media:
        return ("jsonl" if "jsonl" in request.media else "json"), ()
    first = request.body.partition("\n")[0].rstrip("\r")
    if names := headers.get(first):
        return "csv", names
    values = next(csv.reader([first]), []) if '"' in first else first.split(",")
    if names := header_of(values, layout):
        headers[first] = names
    return "csv", names or len(values)


type _Kind = tuple[str, tuple[str, ...] | int]
type _Part = tuple[dict[str, np.ndarray], np.ndarray, list[Request], np.ndarray]


def _parsed(kind: _Kind, group: list[Request], layout: Layout, refused: list[Refusal]) -> list[_Part]:
    """As `_columns`, with requests and scores; halves are tried alone where a whole is refused."""
    try:
        columns, bare = _columns(kind, group, layout)
        scores = np.fromiter(chain.from_iterable(each.scores or () for each in group), dtype=np.float64)
        rows = len(next(iter(columns.values())))
        if rows != len(scores):
            raise RowError(f"{rows} rows were sent and {len(scores)} scores came back")
        return [(columns, bare, group, scores)]
    except UNREADABLE as fault:
        if len(group) == 1:
            refused.append(Refusal(group[0].time, _reason(fault), max(group[0].answered, 1)))
            return []
    middle = len(group) // 2
    return [
        part for half in (group[:middle], group[middle:]) if half for part in _parsed(kind, half, layout, refused)
    ]  # fmt: skip


def _columns(kind: _Kind, group: list[Request], layout: Layout) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The raw columns of all rows of these requests, and which rows came without history, whose columns are NaN."""
    media, first = kind
    if media == "csv":
        columns = as_arrays(_from_csv(first, group, layout), layout)
        without = isinstance(first, tuple) and bool(_needed(layout)) and layout.history.isdisjoint(first)
        return columns, np.full(len(next(iter(columns.values()))), without)
    rows = [row for request in group for row in _json_rows(request, media)]
    bare = np.zeros(len(rows), dtype=bool)
    if needed := _needed(layout):
        for number, row in enumerate(rows):
            if isinstance(row, dict):
                row.pop(EVENTS, None)
                bare[number] = layout.history.isdisjoint(row)
                rows[number] = dict.fromkeys(needed) | row if bare[number] else row
    return as_arrays(layout.columns_of(rows), layout), bare


def _json_rows(request: Request, media: str) -> list[Any]:
    if media == "jsonl":
        return [json.loads(line) for line in request.body.split("\n") if line.strip()]
    document = json.loads(request.body)
    instances = document.get("instances") if isinstance(document, dict) else document
    if not isinstance(instances, list):
        raise RowError("the body has no list of instances")
    return instances


def _from_csv(first: tuple[str, ...] | int, group: list[Request], layout: Layout) -> Mapping[str, Any]:
    """CSV bodies joined to one, without the line that names their columns."""
    names = layout.names_of(first, 1) if isinstance(first, int) else first
    named = not isinstance(first, int)
    bodies = ((each.body.partition("\n")[2] if named else each.body).strip("\r\n") for each in group)
    text = set(layout.features.categories)
    table = arrow_csv.read_csv(
        io.BytesIO("\n".join(bodies).encode()),
        arrow_csv.ReadOptions(column_names=names, use_threads=False),
        arrow_csv.ParseOptions(newlines_in_values=True),
        arrow_csv.ConvertOptions(
            column_types={name: pa.string() if name in text else pa.float64() for name in layout.features.raw},
            include_columns=[name for name in names if name in layout.features.raw],
            null_values=sorted(MISSING),
            strings_can_be_null=True,
        ),
    )
    columns = {name: table[name].to_numpy() for name in table.column_names}
    if named and layout.history.isdisjoint(names):
        columns |= dict.fromkeys(_needed(layout), np.full(table.num_rows, np.nan))
    return layout.columns_of(columns)


def as_arrays(columns: Mapping[str, Any], layout: Layout) -> dict[str, np.ndarray]:
    """Numbers as float64, text as objects."""
    numbers = {name: np.asarray(columns[name], dtype=np.float64) for name in layout.numeric}
    return numbers | {name: _objects(columns[name]) for name in layout.features.categories}


def _objects(values: Any) -> np.ndarray:
    """One object a row, even where all of them are lists."""
    return np.asarray(values, dtype=object) if hasattr(values, "dtype") else np.fromiter(values, dtype=object)


def _unanswered(request: Request, layout: Layout) -> Refusal:
    """Why a request has no scores: what the endpoint said, else what the model would, else that nothing is known."""
    try:
        columns, _ = _columns(_kind(request, layout, {}), [request], layout)
        rows = len(next(iter(columns.values())))
        why = request.why or why_refused(columns, layout) or "no answer was captured"
    except UNREADABLE as fault:
        rows, why = _rows_sent(request, layout), request.why or _reason(fault)
    return Refusal(request.time, why, max(rows, 1))


def _rows_sent(request: Request, layout: Layout) -> int:
    """How many rows a request has that cannot be read, as far as can be told."""
    lines = len(re.findall(r"[^\r\n]+", request.body))
    try:
        media, first = _kind(request, layout, {})
        if media == "json":
            return len(_json_rows(request, media))
        return lines - (media == "csv" and isinstance(first, tuple))
    except UNREADABLE:
        return 1 if "json" in request.media else lines


def why_refused(columns: Mapping[str, Any], layout: Layout) -> str:
    """What the model has against rows, "" where nothing."""
    try:
        layout.matrix(columns)
    except RowError as fault:
        return _reason(fault)
    return ""


def _reason(fault: Exception) -> str:
    """A fault without the row that it was found in, so that equal faults are counted together."""
    if isinstance(fault, pa.ArrowInvalid):
        found = re.search(r"In CSV column #(\d+)", str(fault))
        return f"value {int(found[1]) + 1} of the row is not a number" if found else "the body is not CSV"
    if isinstance(fault, csv.Error):
        return "the body is not CSV"
    if isinstance(fault, json.JSONDecodeError | RecursionError):
        return "the body is not JSON"
    if isinstance(fault, OverflowError):
        return "a number is out of range"
    return _shortened(str(fault)) if isinstance(fault, ValueError) else "the body is not what its media type says"


def _shortened(text: str) -> str:
    """A message without the row that it names."""
    text = _WHERE.sub("", text)
    return text if len(text) <= 160 else f"{text[:159]}…"
