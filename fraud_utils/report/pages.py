"""The pages of a run, from what it left in its folder: a summary and the notebooks.

Pages stand alone: style and script are inside, images are inside or in the run's folder, nothing is fetched from the
network, and a policy in each page makes browsers refuse the rest.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fraud_utils import words
from fraud_utils.record import Data, RunRecord
from fraud_utils.report import summary
from fraud_utils.report.explorer import explored

TEMPLATES = Path(__file__).parent / "templates"
_LEAD_ENDS = "<!-- contents -->"


def _inlined(*more: str) -> dict[str, str]:
    """What every page holds: its style, its script, and the script's hash for the policy, which allows no other."""
    script = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.js", *more))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    return {"style": style, "script": script, "script_hash": f"'sha256-{digest}'"}


def render(template: str, *scripts: str, **values: Any) -> str:
    """A page from its template, with the common style and script and with scripts of its own."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    figures = (words.decimals, words.decimals_between, words.percent, words.percent_between, words.plain_between,
               words.count, words.plural, words.cell, words.duration)  # fmt: skip
    environment.filters |= {filter.__name__: filter for filter in figures}
    environment.filters |= {"moment": _moment, "when": words.moment, "apart": _apart, "money": words.money}
    return environment.get_template(template).render(**values, **_inlined(*scripts))


def _moment(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _apart(figure: str) -> Any:
    """A figure whose interval is set in smaller type."""
    from markupsafe import Markup

    value, bracket, interval = figure.partition(" [")
    return Markup('{} <span class="ci">[{}</span>').format(value, interval) if bracket else value


def _links(folder: Path, current: str) -> list[dict[str, Any]]:
    """Where a page leads: the summary, once there is one, and the notebooks in their order."""
    stems = sorted({path.stem for path in folder.glob("[0-9][0-9]_*.html")} | {current} - {"index"})
    names = {stem: re.sub(r"^(\d+) (\w)", lambda m: f"{m[1]} {m[2].upper()}", stem.replace("_", " ")) for stem in stems}
    if current == "index" or (folder / "index.html").exists():
        names = {"index": "Summary"} | names
    return [{"href": f"{stem}.html", "text": text, "current": stem == current} for stem, text in names.items()]


# Notebooks ----------------------------------------------------------------------------------------------------------


def write_notebook(executed: Path, data: Data | None) -> None:
    """Write an executed notebook as one HTML file beside it: code folded, contents, alternative texts for figures."""
    import nbformat
    from nbconvert import HTMLExporter

    folder, notebook = executed.parent, nbformat.read(executed, as_version=4)
    title = _marked(notebook.cells, folder) or executed.stem
    page = _inlined() | {
        "title": title,
        "run": folder.name,
        "links": _links(folder, executed.stem),
        "simulated": data.name if data and data.simulated else "",
    }
    exporter = HTMLExporter(template_name="notebook", extra_template_basedirs=[str(TEMPLATES)])
    exporter.register_filter("contents", _contents)
    exporter.register_filter("legible", _legible)
    text, _ = exporter.from_notebook_node(notebook, {"page": page})
    executed.with_suffix(".html").write_text(text, encoding="utf-8")


def _marked(cells: Sequence[Any], folder: Path) -> str:
    """Put what the template needs to know of each cell into its metadata; returns the notebook's title.

    Code cells that show nothing, such as those of parameters and imports, are folded together.
    """
    title = section = ""
    fold: list[Any] = []
    for cell in [*cells, None]:
        silent = cell is not None and cell.cell_type == "code" and not cell.outputs
        if silent:
            fold.append(cell.metadata)
        elif fold:
            fold[0]["summary"] = f"Code, {len(fold)} cells" if len(fold) > 1 else "Code"
            fold[-1]["fold_ends"] = True
            for place, metadata in enumerate(fold):
                metadata["fold"] = "inner" if place else "first"
            fold = []
        if cell is not None and cell.cell_type == "markdown":
            for level, heading in re.findall(r"^(#+) +(.+)", cell.source, re.MULTILINE):
                section = heading.strip()
                if level == "#" and not title:
                    title = section
                    cell.metadata["lead"] = _LEAD_ENDS
        elif cell is not None:
            cell.metadata |= {"section": section, "alt": _alternative(cell.source, section, folder)}
    return title


def _alternative(source: str, section: str, folder: Path) -> str:
    """What a figure shows, for those who do not see it: what was saved with it, else the question it answers."""
    saved = re.search(r"""plots\.save\(.*["']([\w-]+)["']\)""", source)
    return (saved and described(folder / "figures" / f"{saved[1]}.png")) or f"Figure: {section}"


def _contents(content: str) -> dict[str, Any]:
    """Split a rendered notebook after its introduction, and list the headings below."""
    start, mark, rest = content.partition(_LEAD_ENDS)
    if not mark:
        start, rest = "", content
    pattern = r'<h([23]) id="([^"]+)"[^>]*>(.*?)(?:<a class="anchor-link".*?</a>)?</h\1>'
    headings = [{"level": int(level), "id": anchor, "html": re.sub("<[^>]+>", "", text)}
                for level, anchor, text in re.findall(pattern, rest, re.DOTALL)]  # fmt: skip
    return {"start": start, "headings": headings, "rest": rest}


def _legible(table: str) -> str:
    """A data frame's HTML with a dash for what is not known, and its cells of words marked, to stand on the left."""
    table = re.sub(r"<td>(?:NaN|None|NaT)</td>", "<td>–</td>", table)
    return re.sub(r"<td>(?![-+−–]?[\d.,]*(?:e[-+]?\d+)?%?<)", '<td class="text">', table)


def described(figure: Path) -> str:
    """The description that `plots.save` put into a PNG file, "" where there is none."""
    from PIL import Image

    try:
        with Image.open(figure) as image:
            return str(image.info.get("Description", ""))
    except OSError:
        return ""


# Summary ------------------------------------------------------------------------------------------------------------

# The figures of the notebooks that a summary shows, with what to look for; a run has those that its data allows.
FIGURES = {
    "precision_recall": "Precision against recall on the test set: how many alerts are frauds, as more frauds are "
    "caught.",
    "savings": "Share of the avoidable cost that each way of deciding saves, by the cost of one review.",
    "contributions": "What moves the chosen model's score, strongest first.",
    "average_precision": "Average precision of every candidate out of fold, with 95 % intervals. The tie set is "
    "statistically tied with the best.",
}


def write_summary(folder: Path, run: RunRecord) -> None:
    """Write a run's `index.html` from its record and its figures."""
    figures = [
        {"source": f"figures/{name}.png", "alt": described(file) or caption, "caption": caption, "size": _size(file)}
        for name, caption in FIGURES.items()
        if (file := folder / "figures" / f"{name}.png").is_file()
    ]
    text = render(
        "summary.html.j2",
        "explorer.js",
        run=run,
        explorer=explored(run),
        figures=figures,
        links=_links(folder, "index"),
        **summary.parts(run),
    )
    (folder / "index.html").write_text(text, encoding="utf-8")


def _size(figure: Path) -> tuple[int, int]:
    """Width and height on the page of a picture that is twice as fine."""
    from PIL import Image

    with Image.open(figure) as image:
        return image.width // 2, image.height // 2
