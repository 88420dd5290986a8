#!/usr/bin/env python
"""SageMaker's inference server: `serve` in the image, `python container/serve.py` elsewhere.

The model is loaded once, before the socket listens; worker processes, one a core, are forked from there, so that they
share its memory and a worker that dies is replaced in milliseconds. Environment:

SAGEMAKER_BASE_DIR, SAGEMAKER_BIND_TO_PORT    the tree (/opt/ml) and the port (8080)
SERVE_HOST                                    the address to bind (0.0.0.0)
SAGEMAKER_MODEL_SERVER_WORKERS                worker processes (one a core)
SAGEMAKER_MAX_PAYLOAD_IN_MB                   the largest body (100, as much as batch transform ever sends)
SAGEMAKER_MAX_CONCURRENT_TRANSFORMS, SAGEMAKER_BATCH_STRATEGY    suggested to batch transform
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import re
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httptools
import numpy as np
from gunicorn.app.base import BaseApplication
from gunicorn.workers.base import Worker

from fraud_utils import artifact
from fraud_utils.artifact import MISSING, ArtifactError, Model, RowError

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
MEDIA = {CSV: CSV, JSON: JSON, JSON_LINES: JSON_LINES, "application/x-jsonlines": JSON_LINES, "text/json": JSON}
ARRIVAL_SECONDS = 30  # for a whole request to arrive
IDLE_SECONDS = 75  # for a client to ask again, longer than load balancers keep connections; or to read its answers
GRACE_SECONDS = 20  # for requests in progress to end after SIGTERM; SageMaker waits for 30
DRAIN_SECONDS = 2  # for a client to stop sending what was refused, so that it reads the answer
HEAD_BYTES = 1 << 16
INLINE_BYTES = 1 << 14  # larger bodies are scored in a thread, so that small ones need not wait for them
ARROW_BYTES = 1 << 16  # larger CSV bodies are worth Arrow's parser
ARROW_SCORES = 500  # more scores are worth Arrow's writer
PIECE_BYTES = 1 << 21  # of a long CSV body, for one core at a time
QUEUE = 2048  # connections that wait to be taken
REASONS = 3
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class RequestError(Exception):
    """A request that cannot be answered; the message says what to change."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


@dataclass
class Request:
    """One request as it arrives, and what its log line will say."""

    method: str = ""  # empty until the head is whole
    path: str = ""
    url: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    head_bytes: int = 0
    body: bytearray | memoryview = field(default_factory=bytearray)
    body_bytes: int = 0
    long: LongCsv | None = None
    refusal: RequestError | None = None  # what is wrong with it before anybody looks at its body
    last: bool = False  # whether the connection ends with it
    identity: str = field(default_factory=lambda: os.urandom(16).hex())
    began: float = field(default_factory=time.perf_counter)
    rows: int = 0
    status: int = 0
    fault: dict[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """A header's value, empty when it was not sent."""
        return self.headers.get(name.encode(), b"").decode("latin-1")

    def expect(self, size: int) -> None:
        """Make room for a long body. NumPy asks for huge pages: in small ones, 50 MB cost 50 ms of page faults."""
        self.body = memoryview(np.empty(size, dtype=np.uint8))

    def add(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if isinstance(self.body, memoryview):
            self.body[self.body_bytes : self.body_bytes + len(piece)] = piece
        else:
            self.body += piece
        self.body_bytes += len(piece)


# ---------------------------------------------------------------- bodies


def parse(body: bytes, media: str, model: Model) -> Any:
    """Turn a body into rows as `Model.score` takes them.

    Raises
    ------
    RequestError
        The body is not what its content type says.
    """
    if media == CSV:
        names, start = _csv_columns(body, model)
        return _csv_rows(body[start:], names, model)
    if media == JSON:
        document = _json(body, "the body")
        if not isinstance(document, dict) or not isinstance(document.get("instances"), list):
            raise RequestError(400, 'the body must be {"instances": [...]}, a list of objects or lists')
        return document["instances"]
    lines = [line for line in body.split(b"\n") if line.strip()]
    return [_json(line, f"row {number}") for number, line in enumerate(lines, 1)]


def _json(text: bytes, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"{where} is not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        name, count = Counter(name for name, _ in pairs).most_common(1)[0]
        raise RequestError(400, f"{name[:60]!r} appears {count} times in one JSON object")
    return values


def _csv_rows(body: bytes, names: Sequence[str], model: Model, first: int = 0) -> dict[str, Any]:
    """Columns of CSV rows; `first` is how many rows came before these."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the body is not UTF-8: {error}") from None
    table = []
    for number, row in enumerate(_csv_lines(text), first + 1):
        if len(row) != len(names):
            raise RequestError(400, f"row {number} has {len(row)} values; expected {len(names)}, as in the first line")
        table.append(row)
    columns: dict[str, Any] = dict(zip(names, zip(*table, strict=True) if table else [()] * len(names), strict=True))
    plain = "_" not in text  # Python reads 1_000 as a number; CSV does not
    for name in model.features.raw:
        if name in columns and name in model.features.categories:
            columns[name] = [None if text in MISSING else text for text in columns[name]]
        elif name in columns:
            try:
                columns[name] = list(map(float, columns[name])) if plain else _csv_numbers(name, columns[name], first)
            except ValueError:
                columns[name] = _csv_numbers(name, columns[name], first)
    return columns


def _csv_lines(text: str) -> Iterator[list[str]]:
    try:
        yield from (row for row in csv.reader(io.StringIO(text), strict=True) if row)
    except csv.Error as error:
        raise RequestError(400, f"the body is not CSV: {error}") from None


def _csv_numbers(name: str, values: Sequence[str], first: int) -> list[float]:
    """A column's values one by one: some spellings mean a missing one, and what is no number is named."""
    numbers = []
    for row, text in enumerate(values, first + 1):
        try:
            numbers.append(np.nan if text.strip() in MISSING else float(text.replace("_", "?")))
        except ValueError:
            raise RequestError(400, f"row {row}, column {name!r}: text where a number is needed") from None
    return numbers


def _csv_columns(body: bytes, model: Model) -> tuple[tuple[str, ...], int]:
    """The columns' names, and where the rows begin: after the first line if that is a header.

    A header is a line with a column's name in it, or without any number.
    """
    begin = re.search(rb"[^\r\n]", body)
    if not begin:
        raise RequestError(400, "the body is empty")
    end = body.find(b"\n", begin.start())
    line = body[begin.start() : end if end >= 0 else len(body)]
    try:
        first = next(_csv_lines(line.decode("utf-8-sig")), [])
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the body is not UTF-8: {error}") from None
    if not first:
        raise RequestError(400, "the first line holds a byte order mark and no more")
    first = [name.strip() for name in first]
    if model.accepted.isdisjoint(first) and any(_is_value(text) for text in first):
        return model.names_of(len(first), 1), 0
    for name, count in Counter(first).most_common(1):
        if count > 1:
            raise RequestError(400, f"column {name[:60]!r} appears {count} times in the header")
    return tuple(first), end + 1 if end >= 0 else len(body)


def _is_value(text: str) -> bool:
    try:
        float(text or "nan")
    except ValueError:
        return False
    return True


class LongCsv:
    """A long CSV body, scored in pieces of whole rows on all cores, beginning while the rest still arrives.

    Parameters
    ----------
    body : memoryview or bytearray
        Room for the whole body.
    model : Model
    answer : callable
        From rows, and how many came before them, to their number and the text of their answers.
    """

    def __init__(self, body: memoryview | bytearray, model: Model, answer: Callable[..., tuple[int, bytes]]) -> None:
        self.body, self.model, self.answer = memoryview(body), model, answer
        self.seen = self.begun = self.quotes = 0
        self.names: tuple[str, ...] = ()
        self.pool = ThreadPoolExecutor(CORES)
        self.pieces: list[tuple[slice, Future[tuple[int, bytes] | None]]] = []
        self.fault: Exception | None = None

    def arrived(self, size: int) -> None:
        """Begin with the rows that are whole, where there are enough; `size` is how much of the body is there."""
        while self.seen < size and not self.fault:
            # Smaller ones at the end, so that no core is left with a large one when the others have finished.
            enough = self.begun + min(PIECE_BYTES, max(PIECE_BYTES // 4, (len(self.body) - self.begun) // (2 * CORES)))
            new = bytes(self.body[self.seen : min(size, enough if self.seen < enough else self.seen + ARROW_BYTES)])
            line_end = new.find(b"\n") + 1 if self.seen >= enough else 0
            self.seen += line_end or len(new)
            if b'"' in new:  # much faster than counting none
                self.quotes += new.count(b'"', 0, line_end or len(new))
            if line_end and not self.quotes % 2:  # a line's end between quotes is no row's end
                try:
                    piece = self._piece(self.seen)
                except Exception as error:  # raised again where it is answered
                    self.fault = error
                else:
                    self.pieces.append((piece, self.pool.submit(self._score, piece)))

    def answers(self) -> tuple[int, list[bytes]]:
        """The number of rows, and the texts of their answers in order.

        Raises
        ------
        RequestError, RowError
            The first row that cannot be scored.
        """
        self.arrived(len(self.body))
        if self.fault:
            raise self.fault
        last = self._piece(len(self.body))
        done = self._score(last)  # in this thread, so that a body of one piece needs no other
        count, texts = 0, []
        try:
            for piece, answered in (*((piece, future.result()) for piece, future in self.pieces), (last, done)):
                rows, text = answered or self.answer(
                    _csv_rows(bytes(self.body[piece]), self.names, self.model, count), count
                )
                count += rows
                texts.append(text)
        finally:
            self.pool.shutdown(wait=False, cancel_futures=True)
        return count, texts

    def _piece(self, end: int) -> slice:
        """The rows from where the last piece ended, without the header."""
        if not self.names:
            self.names, self.begun = _csv_columns(bytes(self.body[:end]), self.model)
        piece = slice(self.begun, end)
        self.begun = end
        return piece

    def _score(self, piece: slice) -> tuple[int, bytes] | None:
        """Score a piece, or give None for the thorough parser to find what is wrong, or that nothing is."""
        import pyarrow
        from pyarrow import csv as arrow_csv

        texts = self.model.features.categories
        wanted = [name for name in self.names if name in self.model.features.raw]
        types = {name: pyarrow.string() if name in texts else pyarrow.float64() for name in wanted}
        # Looking for every spelling of a missing number costs a tenth more time: so only once there must be another.
        for missing in ([*MISSING],) if texts else ([""], [*MISSING]):
            with contextlib.suppress(pyarrow.ArrowInvalid, RowError):
                table = arrow_csv.read_csv(
                    pyarrow.py_buffer(self.body[piece]),
                    read_options=arrow_csv.ReadOptions(
                        column_names=list(self.names), use_threads=False, block_size=len(self.body[piece]) + 1
                    ),
                    parse_options=arrow_csv.ParseOptions(quote_char='"' if self.quotes else False),
                    convert_options=arrow_csv.ConvertOptions(
                        column_types=types, include_columns=wanted, null_values=missing, strings_can_be_null=True
                    ),
                )
                # Columns that the model does not use need no values, but their names are checked.
                unused = {name: np.empty(0) for name in self.names if name not in types}
                return self.answer({name: table[name].to_numpy() for name in wanted} | unused)
        return None


def _lines(scores: np.ndarray) -> bytes:
    """One score a line, in the fewest digits that give it back."""
    if len(scores) < ARROW_SCORES:
        return "".join(f"{score!r}\n" for score in scores.tolist()).encode()
    import pyarrow
    from pyarrow import csv as arrow_csv

    out = pyarrow.BufferOutputStream()
    column = pyarrow.Array.from_buffers(pyarrow.float64(), len(scores), [None, pyarrow.py_buffer(scores)])
    arrow_csv.write_csv(pyarrow.table([column], ["score"]), out, arrow_csv.WriteOptions(include_header=False))
    return out.getvalue().to_pybytes()


# ---------------------------------------------------------------- requests


class Service:
    """What is asked of the model over HTTP."""

    def __init__(self, model: Model, workers: int, limit_mb: int) -> None:
        self.model, self.workers, self.limit_mb = model, workers, limit_mb

    def too_large(self) -> RequestError:
        """The refusal of a body over the limit."""
        return RequestError(413, f"the body is over the limit of {self.limit_mb} MB; send fewer rows at a time")

    def begin(self, request: Request) -> None:
        """Prepare to score a long CSV body while it arrives."""
        if (request.method, request.path) == ("POST", "/invocations"):
            with contextlib.suppress(Exception):  # met again, and answered, when the request is whole
                if _media(request) == CSV:
                    request.long = LongCsv(request.body, self.model, partial(self._answer, self._wanted(request)))

    def answer(self, request: Request) -> tuple[str, bytes]:
        """Score a body; gives the media type and the text of the answer."""
        media, wanted = _media(request), self._wanted(request)
        try:
            if media == CSV and request.body_bytes > ARROW_BYTES:
                long = request.long or LongCsv(request.body, self.model, partial(self._answer, wanted))
                request.rows, texts = long.answers()
            else:
                request.rows, text = self._answer(wanted, parse(bytes(request.body), media, self.model))
                texts = [text]
        except RowError as error:
            raise RequestError(400, str(error)) from None
        if not request.rows:
            raise RequestError(400, "the body has no rows")
        if wanted.media == JSON:
            return JSON, b'{"predictions": [%b]}' % b", ".join(filter(None, texts))
        return wanted.media, b"".join(texts)

    def _wanted(self, request: Request) -> Wanted:
        accept = _accepted(request.header("accept"), _media(request))
        wishes = _wishes(request.header("x-amzn-sagemaker-custom-attributes"))
        name = wishes.get("threshold", self.model.decides)
        if name not in self.model.thresholds:
            known = ", ".join(self.model.thresholds)
            raise RequestError(400, f"threshold {name[:60]!r} is unknown; the model has {known}")
        reasons = wishes.get("reasons", "0") or str(REASONS)
        if "reasons" in wishes and not re.fullmatch("[1-9][0-9]?|100", reasons):
            raise RequestError(400, f"reasons={reasons[:20]}: ask for a number of reasons from 1 to 100")
        return Wanted(accept, self.model.thresholds[name], int(reasons))

    def _answer(self, wanted: Wanted, rows: Any, first: int = 0) -> tuple[int, bytes]:
        """Score rows, before which `first` came; gives their number and the text of their answers."""
        scores = self.model.score(rows, first)
        if wanted.media == CSV:
            return len(scores), _lines(scores)
        predictions = [{"score": score, "fraud": score >= wanted.threshold} for score in scores.tolist()]
        if wanted.reasons:
            for prediction, reasons in zip(predictions, self.model.reasons(rows, wanted.reasons), strict=True):
                prediction["reasons"] = reasons
        if wanted.media == JSON:
            return len(scores), json.dumps(predictions)[1:-1].encode()
        return len(scores), "".join(json.dumps(prediction) + "\n" for prediction in predictions).encode()

    def execution_parameters(self) -> bytes:
        """What batch transform should send: payload times concurrency stays within its 100 MB."""
        concurrent = _setting("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", min(self.workers, 100))
        return json.dumps(
            {
                "MaxConcurrentTransforms": concurrent,
                "BatchStrategy": os.environ.get("SAGEMAKER_BATCH_STRATEGY") or "MULTI_RECORD",
                "MaxPayloadInMB": max(1, min(self.limit_mb, 100 // concurrent)),
            }
        ).encode()

    def respond(self, request: Request) -> bytes:
        """Answer a request, whatever it is; gives the whole message, and `request.status` for the log."""
        headers = {"x-request-id": request.identity}
        try:
            media, text = self._route(request)
            request.status = 200
            if attributes := request.header("x-amzn-sagemaker-custom-attributes"):
                headers["x-amzn-sagemaker-custom-attributes"] = attributes
        except RequestError as error:
            request.status, media, headers = error.status, JSON, headers | error.headers
            text = json.dumps({"error": str(error), "id": request.identity}).encode()
        except Exception as error:  # the caller gets an id, the log what it stands for
            request.status, media = 500, JSON
            text = json.dumps({"error": "internal error; quote the id", "id": request.identity}).encode()
            place = error.__traceback__
            while place and place.tb_next:
                place = place.tb_next
            line = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
            request.fault = {"error": type(error).__name__, "at": line}
        if request.last:
            headers["connection"] = "close"
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = (
            f"{_status_line(request.status)}date: {_date(int(time.time()))}\r\n{head}"
            f"content-type: {media}\r\ncontent-length: {len(text)}\r\n\r\n"
        )
        return head.encode("latin-1") + (b"" if request.method == "HEAD" else text)

    def _route(self, request: Request) -> tuple[str, bytes]:
        if request.refusal:
            raise request.refusal
        methods = {"/ping": ("GET", "HEAD"), "/invocations": ("POST",), "/execution-parameters": ("GET", "HEAD")}
        if request.path not in methods:
            raise RequestError(404, f"no such path; there are {', '.join(methods)}")
        allowed = methods[request.path]
        if request.method not in allowed:
            raise RequestError(405, f"{request.path} takes {allowed[0]}", allow=", ".join(allowed))
        if request.path == "/ping":
            return JSON, b'{"status": "ok"}'
        if request.path == "/execution-parameters":
            return JSON, self.execution_parameters()
        return self.answer(request)


@dataclass(frozen=True)
class Wanted:
    """What a request's headers ask for."""

    media: str
    threshold: float
    reasons: int  # for each row; 0 is none


def _media(request: Request) -> str:
    """The media type of a request's body."""
    if coding := request.header("content-encoding"):
        raise RequestError(415, f"Content-Encoding {coding[:60]!r} is not served; send the body as it is")
    media = request.header("content-type").partition(";")[0].strip().lower()
    if media not in MEDIA:
        raise RequestError(415, f"Content-Type {media[:60]!r} is not served; send {CSV}, {JSON} or {JSON_LINES}")
    return MEDIA[media]


@lru_cache
def _status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


@lru_cache(maxsize=256)
def _accepted(accept: str, sent: str) -> str:
    """The media type to answer with: the best that the caller takes, and what it sent where it takes anything."""
    choices = []
    for order, choice in enumerate(filter(None, (part.strip() for part in (accept or "*/*").lower().split(",")))):
        media, *parameters = (part.strip() for part in choice.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        weight = float(quality) if re.fullmatch(r"[01](\.\d{0,3})?", quality) else 1.0
        if weight > 0:
            choices.append((-weight, order, media))
    for _, _, media in sorted(choices):
        if media in MEDIA:
            return MEDIA[media]
        kind = media.removesuffix("*")
        if media == "*/*" or (kind.endswith("/") and sent.startswith(kind)):
            return sent
        if kind in ("text/", "application/"):
            return CSV if kind == "text/" else JSON
    raise RequestError(406, f"Accept {accept[:100]!r} cannot be served; take {CSV}, {JSON} or {JSON_LINES}")


@lru_cache(maxsize=256)
def _wishes(attributes: str) -> dict[str, str]:
    """`reasons=3, threshold=name` in the custom attributes; whatever else callers put there is theirs."""
    pairs = (part.partition("=") for part in re.split("[,;]", attributes))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


def _log(request: Request) -> None:
    """One JSON line a request: never a value of a transaction."""
    moment = time.time()
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z",
        "id": request.identity,
        "path": request.path[:100],
        "rows": request.rows,
        "status": request.status,
        "ms": round((time.perf_counter() - request.began) * 1000, 3),
    }
    sys.stdout.write(json.dumps(line | request.fault) + "\n")
    sys.stdout.flush()


# ---------------------------------------------------------------- connections


class Connection(asyncio.Protocol):
    """One client's connection: HTTP/1.1 as httptools parses it, answered in the order of asking.

    A general ASGI server costs a row a third more time, and waits for the rest of a request's head for ever. While a
    request is scored in a thread, or the client does not read its answers, nothing more is read from it.
    """

    def __init__(self, service: Service, connections: set[Connection]) -> None:
        self.service, self.connections = service, connections
        self.parser: Any = httptools.HttpRequestParser(self)
        self.arriving: Any = None  # a Request
        self.waiting: deque[Request] = deque()
        self.scoring = self.unread = self.draining = self.last = False
        self.since = time.perf_counter()  # when it became idle, a request began to arrive, or draining began

    def connection_made(self, transport: Any) -> None:
        """Called by asyncio."""
        self.transport = transport
        self.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self.connections.discard(self)
        if self.arriving and self.arriving.method:
            self.arriving.status = 499  # nobody is left to answer
            _log(self.arriving)
        self.parser = None

    def data_received(self, data: bytes) -> None:
        """Called by asyncio: parse what came, and answer the requests that it completes."""
        if self.draining:
            return
        begun = self.arriving
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.last = True  # what follows would be another protocol, and there is none
        except httptools.HttpParserError as error:
            self._refuse(RequestError(400, f"not an HTTP/1.1 request: {error}"))
        if begun and begun is self.arriving and not begun.method:
            begun.head_bytes += len(data)
            if begun.head_bytes > HEAD_BYTES:
                self._refuse(RequestError(431, f"the headers are over {HEAD_BYTES >> 10} KB"))
        if self.arriving and isinstance(self.arriving.body, memoryview):
            self.transport.set_protocol(LongBody(self))
        self._answer()

    def long_body_received(self) -> None:
        """Go on with the next request, and with a parser that need not know what passed it by."""
        self.parser = httptools.HttpRequestParser(self)
        self.transport.set_protocol(self)
        self.on_message_complete()
        self._answer()

    def pause_writing(self) -> None:
        """Called by asyncio when answers pile up."""
        self.unread = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Called by asyncio when they have gone."""
        self.unread = False
        if not self.scoring:
            self.transport.resume_reading()
            self._answer()

    def on_message_begin(self) -> None:
        """Called by httptools, as are the next five."""
        self.arriving = Request()
        self.since = self.arriving.began

    def on_url(self, url: bytes) -> None:
        """A piece of the path."""
        self.arriving.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header."""
        self.arriving.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is whole: refuse what is too long before it is sent."""
        if self.draining:
            return
        request = self.arriving
        request.method = self.parser.get_method().decode()
        request.path = request.url.partition(b"?")[0].decode("latin-1")
        request.last = self.parser.get_http_version() == "1.0" or not self.parser.should_keep_alive()
        declared = int(request.header("content-length") or 0)  # the parser has refused what is no number
        if declared > self.service.limit_mb << 20:
            self._refuse(self.service.too_large())
            return
        if declared > INLINE_BYTES:
            request.expect(declared)
            if declared > PIECE_BYTES:
                self.service.begin(request)
        if request.header("expect").lower() == "100-continue" and not (self.scoring or self.waiting):
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        if self.draining:
            return
        self.arriving.add(piece)
        if self.arriving.body_bytes > self.service.limit_mb << 20:
            self._refuse(self.service.too_large())

    def on_message_complete(self) -> None:
        """The request is whole."""
        if not self.draining:
            self.waiting.append(self.arriving)
            self.arriving = None

    def _refuse(self, refusal: RequestError) -> None:
        """Answer what has arrived so far with an error, after the requests before it, and listen no more."""
        if self.draining:
            return
        request = self.arriving or Request()
        request.refusal, request.last = refusal, True
        self.waiting.append(request)
        self.arriving, self.draining = None, True
        self.transport.set_protocol(self)

    def _answer(self) -> None:
        while self.waiting and not self.scoring and not self.unread:
            request = self.waiting.popleft()
            request.last |= self.last and not self.waiting
            if request.body_bytes <= INLINE_BYTES or request.refusal:
                self._send(request, self.service.respond(request))
                continue
            self.scoring = True
            self.transport.pause_reading()
            answer = asyncio.get_running_loop().run_in_executor(None, self.service.respond, request)
            answer.add_done_callback(partial(self._scored, request))

    def _scored(self, request: Request, answer: asyncio.Future[bytes]) -> None:
        self.scoring = False
        if self.transport.is_closing():
            request.status = 499
            _log(request)
            return
        self._send(request, answer.result())
        if not self.unread:
            self.transport.resume_reading()
            self._answer()

    def _send(self, request: Request, answer: bytes) -> None:
        self.transport.write(answer)
        self.since = time.perf_counter()
        if request.refusal:
            # Closing now would make the kernel reset the connection, and cost the client the answer, while it sends.
            self.transport.write_eof()
            self.transport.resume_reading()
        elif request.last:
            self.waiting.clear()
            self.transport.close()
        _log(request)

    def expire(self, now: float) -> None:
        """End what has taken too long: a request to arrive, a client to ask again or to read its answers."""
        waited = now - self.since
        if self.scoring:
            return
        if self.arriving and not self.unread and not self.draining:
            if waited > ARRIVAL_SECONDS:
                self._refuse(
                    RequestError(408, f"the request did not arrive within {ARRIVAL_SECONDS} seconds; send it again")
                )
                self._answer()
        elif waited > (DRAIN_SECONDS if self.draining and not self.unread else IDLE_SECONDS):
            self.transport.abort()

    def end(self) -> None:
        """Close now, or once the request that has begun is answered."""
        self.last = True
        begun = self.arriving and self.arriving.method
        if not (begun or self.waiting or self.scoring):
            self.transport.close()


class LongBody(asyncio.BufferedProtocol):
    """The rest of a long body: the kernel writes it where it will be parsed, which saves copying it three times."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.connection_lost = connection.connection_lost  # type: ignore[method-assign]
        self.pause_writing = connection.pause_writing  # type: ignore[method-assign]
        self.resume_writing = connection.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by asyncio before it reads."""
        request = self.connection.arriving
        return request.body[request.body_bytes :]

    def buffer_updated(self, count: int) -> None:
        """Called by asyncio after it has read."""
        request = self.connection.arriving
        request.body_bytes += count
        if request.long:
            request.long.arrived(request.body_bytes)
        if request.body_bytes == len(request.body):
            self.connection.long_body_received()


# ---------------------------------------------------------------- processes


class HttpWorker(Worker):
    """A gunicorn worker that serves its connections in one event loop."""

    def init_signals(self) -> None:
        """Leave signals to the event loop."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def run(self) -> None:
        """Serve until told to stop."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, stop.set)
        connections: set[Connection] = set()
        # asyncio would empty the whole queue of connections, which the workers share, whenever it wakes, and one worker
        # end up with all of them: so its batch is one connection, and then the queue gets its length back.
        sockets = [shared.sock for shared in self.sockets]
        servers = [
            await loop.create_server(partial(Connection, self.wsgi, connections), sock=shared, backlog=1)
            for shared in sockets
        ]
        for shared in sockets:
            shared.listen(QUEUE)
        end = float("inf")
        while (connections or not stop.is_set()) and (now := time.perf_counter()) < end:
            self.notify()
            for connection in list(connections):
                connection.expire(now)
            if stop.is_set():
                await asyncio.sleep(0.05)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1)
            if stop.is_set() or os.getppid() != self.ppid:  # a worker without its parent would hold the port for ever
                stop.set()
                end = time.perf_counter() + GRACE_SECONDS
                for server in servers:
                    server.close()
                for connection in list(connections):
                    connection.end()


class Server(BaseApplication):
    """gunicorn, configured: it forks workers, replaces those that die and passes SIGTERM on."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        self.service, self.host, self.port = service, host, port
        super().__init__()

    def load_config(self) -> None:
        """Called by gunicorn."""
        memory = Path("/dev/shm")  # noqa: S108 - heartbeats need no disk, and the image's may be read-only
        settings = {
            "bind": f"{self.host}:{self.port}",
            "backlog": QUEUE,
            "workers": self.service.workers,
            "worker_class": HttpWorker,
            "preload_app": True,
            "control_socket_disable": True,
            "timeout": 60,
            "graceful_timeout": 25,
            "loglevel": "warning",
            "worker_tmp_dir": str(memory) if os.access(memory, os.W_OK) else None,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Service:
        """Called by gunicorn, before it opens the socket."""
        return self.service


class SettingError(ValueError):
    """An environment variable holds what it must not."""


def _setting(name: str, default: int) -> int:
    """A whole number from the environment; the default where it is unset, empty or 0 (SageMaker's "no limit")."""
    text = os.environ.get(name, "").strip() or "0"
    if not text.isdecimal():
        raise SettingError(f"{name} is {text!r}; it must be a whole number")
    return int(text) or default


def main() -> int:
    """Load the model and serve it until SIGTERM."""
    # XGBoost imports these when it finds them; serving needs neither, and they cost two seconds and 120 MB.
    for name in ("pandas", "sklearn"):
        sys.modules[name] = None  # type: ignore[assignment]
    # OpenMP reads these when XGBoost is imported. Its threads do not survive a fork, and a child that takes them for
    # alive hangs: so it gets none, and long bodies are scored by threads of ours.
    os.environ["OMP_NUM_THREADS"] = "1"
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    host = os.environ.get("SERVE_HOST", "0.0.0.0")  # noqa: S104 - a container is reached from outside
    try:
        workers = _setting("SAGEMAKER_MODEL_SERVER_WORKERS", CORES)
        limit_mb = _setting("SAGEMAKER_MAX_PAYLOAD_IN_MB", 100)
        port = _setting("SAGEMAKER_BIND_TO_PORT", 8080)
        _setting("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", 1)
        model = artifact.load(base / "model")
    except (ArtifactError, SettingError) as error:
        print(f"serve: {error}", file=sys.stderr)
        return 1
    # What the first rows would have built is built here: all workers share it, and their threads find it ready.
    blank = np.zeros((1, len(model.features.names)), dtype=np.float32)
    model.forest.margin(blank)
    model.booster.inplace_predict(blank)
    Server(Service(model, workers, limit_mb), host, port).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
