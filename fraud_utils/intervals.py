"""Every interval: exact ones of shares and counts, percentiles of resamples, many that hold together."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

LEVEL = 0.95


def together(count: int, level: float = LEVEL) -> float:
    """Level of each of `count` intervals that hold together at `level` (Bonferroni)."""
    return 1 - (1 - level) / max(count, 1)


def normal(level: float = LEVEL) -> float:
    """Half the width of an interval of a normal variable, in standard deviations."""
    return NormalDist().inv_cdf((1 + level) / 2)


def exact(successes: Any, trials: Any, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Exact interval of a proportion; (0, 1) where nothing was tried.

    Clopper and Pearson (1934), Biometrika 26, 404-413. It covers at least at its level however few the successes;
    Wilson's does not when a handful of frauds meets the high levels of many intervals that hold together.

    Parameters
    ----------
    successes, trials : array of numbers
        `trials` need not be whole.

    Returns
    -------
    low, high : numpy.ndarray
        Of the shape that both broadcast to.
    """
    from scipy.stats import beta

    successes, trials = np.broadcast_arrays(np.asarray(successes, float), np.asarray(trials, float))
    tail, failures = (1 - level) / 2, trials - successes
    with np.errstate(invalid="ignore"):
        low = np.where(successes > 0, beta.ppf(tail, successes, failures + 1), 0.0)
        high = np.where(failures > 0, beta.isf(tail, successes + 1, failures), 1.0)
    return low, high


def poisson(count: int, level: float = LEVEL) -> tuple[float, float]:
    """Exact interval of the mean of a Poisson count (Garwood 1936, Biometrika 28, 437-442)."""
    from scipy.stats import chi2

    tail = (1 - level) / 2
    low = chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    return float(low), float(chi2.ppf(1 - tail, 2 * count + 2) / 2)


def percentile(replicates: Any, level: float = LEVEL) -> list[float]:
    """Percentile interval [low, high] of bootstrap replicates; of paired differences where those are given."""
    tail = (1 - level) / 2
    return [float(bound) for bound in np.quantile(np.asarray(replicates), [tail, 1 - tail])]
