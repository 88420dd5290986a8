"""Planted leaks: a check must find each, and find nothing in the honest way beside it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evaluation import made
from imblearn.over_sampling import SMOTE
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from fraud_utils.evaluation import Protocol, Rows, leakage, out_of_fold
from fraud_utils.evaluation.decisions import best_f1_threshold
from fraud_utils.evaluation.leakage import Check
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
    found = leakage.shuffled_labels(LEAKS[name], Y, 20)
    assert found.z > 4, found
    assert found.roc_auc > 0.5


@pytest.mark.parametrize("name", HONEST)
def test_nothing_is_found_in_an_honest_way(name):
    found = leakage.shuffled_labels(HONEST[name], Y, 20)
    assert found.z < 4, found
    assert found.roc_auc == pytest.approx(0.5, abs=0.04)


BAYES = Candidate("Bayes", estimator=GaussianNB())
SIZES = {
    "cards of many sizes": lambda rng: np.ceil(2 * rng.pareto(1.0, 200) + 1).astype(int).clip(max=200),
    "rows without a card and cards": lambda rng: np.concatenate([np.ones(600, int), rng.integers(2, 60, 30)]),
    "cards of which few begin with a fraud": lambda rng: rng.integers(10, 40, 60),
    "copies": lambda rng: rng.choice([1, 1, 1, 2, 3], 800),
}


def cards(kind: str, seed: int) -> Rows:
    """Rows whose features tell the card and its size, and whose fraud rates differ between cards."""
    rng = np.random.default_rng(seed)
    sizes = SIZES[kind](rng)
    card = np.repeat(np.arange(len(sizes)), sizes)
    risk = -4.5 + 2.5 * rng.normal(size=len(sizes))[card] + 0.5 * (sizes[card] > 15)
    if kind == "copies":
        y = (rng.random(len(sizes)) < 0.08)[card].astype(np.int8)
    else:
        y = (rng.random(len(card)) < 1 / (1 + np.exp(-risk))).astype(np.int8)
    X = np.column_stack([rng.normal(size=(len(sizes), 3))[card], np.log(sizes[card]), y + rng.normal(size=len(card))])
    return made.rows(X.astype(np.float32), y, groups=card)


@pytest.mark.parametrize(
    "kind", ["cards of many sizes", "copies", *(pytest.param(each, marks=pytest.mark.long) for each in [*SIZES][1:3])]
)
def test_the_standard_error_holds_where_rows_come_in_groups(kind):
    found = [leakage.check(BAYES, cards(kind, seed), replace(ONCE, seed=seed)).z for seed in range(7)]
    assert np.abs(found).max() < 3, found


@pytest.mark.parametrize("kind", SIZES)
def test_a_group_on_both_sides_is_found(kind):
    rows = cards(kind, 0)
    found = leakage.shuffled_labels(lambda y: held_out(NEIGHBOURS, rows.X, y), rows.y, 20, groups=rows.groups)
    assert found.z > leakage.LEAK, found


@pytest.mark.parametrize("kind", SIZES)
def test_shuffled_labels_have_as_many_frauds_and_as_many_groups_with_some(kind):
    rows, rng = cards(kind, 3), np.random.default_rng(0)
    drawn = [leakage.shuffled(rows.y, rows.groups, rng) for _ in range(100)]
    assert np.mean(drawn) == pytest.approx(rows.y.mean(), rel=0.1)
    concerned = [len(np.unique(rows.groups[y == 1])) for y in drawn]
    assert np.mean(concerned) == pytest.approx(len(np.unique(rows.groups[rows.y == 1])), rel=0.5)
    if kind == "copies":
        assert all(np.ptp(y[rows.groups == group]) == 0 for y in drawn[:3] for group in np.unique(rows.groups))


def test_a_check_that_cannot_be_made_says_why():
    groups = np.arange(600) // 30
    y = ((np.arange(600) % 30 < 10) & (groups < 3)).astype(np.int8)
    found = leakage.check(BAYES, made.rows(X[:600], y, groups=groups), ONCE)
    assert np.isnan(found.z)
    assert leakage.describe_check(found).startswith("Not checked with shuffled labels: once they are shuffled, ")
    assert "distinct frauds" in found.left_out and "too few for 3 folds" in found.left_out


def test_the_sentence_on_the_check_follows_the_figures():
    assert "0.512, +0.1 standard errors from one half: nothing is shown" in leakage.describe_check(Check(0.512, 0.1))
    leak = leakage.describe_check(Check(0.9, 12.0))
    assert "this way of measuring leaks" in leak and "nothing" not in leak


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
    assert "SMOTE 1:10 before the folds is left out: values are missing" in leakage.describe(table)


def test_the_lab_leaves_out_smote_where_it_changes_nothing():
    often = (np.arange(ROWS) % 5 == 0).astype(np.int8)
    test_scores = made.scores(often, pd.DataFrame({"xgboost": X[:, 0].astype(float)}))
    table = leakage.lab(Candidate("xgboost", "none", {"num_round": 5}), made.rows(X, often), test_scores, 0.5, ONCE)
    assert len(table) == 4
    assert "SMOTE 1:10 before the folds is left out: 1 row in 5 to learn from is a fraud already" in leakage.describe(
        table
    )
