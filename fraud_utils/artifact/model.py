"""The model: raw rows in, probabilities of fraud and the reasons for them out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fraud_utils.artifact.forest import Forest
from fraud_utils.artifact.history import History
from fraud_utils.artifact.reference import Reference
from fraud_utils.artifact.rows import Layout

WALKED_ROWS = 6  # up to so many, walking the trees in NumPy is faster than one call of XGBoost
CHUNK_ROWS = 1 << 14
ACTIONS = ("accept", "review", "block")


def prior_correction(scores: np.ndarray, kept_share: float) -> np.ndarray:
    """Turn scores of a model fitted on rebalanced rows into probabilities at the true base rate.

    p = b s / (b s - s + 1) (Dal Pozzolo et al. 2015, "Calibrating probability with undersampling", equation 4).

    Parameters
    ----------
    scores : numpy.ndarray
        Scores s between 0 and 1; float64, since the formula magnifies rounding near 1 by up to 1 / b.
    kept_share : float
        Share b of the legitimate rows that training kept, or 1 / w after weighting frauds by w; 1 changes nothing.
    """
    scores = np.asarray(scores, dtype=np.float64)
    return scores if kept_share == 1 else kept_share * scores / (kept_share * scores + (1 - scores))


@dataclass(frozen=True)
class Model:
    """A fitted booster and everything that turns raw rows into its scores.

    Attributes
    ----------
    booster : xgboost.Booster
    layout : Layout
        What rows may look like, and how they become the booster's inputs.
    kept_share : float
        For `prior_correction`.
    thresholds : dict of str to float
        Probabilities by name.
    decides : str
        The threshold that decides when none is named.
    tiers : dict of str to float
        `review` and `block`, the probabilities from which that is to be done; empty where the model has none.
    manifest : dict
        All of `manifest.json`.
    histories : tuple of History
        Columns of the layout that come from an entity's earlier rows.
    """

    booster: Any
    layout: Layout
    kept_share: float
    thresholds: dict[str, float]
    decides: str
    tiers: dict[str, float]
    manifest: dict[str, Any]
    histories: tuple[History, ...] = ()

    def score(self, rows: Any, first: int = 0) -> np.ndarray:
        """Give each row its probability of fraud, after prior correction.

        Parameters
        ----------
        rows : DataFrame, mapping of str to array, numpy.ndarray, or sequence
            As `Layout.columns_of` takes them.
        first : int
            How many rows came before these, so that messages count from there.

        Returns
        -------
        numpy.ndarray of float64, shape (rows,)

        Raises
        ------
        RowError
            A column is missing or unknown, or a value is not a finite number.
        """
        columns = self.layout.columns_of(rows)
        count = len(columns[self.layout.features.raw[0]])
        margin = np.empty(count)
        for start in range(0, count, CHUNK_ROWS):  # a chunk's matrix stays in the processor's cache
            chunk = slice(start, start + CHUNK_ROWS)
            part = {name: values[chunk] for name, values in columns.items()}
            margin[chunk] = self._margin(self.layout.matrix(part, first + start))
        return prior_correction(1 / (1 + np.exp(-margin)), self.kept_share)

    def actions(self, scores: np.ndarray) -> list[str]:
        """For each score, `accept`, `review` or `block`; [] where the model has no tiers."""
        if not self.tiers:
            return []
        tier = np.searchsorted([self.tiers[action] for action in ACTIONS[1:]], scores, side="right")
        return [ACTIONS[number] for number in tier.tolist()]

    def reasons(self, rows: Any, top: int = 3) -> list[list[dict[str, Any]]]:
        """For each row, the columns that moved its score most: SHAP contributions to the log-odds, by column.

        Contributions are exact for trees (Lundberg et al. 2020, "From local explanations to global understanding with
        explainable AI for trees"); what one categorical column became is added up.
        """
        import xgboost

        matrix, sources = self.matrix(rows), self.layout.features.sources
        shares = self.booster.predict(xgboost.DMatrix(matrix), pred_contribs=True)[:, :-1]
        names = list(dict.fromkeys(sources))
        summed = np.zeros((len(matrix), len(names)))
        np.add.at(summed.T, [names.index(column) for column in sources], shares.T)
        order = np.argsort(-np.abs(summed), axis=1, kind="stable")[:, :top]
        return [
            [{"feature": names[j], "contribution": round(float(row[j]), 6)} for j in chosen]
            for row, chosen in zip(summed, order, strict=True)
        ]

    def matrix(self, rows: Any) -> np.ndarray:
        """The booster's inputs for rows as `score` takes them, float32 of shape (rows, features)."""
        return self.layout.matrix(self.layout.columns_of(rows))

    @cached_property
    def reference(self) -> Reference | None:
        """What monitoring compares with; None where an earlier version of this project trained the model."""
        kept = self.manifest.get("reference")
        return Reference.from_dict(kept) if kept else None

    @cached_property
    def forest(self) -> Forest:
        """The booster's trees, for a few rows at a time."""
        return Forest(self.booster)

    def _margin(self, matrix: np.ndarray) -> np.ndarray:
        if len(matrix) <= WALKED_ROWS:
            return self.forest.margin(matrix)
        return self.booster.inplace_predict(matrix, predict_type="margin")
