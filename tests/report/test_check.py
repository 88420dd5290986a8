"""`make check`: all that is wrong with a table at once, or what it holds and what a report will leave out."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from table_shapes import SHAPES

from fraud_utils.report import check, program
from fraud_utils.report.parameters import declared, defaults

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = "label: fraud\ntime: booked_at\ntime_unit: timestamp\namount: amount\ncurrency: USD\nfeatures: [a, b]\n"


def table(rows: int = 600, every: int = 20) -> pd.DataFrame:
    """Two transactions an hour from 1 March 2025, 00:30; every so many one is fraud."""
    rng = np.random.default_rng(0)
    times = pd.Timestamp("2025-03-01 00:30") + pd.to_timedelta(np.arange(rows) * 30, unit="min")
    return pd.DataFrame(
        {
            "booked_at": times.strftime("%Y-%m-%dT%H:%M:%S"),
            "a": rng.normal(size=rows).round(3),
            "b": rng.normal(size=rows).round(3),
            "amount": (np.arange(rows) % 100 + 1) / 4,
            "fraud": (np.arange(rows) % every == 0).astype(int),
        }
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with the real notebooks; `write` puts a table and its schema into it."""
    root = tmp_path / "project"
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    (root / "pyproject.toml").touch()
    for name in ("DATA", "SCHEMA", "RUN", "PROFILE", "TARGET", "PARAMS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(root)
    return root


def write(project: Path, frame: pd.DataFrame, schema: str = SCHEMA) -> list[str]:
    """Arguments that name the table and its schema."""
    frame.to_csv(project / "mine.csv", index=False)
    (project / "mine.yaml").write_text(schema)
    return ["--data", "mine.csv", "--schema", "mine.yaml"]


def test_a_table_without_faults_is_summed_up(project, capsys):
    assert check.main(write(project, table())) == 0
    out = capsys.readouterr().out
    for expected in ("600 transactions", "30 frauds", "one transaction in 20", "2025-03-01 00:30 to 2025-03-13 12:00",
                     "12 days", "the last 120 of them, 6 frauds", "0.25", "25"):  # fmt: skip
        assert expected in re.sub(r"\s+", " ", out), expected
    assert "Nothing is wrong with it." in out


def test_every_fault_is_listed_at_once(project, capsys):
    frame = table().astype({"fraud": object, "amount": object, "a": object})
    frame.loc[3, "fraud"], frame.loc[5, "amount"], frame.loc[7, "a"], frame.loc[9, "booked_at"] = 2, -1, "ten", "soon"
    assert check.main(write(project, frame)) == 1
    output = capsys.readouterr()
    assert output.out == ""
    for row, column in ((4, "fraud"), (6, "amount"), (8, "a"), (10, "booked_at")):
        assert len(re.findall(rf"row {row}\b.*column '{column}'", output.err)) == 1, output.err


@pytest.mark.parametrize(
    ("change", "schema", "expected"),
    [
        ({}, SCHEMA.replace("amount: amount", "ignored: [amount]"), "costs, savings"),
        ({}, SCHEMA.replace("time: booked_at\ntime_unit: timestamp", "ignored: [booked_at]"), "drawn at random"),
        ({"a": 7}, SCHEMA, "column 'a', always 7 among the training rows"),
        ({"b": np.where(np.arange(600) < 500, np.nan, 1)}, SCHEMA, "column 'b', no value among the training rows"),
        ({"a": np.where(np.arange(600) % 3, np.nan, 1)}, SCHEMA, "SMOTE 1:10"),
        ({"fraud": (np.arange(600) % 5 == 0).astype(int)}, SCHEMA, "undersample 1:10"),
        ({"b": [f"v{i % 40}" for i in range(600)]}, SCHEMA.replace("[a, b]", "[a]\ncategorical: [b]"),
         "indicators of all but the 32 most frequent of 40 values of 'b'"),
    ],
    ids=["amount", "time", "constant", "valueless", "gaps", "treatments", "categories"],
)  # fmt: skip
def test_what_a_report_will_leave_out_is_said_beforehand(project, capsys, change, schema, expected):
    assert check.main(write(project, table().assign(**change), schema)) == 0
    assert expected in capsys.readouterr().out.split("A report leaves out:")[1]


def test_parameters_that_do_not_fit_the_table_are_doubted(project, capsys):
    frame = table()
    frame["amount"] /= 100
    assert check.main(write(project, frame)) == 0
    doubts = capsys.readouterr().out.split("Look again:")[1]
    assert "alerts a day" not in doubts  # nobody has given a budget
    assert "more than the largest amount, 0.25 USD: no review can pay" in doubts


def test_a_table_that_no_report_could_finish_is_refused(project, capsys):
    frame = table()
    frame["fraud"] = [int(i in (10, 200, 300, 580)) for i in range(600)]
    assert check.main(write(project, frame)) == 1
    assert "too few for 3 folds" in capsys.readouterr().err
    assert check.main(write(project, table().assign(a=2, b=np.nan, amount=1))) == 1
    expected = "no column to learn from: all training rows are alike in 'a' (always 2), 'b' (no value) and 'amount' (al"
    assert expected in capsys.readouterr().err


def test_without_a_schema_the_columns_are_shown_and_a_draft_is_written_that_passes(project, capsys):
    table().to_csv(project / "mine.csv", index=False)
    assert check.main(["--data", "mine.csv"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^a +number +– +\d+ ", out, re.MULTILINE)
    assert "make report DATA=mine.csv SCHEMA=mine.yaml" in out
    assert check.main(["--data", "mine.csv", "--schema", "mine.yaml"]) == 0
    assert check.main(["--data", "mine.csv"]) == 1
    assert "mine.yaml exists and stays as it is" in capsys.readouterr().err


def test_of_a_folder_it_is_said_which_files_were_looked_at(project, capsys):
    (project / "mine").mkdir()
    for day in range(11):
        table().iloc[50 * day : 50 * day + 50].to_csv(project / f"mine/{day:02}.csv", index=False)
    assert check.main(["--data", "mine"]) == 0
    assert "500 rows, 10 of its 11 files\n" in capsys.readouterr().out


def test_a_draft_passes_once_its_questions_are_answered(project, capsys):
    SHAPES["paysim"].frame().to_csv(project / "mine.csv", index=False)
    assert check.main(["--data", "mine.csv"]) == 0
    assert "decide what 1 line of it asks" in capsys.readouterr().out
    assert check.main(["--data", "mine.csv", "--schema", "mine.yaml"]) == 1
    assert re.search(r"mine\.yaml, line \d+: to be decided: does step count hours\?", capsys.readouterr().err)
    draft = (project / "mine.yaml").read_text()
    (project / "mine.yaml").write_text(re.sub(r"# decide:.*\n", "", draft))
    assert check.main(["--data", "mine.csv", "--schema", "mine.yaml"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "make check DATA=path"),
        (["--data", "gone.csv"], "DATA=gone.csv: no such file"),
        (["--data", "mine.csv", "--schema", "gone.yaml"], "SCHEMA=gone.yaml: no such file"),
    ],
)
def test_a_file_that_is_not_there_is_named(project, capsys, arguments, message):
    table().to_csv(project / "mine.csv", index=False)
    assert check.main(arguments) == 1
    assert message in capsys.readouterr().err


def test_a_report_makes_the_same_check_before_any_notebook(project, capsys, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    frame = table().astype({"a": object})
    frame.loc[7, "a"] = "ten"
    assert program.main([*write(project, frame), "--run", "faulty"]) == 2
    errors = capsys.readouterr().err
    assert "row 8" in errors and "'ten'" in errors and "Traceback" not in errors
    assert not (project / "runs").exists()
    assert program.main(["--data", "mine.csv", "--run", "faulty"]) == 2
    assert "'make check DATA=mine.csv' drafts a schema" in capsys.readouterr().err


def test_a_version_to_serve_is_looked_for_before_any_notebook(project, capsys, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert program.main(["--run", "faulty", "model_version=fraud:1"]) == 2
    errors = capsys.readouterr().err
    assert "error: model_version=fraud:1: SageMaker on this machine begins empty" in errors
    assert "'make sagemaker'" in errors and not (project / "runs").exists()


def test_a_tuning_job_that_would_see_other_rows_is_refused_before_any_notebook(project, capsys):
    words = ["--run", "sampled", *write(project, table(6_000)), "tune_jobs=2", "most_rows=3000"]
    assert program.main(words) == 2
    assert "error: tune_jobs=2: of so large a table" in capsys.readouterr().err
    assert not (project / "runs" / "sampled").exists()


def test_the_program_is_what_make_runs(project):
    table().to_csv(project / "mine.csv", index=False)
    done = subprocess.run(
        [sys.executable, "-m", "fraud_utils.report.check"],
        env=os.environ | {"DATA": "mine.csv"}, cwd=project / "notebooks", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "A draft of the schema is in mine.yaml" in done.stdout
    assert done.stderr == ""


def test_a_table_of_which_some_rows_are_drawn_is_said_to_be_one(project):
    write(project, table(6_000))
    asked = {"data": "mine.csv", "schema": "mine.yaml", "most_rows": 2_000}
    found = check.check(defaults(declared(sorted((project / "notebooks").glob("0*.ipynb")))) | asked)
    assert any(re.search(r"all frauds and 3\d(\.\d)?\s% of the legitimate rows, drawn", note) for note in found.notes)
