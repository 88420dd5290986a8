"""From a path to a checked frame: formats, roles of columns, integrity, download, chronological split."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import gzip
import hashlib
import io
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from fraud_utils.features import MISSING

ULB_SHA256 = "76274b691b16a6c49d3f159c883398e03ccd6d1ee12d9d8ee38f4b4b98551a89"
ULB_ROWS, ULB_FRAUDS = 284_807, 492
ULB_URL = "https://storage.googleapis.com/download.tensorflow.org/data/creditcard.csv"
DEFAULT_PATH = "data/creditcard.csv"
FORMATS = (".csv", ".csv.gz", ".csv.zip", ".parquet")
SIMULATED_ROWS = 80_000


class DataError(ValueError):
    """Something is wrong with a table or its schema; the message says what, where and what to do."""


@dataclass(frozen=True)
class Schema:
    """Which column plays which part.

    Attributes
    ----------
    name : str
        What the table is called on pages.
    label : str
        1 for fraud, 0 for legitimate.
    time : str
        When, in `time_unit`: seconds from any origin, or timestamps that ISO 8601 allows.
    amount : str or None
        How much, in `currency`; costs are counted with it.
    features : tuple of str
        Numeric columns that models use besides the amount.
    categorical : tuple of str
        Text columns that models use.
    entity : str or None
        Card or account; folds keep an entity together.
    ignored : tuple of str
        Columns that the file has and nobody uses.
    negative_amounts : bool
        Whether an amount below zero (a refund) is allowed.
    """

    name: str
    label: str
    time: str
    amount: str | None
    features: tuple[str, ...]
    categorical: tuple[str, ...] = ()
    entity: str | None = None
    ignored: tuple[str, ...] = ()
    time_unit: str = "seconds"
    currency: str = "EUR"
    negative_amounts: bool = False

    def __post_init__(self) -> None:
        roles = [*self.columns, *self.ignored]
        if repeated := sorted({name for name in roles if roles.count(name) > 1}):
            raise DataError(f"schema {self.name!r}: column {repeated[0]!r} has two roles; give it one")
        if not self.features and not self.categorical and not self.amount:
            raise DataError(f"schema {self.name!r}: no column to learn from; list some under 'features'")
        if self.time_unit not in ("seconds", "timestamp"):
            raise DataError(
                f"schema {self.name!r}: time_unit is {self.time_unit!r}; it must be 'seconds' or 'timestamp'"
            )

    @property
    def numeric(self) -> tuple[str, ...]:
        """Numeric columns, the label and the time left out."""
        return self.features + ((self.amount,) if self.amount else ())

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a loaded frame has, in its order."""
        entity = (self.entity,) if self.entity else ()
        return (
            self.time,
            *entity,
            *self.features,
            *self.categorical,
            *self.numeric[len(self.features) :],
            self.label,
        )

    @classmethod
    def read(cls, path: str | Path = "") -> Schema:
        """Read a schema from a YAML file; an empty path is the reference set's.

        Raises
        ------
        DataError
            The file is missing, is no YAML mapping, or has an unknown or missing key.
        """
        if not str(path):
            return ULB
        import yaml

        path = resolve(path)
        try:
            mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"SCHEMA={path}: no such file") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DataError(f"SCHEMA={path}: not readable as YAML: {error}") from None
        if not isinstance(mapping, dict):
            raise DataError(f"SCHEMA={path}: expected 'key: value' lines such as 'label: is_fraud'")
        return cls.from_dict({"name": path.stem, "amount": None, "features": []} | mapping, source=f"SCHEMA={path}")

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], source: str = "schema") -> Schema:
        """Build a schema from plain values, refusing unknown keys and wrong types."""
        known = {item.name: item for item in dataclasses.fields(cls)}
        for key in mapping:
            if key not in known:
                close = get_close_matches(str(key), known, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
                raise DataError(f"{source}: unknown key {key!r}; {hint}")
        values: dict[str, Any] = {}
        for key, item in known.items():
            if key not in mapping:
                if item.default is dataclasses.MISSING:
                    raise DataError(f"{source}: key {key!r} is missing; add a line '{key}: ...'")
                continue
            value = mapping[key]
            if str(item.type).startswith("tuple"):
                if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
                    raise DataError(f"{source}: {key!r} must be a list of column names, not {value!r}")
                value = tuple(value)
            elif item.type == "bool":
                if not isinstance(value, bool):
                    raise DataError(f"{source}: {key!r} must be true or false, not {value!r}")
            elif not (isinstance(value, str) or (value is None and "None" in str(item.type))):
                raise DataError(f"{source}: {key!r} must be text, not {value!r}; put quotes around it")
            values[key] = value
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `from_dict` builds the same schema."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()
        }


ULB = Schema(
    name="ULB creditcard.csv",
    label="Class",
    time="Time",
    amount="Amount",
    features=tuple(f"V{i}" for i in range(1, 29)),
)


def project_root() -> Path:
    """Nearest folder from the working directory upwards that holds the project, else the working directory.

    Notebooks run from the root under papermill and from `notebooks/` in JupyterLab; paths mean the same in both.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").exists() and (folder / "notebooks").is_dir():
            return folder
    return here


def resolve(path: str | Path) -> Path:
    """A path given relative to the project's root, as one that can be opened from any working directory."""
    return project_root() / Path(path).expanduser()


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
    from fraud_utils.simulate import GENERATOR_VERSION, simulate_transactions

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


def duplicate_groups(frame: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Number the groups of rows that are equal in every column but the label.

    Copies of one row must stay on one side of every split, whatever their label: a model that has seen one knows
    the others.

    Returns
    -------
    numpy.ndarray of int64, shape (rows,)
        Equal numbers for copies; a number of its own for every other row.
    """
    inputs = frame[[column for column in schema.columns if column != schema.label]]
    return pd.factorize(pd.util.hash_pandas_object(inputs, index=False).to_numpy())[0]


def fold_groups(frame: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Rows that must share a fold: an entity's transactions where the table names entities, else exact copies."""
    return pd.factorize(frame[schema.entity])[0] if schema.entity else duplicate_groups(frame, schema)


@dataclass(frozen=True)
class Split:
    """A chronological cut: `train` lies wholly before `test_from` (seconds), `test` at or after it.

    `test_days` is the time from the cut to the last transaction in days, None where all of `test` share one time.
    """

    train: pd.DataFrame = field(repr=False)
    test: pd.DataFrame = field(repr=False)
    test_from: float
    train_rows: int
    train_frauds: int
    test_rows: int
    test_frauds: int
    test_days: float | None

    def sizes(self) -> dict[str, float | int | None]:
        """The cut's time, rows, frauds and days, as `metrics.json` holds them."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)[2:]}

    def describe(self, provenance: Mapping[str, Any]) -> str:
        """Say what lies on either side."""
        frauds, rows = provenance["frauds"], provenance["rows"]
        return (
            f"{provenance['name']}: {rows:,} transactions, {frauds:,} frauds ({frauds / rows:.3%}). Choices are made "
            f"on the {self.train_rows:,} before second {self.test_from:,.0f} ({self.train_frauds:,} frauds); the test "
            f"set holds the {self.test_rows:,} from then on ({self.test_frauds:,} frauds)."
        )


def split_by_time(frame: pd.DataFrame, schema: Schema, test_share: float = 0.2) -> Split:
    """Cut off the last part by time as the test set.

    Rows that share a time stay on one side, so the cut falls at the change of time that leaves a share nearest to
    `test_share`; exact copies share a time and never straddle it.

    Parameters
    ----------
    frame : pandas.DataFrame
        In order of time, as `load_transactions` gives it.
    test_share : float
        Share of rows wanted in the test set, between 0 and 1.

    Raises
    ------
    DataError
        All rows share one time, or a side has no fraud.
    """
    if not 0 < test_share < 1:
        raise DataError(f"test_share is {test_share}; it must lie between 0 and 1")
    time = frame[schema.time].to_numpy()
    if np.any(np.diff(time) < 0):
        raise DataError(f"column {schema.time!r}: rows are not in order of time; sort them first")
    changes = np.flatnonzero(np.diff(time)) + 1  # the rows at which a new time begins
    if not len(changes):
        raise DataError(f"column {schema.time!r}: all rows share one time; a chronological split needs at least two")
    cut = int(changes[np.argmin(np.abs(changes - int((1 - test_share) * len(time))))])
    train, test = frame.iloc[:cut], frame.iloc[cut:]
    frauds = {side: int(part[schema.label].sum()) for side, part in (("training", train), ("test", test))}
    for side, count in frauds.items():
        if not count:
            raise DataError(
                f"the {side} side of the split at {schema.time} = {time[cut]:g} has no fraud; "
                "bring a longer table or choose another test_share"
            )
    days = float(time[-1] - time[cut]) / 86_400 or None
    return Split(train, test, float(time[cut]), cut, frauds["training"], len(time) - cut, frauds["test"], days)


def download(url: str = ULB_URL, path: str | Path = DEFAULT_PATH, sha256: str = ULB_SHA256) -> Path:
    """Fetch the reference set, with a progress bar; nothing is left at `path` unless it is whole and right.

    Raises
    ------
    DataError
        No connection, an error from the server, or bytes with another checksum.
    """
    import pooch
    import requests

    file = resolve(path)
    fetcher = pooch.create(
        path=file.parent,
        base_url="",
        registry={file.name: f"sha256:{sha256}"},
        urls={file.name: url},
        retry_if_failed=2,
    )
    pooch.get_logger().setLevel("WARNING")
    try:
        fetcher.fetch(file.name, downloader=pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=60))
    except (requests.RequestException, OSError) as error:
        raise DataError(f"could not download {url}: {error}; check the connection and run 'make data' again") from None
    except ValueError:
        raise DataError(
            f"{url} gave other bytes than ULB's file (SHA-256 differs) three times; nothing was kept. Try again later, "
            f"or take the file from Kaggle (mlg-ulb/creditcardfraud) and put it at {path}"
        ) from None
    return file


def main() -> int:
    """Download the reference set: `python -m fraud_utils.data`."""
    parser = argparse.ArgumentParser(prog="make data", description="Download ULB's creditcard.csv (150 MB, no login).")
    parser.add_argument("--url", default=ULB_URL, help="where from (default: %(default)s)")
    parser.add_argument("--path", default=DEFAULT_PATH, help="where to (default: %(default)s)")
    options = parser.parse_args()
    try:
        file = download(options.url, options.path)
    except DataError as error:
        print(f"make data: {error}", file=sys.stderr)
        return 1
    print(f"{options.path}: {file.stat().st_size:,} bytes, SHA-256 as ULB's")
    return 0


if __name__ == "__main__":
    sys.exit(main())
