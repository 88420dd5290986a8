"""The table of learners. To add one, write a function like those below; nothing else has to know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fraud_utils.models.treatments import Treatment

Kind = Literal["baseline", "supervised", "unsupervised"]
Steps = list[Any]
Build = Callable[[dict[str, Any], Treatment, int], Steps]


@dataclass(frozen=True)
class Learner:
    """One entry of the table.

    Attributes
    ----------
    build : callable
        From hyperparameters, treatment and seed to the steps of a pipeline, the model last. One thread each, since
        `evaluation` fits several at a time.
    kind : {"baseline", "supervised", "unsupervised"}
        Unsupervised ones see no labels, so no treatment applies; they give `score_samples`, not probabilities.
    class_weights : bool
        Whether it can weight frauds.
    draws_inside : bool
        Whether each of its members draws its own legitimate rows, so that none are drawn before it.
    """

    build: Build
    kind: Kind = "supervised"
    class_weights: bool = False
    draws_inside: bool = False


LEARNERS: dict[str, Learner] = {}


def _learner(name: str, **properties: Any) -> Callable[[Build], Build]:
    """Enter a function into the table."""

    def enter(build: Build) -> Build:
        LEARNERS[name] = Learner(build, **properties)
        return build

    return enter


def _imputed() -> Steps:
    from sklearn.impute import SimpleImputer

    return [SimpleImputer(strategy="median")]


def _scaled() -> Steps:
    from sklearn.preprocessing import StandardScaler

    return [*_imputed(), StandardScaler()]


@_learner("dummy", kind="baseline")
def _dummy(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from sklearn.dummy import DummyClassifier

    return [DummyClassifier(strategy="prior", **settings)]


@_learner("amount rule", kind="baseline")
def _amount_rule(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    """Fraud rates in bands of the amount, which stands in `column` of the matrix."""
    from sklearn.compose import make_column_transformer
    from sklearn.tree import DecisionTreeClassifier

    (impute,) = _imputed()
    bands = DecisionTreeClassifier(max_leaf_nodes=10, min_samples_leaf=0.005, random_state=seed)
    return [make_column_transformer((impute, [settings["column"]])), bands]


@_learner("logistic regression", class_weights=True)
def _logistic_regression(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from sklearn.linear_model import LogisticRegression

    return [*_scaled(), LogisticRegression(max_iter=1000, class_weight=treatment.class_weight, **settings)]


@_learner("random forest", class_weights=True)
def _random_forest(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from sklearn.ensemble import RandomForestClassifier

    settings |= {"class_weight": treatment.class_weight, "random_state": seed, "n_jobs": 1}
    return [RandomForestClassifier(**settings)]


@_learner("extra trees", class_weights=True)
def _extra_trees(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from sklearn.ensemble import ExtraTreesClassifier

    return [ExtraTreesClassifier(class_weight=treatment.class_weight, random_state=seed, n_jobs=1, **settings)]


@_learner("balanced random forest", draws_inside=True)
def _balanced_random_forest(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from imblearn.ensemble import BalancedRandomForestClassifier

    settings = {"n_estimators": 100, "sampling_strategy": "all", "replacement": True} | settings
    return [*_imputed(), BalancedRandomForestClassifier(bootstrap=False, random_state=seed, n_jobs=1, **settings)]


@_learner("xgboost", class_weights=True)
@_learner("xgboost defaults")
def _xgboost(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from fraud_utils.models.estimators import XGBoost

    return [XGBoost(settings, "class weight" if treatment.class_weight else "none", seed)]


@_learner("bagged xgboost", draws_inside=True)
def _bagged_xgboost(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from imblearn.ensemble import BalancedBaggingClassifier

    from fraud_utils.models.estimators import XGBoost

    draw = {"sampling_strategy": lambda y: {0: treatment.counts(y)[0]}, "bootstrap": False}
    return [BalancedBaggingClassifier(XGBoost(settings), 10, random_state=seed, n_jobs=1, **draw)]


@_learner("histogram gradient boosting", class_weights=True)
def _histogram_gradient_boosting(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # L2 and a fixed number of trees: with the library's own settings it collapses where frauds are rare.
    settings = {"learning_rate": 0.05, "max_iter": 200, "max_leaf_nodes": 15, "l2_regularization": 10} | settings
    settings |= {"early_stopping": False, "class_weight": treatment.class_weight, "random_state": seed}
    return [HistGradientBoostingClassifier(**settings)]


@_learner("neural network")
def _neural_network(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from sklearn.ensemble import BaggingClassifier
    from sklearn.neural_network import MLPClassifier

    # One network's average precision varies by .01 with its seed alone: several are averaged.
    one = MLPClassifier(hidden_layer_sizes=(64, 32), alpha=1e-3, batch_size=512, max_iter=15)
    return [*_scaled(), BaggingClassifier(one, bootstrap=False, random_state=seed, **settings)]


@_learner("isolation forest", kind="unsupervised")
def _isolation_forest(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from sklearn.ensemble import IsolationForest

    return [*_imputed(), IsolationForest(random_state=seed, **settings)]


@_learner("PCA reconstruction", kind="unsupervised")
def _pca_reconstruction(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from sklearn.decomposition import PCA

    from fraud_utils.models.estimators import Reconstruction

    return [*_scaled(), Reconstruction(PCA(**{"n_components": 0.5, "random_state": seed} | settings))]


@_learner("robust covariance", kind="unsupervised")
def _robust_covariance(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from imblearn import FunctionSampler
    from sklearn.covariance import EllipticEnvelope

    # On all rows of the reference set the search takes 44 s of CPU, and ranks no better than on a sample.
    sample = FunctionSampler(func=_some_rows, kw_args={"seed": seed}, validate=False)
    return [*_scaled(), sample, EllipticEnvelope(support_fraction=0.9, random_state=seed, **settings)]


def _some_rows(X: np.ndarray, y: np.ndarray, seed: int, most: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(seed).choice(len(X), min(most, len(X)), replace=False)
    return X[rows], y[rows]


@_learner("autoencoder", kind="unsupervised")
def _autoencoder(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from sklearn.neural_network import MLPRegressor

    from fraud_utils.models.estimators import Reconstruction

    settings = {"hidden_layer_sizes": (16, 4, 16), "max_iter": 5, "batch_size": 512, "random_state": seed} | settings
    return [*_scaled(), Reconstruction(MLPRegressor(**settings))]


@_learner("xgboost on anomaly scores")
def _xgboost_on_anomaly_scores(settings: dict[str, Any], treatment: Treatment, seed: int) -> Steps:
    from imblearn.pipeline import make_pipeline

    from fraud_utils.models.estimators import AnomalyScores, XGBoost

    detectors = [make_pipeline(*build({}, treatment, seed)) for build in (_isolation_forest, _pca_reconstruction)]
    return [*_imputed(), AnomalyScores(detectors), XGBoost(settings, seed=seed)]
