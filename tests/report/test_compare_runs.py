"""All runs together: the program as people start it, and its page in Chromium, which says what the terminal says."""

import fcntl
import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page
from records import RUN
from states import HANGS

from fraud_utils import record
from fraud_utils.record import Data, State, Version
from fraud_utils.report import compare_runs
from fraud_utils.report.comparison import MEASURES

EVIL = "</script><script>alert(1)</script>"
HOSTILE = "javascript:alert(1)#<img src=x onerror=alert(1)>?"  # a name, and an address where it is not quoted
AVERAGE_PRECISION = "average precision, test set"


def make_run(folder: Path, minute: int, gain: float = 0.0, again: bool = True, **changes: Any) -> None:
    """A finished run that reaches so much more than the others, on the same resamples or on none."""
    served, *others = RUN.models
    test = replace(served.test, average_precision=0.7 + gain, average_precision_ci=(0.6 + gain, 0.79 + gain), f1=0.69)
    changes = {
        "models": (replace(served, test=test), *others),
        "created": RUN.created + timedelta(minutes=minute),
    } | changes
    finished = replace(RUN, run=folder.name, **changes)
    folder.mkdir(parents=True)
    record.save(folder, finished)
    record.save(folder, State("finished", folder.name, finished.created))
    (folder / "index.html").write_text("<!DOCTYPE html><html lang=en><title>a run</title><h1>A run</h1></html>")
    if again:
        noise = np.random.default_rng(0).normal(0, 0.02, 200)
        table = pd.DataFrame(dict.fromkeys(("average_precision", "f1", "recall", "precision"), 0.7 + gain + noise))
        table.attrs["resamples"] = "abc x 200"
        record.keep_resamples(folder, oof=table[["average_precision"]] - gain, test=table)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose runs are of every kind, and one that a process holds."""
    root = tmp_path_factory.mktemp("project")
    (root / "pyproject.toml").touch()
    (root / "notebooks").mkdir()
    there = root / "runs"
    make_run(there / "base", 1)
    version = Version("0.1.0", "abc", "3.12.1", {"numpy": "2.1", "xgboost": "3.2", "mlflow": "3.17"})
    make_run(there / "again", 2, parameters=RUN.parameters | {"seed": 2}, version=version)
    make_run(there / "near", 3, parameters=RUN.parameters | {"review_cost": 5.0})
    make_run(there / "better", 4, 0.1, chosen=replace(RUN.chosen, hyperparameters={"eta": 0.3}))
    make_run(there / "simulated", 6, data=Data("SIMULATED transactions (generator 1, seed 7)", simulated=True))
    make_run(there / "older", 7, again=False)
    make_run(there / HOSTILE, 8, parameters=RUN.parameters | {"note": EVIL}, data=replace(RUN.data, name=EVIL))
    make_run(there / "cut short", 9)
    text = (there / "cut short/metrics.json").read_text()
    (there / "cut short/metrics.json").write_text(text[: len(text) // 2])
    make_run(there / "no page", 10)
    (there / "no page/index.html").unlink()

    begun = State("running", "x", datetime.fromisoformat("2026-01-01T00:00:00+00:00"), 1, "01_explore", 5)
    for name in ("held", "killed", "failed"):
        (there / name).mkdir()
        record.save(there / name, begun)
    error = f"DataError: bad.csv, row 3: {HOSTILE}"
    set_otherwise = {"profile": "full", "review_cost": 9.0, "seed": 3}
    failed = replace(begun, state="failed", error=error, seconds=12.0, parameters=set_otherwise)
    record.save(there / "failed", failed)
    (there / "failed/01_explore.html").write_text("as far as it went")
    (there / "killed/01_explore.ipynb").write_text("{}")
    record.add(there / "failed", data=Data("bad.csv"))
    (there / "latest").symlink_to("older")
    return root


@pytest.fixture(scope="module")
def run(project: Path) -> Path:
    """`runs/` with its page, written by the program while another process's run is at work."""
    holder = os.open(project / "runs/held", os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        done = program(project, "index")
    finally:
        os.close(holder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "runs/index.html\n", "")
    return project / "runs"


def program(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fraud_utils.report.compare_runs", *arguments],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=HANGS,
    )  # fmt: skip


@pytest.fixture
def typed(project, monkeypatch, capsys):
    """What the program prints, called in this process."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(project / "runs")
        status = compare_runs.main(list(arguments))
        output = capsys.readouterr()
        return status, output.out, output.err

    return run_it


def figures(text: str) -> dict[str, list[str]]:
    """The lines below "of the chosen candidate", split into their columns, by name."""
    lines = text.split("of the chosen candidate", 1)[1].splitlines()[1 : 1 + len(MEASURES)]
    return {name: rest for name, *rest in (re.split(r"  +", line) for line in lines)}


# In the terminal ----------------------------------------------------------------------------------------------------


def test_two_runs_are_compared_by_what_they_reach_and_then_by_what_differs(typed):
    status, text, errors = typed("compare", "base", "again")
    assert (status, errors) == (0, "")
    about, reached, note, differs = text.split("\n\n")
    assert re.split(r"  +", about.splitlines()[0]) == ["A", "base", "2026-01-02 03:05 UTC", "mine.csv"]
    assert figures(text)[AVERAGE_PRECISION] == ["0.700 [0.600, 0.790]"] * 2 + ["+0.000 [+0.000, +0.000]", "the same"]
    assert len(figures(text)) == len(reached.splitlines()) - 1 == len(MEASURES)
    assert note.startswith("Paired:")
    assert [re.split(r"  +", line) for line in differs.splitlines()] == [
        ["what differs", "A", "B"],
        ["parameter: seed", "7", "2"],
        ["version: numpy", "2.0", "2.1"],
        ["version: mlflow", "–", "3.17"],
    ]
    assert "are equal." in typed("compare", "base", "older")[1].split("\n\n")[3]


def test_a_figure_without_an_interval_gets_that_of_its_resamples(typed):
    shown = figures(typed("compare", "base", "older")[1])["highest F1, test set"]
    assert re.fullmatch(r"0\.690 \[0\.6\d\d, 0\.7\d\d\]", shown[0]) and shown[1] == "0.690"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "bsae", "near"], "A=bsae: no such run; did you mean 'base' or"),
        (["compare", "base", "nothing like it"], "B=nothing like it: no such run"),
        (["compare", "", ""], "A: name a run; there are "),
        (["compare", "base", "failed"], "B=failed: this run is failed; choose a finished one (in 01_explore, cell 5"),
        (["compare", "base", "cut short"], "this run is damaged; choose a finished one (metrics.json is damaged"),
        (["open", "bsae"], "RUN=bsae: no such run; did you mean 'base' or"),
        (["open", "no page"], "index.html is missing"),
    ],
)
def test_a_run_that_is_not_there_or_not_finished_is_refused(typed, arguments, message):
    status, printed, errors = typed(*arguments)
    assert (status, printed, errors.count("\n")) == (2, "", 1)
    assert message in errors


def test_help_names_the_commands_and_an_unknown_one_is_refused(typed, capsys):
    with pytest.raises(SystemExit) as end:
        typed("--help")
    assert end.value.code == 0
    assert all(name in capsys.readouterr().out for name in ["index", "compare", "open"][:1])
    with pytest.raises(SystemExit) as end:
        typed("compair")
    assert end.value.code == 2


def test_a_place_without_runs_says_so(tmp_path, monkeypatch, capsys):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    assert compare_runs.main(["compare", "a", "b"]) == 2
    assert "there are no runs in runs/; make report makes one" in capsys.readouterr().err
    assert compare_runs.main(["index"]) == 0
    assert "There are none yet" in (tmp_path / "runs/index.html").read_text()


def test_a_summary_is_opened_in_the_browser_and_its_path_printed_where_there_is_none(project, tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {tmp_path}/address\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    done = program(project, "open", "base", BROWSER=str(browser))
    assert (done.returncode, done.stdout) == (0, "runs/base/index.html\n")
    assert (tmp_path / "address").read_text() == (project / "runs/base/index.html").resolve().as_uri()
    assert program(project, "open", BROWSER=str(browser)).stdout == "runs/older/index.html\n"  # the latest
    done = program(project, "open", "base", PATH="", DISPLAY="", WAYLAND_DISPLAY="", BROWSER="")
    assert done.returncode == 0
    assert done.stdout.startswith("runs/base/index.html") and "no browser" in done.stdout


# In a browser -------------------------------------------------------------------------------------------------------


def lines_of(page: Page) -> dict[str, list[str]]:
    rows = page.locator("table.sortable tbody tr")
    return {cells[0]: cells[1:] for cells in (row.locator("> *").all_inner_texts() for row in rows.all())}


def test_every_run_has_a_line_whatever_its_files_hold(opened):
    lines = lines_of(opened("index.html"))
    assert set(lines) == {
        *("base", "again", "near", "better", "simulated", "older", HOSTILE, "no page", "cut short"),
        *("failed", "killed", "held"),
    }
    begun = [cells[0] for cells in lines.values()]
    assert begun == sorted(begun, reverse=True)
    state = {name: cells[1].split("\n") for name, cells in lines.items()}
    assert state["base"] == ["finished"]
    problem = f"in 01_explore, cell 5: DataError: bad.csv, row 3: {HOSTILE}"
    assert state["failed"][0] == "failed" and len(problem) > 90
    assert state["failed"][1].endswith("...") and problem.startswith(state["failed"][1][:-3])  # the rest is folded
    assert state["failed"][-1] == "left: 01_explore"
    assert state["killed"] == ["killed", "in 01_explore, cell 5", "left: 01_explore"]
    assert state["held"] == ["running", "in 01_explore, cell 5"]
    assert state["cut short"][0] == "damaged" and state["cut short"][1].startswith("metrics.json is damaged: ")
    assert lines["failed"][2:] == ["bad.csv", "full", "3", "review_cost 9.0", *["–"] * 3, "12 seconds"]


def test_a_line_says_what_its_run_recorded(opened):
    lines = lines_of(opened("index.html"))
    assert lines["base"] == [
        "2026-01-02 03:05 UTC", "finished", "mine.csv", "quick", "7", "", "boosted trees",
        "0.700 [0.600, 0.790]", "0.800 [0.750, 0.850]", "83 seconds",
    ]  # fmt: skip
    assert [lines[name][5] for name in ("near", "again")] == ["review_cost 5.0", ""] and lines["again"][4] == "2"
    assert lines["simulated"][2] == "SIMULATED transactions (generator 1, seed 7)"


def test_lines_are_sorted_and_lead_to_their_runs(opened):
    page = opened("index.html")
    page.get_by_role("button", name="Average precision, test").press("Enter")
    assert next(iter(lines_of(page))) == "better"
    page.get_by_role("link", name="better", exact=True).click()
    assert page.locator("h1").inner_text() == "A run"
    page.go_back()
    page.get_by_role("link", name=HOSTILE).click()
    assert page.locator("h1").inner_text() == "A run"
    page.go_back()
    assert page.get_by_role("link", name="failed", exact=True).get_attribute("href") == "failed/01_explore.html"
    assert page.get_by_role("link", name="held").count() == page.get_by_role("link", name="no page").count() == 0


def shown(page: Page, table: str) -> list[list[str]]:
    return [row.locator("> *").all_inner_texts() for row in page.locator(f"#{table} tr").all()]


def test_the_page_says_of_two_runs_what_the_terminal_says(opened, typed):
    page = opened("index.html")
    for pair in [("base", "better"), ("better", "base"), ("base", "near"), ("base", "simulated"), ("older", HOSTILE)]:
        for name, value in zip("AB", pair, strict=True):
            page.get_by_label(name, exact=True).select_option(label=value)
        _, text, _ = typed("compare", *pair)
        lines = [re.split(r"  +", line) for line in text.split("\n\n")[3].splitlines()[1:]]
        page.locator("#facts-table").evaluate("fold => { fold.open = true }")
        both = [*shown(page, "choices"), *shown(page, "facts")]
        assert [[c[:40] for c in line] for line in both] == [[c[:40] for c in line] for line in lines]
        on_page = {label: [cell for cell in cells if cell != "–"] for label, *cells in shown(page, "figures")}
        assert on_page == {name: [cell for cell in cells if cell != "–"] for name, cells in figures(text).items()}
        assert page.locator("#note").inner_text() == text.split("\n\n")[2].strip()


def test_two_runs_are_chosen_by_keyboard_and_the_outcome_is_announced(opened):
    page = opened("index.html")
    outcome = page.get_by_role("status")
    before = outcome.inner_text()
    page.get_by_label("A", exact=True).focus()
    page.keyboard.press("ArrowDown")
    assert outcome.inner_text() != before
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "run-b"
    page.get_by_label("A", exact=True).select_option(label="base")
    page.get_by_label("B", exact=True).select_option(label="again")
    expected = (
        "sampling noise: 0. Differences in the choice: 0; in what went in: data 0, parameter 1, compared 0, version 2."
    )
    assert outcome.inner_text().endswith(expected)
    page.get_by_label("B", exact=True).select_option(label="better")
    assert re.search(r"sampling noise: [1-7]\. Differences in the choice: 1;", outcome.inner_text())
    page.get_by_label("B", exact=True).select_option(label="base")
    assert {line[-1] for line in shown(page, "figures")} == {"the same run"}


@pytest.mark.parametrize("width", [390, 1100])
def test_the_page_is_no_wider_than_its_screen(opened, width):
    page = opened("index.html", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_accessibility_fault_of_the_list_is_serious(opened, serious_faults, scheme):
    page = opened("index.html", color_scheme=scheme)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 24, 31)"
    )
    assert serious_faults(page) == []


def test_names_and_values_stay_text(opened, run):
    text = (run / "index.html").read_text()
    assert HOSTILE not in text
    assert EVIL not in text
    page = opened("index.html")
    page.get_by_label("A", exact=True).select_option(label="base")
    page.get_by_label("B", exact=True).select_option(label=HOSTILE)
    page.locator("#facts-table").evaluate("fold => { fold.open = true }")
    assert page.locator("img").count() == 0
    assert [EVIL in cell for line in shown(page, "facts") for cell in line].count(True) == 2


def test_the_page_holds_as_many_comparisons_as_it_says(project, run, monkeypatch, tmp_path):
    for number in range(4):
        make_run(tmp_path / "runs" / str(number), number, again=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compare_runs, "COMPARED", 3)
    text = compare_runs.write_index().read_text()
    assert "The newest 3 finished runs can be chosen here." in text
    embedded = json.loads(re.search(r'id="compared-data">(.*?)</script>', text, re.DOTALL)[1])
    assert [each["name"] for each in embedded["runs"]] == ["3", "2", "1"] and len(embedded["pairs"]) == 6
