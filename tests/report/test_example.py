"""The example that the repository keeps: small, whole, and without a trace of the machine that made it."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from records import RUN

from fraud_utils import plots, record
from fraud_utils.record import Data, Reason, RunRecord
from fraud_utils.report import example
from fraud_utils.report.errors import ExampleError

ROOT = Path(__file__).resolve().parents[2]


@cache
def picture(name: str) -> dict[Path, bytes]:
    """The files of a figure, drawn once for all runs; their paths are relative to a run's folder."""
    folder = Path(tempfile.mkdtemp())
    plots.set_style()
    fig, ax = plt.subplots()
    for place, colour in enumerate(plots.PALETTE):
        ax.plot([0, 1], [place, place + 1], color=colour)
    ax.set(xlabel="recall", ylabel="precision")
    plots.save(fig, folder, name)
    plt.close(fig)
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder)
    return files


def make_run(folder: Path, printed: str = "all is well", **data: Any) -> Path:
    """A finished run of one notebook on this machine's real data."""
    path = folder / "tables" / "creditcard.csv.zip"
    for file, content in (picture("precision_recall") | picture("explore_time")).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    png = base64.b64encode((folder / "figures/precision_recall.png").read_bytes()).decode()
    outputs = [
        new_output("display_data", {"image/png": png}, metadata={"image/png": {"width": 900, "height": 420}}),
        new_output("stream", name="stdout", text=printed),
    ]
    cells = [
        new_markdown_cell("# Explore"),
        new_code_cell(f'data = "{path}"', metadata={"tags": ["injected-parameters"]}),
        new_code_cell("figure", outputs=outputs, metadata={"papermill": {"start_time": "2026-01-02T03:04:05"}}),
    ]
    notebook = new_notebook(cells=cells, metadata={"papermill": {"output_path": str(folder / "01_explore.ipynb")}})
    nbformat.write(notebook, folder / "01_explore.ipynb")
    (folder / "model").mkdir()
    (folder / "model" / "model.ubj").write_bytes(b"scores")
    parameters = {"data": str(path), "profile": "full", "schema": f"{Path.home()}/mine.yaml"}
    about = Data("ULB", path=str(path), rows=10, frauds=1, **data)
    record.save(
        folder, RunRecord(run=folder.name, created=RUN.created, data=about, parameters=parameters, cases=RUN.cases)
    )
    (folder / "resamples.json").write_text('{"oof": {"resamples": "abc"}}')
    return folder


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "runs" / "first")


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def images(text: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in re.findall(r"iVBORw0KGgo[\w+/=]+", text)]


def test_an_example_is_the_run_without_model_and_machine(run, tmp_path):
    to = tmp_path / "example"
    size = example.distil(run, to)
    assert {path.relative_to(to).as_posix() for path in to.rglob("*") if path.is_file()} == {
        *("index.html", "01_explore.html", "01_explore.ipynb", "metrics.json", "resamples.json"),
        *("figures/precision_recall.png", "figures/precision_recall-narrow.png"),
    }
    assert size == sum(path.stat().st_size for path in to.rglob("*") if path.is_file())
    for name, text in texts(to).items():
        assert str(tmp_path) not in text and str(Path.home()) not in text and "start_time" not in text, name
    metrics = json.loads((to / "metrics.json").read_text())
    assert (metrics["run"], metrics["data"]["path"]) == ("example", "creditcard.csv.zip")
    assert metrics["parameters"] == {"data": "creditcard.csv.zip", "profile": "full", "schema": "mine.yaml"}
    assert "creditcard.csv.zip" in (to / "01_explore.html").read_text()
    assert 'href="01_explore.html"' in (to / "index.html").read_text()
    assert 'href="index.html"' in (to / "01_explore.html").read_text()
    assert "Run example" in (to / "index.html").read_text()
    nbformat.validate(nbformat.read(to / "01_explore.ipynb", 4))


def test_of_the_alerts_to_look_at_an_example_has_what_explains_them_and_no_rows(run, tmp_path):
    example.distil(run, tmp_path / "example")
    cases = record.load(tmp_path / "example").cases
    assert [(case.kind, case.score) for case in cases] == [(case.kind, case.score) for case in RUN.cases]
    assert cases[0].reasons[0] == Reason("V14", 2.3)
    for name, text in texts(tmp_path / "example").items():
        assert not re.search(r"Rome|512|1,?204\.5|[-−]6\.1", text), name
    assert "Alerts to look at" in texts(tmp_path / "example")["index.html"]


def test_figures_are_sharp_on_pages_and_half_the_size_in_notebooks(run, tmp_path):
    example.distil(run, tmp_path / "example")
    before, after = run / "figures" / "precision_recall.png", tmp_path / "example" / "figures" / "precision_recall.png"
    with Image.open(before) as drawn, Image.open(after) as kept:
        assert (drawn.size, drawn.text) == (kept.size, kept.text) and len(kept.getcolors()) <= example.COLOURS
    (small,) = images(texts(tmp_path / "example")["01_explore.ipynb"])
    (sharp,) = re.findall(r"image/webp;base64,([\w+/=]+)", texts(tmp_path / "example")["01_explore.html"])
    assert (Image.open(io.BytesIO(base64.b64decode(sharp))).size, small.size) == ((1800, 840), (900, 420))


PRINTED = ["in /home/somebody/x.py", "see /Users/me/data", "file:///work/tables/a.csv", "'/tmp/tmpx1/model'"]


@pytest.mark.parametrize("printed", PRINTED)
def test_a_file_that_would_name_a_path_of_a_machine_is_found(tmp_path, printed):
    (tmp_path / "01_explore.html").write_text(f"<p>{printed}</p>")
    with pytest.raises(ExampleError, match=r"01_explore\.html would name .*a path of this machine"):
        example.check(tmp_path)


def test_a_path_of_a_machine_is_refused_and_the_old_example_stays(tmp_path):
    to, printed = tmp_path / "example", PRINTED[0]
    example.distil(make_run(tmp_path / "runs" / "first"), to)
    before = texts(to)
    with pytest.raises(ExampleError, match=r"01_explore\.(html|ipynb) would name .*a path of this machine"):
        example.distil(make_run(tmp_path / "runs" / "second", printed), to)
    assert texts(to) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["example", "runs"]


def test_an_example_is_replaced_whole(run, tmp_path):
    to = tmp_path / "example"
    to.mkdir()
    (to / "left-over.html").write_text("old")
    example.distil(run, to)
    assert not (to / "left-over.html").exists() and (to / "index.html").exists()


def test_what_cannot_be_an_example_is_refused_unless_it_is_a_draft(tmp_path):
    simulated = make_run(tmp_path / "runs" / "simulated", simulated=True)
    with pytest.raises(ExampleError, match="a full run on real data; DRAFT=1"):
        example.distil(simulated, tmp_path / "example")
    with pytest.raises(ExampleError, match="not a finished run"):
        example.distil(tmp_path / "runs", tmp_path / "example")
    assert not (tmp_path / "example").exists()
    example.distil(simulated, tmp_path / "example", draft=True)
    assert "SIMULATED" in (tmp_path / "example" / "index.html").read_text()


def test_what_is_too_large_is_refused(run, tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (600, 600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(run / "figures" / "savings.png")
    monkeypatch.setattr(example, "LIMIT_BYTES", 200_000)
    with pytest.raises(ExampleError, match="more than the 200,000"):
        example.distil(run, tmp_path / "example")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({}, "needs the real data: DATA=path, or make data first"), ({"DATA": "x.csv", "PROFILE": "quick"}, "full run")],
)
def test_an_example_that_could_not_be_shown_is_not_even_begun(tmp_path, settings, message):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    clean = {k: v for k, v in os.environ.items() if k not in ("DATA", "RUN", "PROFILE", "PARAMS")}
    command = [sys.executable, "-m", "fraud_utils.report.example"]
    done = subprocess.run(command, cwd=tmp_path, env=clean | settings, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr and done.stderr.startswith("error: ")
    assert not (tmp_path / "runs").exists()


def test_the_example_of_the_repository_can_be_sent_round_and_readme_leads_to_it():
    if not (kept := ROOT / "runs" / "example").is_dir():
        pytest.skip("runs/example is not there yet; make example makes it")
    assert example.check(kept) <= 3_000_000
    metrics = json.loads((kept / "metrics.json").read_text())
    assert (metrics["data"]["name"], metrics["parameters"]["profile"]) == ("ULB creditcard.csv", "full")
    linked = re.findall(r"\]\((runs/example[^)]*)\)", (ROOT / "README.md").read_text())
    assert any(link.endswith((".png", ".svg")) for link in linked) and "runs/example/index.html" in linked
    assert all((ROOT / link).exists() for link in linked)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an unpacked archive has no git to ask")
def test_git_keeps_the_example_and_no_linter_reads_it():
    kept = subprocess.run(["git", "check-ignore", "-q", "runs/example/01_explore.ipynb"], cwd=ROOT).returncode
    assert kept == 1  # not ignored
    assert subprocess.run(["git", "check-ignore", "-q", "runs/other/index.html"], cwd=ROOT).returncode == 0
    seen = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--show-files", "."], cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert "notebooks/01_explore.ipynb" in seen and "runs/" not in seen.replace(str(ROOT), "")
