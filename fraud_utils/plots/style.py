"""Colours, markers, lines, and the settings that all figures share.

Colours are near Okabe and Ito's, moved a little so that on white, and as pages show them in the dark (page.css),
all stay apart for colour-blind readers and stand out from the paper; a test says by how much. Classes also differ by
marker or line, so that no figure needs its colours.
"""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
import pandas as pd
import seaborn as sns
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from matplotlib_inline.backend_inline import set_matplotlib_formats

from fraud_utils.words import percent

BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072B2", "#D55E00", "#008973", "#C67CA7", "#5496E7", "#C08928"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
GREY = "#767676"
OF_CLASS = {"legitimate": BLUE, "fraud": ORANGE}
PARTS = {"out of fold": "#5B4A9E", "test set": "#8A5A00"}  # whose scores a figure shows; also in page.css
MARKERS = "oDs^vP"
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))


def set_style() -> None:
    """Set the project's style for all figures that follow; in a notebook they are drawn for screens of high density."""
    sns.set_theme(context="notebook", style="ticks", palette=list(PALETTE))
    mpl.rcParams.update(
        {
            "axes.grid": True,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlelocation": "left",
            "axes.titlesize": "medium",
            "axes.titleweight": "bold",
            "figure.constrained_layout.use": True,
            "figure.constrained_layout.w_pad": 0.1,
            "figure.dpi": 100,
            "figure.figsize": (9, 4.2),
            "figure.titlesize": "medium",
            "figure.titleweight": "bold",
            "font.size": 11,
            "grid.color": "#E4E4E4",
            "legend.edgecolor": "none",
            "legend.framealpha": 0.85,
            "legend.fontsize": 9,
            "savefig.dpi": 200,
            "text.parse_math": False,  # a dollar sign in a column's name is no formula
        }
    )
    if get_ipython():
        set_matplotlib_formats("retina")


def in_percent() -> FuncFormatter:
    """Ticks in percent, with the digits that each of them needs."""
    return FuncFormatter(lambda share, _: percent(round(share, 9)))


def plain() -> FuncFormatter:
    """Ticks of a log scale as they are spoken: 0.001, not a power."""
    return FuncFormatter(lambda value, _: f"{value:,.10g}")


def moments(when: Any) -> list[Any]:
    """Times as a reader is told them; numbers stay as they are."""
    return [f"{each:%Y-%m-%d %H:%M}" if isinstance(each, pd.Timestamp) else each for each in when]


def dated(when: Any, ax: Axes, label: str) -> tuple[np.ndarray, str]:
    """Places on an x axis, and its label; dates mark the axis themselves."""
    if not pd.api.types.is_datetime64_dtype(when):
        return np.asarray(when), label
    locator = mdates.AutoDateLocator(minticks=min(3, len(when)), maxticks=7)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    return np.asarray(mdates.date2num(when)), "time (UTC)" if label.startswith("days") else label
