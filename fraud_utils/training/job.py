"""The job: from the tree that SageMaker lays out to a model folder, an exit status and a reason for a failure."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import xgboost

from fraud_utils import artifact, models
from fraud_utils.data import DataError, memory_bytes
from fraud_utils.training.boosting import Checkpoint, fit
from fraud_utils.training.disk import SHARE, needed_bytes
from fraud_utils.training.folds import judge
from fraud_utils.training.hosts import Hosts, joined, read_hosts
from fraud_utils.training.hyperparameters import Hyperparameters, SetupError, read_hyperparameters
from fraud_utils.training.material import Material, Rows, read_material
from fraud_utils.training.meeting import Stopped

CHECKPOINT, DISK = "checkpoint.ubj", "rows"
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
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            status, reason = 1, _full(base)
    _leave(base, status, reason)
    return status


def _full(base: Path) -> str:
    """What to do where the disk is full."""
    size = shutil.disk_usage(base).total / 2**30
    return (
        f"the disk is full: its {size:.1f} GB are not enough for these rows; give the job a volume of "
        f"{math.ceil(2 * size)} GB (VolumeSizeInGB of its ResourceConfig; in notebook 03, deployment.volume_gb)"
    )


def _leave(base: Path, status: int, reason: str) -> None:
    """Say why the job fails, in the log and in the file that SageMaker shows."""
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


def train(base: Path, stop: Callable[[], bool]) -> None:
    """Run the job whose input lies under `base`/input, and leave the model in `base`/model.

    A job of several hosts runs on each of them; the first one leaves the model. Where another host ends before the job,
    this process ends as well, and leaves the reason in the failure file.

    A job that is stopped leaves the trees grown so far, and a checkpoint to go on from. Stopped before its first tree
    it leaves no model, as SageMaker's own algorithms do: "if training has just started, the model might not be ready
    to save" (StoppingCondition in SageMaker's API reference). With the hyperparameter `folds`, there is none either.
    """
    config = base / "input" / "config"
    hosts = read_hosts(config / "resourceconfig.json")
    hyperparameters = read_hyperparameters(config / "hyperparameters.json", base / "input" / "data" / "schema")
    _check_hosts(hosts, hyperparameters)

    def lost(reason: str) -> None:
        _leave(base, 1, reason)
        os._exit(1)  # the program itself may wait for the host that is gone

    try:
        with joined(hosts, stop, lost):
            _train(base, hyperparameters, hosts, stop if hosts.count == 1 else lambda: hosts.any(stop()))
    except Stopped:
        print("stopped by SIGTERM before all hosts had met; there is no model to save", flush=True)


def _train(base: Path, hyperparameters: Hyperparameters, hosts: Hosts, stop: Callable[[], bool]) -> None:
    """What each host does once all are there; `stop` is the same on all of them."""
    disk = base / DISK
    shutil.rmtree(disk, ignore_errors=True)  # of a start that was killed
    try:
        spilled = disk if hosts.any(_is_too_much(base / "input", hyperparameters)) else None
        material = read_material(base / "input", hyperparameters, hosts, spilled)
        _grow(base, material, hyperparameters, hosts, stop)
    finally:
        shutil.rmtree(disk, ignore_errors=True)


def _grow(
    base: Path, material: Material, hyperparameters: Hyperparameters, hosts: Hosts, stop: Callable[[], bool]
) -> None:
    """From the rows to a model, or to what is thought of the settings."""
    if hyperparameters.folds:
        judge(material, hyperparameters, stop)
        return
    fingerprint = _fingerprint(material, hyperparameters, hosts)
    checkpoint = Checkpoint(base / "checkpoints" / CHECKPOINT, fingerprint, hosts)
    booster = fit(material, hyperparameters, checkpoint, stop)
    rounds = booster.num_boosted_rounds()
    if not rounds:
        hosts.say("stopped by SIGTERM before the first round; there is no model to save")
        return
    _save(base / "model", booster, material, hyperparameters, hosts)
    if stop():
        hosts.say(f"stopped by SIGTERM; the model holds the {rounds} rounds grown so far")
    else:
        checkpoint.path.unlink(missing_ok=True)
        hosts.say("model saved")


def _is_too_much(folder: Path, hyperparameters: Hyperparameters) -> bool:
    """Whether this host keeps its rows on disk while it learns."""
    whole = models.Treatment.parse(hyperparameters.imbalance).needs_complete_rows or hyperparameters.folds > 0
    if hyperparameters.external_memory == "always" and whole:
        raise SetupError(
            "hyperparameter 'external_memory' is 'always', but SMOTE and 'folds' copy rows in memory; choose another "
            "treatment, or auto"
        )
    if hyperparameters.external_memory != "auto" or whole:
        return hyperparameters.external_memory == "always"
    needed, memory = needed_bytes(folder / "data", len(hyperparameters.schema.columns)), memory_bytes()
    if needed > SHARE * memory:
        print(f"rows stay on disk: they need {needed / 2**30:.1f} GB, of {memory / 2**30:.1f} GB of memory", flush=True)
    return needed > SHARE * memory


def _check_hosts(hosts: Hosts, hyperparameters: Hyperparameters) -> None:
    """Refuse what needs all rows in one place."""
    if hosts.count == 1:
        return
    if models.Treatment.parse(hyperparameters.imbalance).needs_complete_rows:
        raise SetupError(
            f"hyperparameter 'imbalance' is {hyperparameters.imbalance!r}, which makes rows between a fraud and its "
            f"nearest frauds, and on {hosts.count} hosts some of these lie elsewhere; choose class weight or "
            "undersample 1:N, or set the job's instance count to 1"
        )
    if hyperparameters.folds:
        raise SetupError(
            f"hyperparameter 'folds' judges settings on one host, and the job has {hosts.count}; set its instance "
            "count to 1"
        )


def _fingerprint(material: Material, hyperparameters: Hyperparameters, hosts: Hosts) -> str:
    """What tells this job's checkpoint from others: rows and hosts, hyperparameters, columns, and XGBoost's version."""
    rows = [material.origin["sha256"], material.origin["validation"], hosts.count, material.disk is not None]
    everything = [*rows, hyperparameters.recipe, hyperparameters.schema.to_dict(), xgboost.__version__]
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def _save(
    folder: Path, booster: xgboost.Booster, material: Material, hyperparameters: Hyperparameters, hosts: Hosts
) -> None:
    """Leave the model folder, and its metrics over all hosts' rows in the log; the first host does."""
    schema = hyperparameters.schema
    share = models.kept_share(hyperparameters.imbalance, hosts.whole(material.train.y))
    own = {"train": material.train} | ({"validation": material.validation} if material.validation else {})
    scores = {part: hosts.whole(_scores(booster, rows, share)) for part, rows in own.items()}
    parts = {part: _of_all(rows, hosts) for part, rows in own.items()}
    if not hosts.first:
        return
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


def _of_all(rows: Rows, hosts: Hosts) -> Rows:
    """Rows with the labels and amounts of all hosts' rows."""
    amount = None if rows.amount is None else hosts.whole(rows.amount)
    return replace(rows, y=hosts.whole(rows.y), amount=amount)


def _metrics(parts: Mapping[str, Rows], scores: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Average precision and log loss of the corrected scores on the training and the validation rows."""
    metrics = {}
    for part, rows in parts.items():
        if (reached := artifact.average_precision(rows.y == 1, scores[part])) is not None:
            metrics[f"{part}_average_precision"] = reached
        metrics[f"{part}_log_loss"] = _log_loss(rows.y, scores[part])
    return metrics


def _log_loss(y: np.ndarray, score: np.ndarray) -> float:
    """As scikit-learn's, which takes longer to import than a job to start (`container/train.py`)."""
    least = np.finfo(score.dtype).eps
    return float(-np.log(np.clip(np.where(y == 1, score, 1 - score), least, 1 - least)).mean())


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
