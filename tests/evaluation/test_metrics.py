"""Out-of-fold scores, metrics and choices."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score

from fraud_utils import artifact, models
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import DataError
from fraud_utils.evaluation import metrics as evaluate
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


def test_repeats_of_a_row_are_drawn_together_and_blocks_are_averaged():
    rng = np.random.default_rng(3)
    y = np.repeat([1, 0], [60, 150])
    scores = pd.DataFrame({"a": rng.normal(np.tile(y, 2), 1), "b": rng.normal(np.tile(y, 2), 2)})
    block = np.concatenate([rng.integers(0, 2, 210), rng.integers(2, 4, 210)])
    got = evaluate.bootstrap_average_precision(y, scores, 10, seed=4, block=block)
    for number in range(10):
        draws = np.random.default_rng([4, number])
        weights = np.concatenate(
            [
                np.bincount(draws.integers(0, 60, 60), minlength=60),
                np.bincount(draws.integers(0, 150, 150, dtype=np.int32), minlength=150),
            ]
        )
        labels, weights = np.tile(y, 2), np.tile(weights, 2)
        for name in scores:
            parts = [block == k for k in range(4)]
            values = [average_precision_score(labels[p], scores[name][p], sample_weight=weights[p]) for p in parts]
            assert got.loc[number, name] == pytest.approx(np.mean(values), abs=1e-12)


def test_a_fold_with_another_scale_does_not_change_a_mean_over_folds():
    rng = np.random.default_rng(0)
    y, block = np.tile(np.repeat([1, 0], [10, 90]), 2), np.repeat([0, 1], 100)
    score = rng.normal(y, 1)
    moved = np.where(block == 1, score + 100, score)
    assert evaluate.average_precision(y, moved, block) == evaluate.average_precision(y, score, block)
    assert evaluate.average_precision(y, moved) < evaluate.average_precision(y, score)


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
    listed = models.candidates("full", features=FeatureMap(("a", "b", "c"), "amount"))
    scores = evaluate.out_of_fold(listed, X, y, np.arange(len(y)), folds=3)
    resampled = evaluate.bootstrap_average_precision(y, scores.values, 300, block=scores.block)
    for name in scores.values:
        # Jointly for all candidates; a perfect score of as few frauds would reach 33 times the base rate.
        assert evaluate.interval(resampled[name], 1 - 0.05 / len(listed))[0] <= 1.2 * y.mean(), name
        assert evaluate.average_precision(y, scores.values[name].to_numpy(), scores.block) < 2 * y.mean(), name


def test_copies_in_one_group_cannot_be_learnt_by_heart():
    X, y = noise(1500, 90)
    X, y, copies = np.tile(X, (2, 1)), np.tile(y, 2), np.tile(np.arange(1500), 2)
    learner = [Candidate("random forest", "none", {"n_estimators": 60})]
    honest = evaluate.out_of_fold(learner, X, y, copies, folds=3).values
    leaking = evaluate.out_of_fold(learner, X, y, np.arange(len(y)), folds=3).values
    assert evaluate.average_precision(y, honest["random forest"].to_numpy()) < 2 * y.mean()
    assert evaluate.average_precision(y, leaking["random forest"].to_numpy()) > 0.5


def test_scores_are_probabilities_at_the_base_rate_after_every_treatment():
    rng = np.random.default_rng(3)
    y = (rng.random(20_000) < 0.02).astype(np.int8)
    X = (rng.normal(size=(len(y), 3)) + y[:, None]).astype(np.float32)
    treatments = ("none", "class weight", "undersample 1:2", "SMOTE 1:2")
    candidates = [Candidate("logistic regression", how) for how in treatments]
    scores = evaluate.out_of_fold(candidates, X, y, np.arange(len(y)), folds=3).values
    for name in scores:
        assert scores[name].mean() == pytest.approx(y.mean(), rel=0.15), name


def test_two_runs_and_any_number_of_workers_give_equal_scores():
    X, y = noise()
    first, second = (evaluate.out_of_fold(LEARNERS, X, y, np.arange(len(y)), 3, 2, n_jobs=jobs) for jobs in (1, 2))
    pd.testing.assert_frame_equal(first.values, second.values, check_exact=True)
    np.testing.assert_array_equal(first.block, second.block)


def test_every_row_is_scored_once_a_repeat_by_a_model_that_has_not_seen_its_group():
    X, y = noise(600, 60)
    groups = np.arange(600) // 2

    class Remembers(LogisticRegression):
        """Scores a row by whether its first value was among the training rows'."""

        def fit(self, X, y):
            self.classes_, self.seen_ = np.array([0, 1]), X[:, 0]
            return self

        def predict_proba(self, X):
            seen = np.isin(X[:, 0], self.seen_).astype(float)
            return np.column_stack([1 - seen, seen])

    X[:, 0] = groups  # so that a group that straddled folds would be seen
    scored = evaluate.out_of_fold([Candidate("memory", estimator=Remembers())], X, y, groups, 4, 3, n_jobs=1)
    assert len(scored.values) == 3 * 600
    assert scored.values["memory"].sum() == 0
    assert len(np.unique(scored.block)) == 12
    for repeat in range(3):
        blocks = scored.block[repeat * 600 : (repeat + 1) * 600].reshape(-1, 2)
        assert (blocks[:, 0] == blocks[:, 1]).all()
    assert not np.array_equal(scored.block[:600], scored.block[600:1200] - 4)


def test_an_average_is_the_mean_of_its_members():
    X, y = noise(900, 60)
    members = LEARNERS[2:]
    both = Candidate("average", hyperparameters={"members": [c.name for c in members]})
    scored = evaluate.out_of_fold([both, *members], X, y, np.arange(900), 3)
    expected = scored.values[[c.name for c in members]].mean(axis=1)
    np.testing.assert_allclose(scored.values[both.name], expected, atol=1e-12)
    with pytest.raises(ValueError, match=r"xgboost \+ class weight is not among the candidates"):
        evaluate.out_of_fold([both, members[0]], X, y, np.arange(900), 3)


def test_forward_chaining_never_looks_ahead():
    rng = np.random.default_rng(0)
    y = (rng.random(2000) < 0.1).astype(np.int8)
    time = np.arange(2000) // 3
    X = np.column_stack([np.where(np.arange(2000) < 1500, 1, -1) * y, rng.normal(size=2000)]).astype(np.float32)
    table = evaluate.forward_chaining([Candidate("logistic regression")], X, y, time, 4)
    early, middle, turned = table.loc["logistic regression"]
    assert min(early, middle) > 0.99
    assert turned < 0.2  # the sign turns with the last block: a model that had seen any of it would know
    assert [f"({y[500 * k : 500 * (k + 1)].sum()} frauds)" in name for k, name in enumerate(table, 1)] == [True] * 3


def test_random_splits_keep_groups_together_and_differ():
    X, y = noise(1500, 90)
    X, y, copies = np.tile(X, (2, 1)), np.tile(y, 2), np.tile(np.arange(1500), 2)
    learner = [Candidate("random forest", "none", {"n_estimators": 60})]
    honest = evaluate.random_splits(learner, X, y, copies, 2)
    assert honest.shape == (1, 2)
    assert honest.max(axis=None) < 3 * y.mean()
    assert evaluate.random_splits(learner, X, y, np.arange(3000), 2).min(axis=None) > 0.5


def test_too_few_frauds_for_the_folds_is_an_error():
    X, y = noise(300, 5)
    with pytest.raises(DataError, match="5 distinct frauds before the test set are too few for 5 folds"):
        evaluate.out_of_fold(LEARNERS[:1], X, y, np.arange(len(y)), folds=5)


@given(labels_and_scores)
def test_no_threshold_beats_the_one_chosen_by_f1(rows):
    y, score = np.array(rows, dtype=float).T
    chosen = evaluate.best_f1_threshold(y, score)
    best = max(f1_score(y, score >= step) for step in np.unique(score))
    assert f1_score(y, score >= chosen) == pytest.approx(best)


@given(labels_and_scores, st.floats(0.1, 5))
def test_no_threshold_is_cheaper_than_the_cheapest(rows, review_cost):
    y, score = np.array(rows, dtype=float).T
    score = score / 6
    amount = np.linspace(0, 7, len(y))

    def cost(alert):
        return review_cost * alert.sum() + amount[(y == 1) & ~alert].sum()

    chosen = evaluate.cheapest_threshold(y, score, amount, review_cost)
    best = min([cost(score >= step) for step in np.unique(score)] + [cost(np.zeros(len(y), bool))])
    if chosen < 1:
        assert cost(score >= chosen) == pytest.approx(best)
    else:
        assert best == pytest.approx(min(cost(np.zeros(len(y), bool)), cost(score >= 1)))


def test_recall_at_a_precision_is_as_precise_as_it_says_and_as_low_as_it_can():
    rng = np.random.default_rng(0)
    y = (rng.random(4000) < 0.05).astype(int)
    score = np.clip(rng.normal(0.2 + 0.4 * y, 0.15), 0, 1)
    limit = evaluate.thresholds(y, score, 1.0, precision=0.8)["precision_80"]
    assert y[score >= limit].mean() >= 0.8
    lower = np.unique(score[score < limit])
    assert max(y[score >= step].mean() for step in lower) < 0.8
    assert "precision_90" not in evaluate.thresholds(np.array([0, 0, 1]), np.array([0.9, 0.8, 0.1]), 1.0)


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


def test_per_day_in_cases_that_can_be_done_by_hand():
    y, amount = np.array([1, 1, 0, 0, 0]), np.array([10.0, 1, 5, 5, 5])
    score = np.array([0.9, 0.1, 0.8, 0.0, 0.0])
    found = evaluate.per_day(y, score, {"f1": 0.5, "none": 0.95}, 0.5, amount, 2)
    assert list(found) == ["f1", "none", "amount"]
    day = found["f1"]
    assert (day["alerts"], day["frauds_caught"]) == (4, 2)
    # two alerts and one fraud in half a day; exact bounds of Poisson means from published tables
    assert day["alerts_ci"] == pytest.approx([2 * 0.2422, 2 * 7.2247], abs=1e-3)
    assert day["frauds_caught_ci"] == pytest.approx([2 * 0.0253, 2 * 5.5716], abs=1e-3)
    # alerting everybody costs 5 * 2, cheaper than the 11 that are lost otherwise; this costs 2 * 2 and misses 1
    assert day["saved"] == pytest.approx(2 * (10 - 5))
    assert found["none"]["frauds_caught_ci"] == pytest.approx([0, 2 * 3.6889], abs=1e-3)
    assert found["none"]["saved"] == pytest.approx(2 * (10 - 11))
    assert found["amount"]["alerts"] == 4  # 9 and 4 exceed 2, .1 does not
    assert evaluate.per_day(y, score, {"f1": 0.5}, None, amount) == {}
    bare = evaluate.per_day(y, score, {"f1": 0.5}, 0.5)
    assert list(bare) == ["f1"] and bare["f1"]["saved"] is None and bare["f1"]["alerts"] == 4


def test_the_interval_of_money_saved_is_as_wide_as_resampled_rows_make_it():
    rng = np.random.default_rng(2)
    y = (rng.random(4000) < 0.02).astype(np.int8)
    amount, score = rng.exponential(50, 4000), np.clip(0.5 * y + rng.normal(0.2, 0.2, 4000), 0, 1)
    found = evaluate.per_day(y, score, {"f1": 0.5}, 2.0, amount, 3.0)["f1"]
    saved = []
    for _ in range(400):
        rows = rng.integers(0, 4000, 4000)
        label, paid, alert = y[rows], amount[rows], score[rows] >= 0.5
        cost = paid[(label == 1) & ~alert].sum() + 3 * alert.sum()
        saved.append((min(paid[label == 1].sum(), 3 * 4000) - cost) / 2)
    assert found["saved_ci"] == pytest.approx(np.quantile(saved, [0.025, 0.975]), rel=0.1)
    assert found["saved_ci"][0] < found["saved"] < found["saved_ci"][1]


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


@pytest.mark.parametrize("treatment", ["undersample 1:4", "class weight", "SMOTE 1:2"])
def test_prior_correction_against_the_closed_form(treatment):
    """One feature, two Gaussians: the true probability is known, and a logistic model can reach it."""
    rng = np.random.default_rng(5)
    y = (rng.random(60_000) < 0.03).astype(np.int8)
    x = rng.normal(2.0 * y, 1)
    truth = 1 / (1 + np.exp(-(2 * x - 2 + np.log(0.03 / 0.97))))
    candidate = Candidate("logistic regression", treatment)
    score = evaluate.out_of_fold([candidate], x[:, None].astype(np.float32), y, np.arange(60_000), 3)
    corrected = score.values[candidate.name].to_numpy()
    raw = evaluate.uncorrected(corrected, models.kept_share(treatment, y))
    assert np.abs(corrected - truth).mean() < 0.01
    assert np.abs(raw - truth).mean() > 0.04
    np.testing.assert_allclose(artifact.prior_correction(raw, models.kept_share(treatment, y)), corrected, atol=1e-9)


def test_a_cost_decision_by_true_probabilities_beats_one_by_uncorrected_ones():
    rng = np.random.default_rng(6)
    truth = rng.beta(0.05, 2, 100_000)
    y = (rng.random(100_000) < truth).astype(int)
    amount = rng.exponential(60, 100_000)
    shown = pd.DataFrame({"true": truth, "uncorrected": evaluate.uncorrected(truth, 0.02)})
    quality = evaluate.probability_quality(y, shown, amount, 5.0)
    # Alerting where probability times amount exceeds the review is the best that can be done; its cost is expected.
    expected = np.minimum(5.0, truth * amount).sum() / min((truth * amount).sum(), 5.0 * 100_000)
    assert quality.loc["true", "savings"] == pytest.approx(1 - expected, abs=0.05)
    assert quality.loc["uncorrected", "savings"] < quality.loc["true", "savings"] - 0.2
    assert quality.loc["true", "mean_over_base_rate"] == pytest.approx(1, abs=0.05)
    assert quality.loc["true", ["brier", "log_loss"]].lt(quality.loc["uncorrected", ["brier", "log_loss"]]).all()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration_mends_distorted_probabilities_on_rows_it_was_not_fitted_on(method):
    rng = np.random.default_rng(7)
    truth = rng.beta(0.3, 3, 40_000)
    y = (rng.random(40_000) < truth).astype(int)
    distorted = evaluate.uncorrected(truth, 0.1)
    mended = evaluate.calibrate(y, distorted, rng.integers(0, 3, 40_000), method)
    assert np.abs(mended - truth).mean() < 0.2 * np.abs(distorted - truth).mean()


def test_a_calibration_curve_never_sees_the_rows_it_maps():
    """Labels that mean nothing: a curve fitted on the rows it maps would find some meaning in them."""
    rng = np.random.default_rng(8)
    y, block = (rng.random(3000) < 0.3).astype(int), rng.integers(0, 3, 3000)
    mapped = evaluate.calibrate(y, rng.random(3000), block, "isotonic")
    assert abs(np.corrcoef(mapped, y)[0, 1]) < 0.06
    with pytest.raises(ValueError, match="'sigmoid' or 'isotonic'"):
        evaluate.calibrate(y, rng.random(3000), block, "platt")


def test_reliability_of_true_probabilities_contains_the_diagonal():
    rng = np.random.default_rng(9)
    truth = rng.beta(0.3, 3, 50_000)
    y = (rng.random(50_000) < truth).astype(int)
    table = evaluate.reliability(y, pd.DataFrame({"true": truth, "doubled": np.clip(2 * truth, 0, 1)}))
    assert table.groupby("name")["rows"].sum().eq(50_000).all()
    inside = table["predicted"].between(table["low"], table["high"])
    assert inside[table["name"] == "true"].sum() >= (table["name"] == "true").sum() - 1
    assert inside[table["name"] == "doubled"].sum() <= 1


def test_metrics_of_repeats_are_means_over_them():
    rng = np.random.default_rng(1)
    y, amount = np.repeat([1, 0], [30, 500]), rng.exponential(50, 530)
    first, second = np.clip(rng.normal(0.3 + 0.4 * np.tile(y, 2), 0.2), 0, 1).reshape(2, -1)
    one, two, both = (
        evaluate.metrics(y, score, 0.5, amount) for score in (first, second, np.concatenate([first, second]))
    )
    for key in ("roc_auc", "f1", "recall", "recall_at_100", "brier", "savings"):
        assert both[key] == pytest.approx((one[key] + two[key]) / 2), key
    assert both["savings_ci"] == pytest.approx(np.mean([one["savings_ci"], two["savings_ci"]], axis=0).tolist())


def test_metrics_agree_with_scikit_learns():
    rng = np.random.default_rng(2)
    y = np.repeat([1, 0], [40, 900])
    score = np.clip(rng.normal(0.2 + 0.4 * y, 0.2), 0, 1).round(2)
    got = evaluate.metrics(y, score, 0.4)
    assert got["roc_auc"] == pytest.approx(sk.roc_auc_score(y, score))
    assert got["brier"] == pytest.approx(sk.brier_score_loss(y, score))
    assert got["log_loss"] == pytest.approx(sk.log_loss(y, np.clip(score, 1e-15, 1 - 1e-15)))
    for key, judge in {"f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}.items():
        assert got[key] == pytest.approx(judge(y, score >= 0.4)), key


@pytest.mark.parametrize("cost", [1.0, 20.0])
def test_metrics_on_shared_resamples_follow_from_each_other(cost):
    """For scores of 0 and 1 and one amount, every metric of a resample follows from its precision and recall."""
    rng = np.random.default_rng(4)
    y = (rng.random(5000) < 0.02).astype(int)
    score = np.where(y == 1, rng.random(5000) < 0.7, rng.random(5000) < 0.01).astype(float)
    table = evaluate.resampled_metrics(y, score, 0.5, np.full(5000, 30.0), cost)
    frauds, rows = y.sum(), len(y)
    caught = table["recall"] * frauds
    alerts = caught / table["precision"]
    assert np.allclose(caught, caught.round())
    assert np.allclose(alerts, alerts.round())
    assert caught.std() == pytest.approx(np.sqrt(frauds * 0.7 * 0.3), rel=0.3)
    share = frauds / rows
    two_steps = table["recall"] * table["precision"] + (1 - table["recall"]) * share
    assert np.allclose(table["average_precision"], two_steps)
    assert np.allclose(table["f1"], 2 * caught / (alerts + frauds))
    assert np.allclose(table["brier"], (frauds - caught + alerts - caught) / rows)
    spent = 30 * (frauds - caught) + cost * alerts
    assert np.allclose(table["savings"], 1 - spent / min(30 * frauds, cost * rows))
    point = evaluate.metrics(y, score, 0.5, np.full(5000, 30.0), cost)
    for name in table:
        assert table[name].mean() == pytest.approx(point[name], abs=3 * table[name].std() / np.sqrt(1000) + 0.01), name


def test_shared_resamples_are_the_same_for_other_scores_of_the_same_rows_only():
    rng = np.random.default_rng(4)
    y = (rng.random(3000) < 0.02).astype(int)
    one, other = (evaluate.resampled_metrics(y, rng.random(3000), 0.5) for _ in range(2))
    turned = evaluate.resampled_metrics(y[::-1], rng.random(3000), 0.5)
    assert one.attrs["resamples"] == other.attrs["resamples"] != turned.attrs["resamples"]
    perfect = evaluate.resampled_metrics(y, y.astype(float), 0.5)
    assert (perfect[["average_precision", "precision", "recall", "f1"]] == 1).all(axis=None)
    assert "savings" not in perfect  # without amounts
    free = evaluate.resampled_metrics(y, y.astype(float), 0.5, np.zeros(3000))
    assert "savings" not in free
    repeats = evaluate.resampled_metrics(y, np.tile(y, 2).astype(float), block=np.arange(6000) % 3)
    assert list(repeats) == ["average_precision"]
    assert repeats.attrs == one.attrs
