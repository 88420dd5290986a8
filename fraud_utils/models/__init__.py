"""What is compared: learners, treatments of the imbalance, and the candidates they make together."""

from fraud_utils.models.learners import (
    BASELINES,
    IMBALANCES,
    LIBRARY_DEFAULTS,
    UNSUPERVISED,
    XGBOOST,
    AnomalyScores,
    Candidate,
    Reconstruction,
    XGBoost,
    build,
    candidates,
    fit_xgboost,
    kept_share,
    positive_weight,
    sampler,
    treated_counts,
)

__all__ = [
    "BASELINES",
    "IMBALANCES",
    "LIBRARY_DEFAULTS",
    "UNSUPERVISED",
    "XGBOOST",
    "AnomalyScores",
    "Candidate",
    "Reconstruction",
    "XGBoost",
    "build",
    "candidates",
    "fit_xgboost",
    "kept_share",
    "positive_weight",
    "sampler",
    "treated_counts",
]
