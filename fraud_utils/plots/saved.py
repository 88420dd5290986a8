"""A figure as files: a picture for wide screens, one for phones, and the numbers behind its marks.

A page shows a number where its mark is pointed at, by mouse or keys, and offers all of them as CSV. Curves are thinned,
and what is drawn row by row has no numbers here: no transaction can be read from a page.
"""

from __future__ import annotations

import io
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from IPython import get_ipython
from IPython.display import Image, display
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from fraud_utils.plots.style import PARTS
from fraud_utils.project import resolve

NARROW = 4.2  # inches: a phone's width at this resolution, with room for
LETTERS, NAME = 36, 22  # so many letters of a title, and of a name beside the axis
MOST = 40  # numbers that are kept of a curve
COLOURS = 64  # of a picture
WHOLE = 10_000  # places on a picture are given in such parts of its width and height


@dataclass(frozen=True)
class _Numbers:
    data: pd.DataFrame
    x: np.ndarray
    y: np.ndarray
    curve: bool


_KEPT: WeakKeyDictionary[Axes, list[_Numbers]] = WeakKeyDictionary()


def keep(ax: Axes, data: pd.DataFrame, x: Any, y: Any, curve: bool = False) -> None:
    """Keep what marks on an axis stand for: a row of `data` a mark, at `x` and `y` on the axis.

    Parameters
    ----------
    data : pandas.DataFrame
        Its columns are named as a reader should see them.
    curve : bool
        Whether the marks are a line of many points, of which `MOST` are enough.
    """
    _KEPT.setdefault(ax, []).append(_Numbers(data, np.asarray(x, float), np.asarray(y, float), curve))


def save(fig: Figure, run_folder: str | Path, name: str, part: str = "", fold: str = "") -> None:
    """Write a figure to `<run_folder>/figures/`, show it in a notebook, and close it.

    `<name>.png` is twice as fine as on the page and says in words what it shows; `<name>-narrow.png` has its panels one
    below the other; `<name>.json` has the numbers, where the figure keeps any.

    Parameters
    ----------
    run_folder : str or Path
        Relative to the project's root, or absolute; made when missing.
    part : str, optional
        Whose scores are shown, one of `PARTS`; stands above the figure in its colour.
    fold : str, optional
        What a page writes in the figure's place until somebody asks for it.
    """
    folder = resolve(run_folder) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    if part:
        fig.suptitle(part.upper(), x=0.01, ha="left", size=9, color="white",
                     bbox={"boxstyle": "round,pad=0.25", "facecolor": PARTS[part], "linewidth": 0})  # fmt: skip
    described = ". ".join(filter(None, (part.capitalize(), describe(fig))))
    size = [round(float(inches * 100)) for inches in fig.get_size_inches()]
    wide = _png(fig, described)
    chosen = [(panel, *each) for panel, ax in enumerate(fig.axes) for each in _shown(ax)]
    places = {"wide": _places(fig, chosen)}
    _make_narrow(fig)
    (folder / f"{name}.png").write_bytes(wide)
    (folder / f"{name}-narrow.png").write_bytes(_png(fig, described))
    if chosen:
        places["narrow"] = _places(fig, chosen)
        (folder / f"{name}.json").write_text(json.dumps(_table(fig, chosen) | places), encoding="utf-8")
    plt.close(fig)
    if get_ipython():
        about = {"figure": name, "fold": fold}
        display(Image(wide, width=size[0], height=size[1], metadata=about))


def describe(fig: Figure) -> str:
    """What the figure shows, for those who do not see it: of each panel its title, axes, classes and categories."""
    panels = []
    for ax in filter(_is_panel, fig.axes):
        titles = [ax.get_title(loc=side) for side in ("left", "center", "right")]
        axes = " against ".join(filter(None, (ax.get_ylabel(), ax.get_xlabel())))
        legend = ax.get_legend()
        shown = [text.get_text() for text in legend.get_texts()] if legend else []
        named = [text for label in ax.get_yticklabels() if _named(text := label.get_text())]
        parts = [*filter(None, titles), axes, f"for {', '.join(shown)}" if shown else ""]
        if named:  # categories are drawn from the bottom up, or from the top down on an inverted axis
            named = named if ax.yaxis_inverted() else named[::-1]
            parts.append(f"{len(named)} rows, from the top {', '.join(named[:3])}" + ", …" * (len(named) > 3))
        panels.append("; ".join(filter(None, parts)))
    return ". ".join(filter(None, panels))


def _png(fig: Figure, description: str) -> bytes:
    from PIL import PngImagePlugin

    written, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_itxt("Description", description)
    picture = in_few_colours(_drawn(fig), COLOURS)
    picture.save(written, "PNG", pnginfo=text)  # a seventh smaller at most, in six times the time
    return written.getvalue()


def _drawn(fig: Figure) -> Any:
    """The figure as a picture of Pillow's, equal to what `savefig` writes.

    That draws twice, once without a picture for the layout's sake, and takes a third more time; drawing lays out, too.
    """
    from PIL import Image as Pillow

    fig.set_dpi(float(plt.rcParams["savefig.dpi"]))
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return Pillow.fromarray(np.asarray(canvas.buffer_rgba()))


def in_few_colours(picture: Any, colours: int) -> Any:
    """A picture of Pillow's with so many colours at most: the frequent ones, rare ones far from them, and white."""
    from PIL import Image as Pillow

    # Of the library's methods the one that keeps the palette's colours as they are; white it mixes with what is nearly.
    method, dither = Pillow.Quantize.FASTOCTREE, Pillow.Dither.NONE
    fewer = picture.convert("RGB").quantize(colours, method, dither=dither)
    fewer.putpalette([255 if value >= 252 else value for value in fewer.getpalette()])
    return fewer


def _shown(ax: Axes) -> list[tuple[_Numbers, np.ndarray]]:
    """The numbers of an axis, and which of them a page gets: those within it, of a curve some, evenly along it."""
    chosen = []
    for numbers in _KEPT.get(ax, []):
        places = ax.transAxes.inverted().transform(ax.transData.transform(np.column_stack([numbers.x, numbers.y])))
        inside = np.flatnonzero(np.isfinite(places).all(axis=1) & ((places > -0.01) & (places < 1.01)).all(axis=1))
        if numbers.curve and len(inside) > MOST:
            along = np.concatenate([[0], np.abs(np.diff(places[inside], axis=0)).sum(axis=1).cumsum()])
            inside = inside[np.unique(np.searchsorted(along, np.linspace(0, along[-1], MOST)).clip(max=len(along) - 1))]
        chosen.append((numbers, inside))
    return chosen


def _places(fig: Figure, chosen: list[tuple[int, _Numbers, np.ndarray]]) -> list[list[int]]:
    """Where each mark is on the picture, from its upper left corner."""
    places: list[np.ndarray] = []
    for panel, numbers, rows in chosen:
        drawn = fig.axes[panel].transData.transform(np.column_stack([numbers.x, numbers.y])[rows])
        left, up = (fig.transFigure.inverted().transform(drawn)).T
        places.extend(np.column_stack([left, 1 - up]))
    return (np.array(places) * WHOLE).round().astype(int).tolist()


def _table(fig: Figure, chosen: list[tuple[int, _Numbers, np.ndarray]]) -> dict[str, Any]:
    """The numbers of all panels as one table, and where in it each series begins."""
    tables, starts, rows = [], [], 0
    several = len({panel for panel, *_ in chosen}) > 1
    for panel, numbers, places in chosen:
        table = numbers.data.iloc[places]
        title = fig.axes[panel].get_title(loc="left")
        tables.append(table.assign(panel=title)[["panel", *table]] if several and title else table)
        starts.append(rows)
        rows += len(table)
    joined = pd.concat(tables, ignore_index=True).astype(object)
    joined = joined.where(joined.notna(), None)
    cells = [[float(f"{cell:.5g}") if isinstance(cell, float) else cell for cell in row] for row in joined.to_numpy()]
    return {"columns": list(joined), "rows": json.loads(json.dumps(cells, default=_plain)), "starts": starts}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


def _make_narrow(fig: Figure) -> None:
    """Lay the figure out again for a phone: one panel below the other, of many small ones two beside each other."""
    panels = list(dict.fromkeys(spec for ax in fig.axes if (spec := ax.get_subplotspec())))
    across = 2 if len(panels) > 5 else 1
    height = float(fig.get_size_inches()[1])
    if len(panels) > 1:
        down = -(-len(panels) // across)
        grid = GridSpec(down, across, figure=fig)
        for ax in fig.axes:
            if spec := ax.get_subplotspec():  # colour bars have none
                ax.set_subplotspec(grid[panels.index(spec)])
        height = down * min(height / (1 + max(spec.rowspan.stop - 1 for spec in panels)), NARROW)
    if len(fig.get_suptitle()) > LETTERS:
        fig.suptitle(textwrap.fill(fig.get_suptitle(), LETTERS))
    for ax in filter(_is_panel, fig.axes):
        names = ax.yaxis.get_major_formatter().format_ticks(list(ax.get_yticks()))
        named = any(map(_named, names))
        letters = int(LETTERS / (2 if across > 1 else 1.3 if named else 1))
        ax.set_title(textwrap.fill(ax.get_title(loc="left"), letters), loc="left")
        ax.set_xlabel(textwrap.fill(ax.get_xlabel(), letters))
        ax.tick_params(axis="x", labelsize=9)
        if named:  # a panel that shares its neighbour's names shows them here
            ax.set_yticks(ax.get_yticks(), [textwrap.fill(name, NAME) for name in names])
            ax.tick_params(axis="y", labelleft=True, labelsize=8)
            height *= 1.1
    fig.set_size_inches(NARROW, height)


def _is_panel(ax: Axes) -> bool:
    return ax.get_label() != "<colorbar>"


def _named(label: str) -> bool:
    return bool(re.search("[A-Za-z]", label))
