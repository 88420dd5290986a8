"""Rows that repeat an earlier one, and what they do to a split."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fraud_utils import intervals, words
from fraud_utils.data import Schema, Split, duplicate_groups
from fraud_utils.explore.rates import apart, in_words, shares
from fraud_utils.words import Finding


def duplicates(frame: pd.DataFrame, split: Split, schema: Schema) -> pd.DataFrame:
    """Rows that repeat an earlier one in everything but the label, with and without regard to the time.

    Returns
    -------
    pandas.DataFrame
        By `kind`: `groups` of equal rows, `copies` (rows after a group's first), frauds among them with the
        rate of fraud in copies and in all other rows (copies of one row count once in the interval),
        `mixed_groups` (that hold both labels), `seen_in_test` (test rows with a copy in the training part) and
        `seen_at_random` (how many a random split of the same size would have on average).
    """
    label, share = frame[schema.label].to_numpy(), split.test_rows / len(frame)
    test = frame.index.isin(split.test.index)
    parts, sources = [], {"exact copies": frame}
    if schema.time:
        sources["equal but for the time"] = frame.assign(**{schema.time: 0.0})
    for kind, source in sources.items():
        group = duplicate_groups(source, schema)
        size, frauds = np.bincount(group), np.bincount(group, weights=label)
        copy = pd.Series(group).duplicated().to_numpy()
        index = pd.Index([kind], name="kind")
        counts = {"groups": (size > 1).sum(), "copies": copy.sum(), "frauds": label[copy].sum()}
        seen = {
            "mixed_groups": ((frauds > 0) & (frauds < size)).sum(),
            "seen_in_test": np.isin(group[test], group[~test]).sum(),
            "seen_at_random": share * (size * (1 - share ** (size - 1.0))).sum(),
        }
        compared = []
        for prefix, chosen in (("copy_", copy), ("other_", ~copy)):
            worth = len(np.unique(group[chosen])) / max(chosen.sum(), 1)  # copies of one row are one observation
            of_rows = shares([label[chosen].sum() * worth], [chosen.sum() * worth], intervals.together(4), index)
            compared.append(of_rows.rename(columns={"share": "rate"}).add_prefix(prefix))
        parts.append(pd.concat([pd.DataFrame(counts, index), *compared, pd.DataFrame(seen, index)], axis=1))
    return pd.concat(parts)


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
