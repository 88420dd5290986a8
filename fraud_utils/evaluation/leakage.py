"""Wrong ways to measure, each beside the right one; and a check that finds leaks wherever they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data import DataError
from fraud_utils.evaluation.decisions import best_f1_threshold
from fraud_utils.evaluation.metrics import average_precision
from fraud_utils.evaluation.rows import Protocol, Rows, Scores
from fraud_utils.evaluation.scores import out_of_fold
from fraud_utils.models import Candidate

LEAK = 4.0  # standard errors
SMOTE = "SMOTE 1:10"
Procedure = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Check:
    """What shuffled labels showed.

    Attributes
    ----------
    roc_auc : float
        Mean over shuffles; one half where nothing leaks.
    z : float
        Its distance from one half in standard errors; beyond `LEAK` it leaks.
    left_out : str
        Why the check could not be made, and then neither figure is known; "" where it was.
    """

    roc_auc: float = float("nan")
    z: float = float("nan")
    left_out: str = ""


def shuffled(y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels that mean nothing, as alike within groups of rows as the real ones.

    Where hardly a group holds both labels, as with copies of a row, each group takes the labels of another. Where many
    do, as cards may, all groups' labels are strung together and laid over the rows, both in random order from group to
    group and within them: a card's frauds stay together, whatever the size of the card that gets them, and every row
    is as likely to be a fraud as every other.
    """
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    shares = np.bincount(group_of, y) / sizes
    if np.count_nonzero((shares > 0) & (shares < 1)) <= 0.1 * np.count_nonzero(shares):
        return (rng.random(len(y)) < rng.permutation(shares)[group_of]).astype(y.dtype)
    given, taken = (np.lexsort((rng.random(len(y)), rng.permutation(len(sizes))[group_of])) for _ in range(2))
    result = np.empty_like(y)
    result[taken] = np.roll(y[given], rng.integers(len(y)))
    return result


def shuffled_labels(
    procedure: Procedure, y: np.ndarray, repeats: int = 10, seed: int = 7, groups: np.ndarray | None = None
) -> Check:
    """Run a whole way of measuring on labels that mean nothing; an honest one then finds nothing.

    A permutation test (Ojala and Garriga 2010, "Permutation tests for studying classifier performance") of the
    procedure, not of a model: whatever carries held-out labels into the scores, be it a feature computed on all rows,
    resampling before the split, or a threshold chosen on the rows it is judged on, survives the shuffling. The
    standard error is that of a mean over shuffles, whose spread holds whatever rows and folds have in common.

    Parameters
    ----------
    procedure : callable
        From labels, shape (rows,), to the labels and the scores (or alerts) of the rows it judges by. It must do
        everything that depends on labels.
    y : numpy.ndarray, shape (rows,)
    groups : numpy.ndarray, optional
        Rows of one group have labels that depend on each other (`shuffled`). Without it each row is its own.
    """
    from scipy.stats import norm, rankdata, t

    rng = np.random.default_rng(seed)
    groups = np.arange(len(y)) if groups is None else groups
    areas = []
    for _ in range(repeats):
        truth, score = procedure(shuffled(y, groups, rng))
        frauds = int((truth == 1).sum())
        above = rankdata(score)[truth == 1].sum() - frauds * (frauds + 1) / 2  # pairs in which the fraud is higher
        areas.append(above / (frauds * (len(truth) - frauds)))
    distance, error = float(np.mean(areas)) - 0.5, float(np.std(areas, ddof=1) / np.sqrt(repeats))
    # Few shuffles estimate their own spread: Student's tail, said as the normal distribution's standard errors.
    tail = t.sf(abs(distance) / error, repeats - 1) if error > 0 else 0.0 if distance else 0.5
    return Check(0.5 + distance, float(np.copysign(norm.isf(max(tail, 1e-300)), distance)))


def check(candidate: Candidate, rows: Rows, protocol: Protocol, shuffles: int = 10) -> Check:
    """Put `out_of_fold` itself to the test of `shuffled_labels`, with one candidate.

    A row's score is judged by its rank within its fold: a fold with more frauds than the others leaves them fewer, so
    that ranks between folds would show a model to be worse than chance.
    """
    once = replace(protocol, repeats=1)

    def procedure(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = out_of_fold([candidate], replace(rows, y=labels), once)
        return labels, pd.Series(scores.of(candidate)).groupby(scores.block).rank(pct=True).to_numpy()

    try:
        return shuffled_labels(procedure, rows.y, shuffles, protocol.seed, rows.groups)
    except DataError as error:
        return Check(left_out=f"Not checked with shuffled labels: once they are shuffled, {error}.")


def describe_check(check: Check) -> str:
    """Say what shuffled labels showed, or why they could not."""
    if check.left_out:
        return check.left_out
    verdict = "this way of measuring leaks" if check.z > LEAK else "nothing is shown to leak into the scores"
    return (
        f"With shuffled labels, which no honest model can predict, the folds above give a ROC AUC of "
        f"{words.decimals(check.roc_auc)}, {words.decimals(check.z, 1, '+')} standard errors from one half: {verdict}."
    )


def lab(candidate: Candidate, rows: Rows, test_scores: Scores, threshold: float, protocol: Protocol) -> pd.DataFrame:
    """Measure one model rightly and in five wrong ways.

    Parameters
    ----------
    candidate : Candidate
        The model; the way that resamples takes its learner and settings with `SMOTE`.
    rows : Rows
        The training rows; fits that `out_of_fold` made by the same protocol and cache are not made again.
    threshold : float
        Chosen on out-of-fold rows.

    Returns
    -------
    pandas.DataFrame
        `metric`, `wrong`, `right`, by the wrong way's name. `attrs["left_out"]` says what could not be measured.
    """
    from sklearn.metrics import f1_score, precision_score, roc_auc_score

    y, score = test_scores.rows.y, test_scores.of(candidate)
    rng = np.random.default_rng(protocol.seed)
    legitimate, frauds = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
    balanced = np.concatenate([frauds, rng.choice(legitimate, min(len(frauds), len(legitimate)), replace=False)])
    alert, peeked = score >= threshold, score >= best_f1_threshold(y, score, test_scores.rows.share)
    ways = {}
    smote, plain = candidate.treated(SMOTE), candidate.treated("none")
    if not (obstacle := smote.treatment.obstacle(rows.y, rows.complete)):
        X, labels = smote.treatment.resample(rows.X, rows.y, protocol.seed)
        more = Rows(X, labels, np.arange(len(labels)))  # whose balance SMOTE has set
        wrong, right = _area(plain, more, protocol), _area(smote, rows, protocol)
        ways["SMOTE before the folds"] = ("average precision", wrong, right)
    apart = replace(rows, groups=np.arange(len(rows)))
    wrong, right = _area(candidate, apart, protocol), _area(candidate, rows, protocol)
    ways["copies on both sides"] = ("average precision", wrong, right)
    of_all = {"sample_weight": test_scores.rows.weight}
    ways["threshold chosen on the test set"] = ("F1", f1_score(y, peeked, **of_all), f1_score(y, alert, **of_all))
    wrong = precision_score(y[balanced], alert[balanced], zero_division=0)
    right = precision_score(y, alert, zero_division=0, **of_all)
    ways["balanced test set"] = ("precision", wrong, right)
    ways["ROC AUC of alerts, not scores"] = ("ROC AUC", roc_auc_score(y, alert), roc_auc_score(y, score))
    table = pd.DataFrame.from_dict(ways, orient="index", columns=["metric", "wrong", "right"])
    table.attrs["left_out"] = f" {SMOTE} before the folds is left out: {obstacle}." if obstacle else ""
    return table


def _area(candidate: Candidate, rows: Rows, protocol: Protocol) -> float:
    scores = out_of_fold([candidate], rows, replace(protocol, repeats=1))
    return average_precision(rows.y, scores.of(candidate), scores.block, rows.share)


def describe(table: pd.DataFrame) -> str:
    """Say how far each wrong way is from the right one."""
    parts = []
    for name, gap in (table["wrong"] - table["right"]).items():
        side = f"{words.decimals(abs(gap))} {'above' if gap > 0 else 'below'}"
        parts.append(f"{name} {side if abs(gap) >= 0.0005 else 'no different here'} ({table.loc[name, 'metric']})")
    return f"Against the right figure: {'; '.join(parts)}.{table.attrs.get('left_out', '')}"
