"""Estimators of our own."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression

from fraud_utils.models.estimators import AnomalyScores, Medians, Reconstruction, TailBins, XGBoost

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


@pytest.mark.parametrize("rows", [299, 300])
def test_medians_fill_in_what_scikit_learn_fills_in(rows):
    known = X[:rows].copy()
    known[::7, 1] = np.nan
    new = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)
    filled = Medians().fit(known).transform(new)
    np.testing.assert_allclose(filled, SimpleImputer(strategy="median").fit(known).transform(new), rtol=1e-6)
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(Medians().fit(known).transform(X), X)


def test_labels_are_given_at_one_half():
    y = (X[:, 0] > 1).astype(np.int8)
    model = XGBoost({"num_round": 10}).fit(X, y)
    probability = model.predict_proba(X)
    assert probability.sum(axis=1) == pytest.approx(1)
    np.testing.assert_array_equal(model.predict(X), probability[:, 1] > 0.5)


def test_bins_are_finest_in_the_tails_and_keep_the_order():
    column = np.random.default_rng(0).permutation(20_000).astype(np.float32)
    holes = np.where(column == 5, np.nan, column)
    binned = TailBins().fit(column[:, None]).transform(np.column_stack([column]))[:, 0]
    in_order = binned[np.argsort(column)]
    assert (np.diff(in_order) >= 0).all()
    assert len(np.unique(binned)) <= 255
    assert len(np.unique(in_order[-40:])) >= 8  # 0.2 % of the rows, half a bin of equal frequency
    assert len(np.unique(in_order[:40])) >= 8
    assert np.unique(in_order[9000:11000]).size >= 15
    again = TailBins().fit(holes[:, None]).transform(holes[:, None])[:, 0]
    np.testing.assert_array_equal(np.isnan(again), np.isnan(holes))


def test_bins_of_columns_with_few_or_no_values_are_those_values():
    X = np.column_stack([np.arange(50) % 2, np.full(50, np.nan), np.full(50, 3.0)]).astype(np.float32)
    binned = TailBins().fit(X).transform(X)
    assert binned.dtype == np.float32
    assert len(np.unique(binned[:, 0])) == 2
    assert np.isnan(binned[:, 1]).all()
    assert len(np.unique(binned[:, 2])) == 1
