"""Requests and scores, or labels, in a plain table: `.csv`, `.csv.gz` or `.parquet`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from fraud_utils import words
from fraud_utils.artifact import MISSING, Layout
from fraud_utils.data import DataError, as_text
from fraud_utils.monitor.captured import Piece, Refusal, as_arrays, why_refused
from fraud_utils.project import resolve

IDS = ("id", "inference_id", "inferenceId", "event_id", "eventId")
TIMES, LABELS = ("time", "inference_time", "inferenceTime"), ("label", "fraud", "is_fraud")
PIECE = 100_000
_TRUTH = {"true": "1", "false": "0"}


def is_table(path: str | Path) -> bool:
    """Whether a path names a plain table rather than captured JSON lines."""
    return str(path).endswith((".csv", ".csv.gz", ".parquet"))


def read_table(path: str | Path, layout: Layout, schema: Mapping[str, Any]) -> Iterator[Piece]:
    """Rows with `score`, a time, the model's raw columns and, to join labels by, an id; rows without a score failed.

    Where a raw column is called `score`, the model's is to be called `model_score`.

    Parameters
    ----------
    schema : mapping
        The model's; its time column is the table's, or `time`, and its id where there is no column `id`.

    Raises
    ------
    DataError
        A column is missing, or a value is not what its column needs; a row has no time.
    """
    of_model = "model_score" if "score" in layout.features.raw else "score"
    names = _header(path)
    time = _found(names, (*filter(None, [schema["time"]]), *TIMES), path, "a time")
    missing = [name for name in (of_model, *layout.features.raw) if name not in names]
    if missing:
        raise DataError(f"CAPTURED={path}: column {missing[0]!r} is missing; the table has {', '.join(names)}")
    identity = next((name for name in _ids(schema) if name in names), None)
    types = dict.fromkeys((time, *filter(None, [identity]), *layout.features.categories), pa.string())
    types |= dict.fromkeys((of_model, *layout.numeric), pa.float64())  # a first piece of whole numbers says nothing
    before = 0
    for frame in _pieces(path, types):
        # A row without an id is "", as in captures: no label is its own.
        ids = _named(frame[identity]) if identity else [str(before + row) for row in range(len(frame))]
        seconds = _seconds(frame[time], path, before)
        try:
            columns = as_arrays({name: frame[name] for name in layout.features.raw}, layout)
            score = frame[of_model].to_numpy(dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise DataError(f"CAPTURED={path}: text where a number is needed ({error})") from None
        failed = np.isnan(score)
        refused = []
        for row in np.flatnonzero(failed):
            why = why_refused({name: values[[row]] for name, values in columns.items()}, layout)
            refused.append(Refusal(float(seconds[row]), why or "no score, though the model takes such rows"))
        kept = {name: values[~failed] for name, values in columns.items()}
        chosen = [name for name, gone in zip(ids, failed, strict=True) if not gone]
        yield Piece(kept, seconds[~failed], chosen, score[~failed], refused)
        before += len(frame)


def read_labels(path: str | Path, schema: Mapping[str, Any]) -> pd.Series:
    """Labels by the id of the row they belong to: 1 for fraud, 0 for legitimate.

    Parameters
    ----------
    schema : mapping
        The model's; its label and id may have other names here, such as `label`, `fraud` and `is_fraud`, or `id`.

    Raises
    ------
    DataError
        A column is missing, a row has no id, a label is neither 0 nor 1, or an id has two of them.
    """
    names = _header(path, "LABELS")
    identity = _found(names, _ids(schema), path, "an id", "LABELS")
    label = _found(names, (schema["label"], *LABELS), path, "a label", "LABELS")
    pieces = [piece for piece in _pieces(path, dict.fromkeys((identity, label), pa.string()), "LABELS") if len(piece)]
    if not pieces:
        raise DataError(f"LABELS={path}: has no rows; leave LABELS out until labels have come")
    frame = pd.concat(pieces, ignore_index=True)
    ids = pd.Series(_named(frame[identity]))
    if (nameless := ids == "").any():
        also = f" (and {words.count(nameless.sum() - 1, 'more row')})" if nameless.sum() > 1 else ""
        raise DataError(
            f"LABELS={path}: row {int(np.argmax(nameless)) + 1}{also} has no {identity!r}; a label without an id is "
            "nobody's: fill it in, or leave such rows out"
        )
    values = pd.to_numeric(frame[label].str.strip().str.lower().replace(_TRUTH), errors="coerce")
    wrong = ~values.isin([0, 1])
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy())) + 1
        raise DataError(f"LABELS={path}: row {row} has no label; it must be 0 or 1 (leave out what is not known)")
    labels = pd.Series(values.to_numpy(dtype=np.int8), index=pd.Index(whole(ids)))
    per_id = labels.groupby(level=0).nunique()
    if (per_id > 1).any():
        raise DataError(f"LABELS={path}: id {per_id.index[per_id > 1][0]!r} is labelled 0 and 1; keep one of them")
    return labels[~labels.index.duplicated()]


def whole(ids: pd.Series) -> pd.Series:
    """Ids without the `.0` that whole numbers get where one of them is missing and pandas makes them floats."""
    return ids.str.replace(r"^(\d+)\.0$", r"\1", regex=True)


def _named(ids: pd.Series) -> list[str]:
    """Ids as text, "" where there is none."""
    return ids.astype("str").fillna("").tolist()


def _ids(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """What the column may be called by which rows and labels belong together."""
    return (*IDS, *filter(None, [schema.get("id")]))


@contextmanager
def _readable(path: str | Path, what: str) -> Iterator[None]:
    """Say of which file it is that something cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{what}={path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{what}={path}: not a readable table: {str(error).splitlines()[0]}") from None


def _open_csv(path: str | Path, types: Mapping[str, pa.DataType]) -> arrow_csv.CSVStreamingReader:
    """Only these columns, all where none is named: Arrow guesses the types of others from the first megabyte."""
    return arrow_csv.open_csv(
        resolve(path),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict(types), include_columns=[*types], null_values=sorted(MISSING), strings_can_be_null=True
        ),
    )


def _header(path: str | Path, what: str = "CAPTURED") -> list[str]:
    """The names of a table's columns."""
    with _readable(path, what):
        if str(path).endswith(".parquet"):
            return pq.read_schema(resolve(path)).names
        with _open_csv(path, {}) as reader:
            return reader.schema.names


def _pieces(path: str | Path, types: Mapping[str, pa.DataType], what: str = "CAPTURED") -> Iterator[pd.DataFrame]:
    """These columns of a table, some rows at a time, in constant memory."""
    with _readable(path, what):
        if str(path).endswith(".parquet"):
            for batch in pq.ParquetFile(resolve(path)).iter_batches(PIECE, columns=[*types]):
                columns = {name: batch.column(name) for name in types}
                texts = {name: _text(columns[name], f"{what}={path}: column {name!r}") for name in types
                         if types[name] == pa.string()}  # fmt: skip
                yield pa.table(columns | texts).to_pandas()
            return
        with _open_csv(path, types) as reader:
            for batch in reader:
                yield batch.to_pandas()


def _text(column: pa.Array, where: str) -> pa.Array:
    """A parquet file's column as text, as the model learned it."""
    text = as_text(column)
    if text is None:
        raise DataError(f"{where} holds {column.type}, which is neither number nor text; convert it")
    return text


def _found(given: Iterable[str], names: Iterable[str], path: str | Path, what: str, variable: str = "CAPTURED") -> str:
    """The first of these columns that the table has."""
    for name in names:
        if name in given:
            return name
    wanted = ", ".join(dict.fromkeys(names))
    raise DataError(f"{variable}={path}: no column gives {what} (one of {wanted}); it has {', '.join(given)}")


def _seconds(column: pd.Series, path: str | Path, before: int) -> np.ndarray:
    """Times as seconds: numbers as they are, timestamps since 1970 (UTC where they do not say)."""
    times = pd.to_numeric(column, errors="coerce")
    if (times.isna() & column.notna()).any():
        instants = pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")
        if instants.count() >= times.count():
            times = (instants - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    seconds = times.to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(seconds)
    if wrong.any():
        row = int(np.argmax(wrong))
        cell = column.iloc[row]
        what = "the value is missing; fill it in or drop the row" if pd.isna(cell) else (
            f"{str(cell)!r} is no time; write seconds, or timestamps such as 2026-01-31T23:59:59"
        )  # fmt: skip
        raise DataError(f"CAPTURED={path}: row {before + row + 1}, column {column.name!r}: {what}")
    return seconds
