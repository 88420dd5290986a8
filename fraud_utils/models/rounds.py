"""What a boosted model would have scored with fewer rounds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

STOPS = 10  # numbers of rounds after which a trial may stop, evenly spaced


def stops(most: int) -> list[int]:
    """The rounds after which a trial of so many may stop."""
    return sorted({max(1, most * k // STOPS) for k in range(1, STOPS + 1)})


def margins(model: bytes, after: Sequence[int], X: np.ndarray) -> Iterator[np.ndarray]:
    """Margins of rows, shape (rows,), by a model's first rounds, for each number of them.

    They rank rows within one number of rounds; each span adds the base score, which ranks nothing.

    Parameters
    ----------
    model : bytes
        A booster in XGBoost's own format.
    """
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(model))
    margin = np.zeros(len(X))
    for span in itertools.pairwise([0, *after]):
        margin = margin + booster.inplace_predict(X, iteration_range=span, predict_type="margin")
        yield margin
