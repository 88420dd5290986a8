"""Scores of rows by models that have not seen them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evaluation import made
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from fraud_utils import evaluation, models
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import DataError
from fraud_utils.evaluation import Protocol, average_precision, compare, selection
from fraud_utils.intervals import percentile, together
from fraud_utils.models import Candidate

ONCE = Protocol(jobs=1)
LEARNERS = [
    Candidate("logistic regression", "undersample 1:10"),
    Candidate("random forest", "SMOTE 1:10", {"n_estimators": 10}),
    Candidate("xgboost", "none", {"num_round": 10}),
    Candidate("xgboost", "class weight", {"num_round": 10}),
]
FOREST = Candidate("random forest", "none", {"n_estimators": 30})


@pytest.mark.parametrize("profile", ["quick", pytest.param("full", marks=pytest.mark.long)])
@threadpool_limits.wrap(limits=1)
def test_without_signal_every_candidate_stays_at_the_base_rate(profile):
    rows = made.noise(1800, 60)
    listed = models.candidates(profile, features=FeatureMap(("a", "b", "c"), "amount"))
    scores = evaluation.out_of_fold(listed, rows, replace(ONCE, folds=2))
    resampled = evaluation.bootstrap_average_precision(scores, Protocol(resamples=300))
    for candidate in listed:
        # Jointly for all candidates; a perfect score of as few frauds would reach 30 times the base rate.
        low, _ = percentile(resampled[candidate.name], together(len(listed)))
        assert low <= 1.2 * rows.y.mean(), candidate.name
        assert average_precision(rows.y, scores.of(candidate), scores.block) < 2.2 * rows.y.mean(), candidate.name


def test_copies_in_one_group_cannot_be_learnt_by_heart():
    reached = []
    for known_as_copies in (True, False):
        rows = made.twice(made.noise(900, 60), known_as_copies)
        reached.append(average_precision(rows.y, evaluation.out_of_fold([FOREST], rows, ONCE).of(FOREST)))
    honest, leaking = reached
    assert honest < 2 * rows.y.mean()
    assert leaking > 0.5


def test_scores_are_probabilities_at_the_base_rate_after_every_treatment():
    rng = np.random.default_rng(3)
    y = (rng.random(20_000) < 0.02).astype(np.int8)
    rows = made.rows((rng.normal(size=(len(y), 3)) + y[:, None]).astype(np.float32), y)
    for how in ("none", "class weight", "undersample 1:2", "SMOTE 1:2"):
        candidate = Candidate("logistic regression", how)
        assert evaluation.out_of_fold([candidate], rows, ONCE).of(candidate).mean() == pytest.approx(y.mean(), rel=0.15)


def test_two_runs_and_any_number_of_workers_give_equal_scores():
    protocol = Protocol(repeats=2)
    first, second = (evaluation.out_of_fold(LEARNERS, made.noise(), replace(protocol, jobs=jobs)) for jobs in (1, 2))
    pd.testing.assert_frame_equal(first.values, second.values, check_exact=True)
    np.testing.assert_array_equal(first.block, second.block)


class Remembers(LogisticRegression):
    """Scores a row by whether its first value was among the training rows'."""

    def fit(self, X, y):
        self.classes_, self.seen_ = np.array([0, 1]), X[:, 0]
        return self

    def predict_proba(self, X):
        seen = np.isin(X[:, 0], self.seen_).astype(float)
        return np.column_stack([1 - seen, seen])


class Echo(ClassifierMixin, BaseEstimator):
    """Gives back a row's first value."""

    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X):
        return np.column_stack([1 - X[:, 0], X[:, 0]])


MEMORY = Candidate("memory", estimator=Remembers())


def test_every_row_is_scored_once_a_repeat_by_a_model_that_has_not_seen_its_group():
    groups = np.arange(600) // 2
    rows = made.noise(600, 60, groups=groups)
    rows.X[:, 0] = groups  # so that a group that straddled folds would be seen
    scored = evaluation.out_of_fold([MEMORY], rows, Protocol(folds=4, repeats=3, jobs=1))
    assert scored.repeats(scored.of_all_repeats(MEMORY)) == 3
    assert scored.of_all_repeats(MEMORY).sum() == 0
    assert len(np.unique(scored.block)) == 12
    assert evaluation.out_of_fold([Candidate("xgboost", hyperparameters={"num_round": 2})], rows, ONCE).boosters == {}
    by_repeat = scored.block.reshape(3, 600)
    assert (by_repeat[:, ::2] == by_repeat[:, 1::2]).all()
    assert not np.array_equal(by_repeat[0], by_repeat[1] - 4)


def test_who_is_shown_to_be_behind_is_not_fitted_on_other_folds(tmp_path, monkeypatch):
    """What others reach stays the same to the last digit, and what is compared in the end, too."""
    monkeypatch.setenv("FRAUD_PROGRESS", str(tmp_path / "progress"))
    rng, y = np.random.default_rng(3), (np.arange(3_000) % 20 == 0).astype(np.int8)
    rows = made.rows((rng.normal(size=(len(y), 3)) + 2 * y[:, None]).astype(np.float32), y)
    linear = Candidate("logistic regression")
    trees = Candidate("xgboost", hyperparameters={"num_round": 60, "eta": 0.2})
    forest = Candidate("random forest", hyperparameters={"n_estimators": 20})
    average = Candidate("average", hyperparameters={"members": ["logistic regression", "random forest"]})
    candidates = [Candidate("dummy"), linear, trees, forest, average]
    protocol = Protocol(repeats=2, resamples=200)
    scored = evaluation.out_of_fold(candidates, rows, protocol)
    times = {c.name: scored.repeats(scored.of_all_repeats(c)) for c in candidates}
    assert times["dummy"] == 1 and times["logistic regression"] == 2
    assert times["xgboost"] == 2  # behind as it is, but the best that can be served
    assert times[average.name] <= times["random forest"]  # a member goes wherever its average goes
    assert "not fitted on other folds" in (tmp_path / "progress").read_text()

    alone = evaluation.out_of_fold([linear], rows, protocol)
    np.testing.assert_array_equal(scored.of_all_repeats(linear), alone.of_all_repeats(linear))
    resampled = evaluation.bootstrap_average_precision(scored, protocol)
    judged = compare.judge(candidates, scored, resampled)
    once = evaluation.out_of_fold(candidates, rows, replace(protocol, repeats=1))
    assert judged.loc["dummy", "average_precision"] == pytest.approx(0.05)
    of_once = evaluation.bootstrap_average_precision(once, protocol)
    assert judged.loc["dummy", "roc_auc"] == compare.judge(candidates, once, of_once).loc["dummy", "roc_auc"]
    pd.testing.assert_series_equal(resampled["dummy"], of_once["dummy"])
    of_alone = evaluation.bootstrap_average_precision(alone, protocol)
    pd.testing.assert_series_equal(resampled[linear.name], of_alone[linear.name])


def test_no_xgboost_is_served_for_having_been_lucky_on_the_first_folds():
    """Where another learner leads: who was scored once cannot overtake who was scored twice, as means do."""
    rng, y = np.random.default_rng(5), (np.arange(3_000) % 20 == 0).astype(np.int8)
    rows = made.rows((rng.normal(size=(len(y), 8)) + 0.6 * y[:, None]).astype(np.float32), y)
    linear = Candidate("logistic regression")
    alike = [Candidate("xgboost", "none", {"num_round": 20, "lambda": 1 + k / 4}, str(k)) for k in range(4)]
    poor = Candidate("xgboost", "undersample 1:1", {"num_round": 1})
    candidates, protocol = [linear, poor, *alike], Protocol(repeats=2, resamples=200)
    scored = evaluation.out_of_fold(candidates, rows, protocol)
    judged = compare.judge(candidates, scored, resampled := evaluation.bootstrap_average_precision(scored, protocol))
    tied = compare.tie_set(candidates, judged, resampled)
    assert [c.name for c in tied] == [linear.name]
    chosen, _ = selection.choose(candidates, tied, judged, resampled, y)
    leader = selection.family_differences(judged, resampled).attrs["leader"]
    assert judged.loc[[chosen.name, leader], "repeats"].eq(2).all() and judged.loc[poor.name, "repeats"] == 1
    assert judged.loc[[c.name for c in alike], "repeats"].eq(2).all()


def test_an_estimator_that_gives_no_number_is_named():
    rows = made.noise(300, 60)
    rows.X[7, 0] = np.nan
    with pytest.raises(ValueError, match=r"echo: no number for 1 of 300 rows"):
        evaluation.out_of_fold([Candidate("echo", estimator=Echo())], rows, Protocol(repeats=2, resamples=20, jobs=1))


def test_the_test_set_is_scored_by_one_fit_on_all_training_rows():
    train, test = made.noise(300, 60), made.noise(100, 20)
    test = replace(test, X=test.X + 100)
    test.X[:40] = train.X[100:140]  # what the fit has seen
    scored = evaluation.fit_and_score([MEMORY, LEARNERS[2]], train, test, ONCE)
    assert scored.rows is test
    assert (scored.of(MEMORY) == (np.arange(100) < 40)).all()
    assert list(scored.boosters) == ["xgboost"]
    assert (scored.seconds > 0).all()
    blind = evaluation.fit_and_score([LEARNERS[2]], train, replace(test, y=1 - test.y), ONCE)
    np.testing.assert_array_equal(blind.of(LEARNERS[2]), scored.of(LEARNERS[2]))


def test_an_average_is_the_mean_of_its_members():
    rows, members = made.noise(900, 60), LEARNERS[2:]
    both = Candidate("average", hyperparameters={"members": [c.name for c in members]})
    scored = evaluation.out_of_fold([both, *members], rows, ONCE)
    assert list(scored.values) == [both.name, *both.members]
    np.testing.assert_allclose(scored.of(both), np.mean([scored.of(c) for c in members], axis=0), atol=1e-12)
    with pytest.raises(ValueError, match=r"xgboost \+ class weight is not among the candidates"):
        evaluation.out_of_fold([both, members[0]], rows, ONCE)


def test_random_splits_keep_groups_together_and_differ():
    rows = made.noise(900, 60)
    protocol = replace(ONCE, random_splits=2)
    honest, leaking = (
        evaluation.random_splits([FOREST], table, protocol)
        for table in (made.twice(rows, True), made.twice(rows, False))
    )
    assert honest.shape == (1, 2)
    assert honest.loc[FOREST.name, "split 1"] != honest.loc[FOREST.name, "split 2"]
    assert honest.max(axis=None) < 3 * rows.y.mean()
    assert leaking.min(axis=None) > 0.5


def test_too_few_frauds_for_the_folds_is_an_error():
    with pytest.raises(DataError, match="5 distinct frauds before the test set are too few for 5 folds"):
        evaluation.out_of_fold(LEARNERS[:1], made.noise(300, 5), Protocol(folds=5))


def test_without_times_no_split_is_compared_with_a_random_one():
    table = evaluation.random_splits([MEMORY], replace(made.noise(300, 30), time=None), ONCE)
    assert table.empty
    assert table.attrs["left_out"].startswith("The table has no times")


def test_a_column_that_only_held_out_rows_have_stops_no_learner():
    rows = made.noise(300, 60)
    rows.X[:, 1], rows.X[5, 1] = np.nan, 1.0
    listed = [Candidate(name) for name in ("histogram gradient boosting", "logistic regression", "xgboost")]
    scored = evaluation.out_of_fold(listed, rows, ONCE)
    assert np.isfinite(scored.values).all(axis=None)


def test_frauds_of_few_entities_are_counted_as_such():
    groups = np.arange(600) // 30
    rows = made.rows(np.zeros((600, 1)), (groups < 5).astype(np.int8), groups=groups)
    with pytest.raises(DataError, match=r"5 distinct frauds \(of 150, the others copies or of the same entities\)"):
        evaluation.out_of_fold([MEMORY], rows, ONCE)
