"""All findings of a table together: what it shows is said, and what it does not show is not."""

import itertools

import numpy as np
import pandas as pd
import pytest
from noise import SCHEMA, noise, text

from fraud_utils import explore
from fraud_utils.data import ULB, Schema, load_transactions, split_transactions
from fraud_utils.words import Finding


def all_findings(frame: pd.DataFrame, schema: Schema, seed: int = 7) -> dict[str, Finding]:
    split = split_transactions(frame, schema)
    train, effects = split.train, explore.effects(split.train, schema)
    return {
        "integrity": explore.integrity_finding(explore.integrity(frame, schema), frame, schema),
        "imbalance": explore.imbalance_finding(explore.class_sizes(split)),
        "bursts": explore.bursts_finding(explore.volume(frame, schema), seed),
        "days": explore.rate_finding(explore.rate_along_time(frame, schema), seed),
        "hours": explore.rate_finding(explore.rate_by_hour(train, schema), seed),
        "amounts": explore.amounts_finding(explore.amounts_below(train, schema), train, schema),
        "points": explore.price_points_finding(explore.price_points(train, schema), schema),
        "effects": explore.effects_finding(effects),
        "pairs": explore.correlations_finding(explore.correlations(train, schema, effects.index[:30])),
        "unusual": explore.outside_finding(explore.outside(train, schema, effects.index[:9])),
        "copies": explore.duplicates_finding(explore.duplicates(frame, split, schema)),
        "drift": explore.stability_finding(explore.stability(split, schema), split, schema),
        "plane": explore.projection_finding(explore.projection(train, schema, seed)),
    }


CLAIMS = {
    "imbalance": "after it: fraud is",
    "bursts": "come in bursts or rhythms",
    "days": "rate differs",
    "hours": "rate differs",
    "amounts": "more often",
    "points": "More common",
    "effects": "separates the classes ",
    "pairs": "correlated differently among frauds,",
    "drift": "shifted between the training and the test part (",
    "unusual": "alone,",
    "plane": "partly stand apart",
}


def test_where_nothing_is_going_on_claims_stay_within_their_level():
    claimed = dict.fromkeys(CLAIMS, 0)
    for seed, rate in itertools.product(range(12), (0.03, 0.3)):
        found = all_findings(noise(rows=900, rate=rate, seed=seed), SCHEMA, seed)
        for name, words in CLAIMS.items():
            claimed[name] += words in text(found[name])
    assert max(claimed.values()) <= 5, claimed  # of 24, at a level of 5 %: more has a chance below 0.2 %
    assert sum(claimed.values()) <= 20, claimed


def test_findings_repeat():
    frame = noise(rate=0.1)
    assert all_findings(frame, SCHEMA) == all_findings(frame.copy(), SCHEMA)


def test_any_table_gives_findings():
    rng = np.random.default_rng(5)
    rows = 600
    frame = pd.DataFrame(
        {
            "at": 1.7e9 + np.arange(rows) * 3600.0,
            "card": rng.integers(0, 30, rows).astype(str),
            "gap": np.where(rng.random(rows) < 0.2, np.nan, rng.exponential(1, rows)),
            "empty": np.nan,
            "land": pd.Series(rng.choice(["SE", "*NO*", "a|b"], rows), dtype="category").where(rng.random(rows) < 0.9),
            "sum_$": np.round(rng.normal(5, 10, rows), 1),
            "bad": (np.arange(rows) % 9 == 0).astype("int8"),
        }
    )
    schema = Schema(
        name="all of it",
        label="bad",
        time="at",
        amount="sum_$",
        features=("gap", "empty"),
        categorical=("land",),
        entity="card",
        currency="$",
        negative_amounts=True,
    )
    found = all_findings(frame, schema)
    integrity = text(found["integrity"])
    assert f"{frame.isna().sum().sum():,} values missing, in 3 columns" in integrity
    for words in ("`empty`", "`card` has 30 distinct values", "amounts are negative"):
        assert words in integrity
    assert all("nan" not in text(finding) for finding in found.values())
    assert "\\$" in found["amounts"]._repr_markdown_()
    for tidy in (explore.integrity(frame, schema), explore.rate_by_hour(frame, schema)):
        assert "nan" not in explore.styled(tidy).to_html().lower()


@pytest.mark.real_data
def test_the_reference_set(real_data):
    frame = load_transactions(real_data, ULB)
    split = split_transactions(frame, ULB)
    integrity = text(explore.integrity_finding(explore.integrity(frame, ULB), frame, ULB))
    assert "284,807 transactions, 492 frauds; no value is missing" in integrity
    assert "1,825 amounts are zero, 27 of them fraud" in integrity
    assert "75 of them in the test part" in explore.imbalance_finding(explore.class_sizes(split)).headline
    days = explore.rate_along_time(frame, ULB)
    assert days[["rows", "frauds"]].to_numpy().tolist() == [[144_786, 281], [140_021, 211]]
    copies = explore.duplicates_finding(explore.duplicates(frame, split, ULB))
    assert copies.headline == "1,081 rows are exact copies of an earlier row, 19 of them fraud."
    assert "the cut in time leaves 0 test rows" in copies.detail
    whole = explore.amounts_below(frame, ULB)
    assert whole.loc[3, "fraud_share"] == pytest.approx(205 / 492)
