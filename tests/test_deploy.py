"""Training and serving a choice with the container's programs, and what happens when they fail."""

import shutil

import numpy as np
import psutil
import pytest

from fraud_utils import artifact, deploy, results
from fraud_utils.data import ULB, split_by_time
from fraud_utils.deploy import DeployError
from fraud_utils.simulate import simulate_transactions

CHOICE = {"hyperparameters": {"imbalance": "undersample 1:10", "num_round": 20, "seed": 3}, "thresholds": {"f1": 0.25}}


@pytest.fixture(scope="module")
def split():
    return split_by_time(simulate_transactions(5_000, fraud_rate=0.02, seed=1), ULB)


@pytest.fixture(scope="module")
def trained(split, tmp_path_factory):
    return deploy.train(split.train, ULB, CHOICE, tmp_path_factory.mktemp("run"))


def test_a_choice_becomes_a_model_folder_and_its_archive(trained, tmp_path):
    model = artifact.load(trained)
    assert model.manifest["thresholds"] == {"f1": 0.25}
    assert model.manifest["hyperparameters"]["num_round"] == 20
    artifact.unpack(trained.parent / "model.tar.gz", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.ubj", "manifest.json"}


def test_served_scores_are_the_models_own_and_nothing_is_left(trained, split):
    with deploy.endpoint(trained) as endpoint:
        assert endpoint.ready()
        served = endpoint.score(split.test)
        latency = endpoint.latency_ms(split.test, count=20)
        with pytest.raises(DeployError, match=r"answered 400: .*V7"):
            endpoint.score(split.test.drop(columns="V7"))
        assert not endpoint.deleted
        tree = psutil.Process(endpoint._process.pid).children(recursive=True)
    assert endpoint.deleted
    assert not [process for process in tree if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    np.testing.assert_allclose(served, artifact.load(trained).score(split.test), atol=1e-9)
    assert 0 < latency["p50"] <= latency["p99"]


def test_an_error_inside_the_block_ends_the_server_too(trained):
    with pytest.raises(ZeroDivisionError), deploy.endpoint(trained) as endpoint:
        _ = 1 / 0
    assert endpoint.deleted


def test_a_failing_training_says_what_the_program_left_in_its_failure_file(split, tmp_path):
    wrong = CHOICE | {"hyperparameters": {"max_dept": 5}}
    with pytest.raises(DeployError, match=r"max_dept.*max_depth"):
        deploy.train(split.train, ULB, wrong, tmp_path)
    assert not (tmp_path / "model").exists()


def test_a_damaged_model_is_not_served(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "model")
    (tmp_path / "model" / "model.ubj").write_bytes(b"damaged")
    with pytest.raises(DeployError, match=r"did not become ready(.|\n)*SHA-256"), deploy.endpoint(tmp_path / "model"):
        pass


def test_a_run_without_a_choice_and_an_unknown_target_are_refused(tmp_path):
    with pytest.raises(DeployError, match="run notebook 02 with the same run_folder first"):
        deploy.read_choice(tmp_path)
    chosen = CHOICE | {"name": "xgboost"}
    results.record(tmp_path, chosen=chosen, models=[{"name": "xgboost", "test": {"average_precision": 0.7}}])
    assert deploy.read_choice(tmp_path) == chosen | {"reached": 0.7}
    with pytest.raises(DeployError, match="TARGET=local"):
        deploy.check_target("aws")


def test_the_findings_say_whether_the_served_model_is_the_one_that_was_tested():
    choice, scores, latency = {"name": "xgboost", "reached": 0.7}, np.zeros(5), {"p50": 1.0, "p99": 2.0}
    assert "0.7000 on the test set, as in notebook 02" in deploy.describe(choice, scores, 0.0, 0.7, latency, True)
    assert "**not** the 0.7000" in deploy.describe(choice, scores, 0.0, 0.6, latency, True)
    assert "still answers" in deploy.describe(choice, scores, 0.0, 0.7, latency, False)
