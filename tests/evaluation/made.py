"""Rows and scores that the tests of evaluation are made of."""

from typing import Any

import numpy as np
import pandas as pd

from fraud_utils.evaluation import Rows, Scores


def rows(X: Any, y: np.ndarray, **known: Any) -> Rows:
    """Rows of which each is a group of its own, a second after the one before it, unless it is known otherwise."""
    each = np.arange(len(y))
    return Rows(**{"X": np.asarray(X), "y": y, "groups": each, "time": each, **known})


def scores(y: np.ndarray, values: pd.DataFrame, block: np.ndarray | None = None, **known: Any) -> Scores:
    """Scores of rows of which little more is known than labels; without blocks, by one fit."""
    block = np.zeros(len(values), dtype=int) if block is None else block
    return Scores(rows(np.zeros((len(y), 0)), y, **known), values, block, pd.Series(1.0, values.columns))


def noise(count: int = 3000, frauds: int = 90, **known: Any) -> Rows:
    """Features that say nothing about the label."""
    rng = np.random.default_rng(0)
    y = np.zeros(count, dtype=np.int8)
    y[rng.choice(count, frauds, replace=False)] = 1
    return rows(rng.normal(size=(count, 4)).astype(np.float32), y, **known)


def twice(once: Rows, known_as_copies: bool) -> Rows:
    """Every row twice, in one group or, wrongly, in two."""
    groups = np.tile(np.arange(len(once)), 2) if known_as_copies else np.arange(2 * len(once))
    return rows(np.tile(once.X, (2, 1)), np.tile(once.y, 2), groups=groups)
