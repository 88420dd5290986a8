"""Folders as runs leave them and as accidents do: each says what it is, and none keeps another from being listed."""

import fcntl
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import RUN

from fraud_utils import record
from fraud_utils.record import Data, State
from fraud_utils.report import runs

STATE = State("running", "x", datetime(2026, 1, 1, tzinfo=UTC), 1, "01_explore", 5)


def described(folder: Path) -> tuple[str, str]:
    run = runs.read(folder)
    assert run
    return run.state, run.problem


def test_a_finished_run_says_what_it_was_and_what_it_reached(tmp_path):
    record.save(tmp_path, RUN)
    run = runs.read(tmp_path)
    assert (run.state, run.problem, run.page, run.link) == ("finished", "", "", "")
    assert (run.created, run.seconds, run.chosen) == ("2026-01-02 03:04 UTC", 83.0, "boosted trees")
    assert run.record == RUN and run.data == RUN.data
    assert run.figure("test", "average_precision") == (0.7, (0.6, 0.79))
    assert run.figure("oof", "brier") == (None, None)
    (tmp_path / "index.html").touch()
    assert runs.read(tmp_path).link == f"{tmp_path.name}/index.html"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (STATE, ("killed", "in 01_explore, cell 5")),  # no process holds it
        (replace(STATE, notebook=None, cell=None), ("killed", "")),
        (replace(STATE, state="interrupted"), ("interrupted", "in 01_explore, cell 5")),
        (replace(STATE, state="failed", error="ValueError: two\nlines"),
         ("failed", "in 01_explore, cell 5: ValueError: two lines")),
        (replace(STATE, state="finished"), ("damaged", "metrics.json is missing, though the run was finished")),
    ],
    ids=["killed", "at its start", "interrupted", "failed", "finished"],
)  # fmt: skip
def test_a_run_that_is_not_finished_says_how_far_it_came(tmp_path, state, expected):
    record.save(tmp_path, state)
    assert described(tmp_path) == expected


def test_a_run_that_a_process_holds_is_running(tmp_path):
    record.save(tmp_path, STATE)
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    assert described(tmp_path)[0] == "running"
    os.close(holder)
    assert described(tmp_path)[0] == "killed"


def test_a_failed_run_leads_to_its_partial_page_and_says_on_what_and_how_it_ran(tmp_path):
    record.save(tmp_path, replace(STATE, state="failed", error="x", seconds=12.0, parameters={"seed": 3}))
    record.add(tmp_path, data=Data("bad.csv"))
    (tmp_path / "01_explore.html").touch()
    run = runs.read(tmp_path)
    assert (run.page, run.seconds, run.data, run.chosen) == ("01_explore.html", 12.0, Data("bad.csv"), "–")
    assert run.parameters == {"seed": 3} and run.figure("test", "average_precision") == (None, None)


def test_a_run_that_was_killed_leads_to_all_that_it_left(tmp_path):
    record.save(tmp_path, replace(STATE, notebook="02_compare_models"))
    for name in ("01_explore.html", "01_explore.ipynb", "02_compare_models.ipynb"):
        (tmp_path / name).touch()
    run = runs.read(tmp_path)
    assert run.left == ("01_explore.html", "02_compare_models.ipynb")  # the page of the second was not written
    assert run.link == f"{tmp_path.name}/02_compare_models.ipynb"


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("metrics.json", '{"run": "x", ', "metrics.json is damaged: "),
        ("metrics.json", '{"run": "x", "created": "0001-01-01T00:00:00+14:00"}', "year"),
        ("state.json", '{"state": "asleep"}', 'state.json: state is "asleep": '),
        ("results.json", '{"data": 3}', "results.json: data is 3: "),
    ],
)
def test_a_file_that_cannot_be_read_is_the_problem_of_its_run(tmp_path, file, content, problem):
    record.save(tmp_path, STATE)
    (tmp_path / file).write_text(content)
    assert described(tmp_path)[0] == "damaged"
    assert problem in described(tmp_path)[1]


@given(content=st.binary(max_size=40) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["run", "created", "data", "models", "chosen", "seconds", "x"]), inner), max_leaves=12,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_a_file_holds_its_run_is_described(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("run")
    (folder / "metrics.json").write_bytes(content)
    run = runs.read(folder)
    assert run and run.state in ("damaged", "finished") and len(run.problem) <= 200
    assert run.created and run.chosen


def test_runs_are_listed_newest_first_and_what_is_no_run_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert runs.listed() == []
    for name, seconds in (("a", 10), ("b", 50), ("c", 30)):
        (tmp_path / "runs" / name).mkdir(parents=True)
        record.save(tmp_path / "runs" / name, replace(RUN, run=name, created=RUN.created + timedelta(seconds=seconds)))
    (tmp_path / "runs/README.md").touch()
    record.add(tmp_path / "runs/by hand", data=Data("of a notebook that was run by hand"))
    (tmp_path / "runs/latest").symlink_to("a")
    (tmp_path / "runs/.example-1").mkdir()
    record.save(tmp_path / "runs/.example-1", RUN)
    assert [run.name for run in runs.listed()] == ["b", "c", "a"]  # within one minute, too


def test_simulated_data_is_always_called_so():
    assert runs.data_name(Data("mine.csv")) == "mine.csv"
    assert runs.data_name(Data("tiny", simulated=True)) == "SIMULATED: tiny"
    assert runs.data_name(Data("SIMULATED transactions", simulated=True)) == "SIMULATED transactions"
    assert runs.data_name(None) == "–"


def test_a_name_is_quoted_in_its_link_and_shown_whatever_its_bytes():
    hostile = os.fsdecode(b"javascript:alert(1)#\xff?")
    run = runs.Run(hostile, "finished", page="index.html")
    assert run.link == "javascript%3Aalert%281%29%23%FF%3F/index.html"
    assert run.shown == "javascript:alert(1)#\N{REPLACEMENT CHARACTER}?"
