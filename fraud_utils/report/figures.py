"""Figures of a run as its pages show them, from what `plots.save` left: two pictures, a description, the numbers."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

# The figures of the notebooks that a summary shows: whose scores they show, and what to look for. A run has those that
# its data allows.
OF_SUMMARY = {
    "precision_recall": (
        "test set",
        "Precision against recall, and recall against false alarms: what more caught frauds cost in alerts.",
    ),
    "savings": (
        "out of fold",
        "Share of the avoidable cost that each way of deciding saves, by a review's cost.",
    ),
    "contributions": ("test set", "What moves the chosen model's score, strongest first."),
    "average_precision": (
        "out of fold",
        "Average precision of the best candidates with 95 % intervals, and their paired distance to the best.",
    ),
    "average_precision_rest": ("out of fold", "Average precision of the other candidates, with 95 % intervals."),
    "prequential": (
        "out of fold",
        "Average precision in blocks of time, each scored by fits on the window before it. Blocks have few frauds, so "
        "lines jump: what counts is whether their order holds.",
    ),
}
FOLDED = {"average_precision_rest": "All other candidates"}


def of_summary(folder: Path) -> list[dict[str, Any]]:
    """The figures of a run's summary, for figure.html.j2."""
    return [
        {"alt": caption} | shown | {"part": part, "caption": caption, "fold": FOLDED.get(name, "")}
        for name, (part, caption) in OF_SUMMARY.items()
        if "wide" in (shown := kept(folder, name))
    ]


def kept(folder: Path, name: str) -> dict[str, Any]:
    """What a run's folder has of a figure, its pictures as files beside the page."""
    wide, narrow, numbers = (folder / "figures" / f"{name}{end}" for end in (".png", "-narrow.png", ".json"))
    shown: dict[str, Any] = {"name": name} | ({"alt": said} if (said := described(wide)) else {})
    for key, file in (("wide", wide), ("narrow", narrow)):
        if name and file.is_file():
            shown[key] = {"source": f"figures/{file.name}"} | _size(file.read_bytes())
    if name and numbers.is_file():
        shown["numbers"] = numbers.read_text(encoding="utf-8")
    return shown


def inside(folder: Path, name: str, png: bytes) -> dict[str, Any]:
    """The same with its pictures in the page: the one that a notebook shows, and that for phones."""
    shown = kept(folder, name) | {"wide": {"source": _inlined(png)} | _size(png)}
    if "narrow" in shown:
        shown["narrow"]["source"] = _inlined((folder / shown["narrow"]["source"]).read_bytes())
    return shown


def _inlined(png: bytes) -> str:
    """As WebP without loss, which is a third smaller."""
    from PIL import Image

    written = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(written, "WEBP", lossless=True, method=2, quality=25)  # effort
    return f"data:image/webp;base64,{base64.b64encode(written.getvalue()).decode()}"


def _size(png: bytes) -> dict[str, int]:
    """Width and height on the page of a picture that is twice as fine."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        return {"width": image.width // 2, "height": image.height // 2}


def described(figure: Path) -> str:
    """The description that `plots.save` put into a PNG file, "" where there is none."""
    from PIL import Image

    try:
        with Image.open(figure) as image:
            return str(image.info.get("Description", ""))
    except OSError:
        return ""
