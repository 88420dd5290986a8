"""What an endpoint answers, whatever server carries it: `App.respond`, from a request to status, headers and body."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fraud_utils import artifact
from fraud_utils.artifact import Model, RowError
from fraud_utils.serving import answers, bodies, stores
from fraud_utils.serving.answers import ATTRIBUTES, CSV, JSON, RequestError, Usual, Wanted, Written
from fraud_utils.serving.history import Past, Rows

NUMBERS = {  # settings and their environment variables
    "workers": "SAGEMAKER_MODEL_SERVER_WORKERS",
    "limit_mb": "SAGEMAKER_MAX_PAYLOAD_IN_MB",
    "port": "SAGEMAKER_BIND_TO_PORT",
    "concurrent": "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
    "limit_bytes": "MAX_CONTENT_LENGTH",
    "history_ms": "FRAUD_HISTORY_TIMEOUT_MS",
}
TEXTS = {
    "strategy": "SAGEMAKER_BATCH_STRATEGY",
    "host": "SERVE_HOST",
    "history": stores.SETTING,
    "model": "FRAUD_MODEL_NAME",
}
INFERENCE_ID = "x-amzn-sagemaker-inference-id"
ACCEPT, OUTPUT = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "SAGEMAKER_INFERENCE_OUTPUT"
METHODS = {"/ping": ("GET", "HEAD"), "/invocations": ("POST",), "/execution-parameters": ("GET", "HEAD")}

type Answer = tuple[int, list[tuple[str, str]], bytes]


class SettingError(ValueError):
    """An environment variable has a value that it must not have."""


@dataclass(frozen=True)
class Settings:
    """What the environment sets, as SageMaker does; container/serve.py lists the variables."""

    workers: int = bodies.CORES
    limit_mb: int = 100
    port: int = 8080
    concurrent: int = 0  # 0 leaves it to us
    strategy: str = "MULTI_RECORD"
    host: str = "0.0.0.0"  # noqa: S104 - a container is reached from outside
    limit_bytes: int = 0  # 0 leaves it to limit_mb
    history: str = ""  # where entities' recent events are kept
    history_ms: int = 200  # to wait for them
    model: str = ""  # what log lines call the model, so that two behind one endpoint can be told apart
    batch: bool = False  # a batch transform asks
    usual: Usual = field(default_factory=Usual)

    @property
    def limit(self) -> int:
        """The largest body, in bytes: what is set in MB, or in bytes where that is less."""
        return min(self.limit_mb << 20, self.limit_bytes or self.limit_mb << 20)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Read the environment; what is unset, empty or 0 (SageMaker's "no limit") keeps its default."""
        given: dict[str, Any] = {name: environment[key] for name, key in TEXTS.items() if environment.get(key)}
        for name, key in NUMBERS.items():
            text = environment.get(key, "").strip() or "0"
            if not text.isdecimal():
                raise SettingError(f"{key} is {text!r}; it must be a whole number")
            if int(text):
                given[name] = int(text)
        usual = Usual(environment.get(ACCEPT, "").strip().lower(), _names(environment.get(OUTPUT, "")))
        if usual.accept and usual.accept not in answers.MEDIA:
            raise SettingError(f"{ACCEPT} is {usual.accept!r}; it must be one of {', '.join(answers.MEDIA)}")
        if unknown := [name for name in usual.outputs if name not in answers.OUTPUTS]:
            raise SettingError(f"{OUTPUT} has {unknown[0]!r}; it takes {', '.join(answers.OUTPUTS)}")
        settings = cls(**given, usual=usual, batch=environment.get("SAGEMAKER_BATCH", "").lower() == "true")
        if settings.port >= 1 << 16:
            raise SettingError(f"{NUMBERS['port']} is {settings.port}; ports end at 65535")
        try:
            stores.check(settings.history)
        except ValueError as error:
            raise SettingError(str(error)) from None
        return settings


def _names(text: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


@dataclass
class Request:
    """One request, and what its log line will say."""

    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bodies.Body = b""
    refusal: RequestError | None = None  # what the server found wrong with it
    identity: str = field(default_factory=lambda: os.urandom(16).hex())
    began: float = field(default_factory=time.perf_counter)
    rows: int = 0
    alerts: int = 0  # rows that were answered as fraud
    note: str = ""  # what is wrong with rows' history
    fault: dict[str, str] = field(default_factory=dict)


class App:
    """A model behind the paths that SageMaker asks for."""

    def __init__(self, model: Model, settings: Settings, past: Past | None = None) -> None:
        self.model, self.settings, self.past = model, settings, past

    @property
    def waits(self) -> bool:
        """Whether an answer may wait for another machine's."""
        return bool(self.past and self.past.store and self.past.store.remote)

    @classmethod
    def load(cls, folder: Path, settings: Settings) -> App:
        """Load a model folder, and build all that its first rows would have built.

        Raises
        ------
        artifact.ArtifactError
            The folder does not hold a model.
        """
        model = artifact.load(folder)
        blank = np.zeros((1, len(model.layout.features.names)), dtype=np.float32)
        model.forest.margin(blank)
        model.booster.inplace_predict(blank)
        return cls(model, settings, Past.of(model, settings.history, folder.parent, settings.history_ms / 1000))

    def respond(self, request: Request) -> Answer:
        """Answer a request, whatever it is, and log it."""
        headers = [("x-request-id", request.identity)]
        try:
            answer = request.refusal or self._route(request)
        except RequestError as error:
            answer = error
        except Exception as error:  # the caller gets an id, the log what it stands for
            answer = RequestError(500, "internal error; quote the id")
            request.fault = {"error": type(error).__name__, "at": _place(error)}
        if isinstance(answer, RequestError):
            status, media, body = answer.status, JSON, answers.error(str(answer), request.identity)
            headers += answer.headers.items()
        else:
            status, (media, body) = 200, answer
            said = (request.headers.get(ATTRIBUTES), request.note and f"history={request.note}")
            if attributes := ",".join(filter(None, said)):
                headers.append((ATTRIBUTES, attributes))
        _log(request, status, self.settings.model)
        return status, [*headers, ("content-type", media)], body

    def _route(self, request: Request) -> tuple[str, bytes]:
        """Media type and body of an answer with status 200."""
        if request.path not in METHODS:
            raise RequestError(404, f"no such path; there are {', '.join(METHODS)}")
        allowed = METHODS[request.path]
        if request.method not in allowed:
            raise RequestError(405, f"{request.path} takes {allowed[0]}", allow=", ".join(allowed))
        if request.path == "/ping":
            return JSON, b'{"status": "ok"}'
        if request.path == "/execution-parameters":
            return JSON, self._execution_parameters()
        return self._score(request)

    def _score(self, request: Request) -> tuple[str, bytes]:
        media = bodies.media_of(request.headers)
        wanted = Wanted.read(request.headers, media, self.model, self.settings.usual)
        layout, texts = self.model.layout, []
        try:
            if self.settings.batch and media == CSV:
                bodies.check_header(request.body, layout)
            if self.past and self.past.columns.isdisjoint(bodies.named(request.body, media, layout)):
                done = iter([self._write_with_history(request, wanted, media, self.past)])
            elif media == CSV and len(request.body) > bodies.ARROW_BYTES:
                done = bodies.each_piece(
                    request.body, layout, lambda rows, first: wanted.write(self.model, rows, first)
                )
            else:
                done = iter([wanted.write(self.model, bodies.parse(request.body, media, layout))])
            for rows, (text, alerts) in done:
                request.rows += rows
                request.alerts += alerts
                texts.append(text)
        except (RowError, RequestError) as error:
            if bodies.is_base64(request.body):
                raise RequestError(400, bodies.BASE64) from None
            raise RequestError(400, str(error)) from None
        if not request.rows and not (
            self.settings.batch and media == CSV
        ):  # a header alone, the first of a file's lines
            raise RequestError(400, "the body has no rows")
        return wanted.media, wanted.join(texts)

    def _write_with_history(self, request: Request, wanted: Wanted, media: str, past: Past) -> Written:
        """What `wanted.write` makes of rows that may lack their history."""
        identity = request.headers.get(INFERENCE_ID) or ""
        rows = Rows(past, bodies.parse(request.body, media, self.model.layout), identity)
        answer = wanted.write(self.model, rows.rows, 0, rows.record)
        request.note = min(filter(None, rows.notes), default="")  # the graver one
        if rows.fault:
            request.fault = {"history": rows.fault}
        return answer

    def _execution_parameters(self) -> bytes:
        """What batch transform should send: payload times concurrency stays within its 100 MB."""
        usual = 1 if self.past and self.past.store else min(self.settings.workers, 100)  # a store wants rows in order
        concurrent = self.settings.concurrent or usual
        suggested = {
            "MaxConcurrentTransforms": concurrent,
            "BatchStrategy": self.settings.strategy,
            "MaxPayloadInMB": max(1, min(self.settings.limit >> 20, 100 // concurrent)),
        }
        return json.dumps(suggested).encode()


def _place(error: Exception) -> str:
    """The file and line where an error was raised."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    return f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""


def _log(request: Request, status: int, model: str) -> None:
    """One JSON line a request: never a value of a transaction."""
    moment = time.time()
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z",
        "id": request.identity,
        "path": request.path[:100],
        "rows": request.rows,
        "alerts": request.alerts,
        "status": status,
        "ms": round((time.perf_counter() - request.began) * 1000, 3),
    }
    named = {"model": model} if model else {}
    sys.stdout.write(json.dumps(line | named | request.fault) + "\n")
    sys.stdout.flush()
