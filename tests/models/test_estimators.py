"""Estimators of our own."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression

from fraud_utils.models.estimators import AnomalyScores, Reconstruction, XGBoost

X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
X[:, 2] = X[:, 0]  # a plane, but for the rows that leave it
X[::50, 2] += 4


def test_rows_that_cannot_be_reproduced_score_lowest():
    scores = Reconstruction(PCA(2)).fit(X).score_samples(X)
    assert set(np.argsort(scores)[:6]) == set(range(0, 300, 50))
    perfect = Reconstruction(LinearRegression()).fit(X)  # from all columns to all columns
    assert perfect.score_samples(X) == pytest.approx(0, abs=1e-10)


def test_anomaly_scores_are_further_columns():
    detectors = [IsolationForest(random_state=0), Reconstruction(PCA(2))]
    more = AnomalyScores(detectors).fit(X).transform(X)
    assert (more.shape, more.dtype) == ((300, 5), np.float32)
    np.testing.assert_array_equal(more[:, :3], X)
    assert more[:, 4] == pytest.approx(Reconstruction(PCA(2)).fit(X).score_samples(X), abs=1e-5)


def test_labels_are_given_at_one_half():
    y = (X[:, 0] > 1).astype(np.int8)
    model = XGBoost({"num_round": 10}).fit(X, y)
    probability = model.predict_proba(X)
    assert probability.sum(axis=1) == pytest.approx(1)
    np.testing.assert_array_equal(model.predict(X), probability[:, 1] > 0.5)
