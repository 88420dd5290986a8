"""`make monitor` as people use it: notebook 04 into a run's folder, on captured requests and without any."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import monitored
import pandas as pd
import pytest
from records import RUN
from tiny import write_notebook

from fraud_utils import monitor, record
from fraud_utils.data import ULB, split_transactions
from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.report import monitor as program

ROOT = Path(__file__).resolve().parents[2]
PAGE = "04_monitor.html"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project of its own with two runs, three weeks of captured requests, the last two damaged, and labels."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text("")
    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks/04_monitor.ipynb", folder / "notebooks")
    split = split_transactions(simulate_transactions(40_000, fraud_rate=0.005, seed=7), ULB)
    for name, rows in (("first", split.train.iloc[::2]), ("next", split.train)):
        place = folder / "runs" / name
        model = monitored.saved(place / "model", ULB, rows, split.test)
        parameters = {"seed": 3, "review_cost": 5.0, "profile": "quick", "data": ""}
        record.save(place, replace(RUN, run=name, parameters=parameters))
    model = monitor.load_model(folder / "runs" / "first")
    pools = monitor.pools(simulate_transactions(20_000, fraud_rate=0.005, seed=8), model, ULB)
    plan = monitor.Plan(requests_per_day=400)
    monitor.write_traffic(folder, pools[monitor.HEALTHY], pools[monitor.FAULTS["zero"]], plan)
    return folder


def asked(project: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("RUN", "PARAMS")}
    command = [sys.executable, "-m", "fraud_utils.report.monitor"]
    return subprocess.run(command, cwd=project, env=kept | settings, capture_output=True, text=True)


@pytest.fixture(scope="module")
def run(project) -> Path:
    """The folder of a run whose captured requests were looked at."""
    settings = {"CAPTURED": "captured/simulated/AllTraffic", "LABELS": "labels.csv", "PARAMS": "challenger=next"}
    done = asked(project, RUN="first", **settings)
    assert done.returncode == 0, done.stderr
    assert "changed on 12 January 2026" in done.stdout and "Look at the feed first" in done.stdout
    return project / "runs" / "first"


def test_the_verdict_is_on_top_of_the_page_and_in_a_file_for_programs(run, opened):
    verdict = json.loads((run / "monitor.json").read_text())
    assert verdict["state"] == "column"
    assert {alarm["kind"] for alarm in verdict["alarms"]} >= {"column"}
    page = opened(PAGE)
    above = page.locator("h2", has_text="The verdict").locator("xpath=following::strong[1]")
    assert above.inner_text().startswith("Column") or "columns changed" in above.inner_text()
    text = page.locator("main").inner_text()
    for part in (
        "8,400 rows with a score came in 21 days",
        "What raises an alarm?",
        "Fisher's exact test",
        "difference",
    ):
        assert part in text
    assert "simulated; no captured" not in text
    assert opened("index.html").get_by_role("link", name="04 Monitor").count() == 1


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (390, "dark")])
def test_the_page_is_accessible_and_no_wider_than_the_screen(opened, serious_faults, width, scheme):
    page = opened(PAGE, width=width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious_faults(page) == []


def test_figures_are_described_in_words(opened):
    described = [image.get_attribute("alt") for image in opened(PAGE).locator("img").all()]
    assert len(described) == 3
    assert any("alerts a day" in text for text in described) and any("recall" in text for text in described)


@pytest.mark.parametrize("width", [1100, 390])
def test_figures_tell_their_values_by_keys_and_as_csv(opened, width):
    page = opened(PAGE, width=width)
    figures = page.locator("figure[data-name]")
    assert figures.count() == 3
    for figure in figures.all():
        figure.locator(".figure").press("ArrowRight")
        assert figure.locator(".tip").is_visible()
        assert figure.get_by_role("button", name="as CSV").is_visible()
    tip = page.locator("figure[data-name=monitor_pace] .tip")
    page.locator("figure[data-name=monitor_pace] .figure").press("End")
    assert [line.split()[0] for line in tip.inner_text().splitlines()] == ["day", "alerts", "promised", "low", "high"]


@pytest.mark.long
def test_without_captured_requests_it_simulates_some_and_rehearses_four_faults(project, opened, run):
    done = asked(project, RUN="next", PARAMS="rehearsal_weeks=2 requests_per_day=100 challenger=first")
    assert done.returncode == 0, done.stderr
    text = opened("../next/" + PAGE).locator("main").inner_text()
    assert "These requests are simulated" in text
    for fault in monitor.FAULTS.values():
        assert fault.capitalize() in text
    assert "found by" in text
    assert "first was not compared: that takes captured requests" in text and "No other model was named" not in text


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({}, "name the run whose model is to be watched"),
        ({"RUN": "nowhere"}, "holds no finished run; make runs lists"),
        ({"RUN": "first", "PARAMS": "label_dealy_days=3"}, "did you mean 'label_delay_days'"),
        ({"RUN": "first", "PARAMS": "label_delay_days=soon"}, "takes int"),
        ({"RUN": "first", "PARAMS": "requests_per_day=0"}, "it must be from 1 to a million"),
        ({"RUN": "first", "LABELS": "labels.csv"}, "LABELS=labels.csv are of captured requests; name these too"),
    ],
)
def test_what_is_asked_wrongly_is_refused_before_anything_runs(project, settings, part, monkeypatch, capsys):
    before = {path: path.stat().st_mtime_ns for path in sorted(project.rglob("*"))}
    monkeypatch.chdir(project)
    for name in ("RUN", "CAPTURED", "LABELS", "PARAMS"):
        monkeypatch.setenv(name, settings.get(name, ""))
    assert program.main([]) == 2
    errors = capsys.readouterr().err
    assert part in errors and errors.startswith("error: ") and errors.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in sorted(project.rglob("*"))} == before


def test_a_notebook_that_fails_is_explained_once_and_leaves_no_earlier_verdict(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    parameters = 'run_folder: str = "runs/lab"  # where\ncaptured: str = ""  # what'
    fails = 'from fraud_utils.data import DataError\nraise DataError(f"CAPTURED={captured}: it is of no use")'
    write_notebook(tmp_path / "notebooks/04_monitor.ipynb", parameters, fails)
    place = tmp_path / "runs" / "one"
    place.mkdir(parents=True)
    record.save(place, replace(RUN, run="one", parameters={}))
    (place / program.VERDICT).write_text("{}")
    done = asked(tmp_path, RUN="one", CAPTURED="bad.csv")
    assert done.returncode == 1
    assert done.stderr.count("CAPTURED=bad.csv: it is of no use") == 1 and "Traceback" not in done.stderr
    assert (place / PAGE).exists() and not (place / program.VERDICT).exists()


@pytest.mark.long
def test_what_cannot_be_read_is_said_in_one_message(project):
    pd.DataFrame({"time": [1], "score": [0.5]}).to_csv(project / "bad.csv", index=False)
    done = asked(project, RUN="next", CAPTURED="bad.csv")
    assert done.returncode == 1
    assert "error: CAPTURED=bad.csv: column 'V1' is missing" in done.stderr and "Traceback" not in done.stderr
    assert not (project / "runs" / "next" / "monitor.json").exists()
