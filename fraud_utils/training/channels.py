"""Channels: the tables that SageMaker puts under input/data, as the rows that a model learns from."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
from fraud_utils.training.hosts import ALONE, Columns, Hosts
from fraud_utils.training.hyperparameters import Hyperparameters, SetupError

TAIL_SHARE = 0.2  # of the training rows, the last by time: what early stopping watches without a validation channel
CHANNELS = ("train", "validation", "schema")
CONTENT_TYPES = {
    **dict.fromkeys(("text/csv", "csv"), ".csv"),
    **dict.fromkeys(("application/x-parquet", "application/parquet", "parquet"), ".parquet"),
}
WEIGHT = "csv_weights"  # the column that the hyperparameter of this name asks for
SHARDED, REPLICATED = "ShardedByS3Key", "FullyReplicated"  # how S3 objects are given to several hosts
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


def read_material(folder: Path, hyperparameters: Hyperparameters, hosts: Hosts = ALONE) -> Material:
    """Read the channels `train` and, where there is one, `validation` of a job.

    On several hosts the rows are this one's, and all that is learned from them is that of all hosts' rows.

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
    sharded = hosts.count > 1 and _is_sharded(channels.get("train", {}))
    if sharded and schema.to_compute:
        raise SetupError(
            f"channel 'train' is {SHARDED}, but {schema.to_compute[0]!r} of a row needs rows that other hosts have; "
            f"set the channel to {REPLICATED}, or load the whole table first and give the job Schema.as_loaded with "
            "its parts"
        )
    frame, digest = read_channel(data / "train", schema, channels.get("train"), hosts)
    frame = add_history(frame, schema)
    held_out, validation = None, "none"
    if schema.to_compute and (data / "validation").is_dir():
        raise SetupError(
            f"channel 'validation': {schema.to_compute[0]!r} of its rows needs those of channel 'train'; put all rows "
            "into 'train', or load the whole table first and give the job Schema.as_loaded with its parts"
        )
    if (data / "validation").is_dir():
        held_out, validation = read_channel(data / "validation", schema, channels.get("validation"), hosts)
        held_out = _own(held_out, channels.get("validation", {}), hosts)
    elif hyperparameters.early_stopping_rounds:
        frame, held_out = _tail(frame, schema, hosts, sharded)
        held_out = _own(held_out, channels.get("train", {}), hosts)
        validation = f"last {TAIL_SHARE:.0%} by time" if schema.time else f"{TAIL_SHARE:.0%} at random"
    frame = _own(frame, channels.get("train", {}), hosts)
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
    train = _rows("train", frame, features, schema, hosts)
    if hyperparameters.folds:
        time = frame[schema.time].to_numpy() if schema.time else None
        train = replace(train, time=time, groups=fold_groups(frame, schema))
    labels = hosts.whole(train.y)
    origin = {"name": schema.name, "sha256": digest, "rows": len(labels), "frauds": int(labels.sum())}
    return Material(
        train=train,
        validation=None if held_out is None else _rows("validation", held_out, features, schema, hosts),
        features=features,
        may_be_missing=missing,
        columns={column: Distribution.of(hosts.column(frame[column])) for column in features.raw},
        origin=origin | {"validation": validation},
    )


def _is_sharded(settings: Mapping[str, Any]) -> bool:
    """Whether each host has files of its own, instead of all of them."""
    return settings.get("S3DistributionType") == SHARDED


def _own(frame: pd.DataFrame, settings: Mapping[str, Any], hosts: Hosts) -> pd.DataFrame:
    """This host's rows of a channel."""
    alone = hosts.count == 1 or _is_sharded(settings)
    return frame if alone else frame.iloc[hosts.share(len(frame))].copy()  # a view would keep the others' rows


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
    time = frame[schema.time]
    return frame[time <= split.train[schema.time].max()], frame[time >= split.test_from]


def _rows(part: str, frame: pd.DataFrame, features: FeatureMap, schema: Schema, hosts: Hosts) -> Rows:
    y = frame[schema.label].to_numpy()
    labels = hosts.whole(y)
    hosts.say(f"{part}_rows:{len(labels)}; {part}_frauds:{int(labels.sum())};")
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


def read_channel(
    folder: Path, schema: Schema, settings: Mapping[str, Any] | None = None, hosts: Hosts = ALONE
) -> tuple[pd.DataFrame, str]:
    """Load every table of a channel.

    Labels, the moment from which times are counted, and the hash are those of the whole channel, on all hosts.

    Parameters
    ----------
    folder : Path
        Holds `.csv`, `.csv.gz`, `.csv.zip` or `.parquet` files; a CSV without a header has the label first, then the
        weight where there are weights, then the schema's other columns, as SageMaker's own XGBoost expects. Parts
        without a row are passed over.
    settings : mapping, optional
        The channel's in inputdataconfig.json: a name without an extension is read as its ContentType says; its
        S3DistributionType says whether each host has all files (FullyReplicated) or files of its own (ShardedByS3Key).

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
    dealt = ""
    if hosts.count > 1 and _is_sharded(settings or {}):
        dealt = f"; {SHARDED} deals whole files to {hosts.count} hosts: write at least so many, or set {REPLICATED}"
    if not paths:
        raise SetupError(f"{name} is empty; give it files ending in {', '.join(FORMATS)}{dealt}")
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
        raise SetupError(f"{name}: its files hold no rows; export them again{dealt}")
    channel = _Channel.of(parts, schema)
    if hosts.count > 1:
        channel = channel.joined(name, [_Channel(**each) for each in hosts.tell(asdict(channel))], bool(dealt))
    channel.check(name, schema)
    digests = [channel.digests[source] for source in sorted(channel.digests, key=Path)]
    whole = hashlib.sha256("".join(digests).encode()).hexdigest() if len(digests) > 1 else digests[0]
    return _in_order(parts, schema, channel), whole


@dataclass(frozen=True)
class _Channel:
    """What has to be known of all files of a channel, those of other hosts included."""

    digests: dict[str, str]  # by file
    origins: dict[str, str | None]  # of each file's times
    rows: int
    frauds: int

    @classmethod
    def of(cls, parts: Mapping[str, Any], schema: Schema) -> _Channel:
        return cls(
            {source: part.sha256 for source, part in parts.items()},
            {source: part.origin for source, part in parts.items()},
            sum(len(part.frame) for part in parts.values()),
            sum(int(part.frame[schema.label].sum()) for part in parts.values()),
        )

    def joined(self, name: str, all_hosts: Sequence[_Channel], sharded: bool) -> _Channel:
        """The channel of all hosts; a SetupError where their files are not what its S3DistributionType says."""
        if not sharded:
            if any(other.digests != self.digests for other in all_hosts):
                raise SetupError(
                    f"{name} is {REPLICATED}, but its files are not the same on all hosts; give each host all files, "
                    f"or say S3DistributionType {SHARDED} in inputdataconfig.json"
                )
            return self
        seen = Counter(source for other in all_hosts for source in other.digests)
        if twice := [source for source, times in seen.items() if times > 1]:
            raise SetupError(
                f"{name} is {SHARDED}, but {min(twice)} lies on several hosts, and its rows would count twice; give "
                f"each host files of its own, or say S3DistributionType {REPLICATED} in inputdataconfig.json"
            )
        digests = {source: digest for other in all_hosts for source, digest in other.digests.items()}
        origins = {source: origin for other in all_hosts for source, origin in other.origins.items()}
        return _Channel(digests, origins, sum(each.rows for each in all_hosts), sum(each.frauds for each in all_hosts))

    def check(self, name: str, schema: Schema) -> None:
        """Refuse times that cannot be compared, and rows of one class."""
        found = set(self.origins.values())
        if len(found) > 1 and None in found:
            odd = min(source for source, origin in self.origins.items() if origin is None)
            raise DataError(
                f"{odd}: its times have no dates, and those of other files of the channel have; write them alike"
            )
        if self.frauds in (0, self.rows):
            kind = "fraud" if self.frauds else "legitimate"
            raise DataError(
                f"{name}: column {schema.label!r}: all {self.rows:,} rows are {kind}; learning needs both classes"
            )


def _in_order(parts: Mapping[str, Any], schema: Schema, channel: _Channel) -> pd.DataFrame:
    """The rows of these parts in order of time, counted from one moment of the whole channel."""
    if len(set(channel.origins.values())) > 1:
        start = min(map(pd.Timestamp, channel.origins.values()))
        for part in parts.values():
            part.frame[schema.time] += (pd.Timestamp(part.origin) - start).total_seconds()
    frames = [part.frame for part in parts.values()]
    whole = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
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
