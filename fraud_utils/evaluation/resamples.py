"""Bootstrap resamples that candidates share, and those that all runs share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
import pandas as pd

from fraud_utils.evaluation.metrics import precision_at_frauds, ranked
from fraud_utils.evaluation.rows import Protocol, Rows, Scores
from fraud_utils.models import Candidate

SHARED = Protocol(resamples=1000, seed=7)  # the same in all runs, so that two of them can be paired

type Measure = Callable[[np.ndarray, np.ndarray], list[float]]  # of how often a resample holds frauds, and other rows


def bootstrap_average_precision(scores: Scores, protocol: Protocol) -> pd.DataFrame:
    """Average precision on stratified bootstrap resamples, the same resamples for every candidate.

    Frauds and legitimate rows are resampled apart, so that each resample has as many of both as the data; candidates
    share resamples, so that their differences are paired; a row's repeats are drawn together; blocks are averaged, as
    in `average_precision`. Where rows are a sample, so is each resample. Rows are sorted once: a resample is a weight
    for each row, summed along the ranking.

    Returns
    -------
    pandas.DataFrame, shape (resamples, candidates)
    """
    rows = _by_resample(_average_precisions(scores), scores.rows, protocol)
    return pd.DataFrame(rows, columns=scores.values.columns)


def _by_resample(measure: Measure, rows: Rows, protocol: Protocol) -> list[list[float]]:
    """What is measured on each resample, drawn once whatever is measured."""
    import joblib

    frauds, legitimate = int((rows.y == 1).sum()), int((rows.y == 0).sum())

    def of_some(numbers: np.ndarray) -> list[list[float]]:
        return [measure(*_drawn(number, frauds, legitimate, protocol.seed)) for number in numbers.tolist()]

    cores = joblib.cpu_count()
    parts = np.array_split(np.arange(protocol.resamples), 4 * cores)  # a resample is too little for a task of its own
    with ThreadPoolExecutor(cores) as threads:
        return list(chain.from_iterable(threads.map(of_some, parts)))


def _average_precisions(scores: Scores) -> Measure:
    """Of a resample, the average precision of each candidate."""
    share, rankings = scores.rows.share, _rankings(scores)

    def measure(drawn: np.ndarray, times: np.ndarray) -> list[float]:
        row = []
        for blocks in rankings.values():
            values = []
            for fraud, step, order, reached in blocks:
                weights = np.bincount(step, drawn[fraud], len(reached))
                if weights.any():
                    summed = np.concatenate([[0], np.cumsum(times[order], dtype=np.int32)])
                    values.append(precision_at_frauds(weights, summed[reached] / share))
            row.append(float(np.mean(values)))
        return row

    return measure


def _rankings(scores: Scores) -> dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]]:
    """By candidate and block: each fraud's place among the frauds, and `ranked` with places among all legitimate."""
    y = scores.rows.y
    place = np.where(y == 1, np.cumsum(y == 1), np.cumsum(y == 0)) - 1  # of each row among those of its class
    rankings: dict[str, list] = {name: [] for name in scores.values}
    for number in np.unique(scores.block):
        part = np.flatnonzero(scores.block == number)
        y_here, place_here = y[part % len(y)], place[part % len(y)]
        fraud_here, legitimate_here = place_here[y_here == 1], place_here[y_here == 0].astype(np.int32)
        for name, blocks in rankings.items():
            score = scores.values[name].to_numpy()[part]
            if np.isnan(score).any():  # it took no part in this repeat
                continue
            step, order, reached = ranked(y_here, score)
            blocks.append((fraud_here, step, legitimate_here[order], reached))
    return rankings


def _drawn(number: int, frauds: int, legitimate: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often a resample holds each fraud and each legitimate row, both in the order of the rows."""
    rng = np.random.default_rng([seed, number])  # one generator a resample: the same on any number of threads
    drawn = np.bincount(rng.integers(0, frauds, frauds), minlength=frauds)
    times = np.bincount(rng.integers(0, legitimate, legitimate, dtype=np.int32), minlength=legitimate)
    return drawn, times.astype(np.uint8)  # fits the cache; no row is drawn 256 times


def resampled_metrics(
    scores: Scores, candidate: Candidate, threshold: float | None = None, review_cost: float = 3.0
) -> pd.DataFrame:
    """Metrics of one model on 1,000 stratified resamples that are the same for whoever scores the same rows.

    The draws depend on the labels alone, not on a run's seed. What two runs reached can so be subtracted resample by
    resample: a paired comparison for which neither needs the other's scores.

    Parameters
    ----------
    threshold : float, optional
        Fixed on other rows, and then each row is scored once. Without it average precision only.

    Returns
    -------
    pandas.DataFrame, shape (1000, metrics)
        Columns as in `metrics`; savings where there are amounts. `attrs["resamples"]` is equal for two tables exactly
        when their labels and draws are: numbers of other draws must not be subtracted.
    """
    rows = scores.rows
    values = scores.values[[candidate.name]].set_axis(["average_precision"], axis=1)
    ranked_only = Scores(rows, values, scores.block)
    fraud = rows.y == 1
    frauds, legitimate = int(fraud.sum()), int((~fraud).sum())
    first = _drawn(0, frauds, legitimate, SHARED.seed)
    digest = hashlib.sha256(b"".join(each.astype(np.uint8).tobytes() for each in (fraud, *first)))
    attributes = {"resamples": f"{digest.hexdigest()[:16]} x {SHARED.resamples}"}
    if threshold is None:
        table = bootstrap_average_precision(ranked_only, SHARED)
        table.attrs |= attributes
        return table

    score = scores.of(candidate)
    at_stake = np.zeros(len(rows)) if rows.amount is None else rows.amount
    alert, by_cost = score >= threshold, score * at_stake > review_cost
    of_each = np.column_stack([alert, (score - rows.y) ** 2, by_cost, at_stake, at_stake * ~by_cost])
    of_frauds, of_others = of_each[fraud], of_each[~fraud]
    average_precisions = _average_precisions(ranked_only)

    def measure(drawn: np.ndarray, times: np.ndarray) -> list[float]:
        return [*average_precisions(drawn, times), *(drawn @ of_frauds), *(times @ of_others / rows.share)]

    measured = np.array(_by_resample(measure, rows, SHARED))
    table = pd.DataFrame({"average_precision": measured[:, 0]})
    table.attrs |= attributes
    sums = measured[:, 1:].reshape(len(table), 2, of_each.shape[1])
    caught, false_alerts = sums[:, 0, 0], sums[:, 1, 0]
    table["f1"] = 2 * caught / (caught + false_alerts + frauds)
    table["precision"] = caught / np.maximum(caught + false_alerts, 1)
    table["recall"] = caught / frauds
    table["brier"] = sums[:, :, 1].sum(1) / rows.count()
    if sums[:, 0, 3].all():  # without amounts, or where a resample's frauds are all of nothing, there is no such share
        cost = sums[:, 0, 4] + review_cost * sums[:, :, 2].sum(1)
        table["savings"] = 1 - cost / np.minimum(sums[:, 0, 3], review_cost * rows.count())
    return table
