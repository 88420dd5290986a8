"""From a label as the file has it to 0 and 1."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data.faults import Raw, shown
from fraud_utils.data.schema import Schema

_TRUTH = {"true": "1", "yes": "1", "t": "1", "y": "1", "false": "0", "no": "0", "f": "0", "n": "0"}
_SEEN = 5  # values that a message lists


def decide(raw: Raw, schema: Schema, part: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Which rows are fraud, and which have a label.

    Values of two kinds are expected: 0 and 1, false and true, no and yes, or the one that the schema calls fraud and
    another one. Case and surrounding spaces do not matter.

    Parameters
    ----------
    part : bool
        Whether these are some of a table's rows, which may lack a class.

    Returns
    -------
    fraud : numpy.ndarray of int8, shape (rows,)
    labelled : numpy.ndarray of bool, shape (rows,)
        False only where the schema lets rows without a label be left out. Faults of these rows do not count.
    """
    column, written = schema.label, schema.written
    cells = raw.frame[column]
    missing = cells.isna().to_numpy()
    if written.unlabelled:
        raw.faults.count_only(~missing)
    else:
        text = "the value is missing; fill it in, drop the row, or write 'unlabelled: leave_out' in the schema"
        raw.faults.values(column, missing, text)
    plain = cells.dtype.kind == "f" and not written.fraud
    fraud = cells.to_numpy() == 1 if plain else _among_words(raw, schema, cells, part)
    if plain:
        raw.faults.values(column, ~missing & ~cells.isin([0, 1]).to_numpy(), lambda cell: _neither(cell, cells), cells)
    if not part and (~missing).any() and column not in raw.faults.columns:
        kinds = {*fraud[~missing].tolist()}
        if len(kinds) == 1:
            kind = "fraud" if kinds.pop() else "legitimate"
            every = f"all {words.count(int((~missing).sum()), 'row')} are {kind}"
            raw.faults.column(column, f"{every}; learning needs both classes")
    elif not part and missing.all():
        raw.faults.column(column, "no row has a label; learning needs both classes")
    return fraud.astype(np.int8), ~missing if written.unlabelled else np.ones(len(cells), dtype=bool)


def _among_words(raw: Raw, schema: Schema, cells: pd.Series, part: bool) -> np.ndarray:
    """Which texts mean fraud."""
    column, wanted = schema.label, schema.written.fraud
    kinds = {value: _kind(value) for value in cells.dropna().unique()}
    meant = _kind(wanted or "1")
    others = sorted({*kinds.values()} - {meant})
    raw.legitimate = frozenset(others)
    if not wanted:
        strange = cells.map({value: kind not in ("0", "1") for value, kind in kinds.items()}, na_action="ignore")
        raw.faults.values(column, strange == True, lambda cell: _neither(cell, cells), cells)  # noqa: E712 - may be NaN
        if said := [value for value, kind in kinds.items() if kind == "1" and _kind(value) != value]:
            raw.said.append(f"Column {column!r}: {shown(said[0])} is read as fraud.")
    elif meant not in kinds.values() and not part:
        raw.faults.column(column, f"no row has the value {shown(wanted)} that 'fraud' names; it has {_counts(cells)}")
    elif len(others) > 1:
        third = cells.map({value: kind == others[-1] for value, kind in kinds.items()}, na_action="ignore")
        text = (
            f"besides {shown(wanted)}, which is fraud, there can be one other value, and the column has "
            f"{_counts(cells)}; code them as two, or leave cells empty and write 'unlabelled: leave_out'"
        )
        raw.faults.values(column, third == True, text)  # noqa: E712
    elif others:
        other = next(value for value, kind in kinds.items() if kind == others[0])
        raw.said.append(f"Column {column!r}: {shown(wanted)} is fraud, {shown(other)} is legitimate.")
    return (cells.map(kinds, na_action="ignore") == meant).to_numpy(dtype=bool, na_value=False)


def _kind(value: object) -> str:
    """A label's value without what does not tell it apart: case, spaces, decimals of a whole number."""
    text = str(value).strip().casefold()
    try:
        return f"{float(text):g}"
    except ValueError:
        return _TRUTH.get(text, text)


def _neither(cell: object, cells: pd.Series) -> str:
    value = f"{cell:g}" if isinstance(cell, float) else cell
    kinds = {_kind(value) for value in cells.dropna().unique()[:100]}
    remedy = "code fraud as 1, legitimate as 0"
    if len(kinds) == 2:
        rare = cells.map(_kind, na_action="ignore").value_counts().index[-1]
        remedy = f"name the value that means fraud in the schema, for example 'fraud: {rare}', or {remedy}"
    return f"{shown(value)} is neither 0 nor 1; the column has {_counts(cells)}; {remedy}"


def _counts(cells: pd.Series) -> str:
    counts = cells.value_counts()
    values = (f"{value:g}" if isinstance(value, float) else value for value in counts.index[:_SEEN])
    listed = [f"{shown(value)} in {words.count(int(n), 'row')}" for value, n in zip(values, counts, strict=False)]
    more = f" and {len(counts) - _SEEN:,} other values" if len(counts) > _SEEN else ""
    return ", ".join(listed) + more
