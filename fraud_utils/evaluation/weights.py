"""Rows that are a sample: each legitimate one stands for several, and counts so often."""

from __future__ import annotations

import numpy as np


def stands_for(y: np.ndarray, share: float) -> np.ndarray:
    """How many rows of the table each row stands for, shape (rows,).

    Parameters
    ----------
    share : float
        Of the legitimate rows that are here; all frauds are.
    """
    return np.where(y == 1, 1.0, 1 / share)


def reached_by(score: np.ndarray, count: float, weight: np.ndarray) -> float:
    """The score that so many rows reach, or nearly so many; at least one and at most all. Each counts its weight."""
    order = np.argsort(-score, kind="stable")
    return float(score[order[np.argmin(np.abs(np.cumsum(weight[order]) - count))]])
