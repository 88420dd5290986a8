"""The notebooks as people meet them: read, run by `make report`, and opened in JupyterLab."""

import ast
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
import requests
import websocket
from scipy import stats
from sklearn import metrics as sk
from states import HANGS, until

from fraud_utils import artifact, data
from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.report.execute import execute

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
REPORTED = [path for path in NOTEBOOKS if path.stem != "04_monitor"]  # that one make monitor runs
PARAMETERS = {
    "01_explore": {"data", "schema", "simulate", "seed", "profile", "run_folder", "test_share", "most_rows"},
    "02_compare_models": {
        *("data", "schema", "simulate", "seed", "profile", "run_folder", "test_share", "most_rows"),
        *("review_cost", "block_cost", "alerts_per_day", "cards_per_day"),
        *("tuning_trials", "tuning_seconds", "tune_jobs", "cache"),
        *("target", "region", "role", "bucket", "prefix", "image", "security", "train_instance"),
    },
    "03_deploy": {
        *("data", "schema", "simulate", "seed", "run_folder", "test_share", "most_rows"),
        *("target", "region", "role", "bucket", "prefix", "image", "security"),
        *("train_instance", "train_count", "serve_instance", "serve_count", "serverless", "spot", "capture"),
        "register_in",
        *("model_version", "autoscale_to", "replace", "keep_endpoint", "history_store"),
        *("canary_minutes", "canary_percent"),
    },
    "04_monitor": {
        *("data", "schema", "simulate", "seed", "run_folder", "test_share", "most_rows", "review_cost"),
        *("captured", "labels", "label_delay_days", "challenger", "rehearsal_weeks", "requests_per_day"),
    },
}
METRICS = {
    *("average_precision", "average_precision_ci", "roc_auc", "f1", "precision", "recall"),
    *("precision_at_100", "recall_at_100", "brier", "log_loss", "savings", "savings_ci"),
}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_exactly_the_expected_parameters(notebook):
    parameters = papermill.inspect_notebook(str(notebook))
    assert set(parameters) == PARAMETERS[notebook.stem]
    for parameter in parameters.values():
        assert parameter["help"], f"{parameter['name']} has no help"
        assert type(ast.literal_eval(parameter["default"])).__name__ == parameter["inferred_type_name"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_names_no_path_outside_the_project(notebook):
    content = nbformat.read(notebook, 4)
    nbformat.validate(content)
    assert content.cells[0].cell_type == "markdown"
    assert len({cell.id for cell in content.cells}) == len(content.cells)
    for cell in content.cells:
        if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
            assert not re.search(r"['\"]/|\.\./", cell.source), cell.source


# Reports ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project, committed, that shares this environment: nobody's runs/ is touched."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("notebooks", "container", ".make"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__"))
    for name in ("Makefile", "pyproject.toml", "requirements.lock", ".python-version", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "--quiet", "--message", "All")
    return folder


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "CONDA", "GIT_")) and k != "MFLAGS"}


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True).stdout


def make(project: Path, *arguments: str, seconds: int = 1800) -> subprocess.CompletedProcess[str]:
    command = ["make", *arguments]
    return subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, timeout=seconds)


def report(project: Path, run: str, table: Path | str, *settings: str) -> Path:
    """The folder of a quick run that must succeed."""
    done = make(project, "report", f"DATA={table}", f"RUN={run}", "PROFILE=quick", *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return project / "runs" / run


@pytest.fixture(scope="module")
def small_table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "small.csv"
    simulate_transactions(4_000, fraud_rate=0.02, seed=3).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def reported(project, small_table) -> Path:
    """The folder of a quick run on the small table."""
    return report(project, "small", small_table, "PARAMS=review_cost=4 tuning_trials=2")


def recorded(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


def check_shape(metrics: dict) -> None:
    """Every key of the contract is there, with the right structure."""
    assert metrics.keys() >= {
        *("run", "created", "version", "data", "parameters", "split", "models", "tie_set", "chosen", "endpoint"),
        "seconds",
    }
    assert metrics["version"].keys() >= {"project", "git", "python", "packages"}
    assert metrics["data"].keys() >= {"name", "simulated", "path", "sha256", "rows", "frauds", "columns", "currency"}
    split = metrics["split"]
    assert split.keys() >= {"test_from", "train_rows", "train_frauds", "test_rows", "test_frauds", "test_days"}
    assert split["train_rows"] + split["test_rows"] == metrics["data"]["rows"]
    assert set(metrics["parameters"]) == set().union(*(PARAMETERS[path.stem] for path in REPORTED)) - {"run_folder"}
    names = [model["name"] for model in metrics["models"]]
    for model in metrics["models"]:
        assert model.keys() >= {"name", "learner", "imbalance", "kind", "oof", "test", "seconds"}
        assert model["oof"].keys() >= METRICS and model["test"].keys() >= METRICS
        unknown = {key for part in ("oof", "test") for key in METRICS if model[part][key] is None}
        no_probability = {"brier", "log_loss", "savings", "savings_ci"}
        assert unknown == (no_probability if model["kind"] == "unsupervised" else set()), model["name"]
        low, high = model["oof"]["average_precision_ci"]
        assert 0 <= low <= model["oof"]["average_precision"] <= high <= 1
    assert {model["kind"] for model in metrics["models"]} == {"baseline", "supervised", "unsupervised"}
    chosen = metrics["chosen"]
    assert {*metrics["tie_set"], chosen["name"]} <= set(names)
    assert chosen.keys() >= {"name", "hyperparameters", "thresholds", "reason", "per_day"}
    assert set(chosen["per_day"]) == {*chosen["thresholds"], "amount"}
    for day in chosen["per_day"].values():
        assert day.keys() >= {"alerts", "alerts_ci", "frauds_caught", "frauds_caught_ci", "saved", "saved_ci"}
    assert metrics["endpoint"].items() >= {"target": "local", "rows": split["test_rows"], "deleted": True}.items()
    assert metrics["endpoint"]["max_abs_difference"] <= 1e-6
    assert metrics["endpoint"]["latency_ms"].keys() >= {"p50", "p99"}
    assert metrics["seconds"].keys() >= {*(path.stem for path in REPORTED), "total"}


def check_figures(folder: Path, table: Path | str) -> None:
    """What is recorded of the chosen model is what scikit-learn and SciPy say about the scores of the served one."""
    metrics = recorded(folder)
    split = data.split_transactions(data.load_transactions(table), data.ULB)
    y, amount, time = (split.test[name].to_numpy() for name in ("Class", "Amount", "Time"))
    score = artifact.load(folder / "model").score(split.test)
    chosen, cost, days = metrics["chosen"], metrics["parameters"]["review_cost"], (time[-1] - time[0]) / 86_400
    test = next(model["test"] for model in metrics["models"] if model["name"] == chosen["name"])
    alert = score >= chosen["thresholds"]["f1"]
    assert metrics["split"]["test_days"] == pytest.approx(days)
    assert (len(y), y.sum()) == (metrics["split"]["test_rows"], metrics["split"]["test_frauds"])
    for name, value in {
        "average_precision": sk.average_precision_score(y, score),
        "roc_auc": sk.roc_auc_score(y, score),
        "brier": sk.brier_score_loss(y, score),
        "precision": sk.precision_score(y, alert),
        "recall": sk.recall_score(y, alert),
        "f1": sk.f1_score(y, alert),
    }.items():
        assert test[name] == pytest.approx(value, rel=1e-5), name
    best_blanket = min(amount[y == 1].sum(), cost * len(y))
    for way, reviewed in {"f1": alert, "amount": score * amount > cost}.items():
        day = chosen["per_day"][way]
        for name, count in {"alerts": reviewed.sum(), "frauds_caught": y[reviewed].sum()}.items():
            assert day[name] == pytest.approx(count / days)
            low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0
            assert day[f"{name}_ci"] == pytest.approx([low / days, stats.chi2.ppf(0.975, 2 * count + 2) / 2 / days])
        saved = best_blanket - amount[(y == 1) & ~reviewed].sum() - cost * reviewed.sum()
        assert day["saved"] == pytest.approx(saved / days, rel=1e-5)
        assert day["saved_ci"][0] <= day["saved"] <= day["saved_ci"][1]
    assert test["savings"] == pytest.approx(saved / best_blanket, rel=1e-5)
    assert test["savings_ci"][0] <= test["savings"] <= test["savings_ci"][1]


def check_sizes(folder: Path) -> None:
    """What a page may weigh, with all that it embeds."""
    assert sum(file.stat().st_size for file in [folder / "index.html", *(folder / "figures").glob("*")]) < 3_000_000
    assert all((folder / f"{path.stem}.html").stat().st_size < 10_000_000 for path in REPORTED)


def test_make_report_writes_all_that_was_promised(project, reported):
    names = {"index.html", "figures", "model", "model.tar.gz", "metrics.json", "resamples.json"}
    names |= {f"{path.stem}{suffix}" for path in REPORTED for suffix in (".ipynb", ".html")}
    assert names <= {path.name for path in reported.iterdir()}
    assert list((reported / "figures").glob("*.*g"))
    assert (project / "runs" / "latest").resolve() == reported.resolve()
    metrics = recorded(reported)
    check_shape(metrics)
    check_sizes(reported)
    assert metrics["parameters"]["review_cost"] == 4.0
    assert metrics["data"]["simulated"] is False


def test_no_page_has_a_warning(reported):
    executed = sorted(reported.glob("*.ipynb"))
    assert [path.name[:2] for path in executed] == ["01", "02", "03"]
    for path in executed:
        assert not warnings_on(path), path.stem


def warnings_on(executed: Path) -> list[str]:
    """What Python and its libraries complained of in a notebook that was executed."""
    outputs = [output for cell in nbformat.read(executed, 4).cells for output in cell.get("outputs", [])]
    return [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]


CLAIMS = """name: motor claims
label: outcome
fraud: fraud
time: filed
time_unit: timestamp
amount: cost
currency: USD
noun: claim
features: [age, never]
categorical: [region]
entity: policy
"""


def claims(folder: Path, rows: int = 1500) -> tuple[Path, Path]:
    """A table of claims over three years, with dates, words as labels and a column without a value; and its schema."""
    rng = np.random.default_rng(0)
    filed = pd.Timestamp("2015-03-02") + pd.to_timedelta(np.sort(rng.uniform(0, 1000, rows)), unit="D")
    frame = pd.DataFrame(
        {"filed": filed.strftime("%Y-%m-%d %H:%M:%S"), "never": np.nan, "age": rng.integers(18, 80, rows)}
    )
    frame = frame.assign(
        policy=rng.integers(0, 500, rows), region=rng.choice(["N", "S"], rows), cost=rng.exponential(900, rows)
    )
    frame["outcome"] = np.where(rng.random(rows) < np.where(frame["age"] < 30, 0.2, 0.05), "fraud", "legit")
    frame.to_csv(folder / "claims.csv", index=False)
    (folder / "claims.yaml").write_text(CLAIMS)
    return folder / "claims.csv", folder / "claims.yaml"


def test_exploring_speaks_in_the_tables_own_terms(tmp_path):
    table, schema = claims(tmp_path)
    executed, source = tmp_path / "01_explore.ipynb", ROOT / "notebooks" / "01_explore.ipynb"
    parameters = {"data": str(table), "schema": str(schema), "run_folder": str(tmp_path)}
    execute(source, executed, parameters, lambda cell: None, print)
    assert not warnings_on(executed)
    page = executed.read_text()
    assert "1,500 claims" in page and not re.search(r"second \d|transactions? (is|are|in)\b|\bnan\b", page)
    assert "from 2015-03-02 " in page and "whether the past predicts the future, it cannot know" not in page
    assert (tmp_path / "figures" / "explore_time.png").exists()


def test_the_figures_are_those_of_scikit_learn_and_scipy(reported, small_table):
    check_figures(reported, small_table)


def test_what_pairs_runs_agrees_with_the_figures(reported):
    """The mean of a metric over resamples lies near the metric, by a fifth of it at most on so few frauds."""
    chosen = recorded(reported)["chosen"]["name"]
    judged = next(model for model in recorded(reported)["models"] if model["name"] == chosen)
    kept = json.loads((reported / "resamples.json").read_text())
    assert set(kept["test"]) == {"resamples", "average_precision", "f1", "precision", "recall", "brier", "savings"}
    assert kept["oof"].keys() >= {"resamples", "average_precision"}
    for part in ("oof", "test"):
        for name in kept[part].keys() - {"resamples"}:
            assert np.mean(kept[part][name]) == pytest.approx(judged[part][name], rel=0.2, abs=0.05), name


@pytest.mark.long
def test_an_example_is_drafted_from_a_run(project, reported):
    assert "an example is a full run on real data" in make(project, "example", f"RUN={reported.name}").stderr
    drafted = make(project, "example", f"RUN={reported.name}", "DRAFT=1")
    assert drafted.returncode == 0, drafted.stdout + drafted.stderr
    assert (project / "runs" / "example" / "index.html").exists()
    assert not list((project / "runs" / "example").glob("model*"))


def test_make_report_refuses_bad_data_with_one_message(project, tmp_path):
    (tmp_path / "bad.csv").write_bytes(b"PK\x03\x04 no zip")
    done = make(project, "report", f"DATA={tmp_path / 'bad.csv'}", "RUN=bad", "PROFILE=quick")
    assert done.returncode != 0
    assert done.stderr.count("is no CSV but an Excel workbook or a zip") == 1
    assert "Traceback" not in done.stderr
    assert not (project / "runs" / "bad" / "metrics.json").exists()


def test_make_report_refuses_an_unknown_parameter_and_suggests_the_nearest(project):
    done = make(project, "report", "PARAMS=sede=7", "RUN=typo")
    assert done.returncode != 0
    assert "did you mean 'seed'" in done.stderr
    assert not (project / "runs" / "typo").exists()


@pytest.mark.long
def test_a_table_without_a_signal_shows_nothing(project, small_table, tmp_path):
    frame = data.load_transactions(small_table)
    frame["Class"] = np.random.default_rng(0).permutation(frame["Class"].to_numpy())
    frame.to_csv(tmp_path / "noise.csv", index=False)
    folder = report(project, "noise", tmp_path / "noise.csv")
    metrics = recorded(folder)
    check_figures(folder, tmp_path / "noise.csv")
    baselines = {model["name"] for model in metrics["models"] if model["kind"] == "baseline"}
    assert baselines & set(metrics["tie_set"])  # so that the page says that no candidate is shown to have learned
    test = next(model["test"] for model in metrics["models"] if model["name"] == metrics["chosen"]["name"])
    assert test["average_precision_ci"][0] <= metrics["split"]["test_frauds"] / metrics["split"]["test_rows"]
    assert not any(day["saved_ci"][0] > 0 for day in metrics["chosen"]["per_day"].values())


@pytest.mark.long
def test_cards_at_merchants_are_reported_with_their_history(project):
    folder = report(project, "cards", "", "PARAMS=simulate=cards tuning_trials=1")
    metrics = recorded(folder)
    assert metrics["data"]["simulated"]
    assert metrics["data"]["name"].startswith("SIMULATED cards at merchants")
    assert metrics["split"]["waiting_rows"] > 0
    assert metrics["endpoint"]["max_abs_difference"] <= 1e-6
    model = json.loads((folder / "model" / "manifest.json").read_text())
    assert model["schema"]["label_delay_days"] == 7
    assert {"card_id_count_7d", "merchant_id_fraud_rate_7d"} <= {*model["features"]["numeric"]}
    assert [each["by"] for each in model["schema"]["history"]] == ["card_id", "merchant_id"]
    for page in ("01_explore.html", "02_compare_models.html", "03_deploy.html", "index.html"):
        assert "SIMULATED" in (folder / page).read_text()


@pytest.mark.parametrize("other", ["DATA=table.csv", "SCHEMA=table.yaml"])
def test_what_is_made_needs_no_table(project, other):
    (project / other.partition("=")[2]).write_text("label: y\nfeatures: [a]")
    done = make(project, "report", other, "PARAMS=simulate=cards")
    assert done.returncode != 0
    assert f"simulate=cards makes transactions; leave {other.partition('=')[0]} out" in done.stderr


@pytest.mark.long
@pytest.mark.real_data
def test_the_quick_report_on_the_real_data(project, real_data):
    folder = report(project, "real", real_data)
    metrics = recorded(folder)
    check_shape(metrics)
    check_figures(folder, real_data)
    check_sizes(folder)
    assert metrics["data"]["name"] == "ULB creditcard.csv"
    assert (metrics["data"]["rows"], metrics["data"]["frauds"]) == (284_807, 492)
    assert (metrics["split"]["test_rows"], metrics["split"]["test_frauds"]) == (56_962, 75)
    explored = (folder / "01_explore.html").read_text()
    for count in ("284,807", "492", "1,081", "75"):
        assert re.search(rf"(?<![\d,]){count}(?![\d,])", explored), count
    by_name = {model["name"]: model for model in metrics["models"]}
    chosen = by_name[metrics["chosen"]["name"]]
    assert 0.75 <= chosen["oof"]["average_precision"] <= 0.90  # above is a leak until shown otherwise
    assert 0.70 <= chosen["test"]["average_precision"] <= 0.90
    assert by_name["dummy"]["test"]["average_precision"] == pytest.approx(75 / 56_962)


# JupyterLab ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def lab(project, tmp_path) -> Iterator[tuple[str, str]]:
    """Address and token of the server that `make lab` starts."""
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("RUNTIME", "DATA", "CONFIG")}
    with (tmp_path / "lab.log").open("w") as log:
        process = subprocess.Popen(
            ["make", "lab", "ARGS=--no-browser --ip=127.0.0.1 --port=0"],
            cwd=project, env=environment() | folders, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

        def started() -> dict | None:
            assert process.poll() is None, (tmp_path / "lab.log").read_text()
            for file in (tmp_path / "RUNTIME").glob("jpserver-*.json"):
                server = json.loads(file.read_text())
                with_token = {"token": server["token"]}
                with contextlib.suppress(requests.ConnectionError):  # the file is there before the server listens
                    if requests.get(f"{server['url']}api/status", with_token, timeout=HANGS).ok:
                        return server
            return None

        try:
            server = until(started, "a JupyterLab server")
            yield server["url"].rstrip("/"), server["token"]
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(HANGS)


def run_in_lab(lab: tuple[str, str], path: str, typed: dict[str, Any]) -> dict[str, Any]:
    """Do what JupyterLab does for Run All and Save, and give the notebook as it is when it is opened again.

    Values that are `typed` over the parameters are sent to the kernel; in the file the cell stays as it is.
    """
    address, token = lab
    http = requests.Session()
    http.trust_env = False
    http.headers["Authorization"] = f"token {token}"
    page = http.get(f"{address}/lab/tree/{path}", timeout=HANGS)
    assert page.ok and "JupyterLab" in page.text
    notebook = nbformat.from_dict(http.get(f"{address}/api/contents/{path}", timeout=HANGS).json()["content"])
    body = {"path": path, "name": Path(path).name, "type": "notebook", "kernel": {"name": "python3"}}
    started = http.post(f"{address}/api/sessions", json=body, timeout=HANGS)
    started.raise_for_status()
    kernel = started.json()["kernel"]["id"]
    address_of_kernel = f"{address.replace('http', 'ws')}/api/kernels/{kernel}/channels?token={token}"
    channel = websocket.create_connection(address_of_kernel, timeout=HANGS, suppress_origin=True)

    def ask(kind: str, content: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The kernel's reply, and what it showed."""
        request, messages = str(uuid.uuid4()), []
        header = {"msg_id": request, "msg_type": kind, "username": "", "session": "", "version": "5.3"}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        channel.send(json.dumps(message))
        while not {"reply", "idle"} <= {step for step, _ in messages}:
            answer = json.loads(channel.recv())
            if answer["parent_header"].get("msg_id") == request:
                idle = answer["content"].get("execution_state") == "idle"
                step = "reply" if answer["channel"] == "shell" else "idle" if idle else "shown"
                messages.append((step, answer))
        return dict(messages)["reply"]["content"], [answer for step, answer in messages if step == "shown"]

    try:
        language = ask("kernel_info_request", {})[0]["language_info"]
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            values = typed if "parameters" in cell.metadata.get("tags", []) else {}
            code = "\n".join([cell.source, *(f"{name} = {value!r}" for name, value in values.items())])
            reply, shown = ask("execute_request", {"code": code, "silent": False, "stop_on_error": True})
            assert reply["status"] == "ok", reply
            kinds = ("stream", "display_data", "execute_result", "error")
            cell.outputs = [nbformat.v4.output_from_msg(each) for each in shown if each["msg_type"] in kinds]
            cell.execution_count = reply["execution_count"]
            cell.metadata |= {"execution": {"iopub.status.idle": "2026-01-01T00:00:00Z"}, "scrolled": True}
        notebook.metadata["language_info"] = language
        saved = {"type": "notebook", "format": "json", "content": notebook}
        http.put(f"{address}/api/contents/{path}", json=saved, timeout=HANGS).raise_for_status()
        return http.get(f"{address}/api/contents/{path}", timeout=HANGS).json()["content"]
    finally:
        channel.close()
        http.delete(f"{address}/api/sessions/{started.json()['id']}", timeout=HANGS)


def timeless(metrics: dict) -> dict:
    """What must be equal in two runs with the same inputs."""
    kept = {key: metrics[key] for key in ("data", "split", "models", "tie_set", "chosen", "endpoint")}
    kept["models"] = [{k: v for k, v in model.items() if k != "seconds"} for model in kept["models"]]
    kept["endpoint"] = {k: v for k, v in kept["endpoint"].items() if k != "latency_ms"}
    return kept


@pytest.mark.long
def test_jupyterlab_gives_the_numbers_of_make_report_and_leaves_git_clean(lab, project, small_table, reported):
    """Its kernels start in notebooks/, and fit everything again: two runs with the same inputs are equal."""
    values = {"data": str(small_table), "profile": "quick", "review_cost": 4.0, "tuning_trials": 2}
    values |= {"run_folder": "runs/lab", "cache": ""}
    for notebook in REPORTED:
        typed = {name: value for name, value in values.items() if name in PARAMETERS[notebook.stem]}
        reopened = run_in_lab(lab, f"notebooks/{notebook.name}", typed)
        executed = nbformat.read(project / "runs" / "lab" / notebook.name, 4)
        nbformat.validate(executed)
        outputs = [cell.get("outputs", []) for cell in executed.cells]
        assert sum(map(len, outputs)) > 5
        assert [cell.get("outputs", []) for cell in reopened["cells"]] == outputs
    sections = json.loads((project / "runs" / "lab" / "results.json").read_text())
    assert timeless(sections) == timeless(recorded(reported))
    assert not (project / "notebooks" / "runs").exists()
    assert git(project, "status", "--porcelain", "--", "notebooks", "runs/lab") == ""
