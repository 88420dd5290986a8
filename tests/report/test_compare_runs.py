"""All runs: folders as runs leave them and as accidents do, the program as people start it, the page in Chromium."""

import copy
import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page

from fraud_utils import record as results
from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.evaluation import metrics as evaluate
from fraud_utils.report import compare_runs as runs

ROOT = Path(__file__).resolve().parents[2]

EVIL = "</script><script>alert(1)</script>"
HOSTILE = "javascript:alert(1)#<img src=x onerror=alert(1)>?"  # a name, and an address where it is not quoted
ROWS, FRAUDS = 4000, 60
METRICS: dict[str, Any] = {
    "run": "x",
    "version": {"project": "0.1.0", "git": "abc", "python": "3.12.1", "packages": {"numpy": "2.0", "xgboost": "3.2"}},
    "data": {"name": "mine.csv", "simulated": False, "path": "mine.csv", "sha256": "a" * 64, "rows": 5 * ROWS,
             "frauds": 300, "columns": 31},
    "parameters": {"seed": 1, "review_cost": 3.0, "profile": "quick", "data": "mine.csv", "schema": ""},
    "split": {"test_from": 100.0, "train_rows": 4 * ROWS, "train_frauds": 240, "test_rows": ROWS,
              "test_frauds": FRAUDS},
    "tie_set": ["boosted trees"],
    "chosen": {"name": "boosted trees", "hyperparameters": {"eta": 0.1}, "thresholds": {"f1": 0.5}, "reason": "it is"},
    "endpoint": None,
    "seconds": {"01_explore": 1.0, "total": 83.0},
}  # fmt: skip


def scores(noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, the same for every run on these rows, and probabilities; without noise every fraud is above 0.5."""
    y = np.zeros(ROWS, dtype=int)
    y[np.random.default_rng(99).choice(ROWS, FRAUDS, replace=False)] = 1
    return y, np.clip(0.8 * y + 0.1 + noise * np.random.default_rng(seed).normal(size=ROWS), 0, 1)


def make_project(folder: Path) -> None:
    (folder / "pyproject.toml").touch()
    (folder / "notebooks").mkdir()


def make_run(folder: Path, minute: int, y: np.ndarray, score: np.ndarray, **changes: Any) -> dict[str, Any]:
    """A finished run's folder; changes are sections of its metrics, and `resamples=False` leaves those out."""
    with_resamples = changes.pop("resamples", True)
    again = evaluate.resampled_metrics(y, score, 0.5, np.full(len(y), 50.0), 3.0)
    judged = evaluate.metrics(y, score, 0.5, np.full(len(y), 50.0), 3.0)
    judged["average_precision_ci"] = evaluate.interval(again["average_precision"])
    model = {"name": "boosted trees", "learner": "x", "imbalance": "none", "kind": "supervised"}
    about = {"run": folder.name, "created": f"2026-01-02T03:{minute:02}:05+00:00"}
    metrics = copy.deepcopy(METRICS) | about | {"models": [model | {"oof": judged, "test": judged, "seconds": {}}]}
    for name, value in changes.items():
        metrics[name] = metrics[name] | value if isinstance(value, dict) else value
    folder.mkdir(parents=True)
    results.write_json(folder / "metrics.json", metrics)
    results.write_json(folder / "state.json", {"state": "finished", "run": folder.name, "created": metrics["created"]})
    (folder / "index.html").write_text("<!DOCTYPE html><html lang=en><title>a run</title><h1>A run</h1></html>")
    if with_resamples:
        runs.keep_resamples(folder, oof=again[["average_precision"]], test=again)
    return metrics


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose runs are of every kind, and one that a process holds."""
    root = tmp_path_factory.mktemp("project")
    make_project(root)
    there = root / "runs"
    y, base = scores(0.35)
    _, near = scores(0.35, seed=5)
    make_run(there / "base", 1, y, base)
    make_run(there / "again", 2, y, base, parameters={"seed": 2},
             version={"packages": {"numpy": "2.1", "xgboost": "3.2", "mlflow": "3.17"}})  # fmt: skip
    make_run(there / "near", 3, y, near, parameters={"review_cost": 5.0}, created="2026-01-02T03:02:40+00:00")
    make_run(there / "better", 4, y, scores(0.0)[1], chosen={"hyperparameters": {"eta": 0.3}})
    make_run(there / "elsewhere", 5, y[::-1], base[::-1], data={"sha256": "b" * 64})
    make_run(there / "simulated", 6, y, base,
             data={"simulated": True, "name": "SIMULATED transactions (generator 1, seed 7)"})  # fmt: skip
    make_run(there / "older", 7, y, base, resamples=False)
    make_run(there / HOSTILE, 8, y, base, parameters={"note": EVIL}, data={"name": EVIL})

    broken = make_run(there / "cut short", 9, y, base)
    text = (there / "cut short/metrics.json").read_text()
    (there / "cut short/metrics.json").write_text(text[: len(text) // 2])
    for number, (name, value) in enumerate({"models": "none", "seconds": None, "created": "yesterday"}.items()):
        folder = there / f"shape-{number}"
        folder.mkdir()
        (folder / "metrics.json").write_text(json.dumps(broken | {name: value}))
    texts = {"deep": "[" * 100_000, "list": "[]", "huge": json.dumps(broken | {"seconds": {"total": 10**400}})}
    for name, content in texts.items():
        (there / name).mkdir()
        (there / name / "metrics.json").write_text(content)
    (there / "bad resamples").mkdir()
    for file in ("metrics.json", "state.json"):
        (there / "bad resamples" / file).write_bytes((there / "base" / file).read_bytes())
    (there / "bad resamples/resamples.json").write_text('{"test": {"resamples": "x x 1000", "recall": [1, "a"]}}')

    begun = {"run": "x", "created": "2026-01-01T00:00:00+00:00", "pid": 1, "notebook": "01_explore", "cell": 5}
    for state in ("failed", "running", "interrupted", "finished"):
        (there / state).mkdir()
        results.write_json(there / state / "state.json", begun | {"state": state})
    error = {"error": f"DataError: bad.csv, row 3: {HOSTILE}", "seconds": 12.0}
    results.write_json(there / "failed/state.json", begun | {"state": "failed"} | error)
    (there / "failed/01_explore.html").write_text("as far as it went")
    results.add(there / "failed", data={"name": "bad.csv", "simulated": False})
    (there / "held").mkdir()
    results.write_json(there / "held/state.json", begun | {"state": "running"})
    results.add(there / "by hand", data={"name": "no run of make report"})
    (there / "README.md").touch()
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
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def figures(text: str) -> dict[str, list[str]]:
    """The lines below "of the chosen candidate", split into their columns, by name."""
    lines = text.split("of the chosen candidate", 1)[1].splitlines()[1 : 1 + len(runs.MEASURES)]
    return {name: rest for name, *rest in (re.split(r"  +", line) for line in lines)}


AVERAGE_PRECISION = "average precision, test set"


def recorded(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())["models"][0]["test"]


# In the terminal ----------------------------------------------------------------------------------------------------


def test_a_run_that_differs_in_nothing_that_counts_is_shown_to_be_the_same(project):
    done = program(project / "runs", "compare", "base", "again")
    assert (done.returncode, done.stderr) == (0, "")
    parts = done.stdout.split("\n\n")
    facts = [re.split(r"  +", line) for line in parts[3].splitlines()]
    assert facts == [
        ["what differs", "A", "B"],
        ["parameter: seed", "1", "2"],
        ["version: numpy", "2.0", "2.1"],
        ["version: mlflow", "–", "3.17"],
    ]
    assert len(figures(done.stdout)) == len(runs.MEASURES)
    assert {line[-1] for line in figures(done.stdout).values()} == {"the same"}
    assert parts[2].startswith("Paired:")


def test_a_difference_beyond_noise_is_claimed_with_its_paired_interval(project):
    """Against a model without an error, the difference on a resample is what the other lacks there."""
    done = program(project, "compare", "base", "better")
    line = figures(done.stdout)[AVERAGE_PRECISION]
    value = recorded(project / "runs/base")["average_precision"]
    lacking = 1 - np.array(json.loads((project / "runs/base/resamples.json").read_text())["test"]["average_precision"])
    low, high = np.quantile(lacking, [0.025, 0.975])
    assert low > 0.01
    assert line[1] == "1.000 [1.000, 1.000]"
    assert line[2] == f"+{1 - value:.3f} [+{low:.3f}, +{high:.3f}]"
    assert line[3] == "B is higher, by more than sampling noise"
    brier = figures(done.stdout)["Brier score (lower is better), test set"]
    assert brier[3] == "B is lower, by more than sampling noise"
    assert "choice: eta" in done.stdout
    back = figures(program(project, "compare", "better", "base").stdout)[AVERAGE_PRECISION]
    assert back[2] == f"−{1 - value:.3f} [−{high:.3f}, −{low:.3f}]"
    assert back[3] == "B is lower, by more than sampling noise"


def test_noise_is_not_called_a_difference_and_another_cost_no_comparison(project):
    lines = figures(program(project, "compare", "base", "near").stdout)
    one, other = (recorded(project / "runs" / name)["average_precision"] for name in ("base", "near"))
    assert one != other
    shown = lines[AVERAGE_PRECISION][2].replace("−", "-")
    difference, low, high = map(float, re.findall(r"[+-][\d.]+", shown))
    assert difference == pytest.approx(other - one, abs=0.0006)
    assert low <= 0 <= high
    assert lines[AVERAGE_PRECISION][3] == "no difference shown"
    assert lines["savings, test set"][-1] == "not compared: review_cost differs"


@pytest.mark.parametrize(
    ("other", "note", "reading"),
    [
        ("elsewhere", "Not paired: the data is not known to be the same", "intervals overlap: no difference shown"),
        ("older", "Not paired: the transactions are the same, but", "intervals overlap: no difference shown"),
        ("bad resamples", "Not paired: the transactions are the same, but", "intervals overlap: no difference shown"),
        ("simulated", "One run is of SIMULATED transactions and the other of real ones", "not compared"),
    ],
)
def test_runs_that_cannot_be_paired_are_not(project, other, note, reading):
    done = program(project, "compare", "base", other)
    assert note in done.stdout
    assert "\n\nPaired" not in done.stdout
    line = figures(done.stdout)[AVERAGE_PRECISION]
    assert line[-1] == reading
    assert not any(re.match(r"[+−]", cell) for cell in line)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["compare", "bsae", "near"], "A=bsae: no such run; did you mean 'base' or"),
        (["compare", "base", "nothing like it"], "B=nothing like it: no such run"),
        (["compare", "", ""], "A: name a run; there are "),
        (["compare", "base", "failed"], "B=failed: this run is failed; choose a finished one (in 01_explore, cell 5"),
        (["compare", "base", "cut short"], "this run is damaged; choose a finished one (metrics.json is damaged"),
        (["open", "bsae"], "RUN=bsae: no such run; did you mean 'base' or"),
        (["open", "bad resamples"], "index.html is missing"),
    ],
)
def test_a_run_that_is_not_there_or_not_finished_is_refused(project, arguments, told):
    done = program(project, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_help_names_the_commands_and_an_unknown_one_is_refused(project):
    done = program(project, "--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("index", "compare", "open"))
    assert program(project, "compair").returncode == 2


def test_a_place_without_runs_says_so(tmp_path):
    make_project(tmp_path)
    done = program(tmp_path, "compare", "a", "b")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there are no runs in runs/; make report makes one" in done.stderr
    assert program(tmp_path, "index").returncode == 0
    assert "There are none yet" in (tmp_path / "runs/index.html").read_text()


def test_a_summary_is_opened_in_the_browser_and_its_path_printed_where_there_is_none(project, tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {tmp_path}/address\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    done = program(project, "open", "base", BROWSER=str(browser))
    assert (done.returncode, done.stdout) == (0, "runs/base/index.html\n")
    assert (tmp_path / "address").read_text() == (project / "runs/base/index.html").resolve().as_uri()
    assert program(project, "open", BROWSER=str(browser)).stdout == "runs/older/index.html\n"  # the latest
    assert (tmp_path / "address").read_text().endswith("/runs/older/index.html")
    done = program(project, "open", "base", PATH="", DISPLAY="", WAYLAND_DISPLAY="", BROWSER="")
    assert done.returncode == 0
    assert done.stdout.startswith("runs/base/index.html")
    assert "no browser" in done.stdout


# In a browser -------------------------------------------------------------------------------------------------------


def lines_of(page: Page) -> dict[str, list[str]]:
    rows = page.locator("table.sortable tbody tr")
    return {cells[0]: cells[1:] for cells in (row.locator("> *").all_inner_texts() for row in rows.all())}


def test_every_run_has_a_line_whatever_its_files_hold(opened):
    lines = lines_of(opened("index.html"))
    assert set(lines) == {
        *("base", "again", "near", "better", "elsewhere", "simulated", "older", HOSTILE),
        *("cut short", "shape-0", "shape-1", "shape-2", "deep", "list", "huge", "bad resamples"),
        *("failed", "running", "interrupted", "finished", "held"),
    }
    begun = [cells[0] for cells in lines.values()]
    assert begun == sorted(begun, reverse=True)
    assert list(lines).index("near") < list(lines).index("again")  # later in the same minute
    state = {name: cells[1].split("\n") for name, cells in lines.items()}
    assert state["base"] == ["finished"]
    assert state["failed"] == ["failed", f"in 01_explore, cell 5: DataError: bad.csv, row 3: {HOSTILE}"]
    assert state["running"] == ["killed", "in 01_explore, cell 5"]
    assert state["held"] == ["running", "in 01_explore, cell 5"]
    assert state["interrupted"][0] == "interrupted"
    assert state["finished"] == ["damaged", "metrics.json is missing, though the run was finished"]
    assert state["cut short"][1].startswith("metrics.json is damaged: ")
    assert state["shape-0"] == ["damaged", 'metrics.json is of another shape: models is "none"']
    assert state["shape-1"] == ["damaged", "metrics.json is of another shape: seconds is null"]
    assert state["shape-2"] == ["damaged", "metrics.json is of another shape: created is yesterday"]
    assert state["huge"][1].startswith("metrics.json is of another shape: seconds.total is 1000")
    for name in ("shape-2", "deep", "list", "huge"):
        assert state[name][0] == "damaged"
    assert lines["failed"][2:] == ["bad.csv", "–", "–", "–", "12 s"]


def test_a_line_says_what_its_run_recorded(opened, run):
    lines = lines_of(opened("index.html"))
    judged = recorded(run / "base")
    low, high = judged["average_precision_ci"]
    reached = f"{judged['average_precision']:.3f} [{low:.3f}, {high:.3f}]"
    assert lines["base"] == ["2026-01-02 03:01 UTC", "finished", "mine.csv", "boosted trees", reached, reached, "83 s"]
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
    assert page.get_by_role("link", name="failed").get_attribute("href") == "failed/01_explore.html"
    assert page.get_by_role("link", name="held").count() == 0


def shown(page: Page, table: str) -> list[list[str]]:
    return [row.locator("> *").all_inner_texts() for row in page.locator(f"#{table} tr").all()]


@pytest.mark.parametrize("pair", [("base", "better"), ("better", "base"), ("base", "near"), ("base", "simulated"),
                                  ("older", HOSTILE)])  # fmt: skip
def test_the_page_says_of_two_runs_what_the_terminal_says(opened, project, pair):
    page = opened("index.html")
    for name, value in zip("AB", pair, strict=True):
        page.get_by_label(name, exact=True).select_option(label=value)
    text = program(project, "compare", *pair).stdout
    expected = [re.split(r"  +", line) for line in text.split("\n\n")[3].splitlines()[1:]]
    cut = [[cell[:40] for cell in line] for line in expected]
    assert [[cell[:40] for cell in line] for line in shown(page, "facts")] == cut
    said = {label: [cell for cell in cells if cell != "–"] for label, *cells in shown(page, "figures")}
    assert said == figures(text)
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
    told = "Differences: data 0, parameter 1, choice 0, version 2; figures by more than sampling noise: 0."
    assert outcome.inner_text().endswith(told)
    page.get_by_label("B", exact=True).select_option(label="better")
    assert re.search(r"choice 1, version 0; figures by more than sampling noise: [1-7]\.", outcome.inner_text())
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
    assert page.locator("img").count() == 0
    assert [EVIL in cell for line in shown(page, "facts") for cell in line].count(True) == 2


# A sweep ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """Notebook 02 with three seeds on one table by `make report`; MLflow gets the last of them."""
    root = tmp_path_factory.mktemp("sweep")
    (root / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks/02_compare_models.ipynb", root / "notebooks")
    for name in ("Makefile", "pyproject.toml", "requirements.lock", ".python-version"):
        shutil.copy(ROOT / name, root)
    (root / ".venv").symlink_to(sys.prefix)
    simulate_transactions(6_000, fraud_rate=0.015, seed=3).to_csv(root / "small.csv", index=False)
    done = []
    for seed in (1, 2, 3):
        tracking = {"MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db"} if seed == 3 else {}
        arguments = ["DATA=small.csv", f"RUN=sweep-{seed}", "PROFILE=quick", f"PARAMS=seed={seed} tuning_trials=1"]
        done.append(make(root, "report", *arguments, **tracking))
        assert done[-1].returncode == 0, done[-1].stdout + done[-1].stderr
    return root, done


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "CONDA", "MLFLOW")) and k != "MFLAGS"}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=clean | environment, capture_output=True, text=True, timeout=600
    )


def test_runs_of_a_sweep_are_paired_and_differ_in_their_seed(sweep):
    root, done = sweep
    assert re.search(r"02_compare_models: \d+ cells\n", done[0].stderr)  # nothing to estimate from yet
    assert re.search(r"about \d+ (s|min), as in sweep-1", done[1].stderr)  # of a run alike
    compared = make(root, "compare", "A=sweep-1", "B=sweep-3")
    assert compared.returncode == 0
    facts = [re.split(r"  +", line) for line in compared.stdout.split("\n\n")[3].splitlines()]
    assert [fact for fact in facts if not fact[0].startswith("choice")] == [
        ["what differs", "A", "B"],
        ["parameter: seed", "1", "3"],
    ]
    assert "\n\nPaired: " in compared.stdout
    lines = figures(compared.stdout)
    for name, part in (("average precision, out of fold", "oof"), (AVERAGE_PRECISION, "test")):
        values = []
        for run in ("sweep-1", "sweep-3"):
            metrics = json.loads((root / "runs" / run / "metrics.json").read_text())
            chosen = next(model for model in metrics["models"] if model["name"] == metrics["chosen"]["name"])
            values.append(chosen[part]["average_precision"])
        shown = [float(number) for number in re.findall(r"[+-][\d.]+", lines[name][2].replace("−", "-"))]
        assert shown[0] == pytest.approx(values[1] - values[0], abs=0.0006)
        assert lines[name][3] != "no difference shown" or shown[1] <= 0 <= shown[2]
    page = (root / "runs/index.html").read_text()
    assert re.findall(r'<a href="(sweep-\d)/index.html">', page) == ["sweep-3", "sweep-2", "sweep-1"]
    assert make(root, "compare", "A=sweep-1").returncode != 0


def test_resamples_that_are_kept_belong_to_the_figures_that_are_told(sweep):
    """The mean over resamples is near the figure, for every metric of the chosen candidate."""
    folder = sweep[0] / "runs/sweep-2"
    metrics = json.loads((folder / "metrics.json").read_text())
    chosen = next(model for model in metrics["models"] if model["name"] == metrics["chosen"]["name"])
    kept = json.loads((folder / "resamples.json").read_text())
    assert set(kept["test"]) == {"resamples", "average_precision", "f1", "precision", "recall", "brier", "savings"}
    for part, table in kept.items():
        for name, values in table.items():
            if name != "resamples":
                assert len(values) == 1000
                assert np.mean(values) == pytest.approx(chosen[part][name], abs=np.std(values) / 2 + 1e-4), name


def test_mlflow_gets_parameters_metrics_and_files(sweep):
    import mlflow

    root, done = sweep
    assert f"MLflow at sqlite:///{root}/mlflow.db has this run too" in done[2].stderr
    mlflow.set_tracking_uri(f"sqlite:///{root}/mlflow.db")
    [run] = mlflow.search_runs(experiment_names=["fraud-detection"], output_format="list")
    metrics = json.loads((root / "runs/sweep-3/metrics.json").read_text())
    assert (run.info.run_name, run.info.status) == ("sweep-3", "FINISHED")
    assert run.data.params["seed"] == "3"
    assert run.data.params["chosen"] == metrics["chosen"]["name"]
    for model in metrics["models"]:
        name = model["name"].replace("+", "plus").replace(":", " to ").replace("(", " ").replace(")", " ")
        there = f"candidates/{' '.join(name.split())}"
        for part in ("oof", "test"):
            for key, value in model[part].items():
                if key.endswith("_ci"):
                    low, high = value or (None, None)
                    assert run.data.metrics.get(f"{there}/{part}/{key[:-3]}_low") == low
                    assert run.data.metrics.get(f"{there}/{part}/{key[:-3]}_high") == high
                else:
                    assert run.data.metrics.get(f"{there}/{part}/{key}") == value
                    if model["name"] == metrics["chosen"]["name"]:
                        assert run.data.metrics.get(f"chosen/{part}/{key}") == value
    client = mlflow.MlflowClient()
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files >= {"index.html", "02_compare_models.html", "02_compare_models.ipynb", "metrics.json", "figures"}
    assert client.list_artifacts(run.info.run_id, "figures")


# What is kept for it ------------------------------------------------------------------------------------------------


def test_resamples_of_other_rows_or_another_number_are_not_subtracted(project, tmp_path):
    """The page's data may say that rows are the same; the labels and draws themselves decide."""
    root = tmp_path / "project"
    root.mkdir()
    make_project(root)
    y, score = scores(0.35)
    make_run(root / "runs/one", 1, y, score)
    make_run(root / "runs/other", 2, y[::-1], score[::-1])  # said to be of the same data and split
    done = program(root, "compare", "one", "other")
    assert "Not paired" in done.stdout


def test_cells_of_the_newest_run_alike_are_told(project, monkeypatch):
    monkeypatch.chdir(project)
    cells = [{"id": "a", "metadata": {"papermill": {"duration": 2.5}}}, {"id": "b", "metadata": {}}]
    for name in ("base", "near"):
        (project / f"runs/{name}/01_explore.ipynb").write_text(json.dumps({"cells": cells}))
    (project / "runs/elsewhere/01_explore.ipynb").write_text("no notebook")
    alike = METRICS["parameters"]
    assert runs.cell_seconds("01_explore", alike, None) == ("near", {"a": 2.5})
    assert runs.cell_seconds("01_explore", alike | {"data": "other.csv"}, None) == ("", {})
    assert runs.cell_seconds("01_explore", alike | {"data": "other.csv"}, 5 * ROWS) == ("near", {"a": 2.5})
    assert runs.cell_seconds("01_explore", alike, 17) == ("", {})
    assert runs.cell_seconds("01_explore", alike | {"profile": "full"}, 5 * ROWS) == ("", {})


def test_what_is_kept_can_be_read_back(tmp_path):
    y, score = scores(0.35)
    table = evaluate.resampled_metrics(y, score, 0.5)
    runs.keep_resamples(tmp_path, test=table)
    kept = json.loads((tmp_path / "resamples.json").read_text())["test"]
    assert kept.pop("resamples") == table.attrs["resamples"]
    pd.testing.assert_frame_equal(pd.DataFrame(kept), table, rtol=1e-4, check_dtype=False)
