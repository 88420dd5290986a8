"""`train`, forked from a process that has imported what it imports, which takes a second of the processor."""

import multiprocessing
import os
import runpy
import signal
import tempfile
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[1] / "container" / "train.py"
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["fraud_utils.training"])


def train(environment, out, errors):
    """What the child does: it writes to a pipe and to a file, and ends as the program does."""
    os.environ.update(environment)
    os.dup2(out.fileno(), 1)
    os.dup2(os.open(errors, os.O_WRONLY), 2)
    runpy.run_path(str(PROGRAM), run_name="__main__")


class Forked:
    """A running `train`, with what tests ask of a `subprocess.Popen`."""

    def __init__(self, environment):
        self._errors = tempfile.NamedTemporaryFile("r")  # noqa: SIM115  # deleted with this object
        read, write = CONTEXT.Pipe(duplex=False)
        with pytest.MonkeyPatch.context() as patch, read, write:
            patch.setenv("OMP_NUM_THREADS", "1")  # OpenMP reads it when the first of these processes imports XGBoost
            self._process = CONTEXT.Process(target=train, args=(environment, write, self._errors.name))
            self._process.start()
            self.stdout = os.fdopen(os.dup(read.fileno()))

    def send_signal(self, number):
        os.kill(self._process.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    @property
    def returncode(self):
        return self._process.exitcode

    def communicate(self, timeout=None):
        """What it has written to its end, as Popen's."""
        with self.stdout:
            out = self.stdout.read()
        self._process.join(timeout)
        return out, self._errors.read()
