"""How figures become words, for notebooks, pages and the terminal alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PERCENT = "\N{NO-BREAK SPACE}%"
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


def percent(share: float, digits: int = 3) -> str:
    """A share in percent, to so many significant digits; never rounded to 0 or 100 % from without."""
    if math.isnan(share):
        return UNKNOWN
    if 0.95 <= share < 1:
        short = float(f"{100 * (1 - share):.{max(digits - 1, 1)}g}")
        return (f"{100 - short:.10g}" if short else "100") + PERCENT
    value = 100 * share
    return (f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{float(f'{value:.{digits}g}'):.10g}") + PERCENT


def percent_between(share: float, low: float, high: float, digits: int = 3) -> str:
    """A share with its interval, as `73.3 % [61.9, 82.9]`."""
    if math.isnan(share):
        return UNKNOWN
    bounds = ", ".join(percent(bound, digits).removesuffix(PERCENT) for bound in (low, high))
    return f"{percent(share, digits)} [{bounds}]"


def decimals(value: float | None, digits: int = 3, sign: str = "") -> str:
    """A number with a fixed number of decimals and a true minus; a dash where it is not known."""
    return UNKNOWN if value is None or math.isnan(value) else f"{value:{sign}z,.{digits}f}".replace("-", "−")


def decimals_between(value: float | None, bounds: Sequence[float] | None, digits: int = 3, sign: str = "") -> str:
    """A number with its interval, as `0.797 [0.707, 0.878]`."""
    shown = decimals(value, digits, sign)
    if value is None or not bounds:
        return shown
    return f"{shown} [{', '.join(decimals(bound, digits, sign) for bound in bounds)}]"


def plain(value: float) -> str:
    """Two significant digits below 100, whole numbers with separators from there on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{float(f'{value:.2g}'):g}"


def plain_between(value: float, bounds: Sequence[float]) -> str:
    """A plain number with its interval, as `60 [34, 99]`."""
    return f"{plain(value)} [{', '.join(map(plain, bounds))}]"


def cell(value: object) -> str:
    """A table's cell: four significant digits, all of those before the point, no exponent for what is large."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return UNKNOWN
    number = float(value)  # type: ignore[arg-type]
    return f"{number:,.0f}" if number == round(number) or abs(number) >= 1000 else f"{number:.4g}"


def money(amount: float, currency: str) -> str:
    """An amount to two decimals, none where it is whole, three digits where it is tiny."""
    tiny = abs(amount) < 1 and amount != round(amount, 2)
    return (f"{amount:.3g}" if tiny else f"{amount:,.2f}".removesuffix(".00")) + f" {currency}"


def count(number: float, noun: str) -> str:
    """A number of things, as `1 fraud` or `1,234 frauds`."""
    return f"{int(number):,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A span of time in its largest fitting unit, as `2.0 days` or `7.7 hours`."""
    for unit, size, least in (("days", 86_400, 1.5), ("hours", 3_600, 2), ("minutes", 60, 2)):
        if seconds >= least * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.0f} seconds"


def p_value(p: float) -> str:
    """A p-value with its sign, as `= 0.03` or `≤ 0.0001`."""
    return f"= {p:.2g}" if p > 1e-4 else "≤ 0.0001"


def listed(items: Iterable[str]) -> str:
    """Items as `a, b and c`."""
    items = list(items)
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def code(name: object) -> str:
    """A column's name as Markdown shows code."""
    return f"`{name}`"
