"""What travels through the evaluation: rows, what candidates scored them, and the protocol of the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema, fold_groups, share_of
from fraud_utils.evaluation.weights import stands_for
from fraud_utils.models import Candidate


@dataclass(frozen=True)
class Rows:
    """Transactions as the comparison needs them.

    Attributes
    ----------
    X : numpy.ndarray of float32, shape (rows, columns)
        Missing values are NaN.
    y : numpy.ndarray, shape (rows,)
        1 for fraud, 0 for legitimate.
    groups : numpy.ndarray of int, shape (rows,)
        Rows of one group share a fold: exact copies, or a card's transactions.
    time : numpy.ndarray of shape (rows,), or None
        Seconds, ascending; None where the table has no times.
    amount : numpy.ndarray of shape (rows,), or None
        In the table's currency.
    names : tuple of str
        Of the columns of `X`.
    origin : str or None
        The instant of second 0, as ISO 8601; None where it is not known.
    card : numpy.ndarray of uint64, shape (rows,), or None
        Equal numbers for an entity's rows, the same in every part of a table; a row whose entity is not known has one
        of its own. None where the table names no entity, and of a sample, which lacks rows of most cards.
    label_delay_days : float
        How long after a row its label is known.
    share : float
        Of the legitimate rows of a table that are here; each stands for 1 / share of them. All frauds are here.
    """

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    time: np.ndarray | None = None
    amount: np.ndarray | None = None
    names: tuple[str, ...] = ()
    origin: str | None = None
    card: np.ndarray | None = None
    label_delay_days: float = 0.0
    share: float = 1.0

    @classmethod
    def of(cls, frame: pd.DataFrame, schema: Schema, features: FeatureMap) -> Rows:
        """The rows of a table, in its order."""
        return cls(
            features.matrix(frame),
            frame[schema.label].to_numpy(),
            fold_groups(frame, schema),
            frame[schema.time].to_numpy() if schema.time else None,
            frame[schema.amount].to_numpy() if schema.amount else None,
            features.names,
            frame.attrs.get("provenance", {}).get("origin"),
            cards_of(frame, schema.entity) if schema.entity and share_of(frame) == 1 else None,
            schema.label_delay_days,
            share_of(frame),
        )

    def at(self, places: np.ndarray) -> Rows:
        """Some of the rows: their places, or a mask."""
        each = ("X", "y", "groups", "time", "amount", "card")
        known = {name: value for name in each if (value := getattr(self, name)) is not None}
        return replace(self, **{name: value[places] for name, value in known.items()})

    def __len__(self) -> int:
        return len(self.y)

    @property
    def weight(self) -> np.ndarray:
        """How many rows of the table each row stands for, shape (rows,)."""
        return stands_for(self.y, self.share)

    def count(self, of: np.ndarray | None = None) -> float:
        """How many rows of the table these stand for, or those of a mask."""
        y = self.y if of is None else self.y[of]
        frauds = int(y.sum())
        return frauds + (len(y) - frauds) / self.share

    @property
    def complete(self) -> bool:
        """Whether no value is missing."""
        return not np.isnan(self.X).any()

    @property
    def days(self) -> float:
        """Between the first and the last; 0 where the table has no times."""
        return 0.0 if self.time is None else float(np.ptp(self.time) / 86400)


def cards_of(frame: pd.DataFrame, entity: str) -> np.ndarray:
    """Numbers of a frame's entities, as `Rows.card` has them."""
    own = pd.util.hash_array(frame.index.to_numpy(), categorize=False)
    cards = pd.util.hash_pandas_object(frame[entity].astype("str"), index=False).to_numpy()
    return np.where(frame[entity].isna(), own, cards)


@dataclass(frozen=True)
class Scores:
    """Scores of the same rows by several candidates, each row once a repeat.

    Attributes
    ----------
    rows : Rows
    values : pandas.DataFrame, shape (repeats * rows, candidates)
        One repeat of all rows after the other; NaN in repeats that a candidate took no part in.
    block : numpy.ndarray of int, shape (repeats * rows,)
        Rows of one block were scored by the same fit, so that their ranking is one model's.
    seconds : pandas.Series
        Of a fit, by candidate; the mean where there are several.
    boosters : dict of str to bytes
        XGBoost's models, where one fit scored all rows.
    """

    rows: Rows
    values: pd.DataFrame
    block: np.ndarray
    seconds: pd.Series = field(default_factory=lambda: pd.Series(dtype=float))
    boosters: Mapping[str, bytes] = field(default_factory=dict)

    def of(self, candidate: Candidate) -> np.ndarray:
        """A candidate's scores of the rows, shape (rows,); those of the first repeat where there are several."""
        return self.of_all_repeats(candidate)[: len(self.rows)]

    def of_all_repeats(self, candidate: Candidate) -> np.ndarray:
        """A candidate's scores in all repeats that it took part in, shape (its repeats * rows,)."""
        score = self.values[candidate.name].to_numpy()
        return score[~np.isnan(score)]

    def repeats(self, score: np.ndarray) -> int:
        """How often each row has one of these scores."""
        return len(score) // len(self.rows)

    def repeated(self, of_rows: np.ndarray, score: np.ndarray) -> np.ndarray:
        """What is known of each row, shape (rows,), beside these scores of all repeats."""
        return np.tile(of_rows, self.repeats(score))


@dataclass(frozen=True)
class Protocol:
    """How candidates are compared.

    Attributes
    ----------
    folds, repeats : int
        Of the out-of-fold scores; each repeat has other folds, and candidates that are behind after the first take no
        part in the others.
    resamples : int
        Of the bootstrap.
    trials : int
        Settings that the search for hyperparameters tries.
    random_splits : int
        For the comparison with a chronological split.
    seed : int
        Of folds, samplers, learners, the search and resamples.
    cache : str or Path
        Folder that keeps each fit; empty to fit anew.
    jobs : int, optional
        Fits side by side; one a core when not given.
    """

    folds: int = 3
    repeats: int = 1
    resamples: int = 1000
    trials: int = 8
    random_splits: int = 5
    seed: int = 7
    cache: str | Path = ""
    jobs: int | None = None

    @classmethod
    def of(cls, profile: str, seed: int = 7, cache: str | Path = "") -> Protocol:
        """The protocol of a report's profile, `full` or `quick`."""
        if profile == "full":
            return cls(repeats=2, seed=seed, cache=cache)
        return cls(resamples=200, trials=2, random_splits=2, seed=seed, cache=cache)
