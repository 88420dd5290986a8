"""Metrics of one model on one set of rows."""

from dataclasses import fields

import numpy as np
import pytest
from evaluation import made
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from fraud_utils.evaluation.metrics import average_precision, metrics, top_k
from fraud_utils.record import Metrics


def rows(y, amount=None):
    return made.rows(np.empty((len(y), 0)), y, amount=amount)


labels_and_scores = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=50).filter(
    lambda pairs: 0 < sum(label for label, _ in pairs) < len(pairs)
)


@given(labels_and_scores)
def test_average_precision_equals_scikit_learns_with_ties(pairs):
    y, score = np.array(pairs, dtype=float).T
    assert average_precision(y, score) == pytest.approx(sk.average_precision_score(y, score), abs=1e-12)


def test_a_fold_with_another_scale_does_not_change_a_mean_over_folds():
    rng = np.random.default_rng(0)
    y, block = np.tile(np.repeat([1, 0], [10, 90]), 2), np.repeat([0, 1], 100)
    score = rng.normal(y, 1)
    moved = np.where(block == 1, score + 100, score)
    assert average_precision(y, moved, block) == average_precision(y, score, block)
    assert average_precision(y, moved) < average_precision(y, score)
    parts = [sk.average_precision_score(y[:100], part) for part in score.reshape(2, 100)]
    assert average_precision(y[:100], score) == pytest.approx(np.mean(parts))  # without blocks each repeat is one


def test_top_k_counts_ties_by_their_share():
    y, score = np.array([1, 0, 1, 0, 0, 1]), np.array([0.9, 0.8, 0.5, 0.5, 0.5, 0.1])
    assert top_k(y, score, 2) == (0.5, 1 / 3)
    precision, recall = top_k(y, score, 4)  # two of the three tied rows, one third of them fraud
    assert (precision, recall) == (pytest.approx((1 + 2 / 3) / 4), pytest.approx((1 + 2 / 3) / 3))
    assert top_k(y, score, 100) == (0.5, 1)  # of fewer rows, all


def test_metrics_agree_with_scikit_learns():
    rng = np.random.default_rng(2)
    y = np.repeat([1, 0], [40, 900])
    score = np.clip(rng.normal(0.2 + 0.4 * y, 0.2), 0, 1).round(2)
    got = metrics(rows(y), score, 0.4)
    assert got["roc_auc"] == pytest.approx(sk.roc_auc_score(y, score))
    assert got["brier"] == pytest.approx(sk.brier_score_loss(y, score))
    assert got["log_loss"] == pytest.approx(sk.log_loss(y, np.clip(score, 1e-15, 1 - 1e-15)))
    for key, judge in {"f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}.items():
        assert got[key] == pytest.approx(judge(y, score >= 0.4)), key
    only = metrics(rows(y), np.where(np.arange(940) == 0, 1.0, 0.0), 0.5)
    assert (only["precision"], only["recall"]) == (1, 1 / 40)
    nothing = metrics(rows(y), score, 2.0)
    assert (nothing["precision"], nothing["recall"], nothing["f1"]) == (0, 0, 0)


def test_metrics_of_repeats_are_means_over_them():
    rng = np.random.default_rng(1)
    y, amount = np.repeat([1, 0], [30, 500]), rng.exponential(50, 530)
    first, second = np.clip(rng.normal(0.3 + 0.4 * np.tile(y, 2), 0.2), 0, 1).reshape(2, -1)
    one, two, both = (
        metrics(rows(y, amount), score, 0.5) for score in (first, second, np.concatenate([first, second]))
    )
    for key in ("roc_auc", "f1", "recall", "recall_at_100", "brier", "savings"):
        assert both[key] == pytest.approx((one[key] + two[key]) / 2), key
    assert both["savings_ci"] == pytest.approx(np.mean([one["savings_ci"], two["savings_ci"]], axis=0).tolist())


def test_metrics_are_those_of_the_record_and_none_where_one_does_not_apply():
    rng = np.random.default_rng(0)
    y, score = np.repeat([1, 0], [20, 300]), rng.random(320)
    full = metrics(rows(y, np.ones(320)), score, 0.5)
    of_rows = [item.name for item in fields(Metrics)][:-3]  # the last are of days and cards
    assert ["average_precision", "average_precision_ci", *full] == of_rows
    assert None not in full.values()
    for bare in (metrics(rows(y), score, 0.5), metrics(rows(y, np.zeros(320)), score, 0.5)):
        assert {key for key, value in bare.items() if value is None} == {"savings", "savings_ci"}
    anomalies = metrics(rows(y, np.ones(320)), score * 9, 0.5, probability=False)
    assert {key for key, value in anomalies.items() if value is None} == {"brier", "log_loss", "savings", "savings_ci"}
