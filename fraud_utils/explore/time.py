"""When transactions and frauds happen: along the table, by day or week, and by hour of the day."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data import Schema
from fraud_utils.explore.rates import chi_square, in_words, rates
from fraud_utils.explore.whole import span, tally
from fraud_utils.intervals import LEVEL
from fraud_utils.words import Finding

HOUR, DAY = 3600, 86_400
NO_TIME = "The table has no time column, so "


def volume(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Rows and frauds along the whole table, by the hour; beyond two weeks by the day, beyond two years by the week.

    Returns
    -------
    pandas.DataFrame
        `start` of each bin (as `on_time_axis` gives it), `rows`, `frauds`, `bin_hours`, and whether all its labels are
        `known` at the table's end. Empty without a time column.
    """
    if not schema.time:
        return pd.DataFrame()
    earliest, latest = span(frame, schema)
    days = (latest - earliest) / DAY
    width = HOUR if days <= 14 else DAY if days <= 731 else 7 * DAY
    first = earliest // DAY * DAY
    bins = np.arange((earliest - first) // width, (latest - first) // width + 1)
    rows, frauds = tally(frame, schema, schema.time, lambda time: (time - first) // width - bins[0], len(bins))
    edges = first + np.append(bins, bins[-1] + 1) * width
    known = np.minimum(edges[1:], latest) <= latest - schema.label_delay_days * DAY
    start = on_time_axis(edges[:-1], frame, schema)
    return pd.DataFrame({"start": start, "rows": rows, "frauds": frauds, "bin_hours": width // HOUR, "known": known})


def on_time_axis(time: Any, frame: pd.DataFrame, schema: Schema) -> Any:
    """Seconds of the time column as dates where they are known, else as days from the midnight before the first row."""
    if time is None or not schema.time:
        return None
    if origin := _origin(frame):
        return origin + pd.to_timedelta(time, unit="s")
    return (time - span(frame, schema)[0] // DAY * DAY) / DAY


def _origin(frame: pd.DataFrame) -> pd.Timestamp | None:
    """The date and time of second 0, UTC; None where nobody knows them."""
    origin = frame.attrs.get("provenance", {}).get("origin")
    return pd.to_datetime(origin, utc=True).tz_localize(None) if origin else None


def rate_along_time(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Fraud rate by `day`, `week` or `month`: the shortest with a fraud in each, and at most 56 of them if not months.

    A day begins where the time is a multiple of 86,400 seconds, the first week with the first day. They are known by
    the date of their beginning, else counted from 1, a month then being a twelfth of a year. Rows whose labels are not
    known at the table's end are left out.
    """
    if not schema.time:
        return _no_rates("day")
    earliest, latest = span(frame, schema)
    first, until = earliest // DAY * DAY, latest - schema.label_delay_days * DAY
    last = span(frame, schema, until)[1]
    days = (last - first) / DAY

    def counted(width: float) -> tuple[np.ndarray, np.ndarray]:
        bins = int((last - first) // width) + 1

        def place(time: np.ndarray) -> np.ndarray:
            return np.where(time <= until, (time - first) // width, bins)

        rows, frauds = tally(frame, schema, str(schema.time), place, bins + 1)
        return rows[:-1], frauds[:-1]

    rows, frauds = counted(DAY)
    unit, dated = words.pace(frauds.sum() / max(days, 1), days, most=56), _origin(frame) is not None
    width = DAY if dated and unit.unit == "month" else unit.days * DAY
    if width > DAY:
        rows, frauds = counted(width)
    index: Any = np.arange(len(rows)) + 1
    if dated:
        index = on_time_axis(first + np.arange(len(rows)) * width, frame, schema)
    if dated and unit.unit == "month":
        index = index.to_period("M").to_timestamp()
    of_unit = pd.DataFrame({"rows": rows, "frauds": frauds}).groupby(pd.Index(index, name=unit.unit)).sum()
    of_unit = of_unit[of_unit["rows"] > 0]
    return rates(of_unit["rows"].to_numpy(), of_unit["frauds"].to_numpy(), of_unit.index)


def rate_by_hour(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Fraud rate by hour of the day, 0 to 23, counted from where the time is a multiple of 86,400 seconds."""
    if not schema.time:
        return _no_rates("hour")
    counts = tally(frame, schema, schema.time, lambda time: time % DAY // HOUR, 24)
    return rates(*counts, pd.RangeIndex(24, name="hour"))


def _no_rates(unit: str) -> pd.DataFrame:
    nothing = np.empty(0, dtype=np.int64)
    return rates(nothing, nothing, pd.Index([], name=unit))


def rate_finding(table: pd.DataFrame, seed: int) -> Finding:
    """Whether groups differ in their fraud rate, and which ones stand out; the table's index names the groups.

    A difference is claimed where two intervals lie apart.
    """
    seen, unit = table[table["rows"] > 0], str(table.index.name)
    if seen.empty:
        return Finding(f"{NO_TIME}{unit}s cannot be compared.")
    if len(seen) == 1:
        return Finding(f"All rows fall into one {unit}, so there is nothing to compare.")
    statistic, p_value = chi_square(seen["rows"].to_numpy(), seen["frauds"].to_numpy(), seed)
    test = f"A test of equal rates gives {_chi_square_in_words(statistic, len(seen), p_value)}"
    high, low = seen["low"].idxmax(), seen["high"].idxmin()
    if seen["low"][high] > seen["high"][low]:
        return Finding(
            f"The fraud rate differs between {unit}s: {_rate_at(seen, high)}, but {_rate_at(seen, low)}.",
            f"{_beside_overall(seen, unit)} {test}.",
        )
    high, low = seen["rate"].idxmax(), seen["rate"].idxmin()
    hint = ", which speaks against them only if rows are independent" if p_value <= 1 - LEVEL else ""
    return Finding(
        f"No two {unit}s are shown to differ in their fraud rate.",
        f"Observed rates run from {_rate_at(seen, low)} to {_rate_at(seen, high)}, and all intervals overlap. "
        f"{test}{hint}.",
    )


def _rate_at(table: pd.DataFrame, key: Any) -> str:
    """A rate and when it was seen, as `0.4 % [0.1, 1.2] on day 3`, `... on 2015-03-04` or `... in 2015-03`."""
    unit = str(table.index.name)
    when = _name(key, unit) if isinstance(key, pd.Timestamp) else f"{unit} {key}"
    week = "the week from " if unit == "week" and isinstance(key, pd.Timestamp) else ""
    return f"{in_words(table.loc[key])} {'on' if unit == 'day' else 'in'} {week}{when}"


def _name(key: Any, unit: str) -> str:
    return f"{key:{'%Y-%m' if unit == 'month' else '%Y-%m-%d'}}" if isinstance(key, pd.Timestamp) else str(key)


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
                f"{words.listed((_name(key, unit) for key in part.index), 8)}, with "
                f"{words.percent(part['rows'].sum() / seen['rows'].sum())} of the rows and "
                f"{words.percent(part['frauds'].sum() / seen['frauds'].sum())} of the frauds."
            )
    return " ".join(sentences)


def bursts_finding(table: pd.DataFrame, seed: int) -> Finding:
    """Whether frauds come more unevenly than at a steady rate, from `volume`'s table.

    The ratio of the variances is the design effect of clusters in time (Kish 1965, Survey Sampling).
    """
    if table.empty:
        return Finding(f"{NO_TIME}bursts cannot be seen.")
    unit, counts = {1: ("hour", "hourly"), 24: ("day", "daily")}.get(table["bin_hours"].iloc[0], ("week", "weekly"))
    seen = table[(table["rows"] > 0) & table["known"]]
    if len(seen) < 2:
        return Finding(f"All rows fall into one {unit}, so bursts cannot be seen.")
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
        f"A steady rate is ruled out ({test}). Intervals of rates, which take rows as independent, may "
        f"therefore be {ratio**0.5:.1f} times too narrow.",
    )
