"""Runs a program that must not outlive whoever started it; a process of its own, with the standard library only.

`python guard.py '[command, after, folder]'` starts the command, passes SIGTERM on to it and ends with its status. When
standard input closes, its owner is gone or wants an end: the program's whole group is killed, the command `after` is
run (it removes a container), and the folder is deleted.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading


def main() -> None:
    """Start the program, and end with it or with standard input."""
    command, after, folder = json.loads(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    early = threading.Event()  # a SIGTERM that comes before there is a process to pass it on to
    signal.signal(signal.SIGTERM, lambda *_: early.set())
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    if early.is_set():
        program.terminate()
    closed = threading.Event()
    threading.Thread(target=_follow, args=(program, closed), daemon=True).start()
    while os.read(0, 1):
        pass
    closed.set()
    _end_group(program)
    program.wait()
    if after:
        subprocess.run(after, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(137)


def _follow(program: subprocess.Popen[bytes], closed: threading.Event) -> None:
    status = program.wait()
    if not closed.is_set():
        _end_group(program)
        os._exit(status if status >= 0 else 128 - status)


def _end_group(program: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
