"""Cards at merchants: frauds that a row hardly shows and a history does."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from fraud_utils import models
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema, load_transactions, split_transactions
from fraud_utils.data.simulate import simulate_cards

SCHEMA = Schema.read(simulate="cards")


@pytest.fixture(scope="module")
def frame():
    return load_transactions("", SCHEMA)


def test_is_a_loaded_table_that_says_it_is_simulated(frame):
    assert tuple(frame) == SCHEMA.columns
    assert frame.attrs["provenance"]["name"] == "SIMULATED cards at merchants (generator 2.0, seed 7)"
    assert frame.attrs["provenance"]["simulated"]
    assert frame["time"].is_monotonic_increasing
    assert frame["transaction_id"].is_unique
    assert np.abs(frame["amount"] * 100 - (frame["amount"] * 100).round()).max() < 1e-6
    assert frame.notna().all(axis=None)
    assert 0.005 < frame["fraud"].mean() < 0.02


def test_seed_decides_every_row():
    assert simulate_cards(3, rows=2_000).equals(simulate_cards(3, rows=2_000))
    assert not simulate_cards(3, rows=2_000).equals(simulate_cards(4, rows=2_000))


def test_history_shows_what_rows_do_not(frame):
    """The same rows and learner, with history and without; and labels that are not known yet tell nothing."""
    split = split_transactions(frame, SCHEMA)
    found = {}
    for name, history in (("rows", ()), ("history", SCHEMA.history)):
        features = FeatureMap.fit(dataclasses.replace(SCHEMA, history=history), split.train)
        y = split.train["fraud"].to_numpy()
        booster = models.fit_xgboost(features.matrix(split.train), y, hyperparameters={"num_round": 50, "max_bin": 256})
        score = booster.inplace_predict(features.matrix(split.test))
        found[name] = average_precision_score(split.test["fraud"], score)
    assert found["rows"] < 0.15
    assert found["history"] > 3 * found["rows"]
    assert found["history"] < 0.8  # more would be a leak: the first week at a compromised merchant cannot be seen
