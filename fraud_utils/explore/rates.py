"""Shares with intervals that hold together, by class or by group, and what tells two of them apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import intervals, words

KINDS = ("legitimate", "fraud")  # by label


def shares(successes: Any, trials: Any, level: float, index: Any = None) -> pd.DataFrame:
    """Proportions as `share` (NaN where nothing was tried), with exact intervals `low` and `high`."""
    successes, trials = np.broadcast_arrays(np.asarray(successes, float), np.asarray(trials, float))
    low, high = intervals.exact(successes, trials, level)
    share = np.divide(successes, trials, out=np.full(len(trials), np.nan), where=trials > 0)
    return pd.DataFrame({"share": share, "low": low, "high": high}, index=index)


def rates(rows: np.ndarray, frauds: np.ndarray, index: Any) -> pd.DataFrame:
    """Fraud rates of groups: `rows`, `frauds`, `rate`, `low`, `high`; intervals hold together over those with rows."""
    level = intervals.together(int((rows > 0).sum()))
    counts = pd.DataFrame({"rows": rows, "frauds": frauds}, index=index)
    return counts.join(shares(frauds, rows, level, index).rename(columns={"share": "rate"}))


def chi_square(rows: np.ndarray, frauds: np.ndarray, seed: int, draws: int = 9_999) -> tuple[float, float]:
    """Test whether groups share one fraud rate.

    Pearson's statistic; its distribution under equal rates is drawn with the margins held fixed, since fraud is too
    rare for the asymptotic one: p = (1 + draws at least as large) / (1 + draws) (Hope 1968).

    Parameters
    ----------
    rows, frauds : numpy.ndarray of int, shape (groups,)
        Every group has at least one row.

    Returns
    -------
    statistic, p_value : float
        (0, 1) where all rows are of one class.
    """
    overall = frauds.sum() / rows.sum()
    if overall in (0, 1):
        return 0.0, 1.0
    expected = rows * overall
    weight = 1 / (expected * (1 - overall))
    statistic = float(((frauds - expected) ** 2 * weight).sum())
    rng, larger = np.random.default_rng(seed), 0
    for size in np.diff([*range(0, draws, 1_000), draws]):  # part by part, since years have many groups
        drawn = rng.multivariate_hypergeometric(rows, int(frauds.sum()), size, method="marginals")
        larger += int((((drawn - expected) ** 2 * weight).sum(axis=1) >= statistic * (1 - 1e-12)).sum())
    return statistic, (1 + larger) / (1 + draws)


def apart(table: Any, prefix: str = "", other: str = "") -> Any:
    """Where the interval of one prefix lies above the other's (1), below it (-1), or overlaps with it (0)."""
    above = table[f"{prefix}low"] > table[f"{other}high"]
    return above * 1 - (table[f"{prefix}high"] < table[f"{other}low"]) * 1


def in_words(row: Any, prefix: str = "") -> str:
    """A row's rate or share with its interval, as `0.4 % [0.1, 1.2]`."""
    name = f"{prefix}share" if f"{prefix}share" in row else f"{prefix}rate"
    return words.percent_between(row[name], row[f"{prefix}low"], row[f"{prefix}high"])
