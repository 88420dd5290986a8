"""What the columns of a file hold, without a schema: kind, gaps, distinct values, and how dates are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fraud_utils.data import dialect, numbers, times
from fraud_utils.data.files import TableFile, check_format, uncompressed
from fraud_utils.data.schema import DataError, Schema

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


def look(path: Path, source: str) -> Look:
    """Read every column of a table whatever it holds.

    Raises
    ------
    DataError
        The format is unknown, or the file is empty or damaged.
    """
    return look_at([TableFile(path, Schema("", "label", None, None, ("feature",)), source)], source)


def look_at(tables: Sequence[TableFile], source: str) -> Look:
    """Read a file, or the first rows of each of some files of a folder, from its first to its last.

    Raises
    ------
    DataError
        As `look` does; or a column is of types in two files that have nothing in common.
    """
    count = min(len(tables), FILES)
    chosen = [tables[round(place)] for place in np.linspace(0, len(tables) - 1, count)]
    rows = ROWS // count if len(tables) > 1 else None
    read = [_first_rows(table, rows) for table in chosen]
    contents = [content for content, _ in read if content.num_rows]
    if not contents:
        raise DataError(f"{source}: has a header and no rows; export it again")
    content = _joined(contents, source) if len(tables) > 1 else contents[0]
    first, *others = [written for content, written in read if content.num_rows]
    alike = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    commas = {"decimal": ","} if any("decimal" in written for written in (first, *others)) else {}  # some show none
    with ThreadPoolExecutor() as threads:
        columns = threads.map(lambda name: _column(name, content.column(name), bool(commas)), content.column_names)
    cut = f"at most the first {rows:,} rows of " if any(len(content) == rows for content in contents) else ""
    files = f"{count} of its {len(tables)} files" if count < len(tables) else f"its {count} files"
    seen = f"{cut}{files}" if cut or count < len(tables) else ""
    return Look(chosen[0].path, tuple(columns), alike | commas, seen, frozenset(chosen[0].given))


def _first_rows(table: TableFile, rows: int | None) -> tuple[pa.Table, dict[str, str]]:
    """So many rows or all, with the columns that a parquet file has by its folders; and how a CSV is written."""
    check_format(table)
    if not table.is_parquet:
        content, written = _csv(table, rows)
        return _one_nameless(content), written
    content = _one_nameless(_parquet(table, rows))
    for name, value in table.given.items():
        if name not in content.column_names:
            content = content.append_column(name, pa.repeat(pa.scalar(value, pa.string()), len(content)))
    return content, {}


def _joined(contents: Sequence[pa.Table], source: str) -> pa.Table:
    """Rows of several files, with gaps where a file lacks a column; what has no type in common becomes text."""
    joined = {}
    for name in dict.fromkeys(name for content in contents for name in content.column_names):
        pieces = [_decoded(content.column(name)) if name in content.column_names else pa.nulls(len(content))
                  for content in contents]  # fmt: skip
        types = [piece.type for piece in pieces]
        try:
            schemas = [pa.schema([(name, kind)]) for kind in types]
            kind = pa.unify_schemas(schemas, promote_options="permissive").field(name).type
        except (pa.ArrowTypeError, pa.ArrowInvalid):
            kind = pa.string()
        try:
            cast = [piece.cast(kind, safe=False) for piece in pieces]
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            found = ", ".join(sorted({*map(str, types)}))
            raise DataError(f"{source}: column {name!r} holds in different files {found}; write it alike") from None
        chunks = [
            chunk for piece in cast for chunk in (piece.chunks if isinstance(piece, pa.ChunkedArray) else [piece])
        ]
        joined[name] = pa.chunked_array(chunks, kind)
    return pa.table(joined)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if isinstance(column.type, pa.DictionaryType) else column


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


def _check_names(names: Sequence[str], source: str) -> None:
    """Refuse names that two columns have; several may have none, as a spreadsheet's empty ones do."""
    repeated = next((name for name in names if name and names.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"{source}: column {repeated!r} appears {names.count(repeated)} times; rename or drop one")


def _one_nameless(content: pa.Table) -> pa.Table:
    """Of columns without a name the first that has values, or else the first: a schema speaks of all of them as ''."""
    nameless = [place for place, name in enumerate(content.column_names) if not name]
    filled = [place for place in nameless if content.column(place).null_count < content.num_rows]
    kept = (filled or nameless)[:1]
    return content.select([place for place in range(content.num_columns) if place in kept or place not in nameless])


def _parquet(table: TableFile, rows: int | None) -> pa.Table:
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(table.path) as file:
            _check_names(file.schema_arrow.names, table.source)
            if rows is None:
                return file.read()
            return _first_batches(file.iter_batches(rows), file.schema_arrow, rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{table.source}: not readable as parquet ({error}); export it again") from None


def _csv(table: TableFile, rows: int | None, encoding: str = "") -> tuple[pa.Table, dict[str, str]]:
    """All columns as text, and how they are written."""
    from pyarrow import csv as arrow_csv

    detected, source = dialect.detect(table, encoding), table.source
    header = detected.header
    if table.part and not detected.sample:
        return pa.table({}), {}
    _check_names(header, source)
    if all(map(numbers.is_number, header)):
        raise DataError(f"{source}: the first line holds values, not names; add a line with the columns' names")
    read = arrow_csv.ReadOptions(
        use_threads=rows is None,  # which would read on while the file is closed
        block_size=1 << 22,
        encoding=detected.encoding.removesuffix("-sig"),
    )
    parse = arrow_csv.ParseOptions(delimiter=detected.separator, newlines_in_values=True)
    texts = arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True)
    with uncompressed(table) as stream:
        try:
            if rows is None:
                content = arrow_csv.read_csv(stream, read, parse, texts)
            else:
                with arrow_csv.open_csv(stream, read, parse, texts) as reader:
                    content = _first_batches(reader, reader.schema, rows)
        except (pa.ArrowInvalid, UnicodeError) as error:
            if "UTF" in str(error).upper() and not encoding:
                return _csv(table, rows, dialect.FALLBACK)
            raise DataError(f"{source}: not readable as CSV: {error}; correct the row, or export it again") from None
    written = {"separator": detected.separator} if detected.separator != "," else {}
    if "," in numbers.signs(cell for row in detected.sample for cell in row):
        written["decimal"] = ","
    if not detected.encoding.startswith("utf"):
        written["encoding"] = detected.encoding
    return content, written


def _first_batches(given: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int) -> pa.Table:
    batches, count = [], 0
    for batch in given:
        batches.append(batch)
        count += len(batch)
        if count >= rows:
            break
    return pa.Table.from_batches(batches, schema).slice(0, rows)


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
        return None
    only = _parsed(text, formats[0]) if len(formats) == 1 else None
    values = _instants(only) if only is not None else np.full(len(text), "NaT", "datetime64[us]")
    return replace(made, kind="date", values=values, formats=formats)


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
