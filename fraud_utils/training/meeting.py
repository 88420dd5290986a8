"""How the hosts of a job find each other, and hear at once when one of them ends.

XGBoost's communicator notices that a host is gone only when it waits for that host, says nothing of the reason, and may
wait for half an hour. So each host keeps a connection to the first one beside it. A host that fails says why before it
ends; of one that is killed the operating system closes the connection, and one whose machine is gone does not answer
TCP's own keep-alive any more, whatever its program was doing.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from fraud_utils.training.hyperparameters import SetupError

PORT_VARIABLE, PORT = "TRAIN_PORT", 9099  # on the first host
MEETING_SECONDS = 900  # hosts download their data before they start, and not all at once
HELLO_SECONDS, NEWS_SECONDS, PARTING_SECONDS, LONGEST_LINE = 10, 40, 60, 65_536
ALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPALIVE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 5}  # gone after 35 s of silence


class Stopped(Exception):  # noqa: N818
    """The job was asked to stop before its hosts had met."""


class Meeting:
    """The connections between the first host of a job and each of the others, watched by threads.

    Parameters
    ----------
    names : tuple of str
        Of all hosts; the first one's must resolve to its address.
    name : str
        This host's.
    lost : callable
        Gets the reason when another host has ended before the job; called in a thread, since the program itself may
        be waiting for that host, and must not return.
    """

    def __init__(self, names: tuple[str, ...], name: str, lost: Callable[[str], None]) -> None:
        self.names, self.name, self._lost = names, name, lost
        self._connections: dict[str, socket.socket] = {}
        self._watchers: list[threading.Thread] = []
        self._lock, self._over = threading.Lock(), threading.Event()
        self.port = int(os.environ.get(PORT_VARIABLE, PORT))

    @property
    def first(self) -> bool:
        """Whether this is the host that the others come to."""
        return self.name == self.names[0]

    def gather(self, stop: Callable[[], bool], invite: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
        """Wait until every host is there; what `invite` gives for the first host's address, on all of them.

        Raises
        ------
        SetupError
            Some did not come, or the first host was not found.
        Stopped
            `stop` was true before.
        """
        deadline = time.monotonic() + MEETING_SECONDS
        invited = self._receive(stop, deadline, invite) if self.first else self._come(stop, deadline)
        for name, connection in self._connections.items():
            connection.settimeout(None)
            self._watchers.append(threading.Thread(target=self._watch, args=(name, connection), daemon=True))
            self._watchers[-1].start()
        return invited

    def _receive(
        self, stop: Callable[[], bool], deadline: float, invite: Callable[[str], Mapping[str, Any]]
    ) -> dict[str, Any]:
        try:
            address = socket.gethostbyname(self.name)
            listener = socket.create_server((address, self.port))
        except OSError as error:
            raise SetupError(
                f"host {self.name} cannot await the others at port {self.port} ({error}); its name must resolve to its "
                f"own address, and the port must be free (the environment's {PORT_VARIABLE} names another)"
            ) from None
        with listener:
            listener.settimeout(0.5)
            while missing := [name for name in self.names[1:] if name not in self._connections]:
                _check(stop, deadline, f"{', '.join(missing)} did not come to {self.name}")
                with contextlib.suppress(TimeoutError):
                    self._welcome(listener.accept()[0])
        invited = dict(invite(address))
        self._tell({"invited": invited})
        return invited

    def _welcome(self, connection: socket.socket) -> None:
        """Keep the connection of a host of this job; anybody else's is closed."""
        _keep_alive(connection)
        connection.settimeout(HELLO_SECONDS)
        name = _line(connection).get("host")
        if name in self.names[1:] and name not in self._connections:
            self._connections[name] = connection
        else:
            connection.close()

    def _come(self, stop: Callable[[], bool], deadline: float) -> dict[str, Any]:
        first, reason = self.names[0], ""
        while True:
            _check(stop, deadline, f"{self.name} did not reach {first} at port {self.port} ({reason})")
            try:  # on SageMaker names may resolve only some seconds after the program's start
                connection = socket.create_connection((first, self.port), timeout=5)
                break
            except OSError as error:
                reason = str(error)
                time.sleep(0.2)
        _keep_alive(connection)
        _send(connection, {"host": self.name})
        connection.settimeout(HELLO_SECONDS)
        self._connections[first] = connection
        while not select.select([connection], [], [], 0.5)[0]:
            _check(stop, deadline, f"not all hosts came to {first}")
        message = _line(connection)
        if "invited" not in message:
            ended = f"host {first} ended before all hosts of the job had met; see its log for the reason"
            raise SetupError(message.get("failed", ended))
        return message["invited"]

    def _watch(self, name: str, connection: socket.socket) -> None:
        """Wait for a host's last word."""
        message = _line(connection)
        if not message.get("done"):
            self._end(message.get("failed") or _vanished(name))

    def _end(self, reason: str) -> None:
        with self._lock:
            if self._over.is_set():
                return
            self._over.set()
            self._tell({"failed": reason})
        self._lost(reason)

    def _tell(self, message: Mapping[str, Any]) -> None:
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                _send(connection, message)

    def fail(self, reason: str) -> None:
        """Tell the others why this host ends, unless one of them has ended before: then `lost` ends this program."""
        with self._lock:
            heard = self._over.is_set()
            self._over.set()
            if not heard:
                self._tell({"failed": f"host {self.name}: {reason}"})
        if heard:
            time.sleep(PARTING_SECONDS)

    def hear(self) -> None:
        """Give the news that another host has ended some seconds to come, since it explains what failed here."""
        self._over.wait(NEWS_SECONDS)

    def part(self) -> None:
        """End well, once all others do."""
        with self._lock:
            self._over.set()
            self._tell({"done": True})
        for watcher in self._watchers:
            watcher.join(PARTING_SECONDS)
        for connection in self._connections.values():
            connection.close()


def _vanished(name: str) -> str:
    return (
        f"host {name} ended before the job did, without a reason: it was killed, ran out of memory, or its machine is "
        "gone; see its log, and start the job again, which goes on from the last checkpoint"
    )


def _check(stop: Callable[[], bool], deadline: float, what: str) -> None:
    if stop():
        raise Stopped
    if time.monotonic() > deadline:
        raise SetupError(
            f"{what} in {MEETING_SECONDS} seconds; the hosts of a job must reach each other by TCP, in a subnet by a "
            "security group that allows its own members"
        )


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in ALIVE.items():
        if hasattr(socket, name):  # by the operating system
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _line(connection: socket.socket) -> dict[str, Any]:
    """The next message; empty where none came in time, or the other side is gone or does not speak this language."""
    line = b""
    try:
        while not line.endswith(b"\n") and len(line) < LONGEST_LINE:
            if not (byte := connection.recv(1)):
                return {}
            line += byte
        message = json.loads(line)
    except (OSError, ValueError):
        return {}
    return message if isinstance(message, dict) else {}
