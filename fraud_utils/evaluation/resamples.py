"""Bootstrap resamples that candidates share, and those that all runs share."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from fraud_utils.evaluation.metrics import precision_at_frauds, ranked
from fraud_utils.evaluation.rows import Protocol, Scores
from fraud_utils.models import Candidate

SHARED = Protocol(resamples=1000, seed=7)  # the same in all runs, so that two of them can be paired


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
    import joblib

    y, share, rankings = scores.rows.y, scores.rows.share, _rankings(scores)
    frauds, legitimate = int((y == 1).sum()), int((y == 0).sum())

    def replicate(number: int) -> list[float]:
        drawn, times = _drawn(number, frauds, legitimate, protocol.seed)
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

    with ThreadPoolExecutor(joblib.cpu_count()) as threads:
        return pd.DataFrame(list(threads.map(replicate, range(protocol.resamples))), columns=scores.values.columns)


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
    table = bootstrap_average_precision(Scores(rows, values, scores.block), SHARED)
    fraud = rows.y == 1
    frauds, legitimate = int(fraud.sum()), int((~fraud).sum())
    first = _drawn(0, frauds, legitimate, SHARED.seed)
    digest = hashlib.sha256(b"".join(each.astype(np.uint8).tobytes() for each in (fraud, *first)))
    table.attrs["resamples"] = f"{digest.hexdigest()[:16]} x {len(table)}"
    if threshold is None:
        return table

    score = scores.of(candidate)
    at_stake = np.zeros(len(rows)) if rows.amount is None else rows.amount
    alert, by_cost = score >= threshold, score * at_stake > review_cost
    of_each = np.column_stack([alert, (score - rows.y) ** 2, by_cost, at_stake, at_stake * ~by_cost])
    of_frauds, of_others = of_each[fraud], of_each[~fraud]
    sums = np.empty((len(table), 2, of_each.shape[1]))
    for number in range(len(table)):
        drawn, times = _drawn(number, frauds, legitimate, SHARED.seed)
        sums[number] = drawn @ of_frauds, times @ of_others / rows.share
    caught, false_alerts = sums[:, 0, 0], sums[:, 1, 0]
    table["f1"] = 2 * caught / (caught + false_alerts + frauds)
    table["precision"] = caught / np.maximum(caught + false_alerts, 1)
    table["recall"] = caught / frauds
    table["brier"] = sums[:, :, 1].sum(1) / rows.count()
    if sums[:, 0, 3].all():  # without amounts, or where a resample's frauds are all of nothing, there is no such share
        cost = sums[:, 0, 4] + review_cost * sums[:, :, 2].sum(1)
        table["savings"] = 1 - cost / np.minimum(sums[:, 0, 3], review_cost * rows.count())
    return table
