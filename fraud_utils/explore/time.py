"""When transactions and frauds happen: along the table, by day or week, and by hour of the day."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data import Schema
from fraud_utils.explore.rates import chi_square, in_words, rates
from fraud_utils.intervals import LEVEL
from fraud_utils.words import Finding

HOUR, DAY = 3600, 86_400


def volume(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Transactions and frauds along the whole table, by the hour or, beyond two weeks, by the day.

    Returns
    -------
    pandas.DataFrame
        `day` (in days from the first row's midnight, the bin's start), `rows`, `frauds`, `bin_hours`.
    """
    time = frame[schema.time].to_numpy()
    width = HOUR if time[-1] - time[0] <= 14 * DAY else DAY
    place = (time // width).astype(np.int64)
    start = place[0]
    rows = np.bincount(place - start)
    frauds = np.bincount(place - start, weights=frame[schema.label]).astype(np.int64)
    day = day_of(np.arange(start, start + len(rows)) * width, frame, schema)
    return pd.DataFrame({"day": day, "rows": rows, "frauds": frauds, "bin_hours": width // HOUR})


def day_of(time: Any, frame: pd.DataFrame, schema: Schema) -> Any:
    """Seconds of the table's time column as days from the midnight before its first row."""
    return (time - frame[schema.time].iloc[0] // DAY * DAY) / DAY


def rate_along_time(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Fraud rate by `day` or, beyond eight weeks, by `week`, counted from 1.

    A day begins where the time is a multiple of 86,400 seconds, the first week with the first day.
    """
    day = np.floor(day_of(frame[schema.time].to_numpy(), frame, schema)).astype(np.int64)
    if day[-1] < 56:
        return _rates_by(day + 1, frame[schema.label], "day")
    return _rates_by(day // 7 + 1, frame[schema.label], "week")


def rate_by_hour(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Fraud rate by hour of the day, 0 to 23, counted from where the time is a multiple of 86,400 seconds."""
    hour = (frame[schema.time].to_numpy() % DAY // HOUR).astype(np.int64)
    return _rates_by(hour, frame[schema.label], "hour", range(24))


def _rates_by(group: np.ndarray, label: pd.Series, name: str, index: Any = None) -> pd.DataFrame:
    index = pd.Index(np.unique(group) if index is None else index, name=name)
    place = index.get_indexer(group)
    rows = np.bincount(place, minlength=len(index))
    return rates(rows, np.bincount(place, weights=label, minlength=len(index)).astype(np.int64), index)


def rate_finding(table: pd.DataFrame, seed: int) -> Finding:
    """Whether groups differ in their fraud rate, and which ones stand out; the table's index names the groups.

    A difference is claimed where two intervals lie apart.
    """
    seen, unit = table[table["rows"] > 0], str(table.index.name)
    at = f"{'on' if unit == 'day' else 'in'} {unit}"
    if len(seen) == 1:
        return Finding(f"All transactions fall into one {unit}, so there is nothing to compare.")
    statistic, p_value = chi_square(seen["rows"].to_numpy(), seen["frauds"].to_numpy(), seed)
    test = f"A test of equal rates gives {_chi_square_in_words(statistic, len(seen), p_value)}"
    high, low = seen["low"].idxmax(), seen["high"].idxmin()
    if seen["low"][high] > seen["high"][low]:
        return Finding(
            f"The fraud rate differs between {unit}s: {in_words(seen.loc[high])} {at} {high}, but "
            f"{in_words(seen.loc[low])} {at} {low}.",
            f"{_beside_overall(seen, unit)} {test}.",
        )
    high, low = seen["rate"].idxmax(), seen["rate"].idxmin()
    hint = ", which speaks against them only if transactions are independent" if p_value <= 1 - LEVEL else ""
    return Finding(
        f"No two {unit}s are shown to differ in their fraud rate.",
        f"Observed rates run from {in_words(seen.loc[low])} {at} {low} to {in_words(seen.loc[high])} {at} {high}, "
        f"and all intervals overlap. {test}{hint}.",
    )


def _chi_square_in_words(statistic: float, groups: int, p_value: float) -> str:
    freedom = words.count(groups - 1, "degree")
    return f"chi-square {statistic:,.1f} with {freedom} of freedom, permutation p {words.p_value(p_value)}"


def _beside_overall(seen: pd.DataFrame, unit: str) -> str:
    """Which groups' intervals exclude the overall rate."""
    overall = seen["frauds"].sum() / seen["rows"].sum()
    sentences = []
    for side, chosen in (("above", seen["low"] > overall), ("below", seen["high"] < overall)):
        if chosen.any():
            part, plural = seen[chosen], unit if chosen.sum() == 1 else f"{unit}s"
            sentences.append(
                f"Clearly {side} the overall rate of {words.percent(overall)}: {plural} "
                f"{words.listed(map(str, part.index))}, with "
                f"{words.percent(part['rows'].sum() / seen['rows'].sum())} of the transactions and "
                f"{words.percent(part['frauds'].sum() / seen['frauds'].sum())} of the frauds."
            )
    return " ".join(sentences)


def bursts_finding(table: pd.DataFrame, seed: int) -> Finding:
    """Whether frauds come more unevenly than at a steady rate, from `volume`'s table.

    The ratio of the variances is the design effect of clusters in time (Kish 1965, Survey Sampling).
    """
    hourly = table["bin_hours"].iloc[0] == 1
    seen, unit, counts = table[table["rows"] > 0], *(("hour", "hourly") if hourly else ("day", "daily"))
    if len(seen) == 1:
        return Finding(f"All transactions fall into one {unit}, so bursts cannot be seen.")
    rows, frauds = seen["rows"].to_numpy(), seen["frauds"].to_numpy()
    statistic, p_value = chi_square(rows, frauds, seed)
    rate, scale = frauds.sum() / rows.sum(), len(seen) / (len(seen) - 1)
    ratio = scale * ((frauds - rows * rate) ** 2).sum() / (frauds.sum() * (1 - rate))
    test = _chi_square_in_words(statistic, len(seen), p_value)
    if p_value > 1 - LEVEL or ratio <= 1:
        return Finding(
            "Frauds are not shown to come in bursts.",
            f"Their {counts} counts vary {ratio:.1f} times as much as at a steady rate: within chance ({test}).",
        )
    return Finding(
        f"Frauds come in bursts or rhythms: {counts} counts vary {ratio:.1f} times more than a steady rate would.",
        f"A steady rate is ruled out ({test}). Intervals of rates, which take transactions as independent, may "
        f"therefore be {ratio**0.5:.1f} times too narrow.",
    )
