"""Rows on disk, of which XGBoost reads some at a time. Imported only where there are such: it imports XGBoost."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xgboost

PAGE_ROWS = 500_000
PLAIN, QUANTILE, ROW = 8, 4, 8  # bytes of XGBoost's pages for a value, for a value's bin, and for each row


class Pages(xgboost.DataIter):
    """A matrix that lies on disk (`numpy.memmap`), with labels and weights, for XGBoost's external memory.

    Parameters
    ----------
    cache : Path
        How the files begin in which XGBoost keeps its own form of the rows.
    value_bytes : int
        What it keeps of a value there; `QUANTILE` of an `ExtMemQuantileDMatrix`.
    kinds : list of str, optional
        XGBoost's `feature_types`.

    Raises
    ------
    OSError
        With the number ENOSPC: the disk has no room for these files, at whose end XGBoost would end the process.
    """

    def __init__(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray | None,
        cache: Path,
        value_bytes: int = PLAIN,
        kinds: list[str] | None = None,
    ) -> None:
        self._X, self._y, self._weight, self._kinds, self._start = X, y, weight, kinds, 0
        super().__init__(cache_prefix=str(cache))
        if X.size * value_bytes + len(X) * ROW > shutil.disk_usage(cache.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(cache))

    def next(self, input_data: Callable[..., None]) -> bool:
        """Called by XGBoost until it is false; the first page comes even where there is no row."""
        if self._start and self._start >= len(self._X):
            return False
        page = slice(self._start, self._start + PAGE_ROWS)
        weight = None if self._weight is None else self._weight[page]
        input_data(data=np.array(self._X[page]), label=self._y[page], weight=weight, feature_types=self._kinds)
        self._start += PAGE_ROWS
        return True

    def reset(self) -> None:
        """Called by XGBoost before it begins again."""
        self._start = 0
