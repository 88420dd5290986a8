"""Requests and scores, or labels, in a plain table: `.csv`, `.csv.gz` or `.parquet`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from fraud_utils.artifact import MISSING, Layout
from fraud_utils.data import DataError
from fraud_utils.monitor.captured import Piece, Refusal, as_arrays, why_refused
from fraud_utils.project import resolve

IDS = ("id", "inference_id", "inferenceId", "event_id", "eventId")
TIMES, LABELS = ("time", "inference_time", "inferenceTime"), ("label", "fraud", "is_fraud")
PIECE = 100_000


def is_table(path: str | Path) -> bool:
    """Whether a path names a plain table rather than captured JSON lines."""
    return str(path).endswith((".csv", ".csv.gz", ".parquet"))


def read_table(path: str | Path, layout: Layout, schema: Mapping[str, Any]) -> Iterator[Piece]:
    """Rows with `score`, a time, the model's raw columns and, to join labels by, an id; rows without a score failed.

    Where a raw column is called `score`, the model's is to be called `model_score`.

    Parameters
    ----------
    schema : mapping
        The model's; its time column is the table's, or `time`.

    Raises
    ------
    DataError
        A column is missing, or a value is not what its column needs.
    """
    of_model = "model_score" if "score" in layout.features.raw else "score"
    types = dict.fromkeys((*IDS, *layout.features.categories), pa.string())
    types |= dict.fromkeys((of_model, *layout.numeric), pa.float64())  # a first piece of whole numbers says nothing
    before = 0
    for frame in _pieces(path, types):
        time = _found(frame, tuple(filter(None, (schema["time"], *TIMES))), path, "a time")
        missing = [name for name in (of_model, *layout.features.raw) if name not in frame]
        if missing:
            raise DataError(f"CAPTURED={path}: column {missing[0]!r} is missing; the table has {', '.join(frame)}")
        identity = next((name for name in IDS if name in frame), None)
        ids = frame[identity].astype(str).tolist() if identity else [str(before + row) for row in range(len(frame))]
        seconds = _seconds(frame[time], path)
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


def read_labels(path: str | Path, label: str) -> pd.Series:
    """Labels by the id of the row they belong to: 1 for fraud, 0 for legitimate.

    Parameters
    ----------
    label : str
        The column's name in the model's schema; `label`, `fraud` and `is_fraud` are understood, too.

    Raises
    ------
    DataError
        A column is missing, a label is neither 0 nor 1, or an id has two of them.
    """
    frame = pd.concat(_pieces(path, dict.fromkeys(IDS, pa.string()), "LABELS"), ignore_index=True)
    identity = _found(frame, IDS, path, "an id", "LABELS")
    values = pd.to_numeric(frame[_found(frame, (label, *LABELS), path, "a label", "LABELS")], errors="coerce")
    wrong = ~values.isin([0, 1])
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy())) + 1
        raise DataError(f"LABELS={path}: row {row} has no label; it must be 0 or 1 (leave out what is not known)")
    labels = pd.Series(values.to_numpy(dtype=np.int8), index=pd.Index(frame[identity].astype(str)))
    per_id = labels.groupby(level=0).nunique()
    if (per_id > 1).any():
        raise DataError(f"LABELS={path}: id {per_id.index[per_id > 1][0]!r} is labelled 0 and 1; keep one of them")
    return labels[~labels.index.duplicated()]


def _pieces(path: str | Path, types: Mapping[str, pa.DataType], what: str = "CAPTURED") -> Iterator[pd.DataFrame]:
    """A table some rows at a time, in constant memory."""
    file = resolve(path)
    try:
        if str(path).endswith(".parquet"):
            for batch in pq.ParquetFile(file).iter_batches(PIECE):
                yield batch.to_pandas()
            return
        convert = arrow_csv.ConvertOptions(column_types=dict(types), null_values=sorted(MISSING))
        for batch in arrow_csv.open_csv(file, convert_options=convert):
            yield batch.to_pandas()
    except FileNotFoundError:
        raise DataError(f"{what}={path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{what}={path}: not a readable table: {str(error).splitlines()[0]}") from None


def _found(frame: pd.DataFrame, names: Any, path: str | Path, what: str, variable: str = "CAPTURED") -> str:
    """The first of these columns that the table has."""
    for name in names:
        if name in frame:
            return name
    wanted = ", ".join(dict.fromkeys(names))
    raise DataError(f"{variable}={path}: no column gives {what} (one of {wanted}); it has {', '.join(frame)}")


def _seconds(column: pd.Series, path: str | Path) -> np.ndarray:
    """Times as seconds: numbers as they are, timestamps since 1970 (UTC where they do not say)."""
    if column.dtype.kind in "fiu":
        return column.to_numpy(dtype=np.float64)
    try:
        return pd.to_datetime(column, utc=True, format="ISO8601" if column.dtype.kind != "M" else None).map(
            pd.Timestamp.timestamp
        ).to_numpy(dtype=np.float64)  # fmt: skip
    except (ValueError, TypeError) as error:
        raise DataError(f"CAPTURED={path}: column {column.name!r} holds no times ({error})") from None
