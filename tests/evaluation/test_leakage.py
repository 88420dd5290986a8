"""Planted leaks: a check must find each, and find nothing in the honest way beside it."""

import numpy as np
import pandas as pd
import pytest
from evaluation import made
from imblearn.over_sampling import SMOTE
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from fraud_utils.evaluation import Protocol, leakage, out_of_fold
from fraud_utils.evaluation.decisions import best_f1_threshold
from fraud_utils.models import Candidate

RNG = np.random.default_rng(0)
ROWS = 3000
Y = (RNG.random(ROWS) < 0.04).astype(np.int8)
X = (RNG.normal(size=(ROWS, 4)) + 0.8 * Y[:, None]).astype(np.float32)
MERCHANT = RNG.integers(0, 900, ROWS)  # a column of many values that says nothing
ONCE = Protocol(jobs=1)
NEIGHBOURS = Candidate("neighbours", estimator=KNeighborsClassifier(5))


def held_out(candidate: Candidate, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return y, out_of_fold([candidate], made.rows(X, y), ONCE).of(candidate)


def target_encoded(y: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The fraud rate of each row's merchant, from the known rows."""
    frauds = np.bincount(MERCHANT[known], y[known], 900)
    return (frauds / np.maximum(np.bincount(MERCHANT[known], minlength=900), 1)).astype(np.float32)[MERCHANT]


def honest(y):
    return held_out(NEIGHBOURS, X, y)


def encoded_on_all_rows(y):
    linear = Candidate("linear", estimator=LogisticRegression())
    return held_out(linear, target_encoded(y, np.arange(ROWS))[:, None], y)


def encoded_on_training_rows(y):
    train, new = np.arange(ROWS) < 2000, np.arange(ROWS) >= 2000
    column = target_encoded(y, np.flatnonzero(train))[:, None]
    return y[new], LogisticRegression().fit(column[train], y[train]).predict_proba(column[new])[:, 1]


def resampled_before_the_folds(y):
    more, labels = SMOTE(random_state=0).fit_resample(X, y)
    return held_out(NEIGHBOURS, more, labels)


def resampled_inside_the_folds(y):
    return held_out(Candidate("neighbours", "SMOTE", estimator=KNeighborsClassifier(5)), X, y)


def threshold_from(rows: slice, judged: slice):
    def procedure(y):
        score = X[:, 0]  # no learner is needed for this leak
        threshold = best_f1_threshold(y[rows], score[rows])
        return y[judged], (score[judged] >= threshold).astype(float)

    return procedure


LEAKS = {
    "a target-encoded feature computed on all rows": encoded_on_all_rows,
    "resampling outside the fold": resampled_before_the_folds,
    "a threshold from the test rows": threshold_from(slice(2000, None), slice(2000, None)),
}
HONEST = {
    "no trick": honest,
    "a target-encoded feature computed on training rows": encoded_on_training_rows,
    "resampling inside the fold": resampled_inside_the_folds,
    "a threshold from the training rows": threshold_from(slice(0, 2000), slice(2000, None)),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_planted_leak_is_found(name):
    area, z = leakage.shuffled_labels(LEAKS[name], Y, 20)
    assert z > 4, (area, z)
    assert area > 0.5


@pytest.mark.parametrize("name", HONEST)
def test_nothing_is_found_in_an_honest_way(name):
    area, z = leakage.shuffled_labels(HONEST[name], Y, 20)
    assert z < 4, (area, z)
    assert area == pytest.approx(0.5, abs=0.04)


def test_the_notebooks_own_way_is_checked_on_shuffled_labels():
    area, z = leakage.check(NEIGHBOURS, made.rows(X, Y), ONCE, shuffles=10)
    assert z < 4
    twice = np.tile(np.arange(ROWS), 2)
    # Copies in groups of their own: with shuffled labels that copies share, the neighbours still know them.
    leaking = leakage.shuffled_labels(lambda y: held_out(NEIGHBOURS, X[twice], y[twice]), Y, 3)
    assert leaking[1] > 4
    assert f"{area:.3f}" in leakage.describe_check(area, z)
    assert "nothing leaks" in leakage.describe_check(0.5, 0.1)
    assert "leaks" in leakage.describe_check(0.9, 12.0)
    assert "nothing" not in leakage.describe_check(0.9, 12.0)


def test_the_lab_puts_each_wrong_figure_beside_the_right_one():
    rng = np.random.default_rng(1)
    copies = np.concatenate([np.arange(ROWS), np.flatnonzero(Y)])  # every fraud twice
    X_twice, y_twice, groups = X[copies], Y[copies], copies
    y_test = (rng.random(4000) < 0.02).astype(int)
    score = np.clip(rng.normal(0.2 + 0.3 * y_test, 0.15), 0, 1)
    candidate = Candidate("xgboost", "none", {"num_round": 60, "eta": 0.2})
    rows, test_scores = (
        made.rows(X_twice, y_twice, groups=groups),
        made.scores(y_test, pd.DataFrame({"xgboost": score})),
    )
    table = leakage.lab(candidate, rows, test_scores, 0.55, ONCE)
    assert list(table.columns) == ["metric", "wrong", "right"]
    gaps = table["wrong"] - table["right"]
    assert gaps["SMOTE before the folds"] > 0.1
    assert gaps["copies on both sides"] > 0.1
    assert gaps["threshold chosen on the test set"] >= 0
    assert gaps["balanced test set"] > 0.3
    assert gaps["ROC AUC of alerts, not scores"] < -0.05
    alert = score >= 0.55
    assert table.loc["balanced test set", "right"] == pytest.approx(y_test[alert].mean())
    assert table.loc["threshold chosen on the test set", "right"] == pytest.approx(
        2 * y_test[alert].sum() / (alert.sum() + y_test.sum())
    )
    text = leakage.describe(table)
    assert f"balanced test set {gaps['balanced test set']:.3f} above (precision)" in text
    assert "below (ROC AUC)" in text
    same = pd.DataFrame({"metric": ["F1"], "wrong": [0.8571], "right": [0.8572]}, ["peeking"])
    assert leakage.describe(same) == "Against the right figure: peeking no different here (F1)."


def test_the_lab_leaves_out_smote_where_values_are_missing():
    holes = X.copy()
    holes[::5, 1] = np.nan
    candidate = Candidate("xgboost", "none", {"num_round": 5})
    test_scores = made.scores(Y, pd.DataFrame({"xgboost": X[:, 0].astype(float)}))
    table = leakage.lab(candidate, made.rows(holes, Y), test_scores, 0.5, ONCE)
    assert "SMOTE before the folds" not in table.index
    assert len(table) == 4
