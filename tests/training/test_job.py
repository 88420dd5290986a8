"""`train` as SageMaker runs it: a process on a tree of its own, judged by its exit status and what it leaves there."""

import gzip
import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fraud_utils import artifact, models
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import ULB, load_transactions, split_by_time
from fraud_utils.data.simulate import simulate_transactions

PROGRAMS = Path(__file__).resolve().parents[2] / "container"
QUICK = {"num_round": "30", "eta": "0.1"}


def program():
    """container/train.py as a module, for rules that need no process of their own."""
    spec = importlib.util.spec_from_file_location("train", PROGRAMS / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lay_out(base, hyperparameters=None, hosts=("algo-1",), **tables):
    """Make the tree that SageMaker makes: `train` and `validation` map file names to frames or bytes."""
    config = base / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters or QUICK))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": hosts[0], "hosts": list(hosts)}))
    for channel, files in tables.items():
        folder = base / "input" / "data" / channel
        folder.mkdir(parents=True)
        for name, content in files.items():
            if isinstance(content, bytes):
                (folder / name).write_bytes(content)
            elif name.endswith(".parquet"):
                content.to_parquet(folder / name, index=False)
            else:
                content.to_csv(folder / name, index=False)
    return base


def start(base):
    return subprocess.Popen(
        [sys.executable, PROGRAMS / "train.py"],
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(base), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(base, status=0):
    """Run `train` to its end; gives what it wrote to stdout."""
    process = start(base)
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    return out


def failure(base):
    return (base / "output" / "failure").read_text()


@pytest.fixture(scope="module")
def frame():
    return simulate_transactions(12_000, seed=5)


@pytest.fixture(scope="module")
def trained(frame, tmp_path_factory):
    """A finished job, and what it printed."""
    hyperparameters = QUICK | {
        "imbalance": "undersample 1:10",
        "thresholds": '{"f1": 0.3, "cost": 0.1}',
        "decides": "f1",
        "seed": "11",
    }
    base = lay_out(tmp_path_factory.mktemp("job"), hyperparameters, train={"rows.csv": frame})
    (base / "output").mkdir()
    (base / "output" / "failure").write_text("of an earlier run")
    return base, run(base)


def test_the_job_fits_what_the_notebook_fits(frame, trained):
    base, _ = trained
    features = FeatureMap.fit(ULB, dict(frame.items()))
    X, y = features.matrix(dict(frame.items())), frame.Class.to_numpy()
    candidate = models.Candidate("xgboost", "undersample 1:10", models.XGBOOST | {"num_round": 30, "eta": 0.1})
    scores = models.build(candidate, seed=11).fit(X, y).predict_proba(X)[:, 1]
    expected = artifact.prior_correction(scores, models.kept_share("undersample 1:10", y))
    assert np.abs(artifact.load(base / "model").score(frame) - expected).max() < 1e-6


def test_the_job_leaves_a_model_and_nothing_else(frame, trained):
    base, out = trained
    assert sorted(path.name for path in (base / "model").iterdir()) == ["manifest.json", "model.ubj"]
    assert not (base / "output" / "failure").exists()
    manifest = json.loads((base / "model" / "manifest.json").read_text())
    assert list(manifest["thresholds"].items()) == [("f1", 0.3), ("cost", 0.1)]
    assert manifest["training"]["rows"] == len(frame)
    assert manifest["training"]["frauds"] == frame.Class.sum()
    assert manifest["hyperparameters"]["imbalance"] == "undersample 1:10"
    assert "train_average_precision:" in out
    assert "round:30;" in out


def test_early_stopping_watches_the_last_rows_by_time_and_keeps_the_best_rounds(frame, tmp_path):
    settings = {"num_round": "400", "eta": "0.3", "early_stopping_rounds": "5", "max_depth": "3"}
    out = run(lay_out(tmp_path, settings, train={"rows.parquet": frame}))
    split = split_by_time(frame, ULB)
    assert f"train_rows:{split.train_rows};" in out
    assert f"validation_rows:{split.test_rows};" in out
    model = artifact.load(tmp_path / "model")
    rounds = model.booster.num_boosted_rounds()
    assert rounds < 390
    assert f"rounds:{rounds}.000000; " in out
    # Scored by hand round by round, no earlier model is better on the rows that were watched.
    from sklearn.metrics import average_precision_score

    X = model.matrix(split.test)
    by_round = [
        average_precision_score(split.test.Class, model.booster[: r + 1].inplace_predict(X)) for r in range(rounds)
    ]
    assert by_round[-1] > max(by_round[:-1], default=0) - 1e-6


def test_files_with_and_without_a_header_train_the_same_model(frame, trained, tmp_path):
    base, _ = trained
    settings = json.loads((base / "input" / "config" / "hyperparameters.json").read_text())
    bare = frame[["Class", *(name for name in ULB.columns if name != "Class")]].to_csv(index=False, header=False)
    lines = bare.encode().splitlines(keepends=True)
    run(
        lay_out(
            tmp_path,
            settings,
            train={
                "a.csv": b"".join(lines[:5000]),
                "b.csv.gz": gzip.compress(b"".join(lines[5000:])),
                ".DS_Store": b"x",
            },
        )
    )
    assert (tmp_path / "model" / "model.ubj").read_bytes() == (base / "model" / "model.ubj").read_bytes()


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"max_dept": "5"}, "'max_dept' is unknown; did you mean 'max_depth'"),
        ({"reg_lambda": "5"}, "'reg_lambda' is unknown; did you mean 'lambda'"),
        ({"n_jobs": "5"}, "'n_jobs' is unknown; known: num_round, eta"),
        ({"max_depth": "deep"}, "'max_depth' is 'deep'; it must be a whole number"),
        ({"max_depth": "2.5"}, "'max_depth' is '2.5'; it must be a whole number"),
        ({"eta": "0"}, "'eta' is '0'; it must be above 0 and at most 1"),
        ({"eta": "nan"}, "'eta' is 'nan'; it must be"),
        ({"subsample": "1.5"}, "'subsample' is '1.5'; it must be above 0 and at most 1"),
        ({"num_round": "0"}, "'num_round' is '0'; it must be at least 1"),
        ({"device": "gpu"}, "'device' is 'gpu'; it must be cpu or cuda"),
        ({"imbalance": "SMOKE"}, "'imbalance' is 'SMOKE'; it must be one of none, class weight"),
        ({"thresholds": "0.5"}, "'thresholds' is '0.5'; it must be a JSON object"),
        ({"thresholds": '{"f1": 2}'}, "between 0 and 1; 'f1' is 2"),
        ({"schema": '{"nam": "x"}'}, "unknown key 'nam'"),
        ({"eta": "-1", "max_dept": "3"}, "'eta' is '-1'.*; hyperparameter 'max_dept' is unknown"),
    ],
)
def test_a_hyperparameter_that_cannot_be_used_is_refused(tmp_path, hyperparameters, message):
    file = tmp_path / "hyperparameters.json"
    file.write_text(json.dumps(hyperparameters))
    train = program()
    with pytest.raises(train.SetupError, match=message):
        train.read_hyperparameters(file)


def test_a_tuning_jobs_own_names_are_passed_over(tmp_path):
    file = tmp_path / "hyperparameters.json"
    file.write_text(json.dumps({"_tuning_objective_metric": "validation_log_loss", "eta": "0.2"}))
    assert program().read_hyperparameters(file)[0]["eta"] == 0.2


@pytest.mark.parametrize(
    ("tables", "hosts", "message"),
    [
        ({"training": {"rows.csv": b"x"}}, ["algo-1"], "channel 'train' is missing; found 'training'"),
        ({"train": {}}, ["algo-1"], "channel 'train' is empty"),
        ({"train": {"rows.xlsx": b"x"}}, ["algo-1"], "rows.xlsx has an unknown format"),
        ({"train": {"rows.csv": b"1,2,3\n"}}, ["algo-1"], "train/rows.csv: no header and 3 columns"),
        ({"train": {"rows.csv": b"Time,V1,Klass\n0,1,0\n"}}, ["algo-1"], "train/rows.csv: column 'V2' is missing"),
        ({"train": {"rows.csv": b"x"}}, ["algo-1", "algo-2"], "training on 2 hosts is not supported yet"),
    ],
)
def test_input_that_cannot_be_used_ends_the_job_with_the_reason(tmp_path, capsys, monkeypatch, tables, hosts, message):
    lay_out(tmp_path, hosts=hosts, **tables)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    handler = signal.getsignal(signal.SIGTERM)
    try:
        assert program().main() == 1
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert message in failure(tmp_path)
    assert len(failure(tmp_path)) <= 1024
    assert message in capsys.readouterr().err
    assert not (tmp_path / "model" / "model.ubj").exists()


@pytest.mark.parametrize("imbalance", ["SMOTE", "SMOTE 1:10", "Borderline-SMOTE 1:10"])
def test_every_smote_is_refused_where_values_are_missing(tmp_path, frame, imbalance):
    holes = frame.copy()
    holes.loc[holes.index[::50], "V3"] = np.nan
    base = lay_out(tmp_path, {"imbalance": imbalance, "num_round": "3"}, train={"rows.csv": holes})
    run(base, status=1)
    assert f"'imbalance' is '{imbalance}', but column 'V3' has missing values" in failure(base)


def test_a_failing_process_exits_with_status_one(tmp_path, frame):
    base = lay_out(tmp_path, {"max_dept": "3"}, train={"rows.csv": frame.head(10)})
    run(base, status=1)
    assert "did you mean 'max_depth'" in failure(base)


def test_a_reason_that_cannot_be_written_is_still_told(tmp_path):
    base = lay_out(tmp_path, {"max_dept": "3"})
    (base / "output").write_text("a file where the folder should be")
    process = start(base)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "did you mean 'max_depth'" in err
    assert "failure could not be written" in err
    assert "Traceback" not in err


LONG = {
    "num_round": "900",
    "eta": "0.02",
    "max_depth": "6",
    "imbalance": "undersample 1:50",
    "early_stopping_rounds": "0",
}


def lay_out_long(base, frame):
    return lay_out(base, LONG, train={"a.csv": frame[:9000]}, validation={"b.csv": frame[9000:]})


@pytest.fixture(scope="module")
def long_model(frame, tmp_path_factory):
    """What the long job gives when nothing disturbs it."""
    base = lay_out(
        tmp_path_factory.mktemp("long"), LONG, train={"a.csv": frame[:9000]}, validation={"b.csv": frame[9000:]}
    )
    run(base)
    return (base / "model" / "model.ubj").read_bytes()


def test_killed_at_any_moment_and_restarted_it_grows_the_same_model(frame, long_model, tmp_path):
    base = lay_out_long(tmp_path, frame)
    moments = random.Random(time.time_ns())  # noqa: S311 - any moment must do
    for _ in range(2):
        process = start(base)
        rounds = (line for line in process.stdout if line.startswith("round:"))
        for _ in range(moments.randint(1, 7)):  # of twenty such lines, so that it is not done before it is killed
            next(rounds)
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    assert "going on from the checkpoint after round" in run(base)
    assert (base / "model" / "model.ubj").read_bytes() == long_model


def test_sigterm_leaves_a_model_that_loads_and_a_checkpoint_to_go_on_from(frame, long_model, tmp_path):
    base = lay_out_long(tmp_path, frame)
    process = start(base)
    for line in process.stdout:
        if line.startswith("round:"):
            break
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopped by SIGTERM" in out
    model = artifact.load(base / "model")
    assert 0 < model.booster.num_boosted_rounds() < 900
    assert model.score(frame.head(5)).shape == (5,)
    run(base)
    assert (base / "model" / "model.ubj").read_bytes() == long_model


@pytest.mark.real_data
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("imbalance", ["none", "SMOTE"])
def test_peak_memory_is_within_three_input_matrices_and_300_mb(real_data, tmp_path, imbalance):
    rows = split_by_time(load_transactions(real_data), ULB).train
    base = lay_out(tmp_path, QUICK | {"imbalance": imbalance}, train={"rows.csv": rows})
    process = start(base)
    peak_kb = 0  # not wait4's: a child that was forked starts with its parent's peak
    while process.poll() is None:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        peak_kb = max(peak_kb, int(found[1]) if found else 0)
        time.sleep(0.02)
    process.communicate()
    assert process.returncode == 0
    bound = 3 * len(rows) * 29 * 4 / 1024**2 + 300
    print(f"\n{imbalance}: peak {peak_kb / 1024:.0f} MB of {bound:.0f}")
    assert peak_kb / 1024 <= bound


def test_a_checkpoint_of_other_hyperparameters_is_not_gone_on_from(frame, trained, tmp_path):
    base, _ = trained
    settings = json.loads((base / "input" / "config" / "hyperparameters.json").read_text())
    lay_out(tmp_path, settings, train={"rows.csv": frame})
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "checkpoint.ubj").write_bytes((base / "model" / "model.ubj").read_bytes())
    assert "of other data or hyperparameters; starting anew" in run(tmp_path)
    assert (tmp_path / "model" / "model.ubj").read_bytes() == (base / "model" / "model.ubj").read_bytes()
