"""Cards instead of transactions: what a team that reviews so many cards a day finds.

A card is an entity of the schema; a row whose entity is not known is a card of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data import DataError, Schema
from fraud_utils.evaluation.rows import Rows, cards_of
from fraud_utils.intervals import LEVEL
from fraud_utils.record import Known, Reviewed

DAY = 86_400
WHOSE: dict[Known, str] = {"kept": "all cards", "known ones dropped": "without cards known as compromised"}
SAMPLED = "cards_per_day counts all rows of a card, and some are left out; set most_rows to as many as the table has"
MOST, SHARE = 100, 0.05  # cards that are reviewed a day where nobody says how many: so many, or that share of a day's


def budget(rows: Rows, cards_per_day: int = 0) -> int:
    """How many cards are reviewed a day: as many as are given, else 100, or 5 % of a day's cards where that is fewer.

    0 where the rows name no cards or have no times.

    Raises
    ------
    DataError
        A number is given, and the rows are a sample.
    """
    if cards_per_day and rows.share < 1:
        raise DataError(SAMPLED)
    if rows.card is None or rows.time is None:
        return 0
    if cards_per_day:
        return cards_per_day
    seen = card_days(rows, rows.y)
    return int(np.clip(SHARE * len(seen) / seen["day"].nunique(), 1, MOST))


def card_days(rows: Rows, score: np.ndarray) -> pd.DataFrame:
    """Each card once for each day on which it was used: `day`, `card`, its highest `score`, and whether it is `fraud`.

    A day begins where the time is a multiple of 86,400 seconds.
    """
    table = pd.DataFrame({"day": rows.time // DAY, "card": rows.card, "score": score, "fraud": rows.y})  # type: ignore[operator]
    return table.groupby(["day", "card"], as_index=False).max()


def known_compromised(rows: Rows, since: float = -np.inf) -> np.ndarray:
    """Which rows are of a card known as compromised when their day begins, shape (rows,).

    It is where one of the card's frauds, not before `since` (seconds), is older than the label delay by then. The Fraud
    Detection Handbook takes such cards out of its test sets, since they are blocked (Le Borgne et al. 2022, chapter 5).
    """
    if rows.card is None or rows.time is None:
        raise ValueError("nothing is known of cards without entities and times; name them in the schema")
    _, card = np.unique(rows.card, return_inverse=True)
    first = np.full(card.max(initial=-1) + 1, np.inf)
    fraud = (rows.y == 1) & (rows.time >= since)
    np.minimum.at(first, card[fraud], rows.time[fraud])
    return first[card] < rows.time // DAY * DAY - rows.label_delay_days * DAY


def card_precision(rows: Rows, score: np.ndarray, cards_per_day: int) -> pd.DataFrame:
    """Precision of reviewing each day the cards with the highest scores, as the Fraud Detection Handbook defines it.

    A card has the highest score of its day and is compromised where one of that day's rows is fraud; those that a day
    finds are left out of the days after it; the number of cards to review divides even where a day has fewer cards (Le
    Borgne et al. 2022, "Reproducible machine learning for credit card fraud detection", chapter 4, card precision
    top-k). Cards that tie for the last places count by their share of compromised ones, and are not taken as found.

    Returns
    -------
    pandas.DataFrame
        By day: `precision`, and `compromised`, how many cards were that no day before had found.
    """
    by_day, found, table = card_days(rows, score), np.array([], dtype=np.uint64), {}
    for day, cards in by_day.groupby("day"):
        left = cards[~cards["card"].isin(found)]
        highest, fraud = left["score"].to_numpy(), left["fraud"].to_numpy()
        places = min(cards_per_day, len(left))
        edge = np.partition(highest, -places)[-places] if places else np.inf
        above, at = highest > edge, highest == edge
        rest = places - above.sum()
        caught = fraud[above].sum() + (rest * fraud[at].mean() if rest else 0)
        table[day] = {"precision": caught / cards_per_day, "compromised": int(fraud.sum())}
        seen = above | at if rest == at.sum() else above
        found = np.union1d(found, left["card"].to_numpy()[seen & (fraud == 1)])
    return pd.DataFrame.from_dict(table, orient="index", columns=["precision", "compromised"]).rename_axis("day")


def attainable(rows: Rows, cards_per_day: int) -> float:
    """The card precision of whoever knows all frauds; below 1 where a day has fewer compromised cards than reviews."""
    _, card = np.unique(rows.card, return_inverse=True)  # type: ignore[call-overload]
    return float(card_precision(rows, rows.y * (1 + card), cards_per_day)["precision"].mean())


def on_test_set(
    frame: pd.DataFrame, schema: Schema, test: Rows, score: np.ndarray, cards_per_day: int
) -> tuple[Reviewed, ...]:
    """Card precision on the test rows, which end the table: all cards kept, and those known as compromised dropped.

    A day's figure is one observation: intervals are Student's. () where no cards are reviewed.
    """
    if not cards_per_day or not schema.time or not schema.entity:
        return ()
    y, time = (frame[name].to_numpy() for name in (schema.label, schema.time))
    card = cards_of(frame, schema.entity)
    table = Rows(np.empty((len(y), 0)), y, card, time, card=card, label_delay_days=test.label_delay_days)
    known, result = known_compromised(table)[-len(test) :], []
    parts: tuple[tuple[Known, np.ndarray], ...] = (("kept", np.full(len(test), True)), ("known ones dropped", ~known))
    for cards, left in parts:
        if left.any():
            rows = test.at(left)
            daily = card_precision(rows, score[left], cards_per_day)["precision"]
            value, most = float(daily.mean()), attainable(rows, cards_per_day)
            result.append(Reviewed(cards, cards_per_day, len(daily), value, _interval(daily), most))
    return tuple(result)


def _interval(daily: pd.Series) -> tuple[float, float] | None:
    from scipy.stats import t

    if (days := len(daily)) < 3 or daily.min() == daily.max():  # days that are all alike say nothing of others
        return None
    mean, half = daily.mean(), t.isf((1 - LEVEL) / 2, days - 1) * daily.std() / days**0.5
    return max(float(mean - half), 0.0), min(float(mean + half), 1.0)


def describe(reviewed: Sequence[Reviewed]) -> str:
    """Say what reviewing cards finds on the test set, or why that is not known."""
    if not reviewed:
        return (
            "Nothing is said of cards reviewed a day: the schema names no entity or no time, or rows are a sample, "
            "which lacks rows of most cards."
        )
    said = []
    for each in reviewed:
        whose = "of all cards" if each.cards == "kept" else "without the cards known as compromised when a day begins"
        said.append(
            f"{words.decimals_between(each.card_precision, each.card_precision_ci)} {whose} (at most "
            f"{words.decimals(each.attainable)} can be reached)"
        )
    first = reviewed[0]
    doubt = "" if first.card_precision_ci else " Fewer than three days, or days all alike, give no interval."
    return (
        f"Card precision, if the {words.count(first.cards_per_day, 'card')} with the highest scores are reviewed on "
        f"each of {words.count(first.days, 'day')}: {'; '.join(said)}.{doubt}"
    )
