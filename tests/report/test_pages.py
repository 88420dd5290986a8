"""The pages of a run in Chromium, from disk, with the network off."""

import io
import itertools
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from playwright.sync_api import Locator, Page
from records import RUN

from fraud_utils import plots, record
from fraud_utils.record import Data, Feedback, Metrics, Reviewed, Split, Version
from fraud_utils.report import pages

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["index.html", "01_explore.html"]  # of the notebooks' pages, which are made alike, one


# What may be missing -----------------------------------------------------------------------------------------------


def without(value: Any, path: str) -> Any:
    """The record with nothing in one place."""
    first, _, rest = path.partition(".")
    if isinstance(value, tuple):
        return tuple(without(each, rest) if str(place) == first else each for place, each in enumerate(value))
    if rest:
        return replace(value, **{first: without(getattr(value, first), rest)})
    empty = {
        "on_test": {},
        "oof_savings": {},
        "alerting": (),
        "hyperparameters": {},
        "why": "",
        "reasons": (),
        "latency_ms": {},
        "seconds": {},
        "parameters": {},
    }
    return replace(value, **{first: empty.get(first, Version() if first == "version" else None)})


@pytest.mark.parametrize(
    "path",
    [
        *(
            "data",
            "split",
            "models",
            "tie_set",
            "chosen",
            "groups",
            "cases",
            "endpoint",
            "version",
            "parameters",
            "seconds",
        ),
        *(f"chosen.{name}" for name in ("alerting", "reason", "why", "on_test", "oof_savings", "hyperparameters")),
        *(f"cases.0.{name}" for name in ("amount", "when", "reasons")),
        *(f"data.{name}" for name in ("currency", "rows", "frauds", "path", "sha256")),
        *(f"split.{item.name}" for item in fields(Split)),
        *("endpoint.max_abs_difference", "endpoint.latency_ms", "models.0.seconds"),
        *(f"models.0.test.{item.name}" for item in fields(Metrics)),
        *("models.0.oof.average_precision", "models.0.oof.average_precision_ci"),
    ],
)
def test_a_summary_is_written_whatever_was_not_recorded(tmp_path, path):
    pages.write_summary(tmp_path, without(RUN, path))
    text = re.sub(r"<(script|style)>.*?</\1>", "", (tmp_path / "index.html").read_text(), flags=re.DOTALL)
    assert "</html>" in text and not re.search(r"\b(?:None|nan|undefined|Undefined)\b", text)


def test_without_amounts_no_page_speaks_of_money(tmp_path):
    poor = {
        name: replace(each, saved=None, saved_ci=None) for name, each in RUN.chosen.on_test.items() if name != "amount"
    }
    cases = tuple(replace(case, amount=None) for case in RUN.cases)
    models = tuple(replace(each, test=replace(each.test, savings=None, savings_ci=None)) for each in RUN.models)
    chosen = replace(RUN.chosen, on_test=poor, oof_savings={}, why="")
    run = replace(RUN, data=replace(RUN.data, currency=None), chosen=chosen, models=models, cases=cases)
    text = summary(tmp_path, run).partition("Parameters and versions")[0].partition("All candidates")[0]
    assert "60 [30, 120]" in text and not re.search(r"EUR|Money|money|saves|saved|cost|Amount", text)


def summary(folder: Path, run: Any) -> str:
    pages.write_summary(folder, run)
    text = re.sub(r"<(script|style)>.*?</\1>", "", (folder / "index.html").read_text(), flags=re.DOTALL)
    return re.sub(r"<[^>]+>", "", text)


def test_a_summary_speaks_of_the_tables_own_things_at_its_own_pace(tmp_path):
    data = replace(RUN.data, noun="policy", origin="2015-03-02T00:00:00Z", read_as=("The decimal sign is ,.",),
                   unlabelled=12)  # fmt: skip
    text = summary(tmp_path, replace(RUN, data=data, split=replace(RUN.split, test_from=93_900.0, test_days=200.0)))
    for part in ("Which policies are fraud?", "50,000 policies", "12 rows without a label left out",
                 "A month, at the pace of the test set",
                 "test set, a month", "before 2015-03-03 02:05;", "The decimal sign is ,."):  # fmt: skip
        assert part in text, part
    assert "2.3 [1.1, 4.6]" in text  # 15 [7.5, 30] alerts in 200 days
    assert not re.search("transaction|a day", text)


def test_a_summary_of_a_table_without_times_says_what_it_cannot_know(tmp_path):
    cases = tuple(replace(case, when=None) for case in RUN.cases)
    text = summary(tmp_path, replace(RUN, split=replace(RUN.split, test_from=None, test_days=None), cases=cases))
    assert "whether the past predicts the future, it cannot know" in text
    assert "Per 1,000 rows of the test set" in text and "1.5 [0.75, 3]" in text and not re.search("a day|Time", text)
    assert "it cannot know" not in summary(tmp_path, RUN)


def test_a_summary_compares_groups_of_people_where_the_schema_names_some(tmp_path):
    pages.write_summary(tmp_path, RUN)
    text = (tmp_path / "index.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert "Groups of people" in text and "age: 30 and more" in text
    assert "raise an alert is higher, 3 % [2.5, 3.6] at 30 and more, than 1 % [0.7, 1.4] at below 30" in text
    for none in ((), None):
        pages.write_summary(tmp_path, replace(RUN, groups=none))
        assert "Groups of people" not in (tmp_path / "index.html").read_text()


def test_what_reviewing_cards_finds_stands_once_where_it_was_asked(tmp_path):
    reviewed = tuple(Reviewed(cards, 100, 8, 0.25, (0.2, 0.3), 0.4) for cards in ("kept", "known ones dropped"))
    asked = replace(RUN, reviewed=reviewed, feedback=Feedback(100, 5, 0.8, 0.9, 0.7, 0.2, (0.1, 0.3)))
    text = summary(tmp_path, asked)
    assert text.count("if the 100 cards with the highest scores are reviewed on each of 8 days") == 1
    assert text.count("average precision is lower by +0.200 [+0.100, +0.300]: 0.700 instead of 0.900") == 1
    assert "Reviewing cards" not in summary(tmp_path, RUN)


def test_which_threshold_decides_is_said_as_it_is(tmp_path):
    assert "else the score that costs least out of fold, which depends on review_cost" in summary(tmp_path, RUN)


def test_the_summary_of_the_example_in_the_repository_can_be_written(tmp_path):
    kept = ROOT / "runs/example"
    pages.write_summary(tmp_path, record.load(kept))
    assert "xgboost" in (tmp_path / "index.html").read_text()


# In a browser -------------------------------------------------------------------------------------------------------


def write_notebook(path: Path, figure: str) -> None:
    about = {"width": 320, "height": 240}
    png = new_output("display_data", {"image/png": figure}, metadata={"image/png": about})
    saved = new_output(
        "display_data", {"image/png": figure}, metadata={"image/png": about | {"figure": "average_precision"}}
    )
    wide = "<td>NaN</td><td>V14 = 2</td>" + "".join(f"<td>{number}</td>" for number in range(60))
    table = (
        f'<table border="1" class="dataframe"><thead><tr><th>name</th></tr></thead><tr><th>a</th>{wide}</tr></table>'
    )
    cells = [
        new_markdown_cell(f"# Chapter {path.stem} <\n\nWhat is asked."),
        new_code_cell("seed: int = 7", metadata={"tags": ["parameters"]}),
        new_code_cell("import os  # nothing to see"),
        new_markdown_cell("## First question"),
        new_code_cell("table", outputs=[new_output("execute_result", {"text/html": table})]),
        new_markdown_cell("### Below it"),
        new_code_cell('plots.save(fig, run_folder, "average_precision")', outputs=[saved]),
        new_markdown_cell("## Second question"),
        new_code_cell('print("a")  # ' + "long " * 60, outputs=[new_output("stream", name="stdout", text="a" * 400)]),
        new_code_cell("fig", outputs=[png]),
    ]
    nbformat.write(new_notebook(cells=cells), path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import base64

    folder = tmp_path_factory.mktemp("runs") / "one"
    plots.set_style()
    fig, ax = plt.subplots()
    for place, colour in enumerate(plots.PALETTE):
        ax.axhspan(place + 0.1, place + 0.9, color=colour)
    ax.plot([1, 2], label="boosted trees")
    ax.set(xlabel="average precision", ylabel="candidate")
    ax.legend()
    plots.save(fig, folder, "average_precision")
    plt.close(fig)
    figure = base64.b64encode((folder / "figures/average_precision.png").read_bytes()).decode()
    data = Data("SIMULATED transactions (generator 1, seed 7)", simulated=True)
    pages.write_summary(folder, RUN)
    for name in ("01_explore", "02_compare"):
        write_notebook(folder / f"{name}.ipynb", figure)
        pages.write_notebook(folder / f"{name}.ipynb", data)
    pages.link_notebooks(folder, data)  # as a run does at its end
    pages.write_summary(folder, RUN)
    return folder


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 1100])
def test_a_page_is_no_wider_than_its_screen(opened, name, width):
    page = opened(name, width)
    for button in page.locator("#all-code:visible").all():
        button.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(i => i.naturalWidth >= 1.9 * i.clientWidth)")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_accessibility_fault_is_serious(opened, serious_faults, name, scheme):
    page = opened(name, color_scheme=scheme)
    for button in page.locator("#all-code:visible").all():
        button.click()
    assert serious_faults(page) == []


def test_the_table_sorts_by_mouse_and_keyboard(opened):
    page = opened("index.html")

    def column(place: int) -> list[str]:
        return page.locator(f"table.sortable tbody tr > :nth-child({place})").all_inner_texts()

    def state(place: int) -> str | None:
        return page.locator("table.sortable thead th").nth(place - 1).get_attribute("aria-sort")

    assert [text.split()[0] for text in column(2)] == ["0.810", "0.800", "0.600"]
    assert state(2) == "descending"
    page.get_by_role("button", name="Average precision, test set").click()
    assert [text.split()[0] for text in column(3)] == ["0.750", "0.720", "0.700"]
    assert (state(2), state(3)) == (None, "descending")
    page.keyboard.press("Enter")
    assert [text.split()[0] for text in column(3)] == ["0.700", "0.720", "0.750"]
    assert state(3) == "ascending"
    brier = page.get_by_role("button", name="Brier score, test set")
    for order in (["0.00200", "0.00100", "–"], ["0.00100", "0.00200", "–"]):  # the unknown is last both ways
        brier.press("Space")
        assert column(6) == order
    page.get_by_role("button", name="Candidate", exact=True).click()
    assert [text.split()[0] for text in column(1)] == ["average", "boosted", "logistic"]


def test_the_choice_and_the_tie_set_are_marked(opened):
    page = opened("index.html")
    assert page.locator(".sortable tr.chosen th").inner_text().startswith("boosted trees")
    tied = page.locator("table.sortable tbody tr", has=page.locator(".tie")).locator("th").all_inner_texts()
    assert len(tied) == 2
    assert not any("logistic" in name for name in tied)


def test_code_is_folded_until_asked_for(opened):
    page = opened("01_explore.html")
    code = page.locator(".highlight")
    assert code.count() == 6
    assert not any(block.is_visible() for block in code.all())
    assert page.locator("details.code > summary").all_inner_texts() == ["Code, 2 cells", *["Code"] * 4]
    page.locator("details.code > summary").first.click()
    assert [block.is_visible() for block in code.all()] == [True, True, False, False, False, False]
    page.get_by_role("button", name="Show all code").click()
    assert all(block.is_visible() for block in code.all())
    page.get_by_role("button", name="Hide all code").press("Enter")
    assert not any(block.is_visible() for block in code.all())


def test_contents_and_navigation_lead_where_they_say(opened):
    page = opened("index.html")
    for link, title in (("01 Explore", "Chapter 01_explore"), ("02 Compare", "Chapter 02_compare")):
        page.get_by_role("navigation").get_by_role("link", name=link).click()
        assert page.locator("h1").inner_text().startswith(title)
        assert page.locator("nav.run [aria-current=page]").inner_text() == link
    contents = page.get_by_role("navigation", name="Contents").get_by_role("link")
    assert contents.all_inner_texts() == ["First question", "Below it", "Second question"]
    contents.last.click()
    assert page.locator(":target").inner_text().startswith("Second question")
    page.get_by_role("link", name="Summary").click()
    assert page.locator("h1").inner_text() == "Which transactions are fraud?"


def test_figures_are_described_in_words(opened):
    described = "candidate against average precision; for boosted trees"
    assert opened("index.html").locator("figure img").get_attribute("alt") == described
    images = opened("01_explore.html").locator("img")
    assert [image.get_attribute("alt") for image in images.all()] == [described, "Figure: Second question"]


def test_light_and_dark_follow_the_reader_and_print_is_light(opened, tmp_path):
    def paper(page: Page) -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    for name in PAGES:
        assert paper(opened(name, color_scheme="light")) == "rgb(255, 255, 255)"
        page = opened(name, color_scheme="dark")
        assert paper(page) == "rgb(18, 24, 31)"
        page.emulate_media(media="print", color_scheme="dark")
        assert paper(page) == "rgb(255, 255, 255)"
        assert not page.locator("nav.run").is_visible()
        assert not any(fold.is_visible() for fold in page.locator("details.code").all())  # unless it was opened
        page.pdf(path=tmp_path / "page.pdf", format="A4")
        assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def drawn_colours(image: Locator) -> tuple[np.ndarray, np.ndarray]:
    """The paper's colour and those of the bars of the fixture's figure as the browser shows them, from 0 to 1."""
    seen = np.asarray(Image.open(io.BytesIO(image.screenshot())).convert("RGB"), float) / 255
    middle = seen[:, seen.shape[1] * 3 // 4]
    runs = [list(group) for _, group in itertools.groupby(middle.round(2).tolist())]
    bars = [
        run[0] for run in runs if len(run) >= seen.shape[0] // 16 and not np.allclose(run[0], seen[2, 2], atol=0.02)
    ]
    return seen[2, 2], np.array(bars)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_are_at_home_in_light_and_dark_and_for_colour_blind_readers(opened, scheme):
    """How deuteranopes and protanopes see linear RGB: Machado, Oliveira and Fernandes (2009)."""
    views = [
        np.eye(3),
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    ]

    def luminance(colour: np.ndarray) -> np.ndarray:
        linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    for name in ("index.html", "01_explore.html"):
        paper, colours = drawn_colours(opened(name, color_scheme=scheme).locator("img").first)
        assert paper * 255 == pytest.approx([18, 24, 31] if scheme == "dark" else [255, 255, 255], abs=2)
        assert len(colours) == len(plots.PALETTE)
        light, dark = np.maximum(luminance(colours), luminance(paper)), np.minimum(luminance(colours), luminance(paper))
        assert ((light + 0.05) / (dark + 0.05)).min() >= 3  # what WCAG asks of graphics
        for view in views:
            seen = np.clip(colours**2.2 @ np.transpose(view), 0, 1) ** (1 / 2.2)
            apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)[np.triu_indices(len(seen), 1)]
            assert apart.min() > 0.15


def test_a_printed_figure_is_on_white_in_a_dark_room_too(opened):
    page = opened("index.html", color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert drawn_colours(page.locator("img").first)[0].tolist() == [1, 1, 1]


def test_the_first_screen_says_what_to_do_what_to_expect_and_what_is_uncertain(opened):
    advice = opened("index.html", 1280).locator(".advice div")
    assert [text.split("\n")[0] for text in advice.all_inner_texts()] == [
        "What to do",
        "What to expect",
        "What is uncertain",
    ]
    assert (
        "alert from a score of 0.25, where reviews and missed frauds together cost least" in advice.first.inner_text()
    )
    tiles = opened("index.html", 1280).locator(".facts div")
    assert [" ".join(text.split()) for text in tiles.all_inner_texts()] == [
        *("Alerts 60 [30, 120]", "Frauds caught 48 [24, 96]", "False alarms 12 [6, 24]"),
        "EUR saved 5,210 [2,605, 10,420]",
    ]
    bottom = tiles.last.bounding_box()
    assert bottom["y"] + bottom["height"] < 720  # without scrolling


def test_each_way_of_alerting_stands_beside_its_aim(opened):
    table = opened("index.html").get_by_role("region", name="Which way of alerting").locator("table")
    rows = [row.locator("> *").all_inner_texts() for row in table.locator("tbody tr").all()]
    assert [cell.replace("\n", " ") for cell in rows[0]] == [
        *("highest F1 decides", "0.25", "71\N{NO-BREAK SPACE}%", "60 [30, 120]", "48 [24, 96]", "12 [6, 24]"),
        "5,210 [2,605, 10,420]",
    ]
    assert [row[0] for row in rows[1:]] == [
        "90\N{NO-BREAK SPACE}% of alerts are frauds",
        "probability times amount above the cost of a review",
    ]
    assert rows[2][1] == "–"
    heads = table.locator("thead th[scope=colgroup]").all_text_contents()
    assert heads == ["out of fold", "test set, a day"]


def test_alerts_to_look_at_have_their_reasons_as_bars(opened):
    page = opened("index.html", 1280)
    folds = page.locator("details.cases")
    assert folds.locator("summary").all_inner_texts() == ["2 frauds caught", "1 fraud missed"]
    first = folds.first.locator("tbody tr").first
    assert first.locator("> td").all_inner_texts()[:3] == ["0.9100", "day 2, 01:00", "512.00"]
    assert [item.split("\n") for item in first.locator("li").all_inner_texts()][:2] == [
        ["V14 = −6.1", "+2.3"],
        ["shop = Rome", "−0.7"],
    ]
    widths = [bar.bounding_box()["width"] for bar in first.locator(".bar").all()]
    assert widths[1] / widths[0] == pytest.approx(0.7 / 2.3, abs=0.05)  # long bars for what moves a score most
    assert first.locator(".bar.down").count() == 1


def test_no_column_has_one_value_and_what_is_empty_is_folded(opened):
    page = opened("index.html", 1280)
    assert "Kind" not in page.locator("table.sortable thead").inner_text()
    assert not page.get_by_text("schema", exact=True).is_visible()
    page.get_by_text("1 parameter left empty").click()
    assert page.get_by_text("schema", exact=True).is_visible()
    assert "50,000 transactions" in page.locator("header").inner_text()


def test_tables_of_notebooks_say_what_is_not_known_with_a_dash_and_have_words_on_the_left(opened):
    cells = opened("01_explore.html").locator("table.dataframe td")
    assert cells.nth(0).inner_text() == "–"
    sides = [cells.nth(place).evaluate("cell => getComputedStyle(cell).textAlign") for place in (1, 2)]
    assert sides == ["left", "right"]


def test_simulated_data_is_announced_where_it_is_used(opened):
    banner = opened("01_explore.html").locator(".banner")
    assert banner.inner_text().startswith("SIMULATED transactions (generator 1, seed 7):")
    assert opened("index.html").locator(".banner").count() == 0  # RUN is of real data
