"""Treatments of the imbalance: what each does to training rows, and how it moves the prior.

Importing this is cheap; the libraries that draw rows are imported only when they draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FORMS = ("none", "class weight", "undersample 1:N", "SMOTE", "SMOTE 1:N", "Borderline-SMOTE 1:N")


@dataclass(frozen=True)
class Part:
    """Where this process has a part of the training rows, and other hosts the others.

    Attributes
    ----------
    labels : sequence of numpy.ndarray
        Of all rows, an array for each host.
    place : int
        Which of them is this one's.
    """

    labels: Sequence[np.ndarray]
    place: int

    @property
    def whole(self) -> np.ndarray:
        """The labels of all rows."""
        return np.concatenate(self.labels)


@dataclass(frozen=True)
class Treatment:
    """A way to treat the imbalance of training rows; it never leaves them less balanced than before.

    Attributes
    ----------
    method : str
        `none`, `class weight`, `undersample`, `SMOTE` or `Borderline-SMOTE`.
    each : int, optional
        Legitimate rows for each fraud after it; None makes both classes weigh the same.
    """

    method: str = "none"
    each: int | None = None

    @classmethod
    def parse(cls, name: str) -> Treatment:
        """The treatment that a name in one of `FORMS` stands for.

        Raises
        ------
        ValueError
            It has none of these forms.
        """
        method, ratio, each = name.partition(" 1:")
        counted = not ratio or (each.isascii() and each.isdecimal() and int(each) > 0)
        if (f"{method} 1:N" if ratio else method) not in FORMS or not counted:
            raise ValueError(f"unknown treatment {name!r}; it must be one of {', '.join(FORMS)} (N = 1, 2, ...)")
        return cls(method, int(each) if ratio else None)

    @property
    def class_weight(self) -> str | None:
        """As scikit-learn's learners take it."""
        return "balanced" if self.method == "class weight" else None

    @property
    def needs_complete_rows(self) -> bool:
        """Whether it cannot take missing values: SMOTE interpolates between rows."""
        return self.method.endswith("SMOTE")

    def counts(self, y: np.ndarray) -> tuple[int, int]:
        """Weight of the (legitimate, fraud) rows after it."""
        legitimate, frauds = int((y == 0).sum()), int((y == 1).sum())
        if self.method == "none":
            return legitimate, frauds
        if self.method == "undersample":
            return min(legitimate, frauds * (self.each or 1)), frauds
        return legitimate, max(frauds, legitimate // (self.each or 1))

    def obstacle(self, y: np.ndarray, complete: bool = True) -> str:
        """Why it cannot act on rows with these labels, or would change nothing; "" where it can.

        Parameters
        ----------
        complete : bool
            Whether no value of the rows is missing.
        """
        if self.needs_complete_rows and not complete:
            return "values are missing, between which it cannot interpolate"
        frauds = int((y == 1).sum())
        if self.method != "none" and self.counts(y) == (len(y) - frauds, frauds):
            return f"1 row in {len(y) / frauds:.2g} to learn from is a fraud already, so that it changes nothing"
        return ""

    def kept_share(self, y: np.ndarray) -> float:
        """Prior odds of fraud before it over those after it: the `b` of `artifact.prior_correction`.

        Under-sampling that keeps a share b of the legitimate rows gives b; weighting or multiplying the frauds by w
        acts like b = 1 / w (Dal Pozzolo et al. 2015).
        """
        legitimate, frauds = self.counts(y)
        return float((y == 1).sum() / frauds * (legitimate / (y == 0).sum()))

    def positive_weight(self, y: np.ndarray) -> float:
        """Weight of a fraud in the loss: 1 unless frauds are weighted."""
        return float((y == 0).sum() / (y == 1).sum()) if self.class_weight else 1.0

    def sampler(self, seed: int) -> Any | None:
        """Resampler of training rows from imbalanced-learn, or None where the rows stay as they are."""
        if self.method == "undersample":
            from imblearn.under_sampling import RandomUnderSampler

            return RandomUnderSampler(sampling_strategy=lambda y: {0: self.counts(y)[0]}, random_state=seed)
        if self.needs_complete_rows:
            from imblearn.over_sampling import SMOTE, BorderlineSMOTE

            kind = SMOTE if self.method == "SMOTE" else BorderlineSMOTE
            return kind(sampling_strategy=lambda y: {1: self.counts(y)[1]}, random_state=seed)
        return None

    def resample(
        self, X: np.ndarray, y: np.ndarray, seed: int, part: Part | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows as `sampler` leaves them, in less memory; of a part of the rows, what it takes of that part.

        Raises
        ------
        ValueError
            SMOTE is asked for a part: the neighbours between which it makes rows may be elsewhere.
        """
        if part is not None and self.needs_complete_rows:
            raise ValueError(f"{self.method} needs all rows in one place, and some are on other hosts")
        if self.method == "undersample":
            rows = self._drawn(y, seed) if part is None else self._drawn_of(part, seed)
            return X[rows], y[rows]
        resampler = self.sampler(seed)
        if resampler is None:
            return X, y
        if self.method != "SMOTE":
            return resampler.fit_resample(X, y)
        # SMOTE looks at frauds only, but holds copies of all that it is given while it draws: so it gets no more.
        given = np.concatenate([np.flatnonzero(y == 1), np.flatnonzero(y == 0)[:1]])
        resampler.set_params(sampling_strategy={1: self.counts(y)[1]})
        new, labels = (rows[len(given) :] for rows in resampler.fit_resample(X[given], y[given]))
        return np.vstack([X, new]), np.concatenate([y, labels])

    def _drawn(self, y: np.ndarray, seed: int) -> np.ndarray:
        """Places of the rows that under-sampling keeps: those of imbalanced-learn's sampler, without importing it."""
        legitimate, rng = np.flatnonzero(y == 0), np.random.RandomState(seed)
        drawn = rng.choice(len(legitimate), self.counts(y)[0], replace=False)
        return np.concatenate([legitimate[drawn], np.flatnonzero(y == 1)])

    def _drawn_of(self, part: Part, seed: int) -> np.ndarray:
        """Places of the rows that under-sampling keeps of a part.

        Every part keeps the same share of its legitimate rows, to within one row, and all together as many as one host
        would keep of all rows. Which ones depends on the seed, the place and the part's own labels.
        """
        legitimate = [int((labels == 0).sum()) for labels in part.labels]
        kept, total, before = self.counts(part.whole)[0], sum(legitimate), sum(legitimate[: part.place])
        end = before + legitimate[part.place]
        size = kept * end // total - kept * before // total
        own = part.labels[part.place]
        rng = np.random.default_rng([seed, part.place])
        drawn = rng.choice(np.flatnonzero(own == 0), size, replace=False)
        return np.sort(np.concatenate([drawn, np.flatnonzero(own == 1)]))


def kept_share(imbalance: str, y: np.ndarray) -> float:
    """`Treatment.kept_share` by the treatment's name."""
    return Treatment.parse(imbalance).kept_share(y)
