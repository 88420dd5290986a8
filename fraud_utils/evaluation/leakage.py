"""Wrong ways to measure, each beside the right one; and a check that finds them without being told where to look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import models
from fraud_utils.evaluation.metrics import average_precision, best_f1_threshold, out_of_fold
from fraud_utils.models import Candidate

LEAK = 4.0  # standard errors
Procedure = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def shuffled_labels(procedure: Procedure, y: np.ndarray, repeats: int = 10, seed: int = 7) -> tuple[float, float]:
    """Run a whole way of measuring on labels that mean nothing; an honest one then finds nothing.

    A permutation test (Ojala and Garriga 2010, "Permutation tests for studying classifier performance") of the
    procedure, not of a model: whatever carries held-out labels into the scores, be it a feature computed on all rows,
    resampling before the split, or a threshold chosen on the rows it is judged on, survives the shuffling.

    Parameters
    ----------
    procedure : callable
        From labels, shape (rows,), to the labels and the scores (or alerts) of the rows it judges by. It must do
        everything that depends on labels.
    y : numpy.ndarray, shape (rows,)

    Returns
    -------
    roc_auc : float
        Mean over shuffles; one half where nothing leaks.
    z : float
        Its distance from one half in standard errors; beyond `LEAK` it leaks.
    """
    from scipy.stats import mannwhitneyu, norm

    rng = np.random.default_rng(seed)
    areas, distances = [], []
    for _ in range(repeats):
        truth, score = procedure(rng.permutation(y))
        test = mannwhitneyu(score[truth == 1], score[truth == 0], alternative="greater", method="asymptotic")
        areas.append(test.statistic / (truth.sum() * (len(truth) - truth.sum())))
        distances.append(norm.isf(np.clip(test.pvalue, 1e-300, 1 - 1e-16)))
    return float(np.mean(areas)), float(np.sum(distances) / np.sqrt(repeats))


def check(
    candidate: Candidate,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    folds: int = 3,
    repeats: int = 3,
    seed: int = 7,
    cache: str | Path = "",
) -> tuple[float, float]:
    """Put `evaluate.out_of_fold` itself to the test of `shuffled_labels`, with one candidate.

    Labels are shuffled between groups, so that copies still share theirs.
    """
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)

    def procedure(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shared = labels[group_of]
        scored = out_of_fold([candidate], X, shared, groups, folds, 1, seed, cache)
        return shared, scored.values[candidate.name].to_numpy()

    return shuffled_labels(procedure, y[first], repeats, seed)


def describe_check(roc_auc: float, z: float) -> str:
    """Say what shuffled labels showed."""
    verdict = "this way of measuring leaks" if z > LEAK else "nothing leaks into the scores"
    return (
        f"With shuffled labels, which no honest model can predict, the folds above give a ROC AUC of {roc_auc:.3f}, "
        f"{z:+.1f} standard errors from one half: {verdict}."
    )


def lab(
    candidate: Candidate,
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    y_test: np.ndarray,
    test_score: np.ndarray,
    threshold: float,
    folds: int = 3,
    seed: int = 7,
    cache: str | Path = "",
) -> pd.DataFrame:
    """Measure one model rightly and in five wrong ways.

    Parameters
    ----------
    candidate : Candidate
        The model; the ways that resample take its learner and settings with SMOTE 1:10.
    X, y, groups
        The training rows, as in `evaluate.out_of_fold`; fits that it made with the same folds and cache are not made
        again.
    y_test, test_score : numpy.ndarray, shape (test rows,)
        The model's scores of the test set.
    threshold : float
        Chosen on out-of-fold rows.

    Returns
    -------
    pandas.DataFrame
        `metric`, `wrong`, `right`, by the wrong way's name.
    """
    from sklearn.metrics import f1_score, precision_score, roc_auc_score

    rng = np.random.default_rng(seed)
    legitimate = np.flatnonzero(y_test == 0)
    frauds = np.flatnonzero(y_test == 1)
    balanced = np.concatenate([frauds, rng.choice(legitimate, min(len(frauds), len(legitimate)), replace=False)])
    alert = test_score >= threshold
    peeked = test_score >= best_f1_threshold(y_test, test_score)
    rows = {}
    smote = Candidate(candidate.learner, "SMOTE 1:10", candidate.hyperparameters)
    if np.isfinite(X).all():
        resampler: Any = models.sampler(smote.imbalance, seed)
        X_more, y_more = resampler.fit_resample(X, y)
        plain = Candidate(candidate.learner, "none", candidate.hyperparameters)
        leaking = _area(plain, X_more, y_more, np.arange(len(y_more)), folds, seed, cache)
        rows["SMOTE before the folds"] = ("average precision", leaking, _area(smote, X, y, groups, folds, seed, cache))
    honest = _area(candidate, X, y, groups, folds, seed, cache)
    rows["copies on both sides"] = (
        "average precision",
        _area(candidate, X, y, np.arange(len(y)), folds, seed, cache),
        honest,
    )
    rows["threshold chosen on the test set"] = ("F1", f1_score(y_test, peeked), f1_score(y_test, alert))
    rows["balanced test set"] = (
        "precision",
        precision_score(y_test[balanced], alert[balanced], zero_division=0),
        precision_score(y_test, alert, zero_division=0),
    )
    rows["ROC AUC of alerts, not scores"] = ("ROC AUC", roc_auc_score(y_test, alert), roc_auc_score(y_test, test_score))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["metric", "wrong", "right"])


def _area(
    candidate: Candidate, X: np.ndarray, y: np.ndarray, groups: np.ndarray, folds: int, seed: int, cache: str | Path
) -> float:
    scores = out_of_fold([candidate], X, y, groups, folds, 1, seed, cache)
    return average_precision(y, scores.values[candidate.name].to_numpy(), scores.block)


def describe(table: pd.DataFrame) -> str:
    """Say how far each wrong way is from the right one."""
    gaps = table["wrong"] - table["right"]
    parts = [
        f"{name} {abs(gap):.3f} {'above' if gap > 0 else 'below'} ({table.loc[name, 'metric']})"
        if abs(gap) >= 0.0005
        else f"{name} no different here ({table.loc[name, 'metric']})"
        for name, gap in gaps.items()
    ]
    return f"Against the right figure: {'; '.join(parts)}."
