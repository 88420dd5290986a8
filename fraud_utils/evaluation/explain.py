"""Why the model says what it says, and where it is wrong."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils.data import Schema
from fraud_utils.evaluation.metrics import LEVEL

AMOUNT_EDGES = (-np.inf, 1, 10, 50, 100, 500, np.inf)


def contributions(booster: bytes, X: np.ndarray, names: tuple[str, ...]) -> pd.DataFrame:
    """SHAP values of each row: how far each column moved the log-odds from the average; exact for trees.

    Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees".

    Parameters
    ----------
    booster : bytes
        XGBoost's model in its own format.
    X : numpy.ndarray of float32, shape (rows, columns)

    Returns
    -------
    pandas.DataFrame, shape (rows, columns)
    """
    import xgboost

    model = xgboost.Booster()
    model.load_model(bytearray(booster))
    shares = model.predict(xgboost.DMatrix(X), pred_contribs=True)[:, :-1]
    return pd.DataFrame(shares.astype(np.float64), columns=list(names))


def strongest(shares: pd.DataFrame, X: np.ndarray, top: int = 10) -> pd.DataFrame:
    """The columns that move the score most, for `plots.plot_contributions`.

    Returns
    -------
    pandas.DataFrame
        Tidy: `column`, `contribution` and `level`, the value's rank within its column from 0 to 1; the columns by
        falling mean absolute contribution.
    """
    order = shares.abs().mean().sort_values(ascending=False).index[:top]
    level = pd.DataFrame(X, columns=shares.columns)[list(order)].rank(pct=True)
    return pd.DataFrame(
        {
            "column": np.repeat(list(order), len(shares)),
            "contribution": shares[list(order)].to_numpy().T.ravel(),
            "level": level.to_numpy().T.ravel(),
        }
    )


def in_words(shares: pd.Series, values: pd.Series, top: int = 3) -> str:
    """One row's strongest reasons, as `V14 = -6.1 (+2.3)`: the column, its value, the log-odds it added."""
    order = shares.abs().sort_values(ascending=False, kind="stable").index[:top]
    return ", ".join(f"{name} = {values[name]:.3g} ({shares[name]:+.1f})" for name in order)


def mistakes(
    y: np.ndarray, score: np.ndarray, threshold: float, amount: np.ndarray | None, most: int = 5
) -> dict[str, np.ndarray]:
    """Places of the errors that cost most: missed frauds by amount, false alarms by score; dearest first.

    Without amounts missed frauds come by score, lowest first.
    """
    missed = np.flatnonzero((y == 1) & (score < threshold))
    false = np.flatnonzero((y == 0) & (score >= threshold))
    worst = -amount[missed] if amount is not None else score[missed]
    return {
        "missed fraud": missed[np.argsort(worst, kind="stable")][:most],
        "false alarm": false[np.argsort(-score[false], kind="stable")][:most],
    }


def explained(
    places: dict[str, np.ndarray],
    frame: pd.DataFrame,
    schema: Schema,
    score: np.ndarray,
    shares: pd.DataFrame,
    X: np.ndarray,
) -> pd.DataFrame:
    """Errors as a table: what kind, when, how much, the probability, the reasons.

    Parameters
    ----------
    places : dict
        From `mistakes`.
    frame : pandas.DataFrame
        The rows that `score` and `X` are of.
    shares : pandas.DataFrame
        SHAP values of the rows in `places`, in their order.
    """
    chosen = np.concatenate(list(places.values()))
    rows = frame.iloc[chosen]
    values = pd.DataFrame(X[chosen], columns=shares.columns)
    table: dict[str, Any] = {"error": np.repeat(list(places), [len(part) for part in places.values()])}
    table["hour"] = (rows[schema.time].to_numpy() // 3600).astype(int)
    if schema.amount:
        table[schema.amount] = rows[schema.amount].to_numpy()
    table["probability"] = score[chosen].round(4)
    table["reasons"] = [in_words(shares.iloc[i], values.iloc[i]) for i in range(len(chosen))]
    return pd.DataFrame(table)


def sample(y: np.ndarray, legitimate: int, seed: int = 7) -> np.ndarray:
    """Places of all frauds and of some legitimate rows, in order."""
    others = np.flatnonzero(y == 0)
    drawn = np.random.default_rng(seed).choice(others, min(legitimate, len(others)), replace=False)
    return np.sort(np.concatenate([np.flatnonzero(y == 1), drawn]))


def by_parts(y: np.ndarray, alert: np.ndarray, frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Recall and precision by amount band, six hours of the day, and day, with exact intervals of the recall.

    Parameters
    ----------
    y, alert : numpy.ndarray, shape (rows,)
        Labels, and whether there was an alert.
    frame : pandas.DataFrame
        The same rows.

    Returns
    -------
    pandas.DataFrame
        By kind of part and part: `rows`, `frauds`, `alerts`, `caught`, `missed` (amount of the frauds that got no
        alert), `recall` with `low` and `high`, `precision`.
    """
    from scipy.stats import beta

    seconds = frame[schema.time].to_numpy()
    hour = (seconds // 21600 % 4).astype(int) * 6
    parts = {
        "day": pd.Series(seconds // 86400 + 1).astype(int),
        "hour": pd.Series(hour).map(lambda first: f"{first:02d}-{first + 6:02d}"),
    }
    amount = np.zeros(len(y))
    if schema.amount:
        amount = frame[schema.amount].to_numpy()
        edges = AMOUNT_EDGES[1:-1]
        bands = ["below 1", *(f"{low} to {high}" for low, high in itertools.pairwise(edges)), f"{edges[-1]} and more"]
        parts = {"amount": pd.cut(pd.Series(amount), AMOUNT_EDGES, right=False, labels=bands), **parts}
    flags = pd.DataFrame({"fraud": y == 1, "alert": alert, "caught": (y == 1) & alert})
    flags["missed"] = np.where(flags["fraud"] & ~flags["alert"], amount, 0.0)
    tables = []
    for kind, part in parts.items():
        grouped = flags.groupby([pd.Series(kind, flags.index, name="by"), part.rename("part")], observed=True)
        table = grouped.agg(
            rows=("fraud", "size"),
            frauds=("fraud", "sum"),
            alerts=("alert", "sum"),
            caught=("caught", "sum"),
            missed=("missed", "sum"),
        )
        tables.append(table.rename(index=str, level="part"))
    table = pd.concat(tables)
    frauds, caught = table["frauds"], table["caught"]
    with np.errstate(divide="ignore", invalid="ignore"):
        table["recall"] = caught / frauds
        table["low"] = np.where(caught > 0, beta.ppf((1 - LEVEL) / 2, caught, frauds - caught + 1), 0.0)
        table["high"] = np.where(caught < frauds, beta.ppf((1 + LEVEL) / 2, caught + 1, frauds - caught), 1.0)
        table["precision"] = caught / table["alerts"]
    return table


def describe_parts(table: pd.DataFrame) -> str:
    """Say between which parts the recall differs by more than their intervals."""
    told = []
    for kind, part in table[table["frauds"] > 0].groupby(level="by", sort=False):
        best, worst = part["recall"].idxmax(), part["recall"].idxmin()
        if part.loc[best, "low"] > part.loc[worst, "high"]:
            told.append(
                f"by {kind}, recall is higher at {best[1]} ({part.loc[best, 'recall']:.0%}) than at {worst[1]} "
                f"({part.loc[worst, 'recall']:.0%})"
            )
    if not told:
        return "Recall does not differ between these parts by more than their intervals allow."
    return f"Beyond what their intervals allow, {'; '.join(told)}."
