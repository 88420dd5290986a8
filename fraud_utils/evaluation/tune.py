"""Search for XGBoost's hyperparameters, on rows before the test set, the same search every time."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import data, models, words
from fraud_utils.data import Parts
from fraud_utils.evaluation import fits
from fraud_utils.evaluation.fits import Fit
from fraud_utils.evaluation.metrics import average_precision
from fraud_utils.evaluation.rows import Protocol, Rows
from fraud_utils.models import XGBOOST, Candidate

AT_ONCE = 4  # trials asked for together: fixed, so that the search does not depend on the number of cores
NAME = "tuned"
LEARNT = 26  # learning rate times rounds that every trial grows; it stops afterwards where it was best
CELLS = 6_600_000  # of the reference data's rows before the test set: on them a trial takes about 15 s of CPU
MORE = 5  # times as many trials on smaller tables, at most

WHOLE = {"num_round", "max_depth", "max_delta_step", "max_bin"}


@dataclass(frozen=True)
class Between:
    """A range that the search draws from, evenly or on a logarithmic scale."""

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int)


type Setting = Between | tuple[int, ...]  # a range, or choices
type Job = tuple[dict[str, Any], dict[str, Setting]]  # hyperparameters that are fixed, and where to look for others
type Trial = tuple[Candidate, list[int]]  # and the rounds after which it may stop


def budget(rows: Rows, protocol: Protocol) -> int:
    """Trials that take about as long as the protocol's on the reference data: up to five times as many.

    The settings by hand were found on the reference data; other tables are mostly smaller, and need the search more.
    """
    return int(protocol.trials * np.clip(CELLS / rows.X.size, 1, MORE))


def later_parts(rows: Rows, parts: int, seed: int) -> Parts:
    """Later blocks of time, or folds of whole groups, as `data.later_parts` gives them."""
    return data.later_parts(rows.y, rows.time, rows.groups, parts, seed, rows.label_delay_days)


def space(eta_by_hand: float) -> dict[str, Setting]:
    """Where the search looks, by hyperparameter; rounds are not among them, since where a trial stops is seen."""
    return {
        "eta": Between(eta_by_hand / 1.25, min(eta_by_hand * 2, 1.0), log=True),
        "max_depth": Between(2, 7),
        "min_child_weight": Between(0.05, 20.0, log=True),
        "lambda": Between(1.0, 20.0, log=True),
        "subsample": Between(0.5, 1.0),
        "colsample_bytree": Between(0.25, 1.0),
        "max_bin": (1024, 4096),
    }


def as_job(start: Candidate, protocol: Protocol) -> Job:
    """The same search for a tuning job: hyperparameters of the training program that are fixed, and the space.

    Each of its jobs grows as many rounds as the lowest learning rate needs, and reports after how many it was best.
    """
    where = space({**XGBOOST, **start.settings}["eta"])
    most = round(LEARNT / where["eta"].low)  # type: ignore[union-attr]
    settings = {"num_round": most, "max_delta_step": 1, "imbalance": start.imbalance}
    return settings | {"seed": protocol.seed, "folds": protocol.folds}, where


def _suggest(trial: Any, eta_by_hand: float) -> dict[str, float | int]:
    """One setting."""
    drawn: dict[str, float | int] = {}
    for name, where in space(eta_by_hand).items():
        if not isinstance(where, Between):
            drawn[name] = trial.suggest_categorical(name, list(where))
        elif where.whole:
            drawn[name] = trial.suggest_int(name, where.low, where.high)
        else:
            drawn[name] = trial.suggest_float(name, where.low, where.high, log=where.log)
    return {"num_round": round(LEARNT / drawn["eta"]), "max_delta_step": 1, **drawn}


def tune(
    rows: Rows, protocol: Protocol, trials: int, seconds: float, start: Candidate
) -> tuple[Candidate, pd.DataFrame]:
    """Look for the XGBoost with the highest average precision on later blocks of time.

    Optuna's TPE sampler suggests; after each block, trials below the median of earlier ones stop. A trial's rounds are
    those after which its mean over the blocks is highest. `out_of_fold` compares on other parts of the rows, so the
    winner is not compared where it won.

    Parameters
    ----------
    trials : int
        At most so many; as many give the same result again.
    seconds : float
        No trial begins after that, which only a slow machine should notice: then the result is not the same
        elsewhere, and `table.attrs["stopped"]` says so.
    start : Candidate
        The first trial, with its own rounds, so that the winner is at least as good on these blocks; the second has
        its settings, and so its trees, and may stop elsewhere.

    Returns
    -------
    winner : Candidate
        The start itself where no other trial is better.
    table : pandas.DataFrame
        A row a trial, best first: `average_precision` (mean of its blocks), `folds` it lasted, hyperparameters. Trial
        0 is the start.
    """
    first = {**XGBOOST, **start.settings}
    given = {key: value for key, value in start.hyperparameters.items() if key not in start.settings}
    study = _study(protocol.seed)
    for _ in range(2):
        study.enqueue_trial({key: value for key, value in first.items() if key not in ("num_round", "max_delta_step")})
    parts = later_parts(rows, protocol.folds, protocol.seed + 500)
    began = time.monotonic()
    tried: list[dict[str, float]] = []
    while len(tried) < trials and (not tried or time.monotonic() - began < seconds):
        batch = [study.ask() for _ in range(min(AT_ONCE, trials - len(tried)))]
        settings = [_suggest(trial, first["eta"]) for trial in batch]
        if not tried:
            settings[0] = first
        entrants = [(_entrant(each | given), models.stops(int(each["num_round"]))) for each in settings]
        if not tried:  # the start keeps its rounds, which are the first ones of the second trial
            most = max(each["num_round"] for each in settings[:2])
            entrants[0] = (_entrant(first | given | {"num_round": most}), [int(first["num_round"])])
        what = f"Tuning, trials {len(tried) + 1} to {len(tried) + len(batch)} of {trials}"
        for trial, each, (value, rounds, lasted) in zip(
            batch, settings, _race(batch, entrants, rows, parts, protocol, what), strict=True
        ):
            whole = lasted == len(parts)
            study.tell(trial, value) if whole else study.tell(trial, state=_optuna().trial.TrialState.PRUNED)
            tried.append({"average_precision": value, "folds": lasted, **each, "num_round": rounds})
    table = pd.DataFrame(tried).rename_axis("trial").sort_values(["folds", "average_precision"], ascending=False)
    table.attrs["stopped"] = len(tried) < trials
    return winner(table, start), table


def winner(table: pd.DataFrame, start: Candidate) -> Candidate:
    """The first of a search's table as a candidate, or the start itself where it is the first."""
    if table.index[0] == 0:
        return start
    given = {key: value for key, value in start.hyperparameters.items() if key not in start.settings}
    best = table.iloc[0].drop(["average_precision", "folds"])
    return _entrant({key: (int if key in WHOLE else float)(value) for key, value in best.items()} | given)


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


def _entrant(hyperparameters: dict[str, Any]) -> Candidate:
    return Candidate("xgboost", hyperparameters=hyperparameters, note=NAME)


def _race(
    batch: Sequence[Any], entrants: Sequence[Trial], rows: Rows, parts: Parts, protocol: Protocol, what: str
) -> list[tuple[float, int, int]]:
    """Best mean average precision of each entrant, after which rounds, on how many parts; who falls behind stops."""
    reached: list[list[np.ndarray]] = [[] for _ in batch]
    alive = list(range(len(batch)))
    for number, part in enumerate(parts):
        growing = [entrants[i][0] for i in alive]
        distinct = [candidate for k, candidate in enumerate(growing) if candidate not in growing[:k]]
        todo = [Fit(candidate, *part, protocol.seed) for candidate in distinct]
        done = fits.run(todo, rows.X, rows.y, f"{what}, part {number + 1}", protocol.cache, protocol.jobs)
        for i in alive:
            candidate, stops = entrants[i]
            reached[i].append(_after(stops, done[distinct.index(candidate)].booster, rows.at(part[1])))
            batch[i].report(float(np.mean(reached[i], axis=0).max()), number)
        if number + 1 < len(parts):
            alive = [i for i in alive if not batch[i].should_prune()]
    means = [np.mean(each, axis=0) for each in reached]
    return [
        (float(mean.max()), stops[int(mean.argmax())], len(each))
        for mean, (_, stops), each in zip(means, entrants, reached, strict=True)
    ]


def _after(stops: Sequence[int], model: bytes, new: Rows) -> np.ndarray:
    """Average precision of a model's first rounds, for each number of them."""
    margins = models.margins(model, stops, new.X)
    return np.array([average_precision(new.y, margin, share=new.share) for margin in margins])


def describe(table: pd.DataFrame) -> str:
    """Say what the search found, whether it is new, and whether the clock ended it."""
    if 0 not in table.index:  # a tuning job's, which draws all of its settings
        best = words.decimals(table["average_precision"].iloc[0], 4)
        return (
            f"The best of {len(table)} training jobs reaches {best} on these rows, after "
            f"{int(table['num_round'].iloc[0]):,} rounds. It is a little lucky on them, so the comparison below, in "
            "which it competes with the setting by hand, uses other folds."
        )
    whole = table[table["folds"] == table["folds"].max()]
    first, best = (words.decimals(value, 4) for value in whole["average_precision"].loc[[0, whole.index[0]]])
    stopped = len(table) - len(whole)
    if len(table) == 1:
        text = f"Nothing but the setting by hand was tried: {first} on these rows. The search adds no candidate."
    elif whole.index[0] == 0:
        text = (
            f"None of the {len(table) - 1} other trials beats the setting by hand, {first} on these rows; {stopped} "
            "stopped early. The search adds no candidate."
        )
    else:
        text = (
            f"The best of {len(table)} trials reaches {best} on these rows, the setting by hand {first}; {stopped} "
            "stopped early. The winner is a little lucky on them, so the comparison below uses other folds."
        )
    if table.attrs["stopped"]:
        text += (
            f" The clock ended the search; tuning_trials={len(table)} with more tuning_seconds gives the same again."
        )
    return text
