"""The search for hyperparameters."""

import numpy as np
import pytest
from evaluation import made

from fraud_utils.evaluation import Protocol, average_precision, fits, tune
from fraud_utils.evaluation.fits import Fit
from fraud_utils.evaluation.scores import folds_of
from fraud_utils.models import Candidate

RNG = np.random.default_rng(0)
Y = (RNG.random(1500) < 0.05).astype(np.int8)
X = (RNG.normal(size=(1500, 4)) + Y[:, None]).astype(np.float32)
ROWS = made.rows(X, Y)
START = Candidate("xgboost", hyperparameters={"num_round": 200, "eta": 0.1})


def search(trials: int, seconds: float = 1e9, jobs: int = 1):
    return tune.tune(ROWS, Protocol(jobs=jobs), trials, seconds, START)


@pytest.fixture(scope="module")
def found():
    return search(10)


def test_the_same_number_of_trials_gives_the_same_winner_on_any_number_of_cores(found):
    again, table = search(10, jobs=2)
    assert again == found[0]
    assert table.equals(found[1])


def test_the_first_trial_is_the_setting_by_hand_and_the_winner_is_at_least_as_good(found):
    winner, table = found
    first = table.loc[0]
    assert (first["num_round"], first["eta"]) == (200, 0.1)
    assert first["folds"] == 3
    assert table["average_precision"].iloc[0] >= first["average_precision"]
    assert dict(winner.hyperparameters) == {key: table.iloc[0][key] for key in winner.hyperparameters}
    assert winner.name == "xgboost (tuned)"


def test_a_trials_figure_is_its_average_precision_out_of_fold(found):
    winner, table = found
    todo = [Fit(winner, *part) for part in folds_of(ROWS, 3, 507)]
    done = fits.run(todo, X, Y, "again", n_jobs=1)
    values = [average_precision(Y[fit.new], fitted.scores) for fit, fitted in zip(todo, done, strict=True)]
    assert table["average_precision"].iloc[0] == pytest.approx(np.mean(values), abs=1e-12)


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
