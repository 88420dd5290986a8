"""The HTTP server: SageMaker's requests are answered here, all others by moto."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from fraud_utils.local_sagemaker import endpoints, service
from fraud_utils.local_sagemaker.account import Account
from fraud_utils.local_sagemaker.checks import ApiError

Environ = dict[str, Any]  # WSGI's
SPOOLED_BYTES = 1 << 20  # objects in S3 over which moto keeps them on disk; its own 5 MB let many answers fill memory


class Front:
    """The WSGI application. Writes one log line a request."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.moto = _Dispatcher(_backend)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        target, path = environ.get("HTTP_X_AMZ_TARGET", ""), environ["PATH_INFO"]
        scope = re.search(r"Credential=[^/]*/\d+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        region, name = scope.groups() if scope else ("us-east-1", "-")
        invoked = re.fullmatch(r"/endpoints/([^/]+)/((?:async-)?invocations(?:-response-stream)?)", path)
        if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):  # IAM's and STS's way
            form = _body(environ)
            environ["wsgi.input"] = io.BytesIO(form)
            target = dict(parse_qsl(form.decode(errors="replace"))).get("Action", "")
        named = re.search("/operation/([A-Za-z]+)$", path)  # CloudWatch's way
        what = target.rpartition(".")[2] or (named and named[1])
        what = what or ("InvokeEndpoint" if invoked else f"{environ['REQUEST_METHOD']} {path}")

        def respond(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") and " " in what else ""
            sys.stdout.write(f"{datetime.now(UTC):%H:%M:%S} {name} {what}{query} {status[:3]}\n")  # whole lines
            sys.stdout.flush()
            return start_response(status, headers, *more)

        if invoked:
            return _answer(respond, lambda: self._invoke(invoked[1], invoked[2], region, environ))
        if target.startswith("SageMaker."):
            body = _body(environ)
            try:
                request = json.loads(body or b"{}")
            except ValueError:
                request = {}
            if not service.is_motos(self.account, what, request):
                return _answer(respond, lambda: self._act(what, request, region))
            environ["wsgi.input"] = io.BytesIO(body)
        return self.moto(environ, respond)

    def _act(self, operation: str, request: dict[str, Any], region: str) -> tuple[dict[str, str], bytes]:
        answer = service.answer(self.account, operation, request, region)
        return {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode()

    def _invoke(self, name: str, how: str, region: str, environ: Environ) -> tuple[dict[str, str], bytes]:
        if how != "invocations":
            raise ApiError(f"SageMaker on this machine does not support {how}", endpoints.RUNTIME)
        headers = {key[5:].replace("_", "-").lower(): v for key, v in environ.items() if key.startswith("HTTP_")}
        headers["content-type"] = environ.get("CONTENT_TYPE", "")
        return endpoints.invoke(self.account, name, region, _body(environ), headers)


class _Dispatcher(DomainDispatcherApplication):
    """Moto's way from a request to a service; it looks into each of its folders for that, which is done once a host."""

    def __init__(self, create_app: Callable[..., Any]) -> None:
        super().__init__(create_app)
        self.get_backend_for_host = cache(super().get_backend_for_host)  # type: ignore[method-assign]


def _backend(service: Any) -> Any:
    """Moto's app for a service, not as moto makes it: in debug mode Flask keeps bodies until a late run of gc."""
    app = create_backend_app(service)
    app.debug = False
    return app


def _body(environ: Environ) -> bytes:
    return environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


def _answer(respond: Callable[..., Any], work: Callable[[], tuple[dict[str, str], bytes]]) -> Iterable[bytes]:
    status = "200 OK"
    try:
        headers, content = work()
    except ApiError as error:
        status = f"{error.status} {error.code}"
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}
        text = {"__type": error.code, "message": str(error), "Message": str(error)} | error.more
        content = json.dumps(text).encode()
    headers |= {"Content-Length": str(len(content)), "x-amzn-RequestId": str(uuid.uuid4())}
    respond(status, list(headers.items()))
    return [content]


class _Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"  # an answer of no known length comes in chunks, so that its end is seen

    def log(self, type: str, message: str, *args: Any) -> None:
        """Front writes the log."""


def start(port: int, engine: str, ping_seconds: float) -> Account:
    """Listen on a loopback port, 0 for a free one; returns the account, whose `address` it is."""
    os.environ.setdefault("MOTO_S3_DEFAULT_KEY_BUFFER_SIZE", str(SPOOLED_BYTES))
    server = make_server("127.0.0.1", port, lambda *_: [], threaded=True, request_handler=_Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]
    account = Account(f"http://127.0.0.1:{server.port}", engine, ping_seconds)
    server.app = Front(account)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return account
