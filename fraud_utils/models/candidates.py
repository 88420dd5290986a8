"""The candidates that notebook 02 compares: a learner times a treatment of the imbalance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fraud_utils.artifact import FeatureMap
from fraud_utils.models.boosting import LIBRARY_DEFAULTS, XGBOOST
from fraud_utils.models.treatments import Treatment

if TYPE_CHECKING:
    from fraud_utils.models.learners import Learner

AVERAGE = "average"


@dataclass(frozen=True)
class Candidate:
    """One learner with one treatment of the imbalance.

    Attributes
    ----------
    learner : str
        One of `LEARNERS`, `average` (of other candidates' scores), or any name when `estimator` is given.
    imbalance : str
        Name of a `Treatment`: `none`, `class weight`, `undersample 1:N` (N legitimate rows kept for a fraud),
        `SMOTE` (as many frauds as legitimate rows), `SMOTE 1:N` or `Borderline-SMOTE 1:N`.
    hyperparameters : dict
        Of the learner, in its library's own names (XGBoost's native ones); `members`, names of candidates, of an
        average.
    note : str
        Tells apart candidates that otherwise have the same name.
    estimator : scikit-learn estimator, optional
        A learner of your own, unfitted, with `predict_proba` or, where it needs no labels, `score_samples`.

    Raises
    ------
    ValueError
        There is no such learner or treatment.
    """

    learner: str
    imbalance: str = "none"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    estimator: Any = None

    def __post_init__(self) -> None:
        Treatment.parse(self.imbalance)
        if self.learner != AVERAGE:
            self._entry()

    def _entry(self) -> Learner:
        """What the table of learners has of it, or would have of the estimator that it brings."""
        from fraud_utils.models.learners import LEARNERS, brought  # a second, for which training has no use

        if self.estimator is not None:
            return brought(self.estimator)
        if self.learner not in LEARNERS:
            raise ValueError(f"unknown learner {self.learner!r}; use one of {', '.join(LEARNERS)}, or give `estimator`")
        return LEARNERS[self.learner]

    @property
    def name(self) -> str:
        """What tables and plots call it."""
        if self.members:
            *most, last = self.members
            return f"average of {', '.join(most)} and {last}"
        treated = "" if self.imbalance == "none" else f" + {self.imbalance}"
        return f"{self.learner}{treated}" + (f" ({self.note})" if self.note else "")

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the candidates that it averages, () for every other."""
        return tuple(self.hyperparameters["members"]) if self.learner == AVERAGE else ()

    @property
    def treatment(self) -> Treatment:
        """What `imbalance` stands for."""
        return Treatment.parse(self.imbalance)

    @property
    def kind(self) -> str:
        """`baseline`, `supervised` or `unsupervised`."""
        return "supervised" if self.members else self._entry().kind

    @property
    def settings(self) -> dict[str, Any]:
        """Its hyperparameters, without places of columns, which whoever makes the matrix knows."""
        return {key: value for key, value in self.hyperparameters.items() if key != "categorical"}

    def cost(self, y: np.ndarray) -> float:
        """What a fit on rows with these labels costs, relative to other candidates' fits; an average costs nothing."""
        if self.members:
            return 0.0
        learner, size = self._entry(), self.hyperparameters
        same = learner.draws_inside or self.treatment.class_weight  # as many rows as before
        rows = len(y) if same else sum(self.treatment.counts(y))
        return learner.work * (rows + 0.05 * len(y)) * size.get("num_round", size.get("n_estimators", 1))

    def treated(self, imbalance: str) -> Candidate:
        """The same learner and settings with another treatment."""
        return dataclasses.replace(self, imbalance=imbalance)


def build(candidate: Candidate, seed: int = 7) -> Any:
    """Make the candidate's pipeline, unfitted; its sampler acts while fitting only.

    Returns
    -------
    imblearn.pipeline.Pipeline
        With `fit(X, y)` and `predict_proba(X)`, or `score_samples(X)` (higher is more normal) of a learner that
        needs no labels.

    Raises
    ------
    ValueError
        The learner cannot take the treatment.
    """
    from imblearn.pipeline import make_pipeline

    treatment, learner = candidate.treatment, candidate._entry()
    if learner.kind == "unsupervised" and treatment.method != "none":
        raise ValueError(f"{candidate.name}: treating the imbalance needs labels, which this learner must not see")
    if treatment.class_weight and not learner.class_weights:
        raise ValueError(f"{candidate.name}: this learner takes no class weights; choose another treatment")
    *before, model = learner.build(dict(candidate.hyperparameters), treatment, seed)
    resampler = None if learner.draws_inside else treatment.sampler(seed)
    return make_pipeline(*before, *([resampler] if resampler is not None else []), model)


def xgboost_by_hand(profile: str = "full", features: FeatureMap | None = None) -> Candidate:
    """XGBoost on untreated rows as it is set by hand; smaller in the quick profile.

    It parts columns of many categories by sets of them, where `features` says which these are.
    """
    settings: dict[str, Any] = XGBOOST | ({"num_round": 100, "eta": 0.2} if profile == "quick" else {})
    return Candidate("xgboost", hyperparameters=settings | _coded(features))


def _coded(features: FeatureMap | None) -> dict[str, Any]:
    return {"categorical": features.coded} if features and features.coded else {}


def candidates(
    profile: str = "full", complete: bool = True, features: FeatureMap | None = None, y: np.ndarray | None = None
) -> list[Candidate]:
    """List what notebook 02 compares.

    Left out, since they cost much and teach nothing here: SMOTE at full ratio for the forests (twice the rows of
    their most expensive fit; XGBoost shows what it does), cleaning by ENN or Tomek links and LOF (they search the
    neighbours of all rows by brute force), EasyEnsemble (bagging over under-samples does the same with stronger
    members).

    Parameters
    ----------
    profile : {"full", "quick"}
        `quick` has fewer candidates with fewer and smaller trees.
    complete : bool
        Whether the table has no missing values; otherwise treatments that cannot take them are left out.
    features : FeatureMap, optional
        Says where the matrix holds the amount, without which there is no amount rule, and codes of categories.
    y : numpy.ndarray, optional
        Labels of the training rows; treatments that change nothing there are left out.
    """
    obstacles = left_out(profile, complete, y)
    listed = [Candidate("dummy")]
    if features and features.amount:
        listed.append(Candidate("amount rule", hyperparameters={"column": len(features.numeric)}))
    return [c for c in [*listed, *_of(profile, features)] if c.imbalance not in obstacles]


def left_out(profile: str = "full", complete: bool = True, y: np.ndarray | None = None) -> dict[str, str]:
    """Treatments of the imbalance that `candidates` leaves out, and why."""
    some = np.arange(1000) == 0 if y is None else y  # so rare that every treatment changes something
    names = dict.fromkeys(candidate.imbalance for candidate in _of(profile))
    return {name: why for name in names if (why := Treatment.parse(name).obstacle(some, complete))}


def _of(profile: str, features: FeatureMap | None = None) -> list[Candidate]:
    if profile not in ("full", "quick"):
        raise ValueError(f"profile is {profile!r}; it must be 'full' or 'quick'")
    return _quick(features) if profile == "quick" else _full(features)


def _quick(features: FeatureMap | None) -> list[Candidate]:
    forest = {"n_estimators": 20, "max_samples": 0.1, "min_samples_leaf": 2}
    boosted = xgboost_by_hand("quick", features)
    main = [Candidate("logistic regression"), Candidate("random forest", "none", forest), boosted]
    return [
        *(each.treated(how) for each in main for how in ("none", "undersample 1:10", "SMOTE 1:10")),
        Candidate("histogram gradient boosting", hyperparameters={"max_iter": 80, "learning_rate": 0.12}),
        Candidate("neural network", hyperparameters={"n_estimators": 1}),
        Candidate("isolation forest"),
        Candidate("PCA reconstruction"),
        Candidate(AVERAGE, hyperparameters={"members": ["xgboost", "neural network"]}),
    ]


def _full(features: FeatureMap | None) -> list[Candidate]:
    common = ("none", "class weight", "undersample 1:1", "undersample 1:10", "undersample 1:50")
    forest = {"n_estimators": 40, "max_samples": 0.15, "min_samples_leaf": 2}
    boosted = xgboost_by_hand("full", features)
    return [
        *(Candidate("logistic regression", how) for how in (*common, "SMOTE", "SMOTE 1:10")),
        *(Candidate("random forest", how, forest) for how in (*common, "SMOTE 1:10")),
        *(boosted.treated(how) for how in (*common, "SMOTE", "SMOTE 1:10")),
        Candidate("histogram gradient boosting"),
        Candidate("neural network", hyperparameters={"n_estimators": 2}),
        Candidate("isolation forest"),
        Candidate("PCA reconstruction"),
        Candidate("extra trees", hyperparameters=forest | {"max_samples": None}),
        boosted.treated("Borderline-SMOTE 1:10"),
        Candidate("xgboost defaults", hyperparameters=LIBRARY_DEFAULTS),
        Candidate("bagged xgboost", "undersample 1:10", boosted.hyperparameters),
        Candidate("balanced random forest", "undersample 1:1"),
        Candidate("xgboost on anomaly scores", hyperparameters=boosted.hyperparameters),
        Candidate("robust covariance"),
        Candidate("autoencoder"),
        Candidate(AVERAGE, hyperparameters={"members": ["xgboost", "extra trees", "neural network"]}),
    ]
