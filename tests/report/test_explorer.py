"""The explorer in Chromium: its numbers are Python's, wherever the dials stand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from evaluation import made
from playwright.sync_api import Page
from records import RUN

from fraud_utils.evaluation import explorer
from fraud_utils.models import Candidate
from fraud_utils.record import RunRecord
from fraud_utils.report import pages
from fraud_utils.report.summary import unit

DAY = 86_400


def recorded(rows: int, share: float, days: float, typical: float, seed: int) -> RunRecord:
    """A run on a table of its own size, rate and amounts."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < share).astype(np.int8)
    values = pd.DataFrame({"xgboost": 1 / (1 + np.exp(-rng.normal(4 * y - 2, 1)))})
    known = {"amount": rng.gamma(0.7, typical, rows), "time": np.linspace(0, days * DAY, rows)}
    bins = explorer.binned(made.scores(y, values, **known), Candidate("xgboost"))
    return replace(RUN, bins=bins, split=replace(RUN.split, test_rows=rows, test_days=bins.days))


RUNS = {
    "cards": recorded(20_000, 0.004, 0.5, 130, 0),
    "claims": recorded(2_000, 0.2, 90, 4_000, 1),
    "cheap": recorded(5_000, 0.05, 0, 2, 2),  # one time for all rows, and a review costs more than the frauds
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explored")
    for name, record in RUNS.items():
        (folder / name).mkdir()
        pages.write_summary(folder / name, record)
    return folder


def set_dial(page: Page, step: int) -> None:
    page.eval_on_selector(
        "#dial", "(dial, step) => { dial.value = step; dial.dispatchEvent(new Event('input')); }", step
    )


def shown(page: Page) -> dict[str, Any]:
    """The values behind the texts of the explorer's cells."""
    cells = "cells => Object.fromEntries(cells.map(cell => [cell.id, cell.dataset.values]))"
    return {name: json.loads(text) for name, text in page.eval_on_selector_all("[data-values]", cells).items()}


@pytest.mark.parametrize("name", RUNS)
def test_numbers_are_those_of_python_at_twenty_places(opened, name):
    page, bins = opened(f"{name}/index.html"), RUNS[name].bins
    figures, (_, pace) = explorer.steps(bins), unit(RUNS[name])
    rng = np.random.default_rng(0)
    for _ in range(20):
        step, cost = int(rng.integers(len(bins.score))), round(rng.choice([0.05, 1, 10, 300]) * rng.random(), 4)
        page.fill("#dial-cost", str(cost))
        set_dial(page, step)
        values, row, money = shown(page), figures.loc[step], explorer.money(bins, step, cost)
        for count in ("alerts", "frauds", "false_alarms"):
            assert values[f"all-{count}"] == row[count]
            assert values[f"of-{count}"] == pytest.approx([row[end] * pace for end in ends(count)])
        for part in ("precision", "recall"):
            assert values[f"all-{part}"] == pytest.approx([row[end] for end in ends(part)])
        assert values["all-missed"] == bins.frauds[-1] - row["frauds"]
        assert values["all-passed"] == bins.rows - bins.frauds[-1] - row["false_alarms"]
        assert values["all-saved"] == pytest.approx([money.saved, money.low, money.high], abs=1e-6)
        assert values["of-saved"] == pytest.approx([money.saved * pace, money.low * pace, money.high * pace], abs=1e-6)
        assert values["all-share"] == pytest.approx(money.share)


def ends(name: str) -> list[str]:
    return [name, f"{name}_low", f"{name}_high"]


def test_it_opens_at_the_threshold_that_decides_and_the_cost_of_the_run(opened):
    page, run = opened("cards/index.html"), RUNS["cards"]
    assert page.input_value("#dial-cost") == "3"
    step, decides = int(page.input_value("#dial")), run.chosen.threshold.score
    assert run.bins.score[step] >= decides > run.bins.score[step + 1]


def test_it_says_whose_scores_it_shows(opened):
    text, frauds = opened("claims/index.html").locator("#explorer").inner_text(), RUNS["claims"].bins.frauds[-1]
    assert "Scores of boosted trees on the TEST SET: 2,000 transactions from day 1, 00:01 on, " in text
    assert f"{frauds} frauds among them" in text


def test_keys_move_the_score_and_a_budget_sets_it(opened):
    page, bins = opened("claims/index.html"), RUNS["claims"].bins
    page.focus("#dial")
    page.keyboard.press("Home")
    nothing = explorer.steps(bins).loc[-1]
    assert shown(page)["all-alerts"] == 0 and shown(page)["all-precision"] is None
    assert shown(page)["all-recall"] == pytest.approx([0, 0, nothing["recall_high"]])
    assert shown(page)["of-alerts"][2] == pytest.approx(nothing["alerts_high"] * unit(RUNS["claims"])[1])
    assert page.get_attribute("#dial", "aria-valuetext").startswith("above all")
    page.keyboard.press("ArrowRight")
    assert shown(page)["all-alerts"] == bins.alerts[0]
    page.fill("#dial-budget", "2")
    most = max(alerts for alerts in bins.alerts if alerts * unit(RUNS["claims"])[1] <= 2)
    assert shown(page)["all-alerts"] == most
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "dial-cost"


def test_what_is_no_cost_is_refused_with_a_sentence_and_changes_nothing(opened):
    page = opened("claims/index.html")
    before = shown(page)
    page.fill("#dial-cost", "-4")
    assert page.is_visible("#dial-fault") and "at least 0" in page.inner_text("#dial-fault")
    assert shown(page) == before
    page.fill("#dial-cost", "4")
    assert not page.is_visible("#dial-fault")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_cut(opened, name, width):
    page = opened(f"{name}/index.html", width)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    for curve in ("#curve-precision", "#curve-saved"):
        box = page.locator(curve).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert "NaN" not in page.inner_html(curve)


def test_the_unit_is_that_of_the_findings_or_a_thousand_rows():
    assert unit(RUN) == ("a day", 4.0)
    assert unit(replace(RUN, split=replace(RUN.split, test_days=None))) == ("per 1,000 rows", 0.1)


def test_a_table_without_times_has_its_money_per_thousand_rows(tmp_path):
    run, bins = RUNS["cards"], replace(RUNS["cards"].bins, days=None)
    pages.write_summary(tmp_path, replace(run, split=replace(run.split, test_days=None), bins=bins))
    text = (tmp_path / "index.html").read_text()
    assert "Cost of a review, EUR" in text and "per 1,000 rows" in text


def test_a_run_without_bins_or_amounts_has_no_explorer_or_no_money(tmp_path):
    pages.write_summary(tmp_path, RUN)
    assert 'id="explorer"' not in (tmp_path / "index.html").read_text()
    poor = replace(RUNS["cards"], data=replace(RUN.data, currency=None),
                   bins=replace(RUNS["cards"].bins, amount=None, squares=None))  # fmt: skip
    pages.write_summary(tmp_path, poor)
    text = (tmp_path / "index.html").read_text()
    assert 'id="explorer"' in text and "Cost of a review" not in text
