"""The history columns that a schema asks for, on a frame in order of time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fraud_utils.artifact import Events, cents
from fraud_utils.data.schema import Schema


def add_history(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Add what `schema.history` asks for and the frame does not have.

    Parameters
    ----------
    frame : pandas.DataFrame
        In order of time; the other columns of `schema.columns`.

    Returns
    -------
    pandas.DataFrame
        `schema.columns`, in order. The columns that `frame` has are not copied.
    """
    if not schema.to_compute:
        return frame
    amount = cents(frame[schema.amount]) if schema.amount else np.zeros(len(frame), dtype=np.int64)
    made: dict[str, np.ndarray] = {}
    for history in schema.history:
        entity = pd.factorize(frame[history.by])[0]
        events = Events(entity, frame[schema.time].to_numpy(), amount, frame[schema.label].to_numpy())
        made |= history.values(events, schema.label_delay_days)
    columns = {name: made[name] if name in schema.to_compute else frame[name] for name in schema.columns}
    whole = pd.DataFrame(columns, index=frame.index, copy=False)
    whole.attrs = frame.attrs
    return whole
