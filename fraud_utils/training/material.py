"""All that a model is made from: the rows of a job's channels, or this host's of them, and what all rows say."""

from __future__ import annotations

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
    DataError,
    Schema,
    add_history,
    fold_groups,
    split_transactions,
)
from fraud_utils.training.channels import REPLICATED, SHARDED, WEIGHT, is_sharded, read_channel
from fraud_utils.training.disk import PAGE_ROWS
from fraud_utils.training.hosts import ALONE, Columns, Hosts
from fraud_utils.training.hyperparameters import Hyperparameters, SetupError

TAIL_SHARE = 0.2  # of the training rows, the last by time: what early stopping watches without a validation channel
CHANNELS = ("train", "validation", "schema")


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
    disk : Path or None
        Where the rows are, if they are not in memory.
    """

    train: Rows
    validation: Rows | None
    features: FeatureMap
    may_be_missing: list[str]
    columns: dict[str, Distribution]
    origin: dict[str, Any]
    disk: Path | None = None


def read_material(
    folder: Path, hyperparameters: Hyperparameters, hosts: Hosts = ALONE, disk: Path | None = None
) -> Material:
    """Read the channels `train` and, where there is one, `validation` of a job.

    On several hosts the rows are this one's, and all that is learned from them is that of all hosts' rows.

    Parameters
    ----------
    folder : Path
        The job's input: data/<channel>/, and config/inputdataconfig.json, which is about the channels.
    disk : Path, optional
        A folder to be made, in which the rows are kept instead of in memory.

    Raises
    ------
    SetupError
        A channel is missing or empty, or its rows do not allow the treatment that is asked for.
    DataError
        A table or a value in it cannot be used.
    """
    schema, data, config = _read_as(hyperparameters), folder / "data", folder / "config" / "inputdataconfig.json"
    channels = json.loads(config.read_bytes()) if config.exists() else {}
    sharded = hosts.count > 1 and is_sharded(channels.get("train", {}))
    if sharded and schema.to_compute:
        raise SetupError(
            f"channel 'train' is {SHARDED}, but {schema.to_compute[0]!r} of a row needs rows that other hosts have; "
            f"set the channel to {REPLICATED}, or load the whole table first and give the job Schema.as_loaded with "
            "its parts"
        )
    frame, digest = read_channel(data / "train", schema, channels.get("train"), hosts, disk)
    frame = add_history(frame, schema)
    held_out, validation = None, "none"
    if schema.to_compute and (data / "validation").is_dir():
        raise SetupError(
            f"channel 'validation': {schema.to_compute[0]!r} of its rows needs those of channel 'train'; put all rows "
            "into 'train', or load the whole table first and give the job Schema.as_loaded with its parts"
        )
    if (data / "validation").is_dir():
        held_out, validation = read_channel(data / "validation", schema, channels.get("validation"), hosts, disk)
        held_out = _own(held_out, channels.get("validation", {}), hosts, disk)
    elif hyperparameters.early_stopping_rounds:
        frame, held_out = _tail(frame, schema, hosts, sharded)
        held_out = _own(held_out, channels.get("train", {}), hosts, disk)
        validation = f"last {TAIL_SHARE:.0%} by time" if schema.time else f"{TAIL_SHARE:.0%} at random"
    frame = _own(frame, channels.get("train", {}), hosts, disk)
    if others := sorted(channel.name for channel in data.glob("*/") if channel.name not in CHANNELS):
        hosts.say(f"channels that are not read: {', '.join(others)} (known: {', '.join(CHANNELS)})")
    pyarrow.default_memory_pool().release_unused()  # what reading left with the allocator: 70 MB
    schema = hyperparameters.schema
    try:
        features = FeatureMap.fit(schema, Columns(frame, hosts))
    except ValueError as error:
        raise DataError(f"channel 'train': {error}") from None
    missing = [column for column in features.raw if hosts.any(frame[column].isna().any())]
    if missing and models.Treatment.parse(hyperparameters.imbalance).needs_complete_rows:
        raise SetupError(
            f"hyperparameter 'imbalance' is {hyperparameters.imbalance!r}, but column {missing[0]!r} has missing "
            "values, which SMOTE cannot interpolate; choose another treatment, or fill them in"
        )
    train = _rows("train", frame, features, schema, hosts, disk)
    if hyperparameters.folds:
        time = frame[schema.time].to_numpy() if schema.time else None
        train = replace(train, time=time, groups=fold_groups(frame, schema))
    labels = hosts.whole(train.y)
    origin = {"name": schema.name, "sha256": digest, "rows": len(labels), "frauds": int(labels.sum())}
    return Material(
        train=train,
        validation=None if held_out is None else _rows("validation", held_out, features, schema, hosts, disk),
        features=features,
        may_be_missing=missing,
        columns={column: Distribution.of(hosts.column(frame[column])) for column in features.raw},
        origin=origin | {"validation": validation},
        disk=disk,
    )


def _own(frame: pd.DataFrame, settings: Mapping[str, Any], hosts: Hosts, disk: Path | None) -> pd.DataFrame:
    """This host's rows of a channel."""
    if hosts.count == 1 or is_sharded(settings):
        return frame
    own = frame.iloc[hosts.share(len(frame))]
    return own.copy() if disk is None else own  # a view would keep the others' rows in memory


def _tail(frame: pd.DataFrame, schema: Schema, hosts: Hosts, sharded: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to learn from and those for early stopping, cut where the rows of all hosts are."""
    if not sharded:
        split = split_transactions(frame, schema, TAIL_SHARE)
        return split.train, split.test
    if schema.time is None:
        raise SetupError(
            f"channel 'train' is {SHARDED} and has no times: early stopping would hold out rows at random, copies and "
            f"entities together, which takes all rows; add a channel 'validation', or set 'train' to {REPLICATED}"
        )
    names = [schema.time, schema.label]
    everything = pd.DataFrame({name: hosts.column(frame[name]) for name in names})
    split = split_transactions(everything.sort_values(schema.time, kind="stable"), schema, TAIL_SHARE)
    time = frame[schema.time].to_numpy()
    known = int(np.searchsorted(time, split.train[schema.time].max(), "right"))
    return frame.iloc[:known], frame.iloc[int(np.searchsorted(time, split.test[schema.time].min())) :]


def _rows(
    part: str, frame: pd.DataFrame, features: FeatureMap, schema: Schema, hosts: Hosts, disk: Path | None
) -> Rows:
    y = np.array(frame[schema.label])
    labels = hosts.whole(y)
    hosts.say(f"{part}_rows:{len(labels)}; {part}_frauds:{int(labels.sum())};")
    weight = frame[WEIGHT].to_numpy(copy=True) if WEIGHT in frame else None
    if weight is not None and not (weight >= 0).all():
        row = int(np.argmin(weight >= 0))
        raise SetupError(
            f"channel {part!r}: row {row + 1} by time: its weight is {weight[row]:g}; it must be at least 0"
        )
    amount = frame[schema.amount].to_numpy(copy=True) if schema.amount else None  # a view keeps the frame
    if disk is None or not len(frame):
        return Rows(features.matrix(dict(frame.items())), y, weight, amount)
    path = disk / f"{part}.float32"
    with path.open("wb") as file:  # writing to a map would end the process where the disk is full
        for start in range(0, len(frame), PAGE_ROWS):
            page = frame.iloc[start : start + PAGE_ROWS]
            file.write(features.matrix(dict(page.items())))
    return Rows(np.memmap(path, np.float32, "r", shape=(len(frame), len(features.names))), y, weight, amount)


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
