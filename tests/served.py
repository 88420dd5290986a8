"""`serve` as SageMaker runs it, for the tests that ask it over HTTP."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
from states import HANGS, until

PROGRAM = Path(__file__).resolve().parents[1] / "container" / "serve.py"
CSV = "text/csv"


class Endpoint:
    """A running `serve` and ways to ask it."""

    def __init__(self, base, folder, changed="", **environment):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.log = folder / f"serve-{self.port}.log"
        tree = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": str(self.port), "SERVE_HOST": "127.0.0.1"}
        given = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}  # as in the image
        # `changed`: statements that shorten the program's own constants, for tests that cannot wait for them
        load = f"import runpy; from fraud_utils.serving import server; {changed}"
        program = ["-c", f"{load}; runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"] if changed else [PROGRAM]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program],
                env=given | tree | {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"} | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self):
        """Wait for the first /ping to be answered."""

        def answered():
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.ask("GET", "/ping")[0] == 200

        until(answered, "the first /ping")
        return self

    def ask(self, method, path, body=None, headers=None):
        """One request on a connection of its own; gives status, headers and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANGS)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def score(self, body):
        """Scores of a CSV body that must be answered."""
        status, _, text = self.ask("POST", "/invocations", body, {"Content-Type": CSV})
        assert status == 200, text
        return [float(line) for line in text.split()]

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=HANGS)

    def say(self, sent, half_close=False):
        """What the server answers to these bytes until it closes."""
        with self.connect() as client:
            client.sendall(sent)
            if half_close:
                client.shutdown(socket.SHUT_WR)
            return read_all(client)

    def workers(self):
        """The serving processes."""
        return psutil.Process(self.process.pid).children()

    def connections(self):
        """How many the serving processes hold."""
        held = (connection for worker in self.workers() for connection in worker.net_connections("tcp"))
        return sum(connection.status == psutil.CONN_ESTABLISHED for connection in held)

    def logged(self):
        """The log's lines about requests."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def stop(self):
        """End it as SageMaker does; gives the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(HANGS)


def read_all(client):
    """Everything until the server closes."""
    answer = b""
    while part := client.recv(65536):
        answer += part
    return answer
