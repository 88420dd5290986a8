"""Why the model says what it says, and where it is wrong."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.evaluation.rows import Rows, Scores
from fraud_utils.intervals import exact, together
from fraud_utils.models import Candidate

AMOUNT_EDGES = np.array([1, 10, 50, 100, 500])  # where a usual amount is about 30
MOST_PERIODS = 60


def contributions(scores: Scores, candidate: Candidate, places: np.ndarray) -> pd.DataFrame:
    """SHAP values of some rows: how far each column moved the log-odds from the average; exact for trees.

    Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees".

    Parameters
    ----------
    scores : Scores
        By one fit of the candidate, which must be an XGBoost.
    places : numpy.ndarray of int

    Returns
    -------
    pandas.DataFrame, shape (places, columns)
    """
    import xgboost

    model = xgboost.Booster()
    model.load_model(bytearray(scores.boosters[candidate.name]))
    shares = model.predict(xgboost.DMatrix(scores.rows.X[places]), pred_contribs=True)[:, :-1]
    return pd.DataFrame(shares.astype(np.float64), columns=list(scores.rows.names))


def strongest(scores: Scores, candidate: Candidate, places: np.ndarray, top: int = 10) -> pd.DataFrame:
    """The columns that move the score of some rows most, for `plots.plot_contributions`.

    Returns
    -------
    pandas.DataFrame
        Tidy: `column`, `contribution` and `level`, the value's rank within its column from 0 to 1; the columns by
        falling mean absolute contribution.
    """
    shares = contributions(scores, candidate, places)
    order = list(shares.abs().mean().sort_values(ascending=False).index[:top])
    level = pd.DataFrame(scores.rows.X[places], columns=shares.columns)[order].rank(pct=True)
    return pd.DataFrame(
        {
            "column": np.repeat(order, len(shares)),
            "contribution": shares[order].to_numpy().T.ravel(),
            "level": level.to_numpy().T.ravel(),
        }
    )


def describe_strongest(strongest: pd.DataFrame, top: int = 3) -> str:
    """Name the columns that move the score most."""
    moved = strongest["contribution"].abs().groupby(strongest["column"], sort=False).mean().head(top)
    listed = words.listed(f"{words.code(name)} ({words.decimals(mean, 2)})" for name, mean in moved.items())
    return f"The columns that move the log-odds most, on average of these rows: {listed}."


def in_words(shares: pd.Series, values: pd.Series, top: int = 3) -> str:
    """One row's strongest reasons, as `V14 = -6.1 (+2.3)`: the column, its value, the log-odds it added."""
    order = shares.abs().sort_values(ascending=False, kind="stable").index[:top]
    shown = {name: "missing" if np.isnan(values[name]) else f"= {values[name]:.3g}" for name in order}
    return ", ".join(f"{name} {value} ({shares[name]:+.1f})" for name, value in shown.items())


def worst(scores: Scores, candidate: Candidate, threshold: float, most: int = 5) -> dict[str, np.ndarray]:
    """Places of the errors that cost most: missed frauds by amount, false alarms by score; most expensive first.

    Without amounts missed frauds come by score, lowest first.
    """
    score, y, amount = scores.of(candidate), scores.rows.y, scores.rows.amount
    missed = np.flatnonzero((y == 1) & (score < threshold))
    false = np.flatnonzero((y == 0) & (score >= threshold))
    order = -amount[missed] if amount is not None else score[missed]
    return {
        "missed fraud": missed[np.argsort(order, kind="stable")][:most],
        "false alarm": false[np.argsort(-score[false], kind="stable")][:most],
    }


def errors(scores: Scores, candidate: Candidate, threshold: float, most: int = 5) -> pd.DataFrame:
    """The `worst` errors as a table: what kind, when, how much, the probability, the reasons."""
    places, rows = worst(scores, candidate, threshold, most), scores.rows
    chosen = np.concatenate(list(places.values()))
    shares = contributions(scores, candidate, chosen)
    values = pd.DataFrame(rows.X[chosen], columns=shares.columns)
    table: dict[str, Any] = {"error": np.repeat(list(places), [len(part) for part in places.values()])}
    if rows.time is not None:
        table["when"] = [words.moment(float(seconds), rows.origin) for seconds in rows.time[chosen]]
    if rows.amount is not None:
        table["amount"] = rows.amount[chosen]
    table["probability"] = scores.of(candidate)[chosen].round(4)
    table["reasons"] = [in_words(shares.iloc[i], values.iloc[i]) for i in range(len(chosen))]
    return pd.DataFrame(table)


def sample(y: np.ndarray, legitimate: int, seed: int = 7) -> np.ndarray:
    """Places of all frauds and of some legitimate rows, in order."""
    others = np.flatnonzero(y == 0)
    drawn = np.random.default_rng(seed).choice(others, min(legitimate, len(others)), replace=False)
    return np.sort(np.concatenate([np.flatnonzero(y == 1), drawn]))


def by_parts(rows: Rows, alert: np.ndarray) -> pd.DataFrame:
    """Recall and precision by amount band, period, and six hours of the day, with exact intervals of the recall.

    Periods are days, weeks or months, by how long and how full of frauds the table is. What is not known of the rows
    (amount, time) makes no parts.

    Parameters
    ----------
    alert : numpy.ndarray of bool, shape (rows,)
        Whether there was an alert.

    Returns
    -------
    pandas.DataFrame
        By kind of part and part: `rows`, `frauds`, `alerts`, `caught`, `missed` (amount of the frauds that got no
        alert), `recall` with `low` and `high`, `precision`. Empty without amounts and times.
    """
    amount = np.zeros(len(rows)) if rows.amount is None else rows.amount
    flags = pd.DataFrame({"fraud": rows.y == 1, "alert": alert, "caught": (rows.y == 1) & alert})
    flags["missed"] = np.where(flags["fraud"] & ~flags["alert"], amount, 0.0)
    tables = []
    for kind, part in _parts(rows).items():
        grouped = flags.groupby([pd.Series(kind, flags.index, name="by"), part.rename("part")], observed=True)
        table = grouped.agg(
            rows=("fraud", "size"),
            frauds=("fraud", "sum"),
            alerts=("alert", "sum"),
            caught=("caught", "sum"),
            missed=("missed", "sum"),
        )
        tables.append(table.rename(index=str, level="part"))
    if not tables:
        return pd.DataFrame()
    table = pd.concat(tables)
    table["recall"] = table["caught"] / table["frauds"]
    table["low"], table["high"] = exact(table["caught"], table["frauds"])
    table["precision"] = table["caught"] / table["alerts"]
    return table


def _parts(rows: Rows) -> dict[str, pd.Series]:
    """The part that each row belongs to, by kind of part."""
    parts = {}
    if rows.amount is not None:
        parts["amount"] = _bands(rows.amount)
    if rows.time is not None and rows.days:
        pace = words.pace(rows.y.sum() / rows.days, rows.days, MOST_PERIODS)
        period = pd.Series(rows.time // (86_400 * pace.days)).astype(int)
        begins = {one: 86_400 * pace.days * one for one in period.unique()}
        names = {one: words.moment(at, rows.origin)[:10] if rows.origin else one + 1 for one, at in begins.items()}
        parts[pace.unit] = period.map(names)
        first = pd.Series(rows.time // 21_600 % 4).astype(int) * 6
        if np.ptp(first):  # times may be whole days
            parts["hour"] = first.map(lambda hour: f"{hour:02d}-{hour + 6:02d}")
    return parts


def _bands(amount: np.ndarray) -> pd.Series:
    """Amounts in six bands whose edges have the size that amounts usually have in the table."""
    usual = np.median(amount[amount > 0]) if (amount > 0).any() else 1.0
    edges = AMOUNT_EDGES * 10.0 ** np.round(np.log10(usual / 30))
    inner = [f"{low:,g} to {high:,g}" for low, high in itertools.pairwise(edges)]
    names = [f"below {edges[0]:,g}", *inner, f"{edges[-1]:,g} and more"]
    return pd.cut(pd.Series(amount), [-np.inf, *edges, np.inf], right=False, labels=names)


def describe_parts(table: pd.DataFrame) -> str:
    """Say between which parts the recall differs by more than chance, however many parts were looked at."""
    if table.empty:
        return "The table has neither amounts nor times, so there are no parts of it to compare."
    table = table[table["frauds"] > 0]
    low, high = exact(table["caught"], table["frauds"], together(len(table)))
    table, differences = table.assign(low=low, high=high), []
    for kind, part in table.groupby(level="by", sort=False):
        best, worst = part["low"].idxmax(), part["high"].idxmin()
        if part.loc[best, "low"] > part.loc[worst, "high"]:
            more, less = (words.percent(part.loc[which, "recall"], 2) for which in (best, worst))
            differences.append(f"by {kind}, recall is higher at {best[1]} ({more}) than at {worst[1]} ({less})")
    hold = f"intervals that hold for all {len(table)} parts together"
    if not differences:
        return f"Recall does not differ between these parts by more than {hold} allow."
    return f"Beyond what {hold} allow, {'; '.join(differences)}."
