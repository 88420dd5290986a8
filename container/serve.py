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
import csv
import io
import json
import os
import re
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from gunicorn.app.base import BaseApplication
from gunicorn.workers.base import Worker

from fraud_utils import artifact
from fraud_utils.artifact import ArtifactError, Model, RowError

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
MEDIA = {CSV: CSV, JSON: JSON, JSON_LINES: JSON_LINES, "application/x-jsonlines": JSON_LINES, "text/json": JSON}
BODY_SECONDS = 30  # for a whole body to arrive
DRAIN_SECONDS = 2  # for a client to stop sending what was refused, so that it reads the answer
INLINE_BYTES = 1 << 14  # larger bodies are scored in a thread, so that small ones need not wait for them
ARROW_BYTES = 1 << 16  # larger CSV bodies are worth Arrow's parser
ARROW_SCORES = 10_000  # more scores are worth Arrow's writer
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
    """One request, and what its log line will say."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)
    rows: int = 0

    def header(self, name: str) -> str:
        """A header's value, empty when it was not sent."""
        return self.headers.get(name.encode(), b"").decode("latin-1")


# ---------------------------------------------------------------- bodies


def parse(body: bytes, media: str, model: Model) -> Any:
    """Turn a body into rows as `Model.score` takes them.

    Raises
    ------
    RequestError
        The body is not what its content type says, or has no rows.
    """
    if media == CSV:
        return _parse_csv(body, model)
    if media == JSON:
        document = _json(body, "the body")
        if not isinstance(document, dict) or not isinstance(document.get("instances"), list):
            raise RequestError(400, 'the body must be {"instances": [...]}, a list of objects or lists')
        rows = document["instances"]
    else:
        lines = [line for line in body.split(b"\n") if line.strip()]
        rows = [_json(line, f"row {number}") for number, line in enumerate(lines, 1)]
    if not rows:
        raise RequestError(400, "the body has no rows")
    return rows


def _json(text: bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"{where} is not JSON: {error}") from None


def _parse_csv(body: bytes, model: Model) -> dict[str, Any]:
    names, start = _csv_columns(body, model)
    if len(body) > ARROW_BYTES and (parsed := _arrow_columns(body, start, names, model)) is not None:
        return parsed
    try:
        text = body[start:].decode("utf-8-sig" if not start else "utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the body is not UTF-8: {error}") from None
    table = []
    for number, row in enumerate(_csv_rows(text), 1):
        if len(row) != len(names):
            raise RequestError(400, f"row {number} has {len(row)} values; expected {len(names)}, as in the first line")
        table.append(row)
    if not table:
        raise RequestError(400, "the body has no rows")
    columns: dict[str, Any] = dict(zip(names, zip(*table, strict=True), strict=True))
    plain = "_" not in text  # Python reads 1_000 as a number; CSV does not
    for name in model.features.raw:
        if name in columns and name not in model.features.categories:
            try:
                columns[name] = list(map(float, columns[name])) if plain else _csv_numbers(name, columns[name])
            except ValueError:
                columns[name] = _csv_numbers(name, columns[name])
    return columns


def _csv_rows(text: str) -> Iterator[list[str]]:
    try:
        yield from (row for row in csv.reader(io.StringIO(text), strict=True) if row)
    except csv.Error as error:
        raise RequestError(400, f"the body is not CSV: {error}") from None


def _csv_numbers(name: str, values: Sequence[str]) -> list[float]:
    """A column's values one by one: empty ones are missing, and what is no number is named."""
    numbers = []
    for row, text in enumerate(values, 1):
        try:
            numbers.append(float(text.replace("_", "?")) if text.strip() else np.nan)
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
        first = next(_csv_rows(line.decode("utf-8-sig")), [])
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the body is not UTF-8: {error}") from None
    first = [name.strip() for name in first]
    if model.accepted.isdisjoint(first) and any(_is_value(text) for text in first):
        return model.names_of(len(first), 1), 0
    if repeated := next((name for name in first if first.count(name) > 1), None):
        raise RequestError(400, f"column {repeated!r} appears {first.count(repeated)} times in the header")
    return tuple(first), end + 1 if end >= 0 else len(body)


def _is_value(text: str) -> bool:
    try:
        float(text or "nan")
    except ValueError:
        return False
    return True


def _arrow_columns(body: bytes, start: int, names: tuple[str, ...], model: Model) -> dict[str, Any] | None:
    """Parse a long body of numbers on several cores, or give None for the thorough parser to find what is wrong."""
    import pyarrow
    from pyarrow import csv as arrow_csv

    texts = model.features.categories
    wanted = [name for name in names if name in model.features.raw]
    types = {name: pyarrow.string() if name in texts else pyarrow.float64() for name in wanted}
    quoted = b'"' in body  # quotes may hold a line's end, and cost time

    def read(piece: tuple[int, int]) -> Any:
        return arrow_csv.read_csv(
            pyarrow.py_buffer(memoryview(body)[slice(*piece)]),
            read_options=arrow_csv.ReadOptions(column_names=list(names), use_threads=False),
            parse_options=arrow_csv.ParseOptions(quote_char='"' if quoted else False),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types, include_columns=wanted, null_values=[""], strings_can_be_null=True
            ),
        )

    # Arrow's own threads take twice the time of reading one piece a core.
    count = 1 if quoted else min(CORES, 1 + (len(body) >> 20))
    ends = (body.find(b"\n", start + (len(body) - start) * i // count) + 1 for i in range(1, count))
    edges = sorted({start, len(body), *(end for end in ends if end > start)})
    with ThreadPoolExecutor(count) as pool:
        try:
            table = pyarrow.concat_tables(pool.map(read, pairwise(edges)))
        except pyarrow.ArrowInvalid:
            return None
    # Columns that the model does not use need no values, but their names are checked.
    unused = {name: np.empty(0) for name in names if name not in types}
    return {name: table[name].to_numpy() for name in wanted} | unused


def _lines(scores: np.ndarray) -> bytes:
    """One score a line, in the fewest digits that give it back."""
    if len(scores) < ARROW_SCORES:
        return ("\n".join(map(repr, scores.tolist())) + "\n").encode()
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

    def answer(self, request: Request, body: bytes) -> tuple[str, bytes]:
        """Score a body; gives the media type and the text of the answer."""
        media = request.header("content-type").partition(";")[0].strip().lower()
        if media not in MEDIA:
            raise RequestError(415, f"Content-Type {media[:60]!r} is not served; send {CSV}, {JSON} or {JSON_LINES}")
        accept = _accepted(request.header("accept"), MEDIA[media])
        wishes = _wishes(request.header("x-amzn-sagemaker-custom-attributes"))
        name = wishes.get("threshold", next(iter(self.model.thresholds)))
        if name not in self.model.thresholds:
            known = ", ".join(self.model.thresholds)
            raise RequestError(400, f"threshold {name!r} is unknown; the model has {known}")
        try:
            rows = parse(body, MEDIA[media], self.model)
            scores = self.model.score(rows)
            request.rows = len(scores)
            if accept == CSV:
                return accept, _lines(scores)
            threshold = self.model.thresholds[name]
            predictions = [{"score": score, "fraud": score >= threshold} for score in scores.tolist()]
            if "reasons" in wishes:
                top = wishes["reasons"] or str(REASONS)
                if not top.isdecimal() or not 0 < int(top) <= 100:
                    raise RequestError(400, f"reasons={top}: ask for a number of reasons from 1 to 100")
                for prediction, reasons in zip(predictions, self.model.reasons(rows, int(top)), strict=True):
                    prediction["reasons"] = reasons
        except RowError as error:
            raise RequestError(400, str(error)) from None
        if accept == JSON:
            return accept, json.dumps({"predictions": predictions}).encode()
        return accept, "".join(json.dumps(prediction) + "\n" for prediction in predictions).encode()

    def execution_parameters(self) -> bytes:
        """What batch transform should send: payload times concurrency stays within its 100 MB."""
        concurrent = int(os.environ.get("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS") or self.workers)
        return json.dumps(
            {
                "MaxConcurrentTransforms": concurrent,
                "BatchStrategy": os.environ.get("SAGEMAKER_BATCH_STRATEGY") or "MULTI_RECORD",
                "MaxPayloadInMB": max(1, min(self.limit_mb, 100 // concurrent)),
            }
        ).encode()

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        """Speak ASGI: one request in, one answer and one log line out."""
        began = time.perf_counter()
        request = Request(scope["method"], scope["path"], dict(scope["headers"]))
        headers = {"x-request-id": request.identity}
        refused = b""
        try:
            media, text = await self._route(request, receive)
            status = 200
        except RequestError as error:
            status, media, headers = error.status, JSON, headers | error.headers
            text = json.dumps({"error": str(error), "id": request.identity}).encode()
            refused = text if "connection" in error.headers else b""
        except ConnectionError:  # nobody is left to answer
            _log(request, 499, began)
            return
        except Exception as error:  # the caller gets an id, the log what it stands for
            status, media = 500, JSON
            text = json.dumps({"error": "internal error; quote the id", "id": request.identity}).encode()
            place = error.__traceback__
            while place and place.tb_next:
                place = place.tb_next
            line = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
            _log(request, status, began, error=type(error).__name__, at=line)
        else:
            if attributes := request.header("x-amzn-sagemaker-custom-attributes"):
                headers["x-amzn-sagemaker-custom-attributes"] = attributes
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        pairs += [(b"content-type", media.encode()), (b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": text, "more_body": bool(refused)})
        if refused:
            await _drain(receive)
            await send({"type": "http.response.body"})
        if status != 500:
            _log(request, status, began)

    async def _route(self, request: Request, receive: Callable[[], Any]) -> tuple[str, bytes]:
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
        body = await self._body(request, receive)
        if len(body) <= INLINE_BYTES:
            return self.answer(request, body)
        return await asyncio.to_thread(self.answer, request, body)

    async def _body(self, request: Request, receive: Callable[[], Any]) -> bytes:
        too_large = RequestError(
            413, f"the body is over the limit of {self.limit_mb} MB; send fewer rows at a time", connection="close"
        )
        limit = self.limit_mb << 20
        declared = request.header("content-length")
        if declared.isdecimal() and int(declared) > limit:
            raise too_large
        chunks, size = [], 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionError
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > limit:
                        raise too_large
                    if not message.get("more_body"):
                        return b"".join(chunks)
        except TimeoutError:
            raise RequestError(
                408, f"the body did not arrive within {BODY_SECONDS} seconds; send it again", connection="close"
            ) from None


async def _drain(receive: Callable[[], Any]) -> None:
    """Throw away what a refused client still sends, for a while: closing at once could cost it the answer."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
    except TimeoutError:
        return


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


def _log(request: Request, status: int, began: float, **more: str) -> None:
    """One JSON line a request: never a value of a transaction."""
    moment = time.time()
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z",
        "id": request.identity,
        "path": request.path[:100],
        "rows": request.rows,
        "status": status,
        "ms": round((time.perf_counter() - began) * 1000, 3),
    }
    sys.stdout.write(json.dumps(line | more) + "\n")
    sys.stdout.flush()


# ---------------------------------------------------------------- processes


class Http(uvicorn.Server):
    """uvicorn, taking connections one by one from the queue that it shares with the other workers.

    asyncio would else empty the whole queue whenever it wakes, and one worker end up with all the connections.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen with asyncio's batch at one connection, then give the kernel's queue its length back."""
        await super().startup(sockets)
        for shared in sockets or ():
            shared.listen(QUEUE)


class HttpWorker(Worker):
    """A gunicorn worker that speaks HTTP through uvicorn."""

    def init_signals(self) -> None:
        """Leave signals to uvicorn, which ends gracefully on SIGTERM."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def run(self) -> None:
        """Serve until told to stop."""
        self.wsgi.model.booster.set_param({"nthread": CORES})

        async def notify() -> None:
            self.notify()

        config = uvicorn.Config(
            self.wsgi,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=1,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=20,
            timeout_notify=5,
            callback_notify=notify,
        )
        server = Http(config)
        loop = config.get_loop_factory()
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(server.serve(sockets=self.sockets))


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


def main() -> int:
    """Load the model and serve it until SIGTERM."""
    # XGBoost imports these when it finds them; serving needs neither, and they cost two seconds and 120 MB.
    for name in ("pandas", "sklearn"):
        sys.modules[name] = None  # type: ignore[assignment]
    # OpenMP reads these when XGBoost is imported. Its threads do not survive a fork, and a child that takes them for
    # alive hangs: so none before the fork, and workers start their own. Waiting threads must not burn the other's core.
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    try:
        model = artifact.load(base / "model")
    except ArtifactError as error:
        print(f"serve: {error}", file=sys.stderr)
        return 1
    workers = int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or CORES)
    limit_mb = int(os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB") or 100)
    host = os.environ.get("SERVE_HOST", "0.0.0.0")  # noqa: S104 - a container is reached from outside
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or 8080)
    model.forest.margin(np.zeros((1, len(model.features.names)), dtype=np.float32))  # built here, shared by all workers
    Server(Service(model, workers, limit_mb), host, port).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
