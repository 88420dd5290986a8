"""Whether frauds take other amounts than legitimate transactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import intervals, words
from fraud_utils.data import Schema
from fraud_utils.explore.rates import KINDS, apart, in_words, shares
from fraud_utils.explore.summaries import quantiles
from fraud_utils.explore.whole import tally
from fraud_utils.words import Finding

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def amount_distribution(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Share of each class at or below an amount: `kind`, `amount`, `share`; steps kept, at most 2,000 a class."""
    steps = {}
    for label, kind in enumerate(KINDS):
        amount = np.sort(frame.loc[frame[schema.label] == label, schema.amount].to_numpy())
        values, last = np.unique(amount[::-1], return_index=True)
        share = (len(amount) - last) / len(amount)
        if len(values) > 2_000:  # keep the first, the last, and steps evenly up the curve: large steps always stay
            values = values[np.unique(np.searchsorted(share, np.linspace(0, 1, 2_000)).clip(max=len(values) - 1))]
        steps[kind] = np.union1d(values, _of_class(frame, schema, label, (0, 1)))
    edges = np.unique(np.concatenate([*steps.values()]))
    reached = _reached(frame, schema, edges, "left")
    curves = []
    for kind, values in steps.items():
        share = reached[kind][np.searchsorted(edges, values)] / reached[kind][-1]
        curves.append(pd.DataFrame({"kind": kind, "amount": values, "share": share}))
    return pd.concat(curves, ignore_index=True)


def _of_class(frame: pd.DataFrame, schema: Schema, label: int, probabilities: Sequence[float]) -> np.ndarray:
    """Quantiles of one class's amounts."""
    amount = str(schema.amount)
    return quantiles(frame, schema, [amount], probabilities, lambda rows: rows[schema.label] == label)[amount]


def _reached(frame: pd.DataFrame, schema: Schema, edges: np.ndarray, side: Any) -> dict[str, np.ndarray]:
    """By class, how many amounts lie at or below each edge (`left`) or below it (`right`), and last how many in all."""
    rows, frauds = tally(
        frame, schema, str(schema.amount), lambda amount: np.searchsorted(edges, amount, side), len(edges) + 1
    )
    return dict(zip(KINDS, (np.cumsum(rows - frauds), np.cumsum(frauds)), strict=True))


def amounts_below(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Share of each class below the table's own quantiles, from 5 % to 99 % of the amounts above zero, rounded.

    Returns
    -------
    pandas.DataFrame
        By `below`, in the amount's currency: `fraud_share`, `fraud_low`, `fraud_high`, and the same for legitimate
        ones; the intervals hold together. Empty without an amount column or an amount above zero.
    """
    if not (amount := schema.amount):
        return pd.DataFrame()
    exactly = np.unique(quantiles(frame, schema, [amount], QUANTILES, lambda rows: rows[amount] > 0)[amount])
    if np.isnan(exactly).any():
        return pd.DataFrame()
    rounded = np.unique([float(f"{edge:.2g}") for edge in exactly])
    edges = rounded if len(rounded) > len(exactly) / 2 else exactly  # unless all amounts are nearly alike
    index, level = pd.Index(edges, name="below"), intervals.together(2 * len(edges))
    below = _reached(frame, schema, edges, "right")
    of_each = (shares(below[kind][:-1], below[kind][-1], level, index).add_prefix(f"{kind}_") for kind in KINDS[::-1])
    return pd.concat(of_each, axis=1)


def amounts_finding(table: pd.DataFrame, frame: pd.DataFrame, schema: Schema) -> Finding:
    """At which amount the classes' shares differ most, and how far the totals depend on a few frauds."""
    if not schema.amount:
        return Finding("The table has no amount column, so there are no amounts to compare.")
    detail = _medians(frame, schema)
    if not len(table):
        return Finding("No amount is above zero, so there is nothing to compare.", detail)
    claims = []
    at_or_above = (1 - table).rename(columns=_MIRRORED)
    for size, where, part in (("small", "below {}", table), ("large", "{} or more", at_or_above)):
        more = (part["fraud_share"] - part["legitimate_share"])[apart(part, "fraud_", "legitimate_") > 0]
        if len(more):
            row, amount = part.loc[more.idxmax()], words.money(more.idxmax(), schema.currency)
            of_each = f"{in_words(row, 'fraud_')} are {where}, compared with {in_words(row, 'legitimate_')}"
            claims.append((more.max(), size, f"{of_each.format(amount)} of legitimate ones"))
    if not claims:
        return Finding(
            "Fraud amounts are not shown to differ from legitimate ones: the intervals overlap at every amount of the "
            "table.",
            detail,
        )
    _, sizes, compared = zip(*sorted(claims, reverse=True), strict=True)
    return Finding(f"Frauds are more often {' and more often '.join(sizes)}: {'; '.join(compared)}.", detail)


_MIRRORED = {f"{kind}_{end}": f"{kind}_{other}" for kind in KINDS for end, other in (("low", "high"), ("high", "low"))}


def _medians(frame: pd.DataFrame, schema: Schema) -> str:
    """Medians and largest amounts of both classes, and what share of the fraud amounts a tenth of the frauds holds."""
    fraud = frame.loc[frame[schema.label] == 1, schema.amount].to_numpy()
    of_classes = np.transpose([_of_class(frame, schema, label, (0.5, 1)) for label in (1, 0)])
    medians, largest = ([words.money(amount, schema.currency) for amount in of_each] for of_each in of_classes)
    sentence = (
        f"The median amount is {medians[0]} among frauds and {medians[1]} among legitimate ones, the largest "
        f"{largest[0]} and {largest[1]}."
    )
    top = np.sort(fraud)[len(fraud) - len(fraud) // 10 :]
    if fraud.min() >= 0 and top.sum() > fraud.sum() / 2:
        sentence += (
            f" The {len(top):,} largest frauds make up {words.percent(top.sum() / fraud.sum())} of all fraud amounts, "
            "so any total in money rests on few of them."
        )
    return sentence


def price_points(frame: pd.DataFrame, schema: Schema, top: int = 10) -> pd.DataFrame:
    """The exact amounts most frequent among frauds, by `amount`, with their share of each class.

    Returns
    -------
    pandas.DataFrame
        `frauds`, `legitimate`, `fraud_share`, `fraud_low`, `fraud_high`, `legitimate_share`, `legitimate_low`,
        `legitimate_high`; only amounts that two frauds have. The intervals hold together; `attrs["second_high"]` is
        the upper end of the second amount's share of the frauds. Empty without an amount column.
    """
    if not schema.amount:
        return pd.DataFrame()
    fraud = frame.loc[frame[schema.label] == 1, schema.amount]
    counts = fraud.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    level = intervals.together(2 * len(counts))  # any amount could have come out on top, so the intervals cover all
    table = counts[counts > 1].head(top).rename("frauds").rename_axis("amount").to_frame()
    points = table.index.to_numpy()
    rows, frauds = tally(frame, schema, schema.amount, lambda amount: _which(amount, points), len(points) + 1)
    legitimate = rows - frauds
    table["legitimate"] = legitimate[1:]
    parts = [
        shares(table[column], total, level, table.index).add_prefix(f"{kind}_")
        for kind, column, total in (("fraud", "frauds", len(fraud)), ("legitimate", "legitimate", legitimate.sum()))
    ]
    table = pd.concat([table, *parts], axis=1)
    table.attrs["second_high"] = float(intervals.exact(counts.iloc[1], len(fraud), level)[1]) if len(counts) > 1 else 0
    return table


def _which(amount: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which of the points each amount is, counted from 1; 0 for none."""
    return sum((place * (amount == point) for place, point in enumerate(points, 1)), np.zeros(len(amount)))


def price_points_finding(table: pd.DataFrame, schema: Schema) -> Finding:
    """Which exact amounts frauds have more often than legitimate rows do."""
    if not schema.amount:
        return Finding("The table has no amount column, so there are no price points.")
    if not len(table):
        return Finding("No two frauds have the same amount, so there are no price points.")
    first = table.iloc[0]
    name, *near = (
        words.money(amount, schema.currency) for amount in table.index[table["fraud_high"] >= first["fraud_low"]]
    )
    others = f" within chance of {words.listed(near, 3)}" if near else " within chance of others"
    headline = (
        f"The most common fraud amount is {name}: {in_words(first, 'fraud_')} of frauds, "
        f"{in_words(first, 'legitimate_')} of legitimate ones."
        if first["fraud_low"] > table.attrs["second_high"]
        else f"No single amount is shown to be the most common among frauds: {name} has "
        f"{words.count(first['frauds'], 'fraud')},{others}."
    )
    typical = table.index[apart(table, "fraud_", "legitimate_") > 0]
    if not len(typical):
        return Finding(headline, "No amount is shown to be typical of fraud: all intervals of the two classes overlap.")
    amounts = words.listed(words.money(amount, schema.currency) for amount in typical)
    return Finding(headline, f"More common among frauds than among legitimate ones: {amounts}.")
