"""Out-of-fold scores, metrics with intervals, thresholds, calibration, cost: what a model is judged by."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils.artifact import prior_correction
from fraud_utils.data import DataError
from fraud_utils.evaluation import fits
from fraud_utils.evaluation.fits import Fit
from fraud_utils.models import Candidate

LEVEL = 0.95
SHARED_RESAMPLES, SHARED_SEED = 1000, 7  # of all runs, so that two of them can be paired
# By profile: folds, repeats of them, bootstrap resamples, trials of the search, random splits.
PROTOCOLS = {"full": (3, 2, 1000, 8, 5), "quick": (3, 1, 200, 2, 2)}


@dataclass(frozen=True)
class Scores:
    """Scores of the same rows by several candidates.

    Attributes
    ----------
    values : pandas.DataFrame, shape (repeats * rows, candidates)
        One repeat of all rows after the other.
    block : numpy.ndarray of int, shape (repeats * rows,)
        Rows of one block were scored by the same fit, so that their ranking is one model's.
    seconds : pandas.Series
        Of a fit, by candidate; the mean where there are several.
    boosters : dict of str to bytes
        XGBoost's models, where one fit scored all rows.
    """

    values: pd.DataFrame
    block: np.ndarray
    seconds: pd.Series
    boosters: Mapping[str, bytes]


def assign_folds(groups: np.ndarray, y: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Give each row a fold from 0; rows of one group share it, and folds have about as many groups with frauds.

    Raises
    ------
    DataError
        There are too few frauds for so many folds.
    """
    from sklearn.model_selection import StratifiedKFold

    _, group_of = np.unique(groups, return_inverse=True)
    fraud_groups = np.zeros(group_of.max() + 1, dtype=int)
    np.maximum.at(fraud_groups, group_of, y)
    # Neighbours of a fraud are looked for among six, the smallest number that SMOTE can work with.
    if fraud_groups.sum() * (folds - 1) // folds < 6:
        raise DataError(
            f"{int(fraud_groups.sum())} distinct frauds before the test set are too few for {folds} folds; "
            "bring a longer table"
        )
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    fold_of_group = np.empty(len(fraud_groups), dtype=int)
    for number, (_, held_out) in enumerate(splitter.split(fraud_groups, fraud_groups)):
        fold_of_group[held_out] = number
    return fold_of_group[group_of]


def _score(
    candidates: Sequence[Candidate],
    X: np.ndarray,
    y: np.ndarray,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    seed: int,
    what: str,
    cache: str | Path,
    n_jobs: int | None,
) -> Scores:
    """Fit each candidate on each part's rows and score its others; averages come from their members' scores."""
    fitted = [c for c in candidates if c.learner != "average"]
    labels = [f"{number} of {len(parts)}" if len(parts) > 1 else "" for number in range(1, len(parts) + 1)]
    todo = [Fit(c, *part, seed, label) for c in fitted for part, label in zip(parts, labels, strict=True)]
    done = fits.run(todo, X, y, what, cache, n_jobs)
    values, seconds, boosters = {}, {}, {}
    for i, candidate in enumerate(fitted):
        mine = done[i * len(parts) : (i + 1) * len(parts)]
        values[candidate.name] = np.concatenate([fit.scores for fit in mine])
        seconds[candidate.name] = float(np.mean([fit.seconds for fit in mine]))
        if len(mine) == 1 and mine[0].booster:
            boosters[candidate.name] = mine[0].booster
    for candidate in candidates:
        if candidate.learner == "average":
            members = list(candidate.hyperparameters["members"])
            if unknown := [name for name in members if name not in values]:
                raise ValueError(f"{candidate.name}: {', '.join(unknown)} is not among the candidates")
            values[candidate.name] = np.mean([values[name] for name in members], axis=0)
            seconds[candidate.name] = sum(seconds[name] for name in members)
    names = [candidate.name for candidate in candidates]
    block = np.repeat(np.arange(len(parts)), [len(new) for _, new in parts])
    return Scores(pd.DataFrame(values)[names], block, pd.Series(seconds)[names], boosters)


def out_of_fold(
    candidates: Sequence[Candidate],
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 7,
    cache: str | Path = "",
    n_jobs: int | None = None,
) -> Scores:
    """Score every row by models that have not seen it, nor a copy of it.

    Parameters
    ----------
    X : numpy.ndarray of float32, shape (rows, columns)
    y : numpy.ndarray, shape (rows,)
    groups : numpy.ndarray of int, shape (rows,)
        Rows of one group share a fold: exact copies, or a card's transactions.
    folds : int
        Stratified by whether a group holds a fraud.
    repeats : int
        With other folds each time.
    cache, n_jobs
        As in `fits.run`.

    Returns
    -------
    Scores
        Probabilities corrected for the treatment's prior inside each fold, or anomaly scores.

    Raises
    ------
    DataError
        There are too few frauds for so many folds.
    """
    fold_of = [assign_folds(groups, y, folds, seed + repeat) for repeat in range(repeats)]
    parts = [(np.flatnonzero(of != k), np.flatnonzero(of == k)) for of in fold_of for k in range(folds)]
    scored = _score(candidates, X, y, parts, seed, f"Fitting on {folds} folds", cache, n_jobs)
    place = np.concatenate([new + (i // folds) * len(y) for i, (_, new) in enumerate(parts)])
    back = np.argsort(place)
    return Scores(scored.values.iloc[back].reset_index(drop=True), scored.block[back], scored.seconds, scored.boosters)


def fit_and_score(
    candidates: Sequence[Candidate],
    X: np.ndarray,
    y: np.ndarray,
    X_test: np.ndarray,
    seed: int = 7,
    cache: str | Path = "",
    n_jobs: int | None = None,
) -> Scores:
    """Fit each candidate on all training rows and score the test rows; to be called once, at the end."""
    rows = np.arange(len(X) + len(X_test))
    parts = [(rows[: len(X)], rows[len(X) :])]
    stacked = np.concatenate([X, X_test])
    return _score(candidates, stacked, y, parts, seed, "Fitting on all training rows", cache, n_jobs)


def forward_chaining(
    candidates: Sequence[Candidate],
    X: np.ndarray,
    y: np.ndarray,
    time: np.ndarray,
    blocks: int = 5,
    seed: int = 7,
    cache: str | Path = "",
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Average precision on each block in time, fitted on all blocks before it.

    Parameters
    ----------
    time : numpy.ndarray, shape (rows,)
        Ascending; rows of one moment stay together, as copies of a transaction do.
    blocks : int
        With about as many rows each; the first is for fitting only.

    Returns
    -------
    pandas.DataFrame
        A row a candidate, a column a block that has frauds; the columns' names count rows and frauds.
    """
    edges = [int(np.searchsorted(time, time[len(y) * k // blocks])) for k in range(1, blocks)] + [len(y)]
    rows = np.arange(len(y))
    parts = [(rows[:start], rows[start:end]) for start, end in itertools.pairwise(edges)]
    parts = [(train, new) for train, new in parts if y[train].sum() >= 6 and y[new].any()]
    scored = _score(candidates, X, y, parts, seed, "Forward chaining", cache, n_jobs)
    return _by_part(scored, y, {f"block {k} ({int(y[new].sum())} frauds)": new for k, (_, new) in enumerate(parts, 2)})


def random_splits(
    candidates: Sequence[Candidate],
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    splits: int = 5,
    seed: int = 7,
    cache: str | Path = "",
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Average precision on stratified random fifths of all rows, the rest fitted: how most results are published.

    Copies of a transaction stay on one side. A row a candidate, a column a split.
    """
    parts = []
    for number in range(splits):
        fold_of = assign_folds(groups, y, 5, seed + 1000 + number)
        parts.append((np.flatnonzero(fold_of != 0), np.flatnonzero(fold_of == 0)))
    scored = _score(candidates, X, y, parts, seed, "Random splits", cache, n_jobs)
    return _by_part(scored, y, {f"split {k}": new for k, (_, new) in enumerate(parts, 1)})


def _by_part(scored: Scores, y: np.ndarray, parts: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Average precision of each candidate (a row) on each part (a column), given the rows that each part scored."""
    table = {}
    for number, (heading, new) in enumerate(parts.items()):
        mine = scored.values[scored.block == number]
        table[heading] = {name: average_precision(y[new], mine[name].to_numpy()) for name in mine}
    return pd.DataFrame(table)


def _ranked(y: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What average precision depends on: how many legitimate rows score at or above each fraud.

    Returns
    -------
    step : numpy.ndarray of int, shape (frauds,)
        Place of each fraud's score among the frauds' distinct scores, best first.
    order : numpy.ndarray of int
        The legitimate rows (counted among themselves) that score at or above some fraud, best first.
    reached : numpy.ndarray of int, shape (distinct scores,)
        How many of `order` score at or above each distinct score.
    """
    scores = np.unique(score[y == 1])[::-1]
    step = len(scores) - np.searchsorted(scores[::-1], score, side="right")
    order = np.argsort(step[y == 0], kind="stable")
    reached = np.bincount(step[y == 0], minlength=len(scores) + 1)[:-1].cumsum()
    return step[y == 1], order[: reached[-1]].astype(np.int32), reached


def _average_precision(caught_here: np.ndarray, false_alerts: np.ndarray) -> float:
    """Average precision from the frauds at each distinct score and the false alerts down to it, best first."""
    caught = np.cumsum(caught_here)
    return float(np.sum(caught_here * caught / np.maximum(caught + false_alerts, 1)) / caught[-1])


def average_precision(y: np.ndarray, score: np.ndarray, block: np.ndarray | None = None) -> float:
    """Mean over the frauds of the precision at their score; equals scikit-learn's `average_precision_score`.

    With blocks (without, each repeat is one), the mean of their values: each fold's fit has a scale of its own, and
    what will be deployed is one fit. Pooling ranks rows of different fits against each other, which is no model's
    ranking (Forman and Scholz 2010,
    "Apples-to-apples in cross-validation studies").

    Parameters
    ----------
    y : numpy.ndarray, shape (rows,)
    score : numpy.ndarray, shape (repeats * rows,)
    block : numpy.ndarray of int, shape (repeats * rows,), optional
    """
    if block is None and len(score) == len(y):
        step, _, reached = _ranked(y, score)
        return _average_precision(np.bincount(step), reached)
    block = np.arange(len(score)) // len(y) if block is None else block
    y = np.tile(y, len(score) // len(y))
    return float(np.mean([average_precision(y[block == k], score[block == k]) for k in np.unique(block)]))


def bootstrap_average_precision(
    y: np.ndarray, scores: pd.DataFrame, resamples: int = 1000, seed: int = 7, block: np.ndarray | None = None
) -> pd.DataFrame:
    """Average precision on stratified bootstrap resamples, the same resamples for every column.

    Frauds and legitimate rows are resampled apart, so that each resample has as many of both as the data; columns
    share resamples, so that their differences are paired; a row's repeats are drawn together. Rows are sorted once: a
    resample is a weight for each row, summed along the ranking.

    Parameters
    ----------
    y : numpy.ndarray, shape (rows,)
    scores : pandas.DataFrame, shape (repeats * rows, models)
    block : numpy.ndarray of int, shape (repeats * rows,), optional
        As in `average_precision`.

    Returns
    -------
    pandas.DataFrame, shape (resamples, models)
    """
    from concurrent.futures import ThreadPoolExecutor

    import joblib

    frauds, legitimate = int((y == 1).sum()), int((y == 0).sum())
    place = np.where(y == 1, np.cumsum(y == 1), np.cumsum(y == 0)) - 1  # of each row among those of its class
    block = np.zeros(len(scores), dtype=int) if block is None else block
    parts = [np.flatnonzero(block == number) for number in np.unique(block)]

    def rank(score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        step, order, reached = _ranked(y_here, score)
        return fraud_here, step, legitimate_here[order], reached

    ranked: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]] = {name: [] for name in scores}
    for part in parts:
        y_here, place_here = y[part % len(y)], place[part % len(y)]
        fraud_here, legitimate_here = place_here[y_here == 1], place_here[y_here == 0].astype(np.int32)
        for name in scores:
            ranked[name].append(rank(scores[name].to_numpy()[part]))

    def replicate(number: int) -> list[float]:
        drawn, times = _drawn(number, frauds, legitimate, seed)
        row = []
        for blocks in ranked.values():
            values = []
            for fraud, step, order, reached in blocks:
                weights = np.bincount(step, drawn[fraud], len(reached))
                if weights.any():
                    summed = np.concatenate([[0], np.cumsum(times[order], dtype=np.int32)])
                    values.append(_average_precision(weights, summed[reached]))
            row.append(float(np.mean(values)))
        return row

    with ThreadPoolExecutor(joblib.cpu_count()) as threads:
        return pd.DataFrame(list(threads.map(replicate, range(resamples))), columns=scores.columns)


def _drawn(number: int, frauds: int, legitimate: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often a resample holds each fraud and each legitimate row, both in the order of the rows."""
    rng = np.random.default_rng([seed, number])  # one generator a resample: the same on any number of threads
    drawn = np.bincount(rng.integers(0, frauds, frauds), minlength=frauds)
    times = np.bincount(rng.integers(0, legitimate, legitimate, dtype=np.int32), minlength=legitimate)
    return drawn, times.astype(np.uint8)  # fits the cache; no row is drawn 256 times


def resampled_metrics(
    y: np.ndarray,
    score: np.ndarray,
    threshold: float | None = None,
    amount: np.ndarray | None = None,
    review_cost: float = 3.0,
    block: np.ndarray | None = None,
) -> pd.DataFrame:
    """Metrics of one model on 1,000 stratified resamples that are the same for whoever scores the same rows.

    The draws depend on the labels alone, not on a run's seed. What two runs reached can so be subtracted resample by
    resample: a paired comparison for which neither needs the other's scores.

    Parameters
    ----------
    y, amount : numpy.ndarray, shape (rows,)
    score : numpy.ndarray, shape (repeats * rows,)
        Probabilities; one repeat where a threshold is given.
    threshold : float, optional
        Fixed on other rows. Without it average precision only.
    block : numpy.ndarray of int, shape (repeats * rows,), optional
        As in `average_precision`.

    Returns
    -------
    pandas.DataFrame, shape (1000, metrics)
        Columns as in `metrics`; savings where there are amounts. `attrs["resamples"]` is equal for two tables exactly
        when their labels and draws are: numbers of other draws must not be subtracted.
    """
    found = bootstrap_average_precision(
        y, pd.DataFrame({"average_precision": score}), SHARED_RESAMPLES, SHARED_SEED, block
    )
    fraud = y == 1
    frauds, legitimate = int(fraud.sum()), int((~fraud).sum())
    first = _drawn(0, frauds, legitimate, SHARED_SEED)
    digest = hashlib.sha256(b"".join(each.astype(np.uint8).tobytes() for each in (fraud, *first)))
    found.attrs["resamples"] = f"{digest.hexdigest()[:16]} x {len(found)}"
    if threshold is None:
        return found

    at_stake = np.zeros(len(y)) if amount is None else amount
    alert, by_cost = score >= threshold, score * at_stake > review_cost
    of_each = np.column_stack([alert, (score - y) ** 2, by_cost, at_stake, at_stake * ~by_cost])
    of_frauds, of_others = of_each[fraud], of_each[~fraud]
    sums = np.empty((len(found), 2, of_each.shape[1]))
    for number in range(len(found)):
        drawn, times = _drawn(number, frauds, legitimate, SHARED_SEED)
        sums[number] = drawn @ of_frauds, times @ of_others
    caught, false_alerts = sums[:, 0, 0], sums[:, 1, 0]
    found["f1"] = 2 * caught / (caught + false_alerts + frauds)
    found["precision"] = caught / np.maximum(caught + false_alerts, 1)
    found["recall"] = caught / frauds
    found["brier"] = sums[:, :, 1].sum(1) / len(y)
    if sums[:, 0, 3].all():  # without amounts, or where a resample's frauds are all of nothing, there is no such share
        cost = sums[:, 0, 4] + review_cost * sums[:, :, 2].sum(1)
        found["savings"] = 1 - cost / np.minimum(sums[:, 0, 3], review_cost * len(y))
    return found


def interval(resampled: Any, level: float = LEVEL) -> list[float]:
    """Percentile interval [low, high] of bootstrap replicates."""
    tail = (1 - level) / 2
    return [float(value) for value in np.quantile(np.asarray(resampled), [tail, 1 - tail])]


def top_k(y: np.ndarray, score: np.ndarray, k: int = 100) -> tuple[float, float]:
    """Precision and recall among the k highest scores; ties at the edge count by their share of frauds."""
    k = min(k, len(y))
    edge = np.partition(score, len(score) - k)[len(score) - k]
    above, at = score > edge, score == edge
    caught = y[above].sum() + (k - above.sum()) * y[at].mean()
    return float(caught / k), float(caught / y.sum())


def savings(
    y: np.ndarray, alert: np.ndarray, amount: np.ndarray, review_cost: float, resamples: int = 1000, seed: int = 7
) -> tuple[float, list[float]]:
    """Share of the avoidable cost that alerts avoid, with its bootstrap interval.

    Every alert costs a review; a fraud without an alert costs its amount. Savings compare the cost with the cheaper
    of alerting nobody and alerting everybody: 1 - cost / min(cost nobody, cost everybody) (Bahnsen et al. 2016).
    Zero or less means that a blanket rule does as well.

    Parameters
    ----------
    y, alert, amount : numpy.ndarray, shape (rows,)
    review_cost : float
        Of one alert, in the amounts' currency.
    """
    rng = np.random.default_rng(seed)
    fraud = y == 1
    frauds, rows = int(fraud.sum()), len(y)
    lost, alerted = amount[fraud], alert[fraud]

    def share(missed: Any, alerts: Any, at_stake: Any) -> Any:
        return 1 - (missed + review_cost * alerts) / np.minimum(at_stake, review_cost * rows)

    point = share(lost[~alerted].sum(), alert.sum(), lost.sum())
    drawn = rng.multinomial(frauds, np.full(frauds, 1 / frauds), size=resamples)
    false_alerts = rng.binomial(rows - frauds, alert[~fraud].mean(), size=resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = share(drawn @ (lost * ~alerted), drawn @ alerted + false_alerts, drawn @ lost)
    return float(point), interval(replicates[np.isfinite(replicates)])


def per_day(
    y: np.ndarray,
    score: np.ndarray,
    thresholds: Mapping[str, float],
    days: float | None,
    amount: np.ndarray | None = None,
    review_cost: float = 3.0,
    resamples: int = 1000,
    seed: int = 7,
) -> dict[str, dict[str, Any]]:
    """What each way of alerting means per day at the pace of these rows, with intervals.

    Counts have exact Poisson intervals (Garwood 1936). Money is what the alerts cost less than the cheaper of alerting
    nobody and alerting everybody, as in `savings`; its interval comes from resamples that hold each row a Poisson
    number of times, so that the number of frauds varies, too. All take rows as independent.

    Parameters
    ----------
    y, score, amount : numpy.ndarray, shape (rows,)
    thresholds : mapping of str to float
        Scores from which to alert, fixed on other rows.
    days : float or None
        That the rows span; None where that is not known.
    review_cost : float
        Of one alert, in the amounts' currency.

    Returns
    -------
    dict of dict
        By the thresholds' names and, with amounts, `amount` (alerts where probability times amount exceeds the
        review's cost): `alerts`, `frauds_caught` and `saved` (null without amounts), each per day, and `alerts_ci` and
        so on. {} without days.
    """
    if days is None:
        return {}
    ways = {name: score >= threshold for name, threshold in thresholds.items()}
    if amount is not None:
        ways["amount"] = score * amount > review_cost
    return {name: _per_day(y, alert, days, amount, review_cost, resamples, seed) for name, alert in ways.items()}


def _per_day(
    y: np.ndarray, alert: np.ndarray, days: float, amount: Any, review_cost: float, resamples: int, seed: int
) -> dict[str, Any]:
    from scipy.stats import chi2

    fraud, tail = y == 1, (1 - LEVEL) / 2
    found: dict[str, Any] = {}
    for name, count in (("alerts", int(alert.sum())), ("frauds_caught", int(alert[fraud].sum()))):
        low, high = chi2.ppf(tail, 2 * count) / 2 if count else 0.0, chi2.ppf(1 - tail, 2 * count + 2) / 2
        found |= {name: count / days, f"{name}_ci": [float(low) / days, float(high) / days]}
    if amount is None:
        return found | {"saved": None, "saved_ci": None}
    lost, caught = amount[fraud], alert[fraud]

    def saved(drawn: np.ndarray, rows: Any, false_alerts: Any) -> Any:
        """By how often each fraud was drawn, and how many other rows and alerts on them."""
        blanket = np.minimum(drawn @ lost, review_cost * (rows + drawn.sum(axis=-1)))
        return (blanket - drawn @ (lost * ~caught) - review_cost * (drawn @ caught + false_alerts)) / days

    rng = np.random.default_rng(seed)
    false_alerts, quiet = int(alert[~fraud].sum()), int((~alert[~fraud]).sum())
    drawn_false = rng.poisson(false_alerts, resamples)
    drawn_rows = drawn_false + rng.poisson(quiet, resamples)
    drawn = rng.poisson(1, (resamples, len(lost)))
    point = saved(np.ones(len(lost)), false_alerts + quiet, false_alerts)
    return found | {"saved": float(point), "saved_ci": interval(saved(drawn, drawn_rows, drawn_false))}


def best_f1_threshold(y: np.ndarray, score: np.ndarray) -> float:
    """The score from which alerts reach the highest F1 on these rows."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, steps = precision_recall_curve(y, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(steps[np.argmax(f1[:-1])])


def thresholds(
    y: np.ndarray,
    score: np.ndarray,
    days: float,
    alerts_per_day: int = 100,
    amount: np.ndarray | None = None,
    review_cost: float = 3.0,
    precision: float = 0.9,
) -> dict[str, float]:
    """Scores from which to alert, chosen on out-of-fold scores and then fixed.

    Parameters
    ----------
    y, score, amount : numpy.ndarray, shape (rows,)
    days : float
        That the rows span.

    Returns
    -------
    dict
        `f1`: where F1 is highest; `precision_90` (for a precision of .9): the lowest score above which alerts are
        that precise, left out when none is; `alerts_100_a_day` (for a budget of 100): where that many rows a day
        score at or above it; `cost`: where reviews and missed amounts together cost least.
    """
    from sklearn.metrics import precision_recall_curve

    budget = min(max(round(alerts_per_day * days), 1), len(score))
    found = {"f1": best_f1_threshold(y, score)}
    reached, _, steps = precision_recall_curve(y, score)
    if len(precise := steps[reached[:-1] >= precision]):
        found[f"precision_{precision * 100:g}"] = float(precise[0])
    found[f"alerts_{alerts_per_day}_a_day"] = float(np.partition(score, len(score) - budget)[len(score) - budget])
    if amount is not None:
        found["cost"] = cheapest_threshold(y, score, amount, review_cost)
    return found


def cheapest_threshold(y: np.ndarray, score: np.ndarray, amount: np.ndarray, review_cost: float) -> float:
    """The score from which alerts make reviews and the amounts of missed frauds cost least together.

    Where alerting nobody is cheapest, 1 or the highest score, whichever is more.
    """
    steps, place = np.unique(-score, return_inverse=True)
    saved = np.bincount(place, np.where(y == 1, amount, 0.0) - review_cost).cumsum()
    best = int(np.argmax(saved))
    return float(-steps[best]) if saved[best] > 0 else max(1.0, float(score.max()))


def metrics(
    y: np.ndarray,
    score: np.ndarray,
    threshold: float,
    amount: np.ndarray | None = None,
    review_cost: float = 3.0,
    probability: bool = True,
    average_precision_ci: list[float] | None = None,
    block: np.ndarray | None = None,
) -> dict[str, Any]:
    """Judge one model on one set of rows by everything that `metrics.json` holds.

    Parameters
    ----------
    y, amount : numpy.ndarray, shape (rows,)
        Without amounts savings are null. They alert where probability times amount exceeds the review's cost.
    score : numpy.ndarray, shape (repeats * rows,)
        Of several repeats the means are given, and the bounds of intervals are averaged.
    threshold : float
        Fixed before these rows were seen, except on the out-of-fold rows it was chosen on.
    probability : bool
        Whether the score is one; Brier score, log loss and savings are null where not.
    block : numpy.ndarray of int, shape (repeats * rows,), optional
        As in `average_precision`.
    """
    repeats = [_metrics(y, part, threshold, amount, review_cost, probability) for part in score.reshape(-1, len(y))]
    means = {
        key: None if repeats[0][key] is None else np.mean([repeat[key] for repeat in repeats], axis=0).tolist()
        for key in repeats[0]
    }
    reached = {"average_precision": average_precision(y, score, block), "average_precision_ci": average_precision_ci}
    return reached | means


def _metrics(
    y: np.ndarray, score: np.ndarray, threshold: float, amount: Any, review_cost: float, probability: bool
) -> dict[str, Any]:
    """All but average precision, of rows that were scored once.

    In .04 s for 228,000 rows, where scikit-learn's functions, which a test compares, take .10: a full comparison asks
    a hundred times.
    """
    from scipy.stats import rankdata

    frauds = int(y.sum())
    alert = score >= threshold
    alerts, caught = int(alert.sum()), int(y[alert].sum())
    # The share of pairs in which the fraud scores higher (Mann-Whitney).
    ranks = rankdata(score)[y == 1].sum() - frauds * (frauds + 1) / 2
    precision_100, recall_100 = top_k(y, score, 100)
    clipped = np.clip(score, 1e-15, 1 - 1e-15)
    saved: tuple[float | None, list[float] | None] = (None, None)
    if amount is not None and probability and amount[y == 1].sum() > 0:
        saved = savings(y, score * amount > review_cost, amount, review_cost)
    return {
        "roc_auc": float(ranks / (frauds * (len(y) - frauds))),
        "f1": 2 * caught / (alerts + frauds),
        "precision": caught / max(alerts, 1),
        "recall": caught / frauds,
        "precision_at_100": precision_100,
        "recall_at_100": recall_100,
        "brier": float(np.mean((score - y) ** 2)) if probability else None,
        "log_loss": float(-np.mean(np.log(np.where(y == 1, clipped, 1 - clipped)))) if probability else None,
        "savings": saved[0],
        "savings_ci": saved[1],
    }


def calibrate(y: np.ndarray, score: np.ndarray, block: np.ndarray, method: str) -> np.ndarray:
    """Map scores to probabilities by a curve that is fitted on the rows of other blocks.

    Parameters
    ----------
    score : numpy.ndarray, shape (rows,)
        Out-of-fold probabilities.
    block : numpy.ndarray of int, shape (rows,)
        The fold of each row; a block's curve comes from the others, so that what is shown was not fitted on.
    method : {"sigmoid", "isotonic"}
        A line in log-odds (Platt 1999), or any rising curve (Zadrozny and Elkan 2002).
    """
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    result = np.empty(len(y))
    log_odds = np.log(np.clip(score, 1e-12, 1 - 1e-12) / (1 - np.clip(score, 1e-12, 1 - 1e-12)))
    for number in np.unique(block):
        here = block == number
        if method == "sigmoid":
            line = LogisticRegression(C=np.inf, max_iter=1000).fit(log_odds[~here, None], y[~here])
            result[here] = line.predict_proba(log_odds[here, None])[:, 1]
        elif method == "isotonic":
            curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score[~here], y[~here])
            result[here] = curve.predict(score[here])
        else:
            raise ValueError(f"method is {method!r}; it must be 'sigmoid' or 'isotonic'")
    return result


def reliability(y: np.ndarray, probabilities: pd.DataFrame, bins: int = 8) -> pd.DataFrame:
    """Compare what probabilities say with what happened, in bins that hold about as many frauds each.

    Returns
    -------
    pandas.DataFrame
        Tidy: `name`, `predicted` (mean of the bin), `observed` (share of frauds) with its exact interval `low`,
        `high`, and `rows`.
    """
    from scipy.stats import beta

    found = []
    for name in probabilities:
        values = probabilities[name].to_numpy()
        edges = np.unique(np.quantile(values[y == 1], np.linspace(0, 1, bins + 1)[1:-1]))
        place = np.searchsorted(edges, values, side="right")
        rows, frauds = np.bincount(place), np.bincount(place, y)
        found.append(
            pd.DataFrame(
                {
                    "name": name,
                    "predicted": np.bincount(place, values) / rows,
                    "observed": frauds / rows,
                    "low": np.nan_to_num(beta.ppf((1 - LEVEL) / 2, frauds, rows - frauds + 1)),
                    "high": beta.ppf((1 + LEVEL) / 2, frauds + 1, rows - frauds),
                    "rows": rows,
                }
            )
        )
    return pd.concat(found, ignore_index=True)


def uncorrected(probability: np.ndarray, kept_share: float) -> np.ndarray:
    """Undo `artifact.prior_correction`: what the model fitted on rebalanced rows says by itself."""
    return prior_correction(probability, 1 / kept_share)


def probability_quality(
    y: np.ndarray, probabilities: pd.DataFrame, amount: np.ndarray | None, review_cost: float
) -> pd.DataFrame:
    """Brier score, log loss, mean probability over base rate, and savings where decisions follow the probability."""
    table = {}
    for name in probabilities:
        values = probabilities[name].to_numpy()
        judged = _metrics(y, values, 0.5, amount, review_cost, True)
        low, high = judged["savings_ci"] or (None, None)
        table[name] = {
            "brier": judged["brier"],
            "log_loss": judged["log_loss"],
            "mean_over_base_rate": values.mean() / y.mean(),
            "alerts": None if amount is None else int((values * amount > review_cost).sum()),
            "savings": judged["savings"],
            "savings_low": low,
            "savings_high": high,
        }
    return pd.DataFrame.from_dict(table, orient="index")


def savings_curve(
    y: np.ndarray,
    probabilities: pd.DataFrame,
    amount: np.ndarray,
    review_costs: Sequence[float],
    resamples: int = 500,
    seed: int = 7,
) -> pd.DataFrame:
    """Savings at several costs of a review, decisions following each: `name`, `review_cost`, `value`, `low`, `high`."""
    rows = []
    for name in probabilities:
        at_stake = probabilities[name].to_numpy() * amount
        for cost in review_costs:
            value, (low, high) = savings(y, at_stake > cost, amount, cost, resamples, seed)
            rows.append({"name": name, "review_cost": cost, "value": value, "low": low, "high": high})
    return pd.DataFrame(rows)
