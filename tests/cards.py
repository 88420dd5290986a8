"""Payments of cards at merchants, a model that knows them by their history, and how they reach an endpoint."""

import numpy as np
import pandas as pd

from fraud_utils import artifact, models
from fraud_utils.artifact import FeatureMap, History
from fraud_utils.data import Schema, add_history

DAY = 86_400
SCHEMA = Schema(
    name="payments",
    label="is_fraud",
    time="seconds",
    amount="amount",
    features=("x",),
    id="payment",
    entity="card",
    entities=("merchant",),
    label_delay_days=2.0,
    history=(
        History("card", (1.0, 7.0), ("count", "mean", "ratio", "since_last")),
        History("merchant", (1.0, 7.0), ("count", "fraud_rate")),
    ),
)
COLUMNS = SCHEMA.to_compute
RAW = [name for name in SCHEMA.columns if name not in COLUMNS]


def payments(count: int, seed: int = 3) -> pd.DataFrame:
    """Payments in order of time, with ties in it, of every card some dozens in twenty days; history not yet added."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "seconds": np.sort(rng.integers(0, 20 * DAY // 60, count)) * 60.0,
            "payment": [f"p{number}" for number in range(count)],
            "card": [f"c{number}" for number in rng.integers(0, count // 20, count)],
            "merchant": [f"m{number}" for number in rng.integers(0, count // 40, count)],
            "x": rng.normal(size=count).round(3),
            "amount": rng.lognormal(3, 1, count).round(2),
            "is_fraud": (rng.random(count) < 0.1).astype(int),
        }
    )[RAW]


def train(folder, frame: pd.DataFrame) -> None:
    """Save a model that uses every history column of these payments."""
    whole = add_history(frame, SCHEMA)
    loaded = SCHEMA.as_loaded
    features = FeatureMap.fit(loaded, dict(whole.items()))
    X = features.matrix(dict(whole.items()))
    y = np.nan_to_num(X).argsort(axis=0).argsort(axis=0).sum(axis=1) % 3 == 0  # nothing but every column explains it
    booster = models.fit_xgboost(X, y.astype(int), "none", {"num_round": 40})
    contents = artifact.Contents(
        schema=loaded.to_dict(),
        columns=[name for name in loaded.columns if name != loaded.label],
        features=features,
        thresholds={"half": 0.5},
        decides="half",
        hyperparameters={},
        training={},
    )
    artifact.save(folder, booster, contents)
