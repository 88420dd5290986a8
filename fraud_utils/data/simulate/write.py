"""Transactions to a file, chunk by chunk, so that memory does not grow with their number."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from fraud_utils.data.header import SIMULATED


def write_chunks(path: str | Path, chunks: Iterable[pd.DataFrame]) -> None:
    """Write frames with the same columns to one file of the format that its name ends in.

    The file says that it is simulated, and so does every page made from it: parquet in its metadata; a CSV, which has
    none, in a column `SIMULATED` that readers of the project leave out, and that stays with the rows wherever they go.

    Raises
    ------
    ValueError
        The name ends in none of `.csv`, `.csv.gz` and `.parquet`; nothing is written.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(".parquet"):
        _write_parquet(path, chunks)
    elif name.endswith((".csv", ".csv.gz")):
        for i, chunk in enumerate(chunks):
            chunk.assign(**{SIMULATED: 1}).to_csv(path, index=False, header=i == 0, mode="a" if i else "w")
    else:
        raise ValueError(f"{path}: unknown format; give a name that ends in .csv, .csv.gz or .parquet")


def _write_parquet(path: Path, chunks: Iterable[pd.DataFrame]) -> None:
    """A row group a chunk."""
    import pyarrow as pa
    from pyarrow import parquet

    writer = None
    try:
        for chunk in chunks:
            table = pa.Table.from_pandas(chunk, preserve_index=False)
            table = table.replace_schema_metadata({**(table.schema.metadata or {}), SIMULATED: "1"})
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
