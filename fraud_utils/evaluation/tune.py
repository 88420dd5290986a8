"""Search for XGBoost's hyperparameters, on rows before the test set, the same search every time."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils.evaluation import fits
from fraud_utils.evaluation.fits import Fit
from fraud_utils.evaluation.metrics import assign_folds, average_precision
from fraud_utils.models import XGBOOST, Candidate

AT_ONCE = 4  # trials asked for together: fixed, so that the search does not depend on the number of cores
NAME = "tuned"


def _suggest(trial: Any, eta_by_hand: float) -> dict[str, float | int]:
    """One setting; learning rate and rounds go together, since their product is what a model has learnt."""
    eta = trial.suggest_float("eta", eta_by_hand / 1.5, eta_by_hand * 2, log=True)
    return {
        "num_round": round(trial.suggest_float("learnt", 12, 32) / eta),
        "eta": eta,
        "max_depth": trial.suggest_int("max_depth", 3, 6),
        "min_child_weight": trial.suggest_float("min_child_weight", 0.05, 3, log=True),
        "max_delta_step": 1,
        "lambda": trial.suggest_float("lambda", 1, 20, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.25, 0.8),
    }


def tune(
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    trials: int = 12,
    seconds: float = 120,
    start: dict[str, Any] | None = None,
    folds: int = 3,
    seed: int = 7,
    cache: str | Path = "",
    n_jobs: int | None = None,
) -> tuple[Candidate, pd.DataFrame]:
    """Look for the XGBoost with the highest average precision out of fold.

    Optuna's TPE sampler suggests; after each fold, trials below the median of earlier ones stop. Folds are others than
    those of `evaluate.out_of_fold` with the same seed, so that the winner is not compared on the folds that it won.

    Parameters
    ----------
    X : numpy.ndarray of float32, shape (rows, columns)
    y, groups : numpy.ndarray, shape (rows,)
    trials : int
        At most so many; as many give the same result again.
    seconds : float
        No trial begins after that, which only a slow machine should notice: then the result is not the same
        elsewhere, and `table.attrs["stopped"]` says so.
    start : dict, optional
        Hyperparameters of the first trial, so that the winner is at least as good on these folds.

    Returns
    -------
    winner : Candidate
    table : pandas.DataFrame
        A row a trial, best first: `average_precision` (mean of its folds), `folds` it lasted, hyperparameters. Trial 0
        is the start.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its progress bar asks for a widget that nobody needs
        import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=AT_ONCE, n_warmup_steps=0)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=2 * AT_ONCE)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    first = {**XGBOOST, **(start or {})}
    study.enqueue_trial(first | {"learnt": first["num_round"] * first["eta"]})
    fold_of = assign_folds(groups, y, folds, seed + 500)
    parts = [(np.flatnonzero(fold_of != number), np.flatnonzero(fold_of == number)) for number in range(folds)]
    began = time.monotonic()
    rows: list[dict[str, float]] = []
    while len(rows) < trials and (not rows or time.monotonic() - began < seconds):
        batch = [study.ask() for _ in range(min(AT_ONCE, trials - len(rows)))]
        settings = [_suggest(trial, first["eta"]) for trial in batch]
        reached: list[list[float]] = [[] for _ in batch]
        alive = list(range(len(batch)))
        for number, part in enumerate(parts):
            todo = [Fit(Candidate("xgboost", "none", settings[i], NAME), *part, seed) for i in alive]
            what = f"Tuning, trials {len(rows) + 1} to {len(rows) + len(batch)} of {trials}, fold {number + 1}"
            for i, fitted in zip(alive, fits.run(todo, X, y, what, cache, n_jobs), strict=True):
                reached[i].append(average_precision(y[part[1]], fitted.scores))
                batch[i].report(float(np.mean(reached[i])), number)
            if number + 1 < folds:
                alive = [i for i in alive if not batch[i].should_prune()]
        for i, (trial, setting) in enumerate(zip(batch, settings, strict=True)):
            value = float(np.mean(reached[i]))
            study.tell(trial, value) if i in alive else study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            rows.append({"average_precision": value, "folds": len(reached[i]), **setting})
    table = pd.DataFrame(rows).rename_axis("trial").sort_values(["folds", "average_precision"], ascending=False)
    table.attrs["stopped"] = len(rows) < trials
    whole = {"num_round": int, "max_depth": int, "max_delta_step": int}
    best = table.iloc[0].drop(["average_precision", "folds"])
    return Candidate("xgboost", "none", {key: whole.get(key, float)(value) for key, value in best.items()}, NAME), table


def describe(table: pd.DataFrame) -> str:
    """Say what the search found, whether it is new, and whether the clock ended it."""
    whole = table[table["folds"] == table["folds"].max()]
    first, best = table.loc[0, "average_precision"], whole["average_precision"].iloc[0]
    stopped = len(table) - len(whole)
    if whole.index[0] == 0:
        told = (
            f"None of the {len(table) - 1} other trials beats the setting by hand, {first:.4f} on these folds; "
            f"{stopped} stopped early. The search adds no candidate."
        )
    else:
        told = (
            f"The best of {len(table)} trials reaches {best:.4f} on these folds, the setting by hand {first:.4f}; "
            f"{stopped} stopped early. The winner is a little lucky on them, so the comparison below uses other folds."
        )
    if table.attrs["stopped"]:
        told += (
            f" The clock ended the search; tuning_trials={len(table)} with more tuning_seconds gives the same again."
        )
    return told
