"""From a file to a frame of raw values: formats, archives, headers and types. What the values are is not looked at."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

import pandas as pd

from fraud_utils.artifact import MISSING
from fraud_utils.data.schema import DataError, Schema

FORMATS = (".csv", ".csv.gz", ".csv.zip", ".parquet")
_DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class TableFile:
    """A file of transactions, and what messages say about it.

    Attributes
    ----------
    path : Path
    schema : Schema
        What its columns mean.
    source : str
        What messages call the file.
    schema_source : str
        Where whoever gave the file says what its columns mean.
    without_header : tuple of str
        The columns, in order, of a CSV whose first line holds values already. Empty: a CSV has a header.
    """

    path: Path
    schema: Schema
    source: str
    schema_source: str = "a schema file given with SCHEMA=path (README: 'Bring another table')"
    without_header: tuple[str, ...] = ()


def read(table: TableFile) -> tuple[pd.DataFrame, str]:
    """Read a table's columns.

    Returns
    -------
    DataFrame
        `table.schema.file_columns` in the file's order of rows: text where the schema has text, else float64.
    str
        SHA-256 of the uncompressed CSV, or of the parquet file.

    Raises
    ------
    DataError
        The format is unknown, the file damaged, a column missing or unknown, or a value of another type.
    """
    name = table.path.name.lower()
    if not name.endswith(FORMATS):
        raise DataError(f"{table.source}: unknown format; expected one of {', '.join(FORMATS)}")
    if table.path.stat().st_size == 0:
        raise DataError(f"{table.source}: the file is empty; fetch or export it again")
    return (_read_parquet if name.endswith(".parquet") else _read_csv)(table)


class _Hashed(io.RawIOBase):
    """Bytes on their way to the parser, hashed as they pass so that the file is read once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.digest = stream, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self.stream.read(len(buffer))
        self.digest.update(block)
        buffer[: len(block)] = block
        return len(block)


@contextmanager
def _uncompressed(table: TableFile) -> Iterator[IO[bytes]]:
    """Open the CSV inside a plain, gzip or zip file, and turn damage met while reading into a DataError."""
    name = table.path.name.lower()
    try:
        if name.endswith(".zip"):
            with zipfile.ZipFile(table.path) as archive:
                members = [m for m in archive.namelist() if not m.endswith("/") and not m.startswith("__MACOSX/")]
                if len(members) != 1:
                    raise DataError(f"{table.source}: holds {len(members)} files; a .csv.zip must hold one CSV")
                with archive.open(members[0]) as stream:
                    yield stream
        elif name.endswith(".gz"):
            with gzip.open(table.path) as stream:
                yield stream  # type: ignore[misc]
        else:
            with table.path.open("rb") as stream:
                yield stream
    except _DAMAGE as error:
        raise DataError(
            f"{table.source}: damaged, cut short or encrypted archive ({error}); fetch or zip it again"
        ) from None


def _read_csv(table: TableFile) -> tuple[pd.DataFrame, str]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    columns, text = table.schema.file_columns, table.schema.file_text
    types = {name: pa.string() if name in text else pa.float64() for name in columns}
    with _uncompressed(table) as stream:
        hashed = _Hashed(stream)
        with io.BufferedReader(hashed, 1 << 20) as buffered:
            first_line = buffered.peek().split(b"\n", 1)[0].decode("utf-8-sig", errors="replace")
            header = next(csv.reader([first_line]), [])
            bare = bool(table.without_header and header) and _is_number(header[0])
            if bare:
                _check_width(len(header), table)
            else:
                _check_header(header, table)
            # With one processor, threads only queue blocks: up to 30 MB more, and no two runs alike.
            options = arrow_csv.ReadOptions(
                block_size=1 << 22, use_threads=pa.cpu_count() > 1, column_names=table.without_header if bare else None
            )
            try:
                content = arrow_csv.read_csv(
                    buffered,
                    read_options=options,
                    convert_options=arrow_csv.ConvertOptions(
                        column_types=types, include_columns=list(columns), strings_can_be_null=True
                    ),
                )
            except pa.ArrowInvalid as error:
                raise _unreadable_csv(table, None if bare else header, str(error)) from None
            while buffered.read(1 << 20):  # whatever the parser left unread counts for the checksum and the CRC
                pass
    return content.to_pandas(self_destruct=True), hashed.digest.hexdigest()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_width(width: int, table: TableFile) -> None:
    names = table.without_header
    if width != len(names):
        raise DataError(
            f"{table.source}: no header and {width} columns, but schema {table.schema.name!r} has {len(names)} "
            f"({names[0]}, {names[1]}, ... {names[-1]}); describe the columns in {table.schema_source}"
        )


def _check_header(header: list[str], table: TableFile) -> None:
    schema, source = table.schema, table.source
    if not any(name.strip() for name in header):
        raise DataError(f"{source}: the first line names no columns; a header line is needed")
    if repeated := next((name for name in header if header.count(name) > 1), None):
        raise DataError(f"{source}: column {repeated!r} appears {header.count(repeated)} times; rename or drop one")
    extra = [name for name in header if name not in schema.file_columns and name not in schema.ignored]
    if missing := [name for name in schema.file_columns if name not in header]:
        close = get_close_matches(missing[0], extra, 1)
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        remedy = f"the file has {close[0]!r}: rename it" if close else "add it"
        raise DataError(
            f"{source}: column {missing[0]!r} is missing{more}; {remedy}, or describe the columns in "
            f"{table.schema_source}"
        )
    if extra:
        raise DataError(
            f"{source}: column {extra[0]!r} is not in the schema {schema.name!r}; drop it, or list it under "
            f"'features', 'categorical' or 'ignored' in {table.schema_source}"
        )


def _unreadable_csv(table: TableFile, header: Sequence[str] | None, reason: str) -> DataError:
    """Find the first cell that the fast parser refused. Slow, and only on the way to an error."""
    text = {*table.schema.file_text, *table.schema.ignored}
    names = header or table.without_header
    with _uncompressed(table) as stream:
        rows = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline=""))
        if header:
            next(rows)
        for number, row in enumerate(rows, 1):
            where = f"{table.source}: row {number} (line {rows.line_num})"
            if row and len(row) != len(names):
                return DataError(
                    f"{where} has {len(row)} values where the table has {len(names)} columns; "
                    "correct the row, or fetch the file again if it was cut short"
                )
            for name, value in zip(names, row, strict=False):
                if name not in text and value not in MISSING and not _is_number(value):
                    return DataError(f"{where}, column {name!r}: {value!r} is not a number; correct or remove the row")
    return DataError(f"{table.source}: not readable as CSV: {reason}")


def _read_parquet(table: TableFile) -> tuple[pd.DataFrame, str]:
    import pyarrow as pa
    from pyarrow import parquet

    columns = table.schema.file_columns
    with table.path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        _check_header(parquet.read_schema(table.path).names, table)
        content = parquet.read_table(table.path, columns=list(columns))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{table.source}: not readable as parquet ({error}); export it again") from None
    for index, name in enumerate(columns):
        content = content.set_column(index, name, _converted(content.column(name), name, table))
    return content.to_pandas(self_destruct=True), sha256


def _converted(column: Any, name: str, table: TableFile) -> Any:
    """A parquet file's column as text, instants or float64, whatever numbers it holds."""
    import pyarrow as pa

    kind = column.type
    if name in table.schema.file_text:
        wanted = kind if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else pa.string()
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        wanted = pa.float64()
    elif pa.types.is_boolean(kind):
        column, wanted = column.cast(pa.int8()), pa.float64()
    else:
        raise DataError(f"{table.source}: column {name!r} holds {kind}, not numbers; convert it, or change its role")
    try:
        return column.cast(wanted, safe=False)
    except pa.ArrowInvalid as error:
        raise DataError(f"{table.source}: column {name!r} of type {kind} cannot be read as {wanted}: {error}") from None
