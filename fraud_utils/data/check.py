"""The values of a frame: every one is checked, and brought into order of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fraud_utils.data.schema import DataError, Schema


def checked(frame: pd.DataFrame, schema: Schema, source: str) -> pd.DataFrame:
    """Check the values that `read` returns.

    Parameters
    ----------
    source : str
        What messages call the table.

    Returns
    -------
    pandas.DataFrame
        In order of time: the label int8, the time in seconds (timestamps: from midnight of the first day, UTC),
        categorical columns `category`.

    Raises
    ------
    DataError
        There are no rows, or a value is missing, infinite, or out of its range.
    """
    if frame.empty:
        raise DataError(f"{source}: has a header and no rows; export it again")
    values = _Values(frame, source)
    if schema.written.time_unit == "timestamp":
        instants = pd.to_datetime(frame[schema.time], utc=True, errors="coerce", format="ISO8601")
        values.refuse(instants.isna(), schema.time, "no timestamp; write it as 2026-01-31T23:59:59, or drop the row")
        frame[schema.time] = (instants - instants.min().floor("D")).dt.total_seconds()
    for column in (schema.label, schema.time, *((schema.amount,) if schema.amount else ())):
        values.refuse(frame[column].isna(), column, "the value is missing; fill it in or drop the row")
    for column in (schema.time, *schema.numeric):
        fault = "the value is infinite; replace it with a number or leave it empty"
        values.refuse(np.isinf(frame[column].to_numpy()), column, fault)
    frame[schema.label] = _labels(values, schema.label)
    if schema.amount and not schema.negative_amounts:
        fault = "the amount is negative; correct it, or allow refunds with 'negative_amounts: true' in the schema"
        values.refuse(frame[schema.amount] < 0, schema.amount, fault)
    for column in schema.categorical:
        frame[column] = frame[column].astype("category")
    if not frame[schema.time].is_monotonic_increasing:
        frame = frame.sort_values(schema.time, kind="stable", ignore_index=True)
    return frame


@dataclass(frozen=True)
class _Values:
    frame: pd.DataFrame
    source: str

    def refuse(self, bad: np.ndarray | pd.Series, column: str, fault: str) -> None:
        """Raise for the first bad row, where there is one."""
        bad = np.asarray(bad)
        if bad.any():
            row, count = int(np.argmax(bad)) + 1, int(bad.sum())
            more = f" (and {count - 1:,} more rows)" if count > 1 else ""
            raise DataError(f"{self.source}: row {row}, column {column!r}{more}: {fault}")


def _labels(values: _Values, column: str) -> np.ndarray:
    """The label as int8, both classes present."""
    label = values.frame[column].to_numpy()
    fault = "the label is neither 0 nor 1; code fraud as 1, legitimate as 0"
    values.refuse((label != 0) & (label != 1), column, fault)
    if label.min() == label.max():
        kind = "fraud" if label[0] else "legitimate"
        raise DataError(
            f"{values.source}: column {column!r}: all {len(label):,} rows are {kind}; learning needs both classes"
        )
    return label.astype(np.int8)
