"""Whether columns, scores and the pace of alerts are as they were in training.

One test serves all of them. A count of today and its count in training, each in proportion to its rows, are compared
by the exact conditional test of two Poisson means (Przyborowski and Wilenski 1940, Biometrika 31, 313-323): given the
sum of both counts, today's is binomial. It holds for a handful of rows and for values that training never saw. A
column's bins share its level (Bonferroni). In large samples it finds what does not matter, so a column counts as
changed only where its stability index says so, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from fraud_utils.artifact import Distribution, Promise, Reference
from fraud_utils.monitor.traffic import WEEK, Traffic

MODERATE = 0.1  # of the stability index (Siddiqi 2006, Credit Risk Scorecards)
FALSE_ALARMS = 0.05  # a healthy week's risk of any alarm
SCORE = "the score"  # among the columns
FAMILIES = 3  # that share it: columns and score, pace, performance


def level(tests: int) -> float:
    """Level of each of a family's tests in one week."""
    return FALSE_ALARMS / FAMILIES / tests


def tests_of_week(columns: int) -> tuple[int, int]:
    """How many tests a week has of columns and score, and of the pace: each of its days, and all of it."""
    return (columns + 1) * (WEEK + 1), WEEK + 1


def stability_index(counts: Any, reference: Any) -> np.ndarray:
    """Population stability index: the sum over bins of (q - p) ln(q / p); NaN where nothing was counted.

    Parameters
    ----------
    counts : array of shape (..., bins)
    reference : array of shape (bins,)

    Returns
    -------
    numpy.ndarray of shape (...)
        Each count raised by one half, so that an empty bin stays finite; bins empty on both sides are left out.
    """
    counts, reference = np.asarray(counts, float), np.asarray(reference, float)
    filled = (counts + reference) > 0
    p, q = (np.where(filled, each + 0.5, 0) for each in (np.broadcast_to(reference, counts.shape), counts))
    p, q = (each / each.sum(-1, keepdims=True).clip(1e-300) for each in (p, q))
    with np.errstate(divide="ignore", invalid="ignore"):
        index = np.where(filled, (q - p) * np.log(q / p), 0).sum(-1)
    return np.where(counts.sum(-1) > 0, index, np.nan)


def two_counts(today: Any, rows: Any, before: Any, rows_before: Any) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a count so low, and so high, if both come at one rate per row; each counts today's itself."""
    share = np.asarray(rows, float) / np.maximum(np.add(rows, rows_before), 1)
    both = np.add(today, before)
    return stats.binom.cdf(today, both, share), stats.binom.sf(np.subtract(today, 1), both, share)


def surprise(counts: Any, reference: Any) -> np.ndarray:
    """p-value of bins that were filled as in training: twice the smallest tail, times the number of bins."""
    counts, reference = np.asarray(counts), np.asarray(reference)
    low, high = two_counts(counts, counts.sum(-1, keepdims=True), reference, reference.sum())
    return np.minimum(1, 2 * counts.shape[-1] * np.minimum(low, high).min(-1))


def has_changed(counts: Any, reference: Any, tests: int) -> np.ndarray:
    """Whether bins are filled otherwise than in training, by a margin that matters and beyond chance."""
    index = stability_index(counts, reference)
    candidate = np.nan_to_num(index) >= MODERATE
    changed = np.zeros(candidate.shape, dtype=bool)
    if candidate.any():
        changed[candidate] = surprise(np.asarray(counts)[candidate], reference) <= level(tests)
    return changed


def alert_band(rows: Any, promise: Promise, tests: int) -> tuple[np.ndarray, np.ndarray]:
    """How few and how many alerts so many rows may bring, all days and the week together.

    Their number is Poisson, at a rate known only from the promise's own alerts: the predictive distribution is
    negative binomial (Jeffreys's prior).
    """
    rows = np.asarray(rows, float)
    size, share = promise.alerts + 0.5, promise.rows / (promise.rows + np.maximum(rows, 1e-9))
    tail = level(tests) / 2
    return stats.nbinom.ppf(tail, size, share), stats.nbinom.isf(tail, size, share)


def off_pace(alerts: Any, rows: Any, promise: Promise, tests: int) -> np.ndarray:
    """Whether alerts come outside their band."""
    low, high = alert_band(rows, promise, tests)
    return ((alerts < low) | (alerts > high)) & (np.asarray(rows) > 0)


# Tables of a page ---------------------------------------------------------------------------------------------------


def blocks(days: int) -> pd.DataFrame:
    """Days and weeks by `kind`, with `first` and `last` day; weeks count from the first day, the last may be cut."""
    single = [("day", day, day) for day in range(days)]
    weeks = [("week", start, min(start + WEEK, days) - 1) for start in range(0, days, WEEK)]
    return pd.DataFrame(single + [week for week in weeks if week[2] > week[1]], columns=["kind", "first", "last"])


def summed(per_day: np.ndarray, blocks: pd.DataFrame) -> np.ndarray:
    """Counts of blocks from counts of days, of shape (blocks, ...)."""
    before = np.concatenate([np.zeros_like(per_day[:1]), np.cumsum(per_day, axis=0)])
    return before[blocks["last"] + 1] - before[blocks["first"]]


def columns(traffic: Traffic, reference: Reference) -> pd.DataFrame:
    """Each column, and the score, against training: a row for every day and week.

    A column that no row brought, as it may be with history, is left out.

    Returns
    -------
    pandas.DataFrame
        `column` (`SCORE` for the score), `kind`, `first`, `last`, `rows`, `psi`, `changed`, `missing` (share), `most`
        (the bin whose share moved most), its `share` and its share in training, `before`.
    """
    tests, parts = tests_of_week(len(reference.columns))[0], blocks(traffic.days)
    tables = []
    for name, bins, counts in [
        *((name, bins, traffic.counts[name]) for name, bins in reference.columns.items() if traffic.counts[name].any()),
        (SCORE, reference.score, traffic.score_counts),
    ]:
        of_block = summed(counts, parts)
        rows = of_block.sum(1)
        shares, before = of_block / np.maximum(rows, 1)[:, None], bins.counts / max(bins.counts.sum(), 1)
        place = np.abs(shares - before).argmax(1)
        table = parts.assign(
            column=name,
            rows=rows,
            psi=stability_index(of_block, bins.counts),
            changed=has_changed(of_block, bins.counts, tests),
            missing=shares[:, -1],
            most=np.array(bins.names(), dtype=object)[place],
            share=shares[np.arange(len(parts)), place],
            before=before[place],
        )
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def began(alarming: pd.DataFrame) -> int:
    """The first of these days; where only a whole week shows it, that week's first."""
    days = alarming[alarming["kind"] == "day"]
    return int((days if len(days) else alarming)["first"].min())


def by_column(table: pd.DataFrame, reference: Reference) -> pd.DataFrame:
    """One line a column, that which moved most on top: its largest index of a week, and since when it has changed."""
    weeks = table[table["kind"] == "week"] if (table["kind"] == "week").any() else table
    worst = weeks.sort_values("psi", ascending=False).groupby("column", sort=False).first()
    since = {name: began(part) for name, part in table[table["changed"]].groupby("column")}
    return pd.DataFrame(
        {
            "stability index": worst["psi"],
            "since": pd.Series(since, dtype=float).reindex(worst.index),
            "missing in training": pd.Series({name: _missing(bins) for name, bins in reference.columns.items()}),
            "missing now": worst["missing"],
            "moved most": worst["most"],
            "share now": worst["share"],
            "share in training": worst["before"],
        }
    ).loc[worst.index]


def _missing(bins: Distribution) -> float:
    return float(bins.counts[-1] / max(bins.counts.sum(), 1))


def pace(traffic: Traffic, promise: Promise, threshold: float) -> pd.DataFrame:
    """Alerts of each day and week against the promise: `rows`, `alerts`, `expected`, `low`, `high`, `outside`."""
    parts, tests = blocks(traffic.days), tests_of_week(0)[1]
    alert = traffic.rows["score"] >= threshold
    per_day = np.bincount(traffic.rows["day"][alert], minlength=traffic.days)
    rows, alerts = summed(traffic.requests, parts), summed(per_day, parts)
    low, high = alert_band(rows, promise, tests)
    expected = rows * promise.alerts / max(promise.rows, 1)
    outside = off_pace(alerts, rows, promise, tests)
    return parts.assign(rows=rows, alerts=alerts, expected=expected, low=low, high=high, outside=outside)
