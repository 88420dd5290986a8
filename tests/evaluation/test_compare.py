"""The comparison's tables, ties, choice and sentences."""

import numpy as np
import pandas as pd
import pytest

from fraud_utils.evaluation import compare
from fraud_utils.evaluation import metrics as evaluate
from fraud_utils.evaluation.metrics import Scores
from fraud_utils.models import Candidate


def comparison(**points: float) -> tuple[pd.Series, pd.DataFrame, list[Candidate]]:
    rng = np.random.default_rng(0)
    resampled = pd.DataFrame({name: rng.normal(point, 0.01, 500) for name, point in points.items()})
    named = [(*name.split(" + "), "none")[:2] for name in points]
    return pd.Series(points), resampled, [Candidate(learner, how, {"num_round": 10}) for learner, how in named]


def test_the_choice_is_the_cheapest_xgboost_that_ties_with_the_best():
    y = np.repeat([1, 0], [10, 1000])
    points, resampled, candidates = comparison(
        **{"random forest": 0.81, "xgboost": 0.80, "xgboost + undersample 1:10": 0.80, "xgboost + SMOTE": 0.5}
    )
    chosen, tied, reason = compare.choose(candidates, points, resampled, y)
    assert chosen.name == "xgboost + undersample 1:10"
    assert tied[0] == "random forest"
    assert set(tied) == set(points.index) - {"xgboost + SMOTE"}
    assert "one of 3" in reason


def test_choosing_a_worse_xgboost_says_what_it_costs():
    y = np.repeat([1, 0], [10, 1000])
    points, resampled, candidates = comparison(**{"random forest": 0.9, "xgboost": 0.7, "xgboost + SMOTE": 0.6})
    chosen, tied, reason = compare.choose(candidates, points, resampled, y)
    assert (chosen.name, tied) == ("xgboost", ["random forest"])
    assert "random forest is better by 0.1" in reason


def test_the_sentence_on_ties_claims_no_loser_where_there_is_none():
    table = pd.DataFrame(
        {"average_precision": [0.8, 0.7], "average_precision_ci": [[0.7, 0.9], [0.6, 0.8]]}, ["a", "b"]
    )
    assert "cannot tell it from b (0.700), which is all of them." in compare.describe_ties(table, ["a", "b"])
    assert "every other candidate" in compare.describe_ties(table, ["a"])
    longer = pd.concat([table, table.loc[["b"]].rename(index={"b": "c"})])
    assert "the other one is behind it" in compare.describe_ties(longer, ["a", "b"])


def judged(candidates: list[Candidate], values: pd.DataFrame, y: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    scores = Scores(values, np.zeros(len(values), dtype=int), pd.Series(1.0, values.columns), {})
    resampled = evaluate.bootstrap_average_precision(y, values, 200)
    return compare.compare(candidates, y, scores, resampled), resampled


def made(strengths: dict[str, float], rows: int = 4000, seed: int = 0) -> tuple[np.ndarray, pd.DataFrame]:
    """Scores of known strength for some frauds."""
    rng = np.random.default_rng(seed)
    y = (np.arange(rows) < rows // 20).astype(int)
    normal = {name: rng.normal(strength * y, 1) for name, strength in strengths.items()}
    return y, pd.DataFrame({name: 1 / (1 + np.exp(3 - value)) for name, value in normal.items()})


def test_a_collapsed_fit_is_found_and_an_unsupervised_or_weaker_one_is_not():
    listed = [Candidate(name) for name in ("xgboost", "random forest", "logistic regression", "isolation forest")]
    listed += [Candidate("xgboost defaults"), Candidate("dummy")]
    strengths = [3.0, 3.0, 2.9, 0.5, 1.5, 0.0]
    y, values = made({c.name: strength for c, strength in zip(listed, strengths, strict=True)})
    table, resampled = judged(listed, values, y)
    assert compare.collapsed(table, resampled) == ["xgboost defaults"]
    assert "xgboost defaults (0." in compare.describe_collapsed(["xgboost defaults"], table)
    assert "no fit has collapsed" in compare.describe_collapsed([], table)


def test_what_is_no_probability_has_no_brier_score():
    listed = [Candidate("xgboost"), Candidate("isolation forest")]
    y, values = made({"xgboost": 2.0, "isolation forest": 1.0})
    table, _ = judged(listed, values * 7, y)
    assert table.loc["isolation forest", ["brier", "log_loss", "savings"]].isna().all()
    assert np.isfinite(table.loc["xgboost", "brier"])


@pytest.mark.parametrize(
    ("xgboost", "linear", "forest", "expected", "not_expected"),
    [
        (3.0, 1.5, 2.0, "Not alike: XGBoost is better", "cannot tell the two apart"),
        (1.5, 3.0, 2.0, "Not alike: logistic regression is better", "XGBoost is better"),
        (2.0, 2.0, 1.0, "These rows cannot tell the two apart", "Not alike"),
    ],
)
def test_the_claim_is_answered_from_paired_intervals(xgboost, linear, forest, expected, not_expected):
    listed = [Candidate("xgboost"), Candidate("logistic regression"), Candidate("random forest")]
    y, values = made(dict(zip([c.name for c in listed], (xgboost, linear, forest), strict=True)), seed=1)
    table, resampled = judged(listed, values, y)
    differences = compare.family_differences(table, resampled)
    told = compare.describe_claim(differences, table)
    assert expected in told
    assert not_expected not in told
    points = table["average_precision"]
    assert differences.loc["random forest", "value"] == pytest.approx(points["xgboost"] - points["random forest"])
    assert ("ahead of logistic regression: random forest" in told) == (forest > linear)


def test_the_best_of_each_learner_stands_for_it():
    names = ["xgboost", "xgboost + undersample 1:1", "logistic regression", "logistic regression + undersample 1:1"]
    listed = [Candidate(*name.split(" + ")) for name in names]
    y, values = made(dict(zip(names, (2.0, 3.0, 1.0, 2.0), strict=True)))
    table, resampled = judged(listed, values, y)
    differences = compare.family_differences(table, resampled)
    assert differences.attrs["leader"] == names[1]
    assert list(differences.index) == [names[3]]
    assert [c.name for c in compare.shortlist(listed, listed[0], differences, table)] == [names[0], names[3]]


def test_choosing_without_an_xgboost_is_refused():
    y = np.repeat([1, 0], [10, 1000])
    points, resampled, candidates = comparison(**{"random forest": 0.9, "extra trees": 0.8})
    with pytest.raises(ValueError, match="the container serves"):
        compare.choose(candidates, points, resampled, y)


def test_skipping_the_correction_shows_in_probabilities_and_sentences():
    rng = np.random.default_rng(3)
    truth = rng.beta(0.05, 2, 40_000)
    y = (rng.random(40_000) < truth).astype(int)
    rebalanced = Candidate("xgboost", "undersample 1:1")
    values = pd.DataFrame({"xgboost": truth, rebalanced.name: truth})
    scores = Scores(values, rng.integers(0, 3, 40_000), pd.Series(dtype=float), {})
    ways = compare.ways_to_probability(scores, "xgboost", rebalanced, y)
    assert list(ways)[-2:] == [f"{rebalanced.name}, corrected", f"{rebalanced.name}, not corrected"]
    quality = evaluate.probability_quality(y, ways, rng.exponential(60, 40_000), 5.0)
    assert quality["mean_over_base_rate"].iloc[-2] == pytest.approx(1, abs=0.1)
    assert quality["mean_over_base_rate"].iloc[-1] > 5
    told = compare.describe_probabilities(quality, 5.0, "EUR")
    assert f"{quality['mean_over_base_rate'].iloc[-1]:.1f} times the share of frauds" in told
    assert "At 5 EUR a review" in told


def test_the_table_shows_intervals_and_numbers_only():
    listed = [Candidate("xgboost"), Candidate("dummy")]
    y, values = made({"xgboost": 2.0, "dummy": 0.0})
    table, _ = judged(listed, values, y)
    shown = compare.readable(table)
    assert list(shown.columns[:3]) == ["average precision", "low", "high"]
    assert list(shown.loc["xgboost", ["low", "high"]]) == [
        round(x, 3) for x in table.loc["xgboost", "average_precision_ci"]
    ]
    assert shown.dtypes.eq(float).all()
