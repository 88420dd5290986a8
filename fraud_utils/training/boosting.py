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
from fraud_utils.training.hosts import ALONE, Hosts
from fraud_utils.training.hyperparameters import Hyperparameters
from fraud_utils.training.material import Material, Rows

type History = dict[str, list[float]]  # of each metric, its value on the validation rows after each round


@dataclass(frozen=True)
class Checkpoint:
    """Trees and history of a job that may be killed, in one file, so that a kill between two writes cannot part them.

    All hosts of a job grow the same trees. The first one writes the file, and the others go on from what it has read.

    Attributes
    ----------
    fingerprint : str
        Of all that the trees depend on; a checkpoint with another one is not of this job.
    """

    path: Path
    fingerprint: str
    hosts: Hosts = ALONE

    def load(self) -> tuple[xgboost.Booster | None, History]:
        """What an earlier start of this job has grown; says why where it cannot be used."""
        own = self.path.read_bytes() if self.hosts.first and self.path.exists() else b""
        content = self.hosts.gather(np.frombuffer(own, dtype=np.uint8))[0].tobytes()
        if not content:
            return None, {}
        booster = xgboost.Booster()
        try:
            booster.load_model(bytearray(content))
        except xgboost.core.XGBoostError:
            self.hosts.say(f"{self.path.name} is damaged; starting anew")
            return None, {}
        if booster.attr("fingerprint") != self.fingerprint:
            self.hosts.say(f"{self.path.name} is of other data, hyperparameters or hosts; starting anew")
            return None, {}
        history = json.loads(booster.attr("history") or "{}")
        booster.set_attr(fingerprint=None, history=None)
        self.hosts.say(f"going on from the checkpoint after round {booster.num_boosted_rounds()}")
        return booster, history

    def save(self, booster: Any, history: History) -> None:
        """Replace the checkpoint."""
        if not self.hosts.first:
            return
        booster.set_attr(fingerprint=self.fingerprint, history=json.dumps(history))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        project.write(self.path, bytes(booster.save_raw("ubj")))
        booster.set_attr(fingerprint=None, history=None)


class Watched:
    """The validation rows of all hosts, for the metric that XGBoost does not compute over them.

    Its `aucpr` on several hosts is a mean of theirs, and no number where one of them has no fraud.
    """

    def __init__(self, rows: Rows, data: xgboost.DMatrix, hosts: Hosts) -> None:
        self._data, self._hosts, self._y = data, hosts, hosts.whole(rows.y)
        self._weight = None if rows.weight is None else hosts.whole(rows.weight)

    def aucpr(self, booster: xgboost.Booster) -> float:
        """The area that XGBoost computes on one host."""
        score = self._hosts.whole(booster.predict(self._data))
        return area_under_precision_recall(self._y, score, self._weight)


def area_under_precision_recall(y: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    """XGBoost's `aucpr`: between two scores, false alarms grow linearly with recall (Davis and Goadrich 2006)."""
    order = np.argsort(-score, kind="stable")
    frauds = (y * (1.0 if weight is None else weight))[order]
    others = ((1 - y) * (1.0 if weight is None else weight))[order]
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # rows of one score count together
    caught, alarms = np.cumsum(frauds, dtype=float)[ends], np.cumsum(others, dtype=float)[ends]
    if not caught[-1] or not alarms[-1]:
        return float("nan")
    new, wrong = np.diff(caught, prepend=0), np.diff(alarms, prepend=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(new > 0, wrong / new, 0)
        recall = caught / caught[-1]
        before = recall - new / caught[-1]
        a, b = 1 + slope, (alarms - wrong - slope * (caught - new)) / caught[-1]
        curved = (recall - before - b / a * (np.log(a * recall + b) - np.log(a * before + b))) / a
    return float(np.sum(np.where(b != 0, curved, (recall - before) / a)[new > 0]))


class Progress(xgboost.callback.TrainingCallback):
    """After each round: metrics for the log, a checkpoint now and then, and an end on SIGTERM."""

    def __init__(self, checkpoint: Checkpoint, history: History, total: int, stop: Callable[[], bool]) -> None:
        self.checkpoint, self.history, self.total, self.stop = checkpoint, history, total, stop
        self.watched: Watched | None = None  # where XGBoost does not compute all metrics
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
        if self.watched:
            self.history.setdefault("aucpr", []).append(self.watched.aucpr(model))
        if stop or done % self.every == 0 or done == self.total:
            figures = "".join(f" validation_{metric}:{values[-1]:.6f};" for metric, values in self.history.items())
            self.checkpoint.hosts.say(f"round:{done};{figures} elapsed_seconds:{time.monotonic() - self.began:.1f};")
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
    hosts, train, disk = checkpoint.hosts, material.train, material.disk
    started, history = checkpoint.load()
    done = started.num_boosted_rounds() if started is not None else 0
    progress = Progress(checkpoint, history, total, stop)
    callbacks: list[Any] = [progress]
    early = StopEarly(hyperparameters.early_stopping_rounds, history) if hyperparameters.early_stopping_rounds else None
    if early:
        callbacks.append(early)
    evals = []
    nthread = hyperparameters.nthread
    if rows := material.validation:
        if disk is None:
            watched = xgboost.DMatrix(rows.X, rows.y, weight=rows.weight, nthread=nthread)
        else:
            watched = models.on_disk(rows.X, rows.y, rows.weight, disk / "xgboost-validation", nthread)
        evals = [(watched, "validation")]
        booster_settings["eval_metric"] = ["logloss", "aucpr"] if hosts.count == 1 else ["logloss"]
        progress.watched = Watched(rows, watched, hosts) if hosts.count > 1 else None
    booster_settings |= {"num_round": total - done, "categorical": material.features.coded}
    booster = models.fit_xgboost(
        train.X,
        train.y,
        hyperparameters.imbalance,
        booster_settings,
        hyperparameters.seed,
        nthread,
        weight=train.weight,
        part=models.Part(hosts.gather(train.y), hosts.place) if hosts.count > 1 else None,
        cache=None if disk is None else disk / "xgboost-train",
        evals=evals,
        callbacks=callbacks,
        xgb_model=started,
        verbose_eval=False,
    )
    return booster[: early.best()] if early and early.best() else booster
