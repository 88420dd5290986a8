"""Rows that stay on disk: what is learned from them is what is learned from the same rows in memory."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fraud_utils import artifact
from fraud_utils.data import Schema, memory_bytes
from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.training.disk import needed_bytes

ROOT = Path(__file__).resolve().parents[2]
PRIVATE = ["unshare", "--map-root-user", "--mount"]  # what the command after it mounts is seen by nobody else
EXACT = {"num_round": "40", "eta": "0.1", "subsample": "1", "colsample_bytree": "1"}


def parquet(folder, **tables):
    """Parquet files of many small row groups in a channel's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False, row_group_size=700)


def both(job, folder, settings, lay_out):
    """The manifests and models of a job with its rows in memory, and on disk."""
    found = []
    for wish in ("never", "always"):
        made = job(folder / wish, settings | {"external_memory": wish}, train={})
        lay_out(made.base / "input" / "data")
        made.run()
        assert not (made.base / "rows").exists()
        text = (made.base / "model" / "manifest.json").read_text()
        found.append((json.loads(text), artifact.load(made.base / "model")))
    return found


def test_a_model_of_rows_on_disk_is_that_of_rows_in_memory(job, frame, tmp_path):
    rows = frame.round(0).clip(-50, 50)  # few values: nothing to sketch

    def lay_out(data):
        parquet(data / "train", a=rows[:6000], b=rows[6000:9000])
        parquet(data / "validation", c=rows[9000:])

    (ours, model), (theirs, other) = both(job, tmp_path, EXACT | {"early_stopping_rounds": "15"}, lay_out)
    for key in ("features", "may_be_missing", "kept_share", "training"):
        assert ours[key] == theirs[key], key
    assert ours["reference"]["columns"] == theirs["reference"]["columns"]
    assert np.abs(model.score(rows) - other.score(rows)).max() < 1e-5
    assert ours["metrics"] == pytest.approx(theirs["metrics"], abs=1e-5)


def test_categories_dates_and_files_out_of_order_are_kept_on_disk_too(job, tmp_path):
    rng = np.random.default_rng(0)
    merchant = rng.integers(0, 60, 4000)
    table = pd.DataFrame(
        {"t": pd.date_range("2024-01-01", periods=4000, freq="h"), "a": rng.normal(size=4000).round(1)}
    )
    table["merchant"] = [f"m{m}" for m in np.where(np.arange(4000) < 2000, merchant, merchant + 30)]
    table.loc[::50, "merchant"] = None
    table["fraud"] = (rng.random(4000) < np.where(merchant % 10 == 3, 0.4, 0.02)).astype(int)
    schema = Schema("shop", label="fraud", time="t", amount=None, features=("a",), categorical=("merchant",))
    settings = EXACT | {"schema": json.dumps(schema.to_dict()), "early_stopping_rounds": "40"}
    (ours, _), (theirs, _) = both(
        job, tmp_path, settings, lambda data: parquet(data / "train", a=table[2500:], b=table[:2500])
    )
    for key in ("features", "may_be_missing", "training"):
        assert ours[key] == theirs[key], key
    assert ours["reference"] == theirs["reference"] | {
        "score": ours["reference"]["score"],
        "promise": ours["reference"]["promise"],
    }
    assert ours["metrics"]["train_average_precision"] == pytest.approx(
        theirs["metrics"]["train_average_precision"], abs=0.01
    )


def test_hosts_keep_their_shards_on_disk_and_under_sample_them_alike(cluster, frame, tmp_path):
    settings = EXACT | {"imbalance": "undersample 1:50", "external_memory": "always"}
    group = cluster(
        tmp_path, settings, [{"train": {"a.parquet": frame[:7000]}}, {"train": {"b.parquet": frame[7000:]}}]
    )
    group.run()
    manifest = json.loads((group.first.base / "model" / "manifest.json").read_text())
    assert manifest["training"]["rows"] == len(frame)
    assert manifest["kept_share"] == pytest.approx(50 * frame.Class.sum() / (frame.Class == 0).sum())


def test_a_fault_in_a_row_group_is_named_by_its_place(job, frame, tmp_path):
    failed = job(tmp_path, {"external_memory": "always"}, train={})
    parquet(tmp_path / "input" / "data" / "train", a=frame.assign(V3=frame.V3.where(frame.index != 1405, np.inf)))
    failed.run(status=1)
    assert "train/a.parquet: row 1406, column 'V3': the value is infinite" in failed.failure


def test_what_copies_rows_in_memory_is_refused_where_they_must_not_be_there(job, frame, tmp_path):
    failed = job(tmp_path, {"external_memory": "always", "imbalance": "SMOTE"}, train={"a.parquet": frame})
    failed.run(status=1)
    assert "'external_memory' is 'always', but SMOTE and 'folds' copy rows in memory" in failed.failure


def mounts() -> bool:
    """Whether this user may mount a disk that nobody else sees."""
    command = [*PRIVATE, "mount", "-t", "tmpfs", "none", "/mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("free_mb", "where"),
    [
        (3, "file.write(array"),
        pytest.param(8.5, "file.write(features.matrix", marks=pytest.mark.long),
        pytest.param(11, "xgboost-validation", marks=pytest.mark.long),
        (13, "xgboost-train"),
    ],
)
@pytest.mark.skipif(not mounts(), reason="mounts a small disk")
def test_a_full_disk_ends_the_job_with_the_size_to_ask_for(job, frame, tmp_path, free_mb, where):
    """Whatever is written when it is full: the program's copy of the rows, the matrix, or XGBoost's pages."""
    made, disk = job(tmp_path / "large", {"num_round": "5", "external_memory": "always"}, train={}), tmp_path / "small"
    data = made.base / "input" / "data"
    parquet(data / "train", a=pd.concat([frame] * 2))
    parquet(data / "validation", a=frame[:6000])
    disk.mkdir()
    size = sum(file.stat().st_size for file in data.rglob("*.parquet")) + int(free_mb * 2**20)
    script = f'mount -t tmpfs -o size={size} none "$0" && cp -r "$1"/. "$0" && "$2" "$3"'
    script += '; status=$?; cat "$0/output/failure"; exit $status'
    done = subprocess.run(
        [*PRIVATE, "bash", "-c", script, disk, made.base, sys.executable, ROOT / "container" / "train.py"],
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(disk), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert where in done.stderr
    assert re.search(r"the disk is full: .* a volume of 1 GB \(VolumeSizeInGB", done.stdout)


def test_rows_are_counted_before_they_are_read(frame, tmp_path):
    parquet(tmp_path, a=frame, b=frame[:1000])
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    assert needed_bytes(tmp_path, 31) == pytest.approx(3.5 * 13_000 * 31 * 8)
    assert 2**28 < memory_bytes() < 2**45


def peak_mb(process: subprocess.Popen) -> float:
    """Most memory of its own that a process has had: pages of files, which can be dropped at any time, do not count."""
    peak = 0
    while process.poll() is None:
        found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        peak = max(peak, int(found[1]) if found else 0)
        time.sleep(0.02)
    assert process.returncode == 0
    process.communicate()
    return peak / 1024


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_memory_is_less_than_the_rows_take(job, tmp_path):
    rows = pd.concat([simulate_transactions(250_000, seed=seed) for seed in range(8)], ignore_index=True)
    rows["Time"] = np.arange(len(rows), dtype=float)
    size = len(rows) * rows.shape[1] * 8 / 2**20
    peaks = {}
    for wish in ("never", "always"):
        made = job(tmp_path / wish, {"num_round": "5", "external_memory": wish}, train={})
        (made.base / "input/data/train").mkdir(exist_ok=True)
        rows.to_parquet(made.base / "input/data/train/a.parquet", index=False, row_group_size=100_000)
        peaks[wish] = peak_mb(made.start_program())
    print(f"\n{size:.0f} MB of rows: peak {peaks['never']:.0f} MB in memory, {peaks['always']:.0f} MB from disk")
    assert peaks["always"] < 0.6 * peaks["never"]
