"""From a path to a checked frame: formats, columns, types and values."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from fraud_utils.artifact import MISSING
from fraud_utils.data.schema import ULB, DataError, Schema
from fraud_utils.project import resolve

ULB_SHA256 = "76274b691b16a6c49d3f159c883398e03ccd6d1ee12d9d8ee38f4b4b98551a89"
ULB_ROWS, ULB_FRAUDS = 284_807, 492
DEFAULT_PATH = "data/creditcard.csv"
FORMATS = (".csv", ".csv.gz", ".csv.zip", ".parquet")
SIMULATED_ROWS = 80_000


def load_transactions(path: str | Path = "", schema: Schema | None = None, seed: int = 7) -> pd.DataFrame:
    """Load a table of transactions and check it.

    Parameters
    ----------
    path : str or Path
        `.csv`, `.csv.gz`, `.csv.zip` (one member) or `.parquet`, relative to the project's root. Empty:
        `data/creditcard.csv` where it exists, else simulated transactions.
    schema : Schema, optional
        What the columns mean; the reference set's when not given.
    seed : int
        Of the simulation, where nothing is loaded.

    Returns
    -------
    pandas.DataFrame
        One row a transaction in order of time; `schema.columns`, numeric ones float64, the label int8, the time in
        seconds (timestamps: from midnight of the first day, UTC), categorical ones `category`.
        `attrs["provenance"]` holds `name`, `simulated`, `path`, `sha256` (of the uncompressed CSV, or of the
        parquet file), `rows`, `frauds`, `columns`, and `currency`, None without amounts.

    Raises
    ------
    DataError
        The file cannot be read, or its columns, types, labels, values or checksum are wrong.
    """
    schema = schema or ULB
    if not str(path):
        if schema is not ULB:
            raise DataError(f"schema {schema.name!r} needs a table: give its path with DATA=path")
        if not resolve(DEFAULT_PATH).exists():
            return _simulated(seed)
        path = DEFAULT_PATH
    file = resolve(path)
    if not file.is_file():
        raise DataError(f"{path}: no such file; check the path, or fetch the reference data with 'make data'")
    if file.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; fetch or export it again")
    name = file.name.lower()
    if not name.endswith(FORMATS):
        raise DataError(f"{path}: unknown format; expected one of {', '.join(FORMATS)}")
    table, sha256 = (_read_parquet if name.endswith(".parquet") else _read_csv)(file, schema, str(path))
    frame = _checked(table, schema, str(path))
    frauds = int(frame[schema.label].sum())
    if schema is ULB and sha256 != ULB_SHA256 and name.startswith("creditcard.csv"):
        raise DataError(
            f"{path}: has the name and columns of ULB's creditcard.csv but is a different file: SHA-256 "
            f"{sha256[:12]}… instead of {ULB_SHA256[:12]}…, {len(frame):,} rows and {frauds:,} frauds instead of "
            f"{ULB_ROWS:,} and {ULB_FRAUDS}; fetch the right one with 'make data', or rename this file to use it so"
        )
    frame.attrs["provenance"] = {
        "name": schema.name if schema is not ULB or sha256 == ULB_SHA256 else file.name,
        "simulated": False,
        "path": str(path),
        "sha256": sha256,
        "rows": len(frame),
        "frauds": frauds,
        "columns": len(frame.columns),
        "currency": schema.currency if schema.amount else None,
    }
    return frame


def _simulated(seed: int) -> pd.DataFrame:
    from fraud_utils.data.simulate import GENERATOR_VERSION, simulate_transactions

    frame = simulate_transactions(SIMULATED_ROWS, seed=seed)
    digest = hashlib.sha256()
    for column in frame.columns:
        digest.update(np.ascontiguousarray(frame[column].to_numpy()).data)
    frame.attrs["provenance"] = {
        "name": f"SIMULATED transactions (generator {GENERATOR_VERSION}, seed {seed})",
        "simulated": True,
        "path": None,
        "sha256": digest.hexdigest(),
        "rows": len(frame),
        "frauds": int(frame[ULB.label].sum()),
        "columns": len(frame.columns),
        "currency": ULB.currency,
    }
    return frame


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
def _uncompressed(file: Path, path: str) -> Iterator[IO[bytes]]:
    """Open the CSV inside a plain, gzip or zip file, and turn damage met while reading into a DataError."""
    try:
        if file.name.lower().endswith(".zip"):
            with zipfile.ZipFile(file) as archive:
                members = [m for m in archive.namelist() if not m.endswith("/") and not m.startswith("__MACOSX/")]
                if len(members) != 1:
                    raise DataError(f"{path}: holds {len(members)} files; a .csv.zip must hold one CSV")
                with archive.open(members[0]) as stream:
                    yield stream
        elif file.name.lower().endswith(".gz"):
            with gzip.open(file) as stream:
                yield stream  # type: ignore[misc]
        else:
            with file.open("rb") as stream:
                yield stream
    except (
        zipfile.BadZipFile,
        gzip.BadGzipFile,
        EOFError,
        zlib.error,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise DataError(f"{path}: damaged, cut short or encrypted archive ({error}); fetch or zip it again") from None


def _read_csv(file: Path, schema: Schema, path: str) -> tuple[Any, str]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    text = set(_text_columns(schema))
    types = {name: pa.string() if name in text else pa.float64() for name in schema.columns}
    with _uncompressed(file, path) as stream:
        hashed = _Hashed(stream)
        with io.BufferedReader(hashed, 1 << 20) as buffered:
            first_line = buffered.peek().split(b"\n", 1)[0].decode("utf-8-sig", errors="replace")
            header = next(csv.reader([first_line]), [])
            _check_header(header, schema, path)
            try:
                table = arrow_csv.read_csv(
                    buffered,
                    read_options=arrow_csv.ReadOptions(block_size=1 << 22),
                    convert_options=arrow_csv.ConvertOptions(
                        column_types=types, include_columns=list(schema.columns), strings_can_be_null=True
                    ),
                )
            except pa.ArrowInvalid as error:
                raise _unreadable_csv(file, header, schema, path, str(error)) from None
            while buffered.read(1 << 20):  # whatever the parser left unread counts for the checksum and the CRC
                pass
    return table, hashed.digest.hexdigest()


def _text_columns(schema: Schema) -> tuple[str, ...]:
    entity = (schema.entity,) if schema.entity else ()
    return (*schema.categorical, *entity, *((schema.time,) if schema.time_unit == "timestamp" else ()))


def _check_header(header: list[str], schema: Schema, path: str) -> None:
    if not any(name.strip() for name in header):
        raise DataError(f"{path}: the first line names no columns; a header line is needed")
    if repeated := next((name for name in header if header.count(name) > 1), None):
        raise DataError(f"{path}: column {repeated!r} appears {header.count(repeated)} times; rename or drop one")
    extra = [name for name in header if name not in schema.columns and name not in schema.ignored]
    if missing := [name for name in schema.columns if name not in header]:
        close = get_close_matches(missing[0], extra, 1)
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        remedy = f"the file has {close[0]!r}: rename it" if close else "add it"
        raise DataError(
            f"{path}: column {missing[0]!r} is missing{more}; {remedy}, or describe this "
            "table in a YAML file and give it with SCHEMA=path (README: 'Bring another table')"
        )
    if extra:
        raise DataError(
            f"{path}: column {extra[0]!r} is not in the schema {schema.name!r}; drop it, or list it in a schema file "
            "(SCHEMA=path) under 'features', 'categorical' or 'ignored'"
        )


def _unreadable_csv(file: Path, header: list[str], schema: Schema, path: str, reason: str) -> DataError:
    """Find the first cell that the fast parser refused. Slow, and only on the way to an error."""
    text = {*_text_columns(schema), *schema.ignored}
    with _uncompressed(file, path) as stream:
        rows = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline=""))
        next(rows)
        for number, row in enumerate(rows, 1):
            where = f"{path}: row {number} (line {rows.line_num})"
            if row and len(row) != len(header):
                return DataError(
                    f"{where} has {len(row)} values where the header names {len(header)} columns; "
                    "mend the row, or fetch the file again if it was cut short"
                )
            for name, value in zip(header, row, strict=False):
                if name not in text and value not in MISSING:
                    try:
                        float(value)
                    except ValueError:
                        return DataError(
                            f"{where}, column {name!r}: {value!r} is not a number; correct or remove the row"
                        )
    return DataError(f"{path}: not readable as CSV: {reason}")


def _read_parquet(file: Path, schema: Schema, path: str) -> tuple[Any, str]:
    import pyarrow as pa
    from pyarrow import parquet

    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        _check_header(parquet.read_schema(file).names, schema, path)
        table = parquet.read_table(file, columns=list(schema.columns))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: not readable as parquet ({error}); export it again") from None
    text = _text_columns(schema)
    for index, name in enumerate(schema.columns):
        column = table.column(name)
        kind = column.type
        if name in text:
            wanted = kind if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else pa.string()
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            wanted = pa.float64()
        elif pa.types.is_boolean(kind):
            column, wanted = column.cast(pa.int8()), pa.float64()
        else:
            raise DataError(f"{path}: column {name!r} holds {kind}, not numbers; convert it, or change its role")
        try:
            table = table.set_column(index, name, column.cast(wanted, safe=False))
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: column {name!r} of type {kind} cannot be read as {wanted}: {error}") from None
    return table, sha256


def _checked(table: Any, schema: Schema, path: str) -> pd.DataFrame:
    """Check every value and give the frame, in order of time."""
    if table.num_rows == 0:
        raise DataError(f"{path}: has a header and no rows; export it again")

    def refuse(bad: np.ndarray, column: str, fault: str, remedy: str) -> None:
        if bad.any():
            row, count = int(np.argmax(bad)) + 1, int(bad.sum())
            more = f" (and {count - 1:,} more rows)" if count > 1 else ""
            raise DataError(f"{path}: row {row}, column {column!r}{more}: {fault}; {remedy}")

    frame = table.select(list(schema.columns)).to_pandas(self_destruct=True)
    if schema.time_unit == "timestamp":
        instants = pd.to_datetime(frame[schema.time], utc=True, errors="coerce", format="ISO8601")
        refuse(
            instants.isna().to_numpy(),
            schema.time,
            "no timestamp",
            "write it as 2026-01-31T23:59:59, or drop the row",
        )
        frame[schema.time] = (instants - instants.min().floor("D")).dt.total_seconds()
    for column in (schema.label, schema.time, schema.amount):
        if column:
            refuse(frame[column].isna().to_numpy(), column, "the value is missing", "fill it in or drop the row")
    for column in (schema.time, *schema.numeric):
        refuse(
            np.isinf(frame[column].to_numpy()),
            column,
            "the value is infinite",
            "replace it with a number or leave it empty",
        )
    label = frame[schema.label].to_numpy()
    refuse(
        (label != 0) & (label != 1),
        schema.label,
        "the label is neither 0 nor 1",
        "code fraud as 1, legitimate as 0",
    )
    if label.min() == label.max():
        kind = "fraud" if label[0] else "legitimate"
        raise DataError(
            f"{path}: column {schema.label!r}: all {len(label):,} rows are {kind}; learning needs both classes"
        )
    if schema.amount and not schema.negative_amounts:
        refuse(
            frame[schema.amount].to_numpy() < 0,
            schema.amount,
            "the amount is negative",
            "correct it, or allow refunds with 'negative_amounts: true' in the schema",
        )
    frame[schema.label] = label.astype(np.int8)
    for column in schema.categorical:
        frame[column] = frame[column].astype("category")
    if not frame[schema.time].is_monotonic_increasing:
        frame = frame.sort_values(schema.time, kind="stable", ignore_index=True)
    return frame
