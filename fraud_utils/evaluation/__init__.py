"""How good candidates are: scores of rows they have not seen, metrics with intervals, decisions, and the choice."""

from fraud_utils.evaluation import (
    calibration,
    cards,
    compare,
    decisions,
    explain,
    explorer,
    fairness,
    feedback,
    findings,
    leakage,
    prequential,
    selection,
    tiers,
    tune,
)
from fraud_utils.evaluation.fits import announce
from fraud_utils.evaluation.metrics import average_precision
from fraud_utils.evaluation.resamples import bootstrap_average_precision, resampled_metrics
from fraud_utils.evaluation.rows import Protocol, Rows, Scores
from fraud_utils.evaluation.scores import fit_and_score, out_of_fold, random_splits

__all__ = [
    "Protocol",
    "Rows",
    "Scores",
    "announce",
    "average_precision",
    "bootstrap_average_precision",
    "calibration",
    "cards",
    "compare",
    "decisions",
    "explain",
    "explorer",
    "fairness",
    "feedback",
    "findings",
    "fit_and_score",
    "leakage",
    "out_of_fold",
    "prequential",
    "random_splits",
    "resampled_metrics",
    "selection",
    "tiers",
    "tune",
]
