"""Channels: the tables that SageMaker puts under input/data, checked, on one host or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from fraud_utils.data import (
    FORMATS,
    DataError,
    Loaded,
    Schema,
    TableFile,
    check_alike,
    joined,
    one_digest,
    read_in_pieces,
    read_transactions,
    shifts,
)
from fraud_utils.training.disk import Store
from fraud_utils.training.hosts import ALONE, Hosts
from fraud_utils.training.hyperparameters import SetupError

CONTENT_TYPES = {
    **dict.fromkeys(("text/csv", "csv"), ".csv"),
    **dict.fromkeys(("application/x-parquet", "application/parquet", "parquet"), ".parquet"),
}
WEIGHT = "csv_weights"  # the column that the hyperparameter of this name asks for
SHARDED, REPLICATED = "ShardedByS3Key", "FullyReplicated"  # how S3 objects are given to several hosts
SCHEMA_SOURCE = "the job's schema (the channel 'schema', or the hyperparameter)"


def is_sharded(settings: Mapping[str, Any]) -> bool:
    """Whether each host has files of its own, instead of all of them."""
    return settings.get("S3DistributionType") == SHARDED


def read_channel(
    folder: Path,
    schema: Schema,
    settings: Mapping[str, Any] | None = None,
    hosts: Hosts = ALONE,
    disk: Path | None = None,
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
    if hosts.count > 1 and is_sharded(settings or {}):
        dealt = f"; {SHARDED} deals whole files to {hosts.count} hosts: write at least so many, or set {REPLICATED}"
    if not paths:
        raise SetupError(f"{name} is empty; give it files ending in {', '.join(FORMATS)}{dealt}")
    first = [schema.label, *(name for name in (WEIGHT,) if name in schema.columns)]
    label_first = (*first, *(column for column in schema.file_columns if column not in first))
    store = None if disk is None else Store(disk / folder.name)
    parts: dict[str, Any] = {}
    without_rows = []
    for path in paths:
        source = path.relative_to(folder.parent).as_posix()
        if path.stat().st_size:  # what stands for a folder is a file of zero bytes
            form = _format(path.name, source, declared)
            file = TableFile(path, schema, source, SCHEMA_SOURCE, label_first, form, True)
            found = {source: read_transactions(file)} if store is None else _spilled(file, store)
            if found := {name: part for name, part in found.items() if len(part.frame)}:
                parts |= found
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
    check_alike(parts | channel.elsewhere(parts), channel.rows, channel.frauds, name, schema)
    digests = [channel.digests[source] for source in sorted(channel.digests, key=Path)]
    return _in_order(parts, schema, channel, store), one_digest(digests)


def _spilled(file: TableFile, store: Store) -> dict[str, Any]:
    """The parts in which a file's rows were put on disk; of their frames only the labels are kept."""
    parts: dict[str, Any] = {}
    for number, part in enumerate(read_in_pieces(file)):
        if len(part.frame):
            store.add(part.frame)
            source = f"{file.source}, piece {number + 1}" if number else file.source
            digest = "" if parts else part.sha256
            parts[source] = replace(part, frame=part.frame[[file.schema.label]].copy(), sha256=digest)
    return parts


@dataclass(frozen=True)
class _Channel:
    """What has to be known of all files of a channel, those of other hosts included."""

    digests: dict[str, str]  # by file
    origins: dict[str, str | None]  # of each file's times
    legitimate: dict[str, list[str]]  # by file, the labels that do not mean fraud
    rows: int
    frauds: int

    @classmethod
    def of(cls, parts: Mapping[str, Any], schema: Schema) -> _Channel:
        return cls(
            {source: part.sha256 for source, part in parts.items() if part.sha256},
            {source: part.origin for source, part in parts.items()},
            {source: sorted(part.legitimate) for source, part in parts.items()},
            sum(len(part.frame) for part in parts.values()),
            sum(int(part.frame[schema.label].sum()) for part in parts.values()),
        )

    def elsewhere(self, parts: Mapping[str, Any]) -> dict[str, Loaded]:
        """What is known of other hosts' parts."""
        nothing = pd.DataFrame()
        return {
            source: Loaded(nothing, "", origin=origin, legitimate=frozenset(self.legitimate[source]))
            for source, origin in self.origins.items()
            if source not in parts
        }

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
        legitimate = {source: labels for other in all_hosts for source, labels in other.legitimate.items()}
        rows, frauds = (sum(getattr(other, name) for other in all_hosts) for name in ("rows", "frauds"))
        return _Channel(digests, origins, legitimate, rows, frauds)


def _in_order(parts: Mapping[str, Any], schema: Schema, channel: _Channel, store: Store | None) -> pd.DataFrame:
    """The rows of these parts in order of time, counted from one moment of the whole channel."""
    moves = shifts([part.origin for part in parts.values()], channel.origins.values())
    frames = [part.frame for part in parts.values()]
    if store is None:
        return joined(frames, moves, schema)
    if schema.time:
        store.order(schema.time, moves, [len(frame) for frame in frames])
    return store.frame()


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
