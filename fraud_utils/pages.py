"""The pages of a run, from what it left in its folder: a summary and the notebooks.

Pages stand alone: style and script are inside, images are inside or in the run's folder, nothing is fetched from the
network, and a policy in each page makes browsers refuse the rest.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import results

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
    return _environment().get_template(template).render(**values, **_inlined(*scripts))


def _links(folder: Path, current: str) -> list[dict[str, Any]]:
    """Where a page leads: the summary, once there is one, and the notebooks in their order."""
    stems = sorted({path.stem for path in folder.glob("[0-9][0-9]_*.html")} | {current} - {"index"})
    names = {stem: re.sub(r"^(\d+) (\w)", lambda m: f"{m[1]} {m[2].upper()}", stem.replace("_", " ")) for stem in stems}
    if current == "index" or (folder / "index.html").exists():
        names = {"index": "Summary"} | names
    return [{"href": f"{stem}.html", "text": text, "current": stem == current} for stem, text in names.items()]


# Notebooks ----------------------------------------------------------------------------------------------------------


def write_notebook(executed: Path) -> None:
    """Write an executed notebook as one HTML file beside it: code folded, contents, alternative texts for figures."""
    import nbformat
    from nbconvert import HTMLExporter

    folder, notebook = executed.parent, nbformat.read(executed, as_version=4)
    title = _marked(notebook.cells, folder) or executed.stem
    data = results.read(folder).get("data") or {}
    page = _inlined() | {
        "title": title,
        "run": folder.name,
        "links": _links(folder, executed.stem),
        "simulated": data.get("simulated") and data["name"],
    }
    exporter = HTMLExporter(template_name="notebook", extra_template_basedirs=[str(TEMPLATES)])
    exporter.register_filter("contents", _contents)
    text, _ = exporter.from_notebook_node(notebook, {"page": page})
    executed.with_suffix(".html").write_text(text, encoding="utf-8")


def _marked(cells: Sequence[Any], folder: Path) -> str:
    """Tell the template of each cell what it is part of, in the cells' metadata; returns the notebook's title.

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
    start, found, rest = content.partition(_LEAD_ENDS)
    if not found:
        start, rest = "", content
    pattern = r'<h([23]) id="([^"]+)"[^>]*>(.*?)(?:<a class="anchor-link".*?</a>)?</h\1>'
    headings = [{"level": int(level), "id": anchor, "html": re.sub("<[^>]+>", "", text)}
                for level, anchor, text in re.findall(pattern, rest, re.DOTALL)]  # fmt: skip
    return {"start": start, "headings": headings, "rest": rest}


def described(figure: Path) -> str:
    """The description that `plots.save` put into a PNG file, "" where there is none."""
    try:
        content = figure.read_bytes()
    except OSError:
        return ""
    place = 8
    while place + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        key, _, text = content[place + 8 : place + 8 + length].partition(b"\0")
        if key == b"Description" and kind == b"tEXt":
            return text.decode("latin-1")
        if key == b"Description" and kind == b"iTXt":  # uncompressed, then language and translated key, both empty
            return text.lstrip(b"\0").decode("utf-8")
        place += 12 + length
    return ""


# Summary ------------------------------------------------------------------------------------------------------------

# The figures of the notebooks that a summary shows, with what to look for; a run has those that its data allows.
FIGURES = {
    "precision_recall": "Precision against recall on the test set: how many alerts are frauds, as more frauds are "
    "caught.",
    "savings": "Share of the avoidable cost that each way of deciding saves, by the cost of one review.",
    "contributions": "What moves the chosen model's score, strongest first.",
    "average_precision": "Average precision of every candidate out of fold, with 95 % intervals. Those of the tie set "
    "cannot be told from the best.",
}


def write_summary(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write a run's `index.html` from the content of its `metrics.json` and its figures."""
    figures = [
        {"source": f"figures/{name}.png", "alt": described(file) or caption, "caption": caption, "size": _size(file)}
        for name, caption in FIGURES.items()
        if (file := folder / "figures" / f"{name}.png").is_file()
    ]
    text = _environment().get_template("summary.html.j2").render(
        metrics, figures=figures, links=_links(folder, "index"), findings=findings(metrics), **_inlined()
    )  # fmt: skip
    (folder / "index.html").write_text(text, encoding="utf-8")


def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["by_precision"] = _by_precision
    return environment


def _by_precision(models: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Best out of fold first; a model that has no average precision comes last."""

    def precision(model: Mapping[str, Any]) -> float:
        value = (model.get("oof") or {}).get("average_precision")
        return -1.0 if value is None else value

    return sorted(models, key=precision, reverse=True)


def _size(figure: Path) -> tuple[int, int]:
    """Width and height on the page of a PNG file that is twice as fine."""
    width, height = struct.unpack(">II", figure.read_bytes()[16:24])
    return width // 2, height // 2


def findings(metrics: Mapping[str, Any]) -> list[str]:
    """What a run found, in sentences that say no more than its intervals allow; [] where no model was chosen."""
    chosen, split = metrics.get("chosen") or {}, metrics.get("split") or {}
    models = {model["name"]: model for model in metrics.get("models") or []}
    if chosen.get("name") not in models:
        return []
    name, model = chosen["name"], models[chosen["name"]]
    oof, test = model.get("oof") or {}, model.get("test") or {}
    rows, frauds = split.get("test_rows"), split.get("test_frauds")
    said = []

    value, interval = test.get("average_precision"), test.get("average_precision_ci")
    if value is not None:
        sentence = f"{name} reaches an average precision of {_with_interval(value, interval)} on the test set"
        if rows and frauds is not None:
            share = frauds / rows
            if interval and interval[0] <= share:
                sentence += f", which cannot be told from ranking at random ({share:.3g})"
            elif interval:
                sentence += f"; ranking at random would reach {share:.3g}"
        if interval and oof.get("average_precision") is not None:
            place = _place(oof["average_precision"], interval)
            sentence += f". Its out-of-fold figure, {oof['average_precision']:.3f}, lies {place} that interval"
        said.append(f"{sentence}.")

    said += _alerting(name, test, chosen, rows, frauds)

    saved, interval = test.get("savings"), test.get("savings_ci")
    if saved is not None and interval:
        amount = f"{saved:.0%} [{interval[0]:.0%}, {interval[1]:.0%}]"
        if interval[0] > 0:
            said.append(f"Deciding by probability times amount saves {amount} of the avoidable cost on the test set.")
        elif interval[1] < 0:
            said.append(
                f"Deciding by probability times amount costs more than the cheaper of alerting on nothing and on "
                f"everything: savings are {amount}."
            )
        else:
            said.append(f"No savings are shown on the test set: {amount} of the avoidable cost, an interval around 0.")

    judged = {each: (its.get("oof") or {}).get("average_precision") for each, its in models.items()}
    known = {each: figure for each, figure in judged.items() if figure is not None}
    tied = [each for each in metrics.get("tie_set") or [] if each in known]
    if tied:
        leader = max(tied, key=lambda each: known[each])
        others = len(tied) - 1
        figure = _with_interval(known[leader], models[leader]["oof"].get("average_precision_ci"))
        ties = f"{others} of the {len(known) - 1} others cannot be told from it" if others else "no other ties with it"
        said.append(f"{leader} leads the candidates out of fold with {figure}; {ties}.")
    return said


def _alerting(
    name: str, test: Mapping[str, Any], chosen: Mapping[str, Any], rows: int | None, frauds: int | None
) -> list[str]:
    """What the fixed threshold means in alerts and frauds."""
    precision, recall = test.get("precision"), test.get("recall")
    threshold = (chosen.get("thresholds") or {}).get("f1")
    if precision is None or recall is None or not rows or not frauds or threshold is None:
        return []
    caught = round(recall * frauds)
    if not caught:
        return [f"At its fixed threshold, a score of {threshold:.3g}, {name} catches none of the {frauds} frauds."]
    alerts = round(caught / precision)
    often = f"{1000 * alerts / rows:.2g} alerts per 1,000 transactions"
    return [
        f"At its fixed threshold, a score of {threshold:.3g}, it alerts {alerts:,} times on {rows:,} transactions "
        f"({often}) and catches {caught:,} of {frauds:,} frauds ({recall:.0%}); {precision:.0%} of its alerts are "
        "frauds."
    ]


def _with_interval(value: float, interval: Sequence[float] | None) -> str:
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def _place(value: float, interval: Sequence[float]) -> str:
    return "above" if value > interval[1] else "below" if value < interval[0] else "inside"
