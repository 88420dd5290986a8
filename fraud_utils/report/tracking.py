"""A finished run's parameters, metrics and files, sent to MLflow where `MLFLOW_TRACKING_URI` says so."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EXPERIMENT = "fraud-detection"
# MLflow by itself tries for ten minutes to reach a server that is not there.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


def send(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Send a finished run to MLflow; nothing happens where `MLFLOW_TRACKING_URI` is not set.

    The run lies in its folder already, so that whatever goes wrong here is a warning and no failure.

    Parameters
    ----------
    folder : Path
        The run's; all files in it become artefacts.
    metrics : mapping
        The content of its `metrics.json`.
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
        data, version = metrics.get("data") or {}, metrics["version"]
        tags = {
            "data": data.get("name"),
            "simulated": data.get("simulated"),
            "data.sha256": data.get("sha256"),
            "mlflow.source.name": "fraud_utils.report",  # instead of a path of this machine
            "mlflow.source.git.commit": version["git"],
        }
        with mlflow.start_run(
            run_name=metrics["run"], tags={name: str(value) for name, value in tags.items() if value is not None}
        ):
            mlflow.log_params(_parameters(metrics))
            mlflow.log_metrics(_measured(metrics))
            mlflow.log_artifacts(str(folder))
    except (Exception, KeyboardInterrupt) as error:
        told = _without_password(f"{type(error).__name__}: {' '.join(str(error).split())[:160]}…")
        print(
            f"warning: MLflow at {_without_password(address)} did not take this run, which is complete in "
            f"{folder.as_posix()}. Is the server up, and is MLFLOW_TRACKING_URI its address (http://127.0.0.1:5000, "
            f"sqlite:///mlflow.db)? It said: {told}",
            file=sys.stderr,
        )
    else:
        print(f"MLflow at {_without_password(address)} has this run too", file=sys.stderr)


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


def _parameters(metrics: Mapping[str, Any]) -> dict[str, str]:
    """What the run was asked for, and what it chose; empty values, which some stores refuse, are left out."""
    chosen = metrics.get("chosen") or {}
    found = {**metrics["parameters"], "chosen": chosen.get("name")}
    found |= {f"chosen.{name}": value for name, value in (chosen.get("hyperparameters") or {}).items()}
    return {_name(name): str(value)[:6000] for name, value in found.items() if value not in (None, "")}


def _measured(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by a name: of the chosen candidate, of every candidate, of the endpoint, and seconds."""
    models = metrics.get("models") or []
    chosen = (metrics.get("chosen") or {}).get("name")
    groups: dict[str, Mapping[str, Any]] = {"seconds": metrics["seconds"]}
    for model in models:
        for part in ("oof", "test"):
            groups[f"candidates/{_name(model['name'])}/{part}"] = model.get(part) or {}
            if model["name"] == chosen:
                groups[f"chosen/{part}"] = model.get(part) or {}
    groups["chosen/thresholds"] = (metrics.get("chosen") or {}).get("thresholds") or {}
    endpoint = metrics.get("endpoint") or {}
    groups["endpoint"] = {
        "max_abs_difference": endpoint.get("max_abs_difference"),
        **(endpoint.get("latency_ms") or {}),
    }
    found: dict[str, float] = {}
    for group, values in groups.items():
        for name, value in values.items():
            if name.endswith("_ci") and value:
                found |= {
                    f"{group}/{name[:-3]}_{side}": bound for side, bound in zip(("low", "high"), value, strict=True)
                }
            elif isinstance(value, int | float):
                found[f"{group}/{_name(name)}"] = float(value)
    return found


def _name(name: str) -> str:
    """What MLflow takes for a name: letters, digits and a few signs; no slash, which would make a folder of it."""
    words = name.replace("+", " plus ").replace(":", " to ").replace("<", " below ").replace(">", " above ")
    return " ".join(re.sub(r"[^\w\-. ]", " ", words, flags=re.ASCII).split())[:100] or "unnamed"
