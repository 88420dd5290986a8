"""How good candidates are: scores of rows they have not seen, metrics with intervals, decisions, and the choice."""

from fraud_utils.evaluation import (
    calibration,
    compare,
    decisions,
    explain,
    explorer,
    fairness,
    findings,
    leakage,
    selection,
    tiers,
    tune,
)
from fraud_utils.evaluation.fits import announce
from fraud_utils.evaluation.metrics import average_precision
from fraud_utils.evaluation.resamples import bootstrap_average_precision, resampled_metrics
from fraud_utils.evaluation.rows import Protocol, Rows, Scores
from fraud_utils.evaluation.scores import assign_folds, fit_and_score, forward_chaining, out_of_fold, random_splits

__all__ = [
    "Protocol",
    "Rows",
    "Scores",
    "announce",
    "assign_folds",
    "average_precision",
    "bootstrap_average_precision",
    "calibration",
    "compare",
    "decisions",
    "explain",
    "explorer",
    "fairness",
    "findings",
    "fit_and_score",
    "forward_chaining",
    "leakage",
    "out_of_fold",
    "random_splits",
    "resampled_metrics",
    "selection",
    "tiers",
    "tune",
]
