"""Growing the trees: disturbed or not, a job ends with the same ones."""

import numpy as np
import pytest
import xgboost
from sklearn.metrics import average_precision_score

from fraud_utils import artifact
from fraud_utils.training.boosting import area_under_precision_recall
from fraud_utils.training.job import train

HYPERPARAMETERS = {"num_round": "120", "eta": "0.05", "imbalance": "undersample 1:50"}


def never():
    return False


class After:
    """True, or an end without warning, once XGBoost has asked so many times: once at the start, then every round."""

    def __init__(self, calls, kill=False):
        self.calls, self.asked, self.kill = calls, 0, kill

    def __call__(self):
        self.asked += 1
        if self.asked >= self.calls and self.kill:
            raise KeyboardInterrupt
        return self.asked >= self.calls


@pytest.fixture
def disturbed(job, frame, tmp_path):
    return job(tmp_path, HYPERPARAMETERS, train={"a.parquet": frame[:9000]}, validation={"b.parquet": frame[9000:]})


@pytest.fixture(scope="module")
def undisturbed(job, frame, tmp_path_factory):
    base = tmp_path_factory.mktemp("undisturbed")
    whole = job(base, HYPERPARAMETERS, train={"a.parquet": frame[:9000]}, validation={"b.parquet": frame[9000:]})
    train(base, never)
    return whole


def test_a_job_that_dies_and_is_restarted_grows_the_same_trees(disturbed, undisturbed, capsys):
    for calls in (40, 30):
        with pytest.raises(KeyboardInterrupt):
            train(disturbed.base, After(calls, kill=True))
    train(disturbed.base, never)
    assert "going on from the checkpoint after round 36" in capsys.readouterr().out
    assert disturbed.trees == undisturbed.trees
    assert not disturbed.checkpoint.exists()


def test_a_job_that_is_stopped_leaves_a_model_and_goes_on_from_there(disturbed, undisturbed, frame, capsys):
    train(disturbed.base, After(51))
    assert "stopped by SIGTERM; the model holds the 50 rounds grown so far" in capsys.readouterr().out
    model = artifact.load(disturbed.base / "model")
    assert model.booster.num_boosted_rounds() == 50
    assert model.score(frame.head(5)).shape == (5,)
    train(disturbed.base, never)
    assert "going on from the checkpoint after round 50" in capsys.readouterr().out
    assert disturbed.trees == undisturbed.trees


def test_a_restarted_job_that_is_stopped_at_once_leaves_what_it_had(disturbed, capsys):
    train(disturbed.base, After(51))
    trees = disturbed.trees
    train(disturbed.base, After(1))
    assert "stopped by SIGTERM; the model holds the 50 rounds" in capsys.readouterr().out
    assert disturbed.trees == trees


def test_a_job_stopped_before_its_first_tree_leaves_no_model(disturbed, capsys):
    train(disturbed.base, After(1))
    assert "stopped by SIGTERM before the first round; there is no model to save" in capsys.readouterr().out
    assert sorted(path.name for path in disturbed.base.iterdir()) == ["input"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda path, other: path.write_bytes(other.trees),
            "is of other data, hyperparameters or hosts; start",
        ),
        (lambda path, other: path.write_bytes(b"{"), "is damaged; starting anew"),
    ],
)
def test_a_checkpoint_that_is_not_this_jobs_is_left_aside(disturbed, undisturbed, capsys, damage, message):
    disturbed.checkpoint.parent.mkdir()
    damage(disturbed.checkpoint, undisturbed)
    train(disturbed.base, never)
    assert message in capsys.readouterr().out
    assert disturbed.trees == undisturbed.trees


def test_early_stopping_keeps_the_best_rounds_restarted_or_not(job, frame, tmp_path, capsys):
    settings = {"num_round": "400", "eta": "0.3", "early_stopping_rounds": "20", "max_depth": "3"}
    for name in ("whole", "restarted"):
        (tmp_path / name).mkdir()
        job(tmp_path / name, settings, train={"a.parquet": frame[:9000]}, validation={"b.parquet": frame[9000:]})
    counted = After(10_000)
    train(tmp_path / "whole", counted)
    model = artifact.load(tmp_path / "whole" / "model")
    rounds = model.booster.num_boosted_rounds()
    assert 1 < rounds < 380
    assert counted.asked == 1 + rounds + 20 + 1  # at the start, after every round, and at the end
    assert f"rounds:{rounds}.000000; " in capsys.readouterr().out
    # Scored round by round, no other model is better on the rows that were watched.
    watched = frame[9000:]
    X = model.matrix(watched)
    by_round = [
        average_precision_score(watched.Class, model.booster[: r + 1].inplace_predict(X)) for r in range(rounds)
    ]
    assert by_round[-1] > max(by_round[:-1]) - 1e-6
    train(tmp_path / "restarted", After(rounds + 21))  # stopped when it was ending: only the history knows of it
    train(tmp_path / "restarted", never)
    assert artifact.load(tmp_path / "restarted" / "model").booster.save_raw() == model.booster.save_raw()


def test_a_row_of_weight_three_counts_as_three_rows(job, frame, tmp_path, capsys):
    rows = frame[:4000].round(0).clip(-50, 50)  # few values, so that bins are the same however rows are counted
    weight = 1 + 2 * rows.Class.to_numpy()
    tables = {"1": rows.assign(csv_weights=weight), "0": rows.loc[rows.index.repeat(weight)]}
    scores = {}
    for weighted, table in tables.items():
        (tmp_path / weighted).mkdir()
        settings = {"num_round": "5", "subsample": "1", "base_score": "0.5", "csv_weights": weighted}
        job(tmp_path / weighted, settings, train={"a.parquet": table}, validation={"b.parquet": table})
        train(tmp_path / weighted, never)
        scores[weighted] = artifact.load(tmp_path / weighted / "model").score(rows)
    assert abs(scores["1"] - scores["0"]).max() < 1e-6
    lines = (line for line in capsys.readouterr().out.splitlines() if line.startswith("round:5;"))
    first, second = (line.partition("elapsed")[0] for line in lines)
    assert first == second  # the metrics on the validation rows count them alike


@pytest.mark.parametrize("weighted", [False, True])
def test_the_area_over_all_hosts_is_what_xgboost_computes_on_one(weighted):
    rng = np.random.default_rng(3)
    y = (rng.random(500) < 0.1).astype(int)
    X = rng.normal(size=(500, 3)).round(1) + y[:, None]  # many rows share a score
    weight = rng.integers(0, 4, 500).astype(float) if weighted else None
    data = xgboost.DMatrix(X, y, weight=weight)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 2}, data, 5)
    booster.set_param("eval_metric", "aucpr")
    expected = float(booster.eval(data).rpartition(":")[2])
    assert area_under_precision_recall(y, booster.predict(data), weight) == pytest.approx(expected, abs=1e-6)
    assert np.isnan(area_under_precision_recall(np.zeros(3), np.ones(3)))
