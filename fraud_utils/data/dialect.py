"""How a CSV is written: encoding, separator and decimal sign, as its first rows show."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fraud_utils.data import numbers
from fraud_utils.data.files import TableFile, first_bytes
from fraud_utils.data.schema import DataError

SAMPLE = 1 << 17  # bytes
FALLBACK = "cp1252"  # of what is not UTF-8; Latin-1 and a few more letters
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Dialect:
    """What to tell the parser.

    Attributes
    ----------
    encoding, separator, decimal : str
    signs : frozenset of str
        The decimal signs of clear numbers in the sample.
    header : tuple of str
        The first line's names; empty where it holds values already.
    sample : tuple of list of str
        The first rows below it.
    said : tuple of str
        What was detected, a sentence each.
    either : str
        A number in the sample that has another value with another decimal sign; "" for none.
    """

    encoding: str
    separator: str
    decimal: str
    header: tuple[str, ...]
    sample: tuple[Sequence[str], ...]
    signs: frozenset[str]
    said: tuple[str, ...] = ()
    either: str = ""

    def cells(self, index: int) -> Iterator[str]:
        """One column of the sample."""
        return (row[index] for row in self.sample if index < len(row))


def detect(table: TableFile, encoding: str = "") -> Dialect:
    """Look at the first rows of a CSV; what the schema says about the writing is not questioned.

    Parameters
    ----------
    encoding : str
        Of a file whose later bytes have shown that its first ones mislead.

    Raises
    ------
    DataError
        The bytes are not those of a text, or there is no header.
    """
    written = table.schema.written
    said: list[str] = []
    sample = first_bytes(table, SAMPLE)
    encoding = encoding or written.encoding or _encoding(sample)
    text = _decoded(sample, encoding, table)
    if encoding.startswith("utf-16"):
        said.append("The text is read as UTF-16.")
    elif encoding == FALLBACK and not written.encoding:
        said.append(
            "The bytes are not UTF-8: they are read as Windows-1252 (Latin-1). If letters look wrong, name the right "
            "one under 'encoding' in the schema."
        )
    separator = _separator(text, table)
    if written.separator and written.separator not in text:
        raise DataError(
            f"{table.source}: nothing is separated by {written.separator!r}, as 'separator' in {table.described_in} "
            f"says; the first line seems to have {_NAMES[separator]}"
        )
    if written.separator:
        separator = written.separator
    elif separator != ",":
        said.append(f"Columns are separated by {_NAMES[separator]}.")
    first, *rows = [*_rows(text, separator)] or [[]]
    if table.without_header and first and numbers.is_number(first[0]):
        return Dialect(encoding, separator, ".", (), (first, *rows), frozenset(), tuple(said))
    if not any(name.strip() for name in first) and (text.strip() or not table.part):
        raise DataError(f"{table.source}: the first line names no columns; a header line is needed")
    numeric = {*table.schema.file_columns} - {*table.schema.file_text}
    which = [index for index, name in enumerate(first) if name.strip() in numeric]
    cells = (row[index] for row in rows for index in which if index < len(row))
    signs, either = numbers.signs(cells)
    decimal = written.decimal or ("," if signs == {","} or written.thousands == "." else ".")
    return Dialect(encoding, separator, decimal, tuple(first), tuple(rows), signs, tuple(said), either)


def _encoding(sample: bytes) -> str:
    """What the first bytes say; UTF-8 unless they contradict it."""
    if mark := next((name for begin, name in _MARKS.items() if sample.startswith(begin)), None):
        return mark
    for name, half in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
        if half.count(0) > 0.8 * len(half):  # as of Latin letters
            return name
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return FALLBACK
    return "utf-8"


def _decoded(sample: bytes, encoding: str, table: TableFile) -> str:
    """The sample as text; a last line that is cut off is left out."""
    try:
        text = codecs.getincrementaldecoder(encoding)(errors="strict" if table.schema.written.encoding else "replace")
        decoded = text.decode(sample).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{table.source}: line {sample[: error.start].count(b'\n') + 1} is not {encoding} "
            f"(byte {sample[error.start : error.start + 1]!r}); correct 'encoding' in {table.described_in}"
        ) from None
    if "\0" in decoded:
        raise DataError(f"{table.source}: holds zero bytes and is no text; export it as CSV or parquet")
    return decoded[: decoded.rfind("\n") + 1] if len(sample) == SAMPLE and "\n" in decoded else decoded


def _separator(text: str, table: TableFile) -> str:
    """The sign that splits the first line into most of the schema's names, or else into most parts."""
    names = {*table.schema.file_columns, *table.schema.ignored}

    def fit(separator: str) -> tuple[int, int]:
        header = next(_rows(text, separator), [])
        return len(names & {name.strip() for name in header}), len(header)

    return max(_NAMES, key=fit)


def _rows(text: str, separator: str) -> Iterator[Sequence[str]]:
    """Rows that are not empty, as far as they can be told apart."""
    try:
        yield from (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row)
    except csv.Error:
        return
