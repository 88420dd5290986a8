"""Figures of models: how they compare, what their scores are worth, and what moves them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FixedLocator, NullLocator

from fraud_utils.plots.saved import keep
from fraud_utils.plots.style import (
    BLUE,
    GREY,
    LINES,
    MARKERS,
    OF_CLASS,
    ORANGE,
    PALETTE,
    dated,
    in_percent,
    moments,
    plain,
)
from fraud_utils.words import percent

_LEVELS = LinearSegmentedColormap.from_list("levels", [BLUE, "#9A9A9A", ORANGE])  # both ends stand out from any paper
LOG_BELOW = 0.05  # probabilities that reach so low are shown on a log scale


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
        marker = MARKERS[i % len(MARKERS)]
        ax.plot(part["value"], place[chosen], marker, color=colour, markersize=6, label=str(key))
    keep(ax, shown.rename_axis("name").reset_index(), shown["value"], place)
    if reference is not None:
        ax.axvline(reference, color=GREY, linestyle="--", linewidth=1)
    ax.set_yticks(place, [str(name) for name in shown.index])
    ax.set_ylim(len(shown) - (0.4 if "group" not in shown else -0.5), -0.6)
    ax.grid(axis="y", visible=False)
    if len(data) > top:
        ax.set_ylabel(f"first {top} of {len(data)}")
    if "group" in shown:
        ax.legend(loc="lower right", ncols=2)  # in a row of its own
    return ax


def plot_precision_recall(
    data: pd.DataFrame, ax: Axes, base_rate: float | None = None, at: Mapping[str, Any] | None = None
) -> Axes:
    """Precision over recall, a line for each `name`; columns `name`, `recall`, `precision`, each curve in its order.

    `at` is where the first curve's fixed threshold is, with intervals (`findings.rates`).
    """
    for i, (name, curve) in enumerate(data.groupby("name", sort=False)):
        (line,) = ax.plot(curve["recall"], curve["precision"], drawstyle="steps-post", linewidth=1.8, label=str(name))
        line.set(color=PALETTE[i % len(PALETTE)], linestyle=LINES[i % len(LINES)])
        keep(ax, curve[["name", "recall", "precision"]], curve["recall"], curve["precision"], curve=True)
    if base_rate is not None:
        ax.axhline(base_rate, color=GREY, linestyle=":", linewidth=1.2, label=f"chance ({percent(base_rate, 2)})")
    if at and "precision_ci" in at:
        across, up = (np.abs(np.subtract(at[f"{name}_ci"], at[name]))[:, None] for name in ("recall", "precision"))
        label = f"{data['name'].iloc[0]}, fixed threshold (95 % intervals)"
        ax.errorbar(at["recall"], at["precision"], yerr=up, xerr=across, fmt="o", color=BLUE, zorder=3, label=label)
    ax.set(xlabel="recall (share of frauds caught)", ylabel="precision (share of alerts that are fraud)")
    ax.set(xlim=(0, 1.01), ylim=(0, 1.02))
    ax.legend(loc="lower left")
    return ax


def plot_roc(data: pd.DataFrame, ax: Axes) -> Axes:
    """Recall over the share of legitimate rows that raise an alert, on a log scale (`compare.roc`).

    On a linear one all that matters, where fraud is rare, would lie on the axis.
    """
    least = data.loc[data["false_alarms"] > 0, "false_alarms"].min()
    for i, (name, curve) in enumerate(data.groupby("name", sort=False)):
        place = curve["false_alarms"].clip(lower=least / 2)
        colour, line = PALETTE[i % len(PALETTE)], LINES[i % len(LINES)]
        ax.plot(place, curve["recall"], drawstyle="steps-post", linewidth=1.8, color=colour, linestyle=line, label=name)
        keep(ax, curve[["name", "false_alarms", "recall"]], place, curve["recall"], curve=True)
    chance = np.geomspace(least / 2, 1)
    ax.plot(chance, chance, color=GREY, linestyle=":", linewidth=1.2, label="chance")
    ax.set(xscale="log", xlim=(least / 2, 1.05), ylim=(0, 1.02), ylabel="recall (share of frauds caught)")
    ax.set_xlabel("share of legitimate rows with an alert (log scale)")
    ax.xaxis.set_major_formatter(in_percent())
    return ax


def plot_scores(data: pd.DataFrame, ax: Axes, threshold: float | None = None) -> Axes:
    """Distribution of each class over the score, in log-odds so that small scores show (`compare.score_bins`)."""
    for i, (kind, bins) in enumerate(data.groupby("kind", sort=False)):
        edges, colour = np.append(bins["left"], bins["right"].iloc[-1]), OF_CLASS[str(kind)]
        ax.stairs(bins["share"], edges, fill=True, color=colour, alpha=0.25)
        ax.stairs(bins["share"], edges, color=colour, linestyle=LINES[i], linewidth=1.6, label=str(kind))
        keep(ax, bins[["kind", "left", "right", "share"]], np.sqrt(bins["left"] * bins["right"]), bins["share"])
    if threshold is not None:
        ax.axvline(threshold, color=GREY, linestyle="--", linewidth=1, label="fixed threshold")
    ax.set_xscale("logit")
    ticks = [1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(plain())
    ax.set(xlabel="score (log-odds scale)", ylabel="share of the class", ylim=(0, None))
    ax.set_xlim(edges[0], edges[-1])
    ax.yaxis.set_major_formatter(in_percent())
    ax.legend()
    return ax


def plot_reliability(data: pd.DataFrame, ax: Axes) -> Axes:
    """Predicted probabilities against observed shares of fraud (`calibration.reliability`).

    On log scales where probabilities are small, as they are where fraud is rare.
    """
    smallest = data.loc[data["predicted"] > 0, "predicted"].min()
    log = smallest < LOG_BELOW
    for i, (name, part) in enumerate(data.groupby("name", sort=False)):
        colour, marker, line = PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)], LINES[i % len(LINES)]
        low = part["low"].clip(lower=smallest / 10) if log else part["low"]
        ax.vlines(part["predicted"], low, part["high"], color=colour, alpha=0.5)
        ax.plot(part["predicted"], part["observed"], marker, linestyle=line, color=colour, label=name)
        keep(ax, part, part["predicted"], part["observed"])
    ends = [smallest if log else 0, 1]
    ax.plot(ends, ends, color=GREY, linewidth=1, linestyle="--", label="perfect calibration")
    scale = " (log scale)" if log else ""
    ax.set(xlabel=f"mean probability of the bin{scale}", ylabel=f"share of frauds in the bin{scale}")
    if log:
        ax.set(xscale="log", yscale="log", ylim=(smallest / 10, 1.5))
        ax.xaxis.set_major_formatter(plain())
        ax.yaxis.set_major_formatter(plain())
    ax.legend(loc="lower right")
    return ax


def plot_savings(data: pd.DataFrame, ax: Axes, currency: str) -> Axes:
    """Savings over the cost of a review with their intervals (`decisions.savings_curve`)."""
    for i, (name, part) in enumerate(data.groupby("name", sort=False)):
        colour = PALETTE[i % len(PALETTE)]
        ax.fill_between(part["review_cost"], part["low"], part["high"], color=colour, alpha=0.15, linewidth=0)
        ax.plot(part["review_cost"], part["value"], color=colour, linestyle=LINES[i % len(LINES)], label=name)
        keep(ax, part, part["review_cost"], part["value"], curve=True)
    ax.axhline(0, color=GREY, linewidth=1, linestyle="--")
    ax.set(xscale="log", xlabel=f"cost of a review in {currency} (log scale)", ylabel="share of avoidable cost saved")
    ax.xaxis.set_major_formatter(plain())
    ax.yaxis.set_major_formatter(in_percent())
    ax.set_ylim(max(-1, data["low"].min() - 0.05), 1)
    ax.legend()
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
        spread = part["contribution"].quantile([0.05, 0.25, 0.5, 0.75, 0.95]).rename_axis("quantile").reset_index()
        keep(ax, spread.assign(column=name), spread["contribution"], [place] * len(spread))  # a dot would be a row
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


def plot_prequential(data: pd.DataFrame, ax: Axes) -> Axes:
    """Average precision of each model in blocks of time, at their middles (`prequential.along_time`)."""
    for i, (name, part) in enumerate(data.groupby("name", sort=False)):
        place, label = dated(part["when"], ax, "days of the time column")
        line, marker = LINES[i % len(LINES)], MARKERS[i % len(MARKERS)]
        ax.plot(place, part["value"], marker, linestyle=line, color=PALETTE[i % len(PALETTE)], label=str(name))
        keep(ax, part.assign(when=moments(part["when"])), place, part["value"])
    ax.set(xlabel=label, ylabel="average precision in the block", ylim=(0, 1.02))
    ax.legend()
    return ax
