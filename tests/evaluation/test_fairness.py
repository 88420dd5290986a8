"""Whether errors fall on some groups of people more than on others."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from fraud_utils import record
from fraud_utils.data import Schema, Split
from fraud_utils.evaluation import fairness
from fraud_utils.record import Group

SCHEMA = Schema("accounts", "fraud", "when", None, features=("age",), groups=("age", "land"))


def accounts(seed: int, rows: int = 8000) -> Split:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "when": np.arange(rows, dtype=float),
            "age": rng.integers(18, 90, rows).astype(float),
            "land": pd.Categorical(rng.choice(["SE", "NO", "DK"], rows)),
            "fraud": (rng.random(rows) < 0.1).astype(np.int8),
        }
    )
    frame.loc[::50, "land"] = np.nan
    train, test = frame[: rows // 2], frame[rows // 2 :]
    return Split(train, test, 0.0, len(train), int(train["fraud"].sum()), len(test), int(test["fraud"].sum()), 1.0)


def test_each_group_has_its_rates_with_intervals_that_hold_together():
    split = accounts(0)
    alert = np.random.default_rng(1).random(len(split.test)) < 0.2
    groups = fairness.compared(split, SCHEMA, alert)
    quartiles = np.quantile(split.train["age"], [0.25, 0.5, 0.75], method="higher")
    ages = [group.name for group in groups if group.column == "age"]
    assert ages == [
        f"below {quartiles[0]:g}", f"{quartiles[0]:g} to below {quartiles[1]:g}",
        f"{quartiles[1]:g} to below {quartiles[2]:g}", f"{quartiles[2]:g} and more",
    ]  # fmt: skip
    assert {group.name for group in groups if group.column == "land"} == {"SE", "NO", "DK", "no value"}
    young = next(group for group in groups if group.name.startswith("below"))
    fraud, here = split.test["fraud"].to_numpy() == 1, split.test["age"].to_numpy() < quartiles[0]
    assert (young.rows, young.frauds) == (here.sum(), (here & fraud).sum())
    false, legitimate = int((here & ~fraud & alert).sum()), int((here & ~fraud).sum())
    assert young.false_alarms == pytest.approx(false / legitimate)
    assert young.recall == pytest.approx(int((here & fraud & alert).sum()) / young.frauds)
    exact = binomtest(false, legitimate).proportion_ci(1 - 0.05 / 16, "exact")  # two rates of eight groups
    assert young.false_alarms_ci == pytest.approx((exact.low, exact.high))
    for column in ("age", "land"):
        assert sum(group.rows for group in groups if group.column == column) == len(split.test)


def test_a_difference_is_claimed_where_there_is_one_and_rarely_where_there_is_none(tmp_path):
    split = accounts(0)
    old = split.test["age"].to_numpy() >= 60
    rng = np.random.default_rng(2)
    unfair = fairness.compared(split, SCHEMA, rng.random(len(old)) < np.where(old, 0.3, 0.05))
    by_age, by_land = fairness.describe(unfair)
    assert by_age.startswith("Between the 4 groups by age, the share of legitimate rows that raise an alert is higher")
    assert "and more, than" in by_age and "times the higher." in by_age
    assert by_land == "Between the 4 groups by land, neither false alarms nor recall are shown to differ."
    claims = 0
    for seed in range(40):
        even = accounts(seed, 2000)
        alert = np.random.default_rng(seed + 100).random(len(even.test)) < 0.3
        claims += any("higher" in sentence for sentence in fairness.describe(fairness.compared(even, SCHEMA, alert)))
    assert claims <= 4  # two are expected at the very most
    record.add(tmp_path, groups=unfair)
    assert record.read(tmp_path).groups == unfair
    assert list(fairness.readable(unfair).columns) == ["rows", "frauds", "false alarms", "recall"]


def test_few_numbers_and_many_texts_are_groups_of_their_own():
    split = accounts(0)
    rng = np.random.default_rng(3)

    def pairs(values: np.ndarray):
        return zip((split.train, split.test), np.split(values, 2), strict=True)

    def parts(values: np.ndarray) -> set[str]:
        train, test = (part.assign(land=some) for part, some in pairs(values))
        only = replace(SCHEMA, groups=("land",))
        alert = np.zeros(len(test), bool)
        return {group.name for group in fairness.compared(replace(split, train=train, test=test), only, alert)}

    assert parts(rng.integers(1, 4, 8000).astype(float)) == {"1", "2", "3"}
    assert parts(rng.integers(1, 4, 8000).astype(str)) == {"1", "2", "3"}
    assert len(parts(rng.integers(1, 100, 8000).astype(str))) == 4  # written as text, and cut at their quartiles
    assert len(parts(np.maximum(rng.integers(-90, 10, 8000), 0).astype(float))) == 2  # more than three quarters are 0
    many = parts(np.array([f"shop {number}" for number in rng.integers(0, 40, 8000)]))
    assert len(many) == 13 and "other values" in many
    born = np.append([19850412.0, 19850413.0], rng.integers(19_850_401, 19_850_431, 7998))
    assert "below 19850408" in parts(born) and len(parts(born)) == 4  # alike in their first six digits
    assert parts(np.where(rng.random(8000) < 0.5, born[0], born[1])) == {"19850412", "19850413"}
    assert parts(rng.choice(["a", "other values", "no value"], 8000)) == {"a", "other values"}


def test_a_group_without_frauds_has_no_recall_and_a_schema_without_groups_no_sentence():
    split = accounts(0)
    none = split.test.assign(fraud=np.where(split.test["land"] == "SE", 0, split.test["fraud"]).astype(np.int8))
    groups = fairness.compared(replace(split, test=none), replace(SCHEMA, groups=("land",)), np.ones(len(none), bool))
    swedes = next(group for group in groups if group.name == "SE")
    assert swedes.recall is None and swedes.recall_ci == (0, 1) and swedes.false_alarms == 1
    assert fairness.readable([swedes]).loc[("land", "SE"), "recall"] == "–"
    assert fairness.compared(split, replace(SCHEMA, groups=()), np.ones(len(none), bool)) == ()
    assert fairness.describe(()) == []
    alone = Group("land", "SE", 5, 0, 0.2, (0.0, 0.7), None, (0.0, 1.0))
    assert "neither" in fairness.describe([alone])[0]
