"""Columns one by one: how well each separates the classes, and how its values are distributed."""

import re

import numpy as np
import pandas as pd
import pytest
from noise import SCHEMA, noise, text
from scipy import stats
from sklearn.metrics import roc_auc_score

from fraud_utils import explore
from fraud_utils.data import Schema


def test_effect_is_the_columns_roc_auc_ties_and_gaps_included():
    frame = noise()
    frame["q"] = (frame["q"] - frame["fraud"]).round(0)
    frame.loc[::7, "q"] = np.nan
    effects = explore.effects(frame, SCHEMA)
    known = frame.dropna()
    assert effects.loc["q", "superiority"] == pytest.approx(roc_auc_score(known["fraud"], known["q"]))
    assert effects.loc["q", "group"] == "lower in fraud"
    assert effects.loc["q", "value"] == pytest.approx(1 - effects.loc["q", "superiority"])
    assert list(effects["value"]) == sorted(effects["value"], reverse=True)


@pytest.mark.parametrize(
    ("frauds", "shift", "share"),
    [(5, 1.0, 1), (40, 1.5, 1), (40, 6.0, 0.5),
     *(pytest.param(*each, marks=pytest.mark.long) for each in [(40, 0.0, 1), (200, 2.3, 1)])],
)  # fmt: skip
def test_interval_of_an_effect_covers_the_truth(frauds, shift, share):
    schema = Schema(name="one", label="fraud", time="at", amount=None, features=("p",))
    truth = share * stats.norm.cdf(shift / np.sqrt(2)) + (1 - share) / 2  # only a share of the frauds stands out
    hits, trials = 0, 100
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        label = np.repeat([1, 0], [frauds, 1000])
        out = shift * label * (rng.random(len(label)) < share)
        frame = pd.DataFrame({"at": 0.0, "p": rng.standard_normal(len(label)) + out, "fraud": label})
        row = explore.effects(frame, schema).iloc[0]
        low, high = (row["low"], row["high"]) if row["superiority"] >= 0.5 else (1 - row["high"], 1 - row["low"])
        hits += low <= truth <= high
    assert hits / trials >= 0.92


def test_perfect_separation_keeps_an_interval_and_raises_a_doubt():
    frame = noise()
    frame["p"] += 100 * frame["fraud"]
    effects = explore.effects(frame, SCHEMA)
    assert effects.index[0] == "p"
    assert effects.loc["p", "high"] == 1 and 0.9 < effects.loc["p", "low"] < 1
    frame = pd.concat([frame] * 6, ignore_index=True)
    assert "label leaked" in explore.effects_finding(explore.effects(frame, SCHEMA)).detail


def test_ranking_is_claimed_only_where_intervals_lie_apart():
    frame = noise()
    assert "No single column is shown to separate" in explore.effects_finding(explore.effects(frame, SCHEMA)).headline
    frame["p"] += 2 * frame["fraud"]
    alone = explore.effects_finding(explore.effects(frame, SCHEMA))
    assert alone.headline.startswith("`p` separates the classes best of all columns: a fraud has a higher value")
    assert "`q`" in alone.detail
    frame["r"] -= 2 * frame["fraud"]
    together = explore.effects_finding(explore.effects(frame, SCHEMA)).headline
    assert "best" not in together and re.search(r"statistically tied with `[pr]`:", together)


def test_categories_have_effects_and_constant_columns_none():
    schema = Schema(name="words", label="fraud", time="at", amount=None, features=("p", "q"), categorical=("land",))
    frame = noise().assign(p=3.0)
    frame["q"] = np.where(np.arange(len(frame)) < 3, 1.0, np.nan)  # one value and missing ones may tell something
    frame["land"] = pd.Series(np.where(frame["fraud"] == 1, "NG", "SE"), dtype="category")
    effects = explore.effects(frame[["at", "p", "q", "land", "fraud"]], schema)
    assert effects.loc["land=NG", "superiority"] == 1
    assert "p" not in effects.index
    assert effects.loc["q", "superiority"] == 0.5
    assert effects.loc["q", "low"] < 0.5 < effects.loc["q", "high"]


def test_histograms_share_their_bins_and_each_class_adds_up_to_one():
    frame = noise(rate=0.02)
    frame["p"] += 5 * frame["fraud"]
    frame.loc[::9, "p"] = np.nan
    bins = explore.histograms(frame, SCHEMA, ["p", "log_paid"])
    assert list(bins["name"].unique()) == ["p", "log_paid"]
    legitimate, fraud = (bins[(bins["name"] == "p") & (bins["kind"] == kind)] for kind in ("legitimate", "fraud"))
    assert legitimate[["left", "right"]].to_numpy().tolist() == fraud[["left", "right"]].to_numpy().tolist()
    assert legitimate["share"].sum() == pytest.approx(1) and fraud["share"].sum() == pytest.approx(1)
    known = frame.loc[frame["fraud"] == 1, "p"].dropna()
    middle = fraud.iloc[1:-1]  # the outermost bins also hold what lies beyond
    counted = np.histogram(known, [*middle["left"], middle["right"].iloc[-1]])[0]
    assert middle["share"].tolist() == pytest.approx(counted / len(known))
    assert legitimate["share"].idxmax() + len(bins) // 4 < fraud["share"].idxmax()


def test_whole_numbers_have_a_bin_each_and_one_value_has_one():
    schema = Schema(name="few", label="fraud", time="at", amount=None, features=("p", "q"))
    frame = noise().assign(p=np.arange(3000) % 3.0, q=np.where(np.arange(3000) < 2000, 0.25, np.nan))
    bins = explore.histograms(frame, schema, ["p", "q"])
    of_p = bins[(bins["name"] == "p") & (bins["kind"] == "legitimate")]
    assert of_p["left"].tolist() == [-0.5, 0.5, 1.5] and of_p["right"].tolist() == [0.5, 1.5, 2.5]
    assert of_p["share"].tolist() == pytest.approx([1 / 3] * 3, abs=0.01)
    assert bins.loc[bins["name"] == "q", "share"].tolist() == [1, 1]


def test_frauds_with_unusual_values_are_counted_and_claimed_only_beyond_chance():
    frame = noise(rows=20_000)
    nothing = explore.outside(frame, SCHEMA, ["p", "q"])
    assert explore.outside_finding(nothing).headline.startswith("In none of these columns")
    frame.loc[(frame["fraud"] == 1) & (frame.index % 2 == 0), "q"] = -9
    table = explore.outside(frame, SCHEMA, ["p", "q"])
    legitimate, fraud = (frame.loc[frame["fraud"] == label, "q"] for label in (0, 1))
    low, high = np.quantile(legitimate, [0.005, 0.995])
    assert table.loc["q", ["from", "to"]].tolist() == pytest.approx([low, high])
    assert table.loc["q", "fraud_share"] == pytest.approx(((fraud < low) | (fraud > high)).mean())
    assert table.loc["q", "fraud_low"] < table.loc["q", "fraud_share"] < table.loc["q", "fraud_high"]
    assert text(explore.outside_finding(table)).startswith("By `q` alone, ")
