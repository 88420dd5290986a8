"""Why the model says what it says, and where it is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.artifact import FeatureMap
from fraud_utils.evaluation.rows import Rows, Scores
from fraud_utils.intervals import exact, together
from fraud_utils.models import Candidate
from fraud_utils.record import Case, Kind, Reason

AMOUNT_EDGES = np.array([1, 10, 50, 100, 500])  # where a usual amount is about 30
MOST_PERIODS = 60
TOP_REASONS = 4  # columns that a case names


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


def cases(
    scores: Scores, candidate: Candidate, threshold: float, features: FeatureMap, frame: pd.DataFrame, most: int = 10
) -> tuple[Case, ...]:
    """Rows to look at: frauds that raise an alert, legitimate rows that do, and frauds that do not.

    The first are spread evenly from the highest score to the threshold; the second are those of the highest scores; the
    third those of the largest amounts or, without amounts, of the lowest scores. Each has the columns that moved its
    score most.

    Parameters
    ----------
    scores : Scores
        Of the rows of `frame`, by one fit of the candidate, which must be an XGBoost.
    features : FeatureMap
        What made the columns of the scored matrix from those of `frame`.
    """
    score, rows = scores.of(candidate), scores.rows
    falling, alert = np.argsort(-score, kind="stable"), score >= threshold
    missed = np.flatnonzero((rows.y == 1) & ~alert)
    order = score[missed] if rows.amount is None else -rows.amount[missed]
    right = falling[(alert & (rows.y == 1))[falling]]
    kinds: dict[Kind, np.ndarray] = {
        "right": right[np.unique(np.linspace(0, max(len(right) - 1, 0), min(most, len(right))).round().astype(int))],
        "wrong": falling[(alert & (rows.y == 0))[falling]][:most],
        "missed": missed[np.argsort(order, kind="stable")][:most],
    }
    return tuple(
        Case(kind, float(score[place]), reasons, *(_known(of, place) for of in (rows.amount, rows.time)))
        for kind, places in kinds.items()
        for place, reasons in zip(places, _reasons(scores, candidate, places, features, frame), strict=True)
    )


def _known(values: np.ndarray | None, place: int) -> float | None:
    return None if values is None else float(values[place])


def _reasons(
    scores: Scores, candidate: Candidate, places: np.ndarray, features: FeatureMap, frame: pd.DataFrame
) -> list[tuple[Reason, ...]]:
    """The columns of the table that moved each row's score most, all that was derived from a column together."""
    if not len(places):
        return []
    shares = contributions(scores, candidate, places).T.groupby(np.array(features.sources), sort=False).sum().T
    moved = []
    for at, (_, row) in zip(places, shares.iterrows(), strict=True):
        strongest = row.abs().sort_values(ascending=False, kind="stable").index[:TOP_REASONS]
        moved.append(tuple(Reason(name, float(row[name]), _value(frame[name].iloc[at])) for name in strongest))
    return moved


def _value(value: Any) -> float | str | None:
    return None if pd.isna(value) else value if isinstance(value, str) else float(value)


def readable_cases(cases: Sequence[Case]) -> pd.DataFrame:
    """The cases without what their rows hold: what each is, its score, and the columns that moved it, in log-odds."""
    table: dict[str, list[str]] = {"": [], "score": [], "moved by": []}
    for case in cases:
        table[""].append(case.meaning)
        table["score"].append(words.decimals(case.score, 4))
        moved = (f"{each.column} {words.decimals(each.contribution, 1, '+')}" for each in case.reasons)
        table["moved by"].append(", ".join(moved))
    return pd.DataFrame(table).set_index("")


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
    fraud = rows.y == 1
    flags = pd.DataFrame({"rows": rows.weight, "frauds": fraud, "alerts": alert * rows.weight, "caught": fraud & alert})
    flags["missed"] = np.where(fraud & ~alert, amount, 0.0)
    tables = []
    for kind, part in _parts(rows).items():
        grouped = flags.groupby([pd.Series(kind, flags.index, name="by"), part.rename("part")], observed=True)
        tables.append(grouped.sum().rename(index=str, level="part"))
    if not tables:
        return pd.DataFrame()
    table = pd.concat(tables)
    table["recall"] = table["caught"] / table["frauds"]
    table["low"], table["high"] = exact(table["caught"], table["frauds"])
    table["precision"] = table["caught"] / table["alerts"]
    table[["rows", "alerts"]] = table[["rows", "alerts"]].round().astype(int)
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
