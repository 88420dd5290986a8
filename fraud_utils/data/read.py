"""From a file to a frame of raw values: formats, headers and types. What the values are is not looked at."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fraud_utils.artifact import MISSING
from fraud_utils.data import dialect, numbers
from fraud_utils.data.faults import Faults, Raw
from fraud_utils.data.files import Hashed, TableFile, check_format, uncompressed
from fraud_utils.data.header import INDEX, SIMULATED, match, nameless
from fraud_utils.data.schema import DataError

PIECE_ROWS = 200_000


def read(table: TableFile) -> Raw:
    """Read a table's columns.

    Returns
    -------
    Raw
        Its frame has `table.schema.file_columns` in the file's order of rows: text where the schema has text or a
        cell is no plain number, instants where a parquet file has some, else float64.

    Raises
    ------
    DataError
        The format is unknown, or the file damaged; every other fault is among those of the result.
    """
    check_format(table)
    if not table.is_parquet:
        return _read_csv(table)
    (raw,) = _read_parquet(table)
    return raw


def read_pieces(table: TableFile) -> Iterator[Raw]:
    """As `read`, of a parquet file some `PIECE_ROWS` rows at a time, so that it need not fit into memory."""
    check_format(table)
    if table.is_parquet:
        yield from _read_parquet(table, PIECE_ROWS)
    else:
        yield _read_csv(table)


@dataclass
class _Csv:
    """A CSV, how it is written, and which of its columns are read as what."""

    table: TableFile
    dialect: dialect.Dialect
    names: Mapping[str, str] = field(default_factory=dict)
    texts: Collection[str] = ()
    lenient: bool = False  # rows with too few or too many values are counted and passed over
    newlines: bool = False
    odd_rows: int = 0

    def parse(self) -> tuple[Any, str]:
        """Parse the whole file: an Arrow table of the columns in `names`, and the SHA-256 of the bytes."""
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        self.odd_rows = 0
        types = {given: pa.string() if name in self.texts else pa.float64() for name, given in self.names.items()}
        with uncompressed(self.table) as stream:
            hashed = Hashed(stream)
            with io.BufferedReader(hashed, 1 << 20) as buffered:
                content = arrow_csv.read_csv(
                    buffered,
                    # With one processor, threads only queue blocks: up to 30 MB more, and no two runs alike.
                    read_options=arrow_csv.ReadOptions(
                        block_size=1 << 22,
                        use_threads=pa.cpu_count() > 1,
                        column_names=None if self.dialect.header else self.table.without_header,
                        encoding="utf-8" if self.dialect.encoding == "utf-8-sig" else self.dialect.encoding,
                    ),
                    parse_options=arrow_csv.ParseOptions(
                        delimiter=self.dialect.separator,
                        newlines_in_values=self.newlines,
                        invalid_row_handler=self._skip if self.lenient else None,
                    ),
                    convert_options=arrow_csv.ConvertOptions(
                        column_types=types,
                        include_columns=list(types),
                        strings_can_be_null=True,
                        decimal_point=self.dialect.decimal,
                    ),
                )
                while buffered.read(1 << 20):  # whatever the parser left unread counts for the checksum and the CRC
                    pass
        return content.rename_columns(list(self.names)), hashed.digest.hexdigest()

    def _skip(self, row: Any) -> str:
        self.odd_rows += 1
        return "skip"

    def wrong_line(self) -> str:
        """The first line that is not in the file's encoding; empty where there is none."""
        with uncompressed(self.table) as stream:
            for number, line in enumerate(stream if not self.dialect.encoding.startswith("utf-16") else (), 1):
                try:
                    line.decode(self.dialect.encoding)
                except UnicodeDecodeError as error:
                    return (
                        f"line {number} is not {self.dialect.encoding} (byte {line[error.start : error.start + 1]!r})"
                    )
        return ""

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Every row below the header that is not empty, and the line on which it ends. Slow; on the way to a fault."""
        with uncompressed(self.table) as stream:
            lines = io.TextIOWrapper(stream, encoding=self.dialect.encoding, errors="replace", newline="")
            reader = csv.reader(lines, delimiter=self.dialect.separator)
            try:
                for number, row in enumerate(row for row in reader if row):
                    if number or not self.dialect.header:
                        yield reader.line_num, row
            except csv.Error:
                return

    def locate(self, wanted: Collection[int]) -> dict[int, str]:
        """Where rows of the parsed table are in the file."""
        places = {row: f"row {row + 1}" for row in wanted}
        width, parsed, last = len(self.dialect.header or self.table.without_header), 0, max(wanted)
        for number, (line, row) in enumerate(self.rows(), 1):
            if len(row) == width:
                if parsed in places:
                    places[parsed] = f"row {number} (line {line})"
                parsed += 1
            if parsed > last:
                break
        return places

    def odd_row(self) -> str:
        """The first row with too few or too many values; empty where there is none."""
        width = len(self.dialect.header or self.table.without_header)
        for number, (line, row) in enumerate(self.rows(), 1):
            if len(row) != width:
                more = f" (and {self.odd_rows - 1:,} more rows)" if self.odd_rows > 1 else ""
                values = f"{len(row)} value{'' if len(row) == 1 else 's'} where the table has {width} columns"
                return (
                    f"row {number} (line {line}){more} has {values}; correct the row (a value that holds the "
                    "separator needs quotes), or fetch the file again if it was cut short"
                )
        return ""


def _read_csv(table: TableFile, encoding: str = "") -> Raw:
    import pyarrow as pa

    detected = dialect.detect(table, encoding)
    source = _Csv(table, detected)
    faults, said = Faults(table.source, source.locate), [*detected.said]
    if table.part and not detected.sample:
        return Raw(pd.DataFrame(columns=[*table.schema.file_columns]), "", faults, said)
    source.names = _names(detected, table, faults, said)
    source.texts = _texts(source)
    try:
        content, sha256 = _parsed(source)
    except (pa.ArrowInvalid, UnicodeError) as error:
        wrong = source.wrong_line()
        if wrong and not table.schema.written.encoding and not encoding:
            return _read_csv(table, dialect.FALLBACK)
        reason = f"{wrong}; name its encoding under 'encoding' in {table.described_in}" if wrong else error
        raise DataError(f"{table.source}: not readable as CSV: {reason}") from None
    if source.odd_rows:
        faults.add(
            source.odd_row()
            or f"{source.odd_rows:,} rows have another number of values than the header; "
            "look for a quote that is not closed"
        )
    simulated = SIMULATED in detected.header
    return Raw(content.to_pandas(self_destruct=True), sha256, faults, said, detected.signs, detected.either, simulated)


def _parsed(source: _Csv) -> tuple[Any, str]:
    """Parse as the first rows suggest, and more slowly where a later one does not fit."""
    import pyarrow as pa

    try:
        return source.parse()
    except pa.ArrowInvalid:
        if source.wrong_line():
            raise
    source.lenient, source.texts = True, {*source.names}
    content = source.parse()
    if source.odd_rows and not source.odd_row():  # a line break within quotes
        source.newlines = True
        content = source.parse()
    return content


def _names(detected: dialect.Dialect, table: TableFile, faults: Faults, said: list[str]) -> dict[str, str]:
    """The schema's columns, and how the CSV has them."""
    if not detected.header:
        names, width = table.without_header, len(detected.sample[0])
        if width != len(names):
            raise DataError(
                f"{table.source}: no header and {width} columns, but schema {table.schema.name!r} has {len(names)} "
                f"({names[0]}, {names[1]}, ... {names[-1]}); describe the columns in {table.described_in}"
            )
        return {name: name for name in table.schema.file_columns}
    if "" not in table.schema.ignored:
        places = [place for place, name in enumerate(detected.header) if name.strip() in INDEX]
        nameless({place: [*detected.cells(place)] for place in places}, faults, said)
    return match(detected.header, table, faults, said)


def _texts(source: _Csv) -> set[str]:
    """The columns to read as text: the schema's, and those with a cell in the sample that is no plain number."""
    schema, detected = source.table.schema, source.dialect
    header = detected.header or source.table.without_header
    texts = {*schema.file_text, *({schema.label} if schema.written.fraud else ())}
    for name, given in source.names.items():
        cells = detected.cells(header.index(given))
        if any(cell not in MISSING and not _is_plain(cell, detected.decimal) for cell in cells):
            texts.add(name)
    return texts


def _is_plain(cell: str, decimal: str) -> bool:
    return numbers.is_number(cell if decimal == "." else cell.replace(".", "?").replace(",", "."))


def _read_parquet(table: TableFile, rows: int | None = None) -> Iterator[Raw]:
    """All rows at once, or so many at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    with table.path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    said: list[str] = []
    faults, before = Faults(table.source, _row), 0
    try:
        schema = parquet.read_schema(table.path)
        simulated = SIMULATED.encode() in (schema.metadata or {}) or SIMULATED in schema.names
        given = {name: value for name, value in table.given.items() if name in table.schema.file_columns}
        names = match([*schema.names, *(name for name in given if name not in schema.names)], table, faults, said)
        inside = {name: column for name, column in names.items() if column in schema.names}
        for content in _contents(table, list(inside.values()), rows):
            columns = {}
            for name, column in names.items():
                if name in inside:
                    values = content.column(column)
                else:
                    values = pa.chunked_array([pa.repeat(pa.scalar(given[column], pa.string()), len(content))])
                columns[name] = _converted(values, name, table, said)
                if columns[name] is None:
                    what = f"holds {values.type}, which is neither number nor text"
                    faults.column(name, f"{what}; convert it, or list it under 'ignored'")
                    del columns[name]
                del values
            before += len(content)
            del content  # each column is let go of as it is converted
            yield Raw(pa.table(columns).to_pandas(self_destruct=True), sha256, faults, said, simulated=simulated)
            faults, said = Faults(table.source, functools.partial(_row, before=before)), []
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{table.source}: not readable as parquet ({error}); export it again") from None


def _row(rows: Collection[int], before: int = 0) -> dict[int, str]:
    return {row: f"row {before + row + 1}" for row in rows}


def _contents(table: TableFile, columns: list[str], rows: int | None) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    if rows is None:
        yield parquet.read_table(table.path, columns=columns, partitioning=None)
        return
    # Of all row groups at once, Arrow would hold the bytes of all.
    with parquet.ParquetFile(table.path, pre_buffer=False) as file:
        for groups in _row_groups(file, rows):
            for batch in file.iter_batches(rows, row_groups=groups, columns=columns):
                yield pa.Table.from_batches([batch])
        if not file.metadata.num_rows:
            yield file.read(columns)


def _row_groups(file: Any, rows: int) -> Iterator[list[int]]:
    """Row groups that follow each other and have at most so many rows together, or one that has more."""
    groups: list[int] = []
    total = 0
    for number in range(file.num_row_groups):
        size = file.metadata.row_group(number).num_rows
        if groups and total + size > rows:
            yield groups
            groups, total = [], 0
        groups.append(number)
        total += size
    if groups:
        yield groups


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def as_text(column: Any) -> Any:
    """A parquet file's column as text: 5411 for 5411.0, null for `MISSING`; None for what is no single value."""
    import pyarrow as pa
    from pyarrow import compute as pc

    is_a = pa.types
    if is_a.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind, text = column.type, pa.string()
    words = is_a.is_null(kind) or is_a.is_boolean(kind) or _is_text(kind)
    instants = is_a.is_timestamp(kind) or is_a.is_date(kind) or is_a.is_time(kind)
    if is_a.is_floating(kind) or (is_a.is_decimal(kind) and kind.scale > 0):
        digits = column.cast(pa.int64(), safe=False)
        whole = pc.equal(digits.cast(pa.float64(), safe=False), column.cast(pa.float64()))
        texts = pc.if_else(whole, digits.cast(text), column.cast(text))  # 1000000000000000, where Arrow has 1e+15
    elif words or instants or is_a.is_integer(kind) or is_a.is_decimal(kind):
        texts = column.cast(text)
    else:
        return None
    return pc.if_else(pc.is_in(texts, pa.array([*MISSING], text)), pa.scalar(None, text), texts)


def _converted(column: Any, name: str, table: TableFile, said: list[str]) -> Any:
    """A parquet file's column as text, instants or float64, whatever it holds; None for what is none of them."""
    import pyarrow as pa
    from pyarrow import compute as pc

    schema, is_a = table.schema, pa.types
    if is_a.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    words = name in schema.file_text or (name == schema.label and bool(schema.written.fraud))
    part = name in schema.written.time_from
    if is_a.is_null(kind):
        return column.cast(pa.string() if words else pa.float64())
    if is_a.is_timestamp(kind) or is_a.is_date(kind):
        if part and pc.all(pc.equal(column, pc.floor_temporal(column, unit="day"))).as_py():  # as pandas keeps days
            column = column.cast(pa.date32())
        if part or name in schema.text:
            return column.cast(pa.string())
        return column.cast(pa.timestamp("us")) if is_a.is_date(kind) else column
    if part and is_a.is_time(kind):
        return column.cast(pa.string())
    if _is_text(kind):
        text = as_text(column)
        if count := text.null_count - column.null_count:
            said.append(f"Column {name!r}: {count:,} texts such as 'NA' or '' count as missing, as they do in CSV.")
        return text
    if is_a.is_boolean(kind) and not words:
        return column.cast(pa.int8()).cast(pa.float64())
    if not (is_a.is_integer(kind) or is_a.is_floating(kind) or is_a.is_decimal(kind) or is_a.is_boolean(kind)):
        return None
    if name in schema.written.dates or (name == schema.time and not part):  # since 1970, unless a format says else
        words = bool(schema.written.time_format)
    return as_text(column) if words else column.cast(pa.float64(), safe=False)
