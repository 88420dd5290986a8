"""Tables of more rows than a comparison can take: all are read and checked, and some of the legitimate ones are kept.

A frame that is such a sample has `attrs["whole"]`: the `folder` with all rows as parquet, the times from `since` until
before `until` (seconds, or None) that it covers, how many `rows` are in them, and the `share` of their legitimate ones
that it has. It has all frauds. Every figure about legitimate rows has to be corrected by that share.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data.check import Loaded
from fraud_utils.data.files import TableFile
from fraud_utils.data.parts import check_alike, joined, memory_bytes, read_in_pieces, row_count, shifts, summed
from fraud_utils.data.schema import DataError, Schema
from fraud_utils.project import resolve, write

CACHE = ".table_cache"
PART_ROWS = 1 << 18  # rows of all that are looked at together
KEPT_DAYS = 7  # since all rows of a table were last asked for
# So many rows (the reference table has 284,807) are compared in minutes on two cores; all processes together take so
# many times the size of the rows as numbers of 64 bits.
MOST_ROWS, TIMES = 300_000, 16
CSV_TIMES = 2  # the size of a CSV's rows as numbers of 64 bits that reading it takes: as Arrow's table, as a frame


@dataclass(frozen=True)
class Sampled:
    """A sample of a table: what was read and kept, how many rows there are in all, and the largest amount."""

    loaded: Loaded
    rows: int
    largest_amount: float | None


def most_rows(schema: Schema, asked: int = 0) -> int:
    """How many rows a report takes without drawing some of them: so many as are asked for, or by this machine's memory.

    Parameters
    ----------
    asked : int
        0 for the default.
    """
    return asked or min(MOST_ROWS, int(memory_bytes() / (TIMES * 8 * len(schema.columns))))


def whole_only(schema: Schema) -> str:
    """Why a table of this kind is never sampled; "" where it can be."""
    if not schema.time:
        return "the table has no times by which a part could be told apart"
    if schema.to_compute:
        return "what an entity did before is seen among all rows alone"
    return ""


def sample(tables: Sequence[TableFile], name: str, most: int, seed: int) -> Sampled:
    """Keep all frauds and a random share of the legitimate rows, about as many as of `most` rows, and all rows on disk.

    All rows stay under `.table_cache/` for the notebooks that come next, until nobody has asked for them for a week.

    Parameters
    ----------
    tables : sequence of TableFile
        With one schema, for which `whole_only` has no objection.
    name : str
        What messages call the table.

    Raises
    ------
    DataError
        As `load_transactions` does.
    """
    rows, schema, cache = row_count(tables), tables[0].schema, resolve(CACHE)
    share = min(1.0, most / max(rows, 1))
    cache.mkdir(exist_ok=True)
    _forget(cache)
    folder = cache / _key(tables, share, seed)
    if not folder.is_dir():
        _check_csvs(tables)
        needed, free = rows * len(schema.columns) * 8, shutil.disk_usage(cache).free
        if needed > free:
            raise DataError(
                f"{name}: keeping its {rows:,} rows takes {needed / 1e9:,.0f} GB, and {cache} has "
                f"{free / 1e9:,.0f} GB; make room, or link that folder to a larger disk"
            )
        _keep_all(tables, name, share, seed, folder)
    with suppress(FileNotFoundError):
        os.utime(folder)
    about = json.loads((folder / "table.json").read_text())
    frame = pd.read_parquet(folder / "sample" / "rows.parquet")
    frame.attrs["whole"] = {"folder": str(folder)}
    frame = between(frame, schema, None, None)
    if (left := frame.attrs["whole"]["rows"]) != about["rows"]:
        raise DataError(
            f"{name}: {folder} holds {left:,} of its {about['rows']:,} rows; somebody has removed a part: delete this "
            "folder, and all rows are read again"
        )
    said, unlabelled, origin = tuple(about["read_as"]), about["unlabelled"], about["origin"]
    loaded = Loaded(frame, about["sha256"], said, unlabelled, origin, about["simulated"])
    return Sampled(loaded, about["rows"], about["largest_amount"])


def share_of(frame: pd.DataFrame) -> float:
    """Which share of the legitimate rows a frame has: 1 unless it is a sample."""
    return float(frame.attrs.get("whole", {}).get("share", 1.0))


def describe(share: float) -> str:
    """Say what a sample holds, and what that means for figures."""
    return (
        f"Models are compared on all frauds and {words.percent(share)} of the legitimate rows, drawn at random: "
        "figures are corrected for that, and intervals are as wide as so few rows make them."
    )


def between(frame: pd.DataFrame, schema: Schema, since: float | None, until: float | None) -> pd.DataFrame:
    """A frame that covers these times, and says so where it is a sample, with the share that was drawn of them."""
    if whole := frame.attrs.get("whole"):
        whole = whole | {"since": since, "until": until}
        legitimate, frauds = (int((frame[schema.label] == label).sum()) for label in (0, 1))
        whole["rows"] = _rows(whole, schema)
        whole["share"] = max(legitimate, 1) / max(whole["rows"] - frauds, 1)
        frame.attrs["whole"] = whole
    return frame


def uniform(frame: pd.DataFrame, schema: Schema, seed: int = 7) -> pd.DataFrame:
    """Rows among which frauds are as rare as in the table: of a sample, which has all of them, that share of them."""
    if (share := share_of(frame)) == 1:
        return frame
    return frame[(frame[schema.label] == 0) | (np.random.default_rng(seed).random(len(frame)) < share)]


def weights(frame: pd.DataFrame, schema: Schema) -> np.ndarray:
    """How many rows of the table each row of a frame stands for, shape (rows,)."""
    return np.where(frame[schema.label] == 1, 1.0, 1 / share_of(frame))


def count(frame: pd.DataFrame) -> int:
    """How many rows a frame stands for: its own or, of a sample, those of the whole table in its times."""
    return int(frame.attrs.get("whole", {}).get("rows", len(frame)))


def all_rows(frame: pd.DataFrame, schema: Schema, columns: Sequence[str] = ()) -> Iterator[pd.DataFrame]:
    """The rows that a frame stands for: its own or, of a sample, all of its times, some at a time and in no order.

    Parameters
    ----------
    columns : sequence of str
        Those wanted; all where none is named.

    Raises
    ------
    FileNotFoundError
        Somebody has deleted the rows.
    """
    columns = [*columns] or [*frame.columns]
    if not (whole := frame.attrs.get("whole")):
        yield frame if columns == [*frame.columns] else frame[columns]
        return
    from pyarrow import parquet

    read = list(dict.fromkeys([*columns, str(schema.time)]))
    for file in _files(whole):
        with parquet.ParquetFile(file, read_dictionary=[name for name in read if name in schema.text]) as opened:
            for batch in opened.iter_batches(PART_ROWS, columns=read):
                part = batch.select(read).to_pandas(split_blocks=True)
                if np.any(inside := within(part, schema, whole)):
                    yield part.loc[inside, columns]


def as_parquet(frame: pd.DataFrame, schema: Schema) -> Iterator[IO[bytes]]:
    """The rows that a frame stands for as parquet files, each open until the next one is asked for.

    Of a sample these are the files in which all rows lie, as they are; of one that its times cut through, what is left.

    Raises
    ------
    FileNotFoundError
        As `all_rows`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    if not (whole := frame.attrs.get("whole")):
        with _written(pa.Table.from_pandas(frame, preserve_index=False)) as stream:
            yield stream
        return
    name, (since, until) = str(schema.time), _bounds(whole)
    for file in _files(whole):
        with parquet.ParquetFile(file) as opened:
            about, place = opened.metadata, opened.schema_arrow.get_field_index(name)
            times = [about.row_group(number).column(place).statistics for number in range(about.num_row_groups)]
            first, last = min(each.min for each in times), max(each.max for each in times)
            if since <= first and last < until:
                with file.open("rb") as stream:
                    yield stream
            elif since <= last and first < until:
                inside = (pc.field(name) >= since) & (pc.field(name) < until)
                with _written(opened.read().filter(inside)) as stream:
                    yield stream


def within(part: pd.DataFrame, schema: Schema, whole: Mapping[str, Any]) -> np.ndarray:
    """Which of some rows lie in a sample's times, shape (rows,)."""
    time, (since, until) = part[schema.time].to_numpy(), _bounds(whole)
    return (time >= since) & (time < until)


def _files(whole: Mapping[str, Any]) -> list[Path]:
    """The parquet files that hold all rows."""
    if files := sorted(Path(whole["folder"]).glob("part-*.parquet")):
        return files
    raise FileNotFoundError(f"{whole['folder']}: the rows of the whole table are gone; load the table again")


def _bounds(whole: Mapping[str, Any]) -> tuple[float, float]:
    since, until = whole["since"], whole["until"]
    return -np.inf if since is None else since, np.inf if until is None else until


def _rows(whole: Mapping[str, Any], schema: Schema) -> int:
    """How many of all rows lie in a sample's times."""
    from pyarrow import dataset

    when, (since, until) = dataset.field(str(schema.time)), _bounds(whole)
    files = [str(file) for file in _files(whole)]
    return dataset.dataset(files).count_rows(filter=(when >= since) & (when < until))


# Reading all rows once ----------------------------------------------------------------------------------------------


def _check_csvs(tables: Sequence[TableFile]) -> None:
    """Refuse a CSV that does not fit into memory by itself: unlike parquet files these are read whole."""
    for table in tables:
        if not table.is_parquet:
            needed, memory = row_count([table]) * len(table.schema.columns) * 8 * CSV_TIMES, memory_bytes()
            if needed > memory:
                raise DataError(
                    f"{table.source}: reading it takes about {needed / 1e9:,.0f} GB of memory, and there are "
                    f"{memory / 1e9:,.0f} GB; write it as parquet, or as several CSVs in one folder"
                )


def _keep_all(tables: Sequence[TableFile], name: str, share: float, seed: int, folder: Path) -> None:
    """Write the folder of a table: its parts, the rows that were drawn, and what is known of all."""
    schema = tables[0].schema
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".reading-"))
    digests, read, filled, kept, largest = dict[str, str](), [], dict[Path, Loaded](), [], []
    rows, frauds, sources = 0, 0, dict[str, Loaded]()
    try:
        for number, (source, part) in enumerate(_pieces(tables)):
            frame, file = part.frame, beside / f"part-{number:05}.parquet"
            digests.setdefault(source, part.sha256)
            read.append(replace(part, frame=pd.DataFrame()))  # its rows can be let go of
            if not len(frame):
                continue
            _write(frame, file)
            filled[file] = sources[f"{source}, piece {number}"] = read[-1]
            fraud = frame[schema.label].to_numpy() == 1
            kept.append(frame[fraud | (np.random.default_rng([seed, number]).random(len(frame)) < share)])
            rows, frauds = rows + len(frame), frauds + int(fraud.sum())
            largest += [float(frame[schema.amount].max())] if schema.amount else []
        check_alike(sources, rows, frauds, name, schema)
        drawn = joined(kept, _from_the_first_day(filled, schema), schema)
        known = summed(read, drawn, list(digests.values()))
        told = {each: getattr(known, each) for each in ("sha256", "read_as", "unlabelled", "origin", "simulated")}
        told |= {"rows": rows, "largest_amount": max(largest, default=None)}
        (beside / "sample").mkdir()
        _write(drawn, beside / "sample" / "rows.parquet")
        write(beside / "table.json", json.dumps(told))
        _rename(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _from_the_first_day(filled: Mapping[Path, Loaded], schema: Schema) -> list[float]:
    """Let times in all files count from the earliest of their origins, which only the end of reading tells."""
    origins = [part.origin for part in filled.values()]
    moves = shifts(origins, origins)
    for file, move in zip(filled, moves, strict=True):
        if move:
            frame = pd.read_parquet(file)
            frame[schema.time] += move
            _write(frame, file)
    return moves


def _rename(folder: Path, wanted: Path) -> None:
    try:
        folder.rename(wanted)
    except OSError:
        if not wanted.is_dir():  # else another process was faster
            raise


def _pieces(tables: Sequence[TableFile]) -> Iterator[tuple[str, Loaded]]:
    """Every piece of every table, checked, and which table it is of."""
    from tqdm import tqdm

    bar = tqdm(total=row_count(tables), desc="Reading all rows", unit="row", unit_scale=True, file=sys.stdout)
    with bar:
        for table in tables:
            for part in read_in_pieces(replace(table, part=True)):
                bar.update(len(part.frame))
                yield table.source, part


def _write(frame: pd.DataFrame, path: Path) -> None:
    import pyarrow as pa

    _write_table(pa.Table.from_pandas(frame, preserve_index=False), path)


def _write_table(content: Any, where: Path | IO[bytes]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    words = [field.name for field in content.schema if not pa.types.is_floating(field.type)]
    parquet.write_table(content, where, compression="lz4", use_dictionary=words)


@contextmanager
def _written(content: Any) -> Iterator[IO[bytes]]:
    """A pyarrow.Table as a parquet file without a name, to be read from its beginning."""
    with tempfile.TemporaryFile() as stream:
        _write_table(content, stream)
        stream.seek(0)
        yield stream


def _key(tables: Sequence[TableFile], share: float, seed: int) -> str:
    """Of a table as it lies there, what its schema says, and this code."""
    files = [[table.source, str(table.path), *_stamp(table.path)] for table in tables]
    code = [file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.py"))]
    given = [files, tables[0].schema.to_dict(), share, seed, code]
    return hashlib.sha256(json.dumps(given, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns


def _forget(cache: Path) -> None:
    """Remove what nobody has asked for in a week."""
    for folder in cache.iterdir():
        with suppress(OSError):  # another process is faster
            days = 1 if folder.name.startswith(".reading-") else KEPT_DAYS  # a reading that was killed
            if time.time() - folder.stat().st_mtime > days * 86_400:
                # Under a name that nobody asks for, since whoever is stopped now leaves a part of it.
                gone = folder.rename(folder.with_name(f".reading-{folder.name.removeprefix('.reading-')}"))
                shutil.rmtree(gone, ignore_errors=True)
