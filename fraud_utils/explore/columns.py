"""Which single columns separate the classes, and what their values look like in each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from fraud_utils import intervals, words
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema
from fraud_utils.explore.rates import KINDS, apart, in_words, shares
from fraud_utils.words import Finding


def effects(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """How well each column alone separates the classes, strongest first.

    The effect is the probability of superiority A: that a random fraud has a larger value than a random legitimate
    transaction, ties counting half (Mann and Whitney 1947; the column's ROC AUC). Its interval is that of a proportion
    of A (1 - A) / variance trials, the variance being DeLong's (1988). That number is kept between the size of the
    smaller class (the variance is at most A (1 - A) by it: Birnbaum and Klose 1957) and three times that (what it is
    when the classes are alike), so that it stays a real interval when a column separates perfectly.

    Returns
    -------
    pandas.DataFrame
        By `name`, of a column as models see it (`FeatureMap.names`): `superiority`, and folded to the side above
        0.5 `value`, `low`, `high`; `group` says which way ("higher in fraud", "lower in fraud"). The intervals hold
        together. Rows without a value are left out column by column; columns with one value are at 0.5.
    """
    features = FeatureMap.fit(schema, frame)
    X, fraud = features.matrix(frame), frame[schema.label].to_numpy() == 1
    level = intervals.together(len(features.names))
    rows = []
    for j, name in enumerate(features.names):
        positive, negative = X[fraud, j], X[~fraud, j]
        superiority, trials = _superiority(positive[~np.isnan(positive)], negative[~np.isnan(negative)])
        value = max(superiority, 1 - superiority)
        low, high = intervals.exact(value * trials, trials, level)
        group = "higher in fraud" if superiority >= 0.5 else "lower in fraud"
        rows.append((name, superiority, value, float(low), float(high), group))
    table = pd.DataFrame(rows, columns=["name", "superiority", "value", "low", "high", "group"])
    return table.sort_values("value", ascending=False, kind="stable").set_index("name")


def _superiority(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """Probability of superiority, and the number of trials that its variance is worth (0 where a class is empty)."""
    m, n = len(positive), len(negative)
    if not m or not n:
        return 0.5, 0.0
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    above = (ranks[:m] - stats.rankdata(positive)) / n  # share of legitimate values below each fraud's
    below = 1 - (ranks[m:] - stats.rankdata(negative)) / m
    superiority = float(above.mean())
    variance = (above.var(ddof=1) / m if m > 1 else 0) + (below.var(ddof=1) / n if n > 1 else 0)
    smaller = float(min(m, n))
    trials = superiority * (1 - superiority) / variance if variance > 0 else smaller
    return superiority, float(np.clip(trials, smaller, 3 * smaller))


def effects_finding(table: pd.DataFrame) -> Finding:
    """Which columns separate the classes, as far as their intervals allow a ranking."""
    best, name = table.iloc[0], words.code(table.index[0])
    figure = words.decimals_between(best["value"], best[["low", "high"]].tolist())
    if best["low"] <= 0.5:
        return Finding(
            "No single column is shown to separate frauds from legitimate rows: every interval contains 0.5, "
            "which is no effect.",
            f"The largest observed effect is that of {name}, {figure}.",
        )
    way = "higher" if best["group"].startswith("higher") else "lower"
    effect = f"a fraud has a {way} value than a legitimate row with probability {figure}"
    tied = [words.code(other) for other in table.index[1:][table["high"].iloc[1:] >= best["low"]]]
    headline = f"{name} separates the classes best{' of all columns' if len(table) > 1 else ''}: {effect}."
    if tied:
        headline = f"{name} separates the classes most, statistically tied with {words.listed(tied, 5)}: {effect}."
    nothing = [words.code(other) for other in table.index[table["low"] <= 0.5]]
    detail = f"All {len(table)} intervals exclude 0.5, which is no effect."
    if nothing:
        names = words.listed(nothing) if len(nothing) <= 8 else f"{len(nothing)} of {len(table)} columns"
        detail = f"No effect is shown (the interval contains 0.5) for {names}."
    if best["low"] > 0.99:
        detail += f" So clean a separation may mean that the label leaked into {name}."
    return Finding(headline, detail)


def histograms(frame: pd.DataFrame, schema: Schema, columns: Sequence[str], bins: int = 40) -> pd.DataFrame:
    """How each class is distributed over the values of some columns.

    Bins are equally wide and common to both classes. They reach from the lower to the higher of the classes' own
    0.5 % and 99.5 % quantiles; the outermost ones also hold what lies beyond. Whole numbers over a short range get a
    bin each.

    Parameters
    ----------
    columns : sequence of str
        Columns as models see them (`FeatureMap.names`).

    Returns
    -------
    pandas.DataFrame
        A row a column, class and bin: `name`, `kind`, `left`, `right`, `share` (of the class's rows that have a value).
    """
    parts = []
    for name, of_class in _values(frame, schema, columns).items():
        ends = [np.quantile(values, [0.005, 0.995]) for values in of_class if len(values)] or [(0.0, 0.0)]
        left, right = min(low for low, _ in ends), max(high for _, high in ends)
        if right - left < bins and all((values % 1 == 0).all() for values in of_class):
            edges = np.arange(np.floor(left), np.ceil(right) + 2) - 0.5
        else:
            edges = np.linspace(left, right, bins + 1) if left < right else np.array([left - 0.5, right + 0.5])
        for kind, values in zip(KINDS, of_class, strict=True):
            share = np.histogram(values.clip(edges[0], edges[-1]), edges)[0] / max(len(values), 1)
            of_kind = {"name": name, "kind": kind, "left": edges[:-1], "right": edges[1:], "share": share}
            parts.append(pd.DataFrame(of_kind))
    return pd.concat(parts, ignore_index=True)


def _values(frame: pd.DataFrame, schema: Schema, columns: Sequence[str]) -> dict[str, list[np.ndarray]]:
    """By column as models see it, its known values among legitimate transactions and among frauds."""
    features = FeatureMap.fit(schema, frame)
    X, label = features.matrix(frame), frame[schema.label].to_numpy()
    chosen = {name: X[:, features.names.index(name)].astype(float) for name in columns}
    return {name: [x[(label == code) & ~np.isnan(x)] for code in (0, 1)] for name, x in chosen.items()}


def outside(frame: pd.DataFrame, schema: Schema, columns: Sequence[str]) -> pd.DataFrame:
    """Share of frauds outside the values that 99 % of legitimate transactions have, column by column.

    Returns
    -------
    pandas.DataFrame
        By `name`: `from` and `to` (0.5 % and 99.5 % quantiles of the legitimate transactions), and the share outside
        of each class, `fraud_share`, `fraud_low`, `fraud_high`, and the same for legitimate ones. The intervals hold
        together over all columns of the table, so that `columns` may be a choice of them.
    """
    level = intervals.together(2 * len(FeatureMap.fit(schema, frame).names))
    rows = []
    for name, of_class in _values(frame, schema, columns).items():
        low, high = np.quantile(of_class[0], [0.005, 0.995]) if len(of_class[0]) else (np.nan, np.nan)
        row = {"name": name, "from": low, "to": high}
        for code in (1, 0):
            beyond = (of_class[code] < low) | (of_class[code] > high)
            row |= shares([beyond.sum()], [len(beyond)], level).add_prefix(f"{KINDS[code]}_").iloc[0].to_dict()
        rows.append(row)
    return pd.DataFrame(rows).set_index("name")


def outside_finding(table: pd.DataFrame) -> Finding:
    """Which of the columns shows the most frauds by an unusual value alone."""
    more = table[apart(table, "fraud_", "legitimate_") > 0]
    if more.empty:
        return Finding(
            "In none of these columns are frauds shown to have unusual values more often than legitimate rows."
        )
    name = more["fraud_share"].idxmax()
    return Finding(
        f"By {words.code(name)} alone, {in_words(more.loc[name], 'fraud_')} of frauds lie outside the range that holds "
        "99 % of legitimate rows."
    )
