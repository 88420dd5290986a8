"""A finished run's parameters, metrics and files, sent to MLflow where `MLFLOW_TRACKING_URI` says so."""

from __future__ import annotations

import logging
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fraud_utils.record import RunRecord

EXPERIMENT = "fraud-detection"
# MLflow by itself tries for ten minutes to reach a server that is not there.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


def send(folder: Path, run: RunRecord) -> None:
    """Send a finished run to MLflow; nothing happens where `MLFLOW_TRACKING_URI` is not set.

    The run lies in its folder already, so that whatever goes wrong here is a warning and no failure.

    Parameters
    ----------
    folder : Path
        The run's; all files in it become artefacts.
    run : RunRecord
    """
    address = os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        return
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what MLflow's makers would like to know of its use
    try:
        import mlflow

        for logger in ("mlflow", "alembic", "urllib3"):  # what matters reaches us as an exception
            logging.getLogger(logger).setLevel(logging.ERROR)
        if "MLFLOW_EXPERIMENT_NAME" not in os.environ and "MLFLOW_EXPERIMENT_ID" not in os.environ:
            mlflow.set_experiment(EXPERIMENT)
        tags = {
            "data": run.data and run.data.name,
            "simulated": run.data and run.data.simulated,
            "data.sha256": run.data and run.data.sha256,
            "mlflow.source.name": "fraud_utils.report",  # instead of a path of this machine
            "mlflow.source.git.commit": run.version.git,
        }
        with mlflow.start_run(
            run_name=run.run, tags={name: str(value) for name, value in tags.items() if value is not None}
        ):
            mlflow.log_params(_parameters(run))
            mlflow.log_metrics(_measured(run))
            mlflow.log_artifacts(str(folder))
    except (Exception, KeyboardInterrupt) as error:
        message = _without_password(f"{type(error).__name__}: {' '.join(str(error).split())[:160]}…")
        print(
            f"warning: MLflow at {_without_password(address)} did not take this run, which is complete in "
            f"{folder.as_posix()}. Is the server up, and is MLFLOW_TRACKING_URI its address (http://127.0.0.1:5000, "
            f"sqlite:///mlflow.db)? Its answer: {message}",
            file=sys.stderr,
        )
    else:
        print(f"MLflow at {_without_password(address)} has this run too", file=sys.stderr)


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


def _parameters(run: RunRecord) -> dict[str, str]:
    """What the run was asked for, and what it chose; empty values, which some stores refuse, are left out."""
    values = dict(run.parameters)
    if run.chosen:
        values["chosen"] = run.chosen.name
        values |= {f"chosen.{name}": value for name, value in run.chosen.hyperparameters.items()}
    return {_name(name): str(value)[:6000] for name, value in values.items() if value not in (None, "")}


def _measured(run: RunRecord) -> dict[str, float]:
    """Numbers by a name: of the chosen candidate, of every candidate, of the endpoint, and seconds."""
    groups: dict[str, dict[str, Any]] = {"seconds": run.seconds}
    for model in run.models or ():
        for part, metrics in (("oof", asdict(model.oof)), ("test", asdict(model.test))):
            groups[f"candidates/{_name(model.name)}/{part}"] = metrics
            if model == run.served:
                groups[f"chosen/{part}"] = metrics
    if run.chosen:
        groups["chosen/thresholds"] = dict(run.chosen.thresholds)
    if run.endpoint:
        groups["endpoint"] = {"max_abs_difference": run.endpoint.max_abs_difference, **run.endpoint.latency_ms}
    measured: dict[str, float] = {}
    for group, values in groups.items():
        for name, value in values.items():
            if name.endswith("_ci") and value:
                measured |= {f"{group}/{name[:-3]}_low": value[0], f"{group}/{name[:-3]}_high": value[1]}
            elif isinstance(value, int | float):
                measured[f"{group}/{_name(name)}"] = float(value)
    return measured


def _name(name: str) -> str:
    """What MLflow takes for a name: letters, digits and a few signs; no slash, which would make a folder of it."""
    words = name.replace("+", " plus ").replace(":", " to ").replace("<", " below ").replace(">", " above ")
    return " ".join(re.sub(r"[^\w\-. ]", " ", words, flags=re.ASCII).split())[:100] or "unnamed"
