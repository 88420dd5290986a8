"""Figures and tables in Chromium: on a phone and on a screen, their numbers by mouse and by keys, and as CSV."""

import base64
import csv
import io
import json
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Locator, Page
from records import RUN

from fraud_utils import plots
from fraud_utils.report import figures, pages

NAMES = ["boosted trees", "average of boosted trees, extremely random trees and networks", "=1+1"]
RANKED = pd.DataFrame({"value": [0.81, 0.8, 0.6], "low": [0.76, 0.75, 0.5], "high": [0.86, 0.85, 0.65]}, index=NAMES)
CURVE = pd.DataFrame({"name": "boosted trees", "recall": np.linspace(1, 0, 5000)})
CURVE["precision"] = 1 - 0.9 * CURVE["recall"] ** 3
PAGES = ["index.html", "01_explore.html"]
TABLE = (
    '<table class="dataframe"><thead><tr><th></th><th>rows</th><th>rate</th></tr></thead>'
    "<tr><th>all</th><td>1,234</td><td>0.81 [0.75, 0.86]</td></tr><tr><th>none</th><td>–</td><td>–</td></tr></table>"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    plots.set_style()
    fig, (ax, behind) = plt.subplots(1, 2, figsize=(11, 3), sharey=True)
    plots.plot_intervals(RANKED, ax).set_title("The best")
    plots.plot_intervals(RANKED - 0.81, behind, reference=0).set_title("Minus the best")
    plots.save(fig, folder, "average_precision", "out of fold")
    fig, ax = plt.subplots()
    plots.plot_precision_recall(CURVE, ax)
    plots.save(fig, folder, "precision_recall", "test set")
    fig, ax = plt.subplots()
    plots.plot_intervals(RANKED, ax)
    plots.save(fig, folder, "average_precision_rest", "out of fold")
    pages.write_summary(folder, RUN)
    png = base64.b64encode((folder / "figures/average_precision.png").read_bytes()).decode()
    about = {"image/png": {"width": 1100, "height": 300, "figure": "average_precision", "fold": ""}}
    cells = [
        new_markdown_cell("# Explore\n\n## Which is best?"),
        new_code_cell("table", outputs=[new_output("execute_result", {"text/html": TABLE})]),
        new_code_cell("save", outputs=[new_output("display_data", {"image/png": png}, metadata=about)]),
    ]
    nbformat.write(new_notebook(cells=cells), folder / "01_explore.ipynb")
    pages.write_notebook(folder / "01_explore.ipynb", None)
    return folder


def drawn(page: Page, name: str) -> tuple[Locator, dict]:
    """A figure on a page, and the numbers in it."""
    figure = page.locator(f"figure[data-name={name}]")
    return figure, json.loads(figure.locator("script").text_content() or "")


def as_text(columns: list[str], row: list) -> list[str]:
    texts = (f"{value:g}" if isinstance(value, float) else value for value in row)
    return [f"{column} {text}" for column, text in zip(columns, texts, strict=True) if text is not None]


def test_the_numbers_are_those_that_were_drawn_and_of_a_curve_a_few(run):
    kept = json.loads((run / "figures/average_precision.json").read_text())
    assert kept["columns"] == ["panel", "name", "value", "low", "high"]
    best = [["The best", name, *row] for name, row in zip(NAMES, RANKED.to_numpy().tolist(), strict=True)]
    assert kept["rows"][:3] == best
    assert [row[2] for row in kept["rows"][3:]] == pytest.approx([0, -0.01, -0.21])
    curve = json.loads((run / "figures/precision_recall.json").read_text())["rows"]
    assert 20 <= len(curve) <= 40
    for _, recall, precision in curve:
        assert precision == pytest.approx(1 - 0.9 * recall**3, abs=1e-5)


@pytest.mark.parametrize(("name", "width"), [("index.html", 390), ("01_explore.html", 390), ("index.html", 1280)])
def test_a_mark_that_is_pointed_at_shows_its_values(opened, name, width):
    """Each at its place: intervals are ranked from the top, and lie on the axis by their value."""
    page = opened(name, width)
    figure, numbers = drawn(page, "average_precision")
    figure.scroll_into_view_if_needed()
    box = figure.locator("img").bounding_box()
    places = numbers["narrow" if width == 390 else "wide"]
    heights = [y for _, y in places[:3]]
    assert heights == sorted(heights) and places[0][0] > places[2][0]
    for row, (x, y) in zip(numbers["rows"], places, strict=True):
        page.mouse.move(box["x"] + x / 1e4 * box["width"], box["y"] + y / 1e4 * box["height"])
        assert figure.locator(".tip").inner_text().splitlines() == as_text(numbers["columns"], row)
    page.mouse.move(1, 1)
    assert not figure.locator(".tip").is_visible()


def test_arrow_keys_read_the_values_and_step_between_series(opened):
    page = opened("index.html")
    figure, numbers = drawn(page, "average_precision")
    figure.locator(".figure").focus()
    texts = [as_text(numbers["columns"], row) for row in numbers["rows"]]
    for key, row in (("ArrowRight", 0), ("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowDown", 3), ("End", 5), ("Home", 0)):
        page.keyboard.press(key)
        assert figure.locator(".tip").inner_text().splitlines() == texts[row], key
    assert figure.locator(".tip").get_attribute("aria-live") == "polite"
    page.keyboard.press("Escape")
    assert not figure.locator(".tip").is_visible()


def downloaded(page: Page, button: Locator, folder: Path) -> list[list[str]]:
    with page.expect_download() as info:
        button.click()
    info.value.save_as(folder / "a.csv")
    return list(csv.reader(io.StringIO((folder / "a.csv").read_text("utf-8-sig"))))


def test_a_figure_is_had_as_csv(opened, tmp_path):
    page = opened("index.html")
    figure, numbers = drawn(page, "average_precision")
    header, *rows = downloaded(page, figure.get_by_role("button"), tmp_path)
    assert header == numbers["columns"] and len(rows) == 6
    assert rows[0] == ["The best", "boosted trees", "0.81", "0.76", "0.86"]
    assert rows[2][1] == "'=1+1"  # no formula, whatever a column is called
    assert [float(row[2]) for row in rows] == [row[2] for row in numbers["rows"]]


def test_a_table_is_had_as_csv_with_numbers_as_numbers(opened, tmp_path):
    page = opened("01_explore.html")
    rows = downloaded(page, page.get_by_role("button", name="Table: Which is best?, table 1 as CSV"), tmp_path)
    assert rows == [["", "rows", "rate", "rate, low", "rate, high"], ["all", "1234", "0.81", "0.75", "0.86"],
                    ["none", "", "", "", ""]]  # fmt: skip


def test_every_table_and_every_figure_has_a_button(opened):
    for name in PAGES:
        page = opened(name)
        assert page.locator("button.csv").count() == page.locator("table, figure[data-name]").count() > 1


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_and_phones_get_a_picture_of_their_own(opened, name, width):
    page = opened(name, width)
    for folded in page.locator("details").all():
        folded.evaluate("fold => { fold.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for image in page.locator("figure[data-name] img").all():
        box = image.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        # A pixel of a phone's picture is half one of the page: its letters are as large as the text's.
        assert (image.evaluate("image => image.naturalWidth") == 840) == (width == 390)
        assert image.evaluate("image => image.naturalHeight / image.naturalWidth") == pytest.approx(
            box["height"] / box["width"], rel=0.02
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_fault_is_serious_while_a_value_is_shown(opened, serious_faults, scheme):
    page = opened("index.html", color_scheme=scheme)
    figure, _ = drawn(page, "average_precision")
    figure.locator(".figure").press("ArrowRight")
    assert figure.locator(".tip").is_visible()
    assert serious_faults(page) == []


def test_out_of_fold_and_test_set_are_told_apart_by_word_and_colour(opened):
    page = opened("index.html")
    parts = {part: page.locator(f"figure[data-name={name}] figcaption span").first for part, name in (
        ("out of fold", "average_precision"), ("test set", "precision_recall"))}  # fmt: skip
    for part, label in parts.items():
        assert label.text_content() == part
        colour = ", ".join(str(int(plots.PARTS[part][place : place + 2], 16)) for place in (1, 3, 5))
        assert label.evaluate("label => getComputedStyle(label).backgroundColor") == f"rgb({colour})"
    described = page.locator("figure[data-name=precision_recall] img").get_attribute("alt")
    assert described.startswith("Test set. ")


def test_what_is_folded_opens_and_printing_hides_what_is_for_a_screen(opened):
    page = opened("index.html")
    rest = page.locator("figure[data-name=average_precision_rest]")
    assert not rest.is_visible()
    page.get_by_text(figures.FOLDED["average_precision_rest"], exact=True).click()
    assert rest.is_visible()
    page.emulate_media(media="print")
    assert not any(button.is_visible() for button in page.locator("button.csv").all())
