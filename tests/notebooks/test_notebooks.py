"""The notebooks as people meet them: read, run by `make report`, and opened in JupyterLab."""

import ast
import contextlib
import json
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
import requests
import websocket
from reported import (
    NOTEBOOKS,
    PARAMETERS,
    REPORTED,
    check_figures,
    check_shape,
    check_sizes,
    copied,
    environment,
    git,
    make,
    recorded,
    report,
    warnings_on,
)
from states import HANGS, until

from fraud_utils import data, record
from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.report.execute import execute

ROOT = Path(__file__).resolve().parents[2]


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
    return copied(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def small_table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "small.csv"
    simulate_transactions(4_000, fraud_rate=0.02, seed=3).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def reported(project, small_table) -> Path:
    """The folder of a quick run on the small table."""
    return report(project, "small", small_table, "PARAMS=review_cost=4 tuning_trials=2")


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


@pytest.mark.long  # test_shapes.py has a report that always runs
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


def timeless(run: record.Sections | record.RunRecord) -> dict:
    """What must be equal in two runs with the same inputs."""
    kept = {name: getattr(run, name) for name in ("data", "split", "tie_set", "chosen")}
    models = [replace(model, seconds={}) for model in run.models]
    return kept | {"models": models, "endpoint": replace(run.endpoint, latency_ms={})}


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
    assert timeless(record.read(project / "runs" / "lab")) == timeless(record.load(reported))
    assert not (project / "notebooks" / "runs").exists()
    assert git(project, "status", "--porcelain", "--", "notebooks", "runs/lab") == ""
