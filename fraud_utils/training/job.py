"""The job: from the tree that SageMaker lays out to a model folder, an exit status and a reason for a failure."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow
import xgboost
from sklearn.metrics import average_precision_score, log_loss

from fraud_utils import artifact, models
from fraud_utils.data import DataError
from fraud_utils.training.boosting import Checkpoint, fit
from fraud_utils.training.channels import Material, Rows, read_material
from fraud_utils.training.folds import judge
from fraud_utils.training.hyperparameters import Hyperparameters, SetupError, read_hyperparameters

CHECKPOINT = "checkpoint.ubj"
FAILURE_LENGTH = 1024  # as much as SageMaker shows


def main(stop: Callable[[], bool]) -> int:
    """Run the job under $SAGEMAKER_BASE_DIR, or /opt/ml.

    Parameters
    ----------
    stop : callable
        True once the job has been asked to stop.

    Returns
    -------
    int
        Exit status: 0 done or stopped, 1 something that the user can fix, 2 a fault of this program. For 1 and 2,
        output/failure says why.
    """
    # Arrow by itself keeps a block a core in flight and freed memory in hand: 40 MB for nothing that is faster.
    pyarrow.set_cpu_count(1)
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    status = 0
    reason = ""
    try:
        train(base, stop)
    except (SetupError, DataError) as error:
        status, reason = 1, str(error)
    except MemoryError:
        status, reason = 1, "not enough memory for these rows; choose a larger instance, or under-sample"
    except Exception as error:  # whatever it is, SageMaker shows only what the failure file says
        traceback.print_exc()
        status, reason = 2, f"a fault of the training program, {type(error).__name__}: {error}; see the job's log"
    if status:
        print(f"train: {reason}", file=sys.stderr, flush=True)
    failure = base / "output" / "failure"
    try:
        failure.unlink(missing_ok=True)  # of an earlier run on the same tree
        if status:
            failure.parent.mkdir(parents=True, exist_ok=True)
            failure.write_text(reason[:FAILURE_LENGTH], encoding="utf-8")
    except OSError as error:
        print(f"train: {failure} could not be written ({error.strerror})", file=sys.stderr, flush=True)
    return status


def train(base: Path, stop: Callable[[], bool]) -> None:
    """Run the job whose input lies under `base`/input, and leave the model in `base`/model.

    A job that is stopped leaves the trees grown so far, and a checkpoint to go on from. Stopped before its first tree
    it leaves no model, as SageMaker's own algorithms do: "if training has just started, the model might not be ready
    to save" (StoppingCondition in SageMaker's API reference). With the hyperparameter `folds`, there is none either.
    """
    config = base / "input" / "config"
    _check_hosts(config / "resourceconfig.json")
    hyperparameters = read_hyperparameters(config / "hyperparameters.json", base / "input" / "data" / "schema")
    material = read_material(base / "input", hyperparameters)
    if hyperparameters.folds:
        judge(material, hyperparameters, stop)
        return
    checkpoint = Checkpoint(base / "checkpoints" / CHECKPOINT, _fingerprint(material, hyperparameters))
    booster = fit(material, hyperparameters, checkpoint, stop)
    rounds = booster.num_boosted_rounds()
    if not rounds:
        print("stopped by SIGTERM before the first round; there is no model to save", flush=True)
        return
    _save(base / "model", booster, material, hyperparameters)
    if stop():
        print(f"stopped by SIGTERM; the model holds the {rounds} rounds grown so far", flush=True)
    else:
        checkpoint.path.unlink(missing_ok=True)
        print("model saved", flush=True)


def _check_hosts(file: Path) -> None:
    hosts = json.loads(file.read_bytes()).get("hosts", []) if file.exists() else []
    if len(hosts) > 1:
        raise SetupError(
            f"training on {len(hosts)} hosts is not supported yet; set the job's instance count to 1, on a larger "
            "instance if it must be faster"
        )


def _fingerprint(material: Material, hyperparameters: Hyperparameters) -> str:
    """What tells this job's checkpoint from others: rows, hyperparameters, columns, and XGBoost's version."""
    rows = [material.origin["sha256"], material.origin["validation"]]
    everything = [*rows, hyperparameters.recipe, hyperparameters.schema.to_dict(), xgboost.__version__]
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def _save(folder: Path, booster: xgboost.Booster, material: Material, hyperparameters: Hyperparameters) -> None:
    """Leave the model folder, and its metrics in the log."""
    schema = hyperparameters.schema
    share = models.kept_share(hyperparameters.imbalance, material.train.y)
    parts = {"train": material.train} | ({"validation": material.validation} if material.validation else {})
    scores = {part: _scores(booster, rows, share) for part, rows in parts.items()}
    metrics = {"rounds": float(booster.num_boosted_rounds())} | _metrics(parts, scores)
    print(" ".join(f"{name}:{value:.6f};" for name, value in metrics.items()), flush=True)
    contents = artifact.Contents(
        schema=schema.to_dict(),
        columns=[column for column in schema.columns if column != schema.label],
        features=material.features,
        may_be_missing=material.may_be_missing,
        kept_share=share,
        unnamed_rows=hyperparameters.unnamed_rows,
        thresholds=hyperparameters.thresholds,
        decides=hyperparameters.decides,
        tiers=hyperparameters.tiers,
        hyperparameters=hyperparameters.recipe,
        training=material.origin,
        metrics=metrics,
        reference=_reference(material.columns, parts, scores, hyperparameters),
    )
    artifact.save(folder, booster, contents)


def _metrics(parts: Mapping[str, Rows], scores: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Average precision and log loss of the corrected scores on the training and the validation rows."""
    metrics = {}
    for part, rows in parts.items():
        if 0 < rows.y.sum() < len(rows.y):
            metrics[f"{part}_average_precision"] = float(average_precision_score(rows.y, scores[part]))
        metrics[f"{part}_log_loss"] = float(log_loss(rows.y, scores[part], labels=[0, 1]))
    return metrics


def _scores(booster: xgboost.Booster, rows: Rows, share: float) -> np.ndarray:
    """Probabilities of fraud, as the endpoint will give them."""
    margin = booster.inplace_predict(rows.X, predict_type="margin").astype(np.float64)
    return artifact.prior_correction(1 / (1 + np.exp(-margin)), share)


def _reference(
    columns: Mapping[str, artifact.Distribution],
    parts: Mapping[str, Rows],
    scores: Mapping[str, np.ndarray],
    hyperparameters: Hyperparameters,
) -> artifact.Reference:
    """What monitoring will compare with; scores are those of the validation rows where there are any."""
    part = "validation" if "validation" in parts else "train"
    threshold = hyperparameters.thresholds[hyperparameters.decides]
    promise = artifact.Promise.of(part, parts[part].y, scores[part], threshold, parts[part].amount)
    return artifact.Reference(columns, artifact.Distribution.of(scores[part]), promise)
