"""Tables that are many files, or one that is large: in which parts they are read, and the parts as one table."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote
from zipfile import BadZipFile, ZipFile

import pandas as pd

from fraud_utils import words
from fraud_utils.data.check import Loaded, checked
from fraud_utils.data.files import FORMATS, TableFile, uncompressed
from fraud_utils.data.read import read_pieces
from fraud_utils.data.schema import DataError, Schema

CGROUP = Path("/sys/fs/cgroup/memory.max")  # what a container may use
NULL = "__HIVE_DEFAULT_PARTITION__"  # how a folder's name says that its rows have no value
GZIP = 3  # times that a CSV is usually longer than its gzip


def memory_bytes() -> int:
    """How much memory this machine has, or this container may use."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = CGROUP.read_text().strip() if CGROUP.exists() else "max"
    return min(machine, int(limit)) if limit.isdecimal() else machine


def files_of(path: Path, schema: Schema, source: str) -> list[TableFile]:
    """The files of a table: one, or all below a folder in order of their names.

    What lies below a folder `column=value` has that value in that column (hive partitions), of parquet files.

    Raises
    ------
    DataError
        The folder holds no table.
    """
    if not path.is_dir():
        return [TableFile(path, schema, source)]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.name.lower().endswith(FORMATS)
        and not any(part[0] in "._" for part in file.relative_to(path).parts)
        and file.stat().st_size
    )
    if not found:
        raise DataError(f"{source}: the folder holds no table; give it files ending in {', '.join(FORMATS)}")
    return [
        TableFile(file, schema, f"{source}/{file.relative_to(path)}", part=True, given=_given(file.relative_to(path)))
        for file in found
    ]


def _given(path: Path) -> dict[str, str | None]:
    """What the names of a file's folders say of its rows."""
    pairs = (part.split("=", 1) for part in path.parts[:-1] if "=" in part)
    return {name: None if value == NULL else unquote(value) for name, value in pairs}


def row_count(tables: Sequence[TableFile]) -> int:
    """About how many rows tables have: parquet files say so, of a CSV it follows from its size and its first rows."""
    return sum(parquet_rows(table.path) if table.is_parquet else _csv_rows(table) for table in tables)


def parquet_rows(path: Path) -> int:
    """How many rows a parquet file says it has; 0 where it is damaged, for whoever reads it to say."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_metadata(path).num_rows
    except (pa.ArrowInvalid, OSError):
        return 0


def counted(tables: Sequence[TableFile]) -> int:
    """How many rows tables have, CSV files read through for it; a line break within quotes counts as a row."""
    return sum(parquet_rows(table.path) if table.is_parquet else _csv_lines(table) for table in tables)


def _csv_lines(table: TableFile) -> int:
    """Lines but for the header."""
    lines, last = 0, b"\n"
    with uncompressed(table) as stream:
        while block := stream.read(1 << 20):
            lines, last = lines + block.count(b"\n"), block[-1:]
    return lines + (last != b"\n") - 1


def _csv_rows(table: TableFile) -> int:
    size = table.path.stat().st_size
    if table.name.endswith(".zip"):
        try:
            with ZipFile(table.path) as archive:
                size = max(member.file_size for member in archive.infolist())
        except (BadZipFile, ValueError):
            return 0
    elif table.name.endswith(".gz"):
        size *= GZIP
    with uncompressed(table) as stream:
        sample = stream.read(1 << 16)
    return round(size * sample.count(b"\n") / max(len(sample), 1))


def read_in_pieces(table: TableFile) -> Iterator[Loaded]:
    """Read a file and check every value, of a large parquet file some rows at a time.

    Raises
    ------
    DataError
        As `load_transactions` does.
    """
    for raw in read_pieces(table):
        yield checked(raw, table)


def joined(frames: Sequence[pd.DataFrame], shifts: Sequence[float], schema: Schema) -> pd.DataFrame:
    """The rows of several parts in order of time, to which each part's shift is added."""
    for frame, shift in zip(frames, shifts, strict=True):
        if shift:
            frame[schema.time] += shift
    if len(frames) == 1:  # in order already
        return frames[0]
    whole = pd.concat(frames, ignore_index=True)
    for column in schema.categorical:
        whole[column] = whole[column].astype("category")
    return whole.sort_values(schema.time, kind="stable", ignore_index=True) if schema.time else whole


def shifts(origins: Iterable[str | None], among: Iterable[str | None]) -> list[float]:
    """Seconds to each of the moments from which parts count their times, from the earliest `among` those of a table."""
    known = {origin: pd.Timestamp(origin) for origin in among if origin}
    start = min(known.values(), default=None)
    return [(known[origin] - start).total_seconds() if origin else 0.0 for origin in origins]


def check_alike(parts: Mapping[str, Loaded], rows: int, frauds: int, name: str, schema: Schema) -> None:
    """Refuse a table of many files whose times or labels cannot be compared, or whose rows are all of one class.

    Parameters
    ----------
    parts : mapping of str to Loaded
        By file, those with rows.

    Raises
    ------
    DataError
    """
    if not rows:
        raise DataError(f"{name}: its files have no row with a label; learning needs both classes")
    undated = [source for source, part in parts.items() if part.origin is None]
    if 0 < len(undated) < len(parts):
        raise DataError(
            f"{min(undated)}: its times have no dates, and those of other files of {name} have; write them alike"
        )
    if len(others := frozenset[str]().union(*(part.legitimate for part in parts.values()))) > 1:
        raise DataError(
            f"{name}: column {schema.label!r}: besides what means fraud there can be one other value, and there are "
            f"{', '.join(map(repr, sorted(others)[:5]))}; code them as one, or leave cells empty and write "
            "'unlabelled: leave_out'"
        )
    _check_spelling(parts, schema)
    if frauds in (0, rows):
        kind = "fraud" if frauds else "legitimate"
        raise DataError(f"{name}: column {schema.label!r}: all {rows:,} rows are {kind}; learning needs both classes")


def _check_spelling(parts: Mapping[str, Loaded], schema: Schema) -> None:
    """Refuse files that write numbers differently, so that one value would count as two, or as a thousand."""
    commas = [source for source, part in parts.items() if part.spelling.signs == {","}]
    doubtful = [source for source, part in parts.items() if not part.spelling.signs and part.spelling.either]
    if commas and doubtful and not (schema.written.decimal or schema.written.thousands):
        raise DataError(
            f"{doubtful[0]}: {parts[doubtful[0]].spelling.either!r} can be read in two ways, and {commas[0]} has a "
            "decimal comma; say in the schema which sign all files have: \"decimal: ','\" or \"decimal: '.'\""
        )
    for column in schema.text:
        codes = {source: part.spelling.codes[column] for source, part in parts.items() if column in part.spelling.codes}
        point = next((source for source, code in codes.items() if code.endswith(".0")), "")
        if point and (plain := next((source for source, code in codes.items() if not code.endswith(".0")), "")):
            raise DataError(
                f"{point}: column {column!r}: {codes[point]!r} and its like are {codes[plain]!r} in {plain}, "
                "so that one value would count as two; write both without a decimal point"
            )


def summed(parts: Collection[Loaded], frame: pd.DataFrame, digests: Sequence[str]) -> Loaded:
    """What is known of all parts of a table, around a frame with their rows; times count from the earliest origin."""
    return Loaded(
        frame,
        one_digest(digests),
        _alike(sentence for part in parts for sentence in part.read_as),
        sum(part.unlabelled for part in parts),
        min((part.origin for part in parts if part.origin), default=None),
        any(part.simulated for part in parts),
    )


def _alike(sentences: Iterable[str]) -> tuple[str, ...]:
    """Sentences that differ in numbers alone once, with how many others there are."""
    groups: dict[str, list[str]] = {}
    for sentence in sentences:
        groups.setdefault(re.sub(r"[\d.,:/-]+", "#", sentence), []).append(sentence)
    more = ((alike[0], len(alike) - 1 if len({*alike}) > 1 else 0) for alike in groups.values())
    return tuple(f"{said} Likewise {words.count(others, 'more part')}." if others else said for said, others in more)


def one_digest(digests: Sequence[str]) -> str:
    """A file's SHA-256, or that of all files' in the order of their names."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
