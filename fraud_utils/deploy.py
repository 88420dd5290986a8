"""From a choice to a trained model and an endpoint that answers, and nothing left behind.

`train` and `endpoint` run the container's own programs as processes on this machine, on a private tree of the shape
that SageMaker gives a container.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import requests

from fraud_utils import artifact, results
from fraud_utils.data import Schema, project_root, resolve

ROWS_A_REQUEST = 5_000  # about 3 MB of CSV; an endpoint takes 25 MB, a serverless one 4
START_SECONDS = 60


class DeployError(RuntimeError):
    """Training or serving failed; the message is the program's own."""


def _start(program: str, base: Path, output: Any, **environment: str) -> subprocess.Popen[str]:
    """Start one of the container's programs. It stays in our process group, so that what ends us ends it."""
    path = project_root() / "container" / program
    if not path.is_file():
        raise DeployError(f"{path}: no such file; run inside the project, whose container/ holds the programs")
    return subprocess.Popen(
        [sys.executable, str(path)],
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(base)} | environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _stop(process: subprocess.Popen[str]) -> None:
    """End a program as SageMaker does: SIGTERM, and SIGKILL for one that does not heed it."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def train(rows: pd.DataFrame, schema: Schema, choice: Mapping[str, Any], run_folder: str | Path) -> Path:
    """Train the choice with the container's program, and keep the model in the run's folder.

    Parameters
    ----------
    rows : pandas.DataFrame
        Everything that the model may learn from.
    choice : mapping
        The section `chosen` that notebook 02 recorded: `hyperparameters` and `thresholds`.
    run_folder : str or Path
        Gets `model/` and `model.tar.gz`.

    Returns
    -------
    Path
        The model's folder.

    Raises
    ------
    DeployError
        The program failed; the message is what it left in its failure file.
    """
    run_folder = resolve(run_folder)
    hyperparameters = {key: str(value) for key, value in choice["hyperparameters"].items()}
    hyperparameters |= {"schema": json.dumps(schema.to_dict()), "thresholds": json.dumps(choice["thresholds"])}
    with tempfile.TemporaryDirectory(prefix="fraud-train-") as folder:
        base = Path(folder)
        for part in ("input/config", "input/data/train", "model", "output"):
            (base / part).mkdir(parents=True)
        (base / "input/config/hyperparameters.json").write_text(json.dumps(hyperparameters))
        rows.to_parquet(base / "input/data/train/train.parquet", index=False)
        process = _start("train.py", base, subprocess.PIPE)
        try:
            for line in process.stdout or ():
                print(line, end="", flush=True)
            status = process.wait()
        finally:
            _stop(process)
        failure = base / "output/failure"
        if status or failure.exists():
            raise DeployError(failure.read_text() if failure.exists() else f"train.py ended with status {status}")
        shutil.rmtree(run_folder / "model", ignore_errors=True)
        shutil.copytree(base / "model", run_folder / "model")
    artifact.pack(run_folder / "model", run_folder / "model.tar.gz")
    return run_folder / "model"


class Endpoint:
    """A served model that answers over HTTP, as SageMaker's endpoints do."""

    def __init__(self, address: str, process: subprocess.Popen[str]) -> None:
        self.address = address
        self._process = process
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy has no business on loopback

    def ready(self) -> bool:
        """Whether `/ping` says that the model is loaded."""
        try:
            return self._session.get(f"{self.address}/ping", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def invoke(self, body: str) -> str:
        """Send rows as CSV, get a probability a line.

        Raises
        ------
        DeployError
            The rows were refused; the message names row and column.
        """
        headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
        answer = self._session.post(f"{self.address}/invocations", body.encode(), headers=headers, timeout=60)
        if answer.status_code != 200:
            raise DeployError(f"the endpoint answered {answer.status_code}: {answer.text}")
        return answer.text

    def score(self, rows: pd.DataFrame) -> np.ndarray:
        """Score rows through the endpoint, some thousands a request.

        Returns
        -------
        numpy.ndarray of float64, shape (rows,)
        """
        parts = (rows.iloc[start : start + ROWS_A_REQUEST] for start in range(0, len(rows), ROWS_A_REQUEST))
        answers = [self.invoke(part.to_csv(index=False)) for part in parts]
        return np.array("".join(answers).split(), dtype=np.float64)

    def latency_ms(self, rows: pd.DataFrame, count: int = 200) -> dict[str, float]:
        """Milliseconds from request to answer for single rows on one connection: median and 99th percentile."""
        taken = []
        for i in range(count):
            body = rows.iloc[[i % len(rows)]].to_csv(index=False)
            start = time.perf_counter()
            self.invoke(body)
            taken.append(1000 * (time.perf_counter() - start))
        return {"p50": float(np.quantile(taken, 0.5)), "p99": float(np.quantile(taken, 0.99))}

    @property
    def deleted(self) -> bool:
        """Whether the process is gone and nothing answers any more."""
        return self._process.poll() is not None and not self.ready()


@contextlib.contextmanager
def endpoint(model_folder: str | Path) -> Iterator[Endpoint]:
    """Serve a model on a free port of this machine until the block ends, whichever way it ends.

    Raises
    ------
    DeployError
        The server did not become ready; the message is what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="fraud-serve-") as folder:
        shutil.copytree(resolve(model_folder), Path(folder) / "model")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        # Its log goes to a file: nobody empties a pipe while we wait for answers.
        with (Path(folder) / "log").open("w+") as log:
            process = _start("serve.py", Path(folder), log, SERVE_HOST="127.0.0.1", SAGEMAKER_BIND_TO_PORT=str(port))
            served = Endpoint(f"http://127.0.0.1:{port}", process)
            try:
                patience = time.monotonic() + START_SECONDS
                while not served.ready():
                    if process.poll() is not None or time.monotonic() > patience:
                        log.seek(0)
                        raise DeployError(f"the server did not become ready:\n{log.read()[-2000:]}")
                    time.sleep(0.05)
                yield served
            finally:
                _stop(process)


def check_target(target: str) -> None:
    """Refuse a target that does not exist before anything is trained for it."""
    if target != "local":
        raise DeployError(f"target is {target!r}, but only 'local' is there so far: run with TARGET=local")


def read_choice(run_folder: str | Path) -> dict[str, Any]:
    """What notebook 02 chose in this run, with the average precision it `reached` on the test set.

    Raises
    ------
    DeployError
        Notebook 02 has not run there.
    """
    recorded = results.read(run_folder)
    try:
        choice = recorded["chosen"]
        tested = next(model["test"] for model in recorded["models"] if model["name"] == choice["name"])
    except (KeyError, StopIteration):
        raise DeployError(
            f"{run_folder}: no choice is recorded there; run notebook 02 with the same run_folder first"
        ) from None
    return choice | {"reached": tested["average_precision"]}


def describe(
    choice: Mapping[str, Any],
    served: np.ndarray,
    difference: float,
    reached: float,
    latency_ms: Mapping[str, float],
    deleted: bool,
) -> str:
    """The notebook's findings."""
    same = "as" if abs(reached - choice["reached"]) < 1e-6 else f"**not** the {choice['reached']:.4f} that was found"
    return "\n".join(
        [
            f"- **{choice['name']}** was trained by the container's program and served over HTTP.",
            f"- All {len(served):,} test rows were scored through the endpoint; the largest difference from scoring in "
            f"the notebook is {difference:.1e}.",
            f"- Served scores reach an average precision of {reached:.4f} on the test set, {same} in notebook 02.",
            f"- A single row took {latency_ms['p50']:.1f} ms in the median, {latency_ms['p99']:.1f} ms in the slowest "
            "hundredth, on this machine and with this client.",
            "- The endpoint is gone." if deleted else "- **The endpoint still answers: stop it by hand.**",
        ]
    )
