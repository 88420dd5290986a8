"""Whether the test part looks like the training part, labels aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from fraud_utils import intervals, words
from fraud_utils.data import Schema, Split
from fraud_utils.explore.summaries import Texts, is_number, known, quantiles
from fraud_utils.explore.time import DAY, HOUR, NO_TIME
from fraud_utils.explore.whole import parts_of, span, tally
from fraud_utils.words import Finding

BANDS = {"moderate": 0.1, "large": 0.25}  # the usual ones of the stability index (Siddiqi 2006)


def stability(split: Split, schema: Schema, bins: int = 10) -> pd.DataFrame:
    """Population stability index of every column between the training and the test part, largest first.

    The sum over bins of (q - p) ln(q / p), p and q being the bin's shares of training and test rows (Siddiqi 2006,
    Credit Risk Scorecards; it is the symmetric divergence of Kullback and Leibler 1951). Bins are the training part's
    deciles, one more on either side of its range, one for missing values; of text columns, the values. Every count
    is raised by one half so that an empty bin stays finite.

    Returns
    -------
    pandas.DataFrame
        By `column`: `psi`; `chance`, what it stays under without any drift (chi-square with as many degrees of
        freedom as filled bins less one, times 1 / train rows + 1 / test rows: Yurdakul 2018; all columns together at
        95 %); `band` ("stable", or as in `BANDS`); `psi_same_hours`, the index against only those training rows that
        fall into the hours of the day that the test part covers. Empty without a time column.
    """
    if not schema.time:
        return pd.DataFrame()
    columns = [*schema.numeric, *schema.categorical]
    numbers = [name for name in columns if is_number(split.train[name])]
    deciles = quantiles(split.train, schema, numbers, np.linspace(0, 1, bins + 1))
    edges = {name: _edges(values) for name, values in deciles.items()}
    hours = tally(split.test, schema, schema.time, lambda time: time % DAY // HOUR, 24)[0] > 0
    counted = _counted(split, schema, edges, hours)
    rows: list[dict[str, Any]] = []
    for name in columns:
        before, after, before_same = _aligned(counted[name])
        freedom = max(int(((before + after) > 0).sum()) - 1, 1)
        scale = 1 / before.sum() + 1 / after.sum()
        rows.append(
            {
                "column": name,
                "psi": _psi(before, after),
                "chance": float(stats.chi2.ppf(intervals.together(len(columns)), freedom) * scale),
                "psi_same_hours": _psi(before_same, after) if before_same.any() else np.nan,
            }
        )
    table = pd.DataFrame(rows).sort_values("psi", ascending=False, kind="stable").set_index("column")
    limits = [-np.inf, *BANDS.values(), np.inf]
    table.insert(2, "band", pd.cut(table["psi"], limits, right=False, labels=["stable", *BANDS]).astype(str))
    return table


def _edges(quantiles: np.ndarray) -> np.ndarray:
    """Edges of bins from the smallest value over inner quantiles to the largest; none where no value is known."""
    return np.unique([np.nextafter(quantiles[0], -np.inf), *quantiles[1:]])[: 0 if np.isnan(quantiles[0]) else None]


class _Bins:
    """How many numbers lie up to each edge and beyond the last one."""

    def __init__(self, edges: np.ndarray) -> None:
        self.edges, self.missing, self.counts = edges, 0, Counter[Any]()

    def add(self, column: pd.Series) -> None:
        values = known(column)
        self.missing += len(column) - len(values)
        place = np.zeros(len(values), dtype=np.int16)
        for edge in self.edges:  # several times faster than a search
            place += values > edge
        self.counts.update(dict(enumerate(np.bincount(place.astype(np.int64)).tolist())))


def _counted(
    split: Split, schema: Schema, edges: Mapping[str, np.ndarray], hours: np.ndarray
) -> dict[str, list[_Bins | Texts]]:
    """By column, how many training rows, test rows, and training rows in these hours each bin or text has."""
    columns = [*schema.numeric, *schema.categorical]
    counts = {name: [_Bins(edges[name]) if name in edges else Texts() for _ in range(3)] for name in columns}
    for train, test in parts_of(split, schema, [str(schema.time), *columns]):
        chosen = [train, test]
        if not hours.all():
            chosen.append(train[hours[(train[schema.time].to_numpy() % DAY // HOUR).astype(np.int64)]])
        for name in columns:
            for counted, rows in zip(counts[name], chosen, strict=False):
                counted.add(rows[name])
    return {name: [train, test, train if hours.all() else same] for name, (train, test, same) in counts.items()}


def _aligned(counted: Sequence[_Bins | Texts]) -> list[np.ndarray]:
    """The counts of the same bins from several parts, that of missing values first."""
    bins = list(dict.fromkeys(key for each in counted for key in each.counts))
    return [np.array([each.missing, *(each.counts[key] for key in bins)]) for each in counted]


def _psi(before: np.ndarray, after: np.ndarray) -> float:
    filled = (before + after) > 0
    p, q = (counts[filled] + 0.5 for counts in (before, after))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def stability_finding(table: pd.DataFrame, split: Split, schema: Schema) -> Finding:
    """Which columns have shifted, beyond chance and by the usual bands, and what the time of day has to do with it."""
    if table.empty:
        return Finding(f"{NO_TIME}drift along time cannot be seen: both parts were drawn at random from the same rows.")
    moderate, large = BANDS["moderate"], BANDS["large"]
    beyond_chance = table["psi"] > table["chance"]
    shifted = table[(table["psi"] >= moderate) & beyond_chance]
    largest = f"the largest index is {words.plain(table['psi'].iloc[0])}, of {words.code(table.index[0])}"
    detail = (
        f"{beyond_chance.sum():,} of {words.count(len(table), 'column')} moved more than chance explains."
        f"{_other_hours(shifted, split, schema)}"
    )
    if shifted.empty:
        bands = f"All indices are below {moderate}."
        if table["psi"].iloc[0] >= moderate:
            bands = f"Indices of {moderate} or more are within what chance gives in so few rows."
        return Finding(
            f"No column is shown to have shifted between the training and the test part: {largest}.",
            f"{bands} {detail}",
        )
    names = words.listed(map(words.code, shifted.index), 5)
    count = int((shifted["psi"] >= large).sum())
    return Finding(
        f"{words.count(len(shifted), 'column')} shifted between the training and the test part ({names}): {largest}.",
        f"{count:,} of them {'is' if count == 1 else 'are'} in the band called large (from {large}). {detail}",
    )


def _other_hours(shifted: pd.DataFrame, split: Split, schema: Schema) -> str:
    """How much of the shift is the time of day, where the test part is shorter than a day."""
    first, last = span(split.test, schema)
    if last - first >= DAY:
        return ""
    sentence = f" The test part spans {words.duration(last - first)}, less than a day"
    if len(shifted) and shifted["psi_same_hours"].notna().all():
        again = int((shifted["psi_same_hours"] >= BANDS["moderate"]).sum())
        sentence += (
            f"; compared with the same hours of the training part, {again} of {len(shifted)} "
            f"{'is' if again == 1 else 'are'} still at {BANDS['moderate']} or more"
        )
    return f"{sentence}."
