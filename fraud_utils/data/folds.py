"""Parts of a table on which settings are judged: later blocks of time, or folds that keep groups together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from fraud_utils.data.schema import DataError

LEAST = 6  # frauds to fit on: SMOTE looks for a fraud's neighbours among so many, and cannot work with fewer
Parts = Sequence[tuple[np.ndarray, np.ndarray]]  # places of the rows to fit, and of those to score


def assign_folds(y: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Give each row a fold from 0; rows of one group share it, and folds have about as many groups with frauds.

    Raises
    ------
    DataError
        There are too few frauds for so many folds.
    """
    from sklearn.model_selection import StratifiedKFold

    fraud_groups, group_of = frauds_to_fold(y, groups, folds)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    fold_of_group = np.empty(len(fraud_groups), dtype=int)
    for number, (_, held_out) in enumerate(splitter.split(fraud_groups, fraud_groups)):
        fold_of_group[held_out] = number
    return fold_of_group[group_of]


def frauds_to_fold(y: np.ndarray, groups: np.ndarray, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """What `assign_folds` parts: groups, those with a fraud evenly.

    Returns
    -------
    fraud_groups : numpy.ndarray of int, shape (distinct groups,)
        1 where a group holds a fraud, else 0.
    group_of : numpy.ndarray of int, shape (rows,)
        Each row's place among the groups.

    Raises
    ------
    DataError
        There are too few frauds for so many folds.
    """
    _, group_of = np.unique(groups, return_inverse=True)
    fraud_groups = np.zeros(group_of.max() + 1, dtype=int)
    np.maximum.at(fraud_groups, group_of, y)
    if fraud_groups.sum() * (folds - 1) // folds < LEAST:
        frauds, distinct = int(y.sum()), int(fraud_groups.sum())
        which = f" (of {frauds}, the others copies or of the same entities)" if frauds > distinct else ""
        raise DataError(
            f"{distinct} distinct frauds{which} before the test set are too few for {folds} folds; bring a longer table"
        )
    return fraud_groups, group_of


def labelled(time: np.ndarray, moments: np.ndarray | float, label_delay_days: float) -> np.ndarray:
    """How many rows before each moment have a label that is known then: one comes `label_delay_days` after its row.

    The same rule as for the fraud rates of `artifact.History`: a label that comes at the moment itself is known.

    Parameters
    ----------
    time : numpy.ndarray, shape (rows,)
        Ascending, in seconds, as `moments`.
    """
    known = np.searchsorted(time, np.asarray(moments) - label_delay_days * 86_400, "right")
    return np.minimum(known, np.searchsorted(time, moments))


def later_parts(
    y: np.ndarray, time: np.ndarray | None, groups: np.ndarray, parts: int, seed: int, label_delay_days: float = 0
) -> Parts:
    """Blocks in time with about as many frauds each, the last of them scored by fits on all rows before.

    Two blocks come before the first that is scored; rows whose labels are not known when a block begins are not fitted
    for it. Where times do not part the frauds so, folds of whole groups.

    Parameters
    ----------
    y : numpy.ndarray, shape (rows,)
        1 for fraud, 0 for legitimate.
    time : numpy.ndarray of shape (rows,), or None
        Ascending.
    groups : numpy.ndarray of int, shape (rows,)
        As `fold_groups` gives them.
    """
    place, frauds = np.arange(len(y)), np.flatnonzero(y)
    if time is not None and len(frauds) >= 5 * (parts + 2):
        first = [frauds[len(frauds) * k // (parts + 2)] for k in range(2, parts + 2)]
        edges = [int(np.searchsorted(time, time[start])) for start in first] + [len(y)]
        known = labelled(time, time[edges[:-1]], label_delay_days)
        ends = zip(known, itertools.pairwise(edges), strict=True)
        blocks = [(place[:until], place[start:end]) for until, (start, end) in ends]
        if all(y[fit].sum() >= LEAST and 0 < y[new].sum() < len(new) for fit, new in blocks):
            return blocks
    fold_of = assign_folds(y, groups, parts, seed)
    return [(np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k)) for k in range(parts)]
