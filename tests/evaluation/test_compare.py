"""The comparison's tables, ties and sentences."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from evaluation import made
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from fraud_utils import record
from fraud_utils.evaluation import Protocol, Scores, bootstrap_average_precision, compare
from fraud_utils.intervals import percentile
from fraud_utils.models import Candidate

A, B, C = (Candidate("logistic regression", note=note) for note in "abc")
a, b, c = (candidate.name for candidate in (A, B, C))


def scored(candidates: list[Candidate], strengths: list[float], rows: int = 4000) -> Scores:
    """Scores of known strength for some frauds."""
    rng = np.random.default_rng(0)
    y = (np.arange(rows) < rows // 20).astype(int)
    normal = {c.name: rng.normal(strength * y, 1) for c, strength in zip(candidates, strengths, strict=True)}
    values = pd.DataFrame({name: 1 / (1 + np.exp(3 - value)) for name, value in normal.items()})
    return made.scores(y, values, amount=rng.exponential(50, rows))


def judge(candidates: list[Candidate], scores: Scores) -> tuple[pd.DataFrame, pd.DataFrame]:
    resampled = bootstrap_average_precision(scores, Protocol(resamples=200))
    return compare.judge(candidates, scores, resampled), resampled


def test_each_candidate_is_judged_on_the_same_rows_and_recorded_so(tmp_path):
    listed = [Candidate("xgboost", "undersample 1:10"), Candidate("isolation forest")]
    scores = scored(listed, [2.0, 1.0])
    table, resampled = judge(listed, scores)
    name = listed[0].name
    assert list(table.loc[name, ["learner", "imbalance", "kind"]]) == ["xgboost", "undersample 1:10", "supervised"]
    score = scores.of(listed[0])
    assert table.loc[name, "average_precision"] == pytest.approx(average_precision_score(scores.rows.y, score))
    assert table.loc[name, "average_precision_ci"] == percentile(resampled[name])
    fixed = compare.judge(listed, scores, resampled, thresholds={each.name: 0.5 for each in listed})
    assert fixed.loc[name, "recall"] == (score[scores.rows.y == 1] >= 0.5).mean()
    assert (fixed["f1"] < table["f1"]).all()  # without thresholds each candidate has its best on these very rows
    # Anomaly scores are no probabilities.
    assert table.loc["isolation forest", ["brier", "log_loss", "savings"]].isna().all()
    assert np.isfinite(table.loc[name, ["brier", "log_loss", "savings"]].astype(float)).all()
    seconds = pd.Series(2.0, table.index)
    record.add(tmp_path, models=compare.as_models(table, fixed, seconds, seconds * 3))
    first, second = record.read(tmp_path).models
    assert (first.name, first.imbalance, first.seconds) == (name, "undersample 1:10", {"fold_fit": 2.0, "fit": 6.0})
    assert first.oof.f1 == table.loc[name, "f1"] and first.test.f1 == fixed.loc[name, "f1"]
    assert {key for key, value in asdict(second.test).items() if value is None} == {
        *("brier", "log_loss", "savings", "savings_ci", "card_precision", "card_precision_attainable")
    }


def test_the_tie_set_holds_whatever_reaches_the_best_in_a_paired_comparison():
    rng = np.random.default_rng(0)
    best = rng.normal(0.8, 0.05, 500)
    resampled = pd.DataFrame({a: best, b: best - 0.01 + rng.normal(0, 0.01, 500), c: best - 0.02})
    table = pd.DataFrame({"average_precision": [0.8, 0.79, 0.78]}, [a, b, c])
    # c's own interval overlaps that of the best by far, but it trails it on every resample.
    assert compare.tie_set([C, B, A], table, resampled) == [A, B]


def test_where_all_are_alike_hardly_a_comparison_puts_one_behind():
    """The best of many that are equal is far from the worst by chance; an interval of each pair would say behind."""
    rng, claims = np.random.default_rng(1), 0
    listed = [Candidate("logistic regression", note=str(number)) for number in range(15)]
    names = [candidate.name for candidate in listed]
    for _ in range(100):
        points = rng.normal(0.8, 0.02, 15)
        resampled = pd.DataFrame(points + rng.normal(0, 0.02, (300, 15)), columns=names)
        table = pd.DataFrame({"average_precision": points, "kind": "supervised"}, names)
        claims += len(compare.tie_set(listed, table, resampled)) < 15
        assert compare.collapsed(table, resampled) == []
    assert claims <= 10  # five are expected


def test_candidates_that_score_alike_are_tied():
    resampled = pd.DataFrame(dict.fromkeys((a, b), np.random.default_rng(0).normal(0.8, 0.05, 200)))
    table = pd.DataFrame({"average_precision": [0.8, 0.8]}, [a, b])
    assert compare.tie_set([A, B], table, resampled) == [A, B]


def test_the_sentence_on_ties_claims_no_loser_where_there_is_none():
    points = {"average_precision": [0.8, 0.7, 0.7], "average_precision_ci": [[0.7, 0.9], [0.6, 0.8], [0.6, 0.8]]}
    table = pd.DataFrame(points, [a, b, c])
    two = table.loc[[a, b]]
    assert f"Statistically tied with it: {b} (0.700), which is all of them." in compare.describe_ties(two, [A, B])
    assert "every other candidate is behind it" in compare.describe_ties(two, [A])
    assert "the other one is behind it" in compare.describe_ties(table, [A, B])
    assert f"**{a}** has the highest average precision, 0.800 [0.700, 0.900]" in compare.describe_ties(table, [A, B])


def test_a_collapsed_fit_is_found_and_an_unsupervised_or_weaker_one_is_not():
    names = ("xgboost", "random forest", "logistic regression", "isolation forest", "xgboost defaults", "dummy")
    listed = [Candidate(name) for name in names]
    table, resampled = judge(listed, scored(listed, [3.0, 3.0, 2.9, 0.5, 1.5, 0.0]))
    assert compare.collapsed(table, resampled) == ["xgboost defaults"]
    assert "xgboost defaults (0." in compare.describe_collapsed(["xgboost defaults"], table)
    assert "no fit has collapsed" in compare.describe_collapsed([], table)


def test_the_table_shows_intervals_and_numbers_only_the_best_first():
    listed = [Candidate("dummy"), Candidate("xgboost")]
    table, _ = judge(listed, scored(listed, [0.0, 2.0]))
    shown = compare.readable(table)
    assert list(shown.index) == ["xgboost", "dummy"]
    assert list(shown.columns[:3]) == ["average precision", "low", "high"]
    bounds = table.loc["xgboost", "average_precision_ci"]
    assert list(shown.loc["xgboost", ["low", "high"]]) == [round(bound, 3) for bound in bounds]
    assert shown.dtypes.eq(float).all() and "repeats" not in shown
    twice = compare.readable(table.assign(repeats=[2, 1]))
    assert twice["repeats"].to_dict() == {"dummy": 2, "xgboost": 1}
    ranked = compare.ranked_intervals(table, [listed[1]])
    assert ranked["group"].to_dict() == {"xgboost": "tie set", "dummy": "outside the tie set"}
    assert list(ranked.loc["xgboost", ["low", "high"]]) == bounds


def test_a_curve_is_drawn_once_for_each_candidate():
    listed = [Candidate("xgboost"), Candidate("dummy")]
    scores = scored(listed, [2.0, 0.0])
    curves = compare.precision_recall(scores, [*listed, listed[0]])
    assert list(curves["name"].unique()) == ["xgboost", "dummy"]
    expected = precision_recall_curve(scores.rows.y, scores.of(listed[0]))
    for values, name in zip(expected[:2], ("precision", "recall"), strict=True):
        np.testing.assert_array_equal(curves.loc[curves["name"] == "xgboost", name], values)


def test_distances_to_the_best_reach_zero_exactly_for_those_that_tie_with_it():
    candidates = [A, B, C]
    scores = scored(candidates, [2.0, 1.9, 0.5])
    table, resampled = judge(candidates, scores)
    behind, tied = compare.distances(table, resampled), compare.tie_set(candidates, table, resampled)
    points = table["average_precision"]
    best = points.idxmax()
    assert behind.loc[best].tolist() == [0, 0, 0] and behind.index[0] == best
    assert behind["value"].to_dict() == pytest.approx((points - points.max()).to_dict())
    assert {name for name in behind.index if behind.loc[name, "high"] >= 0} == {each.name for each in tied}
    assert behind.loc[C.name, "high"] < 0
    own = percentile(resampled[C.name] - resampled[best])
    assert behind.loc[C.name, "low"] < own[0] < own[1] < behind.loc[C.name, "high"]  # that of all pairs is wider


def test_a_roc_curve_is_scikit_learns_and_bins_of_scores_hold_every_row():
    scores = scored([A], [1.5])
    curve = compare.roc(scores, [A])
    assert np.trapezoid(curve["recall"], curve["false_alarms"]) == pytest.approx(
        roc_auc_score(scores.rows.y, scores.of(A))
    )
    bins = compare.score_bins(scores, A)
    assert bins.groupby("kind")["share"].sum().tolist() == pytest.approx([1, 1])
    fraud, score = bins[bins["kind"] == "fraud"], scores.of(A)[scores.rows.y == 1]
    for row in fraud.itertuples():
        assert row.share == pytest.approx(((score >= row.left) & (score < row.right)).mean(), abs=2 / len(score))


def test_sentences_on_splits_compare_them_with_the_last_rows():
    parts = pd.DataFrame({"one": [0.9, 0.5], "two": [0.8, 0.6]}, [a, b])
    test = pd.DataFrame({"average_precision": [0.7, 0.4]}, [a, b])
    none = pd.DataFrame()
    none.attrs["left_out"] = "There are no times."
    assert compare.describe_splits(none, test) == "There are no times."
    assert f"{a} 0.850 (from 0.800 to 0.900) against 0.700; {b} 0.550" in compare.describe_splits(parts, test)


def test_what_is_left_out_is_named_with_its_reason():
    assert compare.describe_left_out({}, {}) == "- Every column and every treatment of the imbalance takes part."
    text = compare.describe_left_out(
        {"late": "no value", "same": "always 1"}, {"SMOTE": "it is so", "SMOTE 1:10": "it is so", "other": "of that"}
    )
    assert "`late` (no value) and `same` (always 1)" in text
    assert "SMOTE and SMOTE 1:10, since it is so." in text and "other, since of that." in text
