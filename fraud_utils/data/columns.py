"""What the columns of a file hold, without a schema: kind, gaps, distinct values, and how dates are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fraud_utils.data import times
from fraud_utils.data.files import TableFile
from fraud_utils.data.peek import first_rows, joined
from fraud_utils.data.schema import DataError

SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"}
EXAMPLES, SAMPLE = 4, 1_000
FILES, ROWS = 10, 100_000  # of a folder's files, how many are looked at, and how many rows of them together
CLOCKS = {
    " %H:%M": r" \d{1,2}:\d{2}",
    " %H:%M:%S": r" \d{1,2}:\d{2}:\d{2}",
    " %I:%M %p": r" \d{1,2}:\d{2} [AaPp][Mm]",
    " %I:%M:%S %p": r" \d{1,2}:\d{2}:\d{2} [AaPp][Mm]",
}
DIGITS = {6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True)
class Column:
    """One column of a file.

    Attributes
    ----------
    name : str
    kind : str
        `number`, `date`, `text`, `empty` where no row has a value, or `other`: lists, bytes and the like, whose type
        is the example.
    values : numpy.ndarray, shape (rows,)
        float64 of numbers, datetime64 of dates whose format is known, else an array of codes below `distinct`; gaps
        are NaN, NaT and -1.
    distinct, missing : int
        Values, and rows without one.
    examples : tuple of str
        The first values that differ, as the file has them: all of them where there are no more than `EXAMPLES`.
    formats : tuple of str
        Of dates: every reading that fits all rows, in the codes of strptime; "" is ISO 8601.
    sign, thousands : str
        The currency's sign and the mark between thousands, where numbers bear them.
    """

    name: str
    kind: str
    values: np.ndarray
    distinct: int
    missing: int
    examples: tuple[str, ...]
    formats: tuple[str, ...] = ()
    sign: str = ""
    thousands: str = ""

    @property
    def rows(self) -> int:
        return len(self.values)

    @property
    def gaps(self) -> np.ndarray:
        """Whether a row has no value, shape (rows,)."""
        return self.values < 0 if self.kind in ("text", "empty", "other") else np.isnan(self.values)

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole."""
        known = self.values[~np.isnan(self.values)] if self.kind == "number" else np.array([0.5])
        return bool(np.all(known == np.floor(known)))

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest number."""
        return float(np.nanmin(self.values)), float(np.nanmax(self.values))


@dataclass(frozen=True)
class Look:
    """A table's columns.

    Attributes
    ----------
    path : Path
        Of a folder, its first file.
    columns : tuple of Column
    written : dict of str to str
        `separator`, `decimal` and `encoding` of a CSV, where not the usual.
    seen : str
        Which part of a folder was looked at; "" for all of it.
    folders : frozenset of str
        The columns that folders' names give (hive partitions).
    """

    path: Path
    columns: tuple[Column, ...]
    written: dict[str, str]
    seen: str = ""
    folders: frozenset[str] = frozenset()


def look(tables: Sequence[TableFile], source: str) -> Look:
    """Read a file, or the first rows of each of some files of a folder, from its first to its last.

    Raises
    ------
    DataError
        The format is unknown, the file is empty or damaged, or a column is of types in two files that have nothing in
        common.
    """
    count = min(len(tables), FILES)
    chosen = [tables[round(place)] for place in np.linspace(0, len(tables) - 1, count)]
    rows = ROWS // count if len(tables) > 1 else None
    read = [first_rows(table, rows) for table in chosen]
    contents = [content for content, _ in read if content.num_rows]
    if not contents:
        raise DataError(f"{source}: has a header and no rows; export it again")
    content = joined(contents, source) if len(tables) > 1 else contents[0]
    first, *others = [written for content, written in read if content.num_rows]
    alike = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    commas = {"decimal": ","} if any("decimal" in written for written in (first, *others)) else {}  # some show none
    with ThreadPoolExecutor() as threads:
        columns = threads.map(lambda name: _column(name, content.column(name), bool(commas)), content.column_names)
    cut = f"at most the first {rows:,} rows of " if any(len(content) == rows for content in contents) else ""
    files = f"{count} of its {len(tables)} files" if count < len(tables) else f"its {count} files"
    seen = f"{cut}{files}" if cut or count < len(tables) else ""
    return Look(chosen[0].path, tuple(columns), alike | commas, seen, frozenset(chosen[0].given))


def as_dates(column: Column) -> Column | None:
    """A column of whole numbers such as 20250131 as one of dates, where all are such from the years 1900 to 2099."""
    if column.kind != "number" or not column.whole or column.sign or column.thousands:
        return None
    low, high = column.range
    digits = len(f"{low:.0f}")
    written = re.fullmatch(rf"\s*\d{{{digits}}}([.,]0*)?\s*", column.examples[0])  # 20250131.0 is one, too
    if digits not in DIGITS or not written or low < 19 * 10 ** (digits - 2) or high >= 21 * 10 ** (digits - 2):
        return None
    distinct, places = np.unique(column.values[~column.gaps], return_inverse=True)
    instants = times.parsed(pd.Series(distinct.astype("int64").astype(str)), DIGITS[digits])
    if instants.isna().any():
        return None
    values = np.full(column.rows, "NaT", "datetime64[us]")
    values[~column.gaps] = instants.dt.tz_localize(None).to_numpy()[places]
    return replace(column, kind="date", values=values, formats=(DIGITS[digits] + (written[1] or ""),))


# One column ---------------------------------------------------------------------------------------------------------


def _column(name: str, given: pa.ChunkedArray, comma: bool) -> Column:
    """What a column holds; text is read as numbers or dates where all of it can be."""
    kind = given.type.value_type if isinstance(given.type, pa.DictionaryType) else given.type
    if pa.types.is_nested(kind) or pa.types.is_duration(kind) or "binary" in str(kind):
        return Column(name, "other", np.full(len(given), -1), 0, given.null_count, (str(kind),))
    given = given.cast(pa.string() if "string" in str(kind) or pa.types.is_null(kind) else kind)
    missing, distinct = given.null_count, pc.count_distinct(given).as_py()
    some = given if distinct <= EXAMPLES else given.slice(0, SAMPLE)  # of few values all: a fraud may come late
    examples = tuple(str(value) for value in some.unique().drop_null()[:EXAMPLES].to_pylist())
    if missing == len(given):
        return Column(name, "empty", np.full(len(given), -1), 0, missing, ())
    made = Column(name, "text", np.empty(0), distinct, missing, examples)
    if pa.types.is_time(kind):
        return replace(made, kind="other", values=np.full(len(given), -1), examples=(str(kind), *examples))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return replace(made, kind="date", values=_instants(given), formats=("",))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return replace(made, kind="number", values=_numbers(given))
    text = given.cast(pa.string(), safe=False)
    sample = text.slice(0, SAMPLE)
    if _as_number(sample, made, comma) and (found := _as_number(text, made, comma)):
        return found
    if _as_date(sample, made) and (found := _as_date(text, made)):
        return found
    coded = text.combine_chunks().dictionary_encode()
    return replace(made, values=pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False))


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    return values.cast(pa.float64(), safe=False).to_numpy()


def _instants(values: pa.ChunkedArray) -> np.ndarray:
    return values.cast(pa.timestamp("us"), safe=False).to_numpy()


def _as_number(text: pa.ChunkedArray, made: Column, comma: bool) -> Column | None:
    """The column with numbers where every text is one, with a currency's sign and thousands or without."""
    sign = next((each for each in SIGNS if made.examples and each in made.examples[0]), "")
    plain = pc.utf8_trim_whitespace(text)
    if sign:
        plain = pc.replace_substring(plain, sign, "")
    grouped = "." if comma else ","
    pattern = rf"^-?\d{{1,3}}([{grouped}]\d{{3}})+(\D\d*)?$"
    thousands = grouped if pc.any(pc.match_substring_regex(plain, pattern)).as_py() else ""
    if thousands:
        plain = pc.replace_substring(plain, thousands, "")
    if comma:
        plain = pc.replace_substring(plain, ",", ".")
    try:
        return replace(made, kind="number", values=_numbers(plain), sign=sign, thousands=thousands)
    except pa.ArrowInvalid:
        return None


def _as_date(text: pa.ChunkedArray, made: Column) -> Column | None:
    """The column with instants where every text is one in ISO 8601 or in one or two other ways to write dates."""
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return replace(made, kind="date", values=_instants(text.cast(kind)), formats=("",))
        except pa.ArrowInvalid:
            pass
    formats = tuple(each for each in _formats(text) if _parsed(text, each) is not None)
    if not formats:
        return _as_loaded(text, made)
    only = _parsed(text, formats[0]) if len(formats) == 1 else None
    values = _instants(only) if only is not None else np.full(len(text), "NaT", "datetime64[us]")
    return replace(made, kind="date", values=values, formats=formats)


def _as_loaded(text: pa.ChunkedArray, made: Column) -> Column | None:
    """As `_as_date`, in the ways that loading knows beside: names of months, fractions of seconds; slower."""
    known = pd.Series(pc.utf8_trim_whitespace(text.unique().drop_null()).to_pylist(), dtype="str")
    # Most texts are no dates, and that shows quickly.
    if not known.str.match(r"\d{1,4}[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ]\d{2}|[A-Za-z]{3,9} \d{1,2}, \d").all():
        return None
    read = {form: times.parsed(known, form) for form in ("ISO8601", *times.fitting_formats(known))}
    whole = {form: instants for form, instants in read.items() if instants.notna().all()}
    differing = [
        form for n, form in enumerate(whole) if not any(whole[form].equals(each) for each in [*whole.values()][:n])
    ]
    if not differing:
        return None
    values = np.full(len(text), "NaT", "datetime64[us]")
    if len(differing) == 1:
        places = pc.index_in(pc.utf8_trim_whitespace(text), pa.array(known, pa.string()))
        instants = whole[differing[0]].dt.tz_localize(None).to_numpy("datetime64[us]")
        there = text.is_valid().to_numpy()
        values[there] = instants[places.drop_null().to_numpy()]
    return replace(
        made, kind="date", values=values, formats=tuple("" if each == "ISO8601" else each for each in differing)
    )


def _formats(text: pa.ChunkedArray) -> list[str]:
    """Ways to read dates in numbers that the first row allows; whether others do, too, is not looked at."""
    first = text.drop_null()[0].as_py().strip()
    clock = next((codes for codes, pattern in CLOCKS.items() if re.search(rf"\d{pattern}$", first)), "")
    if match := re.match(r"\d{4}([-/.])\d{1,2}", first):
        return [f"%Y{match[1]}%m{match[1]}%d{clock}"]
    if match := re.match(r"\d{1,2}([-/.])\d{1,2}[-/.](\d{4}|\d{2})\b", first):
        mark, year = match[1], "%Y" if len(match[2]) == 4 else "%y"
        return [f"{a}{mark}{b}{mark}{year}{clock}" for a, b in (("%d", "%m"), ("%m", "%d"))]
    return []


def _parsed(text: pa.ChunkedArray, written: str) -> pa.ChunkedArray | None:
    """Instants where every text is written so."""
    read = pc.strptime(pc.utf8_trim_whitespace(text), format=written, unit="s", error_is_null=True)
    return read if read.null_count == text.null_count else None
