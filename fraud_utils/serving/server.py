"""The app behind HTTP/1.1: granian's workers, forked from the loaded model. Another server is another such file.

granian (Rust, hyper) speaks HTTP in each worker, replaces a worker that dies, and on SIGTERM lets every request that
has begun end. What it leaves to its caller is here: the largest body, the time that a body may take to arrive, whether
it arrived whole, and what happens when workers die in a row.

Given up for not speaking HTTP ourselves: errors of HTTP itself (400, 431) come without JSON, a head that never ends and
a client that half-closes its connection get no answer, and a request with both Content-Length and chunks is read as RFC
9112, 6.3 says (the chunks count, and the connection ends with the answer, so that nothing is taken for a next request).
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.rsgi import ProtocolClosed, ProtocolError
from granian.server.mp import MPServer

from fraud_utils.artifact import ArtifactError
from fraud_utils.serving.answers import RequestError
from fraud_utils.serving.app import App, Request, SettingError, Settings
from fraud_utils.serving.bodies import Body

ARRIVAL_SECONDS = 30  # for a body to arrive
IDLE_SECONDS = 75  # for a client to ask again, longer than load balancers keep connections; or for a head to arrive
LINGER_SECONDS = 1  # from SIGTERM to the last connection's end, for clients to learn of it from an answer
GRACE_SECONDS = 20  # for requests in progress to end after that; SageMaker waits for 30 in all
DRAIN_SECONDS = 2  # for a client to stop sending what was refused, so that it reads the answer
PAUSE_SECONDS = 1  # before a new start when workers die in a row
LONG_BYTES = 1 << 20  # longer bodies are read piece by piece into one place
INLINE_BYTES = 1 << 14  # larger bodies are scored in a thread, so that small ones need not wait for them
QUEUE = 2048  # connections that wait to be accepted
CONNECTIONS = 8192  # a worker

LOGGING = {  # to stderr: stdout has one JSON line a request
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "generic"}},
    "loggers": {"_granian": {"handlers": ["stderr"], "propagate": False}},
}


class Worker:
    """The app in one worker process, as granian calls it (RSGI)."""

    def __init__(self, app: App, stopping: mmap.mmap, parent: int) -> None:
        self.app, self.stopping, self.parent = app, stopping, parent

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by granian before the first request."""
        self.orphaned = loop.create_task(self._end_with_parent())

    async def __call__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        request = Request(scope.method, scope.path, scope.headers)
        arrived = await self._body(scope.headers, protocol)
        if isinstance(arrived, RequestError):
            request.refusal = arrived
        else:
            request.body = arrived
        if len(request.body) > INLINE_BYTES or self.app.waits:
            answer = await asyncio.get_running_loop().run_in_executor(None, self.app.respond, request)
        else:
            answer = self.app.respond(request)
        status, headers, body = answer
        if request.refusal or self.stopping[0]:
            headers.append(("connection", "close"))
        protocol.response_bytes(status, headers, body)
        if status == 413 and "expect" not in scope.headers:
            await _drain(protocol)

    async def _body(self, headers: Any, protocol: Any) -> Body | RequestError:
        """The whole body, or why there is none: too large, not there in time, or broken off.

        Returned and not raised: a traceback would keep the protocol alive, and with it the connection.
        """
        limit, declared = self.app.settings.limit, headers.get("content-length")
        if not declared and "transfer-encoding" not in headers:
            return b""
        body: Body | None = None
        try:
            async with asyncio.timeout(ARRIVAL_SECONDS):
                if not declared:
                    body = await _chunks(protocol, limit)
                elif (size := int(declared)) <= limit:
                    body = await (protocol() if size <= LONG_BYTES else _pieces(protocol, size))
        except TimeoutError:
            return RequestError(408, f"the body did not arrive within {ARRIVAL_SECONDS} seconds; send it again")
        except (ProtocolClosed, EOFError):
            return RequestError(400, "the body broke off, or its chunks end with trailers; send it again, whole")
        if body is None:
            size_of = f"{limit:,} bytes" if limit % (1 << 20) else f"{limit >> 20} MB"
            return RequestError(413, f"the body is over the limit of {size_of}; send fewer rows at a time")
        return body

    async def _end_with_parent(self) -> None:
        """A worker without its parent would hold the port for ever."""
        while os.getppid() == self.parent:
            await asyncio.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)


async def _chunks(protocol: Any, limit: int) -> bytes | None:
    """A chunked body, None where it is over the limit. granian gives one empty piece at its end, and two if broken."""
    pieces, size, empty = [], 0, 0
    async for piece in protocol:
        pieces.append(piece)
        size, empty = size + len(piece), empty + (not piece)
        if size > limit:
            return None
    if empty != 1:
        raise EOFError
    return b"".join(pieces)


async def _pieces(protocol: Any, size: int) -> memoryview:
    """A long body of known size. In NumPy's huge pages 50 MB take a third of the time that granian's join takes."""
    body, end = memoryview(np.empty(size, dtype=np.uint8)), 0
    async for piece in protocol:
        body[end : end + len(piece)] = piece
        end += len(piece)
    if end < size:
        raise EOFError
    return body


async def _drain(protocol: Any) -> None:
    """Read what a client still sends: closing at once would make the kernel reset the connection, answer and all."""
    with contextlib.suppress(ProtocolError):  # a chunked body is being read already
        aiter(protocol)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while await anext(protocol, b""):
                pass


class Server(MPServer):
    """granian's main process; on SIGTERM, answers ask clients to close their connections before it does."""

    def __init__(self, app: App, address: str, stopping: mmap.mmap) -> None:
        self.stopping = stopping
        super().__init__(
            "fraud_utils.serving",
            address,
            app.settings.port,
            interface=Interfaces.RSGI,
            workers=app.settings.workers,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=IDLE_SECONDS * 1000),
            websockets=False,
            backlog=QUEUE,
            backpressure=CONNECTIONS,
            log_level=LogLevels.warning,
            log_dictconfig=LOGGING,
            respawn_failed_workers=True,
            workers_kill_timeout=GRACE_SECONDS,
        )
        self.on_startup(self._stop_if_asked_before)

    def signal_handler_interrupt(self, *_: Any) -> None:
        """Called on SIGTERM and SIGINT."""
        self.stopping[0] = 1
        threading.Timer(LINGER_SECONDS, super().signal_handler_interrupt).start()

    def _stop_if_asked_before(self) -> None:
        if self.stopping[0]:
            self.signal_handler_interrupt()


def run(environment: Mapping[str, str]) -> int:
    """Load the model and serve it until SIGTERM; returns the exit status.

    A worker that dies is replaced at once. When one dies twice within 5.5 seconds granian ends all of them, each after
    the requests that it has begun; then they are started anew from the model in memory, here and not by SageMaker.
    """
    try:
        settings = Settings.read(environment)
        app = App.load(Path(environment.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "model", settings)
        address = _free_address(settings)
    except (ArtifactError, SettingError, OSError) as error:
        print(f"serve: {error}", file=sys.stderr)
        return 1
    _allow_files(CONNECTIONS + 1024)
    multiprocessing.set_start_method("fork")
    stopping, parent = mmap.mmap(-1, 1), os.getpid()  # memory that the workers share
    while not stopping[0]:
        try:
            Server(app, address, stopping).serve(target_loader=lambda: Worker(app, stopping, parent), wrap_loader=False)
        except SystemExit:
            time.sleep(PAUSE_SECONDS)
    return 0


def _allow_files(count: int) -> None:
    """Raise the limit of open files, of which each connection is one, as far as this process may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count and soft != resource.RLIM_INFINITY:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (count if hard == resource.RLIM_INFINITY else min(count, hard), hard)
        )


def _free_address(settings: Settings) -> str:
    """The address to bind. Workers share its port, so that only a socket that does not share can see it is taken."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise SettingError(f"port {settings.port} of {settings.host}: {error.strerror}") from None
    return str(place[0])
