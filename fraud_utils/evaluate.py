"""Out-of-fold scores, metrics with intervals, thresholds, cost: what a model is judged by."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils.artifact import prior_correction
from fraud_utils.data import DataError
from fraud_utils.models import Candidate, build, kept_share, treated_counts

LEVEL = 0.95


def _fit_and_score(
    candidate: Candidate, X: Any, y: Any, train: Any, X_new: Any, new: Any, seed: int
) -> tuple[Any, float]:
    """Fit on some rows, score others; the seconds are the fit's alone."""
    start = time.perf_counter()
    model = build(candidate, seed).fit(X[train], y[train])
    seconds = time.perf_counter() - start
    scores = model.predict_proba(X_new[new])[:, 1].astype(np.float64)
    return prior_correction(scores, kept_share(candidate.imbalance, y[train])), seconds


def _run(calls: Iterable[tuple], total: int, what: str, n_jobs: int | None) -> list[tuple[np.ndarray, float]]:
    """Fit several at a time, each on one thread, with a progress bar."""
    import joblib
    from tqdm import tqdm

    workers = min(n_jobs or joblib.cpu_count(), total)
    results = joblib.Parallel(n_jobs=workers, return_as="generator")(
        joblib.delayed(_fit_and_score)(*call) for call in calls
    )
    return list(tqdm(results, total=total, desc=what, unit="fit", file=sys.stdout, mininterval=1))


def out_of_fold(
    candidates: Sequence[Candidate],
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    folds: int = 5,
    seed: int = 7,
    n_jobs: int | None = None,
) -> tuple[pd.DataFrame, pd.Series]:
    """Score every row by a model that has not seen it, nor a copy of it.

    Parameters
    ----------
    X : numpy.ndarray of float32, shape (rows, columns)
    y : numpy.ndarray, shape (rows,)
    groups : numpy.ndarray of int, shape (rows,)
        Rows of one group share a fold: exact copies, or a card's transactions.
    folds : int
        Stratified by whether a group holds a fraud.
    n_jobs : int, optional
        Fits side by side; one a core when not given.

    Returns
    -------
    scores : pandas.DataFrame, shape (rows, candidates)
        Probabilities, corrected for the treatment's prior inside each fold.
    seconds : pandas.Series
        Mean seconds of a fit, by candidate.

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
    fold_of = fold_of_group[group_of]
    parts = [(np.flatnonzero(fold_of != number), np.flatnonzero(fold_of == number)) for number in range(folds)]
    calls = [(c, X, y, train, X, held_out, seed) for c in candidates for train, held_out in parts]
    done = _run(calls, len(calls), f"Fitting on {folds} folds", n_jobs)
    scores = np.empty((len(y), len(candidates)))
    seconds = np.zeros(len(candidates))
    for i, (values, took) in enumerate(done):
        scores[parts[i % folds][1], i // folds] = values
        seconds[i // folds] += took / folds
    names = [candidate.name for candidate in candidates]
    return pd.DataFrame(scores, columns=names), pd.Series(seconds, names)


def fit_and_score(
    candidates: Sequence[Candidate],
    X: np.ndarray,
    y: np.ndarray,
    X_test: np.ndarray,
    seed: int = 7,
    n_jobs: int | None = None,
) -> tuple[pd.DataFrame, pd.Series]:
    """Fit each candidate on all training rows and score the test rows; to be called once, at the end.

    Returns
    -------
    scores : pandas.DataFrame, shape (test rows, candidates)
        Probabilities, corrected for the treatment's prior.
    seconds : pandas.Series
        Seconds of the fit, by candidate.
    """
    calls = [(c, X, y, slice(None), X_test, slice(None), seed) for c in candidates]
    done = _run(calls, len(calls), "Fitting on all training rows", n_jobs)
    names = [candidate.name for candidate in candidates]
    scores = pd.DataFrame(np.column_stack([values for values, _ in done]), columns=names)
    return scores, pd.Series([took for _, took in done], names)


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


def average_precision(y: np.ndarray, score: np.ndarray) -> float:
    """Mean over the frauds of the precision at their score; equals scikit-learn's `average_precision_score`."""
    step, _, reached = _ranked(y, score)
    return _average_precision(np.bincount(step), reached)


def bootstrap_average_precision(
    y: np.ndarray, scores: pd.DataFrame, resamples: int = 1000, seed: int = 7
) -> pd.DataFrame:
    """Average precision on stratified bootstrap resamples, the same resamples for every column.

    Frauds and legitimate rows are resampled apart, so that each resample has as many of both as the data; columns
    share resamples, so that their differences are paired. Rows are sorted once: a resample is a weight for each row,
    summed along the ranking.

    Parameters
    ----------
    y : numpy.ndarray, shape (rows,)
    scores : pandas.DataFrame, shape (rows, models)

    Returns
    -------
    pandas.DataFrame, shape (resamples, models)
    """
    from concurrent.futures import ThreadPoolExecutor

    import joblib

    ranked = [_ranked(y, scores[name].to_numpy()) for name in scores]
    frauds, legitimate = int((y == 1).sum()), int((y == 0).sum())

    def replicate(number: int) -> list[float]:
        rng = np.random.default_rng([seed, number])  # one generator a resample: the same on any number of threads
        drawn = np.bincount(rng.integers(0, frauds, frauds), minlength=frauds)
        times = np.bincount(rng.integers(0, legitimate, legitimate, dtype=np.int32), minlength=legitimate)
        times = times.astype(np.uint8)  # fits the cache; no row is drawn 256 times
        row = []
        for step, order, reached in ranked:
            summed = np.concatenate([[0], np.cumsum(times[order], dtype=np.int32)])
            row.append(_average_precision(np.bincount(step, drawn, len(reached)), summed[reached]))
        return row

    with ThreadPoolExecutor(joblib.cpu_count()) as threads:
        return pd.DataFrame(list(threads.map(replicate, range(resamples))), columns=scores.columns)


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


def best_f1_threshold(y: np.ndarray, score: np.ndarray) -> float:
    """The score from which alerts reach the highest F1 on these rows."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, steps = precision_recall_curve(y, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(steps[np.argmax(f1[:-1])])


def thresholds(y: np.ndarray, score: np.ndarray, days: float, alerts_per_day: int = 100) -> dict[str, float]:
    """Scores from which to alert, chosen on out-of-fold scores and then fixed.

    Returns
    -------
    dict
        `f1`: where F1 is highest; `alerts_100_a_day` (for a budget of 100): where that many rows a day score at or
        above it.
    """
    budget = min(max(round(alerts_per_day * days), 1), len(score))
    return {
        "f1": best_f1_threshold(y, score),
        f"alerts_{alerts_per_day}_a_day": float(np.partition(score, len(score) - budget)[len(score) - budget]),
    }


def metrics(
    y: np.ndarray,
    score: np.ndarray,
    threshold: float,
    amount: np.ndarray | None = None,
    review_cost: float = 3.0,
    probability: bool = True,
    average_precision_ci: list[float] | None = None,
) -> dict[str, Any]:
    """Judge one model on one set of rows by everything that `metrics.json` holds.

    Parameters
    ----------
    threshold : float
        Fixed before these rows were seen, except on the out-of-fold rows it was chosen on.
    amount : numpy.ndarray, optional
        For savings, which alert where probability times amount exceeds the review's cost; null without it.
    probability : bool
        Whether the score is one; Brier score, log loss and savings are null where not.
    """
    from sklearn.metrics import brier_score_loss, log_loss, precision_recall_fscore_support, roc_auc_score

    alert = score >= threshold
    precision, recall, f1, _ = precision_recall_fscore_support(y, alert, average="binary", zero_division=0)
    precision_100, recall_100 = top_k(y, score, 100)
    saved: tuple[float | None, list[float] | None] = (None, None)
    if amount is not None and probability and amount[y == 1].sum() > 0:
        saved = savings(y, score * amount > review_cost, amount, review_cost)
    return {
        "average_precision": average_precision(y, score),
        "average_precision_ci": average_precision_ci,
        "roc_auc": float(roc_auc_score(y, score)),
        "f1": float(f1),
        "precision": float(precision),
        "recall": float(recall),
        "precision_at_100": precision_100,
        "recall_at_100": recall_100,
        "brier": float(brier_score_loss(y, score)) if probability else None,
        "log_loss": float(log_loss(y, np.clip(score, 1e-15, 1 - 1e-15))) if probability else None,
        "savings": saved[0],
        "savings_ci": saved[1],
    }


def compare(
    candidates: Sequence[Candidate],
    y: np.ndarray,
    scores: pd.DataFrame,
    resampled: pd.DataFrame,
    amount: np.ndarray | None = None,
    review_cost: float = 3.0,
    thresholds: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Judge every candidate on one set of rows.

    Parameters
    ----------
    scores, resampled : pandas.DataFrame
        A column a candidate: scores of the rows, and average precision on resamples.
    thresholds : mapping of str to float, optional
        By candidate, fixed on other rows. Without it each candidate's best by F1 on these rows, which is for choosing
        only: such F1, precision and recall are too good.

    Returns
    -------
    pandas.DataFrame
        A row a candidate: `learner`, `imbalance`, `kind`, `threshold`, and what `metrics` gives.
    """
    rows = {}
    for candidate in candidates:
        score = scores[candidate.name].to_numpy()
        threshold = best_f1_threshold(y, score) if thresholds is None else thresholds[candidate.name]
        rows[candidate.name] = {
            "learner": candidate.learner,
            "imbalance": candidate.imbalance,
            "kind": candidate.kind,
            "threshold": threshold,
            **metrics(
                y, score, threshold, amount, review_cost, average_precision_ci=interval(resampled[candidate.name])
            ),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The numbers of a comparison, best average precision first, to three places."""
    shown = table.select_dtypes("number").astype(float)
    return (
        shown.sort_values("average_precision", ascending=False)
        .rename(columns=lambda name: name.replace("_", " "))
        .round(3)
    )


def as_sections(
    oof: pd.DataFrame, test: pd.DataFrame, seconds: pd.Series, test_seconds: pd.Series
) -> list[dict[str, Any]]:
    """The comparison as the `models` section of `metrics.json`."""
    about, judged = ["learner", "imbalance", "kind"], list(oof.columns[4:])
    return [
        {
            "name": name,
            **oof.loc[name, about].to_dict(),
            "oof": oof.loc[name, judged].to_dict(),
            "test": test.loc[name, judged].to_dict(),
            "seconds": {"fold_fit": seconds[name], "fit": test_seconds[name]},
        }
        for name in oof.index
    ]


def ranked_intervals(table: pd.DataFrame, tied: Sequence[str]) -> pd.DataFrame:
    """Average precision with its interval, best first, for `plots.plot_intervals`: `value`, `low`, `high`, `group`."""
    ranked = table.sort_values("average_precision", ascending=False)
    bounds = np.array(ranked["average_precision_ci"].tolist())
    group = ["tie set" if name in tied else "outside the tie set" for name in ranked.index]
    return pd.DataFrame(
        {"value": ranked["average_precision"], "low": bounds[:, 0], "high": bounds[:, 1], "group": group}
    )


def precision_recall(y: np.ndarray, scores: pd.DataFrame) -> pd.DataFrame:
    """Precision and recall at every distinct score, tidy: `name`, `recall`, `precision`."""
    from sklearn.metrics import precision_recall_curve

    curves = []
    for name in scores:
        precision, recall, _ = precision_recall_curve(y, scores[name])
        curves.append(pd.DataFrame({"name": name, "recall": recall, "precision": precision}))
    return pd.concat(curves, ignore_index=True)


def tie_set(average_precisions: pd.Series, resampled: pd.DataFrame) -> tuple[str, list[str]]:
    """The best model, and all that cannot be told from it (the best included).

    A model is in the set when the paired bootstrap interval of its distance to the best reaches zero.
    """
    ranked = list(average_precisions.sort_values(ascending=False, kind="stable").index)
    return ranked[0], [name for name in ranked if interval(resampled[ranked[0]] - resampled[name])[0] <= 0]


def choose(
    candidates: Sequence[Candidate], average_precisions: pd.Series, resampled: pd.DataFrame, y: np.ndarray
) -> tuple[Candidate, list[str], str]:
    """Choose the XGBoost to serve, by a rule fixed beforehand.

    The cheapest XGBoost in the tie set, cost being the rows that its treatment leaves times its rounds (counted, not
    timed, so that the choice is the same tomorrow); where no XGBoost ties with the best, the best XGBoost.

    Returns
    -------
    chosen : Candidate
    tied : list of str
        Names in the tie set, best first.
    reason : str
        One sentence for the report.
    """
    best, tied = tie_set(average_precisions, resampled)
    served = [candidate for candidate in candidates if candidate.learner == "xgboost"]
    eligible = [candidate for candidate in served if candidate.name in tied]
    if eligible:
        chosen = min(eligible, key=lambda c: sum(treated_counts(c.imbalance, y)) * c.hyperparameters["num_round"])
        others = len(tied) - 1
        told = f"one of {len(tied)} that cannot be told from the best" if others else "better than every other"
        reason = f"the cheapest XGBoost in the tie set: {told} at {LEVEL:.0%} on the same out-of-fold rows"
    else:
        chosen = max(served, key=lambda c: average_precisions[c.name])
        low, high = interval(resampled[best] - resampled[chosen.name])
        reason = (
            f"the best XGBoost, since the container serves XGBoost; {best} is better by {low:.3f} to {high:.3f} "
            "of average precision on the same out-of-fold rows"
        )
    return chosen, tied, reason


def _reach(row: pd.Series) -> str:
    low, high = row["average_precision_ci"]
    return f"{row['average_precision']:.3f} [{low:.3f}, {high:.3f}]"


def describe_ties(table: pd.DataFrame, tied: Sequence[str]) -> str:
    """Say which candidates share the lead."""
    best = table.loc[tied[0]]
    lead = f"**{tied[0]}** has the highest average precision, {_reach(best)}"
    if len(tied) == 1:
        return f"{lead}, and every other candidate's paired {LEVEL:.0%} interval lies below it."
    others = ", ".join(f"{name} ({table.loc[name, 'average_precision']:.3f})" for name in tied[1:])
    behind = len(table) - len(tied)
    are = "one is" if behind == 1 else f"{behind} are"
    rest = f"; the other {are} behind it in a paired comparison" if behind else ", which is all of them"
    return f"{lead}. These rows cannot tell it from {others}{rest}."


def describe_test(oof: pd.DataFrame, test: pd.DataFrame, chosen: str) -> str:
    """Say what the choice reaches on rows that had no part in it."""
    low, high = test.loc[chosen, "average_precision_ci"]
    before = oof.loc[chosen, "average_precision"]
    place = "inside" if low <= before <= high else "outside"
    ranks = test["average_precision"].rank(ascending=False, method="min").astype(int)
    return (
        f"**{chosen}** reaches an average precision of {_reach(test.loc[chosen])} on the test set; its out-of-fold "
        f"figure, {before:.3f}, lies {place} that interval. At its fixed threshold it catches "
        f"{test.loc[chosen, 'recall']:.0%} of the frauds, and {test.loc[chosen, 'precision']:.0%} of its alerts are "
        f"frauds. By point values it is number {ranks[chosen]} of {len(test)}."
    )


def describe_findings(
    provenance: Mapping[str, Any], oof: pd.DataFrame, test: pd.DataFrame, tied: Sequence[str], chosen: str, reason: str
) -> str:
    """The notebook's findings, from its tables."""
    dummy = oof.loc[oof["kind"] == "baseline", "average_precision"]
    saved, saved_ci = test.loc[chosen, "savings"], test.loc[chosen, "savings_ci"]
    lines = [
        f"- Data: {provenance['name']}, {provenance['rows']:,} rows, {provenance['frauds']:,} frauds.",
        f"- {describe_ties(oof, tied)} Guessing at random reaches {dummy.max():.4f}.",
        f"- Served: **{chosen}**, {reason}.",
        f"- {describe_test(oof, test, chosen)}",
    ]
    if saved_ci is not None and saved is not None:
        verdict = "better than" if saved_ci[0] > 0 else "not shown to be better than"
        lines.append(
            f"- Alerting where probability times amount exceeds the review's cost saves {saved:.0%} "
            f"[{saved_ci[0]:.0%}, {saved_ci[1]:.0%}] of the avoidable cost on the test set: {verdict} alerting on "
            "nothing or on everything."
        )
    return "\n".join(lines)
