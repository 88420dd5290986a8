"""The candidates: a learner times a way to treat imbalance, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

# Native names, since the container hands them to XGBoost as they are. max_delta_step keeps the first trees from
# overshooting where hessians are tiny: without it XGBoost collapses at 0.2 % fraud.
XGBOOST: dict[str, float | int] = {
    "num_round": 300,
    "eta": 0.05,
    "max_depth": 5,
    "min_child_weight": 1,
    "max_delta_step": 1,
    "lambda": 10,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
}
IMBALANCES = ("none", "class weight", "undersample 1:N", "SMOTE", "SMOTE 1:N")


@dataclass(frozen=True)
class Candidate:
    """One learner with one treatment of the imbalance.

    Attributes
    ----------
    learner : str
        `dummy`, `logistic regression`, `random forest` or `xgboost`.
    imbalance : str
        `none`, `class weight`, `undersample 1:N` (N legitimate rows kept for a fraud), `SMOTE` (as many frauds as
        legitimate rows) or `SMOTE 1:N`.
    hyperparameters : dict
        Of the learner, in its library's own names (XGBoost's native ones).
    """

    learner: str
    imbalance: str = "none"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How tables and plots call it."""
        return self.learner if self.imbalance == "none" else f"{self.learner} + {self.imbalance}"

    @property
    def kind(self) -> str:
        """`baseline` or `supervised`."""
        return "baseline" if self.learner == "dummy" else "supervised"


def candidates(profile: str = "full", complete: bool = True) -> list[Candidate]:
    """List what notebook 02 compares.

    Parameters
    ----------
    profile : {"full", "quick"}
        `quick` grows fewer and smaller trees.
    complete : bool
        Whether the table has no missing values. SMOTE interpolates between rows and cannot do without, so its
        candidates are left out otherwise.
    """
    if profile not in ("full", "quick"):
        raise ValueError(f"profile is {profile!r}; it must be 'full' or 'quick'")
    quick = profile == "quick"
    forest = {"n_estimators": 60, "max_samples": 0.1} if quick else {"n_estimators": 100, "max_samples": 0.25}
    settings: dict[str, dict[str, Any]] = {
        "logistic regression": {},
        "random forest": {"min_samples_leaf": 2, **forest},
        "xgboost": XGBOOST | ({"num_round": 150, "eta": 0.1} if quick else {}),
    }
    treatments = ["none", "undersample 1:10", *(["SMOTE 1:10"] if complete else [])]
    return [
        Candidate("dummy"),
        *(Candidate(name, how, setting) for name, setting in settings.items() for how in treatments),
    ]


def treated_counts(imbalance: str, y: np.ndarray) -> tuple[int, int]:
    """Weight of the (legitimate, fraud) rows after the treatment; never less balanced than before."""
    legitimate, frauds = int((y == 0).sum()), int((y == 1).sum())
    if imbalance == "none":
        return legitimate, frauds
    if imbalance in ("class weight", "SMOTE"):
        return legitimate, max(legitimate, frauds)
    parts = re.fullmatch(r"(undersample|SMOTE) 1:(\d+)", imbalance)
    if not parts or not int(parts[2]):
        raise ValueError(f"imbalance is {imbalance!r}; it must be one of {', '.join(IMBALANCES)} (N = 1, 2, ...)")
    each = int(parts[2])
    if parts[1] == "undersample":
        return min(legitimate, frauds * each), frauds
    return legitimate, max(frauds, legitimate // each)


def kept_share(imbalance: str, y: np.ndarray) -> float:
    """Prior odds of fraud before the treatment over those after it: the `b` of `artifact.prior_correction`.

    Under-sampling that keeps a share b of the legitimate rows gives b; weighting or multiplying the frauds by w acts
    like b = 1 / w (Dal Pozzolo et al. 2015).
    """
    legitimate, frauds = treated_counts(imbalance, y)
    return float((y == 1).sum() / frauds * (legitimate / (y == 0).sum()))


def positive_weight(imbalance: str, y: np.ndarray) -> float:
    """Weight of a fraud in the loss: 1 unless the treatment is `class weight`."""
    return float((y == 0).sum() / (y == 1).sum()) if imbalance == "class weight" else 1.0


def sampler(imbalance: str, seed: int) -> Any | None:
    """Resampler of the training rows from imbalanced-learn, or None where the treatment leaves the rows alone."""
    treated_counts(imbalance, np.array([0, 1]))
    if imbalance.startswith("undersample"):
        from imblearn.under_sampling import RandomUnderSampler

        return RandomUnderSampler(sampling_strategy=lambda y: {0: treated_counts(imbalance, y)[0]}, random_state=seed)
    if imbalance.startswith("SMOTE"):
        from imblearn.over_sampling import SMOTE

        return SMOTE(sampling_strategy=lambda y: {1: treated_counts(imbalance, y)[1]}, random_state=seed)
    return None


def fit_xgboost(
    X: np.ndarray,
    y: np.ndarray,
    imbalance: str = "none",
    hyperparameters: Mapping[str, Any] | None = None,
    seed: int = 7,
    nthread: int = 1,
    **training: Any,
) -> Any:
    """Fit XGBoost. Notebook 02 and the container both call this, so the same rows give the same trees.

    Parameters
    ----------
    X : numpy.ndarray of float32, shape (rows, columns)
        Missing values are NaN.
    y : numpy.ndarray, shape (rows,)
        1 for fraud, 0 for legitimate.
    imbalance : str
        Treatment, as in `Candidate`; it touches these rows only.
    hyperparameters : mapping, optional
        XGBoost's native names and `num_round`; what is not given is `XGBOOST`'s.
    **training
        Passed to `xgboost.train`: `evals`, `callbacks`, `early_stopping_rounds`, `xgb_model`.

    Returns
    -------
    xgboost.Booster
        Its scores still carry the treatment's prior: see `kept_share`.
    """
    import xgboost

    resampler = sampler(imbalance, seed)
    weight = positive_weight(imbalance, y)
    if resampler is not None:
        X, y = resampler.fit_resample(X, y)
    settings = {**XGBOOST, **(hyperparameters or {})}
    rounds = int(settings.pop("num_round"))
    settings |= {"objective": "binary:logistic", "tree_method": "hist", "seed": seed, "nthread": nthread}
    settings["seed_per_iteration"] = True  # a job that resumes from a checkpoint then draws what it would have drawn
    if weight != 1:
        settings["scale_pos_weight"] = weight
    rows = xgboost.QuantileDMatrix(X, y, nthread=nthread)
    return xgboost.train(settings, rows, num_boost_round=rounds, **training)


class XGBoost(ClassifierMixin, BaseEstimator):
    """`fit_xgboost` as a scikit-learn estimator, for pipelines that resample before it."""

    def __init__(
        self, hyperparameters: Mapping[str, Any] | None = None, imbalance: str = "none", seed: int = 7
    ) -> None:
        self.hyperparameters = hyperparameters
        self.imbalance = imbalance
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> XGBoost:
        """Fit on rows that a sampler has already treated."""
        self.classes_ = np.array([0, 1])
        self.booster_ = fit_xgboost(X, y, self.imbalance, self.hyperparameters, self.seed)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Scores of shape (rows, 2), legitimate then fraud."""
        margin = self.booster_.inplace_predict(X, predict_type="margin").astype(np.float64)
        fraud = 1 / (1 + np.exp(-margin))  # not float32: prior correction would magnify its rounding near 1
        return np.column_stack([1 - fraud, fraud])


def build(candidate: Candidate, seed: int = 7) -> Any:
    """Make the candidate's pipeline, unfitted; its sampler acts while fitting only.

    One thread each: `evaluate` fits several at a time.

    Returns
    -------
    imblearn.pipeline.Pipeline
        With `fit(X, y)` and `predict_proba(X)`.
    """
    from imblearn.pipeline import Pipeline
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    settings = dict(candidate.hyperparameters)
    weights = "balanced" if candidate.imbalance == "class weight" else None
    steps: list[tuple[str, Any]] = []
    model: Any
    if candidate.learner == "dummy":
        model = DummyClassifier(strategy="prior")
    elif candidate.learner == "logistic regression":
        steps = [("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())]
        model = LogisticRegression(max_iter=1000, class_weight=weights, **settings)
    elif candidate.learner == "random forest":
        model = RandomForestClassifier(class_weight=weights, random_state=seed, n_jobs=1, **settings)
    elif candidate.learner == "xgboost":
        model = XGBoost(settings, "class weight" if weights else "none", seed)
    else:
        raise ValueError(f"unknown learner {candidate.learner!r}")
    if (resampler := sampler(candidate.imbalance, seed)) is not None:
        steps.append(("resample", resampler))
    return Pipeline([*steps, ("model", model)])
