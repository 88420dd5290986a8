"""Figures of a monitored model: the pace of alerts, columns along time, performance week by week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fraud_utils.plots.saved import keep
from fraud_utils.plots.style import BLUE, GREY, ORANGE, in_percent, plain

FLOOR = 1e-3  # of a stability index in figures
TOP = 15  # columns whose names can be read
METRICS = {"precision": "precision", "recall": "recall", "average_precision": "average precision", "savings": "savings"}


def plot_pace(data: pd.DataFrame, ax: Axes, names: Sequence[str]) -> Axes:
    """Alerts of each day, the band within which chance keeps them, and what was promised (`Case.pace`).

    Parameters
    ----------
    names : sequence of str
        Of the days.
    """
    days = data[data["kind"] == "day"]
    place = np.arange(len(days))
    edges = np.append(place - 0.5, len(days) - 0.5)
    ax.stairs(days["high"], edges, baseline=days["low"], fill=True, color=BLUE, alpha=0.18, label="within chance")
    ax.step(edges, np.append(days["expected"], days["expected"].iloc[-1:]), where="post", color=GREY,
            linestyle="--", linewidth=1, label="promised")  # fmt: skip
    outside = days["outside"].to_numpy()
    ax.plot(place[~outside], days["alerts"][~outside], "o", color=BLUE, markersize=6, label="alerts of a day")
    if outside.any():
        ax.plot(place[outside], days["alerts"][outside], "D", color=ORANGE, markersize=7, label="outside the band")
    shown = days[["alerts", "expected", "low", "high"]].rename(columns={"expected": "promised"})
    keep(ax, shown.assign(day=names)[["day", *shown]], place, days["alerts"])
    ax.set(ylabel="alerts a day", ylim=(0, None), xlim=(-0.6, len(days) - 0.4))
    _name_days(ax, names)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)  # above, where no day is hidden
    return ax


def plot_columns(data: pd.DataFrame, ax: Axes, names: Sequence[str], bands: Mapping[str, float]) -> Axes:
    """Stability index of the 15 columns that moved most, day by day; a cross marks days that count as changed."""
    days = data[data["kind"] == "day"]
    order = days.groupby("column")["psi"].max().sort_values(ascending=False).index[:TOP]
    days = days[days["column"].isin(order)]
    index = days.pivot_table(index="column", columns="first", values="psi", dropna=False).loc[order]
    image = ax.imshow(
        index.clip(lower=FLOOR), cmap=mpl.colormaps["Blues"].with_extremes(bad="#E4E4E4"), aspect="auto",
        norm=LogNorm(0.01, max(2.0, float(np.nanmax(index)))), interpolation="nearest",
    )  # fmt: skip
    place, row = days["first"], order.get_indexer(days["column"])
    changed = days["changed"].to_numpy(bool)
    shown = pd.DataFrame({"column": days["column"], "day": [names[day] for day in place]})
    shown["stability index"], shown["changed"] = days["psi"], pd.Series("yes", days.index).where(changed)
    keep(ax, shown, place, row)
    ax.plot(place[changed], row[changed], "x", color=ORANGE, markersize=7, markeredgewidth=2)
    ax.set_yticks(range(len(order)), [str(name) for name in order])
    ax.grid(visible=False)
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    _name_days(ax, names)
    bar = ax.figure.colorbar(image, ax=ax, ticks=[0.01, *bands.values(), 1], aspect=30, pad=0.02)
    bar.ax.yaxis.set_major_formatter(plain())
    bar.ax.minorticks_off()
    bar.set_label("stability index (log scale)")
    bar.outline.set_visible(False)
    return ax


def plot_weeks(data: pd.DataFrame, axes: Sequence[Axes], names: Sequence[str]) -> None:
    """Metrics of judged weeks with 95 % intervals, and the promise as a line and a band (`Case.by_week`).

    Each metric has an axis; those that none is left for are removed.
    """
    weeks = data.iloc[1:]
    metrics = [name for name in METRICS if name in data]
    for ax, name in zip(axes, metrics, strict=False):
        place, bounds = np.arange(len(weeks)), weeks[[name, f"{name}_low", f"{name}_high"]]
        shown = bounds.set_axis(["value", "low", "high"], axis=1).assign(promised=data[name].iloc[0])
        keep(ax, shown.assign(week=names)[["week", *shown]], place, weeks[name])
        ax.vlines(place, weeks[f"{name}_low"], weeks[f"{name}_high"], color=BLUE, linewidth=2)
        ax.plot(place, weeks[name], "o", color=BLUE, markersize=6)
        ax.axhline(data[name].iloc[0], color=GREY, linestyle="--", linewidth=1)
        ax.axhspan(*data[[f"{name}_low", f"{name}_high"]].iloc[0].fillna(data[name].iloc[0]), color=GREY, alpha=0.15)
        ax.set_title(METRICS[name])
        ax.yaxis.set_major_formatter(in_percent())
        ax.set_ylim(min(0, float(np.nanmin([*weeks[f"{name}_low"], 0]))), 1.02)
        ax.set_xlim(-0.6, len(weeks) - 0.4)
        ax.set_xlabel("week from")
        _name_days(ax, names)
    for ax in axes[len(metrics) :]:
        ax.remove()


def _name_days(ax: Axes, names: Sequence[str]) -> None:
    """A few days by their names."""
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: names[int(value)] if value == int(value) and 0 <= value < len(names) else "")
    )
