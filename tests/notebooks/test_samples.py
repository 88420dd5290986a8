"""Reports on a sample of a large table's rows: what they say is about the whole table."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from reported import REPORTED, copied, page_text
from sklearn.metrics import average_precision_score
from table_shapes import SHAPES

from fraud_utils import artifact, record
from fraud_utils.data.simulate import simulate_transactions

NOTEBOOKS = [path.stem for path in REPORTED]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return copied(tmp_path_factory.mktemp("project"))


@pytest.mark.long
def test_a_report_on_a_sample_is_about_the_whole_table(project):
    """Many files, of whose legitimate rows a fifth are compared: counts are exact, the rest within its intervals."""
    frame = simulate_transactions(40_000, fraud_rate=0.01, seed=11)
    folder = project / "data" / "many"
    folder.mkdir(parents=True)
    for number in range(3):
        frame[number::3].to_parquet(folder / f"{number}.parquet", index=False)
    settings = {"DATA": "data/many", "RUN": "many", "PROFILE": "quick", "PARAMS": "tuning_trials=1 most_rows=8000"}
    done = subprocess.run(
        [sys.executable, "-m", "fraud_utils.report"],
        cwd=project, env=os.environ | settings, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    run = project / "runs" / "many"
    metrics = json.loads((run / "metrics.json").read_text())
    data, split, chosen = (metrics[name] for name in ("data", "split", "chosen"))
    assert (data["rows"], data["frauds"]) == (40_000, int(frame["Class"].sum()))
    assert data["share"] == pytest.approx(0.2, abs=0.01)
    test = frame[frame["Time"] >= split["test_from"]]
    assert (split["test_rows"], split["train_rows"]) == (len(test), 40_000 - len(test))
    assert (run / "model" / "manifest.json").is_file()
    score, y = (
        artifact.load(run / "model").score(test),
        test["Class"].to_numpy(),
    )  # of a model that learned from all rows
    model = next(each for each in metrics["models"] if each["name"] == chosen["name"])
    low, high = model["test"]["average_precision_ci"]
    assert low <= average_precision_score(y, score) <= high
    assert score.mean() == pytest.approx(y.mean(), rel=0.3)
    pages = {name: page_text(run / f"{name}.html") for name in ("index", *NOTEBOOKS)}
    for name in pages:
        assert "of the legitimate rows, drawn at random" in pages[name], name
    assert f"{len(test):,}" in pages["02_compare_models"] and "on all rows" in pages["03_deploy"]


@pytest.mark.long  # tests/report/test_check.py has the refusal before a report begins
def test_settings_are_not_searched_on_other_rows_than_those_compared(project, tmp_path):
    simulate_transactions(4_000, fraud_rate=0.02, seed=11).to_parquet(tmp_path / "table.parquet", index=False)
    given = {"data": tmp_path / "table.parquet", "run_folder": tmp_path / "run", "most_rows": 2_000, "tune_jobs": 2}
    options = [word for key, value in given.items() for word in ("-p", key, str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "papermill", "notebooks/02_compare_models.ipynb", tmp_path / "out.ipynb", *options],
        cwd=project, env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "tune_jobs=2: of so large a table models are compared on some of the rows" in done.stderr
    assert record.read(tmp_path / "run").data is None  # nothing has been done yet


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if "\ntime:" in shape.schema])
def test_a_sample_of_any_shape_is_explored_and_compared(project, name, tmp_path):
    """Few rows a day, entities, gaps, dates: the figures that a sample can give are there, and no others."""
    table, schema = SHAPES[name].write(tmp_path, name)
    given = {"data": table, "schema": schema, "run_folder": tmp_path / "run", "most_rows": 500, "profile": "quick"}
    options = [word for key, value in given.items() for word in ("-p", key, str(value))]
    for notebook in NOTEBOOKS[:2]:
        done = subprocess.run(
            [sys.executable, "-m", "papermill", f"notebooks/{notebook}.ipynb", tmp_path / "out.ipynb", *options],
            cwd=project, env=os.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3_000:]
    run = record.read(tmp_path / "run")
    assert run.data.rows + run.data.unlabelled == len(SHAPES[name].frame())
    assert 0 < run.data.share < 1
    judged = {model.name: model.oof for model in run.models}[run.chosen.name]
    assert judged.average_precision_ci[0] > run.data.frauds / run.data.rows
    assert judged.card_precision is None and not run.reviewed
