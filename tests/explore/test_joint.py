"""Columns together: correlations within each class, and the plane of two components."""

import numpy as np
import pandas as pd
import pytest
from noise import SCHEMA, noise
from scipy import stats

from fraud_utils import explore
from fraud_utils.data import Schema


def test_correlations_are_spearmans_and_the_pair_that_differs_is_named():
    frame = noise(rate=0.1)
    columns = ["p", "q", "r", "log_paid"]
    none = explore.correlations_finding(explore.correlations(frame, SCHEMA, columns, seed=7))
    assert none.headline.startswith("None of 6 pairs of columns is shown")
    fraud = frame["fraud"] == 1
    frame.loc[fraud, "r"] = -frame.loc[fraud, "q"] + 0.3 * frame.loc[fraud, "r"]
    frame.loc[::50, "q"] = np.nan
    pairs = explore.correlations(frame, SCHEMA, columns, seed=7)
    row = pairs[(pairs["first"] == "q") & (pairs["second"] == "r")].iloc[0]
    known = frame[fraud].dropna()
    assert row["fraud"] == pytest.approx(stats.spearmanr(known["q"], known["r"]).statistic, abs=0.01)
    assert row["low"] < row["difference"] < row["high"] < 0
    finding = explore.correlations_finding(pairs)
    assert finding.headline.startswith("1 of 6 pairs of columns is correlated differently among frauds, 1 of them more")
    assert "`q` and `r`" in finding.detail


def test_few_frauds_allow_no_word_on_correlations():
    frame = noise(rows=300, rate=0)
    frame.loc[:8, "fraud"] = 1
    frame.loc[:8, "q"] = frame.loc[:8, "p"]
    finding = explore.correlations_finding(explore.correlations(frame, SCHEMA, ["p", "q"], seed=7))
    assert "enough values" in finding.headline


def test_projection_is_balanced_seeded_and_free_of_copies():
    frame = noise()
    frame = pd.concat([frame, frame[frame["fraud"] == 1]]).sort_values("at", kind="stable", ignore_index=True)
    plane = explore.projection(frame, SCHEMA, seed=3)
    assert (plane["kind"].value_counts() == noise()["fraud"].sum()).all()
    assert not plane[["x", "y"]].duplicated().any()
    pd.testing.assert_frame_equal(plane, explore.projection(frame, SCHEMA, seed=3))
    assert not plane["x"].equals(explore.projection(frame, SCHEMA, seed=4)["x"])
    assert len(explore.projection(frame, SCHEMA, seed=3, per_class=20)) == 40


def test_projection_finding_both_ways():
    frame = noise()
    nothing = explore.projection_finding(explore.projection(frame, SCHEMA, 7))
    assert "frauds are not shown to stand apart" in nothing.headline
    frame[["p", "q"]] += 4 * frame[["fraud"]].to_numpy()
    assert "frauds partly stand apart" in explore.projection_finding(explore.projection(frame, SCHEMA, 7)).headline


@pytest.mark.parametrize("tables", [10, pytest.param(24, marks=pytest.mark.long)])
def test_rare_categories_and_columns_of_zeros_differ_by_chance_only(tables):
    """Their coefficients are far from normal: intervals by Fisher's z alone claimed a difference in half of these."""
    schema = Schema("rare", label="fraud", time="at", amount=None, features=("z", "w"), categorical=("land",))
    rows, claimed = 1200, 0
    for seed in range(tables):
        rng = np.random.default_rng(seed)
        zeros = {name: np.where(rng.random(rows) < 0.9, 0, rng.exponential(1, rows)) for name in ("z", "w")}
        land = rng.choice([f"v{place}" for place in range(20)], rows, p=[0.62, *[0.02] * 19])
        frame = pd.DataFrame({"at": np.arange(rows), **zeros, "land": land, "fraud": rng.random(rows) < 0.1})
        names = explore.effects(frame, schema).index
        claimed += "None of" not in explore.correlations_finding(explore.correlations(frame, schema, names, 7)).headline
    assert claimed <= stats.binom(tables, 0.05).ppf(0.98)  # at a level of 5 %: 2 of 10, 4 of 24
