"""What the scores of the test set showed: groups of people, rows to look at, and every step of the score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import FiniteFloat

from fraud_utils.record.checked import Checked, Interval


@dataclass(frozen=True)
class Group(Checked):
    """What the deciding threshold means for a group of people in the test set.

    Attributes
    ----------
    column, name : str
        What tells groups apart, and which one this is.
    false_alarms, recall : float, optional
        Share of its legitimate rows, and of its frauds, that raise an alert; None where it has none of them. The
        intervals of all groups hold together.
    """

    column: str
    name: str
    rows: int
    frauds: int
    false_alarms: FiniteFloat | None
    false_alarms_ci: Interval
    recall: FiniteFloat | None
    recall_ci: Interval


@dataclass(frozen=True)
class Reason(Checked):
    """How far a column moved a score, in log-odds of fraud, and its value in that row; None where it is missing."""

    column: str
    contribution: FiniteFloat
    value: FiniteFloat | str | None = None


Kind = Literal["right", "wrong", "missed"]


@dataclass(frozen=True)
class Case(Checked):
    """A row of the test set that shows what the deciding threshold does.

    Attributes
    ----------
    kind : {"right", "wrong", "missed"}
        An alert on a fraud, an alert on a legitimate row, a fraud without an alert.
    when : float, optional
        In the table's seconds.
    """

    kind: Kind
    score: FiniteFloat
    reasons: tuple[Reason, ...]
    amount: FiniteFloat | None = None
    when: FiniteFloat | None = None

    @property
    def meaning(self) -> str:
        """What it is, in words."""
        return {"right": "fraud caught", "wrong": "false alarm", "missed": "fraud missed"}[self.kind]


@dataclass(frozen=True)
class Bins(Checked):
    """What alerting from each of some scores would have meant on the test set, highest first.

    Attributes
    ----------
    rows : int
        Of the test set.
    days : float, optional
        That it spans.
    score : tuple of float
        Alert from here up.
    alerts, frauds : tuple of int
        Alerts, and frauds among them.
    amount, squares : tuple of float, optional
        Sum of the amounts of those frauds, and of their squares.
    share : float
        Of the legitimate rows that were drawn; each counts 1 / share times.
    """

    rows: int
    days: FiniteFloat | None
    score: tuple[FiniteFloat, ...]
    alerts: tuple[int, ...]
    frauds: tuple[int, ...]
    amount: tuple[FiniteFloat, ...] | None = None
    squares: tuple[FiniteFloat, ...] | None = None
    share: FiniteFloat = 1.0
