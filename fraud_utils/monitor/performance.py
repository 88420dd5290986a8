"""How good alerts were, now that labels have come: week by week, against what was promised.

A week is judged once its last day is older than the time that labels take. Precision and recall are compared with the
promise's by Fisher's exact test, one-sided; labelled frauds with the promised rate by the test of two counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from fraud_utils import intervals
from fraud_utils.artifact import Model, Promise
from fraud_utils.data import DataError
from fraud_utils.evaluation import (
    Protocol,
    Rows,
    Scores,
    average_precision,
    bootstrap_average_precision,
    decisions,
)
from fraud_utils.monitor.drift import level, two_counts
from fraud_utils.monitor.tables import whole
from fraud_utils.monitor.traffic import WEEK, Traffic

TESTS = 3  # of a week: precision, recall, and how many frauds are reported
RESAMPLES = 200


@dataclass(frozen=True)
class Terms:
    """On what terms weeks are judged: the threshold that decides, a review's cost, and days that labels take."""

    threshold: float
    review_cost: float = 3.0
    label_delay_days: int = 7


def label_delay(model: Model, asked_days: int = -1) -> int:
    """Whole days that labels take: those asked for, else what the model's schema says, else a week."""
    if asked_days >= 0:
        return asked_days
    return math.ceil(model.manifest["schema"].get("label_delay_days", 0)) or Terms.label_delay_days


def join(traffic: Traffic, labels: pd.Series) -> np.ndarray:
    """The label of each of the traffic's rows, NaN where there is none.

    Where all labels are frauds, as in a list of chargebacks, every other row counts as legitimate, but for those
    without an id: theirs is not known.

    Raises
    ------
    DataError
        No label belongs to any of the rows.
    """
    ids = whole(traffic.rows["id"])
    named = (ids != "").to_numpy(dtype=bool)
    place = labels.index.get_indexer(pd.Index(ids))
    known = named & (place >= 0)
    if not known.any():
        captured = f"those captured like {ids[named].iloc[0]!r}" if named.any() else "no captured row has one"
        raise DataError(
            f"LABELS: none of {len(labels):,} ids is that of a captured row (theirs look like {labels.index[0]!r}, "
            f"{captured}); send InferenceId with each request"
        )
    label = np.where(known, labels.to_numpy()[place], np.nan)
    return np.where(named & ~known, 0, label) if (labels == 1).all() else label


def fell(counts: Any, of: Any, promised: int, of_promised: int) -> np.ndarray:
    """Whether a share is lower than promised beyond chance: `counts` of `of` against `promised` of `of_promised`."""
    counts, of = np.asarray(counts), np.asarray(of)
    p = stats.hypergeom.cdf(counts, of + of_promised, counts + promised, of)
    return (p <= level(TESTS)) & (of > 0)


def too_few(frauds: Any, rows: Any, promise: Promise) -> np.ndarray:
    """Whether fewer frauds are reported than promised, beyond chance."""
    return two_counts(frauds, rows, promise.frauds, promise.rows)[0] <= level(TESTS)


def weeks(traffic: Traffic, label: np.ndarray, promise: Promise, terms: Terms) -> pd.DataFrame:
    """Each week whose labels are due: counts, metrics with 95 % intervals, and whether they fell short of the promise.

    Returns
    -------
    pandas.DataFrame
        `first`, `last` (day); `rows`, `labelled` (share), `frauds`, `alerts`, `caught`; `precision`, `recall`,
        `average_precision`, `savings`, each with `_low` and `_high`; `expected_frauds` (the scores' sum over labelled
        rows); `fell_precision`, `fell_recall`, `few_frauds`. An amount that is missing counts as 0, as in the promise.
    """
    table = [
        _week(traffic, label, (first, min(first + WEEK, traffic.days) - 1), terms)
        for first in range(0, traffic.days, WEEK)
        if min(first + WEEK, traffic.days) - 1 + terms.label_delay_days < traffic.days
    ]
    if not table:
        return pd.DataFrame(columns=["first", "last", "rows"])
    made = pd.DataFrame(table)
    fallen_precision = fell(made["caught"], made["alerts"], promise.caught, promise.alerts)
    fallen_recall = fell(made["caught"], made["frauds"], promise.caught, promise.frauds)
    return made.assign(
        fell_precision=fallen_precision,
        fell_recall=fallen_recall,
        few_frauds=too_few(made["frauds"], made["rows"], promise),
    )


def _week(traffic: Traffic, label: np.ndarray, days: tuple[int, int], terms: Terms) -> dict[str, Any]:
    inside = traffic.rows["day"].between(*days).to_numpy()
    rows = traffic.rows[inside & ~np.isnan(label)]
    y = label[inside & ~np.isnan(label)].astype(np.int8)
    score = rows["score"].to_numpy()
    alert = score >= terms.threshold
    frauds, alerts, caught = int(y.sum()), int(alert.sum()), int(y[alert].sum())
    week: dict[str, Any] = {"first": days[0], "last": days[1], "rows": int(inside.sum())}
    week |= {"labelled": len(y) / max(int(inside.sum()), 1), "frauds": frauds, "alerts": alerts, "caught": caught}
    for name, of in (("precision", alerts), ("recall", frauds)):
        low, high = intervals.exact(caught, of)
        week |= {name: caught / of if of else np.nan, f"{name}_low": float(low), f"{name}_high": float(high)}
    ranked = 0 < frauds < len(y)
    value, bounds = (average_precision(y, score), _bounds(y, score)) if ranked else (np.nan, (np.nan, np.nan))
    week |= {"average_precision": value, "average_precision_low": bounds[0], "average_precision_high": bounds[1]}
    if "amount" in rows:
        amount = rows["amount"].fillna(0).to_numpy()
        saved, around = np.nan, [np.nan, np.nan]
        if ranked and amount[y == 1].sum() > 0:
            saved, around = decisions.savings(y, alert, amount, terms.review_cost)
        week |= {"savings": saved, "savings_low": around[0], "savings_high": around[1]}
    return week | {"expected_frauds": float(score.sum())}


def _bounds(y: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """Interval of the average precision: frauds are resampled, and false alerts between two of them are Poisson."""
    rng = np.random.default_rng(7)
    fraud, other = np.sort(score[y == 1])[::-1], np.sort(score[y == 0])
    above = len(other) - np.searchsorted(other, fraud)  # legitimate rows that score at or above each fraud
    false_alerts = rng.poisson(np.diff(above, prepend=0), (RESAMPLES, len(fraud))).cumsum(1)
    drawn = rng.multinomial(len(fraud), np.full(len(fraud), 1 / len(fraud)), size=RESAMPLES)
    caught = drawn.cumsum(1)
    low, high = intervals.percentile((drawn * caught / np.maximum(caught + false_alerts, 1)).sum(1) / len(fraud))
    return low, high


def promised(promise: Promise, terms: Terms) -> dict[str, float]:
    """The promise's precision, recall, average precision and savings; NaN where one does not apply."""
    saved = np.nan
    if promise.fraud_amount:
        blanket = min(promise.fraud_amount, terms.review_cost * promise.rows)
        missed = promise.fraud_amount - (promise.caught_amount or 0)
        saved = 1 - (missed + terms.review_cost * promise.alerts) / blanket
    return {
        "precision": promise.caught / promise.alerts if promise.alerts else np.nan,
        "recall": promise.caught / promise.frauds if promise.frauds else np.nan,
        "average_precision": np.nan if promise.average_precision is None else promise.average_precision,
        "savings": saved,
    }


def calibration(traffic: Traffic, label: np.ndarray, days: int) -> pd.DataFrame:
    """Labelled rows of the first `days`, by score: what the scores promise and what came.

    Returns
    -------
    pandas.DataFrame
        `scores` (the bin), `rows`, `expected` (frauds, the scores' sum), `frauds`, `frauds_low`,
        `frauds_high` (exact Poisson interval of their mean), `agrees` (whether what is expected lies within it).
    """
    chosen = (traffic.rows["day"] < days).to_numpy() & ~np.isnan(label)
    score, y = traffic.rows["score"].to_numpy()[chosen], label[chosen]
    edges = [0, 0.001, 0.01, 0.1, 0.5, 1]
    place = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, len(edges) - 2)
    table = []
    for bin_ in range(len(edges) - 1):
        here = place == bin_
        frauds = int(y[here].sum())
        low, high = intervals.poisson(frauds, intervals.together(len(edges) - 1))
        expected = float(score[here].sum())
        name = f"{edges[bin_]:g} to {edges[bin_ + 1]:g}"
        table.append((name, int(here.sum()), expected, frauds, low, high, low <= expected <= high))
    names = ["scores", "rows", "expected", "frauds", "frauds_low", "frauds_high", "agrees"]
    return pd.DataFrame(table, columns=names).set_index("scores")


def compare(traffic: Traffic, label: np.ndarray, days: int, names: Mapping[str, str]) -> pd.DataFrame:
    """This model and another on the same labelled rows of the first `days`, and their paired difference.

    Parameters
    ----------
    names : mapping of str to str
        What the columns `score` and `challenger` are called.

    Returns
    -------
    pandas.DataFrame
        `average_precision`, `low`, `high`; the last row is the other's less this one's, on the same resamples.
    """
    chosen = (traffic.rows["day"] < days).to_numpy() & ~np.isnan(label)
    y, rows = label[chosen].astype(np.int8), traffic.rows[chosen]
    if not 0 < y.sum() < len(y):
        raise DataError("no labelled fraud to compare two models on; wait for labels")
    scores = {name: rows[column].to_numpy() for column, name in names.items()}
    values = {name: average_precision(y, score) for name, score in scores.items()}
    known = Rows(np.empty((len(y), 0)), y, np.arange(len(y)))
    both = Scores(known, pd.DataFrame(scores), np.zeros(len(y), dtype=int))
    replicates = bootstrap_average_precision(both, Protocol(resamples=RESAMPLES))
    this, that = names["score"], names["challenger"]
    values["difference"] = values[that] - values[this]
    replicates["difference"] = replicates[that] - replicates[this]
    bounds = {name: intervals.percentile(each) for name, each in replicates.items()}
    return pd.DataFrame(
        [(name, value, *bounds[name]) for name, value in values.items()],
        columns=["model", "average_precision", "low", "high"],
    ).set_index("model")
