"""Models saved as the training job does."""

import numpy as np
import pandas as pd
import pytest

from fraud_utils import artifact, models
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import ULB, Schema
from fraud_utils.data.simulate import simulate_transactions

SHOP = Schema(
    name="shop",
    label="fraud",
    time="when",
    amount="total",
    features=("a", "b"),
    categorical=("channel",),
    entity="card",
)
MARKET = Schema("market", label="fraud", time="when", amount=None, features=("a",), categorical=("merchant",))
IMBALANCE = "undersample 1:10"


def save(folder, schema, frame, imbalance="none", may_be_missing=(), rounds=40):
    """Fit and save as the training job does; gives the pipeline that notebook 02 would use."""
    features = FeatureMap.fit(schema, dict(frame.items()))
    X, y = features.matrix(dict(frame.items())), frame[schema.label].to_numpy()
    settings = models.XGBOOST | {"num_round": rounds, "categorical": features.coded}
    artifact.save(
        folder,
        models.fit_xgboost(X, y, imbalance, settings),
        artifact.Contents(
            schema=schema.to_dict(),
            columns=[column for column in schema.columns if column != schema.label],
            features=features,
            may_be_missing=may_be_missing,
            kept_share=models.kept_share(imbalance, y),
            thresholds={"usual": 0.5},
            decides="usual",
            hyperparameters=models.XGBOOST,
            training={"name": schema.name, "sha256": "0" * 64, "rows": len(y), "frauds": int(y.sum())},
        ),
    )
    return models.build(models.Candidate("xgboost", imbalance, settings)).fit(X, y), X, y


@pytest.fixture(scope="session")
def fitted():
    return save


@pytest.fixture(scope="session")
def frame():
    return simulate_transactions(12_000, seed=3)


@pytest.fixture(scope="session")
def folder(frame, fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("artefact") / "model"
    fitted(path, ULB, frame, IMBALANCE)
    return path


@pytest.fixture(scope="session")
def model(folder):
    return artifact.load(folder)


@pytest.fixture(scope="session")
def shop(fitted, tmp_path_factory):
    """A model with an optional number, an optional text and an entity."""
    rng = np.random.default_rng(1)
    rows = 3_000
    frame = pd.DataFrame(
        {
            "when": np.arange(rows, dtype=float),
            "card": rng.integers(0, 50, rows).astype(str),
            "a": rng.normal(size=rows),
            "b": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
            "channel": pd.Series(rng.choice(["web", "pos", "moto"], rows)).where(rng.random(rows) > 0.1),
            "total": rng.gamma(1, 50, rows),
        }
    )
    frame["fraud"] = ((frame.a > 1.2) & (frame.channel == "web")).astype(np.int8)
    path = tmp_path_factory.mktemp("shop")
    fitted(path, SHOP, frame, may_be_missing=["b", "channel"])
    return artifact.load(path), frame


@pytest.fixture(scope="session")
def market(fitted, tmp_path_factory):
    """A model of a table with 200 merchants, some of them risky; its pipeline, and the table."""
    rng = np.random.default_rng(2)
    rows = 6_000
    merchant = np.minimum(rng.geometric(0.02, rows), 200)
    frame = pd.DataFrame({"when": np.arange(rows, dtype=float), "a": rng.normal(size=rows)})
    frame["merchant"] = [f"m{number}" for number in merchant]
    frame["fraud"] = (rng.random(rows) < np.where(merchant % 10 == 3, 0.4, 0.02)).astype(np.int8)
    path = tmp_path_factory.mktemp("market")
    pipeline, X, _ = fitted(path, MARKET, frame, IMBALANCE)
    return artifact.load(path), frame, pipeline.predict_proba(X)[:, 1]
