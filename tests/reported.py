"""Quick reports by `make report` in a copy of the project, and what must hold of each."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from scipy import stats
from sklearn import metrics as sk

from fraud_utils import artifact, data

ROOT = Path(__file__).resolve().parents[1]
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


def copied(folder: Path) -> Path:
    """A copy of the project, committed, that shares this environment: nobody's runs/ is touched."""
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


def check_figures(folder: Path, table: Path | str, roles: data.Schema = data.ULB) -> None:
    """What is recorded of the chosen model is what scikit-learn and SciPy say about the scores of the served one."""
    metrics = recorded(folder)
    split = data.split_transactions(data.load_transactions(table, roles), roles)
    y, amount, time = (split.test[name].to_numpy() for name in (roles.label, roles.amount, roles.time))
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


def warnings_on(executed: Path) -> list[str]:
    """What Python and its libraries complained of in a notebook that was executed."""
    outputs = [output for cell in nbformat.read(executed, 4).cells for output in cell.get("outputs", [])]
    return [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]


def page_text(page: Path) -> str:
    """What a reader sees of a page; code is folded away."""
    content = re.sub(r"<(script|style|details)\b.*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"[\s\u00a0]+", " ", html.unescape(re.sub(r"<[^>]*>", " ", content)))
