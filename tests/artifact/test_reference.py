"""What monitoring compares with: bins that hold every value, and the promise counted on rows of known labels."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from fraud_utils.artifact import Distribution, Promise, Reference


def test_every_number_has_a_bin_and_those_outside_training_have_bins_of_their_own():
    learned = Distribution.of(np.arange(1000.0))
    assert learned.counts.tolist() == [0, *[100] * 10, 0, 0]
    assert learned.count([-1.0, 0.0, 999.0, 1000.0, np.inf, np.nan, None]).tolist() == [1, 1, *[0] * 8, 1, 2, 2]
    assert len(learned.names()) == learned.bins


@pytest.mark.parametrize("values", [[5.0] * 9, [0.0] * 95 + [1.0] * 5, [np.nan] * 3, [1.5]])
def test_ties_constants_and_nothing_at_all_are_counted_too(values):
    learned = Distribution.of(np.array(values))
    assert learned.counts.sum() == len(values) and learned.count(values).tolist() == learned.counts.tolist()
    assert learned.counts[-1] == np.isnan(values).sum()


def test_text_has_bins_for_frequent_values_for_others_and_for_none():
    column = pd.Series(["web", "pos", "web", None, "moto"], dtype="category")
    learned = Distribution.of(column.to_numpy())
    assert learned.names() == ["moto", "pos", "web", "other values", "missing"]
    assert learned.counts.tolist() == [1, 1, 2, 0, 1]
    assert learned.count(["fax", "", None, np.nan, "web"]).tolist() == [0, 0, 1, 1, 3]


def test_only_frequent_values_have_a_bin():
    learned = Distribution.of(np.array([str(i) for i in range(40)] + ["often"] * 5, dtype=object))
    assert "often" in learned.values and learned.bins == 34
    assert learned.counts[-2] == 9


def test_a_promise_counts_alerts_from_the_threshold_on_and_the_money_behind_them():
    y, score, paid = [1, 1, 0, 0, 1], [0.9, 0.5, 0.5, 0.1, 0.2], [10.0, 20.0, 5.0, 1.0, 40.0]
    promise = Promise.of("validation", y, score, 0.5, paid)
    assert (promise.rows, promise.frauds, promise.alerts, promise.caught) == (5, 3, 3, 2)
    assert (promise.fraud_amount, promise.caught_amount) == (70, 30)
    assert promise.expected_frauds == pytest.approx(2.2)
    assert promise.average_precision == pytest.approx(average_precision_score(y, score))
    assert Promise.of("train", [0, 0], [0.1, 0.2], 0.5).average_precision is None


def test_a_reference_comes_back_from_json_as_it_was():
    columns = {
        "a": Distribution.of(np.random.default_rng(0).normal(size=300)),
        "c": Distribution.of(np.array(["x", "y"] * 9)),
    }
    kept = Reference(
        columns, Distribution.of(np.linspace(0, 1, 50)), Promise.of("train", [1, 0], [0.3, 0.1], 0.2, [2, 3])
    )
    read = Reference.from_dict(json.loads(json.dumps(kept.to_dict())))
    assert read.promise == kept.promise and read.to_dict() == kept.to_dict()
    assert read.columns["a"].count([0.0]).tolist() == kept.columns["a"].count([0.0]).tolist()
