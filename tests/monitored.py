"""What tests of monitoring share: models with a reference, rows of a shop, lines as data capture writes them."""

import base64
import json
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_utils import artifact, models
from fraud_utils.artifact import Distribution, FeatureMap, Promise, Reference
from fraud_utils.data import Schema

THRESHOLD = 0.25
SHOP = Schema("shop", label="fraud", time="when", amount="total", features=("a", "b"), categorical=("channel",))


def shop_rows(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "when": np.sort(rng.uniform(0, 7 * 86_400, rows)),
            "a": rng.normal(size=rows),
            "b": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
            "channel": pd.Series(rng.choice(["web", "pos", "moto"], rows)).where(rng.random(rows) > 0.1),
            "total": rng.gamma(1, 50, rows).round(2),
        }
    )
    return frame.assign(fraud=((frame.a > 1.5) & (frame.channel == "web")).astype(np.int8))


def saved(folder: Path, schema: Schema, train: pd.DataFrame, held_out: pd.DataFrame, missing=()) -> artifact.Model:
    """Fit and save as the training job does, with what monitoring compares with."""
    features = FeatureMap.fit(schema, dict(train.items()))
    X, y = features.matrix(dict(train.items())), train[schema.label].to_numpy()
    settings = models.XGBOOST | {"num_round": 60}
    booster = models.fit_xgboost(X, y, "none", settings)

    def contents(reference: Reference | None) -> artifact.Contents:
        return artifact.Contents(
            schema=schema.to_dict(),
            columns=[column for column in schema.columns if column != schema.label],
            features=features,
            thresholds={"f1": THRESHOLD},
            decides="f1",
            hyperparameters=settings,
            training={},
            may_be_missing=missing,
            reference=reference,
        )

    artifact.save(folder, booster, contents(None))
    score = artifact.load(folder).score(held_out)
    amount = held_out[schema.amount] if schema.amount else None
    columns = {name: Distribution.of(train[name].to_numpy()) for name in features.raw}
    promise = Promise.of("validation", held_out[schema.label], score, THRESHOLD, amount)
    artifact.save(folder, booster, contents(Reference(columns, Distribution.of(score), promise)))
    return artifact.load(folder)


def record(body: str, answer: str | None, media: str = "text/csv", encoding: str = "BASE64", **event) -> str:
    """One line as SageMaker's data capture writes it."""

    def part(mode: str, text: str, media: str) -> dict:
        data = base64.b64encode(text.encode()).decode() if encoding == "BASE64" else text
        return {"observedContentType": media, "mode": mode, "data": data, "encoding": encoding}

    answered = "text/csv" if media.startswith("text/csv") else "application/json"
    data = {"endpointInput": part("INPUT", body, media)}
    if answer is not None:
        data["endpointOutput"] = part("OUTPUT", answer, answered)
    event = {"eventId": "e", "inferenceTime": "2026-01-05T10:00:00Z"} | event
    return json.dumps({"captureData": data, "eventMetadata": event, "eventVersion": "0"})
