"""Whether errors fall on some groups of people more than on others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data import Schema, Split, share_of
from fraud_utils.intervals import exact, together
from fraud_utils.record import Group

FEW = 8  # distinct numbers up to which each is a group of its own
OTHERS, NOTHING = "other values", "no value"
MOST = 12  # texts with a group of their own, the most frequent ones


def compared(split: Split, schema: Schema, alert: np.ndarray) -> tuple[Group, ...]:
    """False alarms and recall on the test set for every group of every column of `schema.groups`.

    Numbers are cut into bands at the quartiles of the training rows.

    Parameters
    ----------
    alert : numpy.ndarray of bool, shape (test rows,)

    Returns
    -------
    tuple of Group
        Their intervals hold together, those of both rates; () where the schema names no groups.
    """
    fraud = split.test[schema.label].to_numpy() == 1
    counts = pd.DataFrame({"fraud": fraud, "caught": fraud & alert, "false": ~fraud & alert})
    tables = {}
    for column in schema.groups:
        part = _parts(split.train[column], split.test[column])
        grouped = counts.groupby(part.array, observed=True)
        tables[column] = grouped.sum().assign(rows=grouped.size()).loc[lambda table: table["rows"] > 0]
    level, share = together(2 * sum(map(len, tables.values()))), share_of(split.test)
    return tuple(
        _group(column, str(name), row, level, share)
        for column, table in tables.items()
        for name, row in table.iterrows()
    )


def _group(column: str, name: str, counts: pd.Series, level: float, share: float) -> Group:
    frauds, legitimate = int(counts["fraud"]), int(counts["rows"] - counts["fraud"])
    low, high = exact([counts["false"], counts["caught"]], [legitimate, frauds], level)
    return Group(
        column,
        name,
        rows=round(frauds + legitimate / share),
        frauds=frauds,
        false_alarms=float(counts["false"] / legitimate) if legitimate else None,
        false_alarms_ci=(float(low[0]), float(high[0])),
        recall=float(counts["caught"] / frauds) if frauds else None,
        recall_ci=(float(low[1]), float(high[1])),
    )


def _parts(train: pd.Series, test: pd.Series) -> pd.Series:
    """The group of each test row, as an ordered category, by what the training rows hold."""
    known, given = (part.astype(object).where(part.notna(), np.nan) for part in (train, test))
    numbers = pd.to_numeric(known, errors="coerce").dropna()
    if not len(numbers) or len(numbers) < known.notna().sum():
        names = [name for name in known.value_counts().index[:MOST] if name not in (OTHERS, NOTHING)]
        return _complete(given.where(given.isin(names) | given.isna(), OTHERS), [*names, OTHERS])
    values = pd.to_numeric(given, errors="coerce").astype(float)
    if numbers.nunique() <= FEW:
        names = [_number(value) for value in np.unique(numbers)]
        texts = values.map(_number, na_action="ignore")
        return _complete(texts.where(texts.isin(names) | texts.isna(), OTHERS), [*names, OTHERS])
    above = numbers[numbers > numbers.min()]
    edges = np.unique(np.quantile(numbers, [0.25, 0.5, 0.75], method="higher").clip(min=above.min()))
    shown = [_number(edge) for edge in edges]
    inner = [f"{low} to below {high}" for low, high in pairwise(shown)]
    names = [f"below {shown[0]}", *inner, f"{shown[-1]} and more"]
    return _complete(pd.cut(values, [-np.inf, *edges, np.inf], right=False, labels=names), names)


def _number(value: float) -> str:
    """In all its digits, so that no two groups bear one name: dates of birth may be numbers such as 19850412."""
    return f"{value:.15g}"


def _complete(parts: pd.Series, names: Sequence[str]) -> pd.Series:
    """In the order of the names, with a group for missing values."""
    filled = parts.astype(object).where(parts.notna(), NOTHING)
    return filled.astype(pd.CategoricalDtype([*names, NOTHING], ordered=True))


def readable(groups: Sequence[Group]) -> pd.DataFrame | None:
    """Rows, frauds and both rates in percent with their intervals, by column and group; nothing without groups."""
    if not groups:
        return None
    table = {
        (group.column, group.name): {
            "rows": f"{group.rows:,}",
            "frauds": f"{group.frauds:,}",
            "false alarms": _shown(group.false_alarms, group.false_alarms_ci),
            "recall": _shown(group.recall, group.recall_ci),
        }
        for group in groups
    }
    return pd.DataFrame.from_dict(table, orient="index")


def _shown(rate: float | None, bounds: tuple[float, float]) -> str:
    return words.UNKNOWN if rate is None else words.percent_between(rate, *bounds, digits=2)


def describe(groups: Sequence[Group]) -> list[str]:
    """For each column, whether false alarms and recall differ between its groups by more than chance.

    Equal rates of false alarms are predictive equality, which the Bank Account Fraud suite measures by the lowest rate
    over the highest (Jesus et al. 2022).
    """
    sentences = []
    for column in dict.fromkeys(group.column for group in groups):
        of_column = [group for group in groups if group.column == column]
        found = {what: _extremes(of_column, what) for what in ("false_alarms", "recall")}
        claims = []
        for what, noun in (("false_alarms", "legitimate rows that raise an alert"), ("recall", "frauds caught")):
            if extremes := found[what]:
                more, less = (
                    f"{_shown(getattr(group, what), getattr(group, f'{what}_ci'))} at {group.name}"
                    for group in extremes
                )
                claims.append(f"the share of {noun} is higher, {more}, than {less}")
        about = f"Between the {len(of_column)} groups by {column}"
        if not claims:
            sentences.append(f"{about}, neither false alarms nor recall are shown to differ.")
            continue
        text = f"{about}, {' and '.join(claims)}."
        if extremes := found["false_alarms"]:
            higher, lower = (group.false_alarms or 0.0 for group in extremes)
            text += f" The lower of these two rates of false alarms is {lower / higher:.2f} times the higher."
        sentences.append(text)
    return sentences


def _extremes(groups: Sequence[Group], what: str) -> tuple[Group, Group] | None:
    """The groups that differ most beyond their intervals, the higher one first; None where none do."""
    known = [group for group in groups if getattr(group, what) is not None]
    if not known:
        return None
    high = max(known, key=lambda group: getattr(group, f"{what}_ci")[0])
    low = min(known, key=lambda group: getattr(group, f"{what}_ci")[1])
    return (high, low) if getattr(high, f"{what}_ci")[0] > getattr(low, f"{what}_ci")[1] else None
