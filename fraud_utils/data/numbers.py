"""From texts to numbers: currency signs, thousands, decimal points and commas, true and false.

`1.234,50` and `1,234.50` show which sign is the decimal one, `2,5` and `0.5` do too; `1,234` does not. What the clear
cells of a table show decides how the others are read. Where none does, the message asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute as pc

from fraud_utils.data.faults import Raw, shown
from fraud_utils.data.schema import Schema, Written

_SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}'\N{RIGHT SINGLE QUOTATION MARK}"
_CODES = "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD INR JPY KRW MXN NOK NZD PLN RUB SEK SGD TRY USD ZAR"
_CURRENCY = rf"(?:[$€£¥₹₩₺₽₪₫฿]|R\$|{_CODES.replace(' ', '|')})"
_BEFORE = rf"^([+-]?)\s*{_CURRENCY}\s*([+-]?[\d.,])"
_AFTER = rf"([\d.,])\s*{_CURRENCY}$"
_INFINITE = r"^[+-]?(?:inf|infinity|Inf|Infinity|INF|INFINITY)$"
_TRUTH = {"true": "1", "false": "0"}
_NAMES = {".": "a decimal point", ",": "a decimal comma"}


def is_number(text: str) -> bool:
    """Whether Python takes a text for a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _pattern(decimal: str, thousands: str) -> str:
    """Numbers with this decimal sign; no thousands, or groups of three divided by one of the signs given."""
    point, digits = re.escape(decimal), rf"(?:\d{{1,3}}(?:[{re.escape(thousands)}]\d{{3}})+|\d+)"
    return rf"^[+-]?(?:{digits}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?$"


def _patterns(written: Written) -> dict[str, tuple[str, str]]:
    """By decimal sign: the pattern of its numbers, and its signs between thousands."""
    thousands = {".": "," + _SPACES, ",": "." + _SPACES}
    signs = [sign for sign in thousands if sign == (written.decimal or sign) and sign != written.thousands]
    return {sign: (_pattern(sign, written.thousands or thousands[sign]), thousands[sign]) for sign in signs}


_EITHER = {sign: re.compile(pattern) for sign, (pattern, _) in _patterns(Written()).items()}


def _fitting(text: str) -> list[str]:
    return [sign for sign, pattern in _EITHER.items() if pattern.match(text)]


def signs(cells: Iterable[str]) -> tuple[frozenset[str], str]:
    """The decimal signs of which clear cells give evidence, and the first cell that either sign fits; "" for none."""
    found: set[str] = set()
    either = ""
    for cell in cells:
        if "." in cell or "," in cell:
            text = cell.strip()
            fitting = _fitting(text) or _fitting(re.sub(_AFTER, r"\1", re.sub(_BEFORE, r"\1\2", text)))
            found |= {*fitting} if len(fitting) == 1 else set()
            either = either or (cell if len(fitting) > 1 else "")
    return frozenset(found), either


@dataclass(frozen=True)
class _Column:
    """A column's texts without what surrounds numbers, and by decimal sign which cells can be read with it."""

    texts: pa.Array
    missing: np.ndarray
    fits: dict[str, np.ndarray]

    def clear(self, sign: str) -> bool:
        """Whether some cell can be read with this sign only."""
        others = [fit for other, fit in self.fits.items() if other != sign]
        return bool((self.fits[sign] & ~np.logical_or.reduce(others)).any()) if others else True

    def values(self, sign: str, between: str) -> np.ndarray:
        """Cells as numbers; NaN where the sign does not fit."""
        chosen = pc.if_else(pa.array(self.fits[sign]), self.texts, pa.scalar(None, pa.string()))
        plain = pc.replace_substring_regex(chosen, f"[{re.escape(between)}]", "")
        if sign == ",":
            plain = pc.replace_substring(plain, ",", ".")
        return pc.cast(plain, pa.float64()).to_numpy(zero_copy_only=False)


def convert(raw: Raw, columns: Iterable[str], schema: Schema) -> list[str]:
    """Replace text columns of a frame by float64; what is no number becomes a fault.

    Returns
    -------
    list of str
        What was decided, a sentence each.
    """
    frame, written = raw.frame, schema.written
    patterns = _patterns(written)
    said: list[str] = []
    read: dict[str, _Column] = {}
    for name in columns:
        column, sentences = _column(name, frame[name], patterns)
        said += sentences
        read[name] = column
    evident = [s for s in patterns if s in raw.signs or any(column.clear(s) for column in read.values())]
    if "," in evident and not written.decimal:
        also = ", but for some cells that have a decimal point" if "." in evident else ""
        said.append(f"Numbers are read with a decimal comma{also}.")
    for name, column in read.items():
        values, doubtful = _values(column, patterns, evident)
        raw.faults.values(name, doubtful, _two_readings, frame[name])
        optional = name in schema.features
        raw.faults.values(name, np.isnan(values) & ~column.missing, partial(_not_a_number, optional), frame[name])
        frame[name] = values
    return said


def _column(name: str, cells: pd.Series, patterns: Mapping[str, tuple[str, str]]) -> tuple[_Column, list[str]]:
    """Prepare one column, and say what is taken off."""
    said = []
    texts = pc.utf8_trim_whitespace(pa.array(cells, pa.string(), from_pandas=True))
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    texts = pc.replace_substring(texts, "\N{MINUS SIGN}", "-")
    missing = texts.is_null().to_numpy(zero_copy_only=False)
    lower = pc.utf8_lower(texts)
    truth = pc.is_in(lower, pa.array([*_TRUTH, *_TRUTH.values()]))
    if pc.all(pc.or_(truth, texts.is_null())).as_py() and pc.any(pc.is_in(lower, pa.array([*_TRUTH]))).as_py():
        said.append(f"Column {name!r}: true and false are read as 1 and 0.")
        for word, digit in _TRUTH.items():
            lower = pc.replace_substring(lower, word, digit)
        texts = lower
    bare = pc.replace_substring_regex(pc.replace_substring_regex(texts, _BEFORE, r"\1\2"), _AFTER, r"\1")
    if not bare.equals(texts):
        said.append(f"Column {name!r}: currency signs are left out.")
    fits = {sign: _mask(pc.match_substring_regex(bare, pattern)) for sign, (pattern, _) in patterns.items()}
    infinite = _mask(pc.match_substring_regex(bare, _INFINITE))
    return _Column(bare, missing, {sign: fit | infinite for sign, fit in fits.items()}), said


def _mask(array: pa.Array) -> np.ndarray:
    return pc.fill_null(array, False).to_numpy(zero_copy_only=False)


def _values(
    column: _Column, patterns: Mapping[str, tuple[str, str]], evident: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """One column's numbers by what the whole table shows, and which cells can be read in two ways."""
    values = {sign: column.values(sign, between) for sign, (_, between) in patterns.items()}
    doubtful = np.zeros(len(column.missing), dtype=bool)
    if len(evident) == 1:
        return values[evident[0]], doubtful
    first, *others = values.values()
    if others:  # both signs are in the table, or neither: a cell counts where it has one reading
        doubtful = (first != others[0]) & ~np.isnan(first) & ~np.isnan(others[0])
        first = np.where(np.isnan(first), others[0], first)
    return first, doubtful


def _two_readings(cell: object) -> str:
    ways = " or ".join(f"{_NAMES[sign]} (\"decimal: '{sign}'\")" for sign in (".", ","))
    return f"{shown(cell)} can be read in two ways, and no cell decides which; say in the schema that it has {ways}"


def _not_a_number(optional: bool, cell: object) -> str:
    others = ", leave it empty where it is not known, or list the column under 'categorical' or 'ignored'"
    return f"{shown(cell)} is not a number; correct it{others if optional else ' or drop the row'}"
