"""The pages of a run, from what it left in its folder: a summary and the notebooks.

Pages stand alone: style and script are inside, images are inside or in the run's folder, nothing is fetched from the
network, and a policy in each page makes browsers refuse the rest.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fraud_utils import words
from fraud_utils.record import Data, RunRecord
from fraud_utils.report import figures, summary
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
    return _filled(template, **values, **_inlined(*scripts))


def _filled(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@cache  # as are the templates that it has compiled
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    texts = (words.decimals, words.decimals_between, words.percent, words.percent_between, words.plain_between,
               words.count, words.plural, words.cell, words.duration)  # fmt: skip
    environment.filters |= {filter.__name__: filter for filter in texts}
    environment.filters |= {"moment": _moment, "when": words.moment, "apart": _apart, "money": words.money}
    return environment


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


def write_notebook(executed: Path, data: Data | None, beside: Collection[str] = ()) -> None:
    """Write an executed notebook as one HTML file beside it: code folded, contents, alternative texts for figures.

    Figures are in the page, but for those named in `beside`, which stay files of the folder that holds both.
    """
    import nbformat
    from nbconvert import HTMLExporter

    folder, notebook = executed.parent, nbformat.read(executed, as_version=4)
    title = _marked(notebook.cells, folder, beside) or executed.stem
    page = _inlined() | {
        "title": title,
        "run": folder.name,
        "header": _header(folder, executed.stem, data),
    }
    exporter = HTMLExporter(template_name="notebook", extra_template_basedirs=[str(TEMPLATES)])
    exporter.register_filter("contents", _contents)
    exporter.register_filter("legible", _legible)
    text, _ = exporter.from_notebook_node(notebook, {"page": page})
    executed.with_suffix(".html").write_text(text, encoding="utf-8")


def link_notebooks(folder: Path, data: Data | None) -> None:
    """Let the pages of a run's notebooks lead to all that is there by now, without converting a notebook again."""
    for page in folder.glob("[0-9][0-9]_*.html"):
        before, _, rest = page.read_text(encoding="utf-8").partition("<header>")
        header, after = _header(folder, page.stem, data), rest.partition("</header>")[2]
        page.write_text(f"{before}{header}{after}", encoding="utf-8")


def _header(folder: Path, current: str, data: Data | None) -> str:
    """The top of a notebook's page."""
    simulated = data.name if data and data.simulated else ""
    return _filled("notebook/header.html.j2", links=_links(folder, current), simulated=simulated)


def _marked(cells: Sequence[Any], folder: Path, beside: Collection[str]) -> str:
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
            cell.metadata["section"] = section
            for output in cell.get("outputs", []):
                if png := output.get("data", {}).get("image/png"):
                    about = output.metadata.get("image/png", {})
                    inlined = None if about.get("figure") in beside else base64.b64decode(png)
                    output.metadata["shown"] = _drawn(inlined, about, section, folder)
    return title


def _drawn(png: bytes | None, about: Mapping[str, Any], section: str, folder: Path) -> dict[str, Any]:
    """A figure among the outputs, with what `plots.save` left of it in the run's folder."""
    name = about.get("figure", "")
    shown = figures.kept(folder, name) if png is None else figures.inside(folder, name, png)
    shown["wide"] |= {side: about[side] for side in ("width", "height") if side in about}
    return {"alt": f"Figure: {section}"} | shown | {"fold": about.get("fold", ""), "caption": ""}


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


# Summary ------------------------------------------------------------------------------------------------------------


def write_summary(folder: Path, run: RunRecord) -> None:
    """Write a run's `index.html` from its record and its figures."""
    text = render(
        "summary.html.j2",
        "explorer.js",
        run=run,
        explorer=explored(run),
        figures=figures.of_summary(folder),
        links=_links(folder, "index"),
        **summary.parts(run),
    )
    (folder / "index.html").write_text(text, encoding="utf-8")
