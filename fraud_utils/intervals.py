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


def exact(successes: Any, trials: Any, level: float = LEVEL, share: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Exact interval of a proportion; (0, 1) where nothing was tried.

    Where only a share b of the failures was drawn, a trial that was seen is a success with odds that are 1 / b times
    what they are among all: the interval of those odds, times b.

    Clopper and Pearson (1934), Biometrika 26, 404-413. It covers at least at its level however few the successes;
    Wilson's does not when a handful of frauds meets the high levels of many intervals that hold together.

    Parameters
    ----------
    successes, trials : array of numbers
        `trials` need not be whole.
    share : float
        Of the failures that were drawn, each of which then counts 1 / share times in `trials`.

    Returns
    -------
    low, high : numpy.ndarray
        Of the shape that both broadcast to.
    """
    from scipy.special import betainccinv, betaincinv

    successes, trials = np.broadcast_arrays(np.asarray(successes, float), np.asarray(trials, float))
    tail, failures = (1 - level) / 2, (trials - successes) * share
    with np.errstate(invalid="ignore"):
        low = np.where(successes > 0, betaincinv(successes, failures + 1, tail), 0.0)
        high = np.where(failures > 0, betainccinv(successes + 1, failures, tail), 1.0)
    if share == 1:
        return low, high
    return share * low / (1 - low + share * low), share * high / (1 - high + share * high)


def poisson(count: float, level: float = LEVEL, share: float = 1.0, seen: float = 0.0) -> tuple[float, float]:
    """Interval of the mean of a Poisson count: exact (Garwood 1936, Biometrika 28, 437-442) where all was counted.

    Where a share of what is counted was drawn, that of a weighted sum of Poisson counts (Fay and Feuer 1997, Statistics
    in Medicine 16, 791-801), which covers at least at its level in all cases that were tried.

    Parameters
    ----------
    count : float
        Of which `seen` were counted one by one, and each of the others that was drawn counts 1 / share times.
    """
    from scipy.special import gammaincinv

    tail, most = (1 - level) / 2, 1 / share
    variance = seen + (count - seen) * most
    low = gammaincinv(count**2 / variance, tail) * variance / count if count else 0.0
    above, spread = count + most, variance + most**2
    return float(low), float(gammaincinv(above**2 / spread, 1 - tail) * spread / above)


def percentile(replicates: Any, level: float = LEVEL) -> list[float]:
    """Percentile interval [low, high] of bootstrap replicates; of paired differences where those are given."""
    tail = (1 - level) / 2
    return [float(bound) for bound in np.quantile(np.asarray(replicates), [tail, 1 - tail])]
