"""How far a run is, and what pairs it with other runs: what is kept of it beside its record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import AwareDatetime, FiniteFloat

from fraud_utils.record.kinds import _Checked


@dataclass(frozen=True)
class Resamples(_Checked):
    """What the chosen candidate reaches on resamples of one part of the rows, so that two runs can be paired.

    Attributes
    ----------
    which : str
        Equal for two runs exactly when their labels and draws are; others must not be subtracted.
    values : dict of str to list
        Each metric on every resample.
    """

    which: str
    values: dict[str, list[FiniteFloat]]


@dataclass(frozen=True)
class State(_Checked):
    """How far a run is, or how it ended; `seconds` is set where it did not finish."""

    state: Literal["running", "finished", "failed", "interrupted"]
    run: str
    created: AwareDatetime
    pid: int | None = None
    notebook: str | None = None
    cell: int | None = None
    error: str | None = None
    seconds: FiniteFloat | None = None
