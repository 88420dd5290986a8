"""Transactions in which nothing is going on, for tests that then change one thing."""

import numpy as np
import pandas as pd

from fraud_utils.data import Schema
from fraud_utils.words import Finding

SCHEMA = Schema(name="a desk", label="fraud", time="at", amount="paid", features=("p", "q", "r"), currency="SEK")


def noise(rows: int = 3000, rate: float = 0.05, days: float = 3, seed: int = 0) -> pd.DataFrame:
    """Transactions of `SCHEMA` in which the label has to do with nothing."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "at": np.sort(rng.integers(0, int(days * 86_400), rows)).astype(float),
            "p": rng.standard_normal(rows),
            "q": rng.standard_normal(rows),
            "r": rng.standard_normal(rows),
            "paid": np.exp(rng.normal(3, 1.5, rows)).round(2),
            "fraud": (rng.random(rows) < rate).astype("int8"),
        }
    )
    frame.attrs["provenance"] = {"name": SCHEMA.name, "simulated": False}
    return frame


def text(finding: Finding) -> str:
    """All that a finding says, with plain spaces."""
    return f"{finding.headline} {finding.detail}".replace("\N{NO-BREAK SPACE}", " ")
