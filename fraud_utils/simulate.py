"""Transactions that look like the ULB reference set, for machines without it.

Everything is drawn from aggregates in ``simulate_aggregates.json`` (hourly counts, quantiles, correlations by
class), never from rows. One seed gives one frame.
"""

import json
from importlib.resources import files

import numpy as np
import pandas as pd

GENERATOR_VERSION = "0.1"
COLUMNS = ["Time", *(f"V{i}" for i in range(1, 29)), "Amount", "Class"]
_HOUR = 3600


def simulate_transactions(
    rows: int = 80_000, fraud_rate: float | None = None, seed: int = 7, days: int = 2
) -> pd.DataFrame:
    """Simulate card transactions in the schema of ULB's creditcard.csv.

    Parameters
    ----------
    rows : int
        Number of transactions.
    fraud_rate : float, optional
        Share of frauds; the reference set's 0.0017 when not given.
    seed : int
        The same seed gives the same frame.
    days : int
        Days that the transactions span; ``Time`` runs from 0 to ``days * 86400`` seconds.

    Returns
    -------
    pandas.DataFrame
        Columns Time (seconds, ascending), V1..V28, Amount (euro) and Class (1 is fraud).
    """
    aggregates = json.loads(files("fraud_utils").joinpath("simulate_aggregates.json").read_text("utf-8"))
    rng = np.random.Generator(np.random.PCG64(seed))
    rate = aggregates["rate"] if fraud_rate is None else fraud_rate
    frauds = round(rows * rate)
    levels = np.asarray(aggregates["levels"])
    blocks = []
    for label, name, count in ((0, "legitimate", rows - frauds), (1, "fraud", frauds)):
        of_class = aggregates[name]
        hourly = np.tile(np.asarray(of_class["hourly"], float), -(-days // 2))[: days * 24]
        hour = rng.choice(hourly.size, size=count, p=hourly / hourly.sum())
        factor = np.linalg.cholesky(np.asarray(of_class["correlation"]) + 0.05 * np.eye(29)) / np.sqrt(1.05)
        normal = rng.standard_normal((count, 29)) @ factor.T
        block = np.empty((count, len(COLUMNS)))
        block[:, 0] = np.floor((hour + rng.random(count)) * _HOUR)
        for j, quantiles in enumerate(of_class["quantiles"].values()):
            block[:, 1 + j] = np.interp(normal[:, j], levels, quantiles)
        block[:, -1] = label
        blocks.append(block)
    table = np.concatenate(blocks)
    table = table[np.argsort(table[:, 0], kind="stable")]
    table[:, 1:29] = table[:, 1:29].round(6)
    table[:, 29] = table[:, 29].round(2)
    return pd.DataFrame(table, columns=COLUMNS).astype({"Class": "int8"})
