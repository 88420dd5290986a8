"""Quick reports to their end on tables in the shapes of public ones (tests/table_shapes.py), a run a shape.

One of them runs in `make test`, with timestamps and cards, and is looked at from all sides; `make test-long` runs the
others.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from reported import (
    REPORTED,
    check_figures,
    check_shape,
    check_sizes,
    copied,
    make,
    page_text,
    recorded,
    warnings_on,
)
from table_shapes import SHAPES

from fraud_utils.data import Schema

ALWAYS = ("sparkov",)
NAMES = [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.long) for name in SHAPES]
NOTEBOOKS = [path.stem for path in REPORTED]


class Report(NamedTuple):
    """A finished run: its folder, its table, its figures, what it printed, and the text of its pages."""

    shape: str
    folder: Path
    table: Path
    metrics: dict[str, Any]
    printed: str
    pages: dict[str, str]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = copied(tmp_path_factory.mktemp("project"))
    (folder / "data").mkdir()
    return folder


@pytest.fixture(scope="module", params=NAMES)
def report(request, project) -> Report:
    """A quick report that must succeed."""
    table, schema = SHAPES[request.param].write(project / "data", request.param)
    done = make(project, "report", f"DATA=data/{table.name}", f"SCHEMA=data/{schema.name}", f"RUN={request.param}",
                "PROFILE=quick", "PARAMS=tuning_trials=1 alerts_per_day=5 review_cost=4")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    run = project / "runs" / request.param
    pages = {name: page_text(run / f"{name}.html") for name in ("index", *NOTEBOOKS)}
    return Report(request.param, run, table, recorded(run), done.stdout + done.stderr, pages)


always = pytest.mark.parametrize("report", ALWAYS, indirect=True)


def test_a_report_ends_with_every_figure_and_the_served_scores(report):
    metrics = report.metrics
    missing = [key for key in ("data", "split", "models", "tie_set", "chosen", "endpoint") if not metrics[key]]
    assert not missing
    frame = SHAPES[report.shape].frame()
    assert metrics["data"]["rows"] + metrics["data"]["unlabelled"] == len(frame)
    assert metrics["endpoint"]["rows"] == metrics["split"]["test_rows"]
    assert metrics["endpoint"]["max_abs_difference"] <= 1e-6 and metrics["endpoint"]["deleted"]


@always
def test_make_report_writes_all_that_was_promised(project, report):
    names = {"index.html", "figures", "model", "model.tar.gz", "metrics.json", "resamples.json"}
    names |= {f"{path.stem}{suffix}" for path in REPORTED for suffix in (".ipynb", ".html")}
    assert names <= {path.name for path in report.folder.iterdir()}
    assert list((report.folder / "figures").glob("*.*g"))
    assert (project / "runs" / "latest").resolve() == report.folder.resolve()
    metrics = report.metrics
    check_shape(metrics)
    check_sizes(report.folder)
    assert metrics["parameters"]["review_cost"] == 4.0
    assert metrics["data"]["simulated"] is False


@always
def test_no_page_has_a_warning(report):
    executed = sorted(report.folder.glob("*.ipynb"))
    assert [path.name[:2] for path in executed] == ["01", "02", "03"]
    for path in executed:
        assert not warnings_on(path), path.stem


@always
def test_the_figures_are_those_of_scikit_learn_and_scipy(report):
    check_figures(report.folder, report.table, Schema.read(report.table.with_suffix(".yaml")))


@always
def test_what_pairs_runs_agrees_with_the_figures(report):
    """The mean of a metric over resamples lies near the metric, by a fifth of it at most on so few frauds."""
    chosen = report.metrics["chosen"]["name"]
    judged = next(model for model in report.metrics["models"] if model["name"] == chosen)
    kept = json.loads((report.folder / "resamples.json").read_text())
    assert set(kept["test"]) == {"resamples", "average_precision", "f1", "precision", "recall", "brier", "savings"}
    assert kept["oof"].keys() >= {"resamples", "average_precision"}
    for part in ("oof", "test"):
        for name in kept[part].keys() - {"resamples"}:
            assert np.mean(kept[part][name]) == pytest.approx(judged[part][name], rel=0.2, abs=0.05), name


def test_what_can_be_learned_is_learned(report):
    metrics = report.metrics
    chosen = next(model for model in metrics["models"] if model["name"] == metrics["chosen"]["name"])
    rate = metrics["data"]["frauds"] / metrics["data"]["rows"]
    assert chosen["oof"]["average_precision_ci"][0] > rate


def test_xgboost_keeps_up_with_the_best_other_learner_or_the_page_says_how_far_it_is_behind(report):
    models, page = report.metrics["models"], report.pages["02_compare_models"]
    chosen = next(model for model in models if model["name"] == report.metrics["chosen"]["name"])
    others = [model for model in models if model["kind"] == "supervised" and "xgboost" not in model["learner"]]
    best = max(others, key=lambda model: model["oof"]["average_precision"])["oof"]
    low, high = best["average_precision_ci"]
    behind = (best["average_precision"] - chosen["oof"]["average_precision"]) / ((high - low) / 3.92)  # standard errors
    assert "the best of the other learners" in page
    if behind > 1.5 or behind < 0.6:  # the page has the resamples' standard error, which is nearly that of the interval
        assert ("more than one standard error" in page) == (behind > 1)


def test_a_reader_meets_no_warning_no_bare_seconds_and_no_figure_that_is_none(report):
    for name, page in report.pages.items():
        for fault in (r"\b\w*Warning\b", r"\bTraceback\b", r"\bsecond \d[\d,]{4,}", r"\bnan\b", r"0 \[0, 0\] a day",
                      r"They appear here", r"\bNone\b(?! of)", r"\bNaT\b"):  # fmt: skip
            assert not re.search(fault, page), f"{name}: {page[max(re.search(fault, page).start() - 200, 0) :][:400]}"


def test_pages_speak_the_table_s_language(report):
    schema = SHAPES[report.shape].schema
    if "time_unit: timestamp" in schema or "time_format" in schema:
        for name in ("01_explore", "02_compare_models"):
            assert re.search(r"\b20\d\d-\d\d-\d\d\b", report.pages[name]), f"{name} shows no date"
    if noun := re.search(r"^noun: (\w+)", schema, re.MULTILINE):
        for name in ("index", "01_explore", "02_compare_models"):
            assert f"{noun[1]}s" in report.pages[name], name
        assert not re.search(r"transactions? (is|are|in)\b", report.pages["01_explore"])
    if "\ntime:" not in schema:
        for name, page in report.pages.items():
            assert re.search(r"past .*future|no time|without times", page), f"{name} does not say what it cannot know"


def test_groups_of_people_are_compared_where_the_schema_names_them(report):
    if "groups:" in SHAPES[report.shape].schema:
        assert "customer_age" in report.pages["index"]
