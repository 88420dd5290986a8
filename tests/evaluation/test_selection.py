"""The choice, and the differences between learners."""

import numpy as np
import pandas as pd
import pytest

from fraud_utils.evaluation import compare, selection
from fraud_utils.models import Candidate

Y = np.repeat([1, 0], [10, 1000])


def comparison(**points: float) -> tuple[list[Candidate], pd.DataFrame, pd.DataFrame]:
    """Candidates by name with their average precisions, and resamples of these that vary by .01."""
    rng = np.random.default_rng(0)
    named = [(*name.split(" + "), "none")[:2] for name in points]
    listed = [Candidate(learner, how, {"num_round": 10}) for learner, how in named]
    table = pd.DataFrame({"average_precision": points})
    table["learner"], table["kind"], table["repeats"] = [c.learner for c in listed], [c.kind for c in listed], 1
    return listed, table, pd.DataFrame({name: rng.normal(point, 0.01, 500) for name, point in points.items()})


def chosen(**points: float) -> tuple[Candidate, str]:
    listed, table, resampled = comparison(**points)
    return selection.choose(listed, compare.tie_set(listed, table, resampled), table, resampled, Y)


def test_the_choice_is_the_cheapest_xgboost_that_ties_with_the_best():
    points = {"random forest": 0.81, "xgboost": 0.80, "xgboost + undersample 1:10": 0.80, "xgboost + SMOTE": 0.5}
    candidate, reason = chosen(**points)
    assert candidate.name == "xgboost + undersample 1:10"
    assert "one of 3 statistically tied" in reason
    assert "its distance to random forest is 0.010 [−" in reason
    assert "better than every other" in chosen(xgboost=0.8, **{"random forest": 0.5})[1]


def test_a_cheap_xgboost_that_its_own_comparison_puts_behind_is_not_chosen_for_being_in_the_tie_set():
    points = {"xgboost": 0.84, "xgboost + undersample 1:10": 0.80} | {
        f"random forest + SMOTE 1:{k}": 0.8 for k in range(2, 20)
    }
    listed, table, resampled = comparison(**points)
    tied = compare.tie_set(listed, table, resampled)
    assert any(candidate.name == "xgboost + undersample 1:10" for candidate in tied)
    candidate, _ = selection.choose(listed, tied, table, resampled, Y)
    assert candidate.name == "xgboost"


def test_choosing_a_worse_xgboost_says_what_it_costs():
    candidate, reason = chosen(**{"random forest": 0.9, "xgboost + SMOTE": 0.6, "xgboost": 0.7})
    assert candidate.name == "xgboost"
    assert "random forest is better by 0.1" in reason


def test_a_distance_that_may_be_chance_is_not_called_better():
    listed, table, resampled = comparison(**{"random forest": 0.82, "xgboost": 0.805})
    tied = compare.tie_set(listed, table, resampled)
    assert selection.choose(listed, tied, table, resampled, Y)[1].count("random forest is ahead by 0.015 [−0.0") == 1


def test_an_xgboost_that_is_near_and_shown_to_be_behind_is_not_called_as_good():
    points = {"random forest": 0.81, "xgboost": 0.805, "xgboost + undersample 1:10": 0.804}
    listed, table, resampled = comparison(**points | {f"random forest + SMOTE 1:{k}": 0.7 for k in range(2, 30)})
    noise = np.random.default_rng(2).normal(0, 0.0024, 500)
    for name, behind in (("xgboost", 0.005), ("xgboost + undersample 1:10", 0.006)):
        resampled[name] = resampled["random forest"] - behind + noise
    tied = compare.tie_set(listed, table, resampled)
    candidate, reason = selection.choose(listed, tied, table, resampled, Y)
    assert {"xgboost", "xgboost + undersample 1:10"} <= {each.name for each in tied}
    assert candidate.name == "xgboost"
    assert reason.startswith("the best XGBoost, less than one standard error below the best")


def test_choosing_without_an_xgboost_is_refused():
    with pytest.raises(ValueError, match="the container serves"):
        chosen(**{"random forest": 0.9, "extra trees": 0.8})


def test_an_xgboost_that_ties_far_behind_the_best_is_not_chosen_for_its_cost():
    points = {"random forest": 0.82, "xgboost": 0.81, "xgboost + undersample 1:10": 0.70}
    listed, table, resampled = comparison(**points)
    resampled["xgboost + undersample 1:10"] = np.random.default_rng(1).normal(0.70, 0.08, 500)  # unsure, so it ties
    tied = compare.tie_set(listed, table, resampled)
    assert len(tied) == 3
    assert selection.choose(listed, tied, table, resampled, Y)[0].name == "xgboost"


@pytest.mark.parametrize(
    ("xgboost", "network", "expected"),
    [
        (0.80, 0.75, "ahead of neural network, the best of the other learners, by 0.050 [0.0"),
        (0.80, 0.805, "is ahead by 0.005 [−0.0"),
        (0.70, 0.80, ": serving XGBoost costs that much on this table"),
    ],
)
def test_the_distance_to_the_best_of_the_other_learners_is_stated(xgboost, network, expected):
    points = {"xgboost": xgboost, "neural network": network, "logistic regression": 0.6, "isolation forest": 0.9}
    listed, table, resampled = comparison(**points)
    text, with_history = (selection.describe_distance(listed[0], table, resampled, has) for has in (False, True))
    assert expected in text and expected in with_history
    assert ("an entity's history" in text) == ("tuning_trials" in text) and "history" not in with_history
    assert ("within one standard error (0.0" in text) == (0 < network - xgboost < 0.01)
    assert ("tuning_trials" in text) == (network - xgboost > 0.01)
    alone = selection.describe_distance(listed[0], table.loc[["xgboost"]], resampled, False)
    assert alone == "No other supervised learner was compared."


@pytest.mark.parametrize(
    ("xgboost", "linear", "forest", "expected"),
    [
        (0.8, 0.6, 0.7, "Not alike: XGBoost is better"),
        (0.6, 0.8, 0.7, "Not alike: logistic regression is better"),
        (0.7, 0.7, 0.5, "The two are statistically tied"),
    ],
)
def test_the_claim_is_answered_from_paired_intervals(xgboost, linear, forest, expected):
    _, table, resampled = comparison(**{"xgboost": xgboost, "logistic regression": linear, "random forest": forest})
    differences = selection.family_differences(table, resampled)
    assert differences.loc["random forest", "value"] == pytest.approx(xgboost - forest)
    assert (differences["low"] <= differences["value"]).all() and (differences["value"] <= differences["high"]).all()
    text = selection.describe_claim(differences, table)
    assert text.startswith(expected)
    assert ("ahead of logistic regression: random forest" in text) == (forest > linear)
    assert ("Not shown to be worse than xgboost: random forest" in text) == (forest > xgboost)
    alone = differences.drop(index="logistic regression")
    assert "cannot be answered" in selection.describe_claim(alone, table)


def test_the_best_of_each_learner_stands_for_it():
    points = {"xgboost": 0.7, "xgboost + undersample 1:1": 0.8, "logistic regression": 0.6}
    points |= {
        "logistic regression + undersample 1:1": 0.65,
        "neural network": 0.75,
        "bagged xgboost": 0.9,
        "dummy": 0.1,
    }
    listed, table, resampled = comparison(**points)
    differences = selection.family_differences(table, resampled)
    assert differences.attrs["leader"] == "xgboost + undersample 1:1"
    assert list(differences.index) == ["neural network", "logistic regression + undersample 1:1"]
    names = [candidate.name for candidate in selection.shortlist(listed, listed[0], differences, table)]
    assert names == ["xgboost", *differences.index]
