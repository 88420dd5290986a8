"""Reasons and errors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xgboost
from evaluation import made
from scipy.stats import binomtest

from fraud_utils import models
from fraud_utils.artifact import FeatureMap
from fraud_utils.evaluation import Scores, explain

RNG = np.random.default_rng(0)
Y = (RNG.random(2000) < 0.1).astype(np.int8)
X = RNG.normal(size=(2000, 3)).astype(np.float32)
X[:, 1] += 2 * Y
NAMES = ("a", "b", "c")
CANDIDATE = models.Candidate("xgboost")
BOOSTER = models.fit_xgboost(X, Y, hyperparameters={"num_round": 20})
ROWS = made.rows(X, Y, names=NAMES, time=np.linspace(0, 172_000, 2000), amount=RNG.exponential(80, 2000).round(2))
EVERY = np.arange(2000)


def scored(score: np.ndarray) -> Scores:
    values = pd.DataFrame({"xgboost": score})
    return Scores(ROWS, values, EVERY * 0, boosters={"xgboost": bytes(BOOSTER.save_raw("ubj"))})


SCORES = scored(BOOSTER.inplace_predict(X))
SHARES = explain.contributions(SCORES, CANDIDATE, EVERY)


def test_contributions_add_up_to_the_margin():
    margin = BOOSTER.predict(xgboost.DMatrix(X), output_margin=True)
    base = BOOSTER.predict(xgboost.DMatrix(X[:1]), pred_contribs=True)[0, -1]
    np.testing.assert_allclose(SHARES.sum(axis=1) + base, margin, atol=1e-4)


def test_the_strongest_column_comes_first_and_levels_are_ranks():
    tidy = explain.strongest(SCORES, CANDIDATE, EVERY, top=2)
    assert tidy["column"].iloc[0] == "b"
    assert len(tidy) == 2 * len(X)
    of_b = tidy[tidy["column"] == "b"]
    assert of_b["level"].iloc[np.argmax(X[:, 1])] == 1
    np.testing.assert_array_equal(of_b["contribution"], SHARES["b"])
    assert f"`b` ({SHARES['b'].abs().mean():.2f}) and `" in explain.describe_strongest(tidy)


FEATURES = FeatureMap(("a", "b", "c"))


def test_cases_are_alerts_from_the_surest_on_and_the_misses_that_cost_most():
    y, score = np.array([1, 1, 1, 0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.9, 0.8, 0.95, 0.1, 0.6, 0.7])
    amount = np.array([5.0, 50.0, 9.0, 1.0, 1.0, 1.0, 1.0, 2.0])
    few = made.rows(X[:8], y, amount=amount, names=NAMES, time=np.arange(8) * 3600)
    scores = replace(SCORES, rows=few, values=pd.DataFrame({"xgboost": score}), block=np.zeros(8))
    frame = pd.DataFrame(X[:8].astype(float), columns=list(NAMES))

    def found(scores: Scores, most: int) -> dict[str, list[float]]:
        cases = explain.cases(scores, CANDIDATE, 0.5, FEATURES, frame, most)
        return {kind: [case.score for case in cases if case.kind == kind] for kind in ("right", "wrong", "missed")}

    assert found(scores, 10) == {"right": [0.9, 0.7, 0.6], "wrong": [0.95, 0.8], "missed": [0.2, 0.1]}
    assert found(scores, 2) == {"right": [0.9, 0.6], "wrong": [0.95, 0.8], "missed": [0.2, 0.1]}  # spread, both ends
    assert found(scores, 1) == {"right": [0.9], "wrong": [0.95], "missed": [0.2]}
    bare = replace(scores, rows=replace(few, amount=None, time=None))
    assert found(bare, 10)["missed"] == [0.1, 0.2]
    dearest = next(case for case in explain.cases(scores, CANDIDATE, 0.5, FEATURES, frame) if case.kind == "missed")
    assert (dearest.amount, dearest.when) == (50, 3600)
    assert {each.column: each.contribution for each in dearest.reasons} == pytest.approx(SHARES.iloc[1].to_dict())
    assert [abs(each.contribution) for each in dearest.reasons] == sorted(SHARES.iloc[1].abs(), reverse=True)
    assert {each.column: each.value for each in dearest.reasons} == frame.iloc[1].to_dict()


def test_a_case_names_columns_of_the_table_not_what_was_derived_from_them():
    frame = pd.DataFrame({"a": X[:, 0].astype(float), "shop": np.where(X[:, 1] > 1, "Rome", "Oslo")})
    frame.loc[0, "a"] = None
    features = FeatureMap(("a",), categories={"shop": ("Oslo", "Rome")})
    matrix = features.matrix(frame)
    booster = models.fit_xgboost(matrix, Y, hyperparameters={"num_round": 5})
    rows = made.rows(matrix, Y, names=features.names)
    values = pd.DataFrame({"xgboost": np.where(EVERY == 0, 1.0, 0.0)})
    scores = Scores(rows, values, EVERY * 0, boosters={"xgboost": bytes(booster.save_raw("ubj"))})
    (first, *_) = explain.cases(scores, CANDIDATE, 0.5, features, frame)
    assert {each.column: each.value for each in first.reasons} == {"a": None, "shop": frame["shop"].iloc[0]}
    shares = explain.contributions(scores, CANDIDATE, EVERY[:1]).iloc[0]
    derived = shares["shop=Oslo"] + shares["shop=Rome"]
    assert next(each.contribution for each in first.reasons if each.column == "shop") == pytest.approx(derived)
    shown = explain.readable_cases([first])
    assert list(shown.columns) == ["score", "moved by"] and "Rome" not in str(shown) and "Oslo" not in str(shown)


def test_a_sample_has_all_frauds_and_so_many_others():
    rows = explain.sample(Y, 50)
    assert Y[rows].sum() == Y.sum()
    assert len(rows) == Y.sum() + 50
    assert len(explain.sample(Y, 10_000)) == len(Y)


def test_parts_add_up_and_intervals_are_exact():
    alert = X[:, 1] > 2
    table = explain.by_parts(ROWS, alert)
    assert set(table.index.get_level_values("by")) == {"amount", "day", "hour"}
    for _, part in table.groupby(level="by"):
        assert part["rows"].sum() == len(Y)
        assert part["frauds"].sum() == Y.sum()
        assert part["missed"].sum() == pytest.approx(ROWS.amount[(Y == 1) & ~alert].sum())
    day = table.loc[("day", "1")]
    first = ROWS.time < 86_400
    assert (day["rows"], day["caught"]) == (first.sum(), (Y[first] & alert[first]).sum())
    exact = binomtest(int(day["caught"]), int(day["frauds"])).proportion_ci(0.95, "exact")
    assert (day["low"], day["high"]) == (pytest.approx(exact.low), pytest.approx(exact.high))
    assert day["precision"] == Y[first & alert].mean()
    band = table.loc[("amount", "50 to 100")]
    assert band["rows"] == ((ROWS.amount >= 50) & (ROWS.amount < 100)).sum()
    night = table.loc[("hour", "00-06")]
    assert night["rows"] == (ROWS.time % 86_400 < 6 * 3600).sum()
    assert set(explain.by_parts(replace(ROWS, amount=None), alert).index.get_level_values("by")) == {"day", "hour"}


def test_a_difference_between_parts_is_claimed_only_beyond_the_intervals():
    alike = explain.by_parts(ROWS, RNG.random(len(Y)) < 0.5)
    assert "does not differ" in explain.describe_parts(alike)
    by_day = explain.by_parts(ROWS, ROWS.time < 86_400)
    text = explain.describe_parts(by_day).replace("\N{NO-BREAK SPACE}", " ")
    assert "by day, recall is higher at 1 (100 %) than at 2 (0 %)" in text


@pytest.mark.parametrize(
    ("days", "frauds", "tables"),
    [(30, 1740, 20), *(pytest.param(*each, 100, marks=pytest.mark.long)
                       for each in [(2, 400), (30, 1740), (84, 4872), (365, 3650)])],
)  # fmt: skip
def test_with_one_recall_for_all_parts_hardly_a_table_claims_a_difference(days, frauds, tables):
    rng, claims = np.random.default_rng(days), 0
    for _ in range(tables):
        rows = made.rows(
            np.zeros((frauds, 0)), np.ones(frauds, np.int8),
            time=np.sort(rng.uniform(0, 86_400 * days, frauds)), amount=rng.exponential(80, frauds),
        )  # fmt: skip
        claims += "higher" in explain.describe_parts(explain.by_parts(rows, rng.random(frauds) < 0.68))
    assert claims <= 0.05 * tables


def test_a_bad_week_is_found_among_many():
    rng = np.random.default_rng(0)
    time = np.sort(rng.uniform(0, 86_400 * 364, 3640))
    rows = made.rows(np.zeros((3640, 0)), np.ones(3640, np.int8), time=time, origin="2015-01-01T00:00:00+00:00")
    bad = (time >= 86_400 * 70) & (time < 86_400 * 77)
    table = explain.by_parts(rows, rng.random(3640) < np.where(bad, 0.05, 0.7))
    assert len(table.loc["week"]) == 52
    assert "by week, recall is higher at" in explain.describe_parts(table)
    assert "than at 2015-03-12 (" in explain.describe_parts(table)  # the seventy-first day of the year
    assert "for all 56 parts together" in explain.describe_parts(table)


def test_amount_bands_have_the_size_of_the_amounts():
    large = explain.by_parts(replace(ROWS, amount=ROWS.amount * 1000), X[:, 1] > 2)
    assert ("amount", "50,000 to 100,000") in large.index
    small = explain.by_parts(replace(ROWS, amount=ROWS.amount / 1e6), X[:, 1] > 2)  # all below one
    usual = explain.by_parts(ROWS, X[:, 1] > 2)
    for each in (large, small):
        assert list(each.loc["amount", "rows"]) == list(usual.loc["amount", "rows"])


def test_without_amounts_and_times_there_are_no_parts():
    table = explain.by_parts(replace(ROWS, amount=None, time=None), X[:, 1] > 2)
    assert table.empty
    assert explain.describe_parts(table).startswith("The table has neither amounts nor times")
