"""XGBoost as notebooks and the container fit it."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold

from fraud_utils import models
from fraud_utils.models import Candidate


def amounts(rows: int = 12_000) -> tuple[np.ndarray, np.ndarray]:
    """An amount alone, as in the Handbook's raw month: the highest 0.3 % are fraud, others are one in a thousand."""
    rng = np.random.default_rng(0)
    amount = rng.gamma(1.5, 35, rows)
    y = (amount > np.quantile(amount, 0.997)) | (rng.random(rows) < 0.001)
    return np.log1p(amount)[:, None].astype(np.float32), y.astype(np.int8)


def out_of_fold(candidate: Candidate, X: np.ndarray, y: np.ndarray) -> float:
    """Mean average precision of three folds."""
    reached = []
    for fit, held_out in StratifiedKFold(3, shuffle=True, random_state=0).split(X, y):
        scores = models.build(candidate).fit(X[fit], y[fit]).predict_proba(X[held_out])[:, 1]
        reached.append(average_precision_score(y[held_out], scores))
    return float(np.mean(reached))


def table(rows: int = 2000, frauds: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Two shifted Gaussian clouds."""
    rng = np.random.default_rng(0)
    y = np.zeros(rows, dtype=np.int8)
    y[rng.choice(rows, frauds, replace=False)] = 1
    return (rng.normal(size=(rows, 5)) + 1.5 * y[:, None]).astype(np.float32), y


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
    assert average_precision_score(y, scores) > 100 * y.mean()


def test_threads_do_not_change_the_model():
    X, y = table(5000, 150)
    settings = {"num_round": 40}
    one, two = (models.fit_xgboost(X, y, "none", settings, nthread=n).inplace_predict(X) for n in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_the_number_of_bins_bounds_the_cuts_of_a_column():
    X, y = table()
    trees = models.fit_xgboost(X, y, hyperparameters={"num_round": 60, "max_bin": 8}).trees_to_dataframe()
    cuts = trees[trees["Feature"] != "Leaf"].groupby("Feature")["Split"].nunique()
    assert len(cuts) == X.shape[1] and cuts.max() <= 8


@pytest.mark.parametrize("profile", ["full", "quick"])
def test_a_rule_in_the_last_thousandths_of_a_column_is_seen(profile):
    """No ranking beats a linear one here, whose standard error is .05: within .03 of it is as good as it is."""
    X, y = amounts()
    linear = out_of_fold(Candidate("logistic regression"), X, y)
    assert out_of_fold(models.xgboost_by_hand(profile), X, y) > linear - 0.03
    coarse = {**models.xgboost_by_hand(profile).hyperparameters, "max_bin": 256}
    assert out_of_fold(Candidate("xgboost", hyperparameters=coarse), X, y) < linear - 0.1


def merchants(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes of 500 merchants, one in ten of them risky, with nothing in their order."""
    rng = np.random.default_rng(seed)
    code = rng.integers(0, 500, rows)
    risky = np.random.default_rng(0).permutation(500)[:50]
    y = rng.random(rows) < np.where(np.isin(code, risky), 0.2, 0.01)
    return np.column_stack([rng.normal(size=rows), code]).astype(np.float32), y.astype(np.int8)


def test_codes_of_categories_are_parted_by_sets():
    (X, y), (new, labels) = merchants(20_000, 1), merchants(20_000, 2)
    by_sets, by_order = (
        models.fit_xgboost(X, y, hyperparameters={"num_round": 60, "categorical": places}) for places in ((1,), ())
    )
    assert by_sets.feature_types == ["q", "c"]
    reached = [average_precision_score(labels, booster.inplace_predict(new)) for booster in (by_sets, by_order)]
    assert reached[0] > reached[1] + 0.02


def test_codes_are_numbers_where_smote_makes_rows_between_them():
    """Also where it made them long before: the lab of wrong measurements resamples before the folds."""
    X, y = merchants(3000, 1)
    candidate = Candidate("xgboost", "SMOTE 1:10", {"num_round": 5, "categorical": (1,)})
    pipeline = models.build(candidate).fit(X, y)
    booster = models.fit_xgboost(X, y, "SMOTE 1:10", candidate.hyperparameters)
    np.testing.assert_array_equal(pipeline[-1].booster_.inplace_predict(X), booster.inplace_predict(X))
    assert booster.feature_types is None
    before = models.Treatment.parse("SMOTE 1:10").resample(X, y, 3)
    assert models.fit_xgboost(*before, hyperparameters=candidate.hyperparameters).feature_types is None
    assert "categorical" not in candidate.settings
