"""Distributions of single columns: how the aggregates hold them, fitted from values and drawn from levels.

A level is a value of the distribution function, 0 to 1. No number rests on fewer than ``QUANTILE_ROWS`` rows.
"""

import numpy as np

QUANTILE_ROWS = 20
QUANTILE_GRID = 1e3  # the file gives quantiles as integers over this
SCORE_GRID = 1e2  # the same for normal scores: means, factors, loadings
GRID = 1e5  # what the file's integers are multiplied with is rounded to whole numbers of this grid


def number(x: float, digits: int = 4) -> float:
    """A number of so many significant digits."""
    return float(f"{x:.{digits}g}")


def quantiles(x: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Each an average over the ``QUANTILE_ROWS`` values around it, so that none is a row's."""
    x = np.sort(x)
    near = QUANTILE_ROWS // 2
    at = np.clip((level * len(x)).astype(int), near, len(x) - near)
    return np.array([x[i - near : i + near].mean() for i in at])


def knots(x: np.ndarray, bins: int) -> dict:
    """Levels are even between tails of halving levels; the ends make the outermost means right."""
    x, low = np.sort(x), _tail(bins, len(x))
    level = np.array([*low, *(np.arange(1, bins) / bins), *(1 - np.array(low[::-1]))])
    value = quantiles(x, level)
    count = round(level[0] * len(x))
    first = 2 * x[:count].mean() - value[0]
    last = 2 * x[-count:].mean() - value[-1]
    value = np.maximum.accumulate([min(first, value[0]), *value, max(last, value[-1])])
    return {"tail": len(low), "values": np.rint(value * QUANTILE_GRID).astype(int).tolist()}


def _tail(bins: int, rows: int) -> list[float]:
    """Levels below the first bin's edge, halving while enough rows remain."""
    levels, level = [], 0.5 / bins
    while level * rows >= QUANTILE_ROWS:
        levels.append(level)
        level /= 2
    return levels[::-1]


def at(bin_: np.ndarray, within: np.ndarray, knots: dict, bins: int) -> np.ndarray:
    """Value at a place (0 to 1) within a quantile bin: linear, but for the first and last bin, which have tails."""
    tail = knots["tail"]
    values = np.asarray(knots["values"]) / QUANTILE_GRID
    inner = values[tail + 1 : tail + bins]  # the edges between bins
    edges = np.concatenate([[inner[0]], inner, [inner[-1]]])
    value = edges[bin_] + within * np.diff(edges)[bin_]
    halving = 0.5 ** np.arange(tail, 0, -1)
    low, high = np.flatnonzero(bin_ == 0), np.flatnonzero(bin_ == bins - 1)
    value[low] = np.interp(within[low], [0, *halving, 1], values[: tail + 2])
    value[high] = np.interp(within[high], [0, *(1 - halving[::-1]), 1], values[-tail - 2 :])
    return value


def amounts(x: np.ndarray, at_least: int) -> list[list[float]]:
    """Distribution function of the amount: [amount, share below, share at or below], steps at the price points."""
    x = np.sort(x)
    value, count = np.unique(x, return_counts=True)
    points = value[count >= at_least]
    between = np.maximum(knots(x, 32)["values"], 0) / QUANTILE_GRID
    table = []
    for amount in np.unique(np.round([0.0, *points, *between], 2)):
        below, upto = np.searchsorted(x, amount, "left") / len(x), np.searchsorted(x, amount, "right") / len(x)
        if amount not in points:  # no step: the share at this very amount is nobody's business
            below = upto = (below + upto) / 2
        table.append([number(amount, 6), round(below, 5), round(upto, 5)])
    table[0][1], table[-1][2] = 0.0, 1.0
    return table


def amount_at(level: np.ndarray, table: list[list[float]]) -> np.ndarray:
    """Amount in whole cents: price points are steps of the distribution function."""
    amount, below, upto = np.array(table).T
    return np.interp(level, np.column_stack([below, upto]).ravel(), np.repeat(amount, 2)).round(2)


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """Standard normal distribution function to 7.5e-8 (Abramowitz and Stegun 1964, 26.2.17)."""
    t = 1 / (1 + 0.2316419 * np.abs(x))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    upper = np.exp(-x * x / 2) / np.sqrt(2 * np.pi) * series
    return np.where(x > 0, 1 - upper, upper)


def uniform_rank(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rank in (0, 1), ties in random order: an amount that many share fills an interval."""
    order = np.lexsort((rng.random(len(x)), x))
    rank = np.empty(len(x))
    rank[order] = (np.arange(len(x)) + 0.5) / len(x)
    return rank
