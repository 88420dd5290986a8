"""Candidates and treatments of imbalance."""

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


def table(rows: int = 3000, frauds: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two shifted Gaussian clouds."""
    rng = np.random.default_rng(seed)
    y = np.zeros(rows, dtype=np.int8)
    y[rng.choice(rows, frauds, replace=False)] = 1
    X = rng.normal(size=(rows, 5)) + 1.5 * y[:, None]
    return X.astype(np.float32), y


def scores_of(candidate: Candidate, X: np.ndarray, y: np.ndarray, seed: int = 1) -> np.ndarray:
    model = models.build(candidate, seed).fit(X, y)
    return model.predict_proba(X)[:, 1] if hasattr(model, "predict_proba") else -model.score_samples(X)


FEATURES = FeatureMap(("a", "b", "c", "d"), "amount")


@pytest.mark.parametrize("profile", ["full", "quick"])
def test_every_candidate_fits_and_ranks_frauds_higher(profile):
    X, y = table()
    listed = models.candidates(profile, features=FEATURES)
    assert len({candidate.name for candidate in listed}) == len(listed)
    assert {"baseline", "supervised", "unsupervised"} == {candidate.kind for candidate in listed}
    for candidate in listed:
        if candidate.learner == "average":
            continue
        scores = scores_of(candidate, X, y)
        assert np.isfinite(scores).all()
        if candidate.kind != "unsupervised":
            assert ((scores >= 0) & (scores <= 1)).all()
        if candidate.learner != "dummy":
            assert scores[y == 1].mean() > scores[y == 0].mean(), candidate.name


def test_the_full_list_is_what_the_report_promises():
    listed = models.candidates("full", features=FEATURES)
    assert len(listed) >= 25
    for learner in ("logistic regression", "random forest", "xgboost"):
        treated = {candidate.imbalance for candidate in listed if candidate.learner == learner}
        wanted = {"none", "class weight", "undersample 1:1", "undersample 1:10", "undersample 1:50", "SMOTE 1:10"}
        assert wanted <= treated, learner
    assert {c.learner for c in listed if c.kind == "unsupervised"} == set(models.UNSUPERVISED)
    assert "amount rule" not in {c.learner for c in models.candidates("full")}  # a table without amounts


@pytest.mark.parametrize("learner", models.UNSUPERVISED)
def test_learners_without_labels_do_not_see_them(learner):
    X, y = table()
    shuffled = np.random.default_rng(1).permutation(y)
    np.testing.assert_array_equal(*(scores_of(Candidate(learner), X, labels) for labels in (y, shuffled)))


def test_somebody_brings_an_estimator():
    X, y = table()
    own = Candidate("stump", "undersample 1:10", {"max_depth": 1}, estimator=DecisionTreeClassifier(max_depth=9))
    model = models.build(own, seed=3).fit(X, y)
    assert own.name == "stump + undersample 1:10"
    assert own.kind == "supervised"
    assert model[-1].get_depth() == 1
    assert model[-1].random_state == 3
    assert Candidate("forest", estimator=IsolationForest()).kind == "unsupervised"


def test_a_treatment_that_a_learner_cannot_take_is_refused():
    X, y = table()
    with pytest.raises(ValueError, match=r"neural network .*takes no class weights"):
        models.build(Candidate("neural network", "class weight"))
    with pytest.raises(ValueError, match="needs labels"):
        models.build(Candidate("isolation forest", "undersample 1:1"))
    weighted = models.build(Candidate("own", "class weight", estimator=DecisionTreeClassifier())).fit(X, y)
    assert weighted[-1].class_weight == "balanced"
    inner = make_pipeline(StandardScaler(), LogisticRegression())
    assert models.build(Candidate("own", "class weight", estimator=inner))[-1][-1].class_weight == "balanced"
    with pytest.raises(ValueError, match="class_weight"):
        models.build(Candidate("own", "class weight", estimator=KNeighborsClassifier()))


def test_an_average_is_called_by_its_members():
    assert Candidate("average", hyperparameters={"members": ["a", "b", "c"]}).name == "average of a, b and c"


def test_the_same_seed_gives_the_same_scores():
    X, y = table()
    for candidate in models.candidates("quick", features=FEATURES):
        if candidate.learner != "average":
            np.testing.assert_array_equal(scores_of(candidate, X, y), scores_of(candidate, X, y))


def test_smote_is_left_out_where_values_are_missing():
    assert not [c for c in models.candidates("full", complete=False) if "SMOTE" in c.name]
    X, y = table()
    X[::7, 2] = np.nan
    for candidate in models.candidates("full", complete=False, features=FEATURES):
        if candidate.learner != "average":
            assert np.isfinite(scores_of(candidate, X, y)).all(), candidate.name


@pytest.mark.parametrize(
    ("imbalance", "legitimate", "frauds"),
    [
        ("none", 2940, 60),
        ("class weight", 2940, 60),
        ("undersample 1:1", 60, 60),
        ("undersample 1:10", 600, 60),
        ("undersample 1:100", 2940, 60),  # the rows are more balanced than that already
        ("SMOTE", 2940, 2940),
        ("SMOTE 1:10", 2940, 294),
        ("Borderline-SMOTE 1:10", 2940, 294),
        ("SMOTE 1:1000", 2940, 60),
    ],
)
def test_a_treatment_leaves_as_many_rows_as_it_says(imbalance, legitimate, frauds):
    X, y = table()
    sampler = models.sampler(imbalance, 3)
    kept = y if sampler is None else sampler.fit_resample(X, y)[1]
    assert ((kept == 0).sum(), (kept == 1).sum()) == (legitimate, frauds)


def test_kept_share_turns_prior_odds_into_treated_odds():
    _, y = table()
    prior = 60 / 2940
    assert models.kept_share("none", y) == 1
    assert models.kept_share("undersample 1:10", y) == pytest.approx(600 / 2940)  # the share of rows kept
    assert models.kept_share("class weight", y) == pytest.approx(prior)  # 1 / weight
    assert models.kept_share("SMOTE 1:10", y) == pytest.approx(60 / 294)
    assert models.positive_weight("class weight", y) == pytest.approx(1 / prior)
    assert models.positive_weight("undersample 1:10", y) == 1


@pytest.mark.parametrize("wrong", ["smote", "undersample", "undersample 1:0", "undersample 1:x", "SMOTE 1:-3", ""])
def test_an_unknown_treatment_is_refused_with_the_known_ones(wrong):
    with pytest.raises(ValueError, match="undersample 1:N, SMOTE"):
        models.sampler(wrong, 0)


@pytest.mark.parametrize(
    "imbalance", ["none", "class weight", "undersample 1:10", "SMOTE", "SMOTE 1:10", "SMOTE 1:1000"]
)
def test_the_pipeline_and_the_container_fit_the_same_trees(imbalance):
    X, y = table()
    settings = {"num_round": 20}
    pipeline = models.build(Candidate("xgboost", imbalance, settings), seed=5).fit(X, y)
    booster = models.fit_xgboost(X, y, imbalance, settings, seed=5)
    margin = booster.inplace_predict(X, predict_type="margin").astype(float)
    np.testing.assert_array_equal(pipeline.predict_proba(X)[:, 1], 1 / (1 + np.exp(-margin)))


def test_xgboost_does_not_collapse_where_frauds_are_rare():
    X, y = table(60_000, 60)
    scores = models.fit_xgboost(X, y, hyperparameters={"num_round": 30}).inplace_predict(X)
    from sklearn.metrics import average_precision_score

    assert average_precision_score(y, scores) > 100 * y.mean()


def test_threads_do_not_change_the_model():
    X, y = table(20_000, 300)
    one, two = (models.fit_xgboost(X, y, nthread=n).inplace_predict(X) for n in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_the_number_of_bins_bounds_the_cuts_of_a_column():
    X, y = table()
    trees = models.fit_xgboost(X, y, hyperparameters={"num_round": 60, "max_bin": 8}).trees_to_dataframe()
    cuts = trees[trees["Feature"] != "Leaf"].groupby("Feature")["Split"].nunique()
    assert len(cuts) == X.shape[1] and cuts.max() <= 8
