"""Candidates, and the pipelines that are built for them."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from fraud_utils import models
from fraud_utils.artifact import FeatureMap
from fraud_utils.models import Candidate
from fraud_utils.models.learners import LEARNERS

Y = (np.arange(480) % 30 == 0).astype(np.int8)  # two shifted Gaussian clouds
X = (np.random.default_rng(0).normal(size=(480, 5)) + 1.5 * Y[:, None]).astype(np.float32)
FEATURES = FeatureMap(("a", "b", "c", "d"), "amount")


def scores_of(candidate: Candidate, X: np.ndarray = X) -> np.ndarray:
    model = models.build(candidate, seed=1).fit(X, Y)
    return model.predict_proba(X)[:, 1] if hasattr(model, "predict_proba") else -model.score_samples(X)


EACH = pytest.mark.parametrize("each", [False, pytest.param(True, marks=pytest.mark.long)])


def some(listed: list[Candidate], each: bool) -> list[Candidate]:
    """Those that are fitted: each, else of every learner and of every treatment the first."""
    alone = [candidate for candidate in listed if not candidate.members]
    learners, treatments = ({getattr(c, of): c for c in reversed(alone)} for of in ("learner", "imbalance"))
    return [c for c in alone if each or c in (learners[c.learner], treatments[c.imbalance])]


@EACH
@pytest.mark.parametrize("profile", ["full", "quick"])
def test_every_candidate_fits_and_ranks_frauds_higher(profile, each):
    listed = models.candidates(profile, features=FEATURES)
    assert len({candidate.name for candidate in listed}) == len(listed)
    assert {"baseline", "supervised", "unsupervised"} == {candidate.kind for candidate in listed}
    for candidate in some(listed, each):
        scores = scores_of(candidate)
        assert np.isfinite(scores).all()
        if candidate.kind != "unsupervised":
            assert ((scores >= 0) & (scores <= 1)).all()
        if candidate.learner != "dummy":
            assert scores[Y == 1].mean() > scores[Y == 0].mean(), candidate.name


def test_the_full_list_is_what_the_report_promises():
    listed = models.candidates("full", features=FEATURES)
    assert len(listed) >= 25
    for learner in ("logistic regression", "random forest", "xgboost"):
        treated = {candidate.imbalance for candidate in listed if candidate.learner == learner}
        wanted = {"none", "class weight", "undersample 1:1", "undersample 1:10", "undersample 1:50", "SMOTE 1:10"}
        assert wanted <= treated, learner
    assert {candidate.learner for candidate in listed} == {*LEARNERS, "average"}
    assert "amount rule" not in {c.learner for c in models.candidates("full")}  # a table without amounts
    with pytest.raises(ValueError, match="must be 'full' or 'quick'"):
        models.candidates("fast")


@pytest.mark.parametrize("profile", ["full", "quick"])
def test_xgboost_by_hand_is_a_candidate_and_so_is_its_treated_form(profile):
    listed = models.candidates(profile)
    by_hand = models.xgboost_by_hand(profile)
    assert by_hand in listed
    assert by_hand.treated("undersample 1:10") in listed
    assert (by_hand.name, by_hand.treated("SMOTE 1:10").name) == ("xgboost", "xgboost + SMOTE 1:10")


def test_somebody_brings_an_estimator():
    own = Candidate("stump", "undersample 1:10", {"max_depth": 1}, estimator=DecisionTreeClassifier(max_depth=9))
    model = models.build(own, seed=3).fit(X, Y)
    assert own.name == "stump + undersample 1:10"
    assert own.kind == "supervised"
    assert model[-1].get_depth() == 1
    assert model[-1].random_state == 3
    assert Candidate("forest", estimator=IsolationForest()).kind == "unsupervised"
    models.build(Candidate("forest", estimator=IsolationForest()))  # an ensemble that is not fitted has no length


def test_a_treatment_that_a_learner_cannot_take_is_refused():
    with pytest.raises(ValueError, match=r"neural network .*takes no class weights"):
        models.build(Candidate("neural network", "class weight"))
    with pytest.raises(ValueError, match="needs labels"):
        models.build(Candidate("isolation forest", "undersample 1:1"))
    weighted = models.build(Candidate("own", "class weight", estimator=DecisionTreeClassifier()))
    assert weighted[-1].class_weight == "balanced"
    inner = make_pipeline(StandardScaler(), LogisticRegression())
    assert models.build(Candidate("own", "class weight", estimator=inner))[-1][-1].class_weight == "balanced"
    with pytest.raises(ValueError, match="class_weight"):
        models.build(Candidate("own", "class weight", estimator=KNeighborsClassifier()))


def test_a_learner_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match=r"unknown learner 'xgbost'; use one of .*xgboost"):
        Candidate("xgbost")


def test_an_average_is_called_by_its_members():
    average = Candidate("average", hyperparameters={"members": ["a", "b", "c"]})
    assert (average.name, average.kind) == ("average of a, b and c", "supervised")


def test_the_same_seed_gives_the_same_scores():
    for candidate in models.candidates("quick", features=FEATURES):
        if not candidate.members:
            np.testing.assert_array_equal(scores_of(candidate), scores_of(candidate))


@EACH
def test_smote_is_left_out_where_values_are_missing(each):
    assert not [c for c in models.candidates("full", complete=False) if "SMOTE" in c.name]
    holes = X.copy()
    holes[::7, 2] = np.nan
    for candidate in some(models.candidates("full", complete=False, features=FEATURES), each):
        assert np.isfinite(scores_of(candidate, holes)).all(), candidate.name


def test_treatments_that_change_nothing_are_left_out_and_named():
    y = np.arange(1000) % 5 == 0  # 1 fraud in 5: more than the 1 in 11 that these would make
    listed = models.candidates("quick", y=y, features=FEATURES)
    assert {candidate.imbalance for candidate in listed} == {"none"}
    assert set(models.left_out("quick", y=y)) == {"undersample 1:10", "SMOTE 1:10"}
    assert "1 row in 5 to learn from is a fraud already" in models.left_out("quick", y=y)["SMOTE 1:10"]
    full = {candidate.imbalance for candidate in models.candidates("full", y=y)}
    assert full == {"none", "class weight", "undersample 1:1", "SMOTE"}
    assert list(models.left_out("full", y=Y)) == ["undersample 1:50"]  # 1 in 30
    rare = np.arange(1000) % 200 == 0
    assert models.left_out("full", y=rare) == {} and models.candidates("full", y=rare) == models.candidates("full")
    assert "values are missing" in models.left_out("full", complete=False, y=rare)["SMOTE"]
