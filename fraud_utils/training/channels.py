"""Channels: the tables that SageMaker puts under input/data, as the rows that a model learns from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow

from fraud_utils import models
from fraud_utils.artifact import Distribution, FeatureMap
from fraud_utils.data import FORMATS, Schema, TableFile, read_transactions, split_transactions
from fraud_utils.training.hyperparameters import Hyperparameters, SetupError

TAIL_SHARE = 0.2  # of the training rows, the last by time: what early stopping watches without a validation channel


@dataclass(frozen=True)
class Rows:
    """A matrix of the model's inputs, float32 of shape (rows, columns), its labels, and amounts where there are any."""

    X: np.ndarray
    y: np.ndarray
    amount: np.ndarray | None = None


@dataclass(frozen=True)
class Material:
    """All that a model is made from.

    Attributes
    ----------
    train : Rows
    validation : Rows or None
        What the log reports on and early stopping watches.
    features : FeatureMap
        How columns became the matrix.
    may_be_missing : list of str
        Raw columns in which training rows have missing values.
    columns : dict of str to Distribution
        Of each raw column, over the training rows.
    origin : dict
        For the manifest: the table's name, its SHA-256, its rows and frauds, and where the validation rows came from.
    """

    train: Rows
    validation: Rows | None
    features: FeatureMap
    may_be_missing: list[str]
    columns: dict[str, Distribution]
    origin: dict[str, Any]


def read_material(data: Path, hyperparameters: Hyperparameters) -> Material:
    """Read the channels `train` and, where there is one, `validation` of a job's input/data.

    Raises
    ------
    SetupError
        A channel is missing or empty, or its rows do not allow the treatment that is asked for.
    DataError
        A table or a value in it cannot be used.
    """
    schema = hyperparameters.schema
    frame, digest = read_channel(data / "train", schema)
    held_out, validation = None, "none"
    if (data / "validation").is_dir():
        held_out, validation = read_channel(data / "validation", schema)
    elif hyperparameters.early_stopping_rounds:
        split = split_transactions(frame, schema, TAIL_SHARE)
        frame, held_out, validation = split.train, split.test, f"last {TAIL_SHARE:.0%} by time"
    pyarrow.default_memory_pool().release_unused()  # what reading left with the allocator: 70 MB
    features = FeatureMap.fit(schema, dict(frame.items()))
    missing = [column for column in features.raw if frame[column].isna().any()]
    if missing and models.Treatment.parse(hyperparameters.imbalance).needs_complete_rows:
        raise SetupError(
            f"hyperparameter 'imbalance' is {hyperparameters.imbalance!r}, but column {missing[0]!r} has missing "
            "values, which SMOTE cannot interpolate; choose another treatment, or fill them in"
        )
    train = _rows("train", frame, features, schema)
    origin = {"name": schema.name, "sha256": digest, "rows": len(train.y), "frauds": int(train.y.sum())}
    return Material(
        train=train,
        validation=None if held_out is None else _rows("validation", held_out, features, schema),
        features=features,
        may_be_missing=missing,
        columns={column: Distribution.of(frame[column].to_numpy()) for column in features.raw},
        origin=origin | {"validation": validation},
    )


def _rows(part: str, frame: pd.DataFrame, features: FeatureMap, schema: Schema) -> Rows:
    y = frame[schema.label].to_numpy()
    print(f"{part}_rows:{len(y)}; {part}_frauds:{int(y.sum())};", flush=True)
    amount = frame[schema.amount].to_numpy() if schema.amount else None
    return Rows(features.matrix(dict(frame.items())), y, amount)


def read_channel(folder: Path, schema: Schema) -> tuple[pd.DataFrame, str]:
    """Load every table of a channel.

    Parameters
    ----------
    folder : Path
        Holds `.csv`, `.csv.gz`, `.csv.zip` or `.parquet` files; a CSV without a header has the label first and then
        the schema's other columns, as SageMaker's own XGBoost expects.

    Returns
    -------
    tuple of DataFrame and str
        Rows in order of time; SHA-256 of the data.
    """
    name = f"channel {folder.name!r}"
    if not folder.is_dir():
        others = sorted(path.name for path in folder.parent.glob("*") if path.is_dir())
        raise SetupError(f"{name} is missing" + (f"; found {', '.join(map(repr, others))}" if others else ""))
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] not in "._")
    if not paths:
        raise SetupError(f"{name} is empty; give it files ending in {', '.join(FORMATS)}")
    label_first = (schema.label, *(column for column in schema.columns if column != schema.label))
    frames, digests = [], []
    for path in paths:
        source = path.relative_to(folder.parent).as_posix()
        frame, digest = read_transactions(TableFile(path, schema, source, "the hyperparameter 'schema'", label_first))
        frames.append(frame)
        digests.append(digest)
    if len(frames) == 1:  # in order of time already
        return frames[0], digests[0]
    whole = pd.concat(frames, ignore_index=True).sort_values(schema.time, kind="stable", ignore_index=True)
    return whole, hashlib.sha256("".join(digests).encode()).hexdigest()
