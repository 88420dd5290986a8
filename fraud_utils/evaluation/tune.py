"""Search for XGBoost's hyperparameters, on rows before the test set, the same search every time."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.evaluation import fits
from fraud_utils.evaluation.fits import Fit
from fraud_utils.evaluation.metrics import average_precision
from fraud_utils.evaluation.rows import Protocol, Rows
from fraud_utils.evaluation.scores import Parts, folds_of
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
    rows: Rows, protocol: Protocol, trials: int, seconds: float, start: Candidate
) -> tuple[Candidate, pd.DataFrame]:
    """Look for the XGBoost with the highest average precision out of fold.

    Optuna's TPE sampler suggests; after each fold, trials below the median of earlier ones stop. Folds are others than
    those of `out_of_fold` with the same seed, so that the winner is not compared on the folds that it won.

    Parameters
    ----------
    trials : int
        At most so many; as many give the same result again.
    seconds : float
        No trial begins after that, which only a slow machine should notice: then the result is not the same
        elsewhere, and `table.attrs["stopped"]` says so.
    start : Candidate
        The first trial, so that the winner is at least as good on these folds.

    Returns
    -------
    winner : Candidate
        The start itself where no other trial is better.
    table : pandas.DataFrame
        A row a trial, best first: `average_precision` (mean of its folds), `folds` it lasted, hyperparameters. Trial 0
        is the start.
    """
    first = {**XGBOOST, **start.hyperparameters}
    study = _study(protocol.seed)
    study.enqueue_trial(first | {"learnt": first["num_round"] * first["eta"]})
    parts = folds_of(rows, protocol.folds, protocol.seed + 500)
    began = time.monotonic()
    tried: list[dict[str, float]] = []
    while len(tried) < trials and (not tried or time.monotonic() - began < seconds):
        batch = [study.ask() for _ in range(min(AT_ONCE, trials - len(tried)))]
        entrants = [_entrant(_suggest(trial, first["eta"])) for trial in batch]
        what = f"Tuning, trials {len(tried) + 1} to {len(tried) + len(batch)} of {trials}"
        reached = _race(batch, entrants, rows, parts, protocol, what)
        for trial, entrant, values in zip(batch, entrants, reached, strict=True):
            value, lasted = float(np.mean(values)), len(values) == len(parts)
            study.tell(trial, value) if lasted else study.tell(trial, state=_optuna().trial.TrialState.PRUNED)
            tried.append({"average_precision": value, "folds": len(values), **entrant.hyperparameters})
    table = pd.DataFrame(tried).rename_axis("trial").sort_values(["folds", "average_precision"], ascending=False)
    table.attrs["stopped"] = len(tried) < trials
    if table.index[0] == 0:
        return start, table
    whole = {"num_round": int, "max_depth": int, "max_delta_step": int}
    best = table.iloc[0].drop(["average_precision", "folds"])
    return _entrant({key: whole.get(key, float)(value) for key, value in best.items()}), table


def _optuna() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its progress bar asks for a widget that nobody needs
        import optuna
    return optuna


def _study(seed: int) -> Any:
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=AT_ONCE, n_warmup_steps=0)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=2 * AT_ONCE)
    return optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)


def _entrant(hyperparameters: dict[str, float | int]) -> Candidate:
    return Candidate("xgboost", hyperparameters=hyperparameters, note=NAME)


def _race(
    batch: Sequence[Any], entrants: Sequence[Candidate], rows: Rows, parts: Parts, protocol: Protocol, what: str
) -> list[list[float]]:
    """Average precision of each entrant on the folds that it lasted; those that fall behind after a fold stop."""
    reached: list[list[float]] = [[] for _ in batch]
    alive = list(range(len(batch)))
    for number, part in enumerate(parts):
        todo = [Fit(entrants[i], *part, protocol.seed) for i in alive]
        done = fits.run(todo, rows.X, rows.y, f"{what}, fold {number + 1}", protocol.cache, protocol.jobs)
        for i, fitted in zip(alive, done, strict=True):
            reached[i].append(average_precision(rows.y[part[1]], fitted.scores))
            batch[i].report(float(np.mean(reached[i])), number)
        if number + 1 < len(parts):
            alive = [i for i in alive if not batch[i].should_prune()]
    return reached


def describe(table: pd.DataFrame) -> str:
    """Say what the search found, whether it is new, and whether the clock ended it."""
    whole = table[table["folds"] == table["folds"].max()]
    first, best = (words.decimals(value, 4) for value in whole["average_precision"].loc[[0, whole.index[0]]])
    stopped = len(table) - len(whole)
    if len(table) == 1:
        text = f"Nothing but the setting by hand was tried: {first} on these folds. The search adds no candidate."
    elif whole.index[0] == 0:
        text = (
            f"None of the {len(table) - 1} other trials beats the setting by hand, {first} on these folds; {stopped} "
            "stopped early. The search adds no candidate."
        )
    else:
        text = (
            f"The best of {len(table)} trials reaches {best} on these folds, the setting by hand {first}; {stopped} "
            "stopped early. The winner is a little lucky on them, so the comparison below uses other folds."
        )
    if table.attrs["stopped"]:
        text += (
            f" The clock ended the search; tuning_trials={len(table)} with more tuning_seconds gives the same again."
        )
    return text
