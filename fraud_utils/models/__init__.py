"""What is compared: learners, treatments of the imbalance, and the candidates they make together."""

from fraud_utils.models.boosting import LIBRARY_DEFAULTS, XGBOOST, fit_xgboost, on_disk
from fraud_utils.models.candidates import Candidate, build, candidates, left_out, xgboost_by_hand
from fraud_utils.models.rounds import margins, stops
from fraud_utils.models.treatments import FORMS, Part, Treatment, kept_share

__all__ = [
    "FORMS",
    "LIBRARY_DEFAULTS",
    "XGBOOST",
    "Candidate",
    "Part",
    "Treatment",
    "build",
    "candidates",
    "fit_xgboost",
    "kept_share",
    "left_out",
    "margins",
    "on_disk",
    "stops",
    "xgboost_by_hand",
]
