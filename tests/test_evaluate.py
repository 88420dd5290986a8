"""Out-of-fold scores, metrics and choices."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from fraud_utils import evaluate
from fraud_utils.data import DataError
from fraud_utils.models import Candidate

LEARNERS = [
    Candidate("logistic regression", "undersample 1:10"),
    Candidate("random forest", "SMOTE 1:10", {"n_estimators": 20}),
    Candidate("xgboost", "none", {"num_round": 30}),
    Candidate("xgboost", "class weight", {"num_round": 30}),
]


def noise(rows: int = 3000, frauds: int = 90, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features that say nothing about the label."""
    rng = np.random.default_rng(seed)
    y = np.zeros(rows, dtype=np.int8)
    y[rng.choice(rows, frauds, replace=False)] = 1
    return rng.normal(size=(rows, 4)).astype(np.float32), y


labels_and_scores = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=50).filter(
    lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
)


@settings(max_examples=300, deadline=None)
@given(labels_and_scores)
def test_average_precision_equals_scikit_learns_with_ties(rows):
    y, score = np.array(rows, dtype=float).T
    assert evaluate.average_precision(y, score) == pytest.approx(average_precision_score(y, score), abs=1e-12)


def test_each_resample_is_a_stratified_bootstrap():
    rng = np.random.default_rng(1)
    y = np.repeat([1, 0], [30, 400])
    scores = pd.DataFrame({"a": rng.normal(y, 1).round(1), "b": rng.normal(y, 2)})
    got = evaluate.bootstrap_average_precision(y, scores, resamples=25, seed=4)
    for number in range(25):
        draws = np.random.default_rng([4, number])
        weights = np.concatenate(
            [
                np.bincount(draws.integers(0, 30, 30), minlength=30),
                np.bincount(draws.integers(0, 400, 400, dtype=np.int32), minlength=400),
            ]
        )
        for name in scores:
            expected = average_precision_score(y, scores[name], sample_weight=weights)
            assert got.loc[number, name] == pytest.approx(expected, abs=1e-12)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(2)

    def draw(frauds, rows):
        y = np.repeat([1, 0], [frauds, rows])
        return y, rng.normal(2.0 * y, 1)

    truth = average_precision_score(*draw(20_000, 1_000_000))
    hits = 0
    for trial in range(120):
        y, score = draw(100, 5_000)
        low, high = evaluate.interval(evaluate.bootstrap_average_precision(y, pd.DataFrame({"a": score}), 200, trial))
        hits += low <= truth <= high
    assert 0.86 <= hits / 120 <= 1.0


def test_without_signal_every_candidate_stays_at_the_base_rate():
    X, y = noise()
    scores, _ = evaluate.out_of_fold(LEARNERS, X, y, np.arange(len(y)), folds=3)
    resampled = evaluate.bootstrap_average_precision(y, scores, 300)
    for name in scores:
        assert evaluate.interval(resampled[name], 0.999)[0] <= 1.2 * y.mean()
        assert evaluate.average_precision(y, scores[name].to_numpy()) < 2 * y.mean()


def test_copies_in_one_group_cannot_be_learnt_by_heart():
    X, y = noise(1500, 90)
    X, y, copies = np.tile(X, (2, 1)), np.tile(y, 2), np.tile(np.arange(1500), 2)
    learner = [Candidate("random forest", "none", {"n_estimators": 60})]
    honest, _ = evaluate.out_of_fold(learner, X, y, copies, folds=3)
    leaking, _ = evaluate.out_of_fold(learner, X, y, np.arange(len(y)), folds=3)
    assert evaluate.average_precision(y, honest["random forest"].to_numpy()) < 2 * y.mean()
    assert evaluate.average_precision(y, leaking["random forest"].to_numpy()) > 0.5


def test_scores_are_probabilities_at_the_base_rate_after_every_treatment():
    rng = np.random.default_rng(3)
    y = (rng.random(20_000) < 0.02).astype(np.int8)
    X = (rng.normal(size=(len(y), 3)) + y[:, None]).astype(np.float32)
    treatments = ("none", "class weight", "undersample 1:2", "SMOTE 1:2")
    candidates = [Candidate("logistic regression", how) for how in treatments]
    scores, _ = evaluate.out_of_fold(candidates, X, y, np.arange(len(y)), folds=3)
    for name in scores:
        assert scores[name].mean() == pytest.approx(y.mean(), rel=0.15), name


def test_two_runs_and_any_number_of_workers_give_equal_scores():
    X, y = noise()
    first, _ = evaluate.out_of_fold(LEARNERS, X, y, np.arange(len(y)), folds=3, n_jobs=1)
    second, _ = evaluate.out_of_fold(LEARNERS, X, y, np.arange(len(y)), folds=3, n_jobs=2)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_too_few_frauds_for_the_folds_is_an_error():
    X, y = noise(300, 5)
    with pytest.raises(DataError, match="5 distinct frauds before the test set are too few for 5 folds"):
        evaluate.out_of_fold(LEARNERS[:1], X, y, np.arange(len(y)), folds=5)


@settings(max_examples=100, deadline=None)
@given(labels_and_scores)
def test_no_threshold_beats_the_one_chosen_by_f1(rows):
    y, score = np.array(rows, dtype=float).T
    chosen = evaluate.best_f1_threshold(y, score)
    best = max(f1_score(y, score >= step) for step in np.unique(score))
    assert f1_score(y, score >= chosen) == pytest.approx(best)


def test_the_alert_budget_is_kept():
    rng = np.random.default_rng(0)
    y, score = (rng.random(5000) < 0.05).astype(int), rng.random(5000)
    limits = evaluate.thresholds(y, score, days=2.0, alerts_per_day=50)
    assert (score >= limits["alerts_50_a_day"]).sum() == 100


def test_top_k_counts_ties_by_their_share():
    y, score = np.array([1, 0, 1, 0, 0, 1]), np.array([0.9, 0.8, 0.5, 0.5, 0.5, 0.1])
    assert evaluate.top_k(y, score, 2) == (0.5, 1 / 3)
    precision, recall = evaluate.top_k(y, score, 4)  # two of the three tied rows, one third of them fraud
    assert (precision, recall) == (pytest.approx((1 + 2 / 3) / 4), pytest.approx((1 + 2 / 3) / 3))


def test_savings_in_cases_that_can_be_done_by_hand():
    y, amount = np.array([1, 1, 0, 0, 0]), np.array([100.0, 1.0, 5.0, 5.0, 5.0])
    both = np.array([True, True, False, False, False])
    # Alerting nobody costs 101, everybody 5 reviews of 2 = 10; catching both frauds costs 4.
    assert evaluate.savings(y, both, amount, 2)[0] == pytest.approx(1 - 4 / 10)
    assert evaluate.savings(y, np.zeros(5, bool), amount, 2)[0] == pytest.approx(1 - 101 / 10)
    assert evaluate.savings(y, np.ones(5, bool), amount, 2)[0] == pytest.approx(0)
    assert evaluate.savings(y, both, amount, 50)[0] == pytest.approx(1 - 100 / 101)
    point, (low, high) = evaluate.savings(y, both, amount, 2)
    assert low <= point <= high


def comparison(**points: float) -> tuple[pd.Series, pd.DataFrame, list[Candidate]]:
    rng = np.random.default_rng(0)
    resampled = pd.DataFrame({name: rng.normal(point, 0.01, 500) for name, point in points.items()})
    named = [(*name.split(" + "), "none")[:2] for name in points]
    return pd.Series(points), resampled, [Candidate(learner, how, {"num_round": 10}) for learner, how in named]


def test_the_choice_is_the_cheapest_xgboost_that_ties_with_the_best():
    y = np.repeat([1, 0], [10, 1000])
    points, resampled, candidates = comparison(
        **{"random forest": 0.81, "xgboost": 0.80, "xgboost + undersample 1:10": 0.80, "xgboost + SMOTE": 0.5}
    )
    chosen, tied, reason = evaluate.choose(candidates, points, resampled, y)
    assert chosen.name == "xgboost + undersample 1:10"
    assert tied[0] == "random forest"
    assert set(tied) == set(points.index) - {"xgboost + SMOTE"}
    assert "one of 3" in reason


def test_choosing_a_worse_xgboost_says_what_it_costs():
    y = np.repeat([1, 0], [10, 1000])
    points, resampled, candidates = comparison(**{"random forest": 0.9, "xgboost": 0.7, "xgboost + SMOTE": 0.6})
    chosen, tied, reason = evaluate.choose(candidates, points, resampled, y)
    assert (chosen.name, tied) == ("xgboost", ["random forest"])
    assert "random forest is better by 0.1" in reason


def test_metrics_have_every_key_and_null_what_does_not_apply():
    rng = np.random.default_rng(0)
    y, score = np.repeat([1, 0], [20, 300]), rng.random(320)
    keys = (
        "average_precision average_precision_ci roc_auc f1 precision recall precision_at_100 recall_at_100 brier "
        "log_loss savings savings_ci"
    )
    full = evaluate.metrics(y, score, 0.5, amount=np.ones(320))
    assert list(full) == keys.split()
    assert full["savings"] is not None
    bare = evaluate.metrics(y, score * 9, 0.5, probability=False)
    assert (bare["brier"], bare["log_loss"], bare["savings"]) == (None, None, None)


def test_the_sentence_on_ties_claims_no_loser_where_there_is_none():
    table = pd.DataFrame(
        {"average_precision": [0.8, 0.7], "average_precision_ci": [[0.7, 0.9], [0.6, 0.8]]}, ["a", "b"]
    )
    assert "cannot tell it from b (0.700), which is all of them." in evaluate.describe_ties(table, ["a", "b"])
    assert "every other candidate" in evaluate.describe_ties(table, ["a"])
    longer = pd.concat([table, table.loc[["b"]].rename(index={"b": "c"})])
    assert "the other one is behind it" in evaluate.describe_ties(longer, ["a", "b"])
