"""Files of transactions: which formats there are, and the bytes of the CSV inside one."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fraud_utils.data.schema import DataError, Schema

FORMATS = (".csv", ".csv.gz", ".csv.zip", ".parquet")
_DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, RuntimeError, NotImplementedError)
_OTHERS = {  # how files begin that are no CSV, and what to do with one
    b"PK\x03\x04": "an Excel workbook or a zip; save the sheet as CSV, or name a zipped CSV .csv.zip",
    b"PAR1": "parquet; name it .parquet",
    b"\x1f\x8b": "compressed by gzip; name it .csv.gz",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"%PDF": "a PDF; export the table as CSV",
    b"<": "a web page or XML; download the table itself",
    b"{": "JSON; export the table as CSV or parquet",
}


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
        Where whoever gave the file says what its columns mean. Empty: the schema's file, where it has one.
    without_header : tuple of str
        The columns, in order, of a CSV whose first line holds values already. Empty: a CSV has a header.
    format : str
        One of `FORMATS`, for a name that does not end in one.
    part : bool
        Whether it is one of several files of a table, which may lack a class, or all rows.
    given : mapping of str to str
        Columns that a parquet file has by the names of its folders (hive partitions), and their only value.
    """

    path: Path
    schema: Schema
    source: str
    schema_source: str = ""
    without_header: tuple[str, ...] = ()
    format: str = ""
    part: bool = False
    given: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name, with the ending that says what it holds."""
        return f"{self.path.name}{self.format}".lower()

    @property
    def described_in(self) -> str:
        """Where to correct what the schema says."""
        given = self.schema_source or self.schema.source
        return given or "a schema file given with SCHEMA=path (README: 'Bring another table')"

    @property
    def is_parquet(self) -> bool:
        return self.name.endswith(".parquet")


class Hashed(io.RawIOBase):
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
def uncompressed(table: TableFile) -> Iterator[IO[bytes]]:
    """Open the CSV inside a plain, gzip or zip file, and turn damage met while reading into a DataError."""
    name = table.name
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


def check_format(table: TableFile) -> None:
    """Refuse a file whose name or size says that there is nothing to read.

    Raises
    ------
    DataError
    """
    if not table.name.endswith(FORMATS):
        raise DataError(f"{table.source}: unknown format; expected one of {', '.join(FORMATS)}")
    if table.path.stat().st_size == 0:
        raise DataError(f"{table.source}: the file is empty; fetch or export it again")


def first_bytes(table: TableFile, count: int) -> bytes:
    """How the CSV begins.

    Raises
    ------
    DataError
        These are the first bytes of something else.
    """
    with uncompressed(table) as stream:
        sample = stream.read(count)
    if other := next((what for begin, what in _OTHERS.items() if sample.startswith(begin)), None):
        raise DataError(f"{table.source}: is no CSV but {other}")
    if (line := sample.removeprefix(codecs.BOM_UTF8)[:5]).startswith(b"sep="):
        raise DataError(f"{table.source}: the first line, {line.decode('latin1')!r}, is for Excel alone; delete it")
    return sample
