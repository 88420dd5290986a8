"""How figures become words, for notebooks, pages and the terminal alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

PERCENT = "\N{NO-BREAK SPACE}%"
MINUS = "\N{MINUS SIGN}"
UNKNOWN = "–"


@dataclass(frozen=True)
class Finding:
    """A sentence that stands for itself, and what else belongs to it; a notebook shows both as Markdown."""

    headline: str
    detail: str = ""

    def _repr_markdown_(self) -> str:
        return markdown(f"**{self.headline}** {self.detail}".rstrip())


def markdown(text: str) -> str:
    """Text for a Markdown cell: a dollar sign is a currency here, never the start of a formula."""
    return text.replace("$", "\\$")


def bullets(sentences: Iterable[str]) -> str:
    """Sentences as a Markdown list."""
    return markdown("\n".join(f"- {sentence}" for sentence in sentences))


def _signed(number: str) -> str:
    """A number with a true minus, as all of them here have it."""
    return number.replace("-", MINUS)


def percent(share: float, digits: int = 3) -> str:
    """A share in percent, to so many significant digits; a share between 0 and 1 is never rounded to 0 or 100 %.

    From 95 % on, it is the distance to 100 % that keeps its digits, one fewer: `99.83 %`, `99.9996 %`.
    """
    if math.isnan(share):
        return UNKNOWN
    value, minus = 100 * abs(share), MINUS if share < 0 else ""
    if 0.95 <= abs(share) < 1:
        shown = f"{100 - Decimal(f'{100 * (1 - abs(share)):.{max(digits - 1, 1)}g}'):f}"
    elif value >= 10 ** (digits - 1):
        shown = f"{value:,.0f}"
    else:
        shown = f"{Decimal(f'{value:.{digits}g}'):f}"  # no exponent
    return minus + shown + PERCENT


def percent_between(share: float, low: float, high: float, digits: int = 3) -> str:
    """A share with its interval, as `73.3 % [61.9, 82.9]`."""
    if math.isnan(share):
        return UNKNOWN
    bounds = ", ".join(percent(bound, digits).removesuffix(PERCENT) for bound in (low, high))
    return f"{percent(share, digits)} [{bounds}]"


def decimals(value: float | None, digits: int = 3, sign: str = "") -> str:
    """A number with a fixed number of decimals; a dash where it is not known."""
    return UNKNOWN if value is None or math.isnan(value) else _signed(f"{value:{sign}z,.{digits}f}")


def decimals_between(value: float | None, bounds: Sequence[float] | None, digits: int = 3, sign: str = "") -> str:
    """A number with its interval, as `0.797 [0.707, 0.878]`."""
    shown = decimals(value, digits, sign)
    if value is None or not bounds:
        return shown
    return f"{shown} [{', '.join(decimals(bound, digits, sign) for bound in bounds)}]"


def plain(value: float) -> str:
    """Two significant digits below 100, whole numbers with separators from there on."""
    if math.isnan(value):
        return UNKNOWN
    return _signed(f"{value:,.0f}" if abs(value) >= 100 else f"{float(f'{value:.2g}'):g}")


def plain_between(value: float, bounds: Sequence[float]) -> str:
    """A plain number with its interval, as `60 [34, 99]`."""
    return f"{plain(value)} [{', '.join(map(plain, bounds))}]"


def cell(value: object) -> str:
    """A table's cell: four significant digits, all of those before the point, no exponent for what is large."""
    if isinstance(value, str):
        return value
    number = math.nan if value is None else float(value)  # type: ignore[arg-type]
    if math.isnan(number):
        return UNKNOWN
    return _signed(f"{number:,.0f}" if abs(number) >= 999.95 else f"{number:.4g}")


def money(amount: float, currency: str) -> str:
    """An amount to two decimals, none where it is whole, three digits where it is tiny."""
    if math.isnan(amount):
        return UNKNOWN
    tiny = abs(amount) < 1 and amount != round(amount, 2)
    return _signed(f"{amount:.3g}" if tiny else f"{amount:z,.2f}".removesuffix(".00")) + f" {currency}"


def count(number: float, noun: str) -> str:
    """A number of things, as `1 fraud`, `1,234 frauds` or `2 policies`."""
    return f"{int(number):,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """A regular plural: `claims`, `policies`, `batches`."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}{'es' if noun.endswith(('s', 'x', 'z', 'ch', 'sh')) else 's'}"


def moment(seconds: float, origin: str | None = None) -> str:
    """When it was, to the minute: `2015-03-04 13:05`, or `day 3, 13:05` where no date is known for second 0.

    Parameters
    ----------
    origin : str, optional
        The instant of second 0, as ISO 8601 writes it. Without it, days are counted from 1 at second 0.
    """
    if origin:
        return f"{datetime.fromisoformat(origin) + timedelta(seconds=seconds):%Y-%m-%d %H:%M}"
    day, minute = divmod(math.floor(seconds / 60), 24 * 60)
    return f"day {day + 1:,}, {minute // 60:02d}:{minute % 60:02d}".replace("-", MINUS)


@dataclass(frozen=True)
class Pace:
    """The unit of time in which a page counts events, and its length in days."""

    unit: str
    days: float


def pace(per_day: float, span_days: float, most: float = math.inf) -> Pace:
    """Day, week or month: the shortest in which at least one event is usual.

    A unit longer than what was seen is never taken, for nobody knows whether it would go on like that.

    Parameters
    ----------
    per_day : float
        Events a day; of several kinds, the rarest that matters.
    span_days : float
        The time in which they were counted.
    most : float, optional
        How many units the time may have.
    """
    seen = [Pace("day", 1.0), *(each for each in (Pace("week", 7.0), Pace("month", 30.4375)) if each.days <= span_days)]
    enough = (each for each in seen if per_day * each.days >= 1 and span_days <= most * each.days)
    return next(enough, seen[-1])


def duration(seconds: float) -> str:
    """A span of time in its largest fitting unit, as `2.0 days` or `7.7 hours`."""
    for unit, size, least in (("days", 86_400, 1.5), ("hours", 3_600, 2), ("minutes", 60, 2)):
        if seconds >= least * size:
            return f"{seconds / size:,.1f} {unit}"
    return count(round(seconds), "second")


def p_value(p: float) -> str:
    """A p-value with its sign, as `= 0.03` or `≤ 0.0001`."""
    return "≤ 0.0001" if p <= 1e-4 else f"= {UNKNOWN if math.isnan(p) else f'{p:.2g}'}"


def listed(items: Iterable[str], most: int | None = None) -> str:
    """Items as `a, b and c`; beyond `most` of them, as `a, b and 7 more`."""
    items = list(items)
    if most and len(items) > most:
        items = [*items[:most], f"{len(items) - most:,} more"]
    *items, last = items or [""]
    return f"{', '.join(items)} and {last}" if items else last


def code(name: object) -> str:
    """A column's name as Markdown shows code."""
    return f"`{name}`"
