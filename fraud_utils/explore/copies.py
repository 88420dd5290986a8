"""Rows that repeat an earlier one, and what they do to a split."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_utils import intervals, words
from fraud_utils.data import Schema, Split, all_rows, row_hashes
from fraud_utils.explore.rates import apart, in_words, shares
from fraud_utils.explore.whole import sizes
from fraud_utils.words import Finding

KEYS = np.dtype([("row", "u8"), ("time", "f8"), ("label", "i1"), ("test", "?")])
COUNTS, SEEN = ["groups", "copies", "frauds"], ["mixed_groups", "seen_in_test", "seen_at_random"]
COMPARED = 1 << 23  # rows of a table larger than memory that are compared at once: 150 MB of keys


def duplicates(frame: pd.DataFrame, split: Split, schema: Schema) -> pd.DataFrame:
    """Rows that repeat an earlier one in everything but the label, with and without regard to the time.

    Of copies at one time, a legitimate one counts as the first.

    Returns
    -------
    pandas.DataFrame
        By `kind`: `groups` of equal rows, `copies` (rows after a group's first), frauds among them with the
        rate of fraud in copies and in all other rows (copies of one row count once in the interval),
        `mixed_groups` (that hold both labels), `seen_in_test` (test rows with a copy in the training part) and
        `seen_at_random` (how many a random split of the same size would have on average).
    """
    rows, frauds = sizes(frame, schema)
    share = sizes(split.test, schema)[0] / rows
    kinds = ["exact copies", *(["equal but for the time"] if schema.time else [])]
    found = sum(
        np.array([_copies(keys, share, timeless) for timeless in (False, True)[: len(kinds)]])
        for keys in _compared(frame, split, schema, rows)
    )
    counted = pd.DataFrame(found, index=pd.Index(kinds, name="kind"), columns=[*COUNTS, *SEEN])
    counted = counted.astype(dict.fromkeys([*COUNTS, *SEEN[:-1]], np.int64))
    groups, copies, of_fraud = counted[COUNTS].to_numpy().T
    level, worth = intervals.together(4), groups / np.maximum(copies, 1)  # copies of one row are one observation
    of_copies = shares(of_fraud * worth, copies * worth, level, counted.index)
    of_others = shares(frauds - of_fraud, rows - copies, level, counted.index)
    named = (table.rename(columns={"share": "rate"}) for table in (of_copies, of_others))
    compared = [table.add_prefix(prefix) for prefix, table in zip(("copy_", "other_"), named, strict=True)]
    return pd.concat([counted[COUNTS], *compared, counted[SEEN]], axis=1)


def _compared(frame: pd.DataFrame, split: Split, schema: Schema, rows: int) -> Iterator[np.ndarray]:
    """Keys of all rows, those of equal rows together: at once, or through files in shares that fit in memory."""
    keys = (_keys(part, split, schema) for part in all_rows(frame, schema, schema.columns))
    folder = frame.attrs.get("whole", {}).get("folder")
    if not folder or rows <= COMPARED:
        yield np.concatenate([*keys])
        return
    with tempfile.TemporaryDirectory(dir=folder) as name:
        files = [Path(name, str(share)) for share in range(-(-rows // COMPARED))]
        for part in keys:
            share = part["row"] % len(files)
            for place, file in enumerate(files):
                with file.open("ab") as opened:
                    part[share == place].tofile(opened)
        yield from (np.fromfile(file, KEYS) for file in files)


def _keys(part: pd.DataFrame, split: Split, schema: Schema) -> np.ndarray:
    keys = np.zeros(len(part), KEYS)
    keys["row"], keys["label"] = row_hashes(part, schema, [schema.time]), part[schema.label]
    if schema.time:
        keys["time"] = part[schema.time]
        keys["test"] = keys["time"] >= split.test_from
    else:
        keys["test"] = part.index.isin(split.test.index)
    return keys


def _copies(keys: np.ndarray, share: float, timeless: bool) -> tuple[float, ...]:
    """What copies add to `COUNTS` and `SEEN`; the test part holds that share of all rows."""
    keys = keys[pd.Series(keys["row"]).duplicated(keep=False).to_numpy()]
    if not len(keys):
        return (0.0,) * 6
    keys = keys[np.lexsort((keys["label"], keys["time"], keys["row"]))]
    first = np.diff(keys["row"], prepend=~keys["row"][:1]) != 0
    if not timeless:
        first[1:] |= np.diff(keys["time"]) != 0
    start = np.flatnonzero(first)
    size = np.diff(start, append=len(keys))
    frauds, test = (np.add.reduceat(keys[name].astype(np.int64), start) for name in ("label", "test"))
    mixed, seen = (frauds > 0) & (frauds < size), test[test < size].sum()
    at_random = share * (size * (1 - share ** (size - 1.0))).sum()
    of_fraud = keys["label"][~first].sum(dtype=np.int64)
    return tuple(map(float, ((size > 1).sum(), (~first).sum(), of_fraud, mixed.sum(), seen, at_random)))


def duplicates_finding(table: pd.DataFrame) -> Finding:
    """How many copies there are, whether fraud is more frequent among them, and what a split does to them."""
    exact, beyond = table.loc["exact copies"], _beyond(table)
    if not exact["copies"]:
        return Finding("No row is an exact copy of another.", beyond)
    verdict = {
        0: "the intervals overlap, so no difference is claimed",
        1: "copies are more often fraud, so being a copy is a signal",
        -1: "copies are less often fraud, so being a copy is a signal",
    }[apart(exact, "copy_", "other_")]
    mixed = ""
    if exact["mixed_groups"]:
        mixed = f" The labels disagree within {words.count(exact['mixed_groups'], 'group')} of copies."
    return Finding(
        f"{words.count(exact['copies'], 'row')} {'is an exact copy' if exact['copies'] == 1 else 'are exact copies'} "
        f"of an earlier row, {exact['frauds']:,.0f} of them fraud.",
        f"The fraud rate is {in_words(exact, 'copy_')} among copies and {in_words(exact, 'other_')} among other rows: "
        f"{verdict}.{mixed} Copies stay together, so the split leaves "
        f"{words.count(exact['seen_in_test'], 'test row')} with a copy in the training part; one that is drawn row by "
        f"row would leave about {exact['seen_at_random']:,.0f}. {beyond}".rstrip(),
    )


def _beyond(table: pd.DataFrame) -> str:
    """What repeats an earlier row at another time; nothing where the table has no times."""
    if len(table) == 1:
        return ""
    exact, timeless = table.loc["exact copies"], table.loc["equal but for the time"]
    if timeless["copies"] == exact["copies"]:
        return f"No {'further row' if exact['copies'] else 'row'} repeats an earlier one at another time."
    return (
        f"Ignoring the time, there are {timeless['copies']:,.0f} copies, and "
        f"{words.count(timeless['seen_in_test'], 'test row')} repeat one of the training part."
    )
