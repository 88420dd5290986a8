"""XGBoost as it is set by hand, and the one function that fits it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fraud_utils.models.treatments import Part, Treatment

# Native names, since the container hands them to XGBoost as they are. max_delta_step keeps the first trees from
# overshooting where hessians are tiny: without it XGBoost collapses at 0.2 % fraud. Shallow trees and light leaves,
# since frauds are few: out of fold, before the test set of the reference data, depth 4 and a weight of 0.1 reach .872
# where depth 5 and 1 reach .869. 270 rounds at 0.09 come within .001 of 400 at 0.06 in three quarters of the time.
# 1,024 bins, since the library's 256 hold 0.4 % of a column each and cannot see a rule within the last one: where the
# last 0.2 % of an amount are fraud they reach an average precision of .27, 1,024 .50, 4,096 .51. The reference data is
# ranked alike by 1,024 and 4,096 (.866 both, 256 .862), which take 1.6 times the seconds: the search tries them.
XGBOOST: dict[str, float | int] = {
    "num_round": 270,
    "eta": 0.09,
    "max_depth": 4,
    "min_child_weight": 0.1,
    "max_delta_step": 1,
    "lambda": 10,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "max_bin": 1024,
}
# What `xgboost.train` does unless it is set otherwise; the comparison shows once what that costs.
LIBRARY_DEFAULTS: dict[str, float | int] = {
    "num_round": 100,
    "eta": 0.3,
    "max_depth": 6,
    "min_child_weight": 1,
    "max_delta_step": 0,
    "lambda": 1,
    "subsample": 1,
    "colsample_bytree": 1,
    "max_bin": 256,
}


def on_disk(X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, cache: Path, nthread: int = 1) -> Any:
    """Rows on disk as a `DMatrix`, of which some are in memory at a time; `cache` is as `fit_xgboost`'s."""
    import xgboost

    from fraud_utils.models.pages import Pages

    return xgboost.DMatrix(Pages(X, y, weight, cache), nthread=nthread)


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
        Name of a `Treatment`; it touches these rows only.
    hyperparameters : mapping, optional
        XGBoost's native names and `num_round`; what is not given is `XGBOOST`'s. `categorical` holds the places of the
        columns that are codes of categories (`FeatureMap.coded`), for XGBoost to part by sets of them. Where SMOTE
        has made rows between codes, these are no categories: such a column is a number like others.
    **training
        Passed to `xgboost.train`: `evals`, `callbacks`, `early_stopping_rounds`, `xgb_model`. And `weight`, of shape
        (rows,), for a treatment that leaves the rows as they are; `part`, a `Part`, where other hosts have the other
        rows and XGBoost's communicator is set up; and `cache`, where `X` lies on disk: how the files begin in which
        XGBoost keeps its own form of the rows (external memory).

    Returns
    -------
    xgboost.Booster
        Its scores still carry the treatment's prior: see `Treatment.kept_share`.
    """
    import xgboost

    treatment = Treatment.parse(imbalance)
    part: Part | None = training.pop("part", None)
    weight = treatment.positive_weight(y if part is None else part.whole)
    X, y = treatment.resample(X, y, seed, part)
    settings = {**XGBOOST, **(hyperparameters or {})}
    rounds = int(settings.pop("num_round"))
    coded = settings.pop("categorical", ())
    coded = [place for place in coded if not np.mod(X[:, place], 1).any()]
    kinds = ["c" if place in coded else "q" for place in range(X.shape[1])] if coded else None
    settings |= {"objective": "binary:logistic", "tree_method": "hist", "seed": seed, "nthread": nthread}
    settings["seed_per_iteration"] = True  # a job that resumes from a checkpoint then draws what it would have drawn
    if weight != 1:
        settings["scale_pos_weight"] = weight
    given = {"nthread": nthread, "max_bin": settings["max_bin"], "enable_categorical": kinds is not None}
    rows_weight, cache = training.pop("weight", None), training.pop("cache", None)
    rows: xgboost.DMatrix
    if cache is None:
        rows = xgboost.QuantileDMatrix(X, y, weight=rows_weight, feature_types=kinds, **given)
    else:
        from fraud_utils.models.pages import QUANTILE, Pages

        rows = xgboost.ExtMemQuantileDMatrix(Pages(X, y, rows_weight, cache, QUANTILE, kinds), **given)
    return xgboost.train(settings, rows, num_boost_round=rounds, **training)
