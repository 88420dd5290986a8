"""Wrong ways to measure, each beside the right one; and a check that finds leaks wherever they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.evaluation.decisions import best_f1_threshold
from fraud_utils.evaluation.metrics import average_precision
from fraud_utils.evaluation.rows import Protocol, Rows, Scores
from fraud_utils.evaluation.scores import out_of_fold
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


def check(candidate: Candidate, rows: Rows, protocol: Protocol, shuffles: int = 3) -> tuple[float, float]:
    """Put `out_of_fold` itself to the test of `shuffled_labels`, with one candidate.

    Labels are shuffled between groups, so that copies still share theirs.
    """
    _, first, group_of = np.unique(rows.groups, return_index=True, return_inverse=True)
    once = replace(protocol, repeats=1)

    def procedure(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shuffled = replace(rows, y=labels[group_of])
        return shuffled.y, out_of_fold([candidate], shuffled, once).of(candidate)

    return shuffled_labels(procedure, rows.y[first], shuffles, protocol.seed)


def describe_check(roc_auc: float, z: float) -> str:
    """Say what shuffled labels showed."""
    verdict = "this way of measuring leaks" if z > LEAK else "nothing leaks into the scores"
    return (
        f"With shuffled labels, which no honest model can predict, the folds above give a ROC AUC of "
        f"{words.decimals(roc_auc)}, {words.decimals(z, 1, '+')} standard errors from one half: {verdict}."
    )


def lab(candidate: Candidate, rows: Rows, test_scores: Scores, threshold: float, protocol: Protocol) -> pd.DataFrame:
    """Measure one model rightly and in five wrong ways.

    Parameters
    ----------
    candidate : Candidate
        The model; the ways that resample take its learner and settings with SMOTE 1:10.
    rows : Rows
        The training rows; fits that `out_of_fold` made by the same protocol and cache are not made again.
    threshold : float
        Chosen on out-of-fold rows.

    Returns
    -------
    pandas.DataFrame
        `metric`, `wrong`, `right`, by the wrong way's name.
    """
    from sklearn.metrics import f1_score, precision_score, roc_auc_score

    y, score = test_scores.rows.y, test_scores.of(candidate)
    rng = np.random.default_rng(protocol.seed)
    legitimate, frauds = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
    balanced = np.concatenate([frauds, rng.choice(legitimate, min(len(frauds), len(legitimate)), replace=False)])
    alert, peeked = score >= threshold, score >= best_f1_threshold(y, score)
    ways = {}
    if rows.complete:
        smote, plain = candidate.treated("SMOTE 1:10"), candidate.treated("none")
        X, labels = smote.treatment.resample(rows.X, rows.y, protocol.seed)
        more = Rows(X, labels, np.arange(len(labels)), np.zeros(len(labels)))
        wrong, right = _area(plain, more, protocol), _area(smote, rows, protocol)
        ways["SMOTE before the folds"] = ("average precision", wrong, right)
    apart = replace(rows, groups=np.arange(len(rows)))
    wrong, right = _area(candidate, apart, protocol), _area(candidate, rows, protocol)
    ways["copies on both sides"] = ("average precision", wrong, right)
    ways["threshold chosen on the test set"] = ("F1", f1_score(y, peeked), f1_score(y, alert))
    wrong, right = (precision_score(y[of], alert[of], zero_division=0) for of in (balanced, slice(None)))
    ways["balanced test set"] = ("precision", wrong, right)
    ways["ROC AUC of alerts, not scores"] = ("ROC AUC", roc_auc_score(y, alert), roc_auc_score(y, score))
    return pd.DataFrame.from_dict(ways, orient="index", columns=["metric", "wrong", "right"])


def _area(candidate: Candidate, rows: Rows, protocol: Protocol) -> float:
    scores = out_of_fold([candidate], rows, replace(protocol, repeats=1))
    return average_precision(rows.y, scores.of(candidate), scores.block)


def describe(table: pd.DataFrame) -> str:
    """Say how far each wrong way is from the right one."""
    parts = []
    for name, gap in (table["wrong"] - table["right"]).items():
        side = f"{words.decimals(abs(gap))} {'above' if gap > 0 else 'below'}"
        parts.append(f"{name} {side if abs(gap) >= 0.0005 else 'no different here'} ({table.loc[name, 'metric']})")
    return f"Against the right figure: {'; '.join(parts)}."
