"""One style, and figures as functions of tidy data and an axis.

Colours are near Okabe and Ito's, moved a little so that on white, and as pages show them in the dark (page.css),
all stay apart for colour-blind readers and stand out from the paper; a test says by how much. Classes also differ by
marker or line, so that no figure needs its colours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
import pandas as pd
import seaborn as sns
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib_inline.backend_inline import set_matplotlib_formats

from fraud_utils.project import resolve
from fraud_utils.words import percent

BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072B2", "#D55E00", "#008973", "#C67CA7", "#5496E7", "#C08928"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
GREY = "#767676"
OF_CLASS = {"legitimate": BLUE, "fraud": ORANGE}
_LEVELS = LinearSegmentedColormap.from_list("levels", [BLUE, "#9A9A9A", ORANGE])  # both ends stand out from any paper
_MARKERS = "oDs^vP"
_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))


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
            "legend.frameon": False,
            "savefig.dpi": 200,
            "text.parse_math": False,  # a dollar sign in a column's name is no formula
        }
    )
    if get_ipython():
        set_matplotlib_formats("retina")


def save(fig: Figure, run_folder: str | Path, name: str) -> None:
    """Write a figure to `<run_folder>/figures/<name>.png`, twice as fine as on the page, with what it shows in words.

    Parameters
    ----------
    run_folder : str or Path
        Relative to the project's root, or absolute; made when missing.
    """
    folder = resolve(run_folder) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    fig.savefig(folder / f"{name}.png", metadata={"Software": None, "Description": describe(fig)})


def describe(fig: Figure) -> str:
    """What the figure shows, for those who do not see it: of each panel its title, axes, classes and categories."""
    panels = []
    for ax in fig.axes:
        if ax.get_label() == "<colorbar>":
            continue
        titles = [ax.get_title(loc=side) for side in ("left", "center", "right")]
        axes = " against ".join(filter(None, (ax.get_ylabel(), ax.get_xlabel())))
        legend = ax.get_legend()
        shown = [text.get_text() for text in legend.get_texts()] if legend else []
        named = [label.get_text() for label in ax.get_yticklabels() if re.search(r"[A-Za-z]", label.get_text())]
        parts = [*filter(None, titles), axes, f"for {', '.join(shown)}" if shown else ""]
        if named:  # categories are drawn from the bottom up, or from the top down on an inverted axis
            named = named if ax.yaxis_inverted() else named[::-1]
            parts.append(f"{len(named)} rows, from the top {', '.join(named[:3])}" + ", …" * (len(named) > 3))
        panels.append("; ".join(filter(None, parts)))
    return ". ".join(filter(None, panels))


def plot_intervals(data: pd.DataFrame, ax: Axes, reference: float | None = None, top: int = 40) -> Axes:
    """Dots with their intervals, ranked as the rows are: the first row on top.

    Parameters
    ----------
    data : pandas.DataFrame
        `value`, `low`, `high`, by name (the index, or a column `name`); with a column `group`, a colour and a marker
        for each of its values.
    reference : float, optional
        Where nothing is going on: no effect, the best model, the base rate.
    top : int
        Rows drawn; the axis says how many were left out.
    """
    data = data.set_index("name") if "name" in data else data
    shown = data.head(top)
    place = np.arange(len(shown))
    group = shown["group"] if "group" in shown else pd.Series("", index=shown.index)
    for i, key in enumerate(sorted(set(data["group"])) if "group" in data else [""]):
        chosen = (group == key).to_numpy()
        part, colour = shown[chosen], PALETTE[i % len(PALETTE)]
        ax.hlines(place[chosen], part["low"], part["high"], color=colour, linewidth=2)
        marker = _MARKERS[i % len(_MARKERS)]
        ax.plot(part["value"], place[chosen], marker, color=colour, markersize=6, label=str(key))
    if reference is not None:
        ax.axvline(reference, color=GREY, linestyle="--", linewidth=1)
    ax.set_yticks(place, [str(name) for name in shown.index])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    if len(data) > top:
        ax.set_ylabel(f"first {top} of {len(data)}")
    if "group" in data:
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def plot_volume(data: pd.DataFrame, ax: Axes, cut: Any = None) -> Axes:
    """Rows and frauds along the table (`explore.volume`); the test part, from `cut` on its axis, is shaded."""
    hours = int(data["bin_hours"].iloc[0])
    unit = {1: "hour", 24: "day"}.get(hours, "week")
    start, label = _dated(data["start"], ax, "days from the beginning of the first day")
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
    if cut is not None:
        place = mdates.date2num(cut) if isinstance(cut, pd.Timestamp) else cut
        ax.axvspan(place, end, color=GREY, alpha=0.15, linewidth=0)
        ax.text(place, 0.98, " test part", transform=ax.get_xaxis_transform(), va="top", color="#404040")
    return ax


def _dated(when: Any, ax: Axes, label: str) -> tuple[np.ndarray, str]:
    """Places on an x axis, and its label; dates mark the axis themselves."""
    if not pd.api.types.is_datetime64_dtype(when):
        return np.asarray(when), label
    locator = mdates.AutoDateLocator(minticks=min(3, len(when)), maxticks=7)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    return np.asarray(mdates.date2num(when)), "time (UTC)" if label.startswith("days") else label


def plot_rates(data: pd.DataFrame, ax: Axes) -> Axes:
    """Fraud rates with intervals by the table's index, and the overall rate as a line (`explore.rate_by_hour`)."""
    seen = data[data["rows"] > 0]
    overall = seen["frauds"].sum() / seen["rows"].sum()
    if not isinstance(data.index, pd.DatetimeIndex):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins="auto", min_n_ticks=1))
    place, label = _dated(seen.index, ax, str(data.index.name))
    step = np.diff(place).min() if len(place) > 1 else 1
    ax.vlines(place, seen["low"], seen["high"], color=ORANGE, linewidth=2)
    ax.plot(place, seen["rate"], "o", color=ORANGE, markersize=6 if len(seen) <= 40 else 3, clip_on=False)
    ax.axhline(overall, color=GREY, linestyle="--", linewidth=1)
    ax.text(1.005, overall, "overall", transform=ax.get_yaxis_transform(), va="center", color=GREY)
    ax.yaxis.set_major_formatter(_in_percent())
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
        ax.step(x, y, where="post", color=OF_CLASS[str(kind)], linestyle=_LINES[i], linewidth=2, label=str(kind))
    ax.set_xscale("symlog", linthresh=linear, linscale=0.5)
    ax.set_xlim(left * 1.2 - 0.3 * linear, right * 1.5)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    ax.yaxis.set_major_formatter(_in_percent())
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
            ax.stairs(bins["share"], edges, color=colour, linestyle=_LINES[i], linewidth=1.6, label=str(kind))
        ax.set(title=str(name), xlim=(edges[0], edges[-1]), ylim=(0, None))
        ax.yaxis.set_major_formatter(_in_percent())
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
        ax.text(edge, 1.005, f"{band} ≥ {edge:g}", transform=ax.get_xaxis_transform(), ha=side, fontsize=9)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlim(7e-5, max(1.0, 1.3 * float(both.max(axis=None))))
    ax.set_yticks(place, [str(name) for name in shown.index])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("stability index between training and test part (log scale from 0.0001)")
    if len(data) > top:
        ax.set_ylabel(f"first {top} of {len(data)}")
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return ax


def plot_projection(data: pd.DataFrame, ax: Axes) -> Axes:
    """Two principal components, one marker a class (`explore.projection`)."""
    for i, (kind, colour) in enumerate(OF_CLASS.items()):
        part = data[data["kind"] == kind]
        ax.scatter(part["x"], part["y"], s=16, alpha=0.55, color=colour, marker=_MARKERS[i], linewidth=0, label=kind)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    shares = data.attrs.get("explained", [np.nan, np.nan])
    first, second = (percent(share, 2) for share in shares)
    ax.set(xlabel=f"first component ({first} of variance)", ylabel=f"second component ({second})")
    return ax


def plot_precision_recall(
    data: pd.DataFrame, ax: Axes, base_rate: float | None = None, at: Mapping[str, Any] | None = None
) -> Axes:
    """Precision over recall, a line for each `name`; columns `name`, `recall`, `precision`, each curve in its order.

    `at` is where the first curve's fixed threshold is, with intervals (`findings.rates`).
    """
    for i, (name, curve) in enumerate(data.groupby("name", sort=False)):
        (line,) = ax.plot(curve["recall"], curve["precision"], drawstyle="steps-post", linewidth=1.8, label=str(name))
        line.set(color=PALETTE[i % len(PALETTE)], linestyle=_LINES[i % len(_LINES)])
    if base_rate is not None:
        ax.axhline(base_rate, color=GREY, linestyle=":", linewidth=1.2, label=f"chance ({percent(base_rate, 2)})")
    if at and "precision_ci" in at:
        across, up = (np.abs(np.subtract(at[f"{name}_ci"], at[name]))[:, None] for name in ("recall", "precision"))
        label = f"{data['name'].iloc[0]}, fixed threshold (95 % intervals)"
        ax.errorbar(at["recall"], at["precision"], yerr=up, xerr=across, fmt="o", color=BLUE, zorder=3, label=label)
    ax.set(xlabel="recall (share of frauds caught)", ylabel="precision (share of alerts that are fraud)")
    ax.set(xlim=(0, 1.01), ylim=(0, 1.02))
    ax.legend(fontsize=9)
    return ax


def plot_reliability(data: pd.DataFrame, ax: Axes) -> Axes:
    """Predicted probabilities against observed shares of fraud, on log scales (`calibration.reliability`)."""
    smallest = data.loc[data["predicted"] > 0, "predicted"].min()
    for i, (name, part) in enumerate(data.groupby("name", sort=False)):
        colour, marker = PALETTE[i % len(PALETTE)], _MARKERS[i % len(_MARKERS)]
        ax.vlines(part["predicted"], part["low"].clip(lower=smallest / 10), part["high"], color=colour, alpha=0.5)
        ax.plot(
            part["predicted"], part["observed"], marker, linestyle=_LINES[i % len(_LINES)], color=colour, label=name
        )
    ax.plot([smallest, 1], [smallest, 1], color=GREY, linewidth=1, linestyle="--", label="perfect calibration")
    ax.set(xscale="log", yscale="log", xlabel="mean probability of the bin", ylabel="share of frauds in the bin")
    ax.set_ylim(smallest / 10, 1.5)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.legend(fontsize=9, loc="lower right")
    return ax


def plot_savings(data: pd.DataFrame, ax: Axes, currency: str) -> Axes:
    """Savings over the cost of a review with their intervals (`decisions.savings_curve`)."""
    for i, (name, part) in enumerate(data.groupby("name", sort=False)):
        colour = PALETTE[i % len(PALETTE)]
        ax.fill_between(part["review_cost"], part["low"], part["high"], color=colour, alpha=0.15, linewidth=0)
        ax.plot(part["review_cost"], part["value"], color=colour, linestyle=_LINES[i % len(_LINES)], label=name)
    ax.axhline(0, color=GREY, linewidth=1, linestyle="--")
    ax.set(xscale="log", xlabel=f"cost of a review in {currency} (log scale)", ylabel="share of avoidable cost saved")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_major_formatter(_in_percent())
    ax.set_ylim(max(-1, data["low"].min() - 0.05), 1)
    ax.legend(fontsize=9, loc="lower left")
    return ax


def plot_contributions(data: pd.DataFrame, ax: Axes) -> Axes:
    """SHAP values by column, a dot a row, coloured by the value's rank in its column (`explain.strongest`)."""
    names = list(dict.fromkeys(data["column"]))
    rng = np.random.default_rng(0)
    for place, name in enumerate(names):
        part = data[data["column"] == name]
        heights = place + rng.uniform(-0.3, 0.3, len(part))
        dots = ax.scatter(
            part["contribution"], heights, c=part["level"], cmap=_LEVELS, s=7, linewidth=0, vmin=0, vmax=1
        )
    ax.axvline(0, color=GREY, linewidth=1)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("contribution to the log-odds of fraud")
    bar = ax.figure.colorbar(dots, ax=ax, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["lowest", "median", "highest"])
    bar.set_label("value within its column")
    bar.outline.set_visible(False)
    return ax


def _in_percent() -> FuncFormatter:
    """Ticks in percent, with the digits that each of them needs."""
    return FuncFormatter(lambda share, _: percent(round(share, 9)))


def plot_prequential(data: pd.DataFrame, ax: Axes) -> Axes:
    """Average precision of each model in blocks of time, at their middles (`prequential.along_time`)."""
    for i, (name, part) in enumerate(data.groupby("name", sort=False)):
        place, label = _dated(part["when"], ax, "days of the time column")
        line, marker = _LINES[i % len(_LINES)], _MARKERS[i % len(_MARKERS)]
        ax.plot(place, part["value"], marker, linestyle=line, color=PALETTE[i % len(PALETTE)], label=str(name))
    ax.set(xlabel=label, ylabel="average precision in the block", ylim=(0, 1.02))
    ax.legend(fontsize=9)
    return ax
