"""Figures of a table: what is in it, when, and what sets frauds apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fraud_utils.plots.saved import keep
from fraud_utils.plots.style import BLUE, GREY, LINES, MARKERS, OF_CLASS, ORANGE, dated, in_percent, moments, plain
from fraud_utils.words import percent


def plot_volume(data: pd.DataFrame, ax: Axes, cut: Any = None) -> Axes:
    """Rows and frauds along the table (`explore.volume`); the test part, from `cut` on its axis, is shaded."""
    hours = int(data["bin_hours"].iloc[0])
    unit = {1: "hour", 24: "day"}.get(hours, "week")
    start, label = dated(data["start"], ax, "days from the beginning of the first day")
    end = start[-1] + hours / 24
    edges = [*start, end]
    ax.stairs(data["rows"], edges, color=BLUE, fill=True, alpha=0.25)
    ax.stairs(data["rows"], edges, color=BLUE, linewidth=1.2)
    ax.set(xlabel=label, ylabel=f"rows per {unit}", ylim=(0, None))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.yaxis.label.set_color(BLUE)
    ax.set_xlim(edges[0], end)
    frauds = ax.twinx()
    frauds.plot(start + hours / 48, data["frauds"], ".-", color=ORANGE, linewidth=0.8, markersize=5)
    frauds.set(ylabel=f"frauds per {unit}", ylim=(0, 1.15 * max(data["frauds"].max(), 1)))
    frauds.yaxis.label.set_color(ORANGE)
    frauds.yaxis.set_major_locator(MaxNLocator(integer=True))
    frauds.spines["right"].set_visible(True)
    frauds.grid(visible=False)
    counts = data[["rows", "frauds"]].assign(start=moments(data["start"]))[["start", "rows", "frauds"]]
    keep(frauds, counts, start + hours / 48, data["frauds"])
    if cut is not None:
        place = mdates.date2num(cut) if isinstance(cut, pd.Timestamp) else cut
        ax.axvspan(place, end, color=GREY, alpha=0.15, linewidth=0)
        ax.text(place, 0.98, " test part", transform=ax.get_xaxis_transform(), va="top", color="#404040")
    return ax


def plot_rates(data: pd.DataFrame, ax: Axes) -> Axes:
    """Fraud rates with intervals by the table's index, and the overall rate as a line (`explore.rate_by_hour`)."""
    seen = data[data["rows"] > 0]
    overall = seen["frauds"].sum() / seen["rows"].sum()
    if not isinstance(data.index, pd.DatetimeIndex):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins="auto", min_n_ticks=1))
    place, label = dated(seen.index, ax, str(data.index.name))
    step = np.diff(place).min() if len(place) > 1 else 1
    ax.vlines(place, seen["low"], seen["high"], color=ORANGE, linewidth=2)
    ax.plot(place, seen["rate"], "o", color=ORANGE, markersize=6 if len(seen) <= 40 else 3, clip_on=False)
    numbers = seen.reset_index()
    keep(ax, numbers.assign(**{numbers.columns[0]: moments(seen.index)}), place, seen["rate"])
    ax.axhline(overall, color=GREY, linestyle="--", linewidth=1, label="overall")
    ax.legend(loc="upper right")
    ax.yaxis.set_major_formatter(in_percent())
    ax.set(xlabel=label, ylabel="fraud rate", ylim=(0, min(1.08 * seen["high"].max(), 1.02)))
    ax.set_xlim(place.min() - 0.7 * step, place.max() + 0.7 * step)
    return ax


def plot_amounts(data: pd.DataFrame, ax: Axes, currency: str) -> Axes:
    """Share of each class at or below an amount, on a log scale that has zero (`explore.amount_distribution`)."""
    positive = data.loc[data["amount"] > 0, "amount"]
    linear = 10 ** np.floor(np.log10(positive.quantile(0.02))) if len(positive) else 1.0
    left, right = min(data["amount"].min(), 0), max(data["amount"].max(), linear)
    for i, (kind, part) in enumerate(data.groupby("kind", sort=False)):
        x, y = [left * 1.2 - 0.3 * linear, *part["amount"], right * 1.5], [0, *part["share"], 1]
        rounded = [float(f"{amount:.2g}") for amount in part["amount"]]  # a single amount would be a transaction's own
        keep(ax, part[["kind", "share"]].assign(amount=rounded), part["amount"], part["share"], curve=True)
        ax.step(x, y, where="post", color=OF_CLASS[str(kind)], linestyle=LINES[i], linewidth=2, label=str(kind))
    ax.set_xscale("symlog", linthresh=linear, linscale=0.5)
    ax.set_xlim(left * 1.2 - 0.3 * linear, right * 1.5)
    ax.xaxis.set_major_formatter(plain())
    ax.yaxis.set_major_formatter(in_percent())
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set(xlabel=f"amount in {currency} (log scale, linear below {linear:,.10g})", ylabel="share at or below")
    ax.set_ylim(0, 1.02)
    ax.legend(loc="lower right")
    return ax


def plot_histograms(data: pd.DataFrame, axes: Iterable[Axes]) -> list[Axes]:
    """Distribution of each class over the values of a column, an axis a column (`explore.histograms`).

    Bins show the share of their class, so that rare frauds stand as high as legitimate transactions. Axes that no
    column is left for are removed; those drawn on are returned.
    """
    axes, by_name = list(axes), data.groupby("name", sort=False)
    for ax, (name, part) in zip(axes, by_name, strict=False):
        for i, (kind, bins) in enumerate(part.groupby("kind", sort=False)):
            edges, colour = [*bins["left"], bins["right"].iloc[-1]], OF_CLASS[str(kind)]
            ax.stairs(bins["share"], edges, fill=True, color=colour, alpha=0.25)
            ax.stairs(bins["share"], edges, color=colour, linestyle=LINES[i], linewidth=1.6, label=str(kind))
            keep(ax, bins[["kind", "left", "right", "share"]], (bins["left"] + bins["right"]) / 2, bins["share"])
        ax.set(title=str(name), xlim=(edges[0], edges[-1]), ylim=(0, None))
        ax.yaxis.set_major_formatter(in_percent())
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.yaxis.set_major_locator(MaxNLocator(4))
    for ax in axes[by_name.ngroups :]:
        ax.remove()
    axes[0].legend(fontsize=9)
    return axes[: by_name.ngroups]


def plot_correlations(data: pd.DataFrame, ax: Axes, value: str, top: int = 15) -> Axes:
    """Heat map of one column of `explore.correlations`: "legitimate", "fraud" or "difference".

    The first `top` columns are drawn, whose names can still be read beside two more panels. Differences run from -2 to
    2; those within chance are left grey, as are undefined coefficients.
    """
    names = [*dict.fromkeys([*data["first"], *data["second"]])][:top]
    data = data[data["first"].isin(names) & data["second"].isin(names)]
    if not names:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "fewer than two columns", ha="center", transform=ax.transAxes)
        return ax
    place = {name: i for i, name in enumerate(names)}
    matrix = np.full((len(names), len(names)), np.nan)
    rows, columns = data["first"].map(place), data["second"].map(place)
    shown = data[value]
    if value == "difference":
        shown = shown.where(data["differ"])
    matrix[rows, columns] = matrix[columns, rows] = shown
    limit = 2 if value == "difference" else 1
    colours = mpl.colormaps["PuOr_r"].with_extremes(bad="#E4E4E4")
    image = ax.imshow(matrix, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
    keep(ax, data.assign(**{value: shown})[["first", "second", value]], rows, columns)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.5, aspect=30, orientation="horizontal", ticks=[-limit, 0, limit])
    bar.outline.set_visible(False)
    ax.set_xticks(range(len(names)), names, rotation=90)
    ax.set_yticks(range(len(names)), names)
    ax.grid(visible=False)
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    return ax


def plot_stability(data: pd.DataFrame, ax: Axes, bands: Mapping[str, float], top: int = 40) -> Axes:
    """Stability index by column (`explore.stability`), with the edge at which each of the bands begins."""
    shown = data.head(top)
    place = np.arange(len(shown))
    both = shown[["psi", "psi_same_hours"]].clip(lower=1e-4)
    ax.hlines(place, both.min(axis=1), both.max(axis=1), color="#C8C8C8", linewidth=1.5)
    ax.plot(both["psi"], place, "o", color=BLUE, label="against the whole training part")
    if not shown["psi"].equals(shown["psi_same_hours"]):
        label = "against the same hours of the day"
        ax.plot(both["psi_same_hours"], place, "D", color=ORANGE, markerfacecolor="none", label=label)
    ax.plot(shown["chance"], place, "|", color=GREY, markersize=9, label="upper limit of chance")
    for i, (band, edge) in enumerate(bands.items()):
        ax.axvline(edge, color=GREY, linestyle="--", linewidth=1)
        side = "left" if i else "right"  # the first two are close together on a log scale
        ax.text(
            edge, 0.01, f" {band} ≥ {edge:g} ", transform=ax.get_xaxis_transform(), ha=side, rotation=90, fontsize=9
        )
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(plain())
    ax.set_xlim(7e-5, max(1.0, 1.3 * float(both.max(axis=None))))
    ax.set_yticks(place, [str(name) for name in shown.index])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("stability index between training and test part (log scale from 0.0001)")
    keep(ax, shown.rename_axis("column").reset_index(), both["psi"], place)
    if len(data) > top:
        ax.set_ylabel(f"first {top} of {len(data)}")
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return ax


def plot_projection(data: pd.DataFrame, ax: Axes) -> Axes:
    """Two principal components, one marker a class (`explore.projection`)."""
    for i, (kind, colour) in enumerate(OF_CLASS.items()):
        part = data[data["kind"] == kind]
        ax.scatter(part["x"], part["y"], s=16, alpha=0.55, color=colour, marker=MARKERS[i], linewidth=0, label=kind)
    ax.legend()
    shares = data.attrs.get("explained", [np.nan, np.nan])
    first, second = (percent(share, 2) for share in shares)
    ax.set(xlabel=f"first component ({first} of variance)", ylabel=f"second component ({second})")
    return ax
