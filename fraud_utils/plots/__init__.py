"""Figures as functions of tidy data and an axis, in one style, saved with the numbers that they show."""

from fraud_utils.plots.compared import (
    plot_contributions,
    plot_intervals,
    plot_precision_recall,
    plot_prequential,
    plot_reliability,
    plot_roc,
    plot_savings,
    plot_scores,
)
from fraud_utils.plots.explored import (
    plot_amounts,
    plot_correlations,
    plot_histograms,
    plot_projection,
    plot_rates,
    plot_stability,
    plot_volume,
)
from fraud_utils.plots.monitored import plot_columns, plot_pace, plot_weeks
from fraud_utils.plots.saved import in_few_colours, save
from fraud_utils.plots.style import PALETTE, PARTS, set_style

__all__ = [
    "PALETTE",
    "PARTS",
    "in_few_colours",
    "plot_amounts",
    "plot_columns",
    "plot_contributions",
    "plot_correlations",
    "plot_histograms",
    "plot_intervals",
    "plot_pace",
    "plot_precision_recall",
    "plot_prequential",
    "plot_projection",
    "plot_rates",
    "plot_reliability",
    "plot_roc",
    "plot_savings",
    "plot_scores",
    "plot_stability",
    "plot_volume",
    "plot_weeks",
    "save",
    "set_style",
]
