"""Two runs compared: what may be claimed of a difference, and what may not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import RUN

from fraud_utils import record
from fraud_utils.record import Data, Metrics, Model, RunRecord
from fraud_utils.report import comparison
from fraud_utils.report.runs import Run

NAMES = ["average_precision", "precision", "recall", "f1", "brier", "savings"]
PLACE = [measure.label for measure in comparison.MEASURES].index("average precision, test set")


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes a finished run whose metrics are all of one value, with resamples around it."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).normal(0, 0.02, 400)

    def make_run(name: str, value: float, again: np.ndarray | None = noise, draws: str = "abc", **changes: Any):
        metrics = Metrics(**dict.fromkeys(NAMES, value))
        models = (Model("boosted trees", oof=metrics, test=metrics),)
        finished: RunRecord = replace(RUN, run=name, models=models, **changes)
        folder = Path("runs") / name
        folder.mkdir(parents=True)
        if again is not None:
            table = pd.DataFrame(dict.fromkeys(NAMES, value + again))
            table.attrs["resamples"] = draws
            record.keep_resamples(folder.absolute(), oof=table[NAMES[:1]], test=table)
        return comparison.Comparable(Run(name, "finished", record=finished), finished)

    make_run.noise = noise
    return make_run


def readings(one: comparison.Comparable, other: comparison.Comparable) -> tuple[str, dict[str, tuple[str, str]]]:
    note, differences = one.compared_with(other)
    return note, dict(zip([measure.label for measure in comparison.MEASURES], differences, strict=True))


def test_a_run_that_reaches_the_same_is_shown_to_be_the_same(make):
    note, differences = readings(make("a", 0.7), make("b", 0.7, parameters=RUN.parameters | {"seed": 8}))
    assert note.startswith("Paired: ")
    assert {reading for _, reading in differences.values()} == {"the same"}


def test_a_difference_beyond_noise_is_claimed_with_its_paired_interval(make):
    """Each run alone varies by .02, their difference only by .002."""
    other = make.noise + 0.002 * np.random.default_rng(1).normal(size=400)
    low, high = np.quantile(0.01 + other - make.noise, [0.025, 0.975])
    one, two = make("a", 0.7), make("b", 0.71, other)
    difference, reading = one.compared_with(two)[1][PLACE]
    assert difference == f"+0.010 [+{low:.3f}, +{high:.3f}]" and low > 0
    assert reading == "B is higher, by more than sampling noise"
    difference, reading = two.compared_with(one)[1][PLACE]
    assert difference == f"−0.010 [−{high:.3f}, −{low:.3f}]"
    assert reading == "B is lower, by more than sampling noise"


def test_noise_is_not_called_a_difference(make):
    one, two = make("a", 0.7), make("b", 0.705, np.random.default_rng(2).normal(0, 0.02, 400))
    difference, reading = one.compared_with(two)[1][PLACE]
    assert reading == "no difference shown" and difference.startswith("+0.005 [−")


def test_savings_at_another_cost_are_not_compared(make):
    note, differences = readings(make("a", 0.5), make("b", 0.6, parameters=RUN.parameters | {"review_cost": 5.0}))
    assert note.startswith("Paired: ")
    assert differences["savings, test set"] == ("", "not compared: review_cost differs")


OVERLAP = "intervals overlap: no difference shown"
NO_INTERVAL = "no interval to judge by"


@pytest.mark.parametrize(
    ("changes", "note", "reading"),
    [
        ({"data": replace(RUN.data, sha256="b" * 64)}, "Not paired: the data is not known to be the same", OVERLAP),
        ({"data": replace(RUN.data, sha256=None)}, "Not paired: the data is not known to be the same", OVERLAP),
        ({"split": replace(RUN.split, test_from=90.0)}, "Not paired: the data is the same, the test sets are", OVERLAP),
        ({"draws": "other labels"}, "Not paired: the rows are the same, but one", OVERLAP),
        ({"again": None}, "Not paired: the rows are the same, but one", NO_INTERVAL),
        ({"again": np.zeros(7), "draws": "fewer"}, "Not paired: the rows are the same, but one", OVERLAP),
        ({"data": Data("tiny", simulated=True)}, "One run is of SIMULATED rows", "not compared"),
        ({"chosen": None}, "Not paired: the rows are the same", "not known for both"),
    ],
)
def test_runs_that_cannot_be_paired_are_not(make, changes, note, reading):
    result, differences = make("a", 0.7).compared_with(make("b", 0.7, **changes))
    assert result.startswith(note)
    assert differences[PLACE] == ("", reading)
    assert not any(difference for difference, _ in differences)


def test_test_sets_that_were_drawn_with_other_seeds_are_not_the_same(make):
    at_random = {"split": replace(RUN.split, test_from=None)}
    one, same = make("a", 0.7, **at_random), make("b", 0.71, **at_random)
    other = make("c", 0.7, parameters=RUN.parameters | {"seed": 8}, **at_random)
    assert one.compared_with(same)[0].startswith("Paired")
    assert one.compared_with(other)[0].startswith("Not paired: the data is the same, the test sets are not")


def test_intervals_that_do_not_overlap_are_said_not_to(make):
    other = make("b", 0.9, data=replace(RUN.data, sha256="b" * 64))
    assert make("a", 0.7).compared_with(other)[1][PLACE] == ("", "intervals do not overlap")


def test_damaged_resamples_pair_nothing(make):
    one = make("a", 0.7)
    folder = Path("runs/b")
    folder.mkdir()
    (folder / "resamples.json").write_text('{"test": {"resamples": "abc", "recall": [1, "a"]}}')
    other = comparison.Comparable(Run("b", "finished", record=one.record), one.record)
    assert other.resamples == {} and one.compared_with(other)[0].startswith("Not paired")


def test_what_differs_is_named_group_by_group(make):
    version = replace(RUN.version, packages={"numpy": "2.1", "xgboost": "3.2", "mlflow": "3.17"})
    chosen = replace(RUN.chosen, hyperparameters={"eta": 0.3})
    one = make("a", 0.7)
    other = make("b", 0.7, version=version, chosen=chosen, parameters=RUN.parameters | {"seed": 8, "data": ""})
    assert comparison.differing(one, other) == [
        ("choice", "eta", "0.1", "0.3"),
        ("parameter", "seed", "7", "8"),
        ("parameter", "data", "mine.csv", "(empty)"),
        ("version", "numpy", "2.0", "2.1"),
        ("version", "mlflow", "–", "3.17"),
    ]
    assert comparison.differing(one, one) == []
    by_budget = replace(RUN.chosen, decides="precision_90")
    assert comparison.differing(one, make("c", 0.7, chosen=by_budget)) == [
        ("choice", "alerts for", "highest F1", "90\N{NO-BREAK SPACE}% of alerts are frauds"),
        ("choice", "from a score of", "0.25", "0.5"),
    ]


@given(shift=st.floats(-0.5, 0.5), spread=st.floats(0, 0.1), seed=st.integers(0, 99))
def test_a_claim_is_made_exactly_where_the_interval_leaves_zero_out(shift, spread, seed):
    again = shift + spread * np.random.default_rng(seed).normal(size=200)
    _, reading = comparison.paired(shift, again, 3)
    low, high = np.quantile(again, [0.025, 0.975])
    assert ("higher" in reading) == (low > 0) and ("lower" in reading) == (high < 0)
    assert (reading == "the same") == (not again.any())
