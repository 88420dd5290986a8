"""The search for hyperparameters."""

import numpy as np
import pytest
from evaluation import made

from fraud_utils.evaluation import Protocol, average_precision, fits, tune
from fraud_utils.evaluation.fits import Fit
from fraud_utils.models import Candidate

RNG = np.random.default_rng(0)
Y = (RNG.random(1500) < 0.05).astype(np.int8)
X = (RNG.normal(size=(1500, 4)) + Y[:, None]).astype(np.float32)
ROWS = made.rows(X, Y)
START = Candidate("xgboost", hyperparameters={"num_round": 80, "eta": 0.25})


def search(trials: int, seconds: float = 1e9, jobs: int = 1):
    return tune.tune(ROWS, Protocol(jobs=jobs), trials, seconds, START)


@pytest.fixture(scope="module")
def found():
    return search(10)


@pytest.mark.long  # test_scores.py starts as many programs, for fits alone
def test_the_same_number_of_trials_gives_the_same_winner_on_any_number_of_cores(found):
    again, table = search(10, jobs=2)
    assert again == found[0]
    assert table.equals(found[1])


def test_the_first_trial_is_the_setting_by_hand_and_the_winner_is_at_least_as_good(found):
    winner, table = found
    first = table.loc[0]
    assert (first["num_round"], first["eta"]) == (80, 0.25)
    assert first["folds"] == 3
    assert table["average_precision"].iloc[0] >= first["average_precision"]
    assert table["num_round"].nunique() > 2
    assert dict(winner.hyperparameters) == {key: table.iloc[0][key] for key in winner.hyperparameters}
    assert winner.name == "xgboost (tuned)"


def test_a_trials_figure_is_its_average_precision_on_later_rows_after_its_rounds(found):
    winner, table = found
    todo = [Fit(winner, *part) for part in tune.later_parts(ROWS, 3, 507)]
    done = fits.run(todo, X, Y, "again", n_jobs=1)
    values = [average_precision(Y[fit.new], fitted.scores) for fit, fitted in zip(todo, done, strict=True)]
    assert table["average_precision"].iloc[0] == pytest.approx(np.mean(values), abs=1e-9)


def test_trials_that_fall_behind_stop_and_never_win(found):
    _, table = found
    assert (table["folds"] < 3).any()
    assert table["folds"].iloc[0] == 3
    assert f"{(table['folds'] < 3).sum()} stopped early" in tune.describe(table)


def test_the_clock_ends_the_search_and_says_so():
    winner, table = search(9, seconds=0)
    assert len(table) == tune.AT_ONCE
    assert "The clock ended the search" in tune.describe(table)
    assert winner.hyperparameters["num_round"] > 0


def test_a_search_that_finds_nothing_better_says_so_and_one_that_does_does_not(found):
    _, table = found
    assert table.index[0] != 0 and "adds no candidate" not in tune.describe(table)
    winner, alone = search(1)
    assert list(alone.index) == [0] and "adds no candidate" in tune.describe(alone)
    assert winner is START


def test_rows_that_judge_a_trial_are_later_than_those_it_is_fitted_on():
    moments = np.arange(1500) // 3
    parts = tune.later_parts(made.rows(X, Y, time=moments), 3, 507)
    assert len(parts) == 3
    for fit, new in parts:
        assert moments[fit].max() < moments[new].min()
    counts = [Y[new].sum() for _, new in parts]
    assert max(counts) - min(counts) <= 5
    assert np.array_equal(np.concatenate([new for _, new in parts]), np.arange(parts[0][1][0], 1500))


@pytest.mark.parametrize("time", [None, np.zeros(1500), (1 - Y).cumsum() * 0.0 + np.arange(1500) // 1400])
def test_without_times_that_part_the_frauds_whole_groups_are_held_out(time):
    groups = np.arange(1500) // 5
    parts = tune.later_parts(made.rows(X, Y, time=time, groups=groups), 3, 507)
    assert np.array_equal(np.sort(np.concatenate([new for _, new in parts])), np.arange(1500))
    for fit, new in parts:
        assert not set(groups[fit]) & set(groups[new])


def test_small_tables_are_searched_more_than_the_reference_data():
    protocol = Protocol(trials=8)
    assert tune.budget(ROWS, protocol) == 40
    assert tune.budget(made.rows(np.broadcast_to(np.float32(0), (227_845, 29)), np.zeros(227_845)), protocol) == 8
    assert tune.budget(made.rows(np.broadcast_to(np.float32(0), (10**7, 50)), np.zeros(10**7)), protocol) == 8


def test_the_search_finds_what_the_setting_by_hand_lacks():
    """A crossing of two columns, few rounds of which are enough: 200 by hand learn the noise of the labels."""
    rng = np.random.default_rng(3)
    wide = rng.normal(size=(2000, 6)).astype(np.float32)
    y = (rng.random(2000) < np.where(wide[:, 0] * wide[:, 1] > 1, 0.4, 0.04)).astype(np.int8)
    rows = made.rows(wide, y)
    start = Candidate("xgboost", hyperparameters={"num_round": 200, "eta": 0.1})
    winner, table = tune.tune(rows, Protocol(jobs=1), 4, 1e9, start)
    assert winner.name == "xgboost (tuned)"
    assert table["average_precision"].iloc[0] > table.loc[0, "average_precision"] + 0.01


def test_codes_of_categories_stay_codes_in_the_search():
    coded = made.rows(np.column_stack([X, np.arange(1500) % 40]).astype(np.float32), Y)
    start = Candidate("xgboost", hyperparameters={"num_round": 20, "eta": 0.4, "categorical": (4,)})
    winner, table = tune.tune(coded, Protocol(jobs=1), 3, 1e9, start)
    assert "categorical" not in table
    assert winner.hyperparameters["categorical"] == (4,)
