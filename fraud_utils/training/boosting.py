"""Growing the trees: a line in the log and a checkpoint now and then, an early end, and going on after a restart."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from fraud_utils import models, project
from fraud_utils.training.channels import Material
from fraud_utils.training.hyperparameters import Hyperparameters

type History = dict[str, list[float]]  # of each metric, its value on the validation rows after each round


@dataclass(frozen=True)
class Checkpoint:
    """Trees and history of a job that may be killed, in one file, so that a kill between two writes cannot part them.

    Attributes
    ----------
    fingerprint : str
        Of all that the trees depend on; a checkpoint with another one is not of this job.
    """

    path: Path
    fingerprint: str

    def load(self) -> tuple[xgboost.Booster | None, History]:
        """What an earlier start of this job has grown; says why where it cannot be used."""
        if not self.path.exists():
            return None, {}
        booster = xgboost.Booster()
        try:
            booster.load_model(bytearray(self.path.read_bytes()))
        except xgboost.core.XGBoostError:
            print(f"{self.path.name} is damaged; starting anew", flush=True)
            return None, {}
        if booster.attr("fingerprint") != self.fingerprint:
            print(f"{self.path.name} is of other data or hyperparameters; starting anew", flush=True)
            return None, {}
        history = json.loads(booster.attr("history") or "{}")
        booster.set_attr(fingerprint=None, history=None)
        print(f"going on from the checkpoint after round {booster.num_boosted_rounds()}", flush=True)
        return booster, history

    def save(self, booster: Any, history: History) -> None:
        """Replace the checkpoint."""
        booster.set_attr(fingerprint=self.fingerprint, history=json.dumps(history))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        project.write(self.path, bytes(booster.save_raw("ubj")))
        booster.set_attr(fingerprint=None, history=None)


class Progress(xgboost.callback.TrainingCallback):
    """After each round: metrics for the log, a checkpoint now and then, and an end on SIGTERM."""

    def __init__(self, checkpoint: Checkpoint, history: History, total: int, stop: Callable[[], bool]) -> None:
        self.checkpoint, self.history, self.total, self.stop = checkpoint, history, total, stop
        self.every = max(1, total // 20)
        self.began = time.monotonic()

    def before_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Called by XGBoost; true ends the training before its first round, when there is nothing new to save."""
        return epoch == 0 and self.stop()

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Called by XGBoost; true ends the training."""
        done, stop = model.num_boosted_rounds(), self.stop()
        for metric, values in evals_log.get("validation", {}).items():
            self.history.setdefault(metric, []).append(values[-1])
        if stop or done % self.every == 0 or done == self.total:
            figures = "".join(f" validation_{metric}:{values[-1]:.6f};" for metric, values in self.history.items())
            print(f"round:{done};{figures} elapsed_seconds:{time.monotonic() - self.began:.1f};", flush=True)
            self.checkpoint.save(model, self.history)
        return stop


class StopEarly(xgboost.callback.TrainingCallback):
    """End once the validation average precision has not risen for so many rounds.

    XGBoost's own EarlyStopping forgets what it saw before a restart; this one reads the checkpoint's history.
    """

    def __init__(self, rounds: int, history: History) -> None:
        self.rounds, self.history = rounds, history

    def best(self) -> int:
        """Rounds up to the best one, 0 before there is any."""
        seen = self.history.get("aucpr", [])
        return int(np.argmax(seen)) + 1 if seen else 0

    def before_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Called by XGBoost; true ends the training, which may be at once after a restart."""
        best = self.best()
        return best > 0 and len(self.history["aucpr"]) - best >= self.rounds


def fit(
    material: Material, hyperparameters: Hyperparameters, checkpoint: Checkpoint, stop: Callable[[], bool]
) -> xgboost.Booster:
    """Grow the trees, going on from a checkpoint of the same job where there is one.

    The trees are those of an undisturbed run: every round draws from its own seed, and the history that early
    stopping looks at is kept with the trees.

    Returns
    -------
    xgboost.Booster
        With early stopping, the rounds up to the best; without any round, where `stop` was true before the first.
    """
    booster_settings, total = dict(hyperparameters.booster), hyperparameters.booster["num_round"]
    started, history = checkpoint.load()
    done = started.num_boosted_rounds() if started is not None else 0
    callbacks: list[Any] = [Progress(checkpoint, history, total, stop)]
    early = StopEarly(hyperparameters.early_stopping_rounds, history) if hyperparameters.early_stopping_rounds else None
    if early:
        callbacks.append(early)
    evals = []
    if validation := material.validation:
        evals = [(xgboost.DMatrix(validation.X, validation.y, nthread=hyperparameters.nthread), "validation")]
        booster_settings["eval_metric"] = ["logloss", "aucpr"]
    booster_settings |= {"num_round": total - done, "categorical": material.features.coded}
    booster = models.fit_xgboost(
        material.train.X,
        material.train.y,
        hyperparameters.imbalance,
        booster_settings,
        hyperparameters.seed,
        hyperparameters.nthread,
        evals=evals,
        callbacks=callbacks,
        xgb_model=started,
        verbose_eval=False,
    )
    return booster[: early.best()] if early and early.best() else booster
