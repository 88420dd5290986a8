"""The table that somebody names: the reference set, another table, or simulated transactions where there is none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data import sample
from fraud_utils.data.check import Loaded, checked
from fraud_utils.data.files import TableFile
from fraud_utils.data.history import add_history
from fraud_utils.data.parts import check_alike, counted, files_of, joined, row_count, shifts, summed
from fraud_utils.data.read import read
from fraud_utils.data.schema import SIMULATED, ULB, DataError, Schema
from fraud_utils.project import resolve

ULB_SHA256 = "76274b691b16a6c49d3f159c883398e03ccd6d1ee12d9d8ee38f4b4b98551a89"
ULB_ROWS, ULB_FRAUDS = 284_807, 492
DEFAULT_PATH = "data/creditcard.csv"
SIMULATED_ROWS = 80_000
MISSED = 4  # so many times fewer rows than its first ones let expect may a CSV have: below that, they are counted


def load_transactions(path: str | Path = "", schema: Schema = ULB, seed: int = 7, most_rows: int = 0) -> pd.DataFrame:
    """Load a table of transactions and check it.

    Of a table of more rows than `most_rows`, all are read and checked, and the frame has all frauds and a random share
    of the legitimate ones: see `sample`.

    Parameters
    ----------
    path : str or Path
        `.csv`, `.csv.gz`, `.csv.zip` (one member) or `.parquet`, or a folder of such files, which are one table,
        relative to the project's root. Empty: what the schema says is simulated; else `data/creditcard.csv` where it
        exists, else simulated transactions.
    schema : Schema
        What the columns mean and how the file writes them; the reference set's by default.
    seed : int
        Of the simulation, where nothing is loaded; of the rows that are drawn.
    most_rows : int
        0 for as many as `sample.most_rows` says.

    Returns
    -------
    pandas.DataFrame
        One row a transaction, in order of time where there is one; `schema.columns`, numeric ones float64, the label
        int8, the time in seconds (timestamps and epochs: from midnight of the first day, UTC), categorical ones
        `category`. `attrs["provenance"]` holds what `record.Data` does.

    Raises
    ------
    DataError
        The file cannot be read, or its columns, types, labels, values or checksum are wrong. Its `faults` hold all
        that is wrong with columns and values.
    """
    if not str(path):
        if schema.source in SIMULATED.values():
            return _simulated(seed, schema)
        if schema != ULB:
            raise DataError(f"schema {schema.name!r} needs a table: give its path with DATA=path")
        if not resolve(DEFAULT_PATH).exists():
            return _simulated(seed, schema)
        path = DEFAULT_PATH
    file = resolve(path)
    if not file.exists():
        raise DataError(f"{path}: no such file; check the path, or fetch the reference data with 'make data'")
    tables = files_of(file, schema, str(path))
    loaded, known = _loaded(tables, str(path), seed, most_rows)
    frame, sha256 = add_history(loaded.frame, schema), loaded.sha256
    name = schema.name
    if schema == ULB and sha256 != ULB_SHA256:
        if file.name.lower().startswith("creditcard.csv") and not loaded.simulated:
            raise DataError(
                f"{path}: has the name and columns of ULB's creditcard.csv but is a different file: SHA-256 "
                f"{sha256[:12]}… instead of {ULB_SHA256[:12]}…, {len(frame):,} rows and {frame[schema.label].sum():,} "
                f"frauds instead of {ULB_ROWS:,} and {ULB_FRAUDS}; fetch the right one with 'make data', or rename "
                "this file to use it"
            )
        name = file.name
    frame.attrs["provenance"] = _provenance(frame, schema, name, sha256) | {
        "name": f"SIMULATED transactions ({name})" if loaded.simulated else name,
        "simulated": loaded.simulated,
        "path": str(path),
        "read_as": (*loaded.read_as, *_history_note(schema)),
        "unlabelled": loaded.unlabelled,
        "origin": loaded.origin,
        **known,
    }
    return frame


def _loaded(tables: Sequence[TableFile], name: str, seed: int, most_rows: int) -> tuple[Loaded, dict[str, Any]]:
    """A table or, where it has too many rows, a sample of it; and what a sample's provenance has of the whole table."""
    most, reason = sample.most_rows(tables[0].schema, most_rows), sample.whole_only(tables[0].schema)
    rows = row_count(tables)
    if rows <= most or (rows <= MISSED * most and counted(tables) <= most):
        return _all_of(tables, name), {}
    if reason:
        loaded, said = _all_of(tables, name), f"All rows are in memory, though more than {most:,}, since {reason}."
        return replace(loaded, read_as=(*loaded.read_as, said)), {}
    drawn = sample.sample(tables, name, most, seed)
    share = sample.share_of(drawn.loaded.frame)
    return drawn.loaded, {"rows": drawn.rows, "share": share, "largest_amount": drawn.largest_amount}


def _all_of(tables: Sequence[TableFile], name: str) -> Loaded:
    """All files of a table as one frame."""
    if len(tables) == 1 and not tables[0].part:
        return read_transactions(tables[0])
    parts = {table.source: read_transactions(table) for table in tables}
    schema, filled = tables[0].schema, {source: part for source, part in parts.items() if len(part.frame)}
    rows = sum(len(part.frame) for part in filled.values())
    frauds = sum(int(part.frame[schema.label].sum()) for part in filled.values())
    check_alike(filled, rows, frauds, name, schema)
    origins = [part.origin for part in filled.values()]
    frame = joined([part.frame for part in filled.values()], shifts(origins, origins), schema)
    return summed(parts.values(), frame, [part.sha256 for part in parts.values()])


def read_transactions(table: TableFile) -> Loaded:
    """Read one file and check every value; its history is that of the whole table, and `add_history` adds it.

    Raises
    ------
    DataError
        As `load_transactions` does; nothing is known of which file this should be, so any checksum will do.
    """
    return checked(read(table), table)


def _simulated(seed: int, schema: Schema) -> pd.DataFrame:
    from fraud_utils.data.simulate import GENERATOR_VERSION, simulate_cards, simulate_transactions

    cards = schema != ULB
    frame = simulate_cards(seed) if cards else simulate_transactions(SIMULATED_ROWS, seed=seed)
    digest = hashlib.sha256()
    for column in frame.columns:
        values = frame[column].to_numpy()
        digest.update("\n".join(values).encode() if values.dtype == object else np.ascontiguousarray(values).data)
    name = f"SIMULATED {schema.name if cards else 'transactions'} (generator {GENERATOR_VERSION}, seed {seed})"
    provenance = _provenance(frame, schema, name, digest.hexdigest()) | {"simulated": True, "path": None}
    frame = add_history(frame, schema)
    frame.attrs["provenance"] = provenance
    return frame


def _provenance(frame: pd.DataFrame, schema: Schema, name: str, sha256: str) -> dict[str, Any]:
    amount = frame[schema.amount] if schema.amount else None
    return {
        "name": name,
        "sha256": sha256,
        "rows": len(frame),
        "frauds": int(frame[schema.label].sum()),
        "columns": len(schema.columns),
        "currency": schema.currency if schema.amount else None,
        "noun": schema.noun,
        "largest_amount": None if amount is None else float(amount.max()),
        "median_fraud": None if amount is None else float(amount[frame[schema.label] == 1].median()),
        "read_as": _history_note(schema),
        "unlabelled": 0,
        "origin": None,
    }


def _history_note(schema: Schema) -> tuple[str, ...]:
    """What was added on what entities did before."""
    if not schema.to_compute:
        return ()
    by = words.listed(dict.fromkeys(each.by for each in schema.history))
    count = words.count(len(schema.to_compute), "history column")
    return (f"{count} computed, by {by}.",)
