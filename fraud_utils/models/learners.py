"""The candidates: a learner times a way to treat imbalance, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone

from fraud_utils.artifact import FeatureMap

# Native names, since the container hands them to XGBoost as they are. max_delta_step keeps the first trees from
# overshooting where hessians are tiny: without it XGBoost collapses at 0.2 % fraud. Shallow trees and light leaves,
# since frauds are few: out of fold, before the test set of the reference data, depth 4 and a weight of 0.1 reach .872
# where depth 5 and 1 reach .869. 270 rounds at 0.09 come within .001 of 400 at 0.06 in three quarters of the time.
XGBOOST: dict[str, float | int] = {
    "num_round": 270,
    "eta": 0.09,
    "max_depth": 4,
    "min_child_weight": 0.1,
    "max_delta_step": 1,
    "lambda": 10,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
}
# What `xgboost.train` does when nobody tells it otherwise: the lesson that stands in the table once.
LIBRARY_DEFAULTS = {
    "num_round": 100,
    "eta": 0.3,
    "max_depth": 6,
    "min_child_weight": 1,
    "max_delta_step": 0,
    "lambda": 1,
    "subsample": 1,
    "colsample_bytree": 1,
}
IMBALANCES = ("none", "class weight", "undersample 1:N", "SMOTE", "SMOTE 1:N", "Borderline-SMOTE 1:N")
BASELINES = ("dummy", "amount rule")
UNSUPERVISED = ("isolation forest", "PCA reconstruction", "robust covariance", "autoencoder")
_WEIGHTED = ("logistic regression", "random forest", "extra trees", "xgboost", "histogram gradient boosting")
_DRAW_INSIDE = ("balanced random forest", "bagged xgboost")  # each member draws its own legitimate rows


@dataclass(frozen=True)
class Candidate:
    """One learner with one treatment of the imbalance.

    Attributes
    ----------
    learner : str
        One that `build` knows, `average` (of other candidates' scores), or any name when `estimator` is given.
    imbalance : str
        `none`, `class weight`, `undersample 1:N` (N legitimate rows kept for a fraud), `SMOTE` (as many frauds as
        legitimate rows), `SMOTE 1:N` or `Borderline-SMOTE 1:N`.
    hyperparameters : dict
        Of the learner, in its library's own names (XGBoost's native ones); `members`, names of candidates, of an
        average.
    note : str
        Tells apart candidates that are otherwise called the same.
    estimator : scikit-learn estimator, optional
        Somebody's own learner, unfitted, with `predict_proba` or, where it needs no labels, `score_samples`.
    """

    learner: str
    imbalance: str = "none"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    estimator: Any = None

    @property
    def name(self) -> str:
        """How tables and plots call it."""
        if self.learner == "average":
            *most, last = self.hyperparameters["members"]
            return f"average of {', '.join(most)} and {last}"
        treated = "" if self.imbalance == "none" else f" + {self.imbalance}"
        return f"{self.learner}{treated}" + (f" ({self.note})" if self.note else "")

    @property
    def kind(self) -> str:
        """`baseline`, `supervised` or `unsupervised`."""
        if self.learner in BASELINES:
            return "baseline"
        own = self.estimator is not None and not hasattr(self.estimator, "predict_proba")
        return "unsupervised" if own or self.learner in UNSUPERVISED else "supervised"


def candidates(profile: str = "full", complete: bool = True, features: FeatureMap | None = None) -> list[Candidate]:
    """List what notebook 02 compares.

    Left out, since they cost much and teach nothing here: SMOTE at full ratio for the forests (twice the rows of
    their dearest fit; XGBoost shows what it does), cleaning by ENN or Tomek links and LOF (they search the neighbours
    of all rows by brute force), EasyEnsemble (the bag over under-samples does the same with stronger members).

    Parameters
    ----------
    profile : {"full", "quick"}
        `quick` has fewer candidates with fewer and smaller trees.
    complete : bool
        Whether the table has no missing values. SMOTE interpolates between rows and cannot do without, so its
        candidates are left out otherwise.
    features : FeatureMap, optional
        Says where the matrix holds the amount; without it there is no amount rule.
    """
    if profile not in ("full", "quick"):
        raise ValueError(f"profile is {profile!r}; it must be 'full' or 'quick'")
    quick = profile == "quick"
    forest = {"n_estimators": 20 if quick else 40, "max_samples": 0.1 if quick else 0.15, "min_samples_leaf": 2}
    boosted = XGBOOST | ({"num_round": 100, "eta": 0.2} if quick else {})
    treatments = {
        "logistic regression": ("class weight", "undersample 1:1", "undersample 1:10", "undersample 1:50", "SMOTE"),
        "random forest": ("class weight", "undersample 1:1", "undersample 1:10", "undersample 1:50"),
        "xgboost": ("class weight", "undersample 1:1", "undersample 1:10", "undersample 1:50", "SMOTE"),
    }
    listed = [Candidate("dummy")]
    if features and features.amount:
        listed.append(Candidate("amount rule", hyperparameters={"column": len(features.numeric)}))
    for learner, settings in (("logistic regression", {}), ("random forest", forest), ("xgboost", boosted)):
        chosen = ("undersample 1:10",) if quick else treatments[learner]
        listed += [Candidate(learner, how, settings) for how in ("none", *chosen, "SMOTE 1:10")]
    listed += [
        Candidate(
            "histogram gradient boosting", hyperparameters={"max_iter": 80, "learning_rate": 0.12} if quick else {}
        ),
        Candidate("neural network", hyperparameters={"n_estimators": 1 if quick else 2}),
        Candidate("isolation forest"),
        Candidate("PCA reconstruction"),
    ]
    if quick:
        members = ["xgboost", "neural network"]
    else:
        members = ["xgboost", "extra trees", "neural network"]
        listed += [
            Candidate("extra trees", hyperparameters=forest | {"max_samples": None}),
            Candidate("xgboost", "Borderline-SMOTE 1:10", boosted),
            Candidate("xgboost defaults", hyperparameters=LIBRARY_DEFAULTS),
            Candidate("bagged xgboost", "undersample 1:10", boosted),
            Candidate("balanced random forest", "undersample 1:1"),
            Candidate("xgboost on anomaly scores", hyperparameters=boosted),
            Candidate("robust covariance"),
            Candidate("autoencoder"),
        ]
    listed.append(Candidate("average", hyperparameters={"members": members}))
    return [c for c in listed if complete or "SMOTE" not in c.imbalance]


def treated_counts(imbalance: str, y: np.ndarray) -> tuple[int, int]:
    """Weight of the (legitimate, fraud) rows after the treatment; never less balanced than before."""
    legitimate, frauds = int((y == 0).sum()), int((y == 1).sum())
    if imbalance == "none":
        return legitimate, frauds
    if imbalance in ("class weight", "SMOTE"):
        return legitimate, max(legitimate, frauds)
    parts = re.fullmatch(r"(undersample|SMOTE|Borderline-SMOTE) 1:(\d+)", imbalance)
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
    if "SMOTE" in imbalance:
        from imblearn.over_sampling import SMOTE, BorderlineSMOTE

        kind = BorderlineSMOTE if imbalance.startswith("Borderline") else SMOTE
        return kind(sampling_strategy=lambda y: {1: treated_counts(imbalance, y)[1]}, random_state=seed)
    return None


def _resample(X: np.ndarray, y: np.ndarray, imbalance: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows as `sampler` leaves them."""
    resampler = sampler(imbalance, seed)
    if resampler is None:
        return X, y
    if not imbalance.startswith("SMOTE"):
        return resampler.fit_resample(X, y)
    # SMOTE looks at frauds only, but holds copies of all that it is given while it draws: so it gets no more.
    given = np.concatenate([np.flatnonzero(y == 1), np.flatnonzero(y == 0)[:1]])
    resampler.set_params(sampling_strategy={1: treated_counts(imbalance, y)[1]})
    new, labels = (rows[len(given) :] for rows in resampler.fit_resample(X[given], y[given]))
    return np.vstack([X, new]), np.concatenate([y, labels])


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

    weight = positive_weight(imbalance, y)
    X, y = _resample(X, y, imbalance, seed)
    settings = {**XGBOOST, **(hyperparameters or {})}
    rounds = int(settings.pop("num_round"))
    settings |= {"objective": "binary:logistic", "tree_method": "hist", "seed": seed, "nthread": nthread}
    settings["seed_per_iteration"] = True  # a job that resumes from a checkpoint then draws what it would have drawn
    if weight != 1:
        settings["scale_pos_weight"] = weight
    rows = xgboost.QuantileDMatrix(X, y, nthread=nthread, max_bin=settings.get("max_bin"))  # must be the booster's
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
        with np.errstate(over="ignore"):  # exp of a huge number is infinite, and the probability 0
            fraud = 1 / (1 + np.exp(-margin))  # not float32: prior correction would magnify its rounding near 1
        return np.column_stack([1 - fraud, fraud])

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Labels at one half, which scikit-learn's ensembles ask for."""
        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)


class Reconstruction(BaseEstimator):
    """Anomalies are rows that an estimator, fitted to give rows back, gives back badly.

    Parameters
    ----------
    estimator : scikit-learn estimator
        A decomposition with `inverse_transform`, or a regressor that is fitted from the rows to the rows.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: np.ndarray, y: Any = None) -> Reconstruction:
        """Fit on rows; labels are not looked at."""
        self.estimator_ = clone(self.estimator).fit(X, X if hasattr(self.estimator, "predict") else None)
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        """Minus the mean squared error of each row, so that higher is more normal, as in scikit-learn."""
        inner = self.estimator_
        back = inner.predict(X) if hasattr(inner, "predict") else inner.inverse_transform(inner.transform(X))
        return -np.square(X - back).mean(axis=1)


class AnomalyScores(TransformerMixin, BaseEstimator):
    """Adds the scores of detectors, fitted without labels, to the columns."""

    def __init__(self, detectors: Sequence[Any]) -> None:
        self.detectors = detectors

    def fit(self, X: np.ndarray, y: Any = None) -> AnomalyScores:
        """Fit each detector on rows; labels are not looked at."""
        self.detectors_ = [clone(detector).fit(X) for detector in self.detectors]
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Columns, then a score a detector; float32."""
        return np.column_stack([X, *(detector.score_samples(X) for detector in self.detectors_)]).astype(np.float32)


def _some_rows(X: np.ndarray, y: np.ndarray, seed: int, most: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(seed).choice(len(X), min(most, len(X)), replace=False)
    return X[rows], y[rows]


def build(candidate: Candidate, seed: int = 7) -> Any:
    """Make the candidate's pipeline, unfitted; its sampler acts while fitting only.

    One thread each: `fits` runs several at a time.

    Returns
    -------
    imblearn.pipeline.Pipeline
        With `fit(X, y)` and `predict_proba(X)`, or `score_samples(X)` (higher is more normal) of a learner that
        needs no labels.
    """
    from imblearn.pipeline import Pipeline

    if candidate.imbalance != "none" and candidate.kind == "unsupervised":
        raise ValueError(f"{candidate.name}: treating the imbalance needs labels, which this learner must not see")
    if candidate.imbalance == "class weight" and candidate.estimator is None and candidate.learner not in _WEIGHTED:
        raise ValueError(f"{candidate.name}: this learner takes no class weights; of ours {', '.join(_WEIGHTED)} do")
    steps, model = _learner(candidate, seed)
    resampler = None if candidate.learner in _DRAW_INSIDE else sampler(candidate.imbalance, seed)
    return Pipeline([*steps, *([("resample", resampler)] if resampler is not None else []), ("model", model)])


def _learner(candidate: Candidate, seed: int) -> tuple[list[tuple[str, Any]], Any]:
    """What comes before the sampler, and the learner."""
    from sklearn import ensemble
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    settings = dict(candidate.hyperparameters)
    weights = "balanced" if candidate.imbalance == "class weight" else None
    impute = ("impute", SimpleImputer(strategy="median"))
    scaled = [impute, ("scale", StandardScaler())]
    match candidate.learner:
        case _ if candidate.estimator is not None:
            model = clone(candidate.estimator).set_params(**settings)
            own: dict[str, Any] = {key: seed for key in model.get_params() if key.split("__")[-1] == "random_state"}
            if weights:  # one that cannot take them says so itself
                own |= {
                    next((key for key in model.get_params() if key.endswith("class_weight")), "class_weight"): weights
                }
            return [], model.set_params(**own)
        case "dummy":
            from sklearn.dummy import DummyClassifier

            return [], DummyClassifier(strategy="prior")
        case "amount rule":
            from sklearn.compose import make_column_transformer
            from sklearn.tree import DecisionTreeClassifier

            bands = DecisionTreeClassifier(max_leaf_nodes=10, min_samples_leaf=0.005, random_state=seed)
            return [("amount", make_column_transformer((impute[1], [settings["column"]])))], bands
        case "logistic regression":
            from sklearn.linear_model import LogisticRegression

            return scaled, LogisticRegression(max_iter=1000, class_weight=weights, **settings)
        case "random forest":
            return [], ensemble.RandomForestClassifier(class_weight=weights, random_state=seed, n_jobs=1, **settings)
        case "extra trees":
            return [], ensemble.ExtraTreesClassifier(class_weight=weights, random_state=seed, n_jobs=1, **settings)
        case "balanced random forest":
            from imblearn.ensemble import BalancedRandomForestClassifier

            settings = {"n_estimators": 100, "sampling_strategy": "all", "replacement": True} | settings
            return [impute], BalancedRandomForestClassifier(bootstrap=False, random_state=seed, n_jobs=1, **settings)
        case "xgboost" | "xgboost defaults":
            return [], XGBoost(settings, "class weight" if weights else "none", seed)
        case "bagged xgboost":
            from imblearn.ensemble import BalancedBaggingClassifier

            draw = {"sampling_strategy": lambda y: {0: treated_counts(candidate.imbalance, y)[0]}, "bootstrap": False}
            return [], BalancedBaggingClassifier(XGBoost(settings), 10, random_state=seed, n_jobs=1, **draw)
        case "xgboost on anomaly scores":
            detectors = [build(Candidate(name), seed) for name in ("isolation forest", "PCA reconstruction")]
            return [impute, ("anomalies", AnomalyScores(detectors))], XGBoost(settings, seed=seed)
        case "histogram gradient boosting":
            # L2 and a fixed number of trees: with the library's own settings it collapses where frauds are rare.
            settings = {
                "learning_rate": 0.05,
                "max_iter": 200,
                "max_leaf_nodes": 15,
                "l2_regularization": 10,
            } | settings
            settings |= {"early_stopping": False, "class_weight": weights, "random_state": seed}
            return [], ensemble.HistGradientBoostingClassifier(**settings)
        case "neural network":
            from sklearn.neural_network import MLPClassifier

            # One network's average precision varies by .01 with its seed alone: several are averaged.
            one = MLPClassifier(hidden_layer_sizes=(64, 32), alpha=1e-3, batch_size=512, max_iter=15)
            return scaled, ensemble.BaggingClassifier(one, bootstrap=False, random_state=seed, **settings)
        case "isolation forest":
            return [impute], ensemble.IsolationForest(random_state=seed, **settings)
        case "PCA reconstruction":
            from sklearn.decomposition import PCA

            return scaled, Reconstruction(PCA(**{"n_components": 0.5, "random_state": seed} | settings))
        case "robust covariance":
            from imblearn import FunctionSampler
            from sklearn.covariance import EllipticEnvelope

            # On all rows of the reference set the search takes 44 s of CPU, and ranks no better than on a sample.
            few = FunctionSampler(func=_some_rows, kw_args={"seed": seed}, validate=False)
            return [*scaled, ("sample", few)], EllipticEnvelope(support_fraction=0.9, random_state=seed, **settings)
        case "autoencoder":
            from sklearn.neural_network import MLPRegressor

            narrow = MLPRegressor(
                hidden_layer_sizes=(16, 4, 16), max_iter=5, batch_size=512, random_state=seed, **settings
            )
            return scaled, Reconstruction(narrow)
    raise ValueError(f"unknown learner {candidate.learner!r}; give `estimator` to bring your own")
