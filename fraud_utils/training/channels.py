"""Channels: the tables that SageMaker puts under input/data, as the rows that a model learns from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow

from fraud_utils import models
from fraud_utils.artifact import Distribution, FeatureMap
from fraud_utils.data import (
    FORMATS,
    DataError,
    Schema,
    TableFile,
    add_history,
    fold_groups,
    read_transactions,
    split_transactions,
)
from fraud_utils.training.hyperparameters import Hyperparameters, SetupError

TAIL_SHARE = 0.2  # of the training rows, the last by time: what early stopping watches without a validation channel
CHANNELS = ("train", "validation", "schema")
CONTENT_TYPES = {
    **dict.fromkeys(("text/csv", "csv"), ".csv"),
    **dict.fromkeys(("application/x-parquet", "application/parquet", "parquet"), ".parquet"),
}
WEIGHT = "csv_weights"  # the column that the hyperparameter of this name asks for
SCHEMA_SOURCE = "the job's schema (the channel 'schema', or the hyperparameter)"


@dataclass(frozen=True)
class Rows:
    """A matrix of the model's inputs, float32 of shape (rows, columns), its labels, weights and amounts.

    Where folds are asked for, also the rows' times, and groups that have to share a fold.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None
    amount: np.ndarray | None = None
    time: np.ndarray | None = None
    groups: np.ndarray | None = None


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


def read_material(folder: Path, hyperparameters: Hyperparameters) -> Material:
    """Read the channels `train` and, where there is one, `validation` of a job.

    Parameters
    ----------
    folder : Path
        The job's input: data/<channel>/, and config/inputdataconfig.json, which is about the channels.

    Raises
    ------
    SetupError
        A channel is missing or empty, or its rows do not allow the treatment that is asked for.
    DataError
        A table or a value in it cannot be used.
    """
    schema, data, config = _read_as(hyperparameters), folder / "data", folder / "config" / "inputdataconfig.json"
    channels = json.loads(config.read_bytes()) if config.exists() else {}
    frame, digest = read_channel(data / "train", schema, channels.get("train"))
    frame = add_history(frame, schema)
    held_out, validation = None, "none"
    if schema.to_compute and (data / "validation").is_dir():
        raise SetupError(
            f"channel 'validation': {schema.to_compute[0]!r} of its rows needs those of channel 'train'; put all rows "
            "into 'train', or load the whole table first and give the job Schema.as_loaded with its parts"
        )
    if (data / "validation").is_dir():
        held_out, validation = read_channel(data / "validation", schema, channels.get("validation"))
    elif hyperparameters.early_stopping_rounds:
        split = split_transactions(frame, schema, TAIL_SHARE)
        frame, held_out = split.train, split.test
        validation = f"last {TAIL_SHARE:.0%} by time" if schema.time else f"{TAIL_SHARE:.0%} at random"
    if others := sorted(channel.name for channel in data.glob("*/") if channel.name not in CHANNELS):
        print(f"channels that are not read: {', '.join(others)} (known: {', '.join(CHANNELS)})", flush=True)
    pyarrow.default_memory_pool().release_unused()  # what reading left with the allocator: 70 MB
    schema = hyperparameters.schema
    try:
        features = FeatureMap.fit(schema, dict(frame.items()))
    except ValueError as error:
        raise DataError(f"channel 'train': {error}") from None
    missing = [column for column in features.raw if frame[column].isna().any()]
    if missing and models.Treatment.parse(hyperparameters.imbalance).needs_complete_rows:
        raise SetupError(
            f"hyperparameter 'imbalance' is {hyperparameters.imbalance!r}, but column {missing[0]!r} has missing "
            "values, which SMOTE cannot interpolate; choose another treatment, or fill them in"
        )
    train = _rows("train", frame, features, schema)
    if hyperparameters.folds:
        time = frame[schema.time].to_numpy() if schema.time else None
        train = replace(train, time=time, groups=fold_groups(frame, schema))
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
    weight = frame[WEIGHT].to_numpy(copy=True) if WEIGHT in frame else None
    if weight is not None and not (weight >= 0).all():
        row = int(np.argmin(weight >= 0))
        raise SetupError(
            f"channel {part!r}: row {row + 1} by time: its weight is {weight[row]:g}; it must be at least 0"
        )
    amount = frame[schema.amount].to_numpy(copy=True) if schema.amount else None  # a view keeps the frame
    return Rows(features.matrix(dict(frame.items())), y, weight, amount)


def _read_as(hyperparameters: Hyperparameters) -> Schema:
    """The schema of the tables: with a column of weights where there is one."""
    schema = hyperparameters.schema
    if not hyperparameters.csv_weights:
        return schema
    if models.Treatment.parse(hyperparameters.imbalance).method not in ("none", "class weight"):
        raise SetupError(
            f"hyperparameter 'csv_weights' is 1, but 'imbalance' is {hyperparameters.imbalance!r}, which draws or "
            "makes rows that have no weight; choose none or class weight"
        )
    return replace(schema, features=(WEIGHT, *schema.features))


def read_channel(folder: Path, schema: Schema, settings: Mapping[str, Any] | None = None) -> tuple[pd.DataFrame, str]:
    """Load every table of a channel.

    Parameters
    ----------
    folder : Path
        Holds `.csv`, `.csv.gz`, `.csv.zip` or `.parquet` files; a CSV without a header has the label first, then the
        weight where there are weights, then the schema's other columns, as SageMaker's own XGBoost expects. Parts
        without a row are passed over.
    settings : mapping, optional
        The channel's in inputdataconfig.json: a name without an extension is read as its ContentType says.

    Returns
    -------
    tuple of DataFrame and str
        Rows in order of time; SHA-256 of the data.
    """
    name = f"channel {folder.name!r}"
    if not folder.is_dir():
        others = sorted(path.name for path in folder.parent.glob("*") if path.is_dir())
        raise SetupError(f"{name} is missing" + (f"; found {', '.join(map(repr, others))}" if others else ""))
    declared = _declared(name, settings or {})
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] not in "._")
    if not paths:
        raise SetupError(f"{name} is empty; give it files ending in {', '.join(FORMATS)}")
    first = [schema.label, *(name for name in (WEIGHT,) if name in schema.columns)]
    label_first = (*first, *(column for column in schema.file_columns if column not in first))
    parts, without_rows = {}, []
    for path in paths:
        source = path.relative_to(folder.parent).as_posix()
        if path.stat().st_size:  # what stands for a folder is a file of zero bytes
            form = _format(path.name, source, declared)
            part = read_transactions(TableFile(path, schema, source, SCHEMA_SOURCE, label_first, form, True))
            if len(part.frame):
                parts[source] = part
                continue
        without_rows.append(source)
    if without_rows:
        count = f"{len(without_rows)} of {len(paths)} files"
        print(f"{name}: passed over {count}, without a row: {', '.join(without_rows)[:500]}", flush=True)
    for said in dict.fromkeys(sentence for part in parts.values() for sentence in part.read_as):
        print(f"{name}: {said}", flush=True)
    if not parts:
        raise SetupError(f"{name}: its files hold no rows; export them again")
    digests = [part.sha256 for part in parts.values()]
    whole = hashlib.sha256("".join(digests).encode()).hexdigest() if len(digests) > 1 else digests[0]
    return _joined(name, parts, schema), whole


def _joined(name: str, parts: Mapping[str, Any], schema: Schema) -> pd.DataFrame:
    """The rows of all parts in order of time, counted from one moment; both classes among them."""
    origins = {part.origin for part in parts.values()}
    if len(origins) > 1:
        if None in origins:
            odd = next(source for source, part in parts.items() if part.origin is None)
            raise DataError(
                f"{odd}: its times have no dates, and those of other files of the channel have; write them alike"
            )
        start = min(map(pd.Timestamp, origins))
        for part in parts.values():
            part.frame[schema.time] += (pd.Timestamp(part.origin) - start).total_seconds()
    frames = [part.frame for part in parts.values()]
    whole = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    labels = whole[schema.label]
    if labels.min() == labels.max():
        kind = "fraud" if labels[0] else "legitimate"
        raise DataError(
            f"{name}: column {schema.label!r}: all {len(whole):,} rows are {kind}; learning needs both classes"
        )
    if schema.time and len(frames) > 1:  # one is in order already
        whole = whole.sort_values(schema.time, kind="stable", ignore_index=True)
    return whole


def _declared(name: str, settings: Mapping[str, Any]) -> str:
    """The format that a channel's ContentType means; empty where it has none."""
    if settings.get("TrainingInputMode") == "Pipe":
        raise SetupError(f"{name} comes through a pipe; set its input mode to File or FastFile")
    media, *parameters = (part.strip() for part in settings.get("ContentType", "").lower().split(";"))
    if not media:
        return ""
    if media not in CONTENT_TYPES:
        raise SetupError(f"{name} has the ContentType {media!r}; set text/csv or application/x-parquet")
    for parameter in parameters:
        key, _, value = (word.strip() for word in parameter.partition("="))
        if key == "label_size" and value != "1":
            raise SetupError(f"{name} has label_size={value} in its ContentType; rows have one label")
    return CONTENT_TYPES[media]


def _format(name: str, source: str, declared: str) -> str:
    """What to add to a file's name for it to say its format; empty where it does."""
    if "." in name:
        return ""
    if not declared:
        raise DataError(
            f"{source}: has no extension; name it {' or '.join(FORMATS)}, or set the channel's ContentType to "
            "text/csv or application/x-parquet"
        )
    return declared
