"""The notebooks as people meet them: read, run by `make report`, by papermill from two folders, and in JupyterLab."""

import ast
import html
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest
import requests
import websocket
from scipy import stats
from sklearn import metrics as sk

from fraud_utils import artifact, data
from fraud_utils.data.simulate import simulate_transactions

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PARAMETERS = {
    "01_explore": {"data", "schema", "seed", "profile", "run_folder", "test_share"},
    "02_compare_models": {
        *("data", "schema", "seed", "profile", "run_folder", "test_share", "review_cost", "alerts_per_day"),
        *("tuning_trials", "tuning_seconds", "cache"),
    },
    "03_deploy": {
        *("data", "schema", "seed", "run_folder", "test_share"),
        *("target", "region", "role", "bucket", "prefix", "image"),
        *("train_instance", "serve_instance", "serve_count", "serverless", "spot", "capture", "register_in"),
        *("autoscale_to", "keep_endpoint"),
    },
}


def code(notebook: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]


# ------------------------------------------------------------------------------------------- house rules


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_exactly_the_expected_parameters(notebook):
    found = papermill.inspect_notebook(str(notebook))
    assert set(found) == PARAMETERS[notebook.stem]
    for parameter in found.values():
        assert parameter["help"], f"{parameter['name']} has no help"
        assert type(ast.literal_eval(parameter["default"])).__name__ == parameter["inferred_type_name"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_calls_shows_and_concludes(notebook):
    content = nbformat.read(notebook, 4)
    nbformat.validate(content)
    assert len({cell.id for cell in content.cells}) == len(content.cells)
    for cell in content.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
            nodes = list(ast.walk(ast.parse(cell.source)))
            assert not [n for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Lambda)], cell.source
            parameters = "parameters" in cell.metadata.get("tags", [])  # one a line, as many as there are
            assert parameters or len(cell.source.splitlines()) <= 12, cell.source
            assert parameters or not re.search(r"['\"]/|\.\./", cell.source)
    assert content.cells[0].cell_type == "markdown"
    assert not content.metadata.get("widgets")


# ------------------------------------------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project to run in, so that nobody's runs/ is touched; it shares this environment."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("notebooks", "container"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__"))
    for name in ("Makefile", "pyproject.toml", "requirements.lock", ".python-version"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture(scope="module")
def small_table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "small.csv"
    simulate_transactions(12_000, fraud_rate=0.012, seed=3).to_csv(path, index=False)
    return path


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "CONDA")) and k != "MFLAGS"}


def make(project: Path, *arguments: str, seconds: int = 900) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=project, env=environment(), capture_output=True, text=True, timeout=seconds
    )


METRICS = {
    *("average_precision", "average_precision_ci", "roc_auc", "f1", "precision", "recall"),
    *("precision_at_100", "recall_at_100", "brier", "log_loss", "savings", "savings_ci"),
}


def check_metrics(metrics: dict) -> None:
    """Every key of the contract, with the right shape."""
    assert set(metrics) == {
        *("run", "created", "version", "data", "parameters", "split", "models", "tie_set", "chosen", "endpoint"),
        "seconds",
    }
    assert set(metrics["version"]) == {"project", "git", "python", "packages"}
    assert set(metrics["data"]) == {"name", "simulated", "path", "sha256", "rows", "frauds", "columns", "currency"}
    assert set(metrics["split"]) == {
        *("test_from", "train_rows", "train_frauds", "test_rows", "test_frauds", "test_days"),
    }
    assert metrics["split"]["train_rows"] + metrics["split"]["test_rows"] == metrics["data"]["rows"]
    names = [model["name"] for model in metrics["models"]]
    for model in metrics["models"]:
        assert set(model) == {"name", "learner", "imbalance", "kind", "oof", "test", "seconds"}
        assert model["kind"] in ("supervised", "unsupervised", "baseline")
        assert set(model["oof"]) == set(model["test"]) == METRICS
        unknown = {key for part in ("oof", "test") for key, value in model[part].items() if value is None}
        no_probability = {"brier", "log_loss", "savings", "savings_ci"}
        assert unknown == (no_probability if model["kind"] == "unsupervised" else set()), model["name"]
        low, high = model["oof"]["average_precision_ci"]
        assert 0 <= low <= model["oof"]["average_precision"] <= high <= 1
    assert set(metrics["tie_set"]) <= set(names)
    assert set(metrics["chosen"]) == {"name", "hyperparameters", "thresholds", "reason", "per_day"}
    assert set(metrics["chosen"]["per_day"]) == {*metrics["chosen"]["thresholds"], "amount"}
    for day in metrics["chosen"]["per_day"].values():
        assert set(day) == {"alerts", "alerts_ci", "frauds_caught", "frauds_caught_ci", "saved", "saved_ci"}
    assert metrics["chosen"]["name"] in names
    assert metrics["endpoint"]["target"] == "local"
    assert metrics["endpoint"]["rows"] == metrics["split"]["test_rows"]
    assert metrics["endpoint"]["max_abs_difference"] <= 1e-6
    assert metrics["endpoint"]["deleted"] is True
    assert set(metrics["endpoint"]["latency_ms"]) == {"p50", "p99"}
    assert set(metrics["seconds"]) == {"01_explore", "02_compare_models", "03_deploy", "total"}


# What the summary may say below its title, by name: # is a number, <...> words. Other sentences fail the tests.
SENTENCES = """
alerting: At its fixed threshold, a score of #, <model> alerts # times on the # transactions of the test set
(# per 1,000) and catches # of # frauds, # % [#, #]; # % [#, #] of its alerts are frauds.

nothing caught: At its fixed threshold, a score of #, <model> catches none of the # frauds of the test set; a share of
up to # % would be in keeping with that.

pace: At the pace of the test set, which spans # <unit>, that is # [#, #] alerts a day, and # [#, #] frauds caught a
day.

threshold: At that threshold <claim> # EUR a day [#, #], against the cheaper of alerting on nothing and on everything.

amount: Alerting where probability times amount exceeds the cost of a review <claim> # % [#, #] of the avoidable cost
on the test set<money>.

test: On the test set, <model> reaches an average precision of # [#, #]<chance> Its out-of-fold figure, #, lies <place>
that interval.

leader: Out of fold, <model> leads with an average precision of # [#, #]: in paired comparisons it is ahead of each of
the # others.

ties: Out of fold, <model> has the highest average precision, # [#, #]; # of the # others cannot be told from
it.<learned>

choice: Served: <model>, <reason> XGBoost<more>.

days: At the pace of the test set (# days), with 95 % intervals. They take transactions as independent; frauds come in
bursts, so real days vary more. Money is what is saved against the cheaper of alerting on nothing and on everything, at
# EUR a review.

table: With 95 % intervals. The choice is made on out-of-fold scores of the earlier transactions; the test set is
scored once. Candidates marked tie cannot be told from the best in a paired comparison. Precision and recall are on the
test set, at thresholds fixed before it.

endpoint: # transactions were scored through a served model (target: local). Its scores <equality>. One request took #
ms at the median and # ms at the 99th percentile. It was deleted afterwards.

split: Training and every choice use the # transactions (# fraud) before second #; the # from then on (# fraud) are the
test set.

versions: fraud_utils <versions>.

link: All figures of this page and more: metrics.json
"""


def sentences(folder: Path) -> dict[str, re.Match[str]]:
    """What the summary says below its title, each sentence by its name in SENTENCES, its numbers as unnamed groups."""
    patterns = {}
    for block in SENTENCES.strip().split("\n\n"):
        name, _, template = " ".join(block.split()).partition(": ")
        template = re.sub(r"<(\w+)>", r"(?P<\1>.*?)", re.sub(r"([.()\[\]])", r"\\\1", template))
        patterns[name] = re.compile(template.replace("#", r"(-?[\d,]+(?:\.\d+)?(?:e-?\d+)?)"))
    main = (folder / "index.html").read_text().partition("<main>")[2]
    found: dict[str, re.Match[str]] = {}
    for _, text in re.findall(r"<(li|p)(?: class=\"soft\")?>(.*?)</\1>", main, re.DOTALL):
        text = " ".join(html.unescape(re.sub("<[^>]+>", "", text)).split())  # the space before % does not break
        matches = [(name, match) for name, pattern in patterns.items() if (match := pattern.fullmatch(text))]
        assert len(matches) == 1, f"a sentence that nothing checks: {text}"
        assert matches[0][0] not in found, text
        found |= matches
    return found


def check_sentences(folder: Path, table: Path | str) -> dict[str, re.Match[str]]:
    """Read every sentence of the summary back to numbers; compare them with scikit-learn's on the model's scores."""
    metrics, said = json.loads((folder / "metrics.json").read_text()), sentences(folder)
    split = data.split_by_time(data.load_transactions(table), data.ULB)
    y, amount, time = (split.test[name].to_numpy() for name in ("Class", "Amount", "Time"))
    score = artifact.load(folder / "model").score(split.test)
    chosen, cost = metrics["chosen"], metrics["parameters"]["review_cost"]
    model = next(model for model in metrics["models"] if model["name"] == chosen["name"])
    alert = score >= chosen["thresholds"]["f1"]
    days = (time[-1] - time[0]) / 86_400

    def same(name: str, *expected: float) -> None:
        """The numbers of a sentence, each as exact as it is written."""
        match = said[name]
        words = match.re.groupindex.values()
        written = [text for place, text in enumerate(match.groups(), 1) if place not in words]
        agree(match[0], written, expected)

    def agree(sentence: str, written: list[str], expected: Sequence[float]) -> None:
        for text, value in zip(written, expected, strict=True):
            digits = len(text.partition(".")[2])
            assert float(text.replace(",", "")) == pytest.approx(value, abs=0.5001 * 10.0**-digits), sentence

    def percent(*shares: float) -> list[float]:
        return [100 * share for share in shares]

    def exact(caught: int, of: int) -> list[float]:
        tail = stats.beta.ppf(0.025, caught, of - caught + 1) if caught else 0
        return [tail, stats.beta.ppf(0.975, caught + 1, of - caught) if caught < of else 1]

    def poisson(name: str, count: int) -> list[float]:
        """The interval in metrics.json, after seeing that its ends are where the count is a rare one."""
        low, high = (days * end for end in chosen["per_day"]["f1"][f"{name}_ci"])
        assert stats.poisson.sf(count - 1, low) == pytest.approx(0.025) or count == low == 0
        assert stats.poisson.cdf(count, high) == pytest.approx(0.025)
        return [count / days, low / days, high / days]

    def saved(way: str, alert: np.ndarray) -> list[float]:
        day = chosen["per_day"][way]
        paid = amount[(y == 1) & ~alert].sum() + cost * alert.sum()
        value = (min(amount[y == 1].sum(), cost * len(y)) - paid) / days
        assert day["saved_ci"][0] <= value <= day["saved_ci"][1]
        return [value, *day["saved_ci"]]

    def sign(interval: list[float]) -> int:
        return (interval[0] > 0) - (interval[1] < 0)

    caught, alerts, frauds = int(y[alert].sum()), int(alert.sum()), int(y.sum())
    recall, precision = sk.recall_score(y, alert), sk.precision_score(y, alert, zero_division=0)
    if caught:
        same("alerting", chosen["thresholds"]["f1"], alerts, len(y), 1000 * alerts / len(y), caught, frauds,
             *percent(recall, *exact(caught, frauds)), *percent(precision, *exact(caught, alerts)))  # fmt: skip
        in_unit = days * {"hours": 24, "days": 1}[said["pace"]["unit"]]
        same("pace", in_unit, *poisson("alerts", alerts), *poisson("frauds_caught", caught))
    else:
        same("nothing caught", chosen["thresholds"]["f1"], frauds, 100 * exact(0, frauds)[1])
    day = saved("f1", alert)
    same("threshold", *day)
    verdicts = ("no money is shown to be saved:", "it saves", "it loses money:")
    assert said["threshold"]["claim"] == verdicts[sign(day[1:])]

    by_amount, interval = score * amount > cost, model["test"]["savings_ci"]
    blanket = min(amount[y == 1].sum(), cost * len(y))
    share = 1 - (amount[(y == 1) & ~by_amount].sum() + cost * by_amount.sum()) / blanket
    day = saved("amount", by_amount)
    same("amount", *percent(share, *interval))
    money = re.findall(r"-?[\d,]+", said["amount"]["money"].removeprefix(", "))
    agree(said["amount"][0], money, day if sign(day[1:]) == sign(interval) else [])
    assert said["amount"]["claim"] == ("shows no savings:", "saves", "loses money:")[sign(interval)]

    value, interval = sk.average_precision_score(y, score), model["test"]["average_precision_ci"]
    before = model["oof"]["average_precision"]
    same("test", value, *interval, before)
    chance = re.fullmatch(r"(; |, which cannot be told from )ranking at random.*?([\d.]+)\)?\.", said["test"]["chance"])
    agree(said["test"][0], [chance[2]], [frauds / len(y)])
    assert "cannot" in chance[1] or interval[0] > frauds / len(y)
    assert said["test"]["place"] == ("above" if before > interval[1] else "below" if before < interval[0] else "inside")

    tied, candidates = metrics["tie_set"], {model["name"]: model for model in metrics["models"]}
    leader = max(candidates, key=lambda name: candidates[name]["oof"]["average_precision"])
    figures = [candidates[leader]["oof"]["average_precision"], *candidates[leader]["oof"]["average_precision_ci"]]
    if len(tied) == 1:
        same("leader", *figures, len(candidates) - 1)
    else:
        same("ties", *figures, len(tied) - 1, len(candidates) - 1)
    assert tied[0] == leader == said["ties" if len(tied) > 1 else "leader"]["model"]
    assert said["choice"]["reason"] == ("the cheapest" if chosen["name"] in tied else "the best")
    assert f"{chosen['name']}, {chosen['reason']}." == said["choice"][0].removeprefix("Served: ")
    apart = candidates[leader]["oof"]["average_precision"] - before
    for value, low, high in re.findall(r"distance to .+ is ([\d.]+) \[([-\d.]+), ([-\d.]+)\]", chosen["reason"]):
        assert float(value) == pytest.approx(apart, abs=5.1e-4) and float(low) <= float(value) <= float(high)
    for low, high in re.findall(r"is better by ([\d.]+) to ([\d.]+)", chosen["reason"]):
        assert 0 < float(low) <= apart <= float(high) and leader in chosen["reason"] and chosen["name"] not in tied
    title = (folder / "index.html").read_text().partition("<h1>")[2].partition("</header>")[0]
    whole = len(y) + split.train_rows, frauds + int(split.train["Class"].sum())
    rows, fraud, share = re.search(r"([\d,]+) transactions, ([\d,]+) of them fraud \(([\d.]+) %\)", title).groups()
    agree(title, [rows, fraud, share], [*whole, 100 * whole[1] / whole[0]])
    same("days", days, cost)
    proof = metrics["endpoint"]
    same("endpoint", len(y), proof["latency_ms"]["p50"], proof["latency_ms"]["p99"])
    equal = said["endpoint"]["equality"] == "equal those computed in the notebook to the last digit"
    assert equal == (proof["max_abs_difference"] == 0)
    same("split", split.train_rows, split.train["Class"].sum(), time[0], len(y), frauds)
    assert {said[name]["model"] for name in ("alerting", "nothing caught", "test", "choice") if name in said} == {
        chosen["name"]
    }
    return said


def check_sizes(folder: Path) -> None:
    """What a page may weigh, with all that it embeds."""
    assert sum(file.stat().st_size for file in [folder / "index.html", *(folder / "figures").glob("*")]) < 3_000_000
    assert all((folder / f"{path.stem}.html").stat().st_size < 10_000_000 for path in NOTEBOOKS)


def timeless(metrics: dict) -> dict:
    """What must be equal in two runs with the same inputs."""
    kept = {key: value for key, value in metrics.items() if key not in ("run", "created", "seconds")}
    kept["models"] = [{k: v for k, v in model.items() if k != "seconds"} for model in kept["models"]]
    kept["endpoint"] = {k: v for k, v in kept["endpoint"].items() if k != "latency_ms"}
    return kept


def test_make_report_gives_the_same_numbers_twice(project, small_table):
    runs = []
    for run in ("first", "second"):
        shutil.rmtree(project / ".fit_cache", ignore_errors=True)  # the second run has to fit, not to remember
        done = make(project, "report", f"DATA={small_table}", f"RUN={run}", "PROFILE=quick", "PARAMS=review_cost=4")
        assert done.returncode == 0, done.stdout + done.stderr
        folder = project / "runs" / run
        names = {"index.html", "figures", "model", "model.tar.gz", "metrics.json"}
        names |= {f"{path.stem}{suffix}" for path in NOTEBOOKS for suffix in (".ipynb", ".html")}
        assert names <= {path.name for path in folder.iterdir()}
        assert list((folder / "figures").glob("*.png"))
        runs.append(json.loads((folder / "metrics.json").read_text()))
    check_metrics(runs[0])
    assert runs[0]["parameters"]["review_cost"] == 4.0
    assert runs[0]["data"]["simulated"] is False
    assert timeless(runs[0]) == timeless(runs[1])
    assert (project / "runs" / "latest").resolve().name == "second"
    check_sentences(folder, small_table)
    check_sizes(folder)
    assert "an example is a full run on real data" in make(project, "example", "RUN=second").stderr
    drafted = make(project, "example", "RUN=second", "DRAFT=1")
    assert drafted.returncode == 0, drafted.stdout + drafted.stderr
    assert {path.name for path in (project / "runs" / "example").iterdir()} == names - {"model", "model.tar.gz"}


def test_the_summary_of_a_table_without_a_signal_claims_nothing(project, small_table, tmp_path):
    frame = data.load_transactions(small_table)
    frame["Class"] = np.random.default_rng(0).permutation(frame["Class"].to_numpy())
    frame.to_csv(tmp_path / "noise.csv", index=False)
    done = make(project, "report", f"DATA={tmp_path / 'noise.csv'}", "RUN=noise", "PROFILE=quick")
    assert done.returncode == 0, done.stdout + done.stderr
    said = check_sentences(project / "runs" / "noise", tmp_path / "noise.csv")
    assert "cannot be told from ranking at random" in said["test"]["chance"]
    assert said["ties"]["learned"].endswith("nothing is shown to be learned.")
    told = " ".join(match[0] for match in said.values())
    assert not re.search(r"\b(?:saves|leads|ahead|better)\b", told)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_its_own_folder(project, small_table, notebook):
    """As in JupyterLab, whose kernels start in notebooks/; the order of the files is the order of the argument."""
    parameters = {"data": str(small_table), "profile": "quick", "run_folder": "runs/own-folder"}
    known = {name: value for name, value in parameters.items() if name in PARAMETERS[notebook.stem]}
    executed = papermill.execute_notebook(
        str(notebook), None, known, cwd=str(project / "notebooks"), progress_bar=False, kernel_name="python3"
    )
    assert not [o for cell in executed.cells for o in cell.get("outputs", []) if o.output_type == "error"]
    assert (project / "runs" / "own-folder" / "results.json").exists()
    assert not (project / "notebooks" / "runs").exists()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "the file is empty"),
        (b"Time,Amount\n1,2\n", "column 'V1' is missing"),
        (b"PK\x03\x04 no zip", "column 'Time' is missing"),
    ],
)
def test_make_report_refuses_bad_data_with_one_message(project, tmp_path, content, part):
    (tmp_path / "bad.csv").write_bytes(content)
    done = make(project, "report", f"DATA={tmp_path / 'bad.csv'}", "RUN=bad", "PROFILE=quick")
    assert done.returncode != 0
    assert done.stderr.count(part) == 1
    assert "Traceback" not in done.stderr
    assert not (project / "runs" / "bad" / "metrics.json").exists()


def test_make_report_refuses_an_unknown_parameter_and_suggests_the_nearest(project):
    done = make(project, "report", "PARAMS=sede=7", "RUN=typo")
    assert done.returncode != 0
    assert "sede" in done.stderr
    assert "did you mean 'seed'" in done.stderr
    assert not (project / "runs" / "typo").exists()


@pytest.mark.real_data
def test_the_quick_report_on_the_real_data(project, real_data):
    done = make(project, "report", f"DATA={real_data}", "RUN=real", "PROFILE=quick", seconds=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = project / "runs" / "real"
    metrics = json.loads((folder / "metrics.json").read_text())
    check_metrics(metrics)
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
    assert {model["kind"] for model in metrics["models"]} == {"baseline", "supervised", "unsupervised"}
    assert by_name["dummy"]["test"]["average_precision"] == pytest.approx(75 / 56_962)
    check_sentences(folder, real_data)
    check_sizes(folder)


# -------------------------------------------------------------------------------------------- JupyterLab


@pytest.fixture(scope="module")
def lab(project):
    """`make lab`'s server: its address and token."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    arguments = f"--no-browser --allow-root --ip=127.0.0.1 --port={port} --IdentityProvider.token={token}"
    with (project / "lab.log").open("w") as log:
        process = subprocess.Popen(
            ["make", "lab", f"ARGS={arguments}"],
            cwd=project,
            env=environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        session = requests.Session()
        session.trust_env = False
        session.headers["Authorization"] = f"token {token}"
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(240):
                assert process.poll() is None, (project / "lab.log").read_text()
                try:
                    if session.get(f"{address}/api/status", timeout=5).ok:
                        break
                except requests.ConnectionError:
                    time.sleep(0.25)
            yield address, token, session
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def run_in_lab(lab: tuple, path: str, cells: list[str]) -> None:
    """Do what JupyterLab does for Run All: a session for the notebook, and its cells over the kernel's websocket."""
    address, token, session = lab
    body = {"path": path, "name": Path(path).name, "type": "notebook", "kernel": {"name": "python3"}}
    started = session.post(f"{address}/api/sessions", json=body, timeout=60)
    started.raise_for_status()
    kernel = started.json()["kernel"]["id"]
    channel = websocket.create_connection(
        f"{address.replace('http', 'ws')}/api/kernels/{kernel}/channels?token={token}",
        timeout=600,
        suppress_origin=True,
    )
    try:
        for cell in cells:
            request = str(uuid.uuid4())
            header = {"msg_id": request, "msg_type": "execute_request", "username": "", "session": "", "version": "5.3"}
            content = {
                "code": cell,
                "silent": False,
                "store_history": True,
                "allow_stdin": False,
                "stop_on_error": True,
            }
            message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
            channel.send(json.dumps(message))
            while True:
                reply = json.loads(channel.recv())
                if reply["msg_type"] == "execute_reply" and reply["parent_header"].get("msg_id") == request:
                    break
            assert reply["content"]["status"] == "ok", reply["content"].get("evalue")
    finally:
        channel.close()
        session.delete(f"{address}/api/sessions/{started.json()['id']}", timeout=60)


def test_the_notebooks_open_and_run_in_jupyterlab(lab, project, small_table):
    address, _, session = lab
    for notebook in NOTEBOOKS:
        path = f"notebooks/{notebook.name}"
        page = session.get(f"{address}/lab/tree/{path}", timeout=60)
        assert page.ok
        assert "JupyterLab" in page.text
        content = session.get(f"{address}/api/contents/{path}", timeout=60).json()["content"]
        cells = [cell["source"] for cell in content["cells"] if cell["cell_type"] == "code"]
        ours = {"data": str(small_table), "profile": "quick", "run_folder": "runs/in-lab"}
        edited = [f"{name} = {value!r}" for name, value in ours.items() if name in PARAMETERS[notebook.stem]]
        run_in_lab(lab, path, [cells[0], *edited, *cells[1:]])  # what the user types over the parameters cell
    results = json.loads((project / "runs" / "in-lab" / "results.json").read_text())
    assert results["endpoint"]["deleted"] is True
