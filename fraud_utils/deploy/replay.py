"""The proof that an endpoint which keeps events itself gives the history that the table has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fraud_utils.artifact import Model
from fraud_utils.data import Schema
from fraud_utils.deploy.deployment import Deployment
from fraud_utils.deploy.place import LOCAL_IMAGE

MOST_ROWS, MOST_BEFORE = 2_000, 20_000  # asked about; sent before, for the endpoint to know them


def history_store(deployment: Deployment, schema: Schema, setting: str = "") -> dict[str, str]:
    """What the endpoint's environment says about its store: `setting`, or on this machine a file of its own."""
    site = deployment.site
    # In the program's own folder, or the one folder of a container that its user may write to: it goes with them.
    if not setting and site.connection.target == "local":
        setting = "sqlite:history.sqlite" if site.place.image == LOCAL_IMAGE else "sqlite:/tmp/history.sqlite"
    return {"FRAUD_HISTORY": setting} if schema.history and setting else {}


@dataclass(frozen=True)
class Replay:
    """How an endpoint did with rows that came without their history.

    Attributes
    ----------
    rows, before : int
        Asked about, the first of the test set; sent before them.
    difference : float
        The largest from scoring the table's rows in this process.
    ready_ms, kept_ms : float
        Median milliseconds of a row with its history, and without.
    """

    rows: int
    before: int
    difference: float
    ready_ms: float
    kept_ms: float

    def describe(self) -> str:
        """In a sentence or two."""
        return (
            f"The endpoint was sent {self.before:,} earlier rows and asked about the first {self.rows:,} of the test "
            f"set, all without history columns. Largest difference from the table's: {self.difference:.2g}. A row "
            f"takes {self.kept_ms:.1f} ms so (median), and {self.ready_ms:.1f} ms with its columns."
        )


def replay(deployment: Deployment, model: Model, rows: pd.DataFrame, test_from: float, schema: Schema) -> Replay:
    """Send rows without history, in order of time, to an endpoint that keeps events, and compare.

    Of the rows before `test_from` (seconds) only those are sent that still count, and whose entity is asked about.

    Parameters
    ----------
    rows : pandas.DataFrame
        The whole table, in order of time.
    """
    bare = [name for name in rows.columns if not any(name in history.columns for history in schema.history)]
    time, entities = rows[schema.time], {history.by for history in schema.history}
    reach = max(history.reach(schema.label_delay_days) for history in schema.history)
    past, test = rows[(time >= test_from - reach) & (time < test_from)], rows[time >= test_from].head(MOST_ROWS)
    while True:
        known = np.logical_or.reduce([past[by].isin(test[by]) for by in entities])
        if known.sum() <= MOST_BEFORE or len(test) == 1:
            break
        test = test.head(len(test) // 2)
    endpoint = deployment.endpoint
    endpoint.score(past.loc[known, bare])
    served = endpoint.score(test[bare])
    difference = float(np.abs(served - model.score(test)).max())
    ready, kept = (endpoint.latency_ms(test[names])["p50"] for names in (rows.columns, bare))
    return Replay(len(test), int(known.sum()), difference, ready, kept)
