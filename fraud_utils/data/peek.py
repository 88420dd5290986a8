"""A file's rows as they are, without a schema: of a CSV all columns as text; and those of several files together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from fraud_utils.data import dialect, numbers
from fraud_utils.data.files import TableFile, check_format, uncompressed
from fraud_utils.data.schema import DataError


def first_rows(table: TableFile, rows: int | None) -> tuple[pa.Table, dict[str, str]]:
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


def joined(contents: Sequence[pa.Table], source: str) -> pa.Table:
    """Rows of several files, with gaps where a file lacks a column; what has no type in common becomes text."""
    columns = {}
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
        columns[name] = pa.chunked_array(chunks, kind)
    return pa.table(columns)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if isinstance(column.type, pa.DictionaryType) else column


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
    if "," in numbers.signs(cell for row in detected.sample for cell in row)[0]:
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
