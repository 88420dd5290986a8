"""What models reach in time: cards that are reviewed, blocks of time, and labels of alerted cards alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import FiniteFloat

from fraud_utils.record.checked import Checked, Interval

Known = Literal["kept", "known ones dropped"]


@dataclass(frozen=True)
class Reviewed(Checked):
    """Precision of reviewing each day the cards with the highest scores of the chosen model, on the test set.

    Attributes
    ----------
    cards : str
        `kept`, or `known ones dropped`: whether rows of a card known as compromised when their day begins are counted.
    card_precision_ci : tuple of float, optional
        None where there are fewer than three days.
    attainable : float
        What it is for who knows all frauds.
    """

    cards: Known
    cards_per_day: int
    days: int
    card_precision: FiniteFloat
    card_precision_ci: Interval | None
    attainable: FiniteFloat


@dataclass(frozen=True)
class InTime(Checked):
    """What a model reached in blocks of time: means, and standard deviations between the blocks; see `Reviewed`."""

    name: str
    cards: Known
    average_precision: FiniteFloat | None = None
    average_precision_ci: Interval | None = None
    average_precision_sd: FiniteFloat | None = None
    card_precision: FiniteFloat | None = None
    card_precision_sd: FiniteFloat | None = None
    attainable: FiniteFloat | None = None


@dataclass(frozen=True)
class Prequential(Checked):
    """A window to fit, the label delay and a block to test, in days, and what models reached in so many blocks."""

    train_days: FiniteFloat
    delay_days: FiniteFloat
    block_days: FiniteFloat
    blocks: int
    models: tuple[InTime, ...] = ()


@dataclass(frozen=True)
class Feedback(Checked):
    """What labels of alerted cards alone cost: average precision in blocks of time, and its loss.

    Attributes
    ----------
    cards_per_day : int
        That are reviewed, and so labelled.
    labelled : float
        Share of the frauds since the first block that reviews found.
    """

    cards_per_day: int
    blocks: int
    labelled: FiniteFloat
    all_labels: FiniteFloat
    alerted_only: FiniteFloat
    loss: FiniteFloat
    loss_ci: Interval
