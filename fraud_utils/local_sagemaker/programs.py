"""The container's two programs, as processes on a tree like a container's, or as an image in an engine."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import urllib3

CONTAINER = Path(__file__).resolve().parents[2] / "container"  # whatever the working directory is
ALONE_SECONDS = 60  # for the hosts of a job to end by themselves when one has failed
GUARD = Path(__file__).with_name("guard.py")


def missing() -> str:
    """What to do where the programs do not lie beside the package; empty when they do."""
    for program in (CONTAINER / "train.py", CONTAINER / "serve.py"):
        if not program.is_file():
            return (
                f"{program} does not exist: without --engine, jobs and endpoints run the programs in the project's "
                "folder; install fraud_utils from there, editable (make env does)"
            )
    return ""


class Program:
    """A program that is running, with the guard that ends it when this process ends.

    `tree` is what a container has in /opt/ml; `on_line` gets each line that the program writes.
    """

    what, mount, network, stop_seconds = "", "", "", 0  # stop_seconds: from SIGTERM to SIGKILL

    def __init__(
        self, tree: Path, engine: str, image: str, environment: Mapping[str, str], on_line: Callable[[str], None]
    ) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SAGEMAKER_"))}
        after: list[str] = []
        if engine:
            name = f"fraud-{uuid.uuid4().hex[:12]}"
            after = [engine, "rm", "--force", name]
            settings = [word for item in environment.items() for word in ("--env", "=".join(item))]
            user = [] if Path(engine).name == "podman" else ["--user", f"{os.getuid()}:{os.getgid()}"]
            command = [engine, "run", "--rm", "--name", name, "--network", self.network]
            command += ["--volume", self.mount.format(tree=tree), *user, *settings, image, self.what]
        else:
            command = [sys.executable, str(CONTAINER / f"{self.what}.py")]
            inherited |= {"SAGEMAKER_BASE_DIR": str(tree), "PYTHONUNBUFFERED": "1", **environment}
        self.guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), json.dumps([command, after, str(tree)])],
            env=inherited,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._asked = False
        self._reader = threading.Thread(target=self._read, args=(on_line,), daemon=True)
        self._reader.start()

    def _read(self, on_line: Callable[[str], None]) -> None:
        for line in self.guard.stdout or ():
            on_line(line.decode(errors="replace").rstrip("\n"))

    @property
    def status(self) -> int | None:
        """Its exit status, once it has ended."""
        return self.guard.poll()

    def terminate(self) -> None:
        """Send SIGTERM, and SIGKILL later to a program that does not heed it."""
        if self._asked:
            return
        self._asked = True
        self.guard.terminate()
        killer = threading.Timer(self.stop_seconds, self.kill)
        killer.daemon = True
        killer.start()

    def kill(self) -> None:
        """End it and all that it started, at once."""
        with contextlib.suppress(OSError):
            self.guard.stdin.close()  # type: ignore[union-attr]

    def close(self) -> None:
        """Ask it to end, and wait."""
        if self.guard.poll() is None:
            self.terminate()
            self.guard.wait()
        self.kill()
        self._reader.join(5)


class Training(Program):
    """`train`, without a network."""

    what, mount, network, stop_seconds = "train", "{tree}:/opt/ml", "none", 120


class TrainingHost(Training):
    """`train` on one of several hosts, which reach each other on this machine's loopback."""

    network = "host"


def wait(programs: Sequence[Program], stop: threading.Event, seconds: float) -> tuple[list[int], bool]:
    """Wait until all have ended; ask for it when `stop` is set or the time is over; returns statuses and `late`.

    Where one fails, the others have a minute to notice it by themselves.
    """
    deadline, asked, late, failed = time.monotonic() + seconds, False, False, 0.0
    while any(program.status is None for program in programs):
        late = late or time.monotonic() > deadline
        if any(program.status for program in programs):
            failed = failed or time.monotonic()
        alone = failed and time.monotonic() > failed + ALONE_SECONDS
        if (stop.is_set() or late or alone) and not asked:
            asked = True
            for program in programs:
                program.terminate()
        time.sleep(0.02)
    for program in programs:
        program.close()
    return [program.status or 0 for program in programs], late


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Serving(Program):
    """`serve`, which sees the model only, and a client of it."""

    what, mount, network, stop_seconds = "serve", "{tree}/model:/opt/ml/model:ro", "host", 30

    def __init__(
        self, tree: Path, engine: str, image: str, environment: Mapping[str, str], on_line: Callable[[str], None]
    ) -> None:
        port = free_port()
        here = {"SAGEMAKER_BIND_TO_PORT": str(port), "SERVE_HOST": "127.0.0.1"}
        super().__init__(tree, engine, image, here | dict(environment), on_line)
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=100)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}, seconds: float = 60
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; a urllib3 HTTPError where there is no answer in time."""
        return self._pool.urlopen(method, path, body, headers, retries=False, timeout=seconds, decode_content=False)

    def wait_until_ready(self, seconds: float, stop: threading.Event) -> bool:
        """Whether `/ping` answered 200 in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.guard.poll() is None and not stop.is_set():
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if self.ask("GET", "/ping", seconds=2).status == 200:
                    return True
            time.sleep(0.05)
        return False
