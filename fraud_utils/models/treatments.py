"""Treatments of the imbalance: what each does to training rows, and how it moves the prior.

Importing this is cheap; the libraries that draw rows are imported only when they draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

FORMS = ("none", "class weight", "undersample 1:N", "SMOTE", "SMOTE 1:N", "Borderline-SMOTE 1:N")


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
            return f"1 row in {len(y) / frauds:.2g} is a fraud already, so that it changes nothing"
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

    def resample(self, X: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows as `sampler` leaves them, in less memory."""
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


def kept_share(imbalance: str, y: np.ndarray) -> float:
    """`Treatment.kept_share` by the treatment's name."""
    return Treatment.parse(imbalance).kept_share(y)
