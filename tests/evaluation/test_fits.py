"""Many fits: the cache, the progress, what a fit may see."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from states import HANGS, until

from fraud_utils import models
from fraud_utils.evaluation import Protocol, fits
from fraud_utils.evaluation.fits import Fit
from fraud_utils.models import Candidate

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)
Y = (RNG.random(1200) < 0.1).astype(np.int8)
X = (RNG.normal(size=(1200, 3)) + Y[:, None]).astype(np.float32)
ROWS = np.arange(1200)
SMALL = Candidate("xgboost", "undersample 1:2", {"num_round": 5})


def todo(*candidates: Candidate) -> list[Fit]:
    return [Fit(candidate, ROWS[:900], ROWS[900:]) for candidate in candidates]


def test_what_is_cached_is_what_was_fitted(tmp_path):
    wanted = todo(SMALL, Candidate("logistic regression", "class weight"), Candidate("isolation forest"))
    folder = tmp_path / "of a folder" / "that is not there"
    first = fits.run(wanted, X, Y, "fits", folder, n_jobs=1)
    files = {path: path.stat().st_ino for path in folder.iterdir()}
    again = fits.run(wanted, X, Y, "fits", folder, n_jobs=2)
    assert len(files) == 3
    assert {path: path.stat().st_ino for path in folder.iterdir()} == files  # none was written again
    anew = fits.run(wanted, X, Y, "fits", n_jobs=1)
    for one, two, three in zip(first, again, anew, strict=True):
        np.testing.assert_array_equal(one.scores, two.scores)
        np.testing.assert_array_equal(one.scores, three.scores)
        assert (one.seconds, one.booster) == (two.seconds, two.booster)
    assert first[0].booster == anew[0].booster != b""
    assert first[1].booster == b""


@pytest.mark.parametrize("changed", ["value", "label", "setting", "treatment", "seed", "rows", "estimator"])
def test_whatever_decides_a_fit_decides_its_place_in_the_cache(tmp_path, changed):
    own = Candidate("own", estimator=LogisticRegression(C=1.0))
    fit = todo(own if changed == "estimator" else SMALL)[0]
    fits.run([fit], X, Y, "fits", tmp_path, n_jobs=1)
    table, labels = X.copy(), Y.copy()
    if changed == "value":
        table[0, 0] += 1
    elif changed == "label":
        labels[5] = 1 - labels[5]
    elif changed == "setting":
        fit = todo(Candidate(SMALL.learner, SMALL.imbalance, {"num_round": 6}))[0]
    elif changed == "treatment":
        fit = todo(Candidate(SMALL.learner, "undersample 1:3", SMALL.hyperparameters))[0]
    elif changed == "seed":
        fit = Fit(fit.candidate, fit.train, fit.new, 8)
    elif changed == "rows":
        fit = Fit(fit.candidate, ROWS[:899], fit.new)
    else:
        fit = todo(Candidate("own", estimator=LogisticRegression(C=2.0)))[0]
    fits.run([fit], table, labels, "fits", tmp_path, n_jobs=1)
    assert len(list(tmp_path.iterdir())) == 2


def test_labels_of_rows_that_are_scored_have_no_say(tmp_path):
    labels = Y.copy()
    labels[900:] = 1 - labels[900:]
    for candidate in (SMALL, Candidate("neural network", hyperparameters={"n_estimators": 1})):
        one, two = (fits.run(todo(candidate), X, truth, "fits", n_jobs=1)[0] for truth in (Y, labels))
        np.testing.assert_array_equal(one.scores, two.scores)


def test_a_damaged_file_is_fitted_again(tmp_path):
    expected = fits.run(todo(SMALL), X, Y, "fits", tmp_path, n_jobs=1)[0]
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    np.testing.assert_array_equal(fits.run(todo(SMALL), X, Y, "fits", tmp_path, n_jobs=1)[0].scores, expected.scores)
    assert path.stat().st_size > 100


def test_what_was_not_asked_for_longest_is_forgotten_first(tmp_path, monkeypatch):
    for name, age in {"old": 300, "new": 100, "newest": 0}.items():
        (tmp_path / name).write_bytes(bytes(1000))
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    monkeypatch.setattr(fits, "CACHE_BYTES", 2500)
    fits.run([], X, Y, "fits", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "newest"}


def test_whoever_follows_sees_each_fit(tmp_path, monkeypatch):
    monkeypatch.setenv("FRAUD_PROGRESS", str(tmp_path / "lines"))
    wanted = todo(SMALL, Candidate("dummy"))
    fits.run(wanted, X, Y, "Fitting", tmp_path / "cache", n_jobs=1)
    lines = [line.split("\t") for line in (tmp_path / "lines").read_text().splitlines()]
    assert [text.rsplit(",", 1)[0] for text, _ in lines] == [
        f"Fitting: 1 of 2, {SMALL.name}",
        "Fitting: 2 of 2, dummy",
    ]
    costs = [float(cost) for _, cost in lines]
    assert costs[0] > costs[1] > 0
    fits.run(wanted, X, Y, "Fitting", tmp_path / "cache", n_jobs=1)
    text, cost = (tmp_path / "lines").read_text().splitlines()[2].split("\t")
    assert "2 of 2 fits found in cache" in text and float(cost) == pytest.approx(-sum(costs))


def test_what_is_announced_is_about_what_is_fitted(tmp_path, monkeypatch):
    """Folds and the test set; the search, forward chaining and random splits come on top."""
    monkeypatch.setenv("FRAUD_PROGRESS", str(tmp_path / "lines"))
    candidates, protocol = [SMALL, Candidate("dummy")], Protocol(folds=3, random_splits=0)
    fits.announce(candidates, Y, protocol, trials=0)
    text, cost = (tmp_path / "lines").read_text().rstrip("\n").split("\t")
    whole = sum(candidate.cost(Y) for candidate in candidates)
    assert text == "" and 3 * whole <= float(cost) <= 15 * whole


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    """Kill a real process between two fits; the next run makes only those that are missing."""
    script = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}, {str(ROOT / "tests/evaluation")!r}]
from test_fits import *
wanted = [Fit(SMALL, ROWS[:900], ROWS[900:], seed) for seed in range(4000)]
fits.run(wanted, X, Y, "fits", {str(tmp_path)!r}, n_jobs=1)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, start_new_session=True)
    until(lambda: len(list(tmp_path.glob("*.npz"))) >= 5, "five fits")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert 5 <= len(kept) < 4000
    wanted = [Fit(SMALL, ROWS[:900], ROWS[900:], seed) for seed in range(5)]
    resumed = fits.run(wanted, X, Y, "fits", tmp_path, n_jobs=1)
    fresh = fits.run(wanted, X, Y, "fits", n_jobs=1)
    assert set(tmp_path.glob("*.npz")) == set(kept)
    for one, two in zip(resumed, fresh, strict=True):
        np.testing.assert_array_equal(one.scores, two.scores)


def test_scores_carry_the_prior_of_the_rows_not_of_the_treatment():
    (fitted,) = fits.run(todo(Candidate("logistic regression", "undersample 1:1")), X, Y, "fits", n_jobs=1)
    assert fitted.scores.mean() == pytest.approx(Y[900:].mean(), abs=0.04)
    raw = models.build(Candidate("logistic regression", "undersample 1:1")).fit(X[:900], Y[:900])
    assert raw.predict_proba(X[900:])[:, 1].mean() > 0.25


# On a cluster -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def program(*arguments: str, log: Path) -> Iterator[subprocess.Popen]:
    """A program of Dask's, on this machine alone; ended afterwards if it has not been."""
    command = [sys.executable, "-m", f"distributed.cli.{arguments[0]}", *arguments[1:], "--host", "127.0.0.1"]
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with log.open("a") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ | {"PYTHONPATH": search})
    try:
        yield process
    finally:
        process.kill()
        process.wait(HANGS)


@pytest.fixture(scope="module")
def started(tmp_path_factory) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """The address of a scheduler, and its two workers: the tests below use them up, the last of them first."""
    folder = tmp_path_factory.mktemp("cluster")
    address, log = folder / "scheduler.json", folder / "dask.log"
    with contextlib.ExitStack() as stack:
        where = ("--scheduler-file", str(address), "--no-dashboard")
        stack.enter_context(program("dask_scheduler", "--port", "0", *where, log=log))
        until(address.exists, "Dask's scheduler")
        one = ("dask_worker", "--nthreads", "1", "--no-nanny", *where)
        workers = [stack.enter_context(program(*one, "--name", name, log=log)) for name in ("one", "two")]
        until(lambda: log.read_text().count("Registered to:") == 2, "two workers")
        yield json.loads(address.read_text())["address"], workers


@pytest.fixture
def cluster(started, monkeypatch) -> list[subprocess.Popen]:
    """The workers that are left of a scheduler's that the environment names."""
    address, workers = started
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    return [worker for worker in workers if worker.poll() is None]


def seeds(count: int) -> list[Fit]:
    return [Fit(SMALL, ROWS[:900], ROWS[900:], seed) for seed in range(count)]


def test_workers_with_other_code_are_refused(cluster, monkeypatch):
    monkeypatch.setattr(fits, "_CODE", "newer")
    with pytest.raises(RuntimeError, match=r"other code or library versions than here on tcp:.*, tcp:"):
        fits.run(seeds(1), X, Y, "fits")


def test_a_cluster_gives_the_same_figures_they_are_kept_here_and_a_worker_that_dies_costs_its_own_fits_only(
    cluster, tmp_path, monkeypatch
):
    monkeypatch.setenv("FRAUD_PROGRESS", str(tmp_path / "lines"))
    wanted = [*seeds(16), *todo(Candidate("logistic regression"), Candidate("isolation forest"))]

    def kill_one() -> None:
        until(lambda: (tmp_path / "lines").exists(), "a first fit")
        cluster[0].kill()

    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill_one)
        there = fits.run(wanted, X, Y, "fits", tmp_path / "kept")
        killed.result()
    assert cluster[0].wait(HANGS) != 0 and cluster[1].poll() is None
    assert len((tmp_path / "lines").read_text().splitlines()) == 18  # each was told of once
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS")
    kept = fits.run(wanted, X, Y, "fits", tmp_path / "kept")
    for one, two, three in zip(there, kept, fits.run(wanted, X, Y, "fits", n_jobs=1), strict=True):
        np.testing.assert_array_equal(one.scores, three.scores)
        assert (one.seconds, one.booster) == (two.seconds, two.booster) and one.booster == three.booster


def test_a_cluster_without_workers_is_refused(cluster):
    for worker in cluster:
        worker.terminate()
        worker.wait(HANGS)
    with pytest.raises(RuntimeError, match="no workers"):
        fits.run(seeds(1), X, Y, "fits")
