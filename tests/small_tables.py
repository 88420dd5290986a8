"""A small table, plain and with one other value, and the ways to write it."""

from pathlib import Path

import numpy as np
import pandas as pd

from fraud_utils.data import Schema

SMALL = Schema("small", label="fraud", time="t", amount="amount", features=("a", "b"))


def small(rows: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "t": np.arange(rows, dtype=float),
            "a": rng.normal(size=rows),
            "b": rng.normal(size=rows),
            "amount": rng.integers(0, 500, rows) / 4,
            "fraud": (np.arange(rows) % 4 == 3).astype(int),
        }
    )


def written(folder: Path, frame: pd.DataFrame, name: str = "table.csv") -> Path:
    path = folder / name
    frame.to_parquet(path, index=False) if name.endswith(".parquet") else frame.to_csv(path, index=False)
    return path
