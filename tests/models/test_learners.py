"""The table of learners."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from fraud_utils import models
from fraud_utils.models import Candidate
from fraud_utils.models.learners import LEARNERS, Learner

Y = (np.arange(900) % 30 == 0).astype(np.int8)
X = (np.random.default_rng(0).normal(size=(900, 4)) + 1.5 * Y[:, None]).astype(np.float32)


@pytest.mark.parametrize("name", [name for name, learner in LEARNERS.items() if learner.kind == "unsupervised"])
def test_learners_without_labels_do_not_see_them(name):
    few = X[:480]  # of more than 500 rows the robust covariance searches in parts, which takes ten times as long
    models_of = (models.build(Candidate(name)).fit(few, labels) for labels in (Y[:480], np.roll(Y[:480], 7)))
    np.testing.assert_array_equal(*(model.score_samples(few) for model in models_of))


@pytest.mark.parametrize("name", [name for name, learner in LEARNERS.items() if learner.class_weights])
def test_class_weights_raise_the_scores_of_frauds(name):
    settings = {"min_samples_leaf": 20} if name in ("random forest", "extra trees") else {}  # else they only memorize
    plain, weighted = (models.build(Candidate(name, how, settings)).fit(X, Y) for how in ("none", "class weight"))
    assert weighted.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean()


@pytest.mark.parametrize("name", [name for name, learner in LEARNERS.items() if learner.draws_inside])
def test_a_learner_whose_members_draw_gets_all_rows(name):
    settings = {"num_round": 5} if "xgboost" in name else {"n_estimators": 5}
    pipeline = models.build(Candidate(name, "undersample 1:1", settings))
    assert not [step for step in pipeline if hasattr(step, "fit_resample")]
    assert pipeline.fit(X, Y).predict_proba(X)[:, 1].mean() > 3 * Y.mean()  # each member saw balanced rows


def test_adding_a_learner_is_one_entry(monkeypatch):
    monkeypatch.setitem(LEARNERS, "ours", Learner(lambda settings, treatment, seed: [LogisticRegression(**settings)]))
    model = models.build(Candidate("ours", "undersample 1:1", {"C": 0.5})).fit(X, Y)
    assert (model[-1].C, Candidate("ours").kind) == (0.5, "supervised")


def test_histogram_gradient_boosting_sees_a_rule_in_the_last_thousandths_of_a_column():
    rng = np.random.default_rng(0)
    amount = rng.gamma(1.5, 35, (2, 12_000, 1)).astype(np.float32)
    y = amount[..., 0] > np.quantile(amount, 0.998)
    model = models.build(Candidate("histogram gradient boosting")).fit(amount[0], y[0])
    assert average_precision_score(y[1], model.predict_proba(amount[1])[:, 1]) > 0.8  # by equal bins, .42
