"""Transactions of cards at merchants, whose frauds a row hardly shows and a history does.

Cards differ in how often and how much they pay, and have merchants that they return to. Three kinds of fraud, after the
scenarios of the Fraud Detection Handbook (Le Borgne et al., 2022, chapter 3):

- a merchant is compromised for some weeks, and a part of the payments there are frauds, of the usual amounts;
- a card is taken over for a day or so, and pays more often and several times what it usually does, which is a usual
  amount of another card; cards on a journey pay more often, too, and farther away;
- a few large payments for electronics, which a row does show.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fraud_utils.data.simulate.streams import generator

ROWS, DAYS, CARDS, MERCHANTS = 90_000, 70, 3_000, 1_300
CATEGORIES = {"groceries": 0.6, "fuel": 0.8, "restaurants": 0.7, "clothes": 1.2, "electronics": 2.5, "travel": 3.0}
HOURS = np.array([1, 1, 1, 1, 1, 2, 4, 8, 10, 11, 12, 13, 14, 12, 11, 11, 12, 14, 15, 13, 10, 7, 4, 2], dtype=float)
FAVOURITES, FAITHFUL = 8, 0.7  # merchants that a card returns to, and how often it does
COMPROMISED, COMPROMISED_SHARE = 40, 0.8  # merchants, and the share of payments there that are frauds
TAKEN, JOURNEYS, LARGE = 60, 180, 60  # cards, cards, payments


def simulate_cards(seed: int = 7, rows: int = ROWS) -> pd.DataFrame:
    """Simulate the payments of 70 days.

    Parameters
    ----------
    seed : int
        The same seed gives the same rows.
    rows : int
        The usual payments; taken cards, journeys and large payments add about 3 %.

    Returns
    -------
    pandas.DataFrame
        As a loaded frame of `cards.yaml`, in order of time, without the history.
    """
    rng, scale = generator(seed, 2), rows / ROWS
    world = _World(rng, max(int(CARDS * scale), 10), max(int(MERCHANTS * scale), 20))
    usual = world.payments(rng, *world.moments(rng, rows))
    _compromise(usual, rng, len(world.category), round(COMPROMISED * scale))
    taken = _burst(world, rng, round(TAKEN * scale))
    taken["amount"] *= rng.uniform(2, 6, len(taken["amount"]))
    taken["fraud"][:] = 1
    journeys = _burst(world, rng, round(JOURNEYS * scale))
    journeys["distance_km"] *= rng.uniform(5, 50, len(journeys["distance_km"]))
    large = world.payments(rng, *world.moments(rng, round(LARGE * scale)))
    electronics = np.flatnonzero(world.category == [*CATEGORIES].index("electronics"))
    large["merchant"] = rng.choice(electronics, len(large["fraud"]))
    large["amount"] = rng.uniform(400, 1_500, len(large["fraud"]))
    large["fraud"][:] = 1
    parts = [usual, taken, journeys, large]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in usual}
    order = np.argsort(columns["time"], kind="stable")
    return _frame({name: column[order] for name, column in columns.items()}, world)


class _World:
    """Cards and merchants, and how cards usually pay."""

    def __init__(self, rng: np.random.Generator, cards: int, merchants: int) -> None:
        self.pace = np.cumsum(rng.lognormal(0, 0.5, cards))
        self.typical = rng.lognormal(3.2, 0.8, cards)
        self.popularity = np.cumsum(rng.lognormal(0, 0.4, merchants))
        self.category = np.arange(merchants) % len(CATEGORIES)
        self.favourites = _drawn(rng, self.popularity, cards * FAVOURITES).reshape(cards, FAVOURITES)

    def moments(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """So many cards, the busy ones often, and seconds, by day and in the evening."""
        hour = _drawn(rng, np.cumsum(HOURS), count)
        time = rng.integers(DAYS, size=count) * 86_400 + hour * 3_600 + rng.integers(3_600, size=count)
        return _drawn(rng, self.pace, count), time

    def payments(self, rng: np.random.Generator, card: np.ndarray, time: np.ndarray) -> dict[str, np.ndarray]:
        """What these cards usually pay, and where."""
        count = len(card)
        favourite = self.favourites[card, rng.integers(FAVOURITES, size=count)]
        merchant = np.where(rng.random(count) < FAITHFUL, favourite, _drawn(rng, self.popularity, count))
        factor = np.array([*CATEGORIES.values()])[self.category[merchant]]
        return {
            "time": time.astype(np.float64),
            "card": card,
            "merchant": merchant,
            "amount": self.typical[card] * factor * rng.lognormal(0, 0.45, count),
            "distance_km": rng.lognormal(1.5, 1.0, count),
            "fraud": np.zeros(count, dtype=np.int8),
        }


def _drawn(rng: np.random.Generator, weights: np.ndarray, count: int) -> np.ndarray:
    """Places, by cumulative weights."""
    return np.searchsorted(weights, rng.random(count) * weights[-1], side="right")


def _compromise(paid: dict[str, np.ndarray], rng: np.random.Generator, merchants: int, count: int) -> None:
    """Make frauds of a part of what is paid at some merchants for some weeks."""
    for merchant in rng.choice(merchants, min(count, merchants), replace=False):
        start, days = rng.uniform(-20, DAYS), rng.uniform(25, 45)
        here = np.flatnonzero(paid["merchant"] == merchant)
        during = here[np.abs(paid["time"][here] / 86_400 - start - days / 2) < days / 2]
        paid["fraud"][during] = rng.random(len(during)) < COMPROMISED_SHARE


def _burst(world: _World, rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Payments of some cards, each of several within a day or so."""
    number = rng.integers(4, 14, count)
    card = np.repeat(rng.integers(len(world.pace), size=count), number)
    begin = np.repeat(rng.uniform(0, DAYS - 2, count), number)
    time = np.floor((begin + rng.uniform(0, 1, len(card)) * np.repeat(rng.uniform(0.2, 1.5, count), number)) * 86_400)
    return world.payments(rng, card, time)


def _frame(columns: dict[str, np.ndarray], world: _World) -> pd.DataFrame:
    def names(form: str, numbers: np.ndarray) -> pd.Series:
        return pd.Series([form.format(number) for number in numbers.tolist()], dtype="str")

    return pd.DataFrame(
        {
            "time": columns["time"],
            "transaction_id": names("t{:06d}", np.arange(len(columns["time"]))),
            "card_id": names("c{:04d}", columns["card"]),
            "merchant_id": names("m{:03d}", columns["merchant"]),
            "distance_km": np.round(columns["distance_km"], 1),
            "category": pd.Categorical.from_codes(world.category[columns["merchant"]], [*CATEGORIES]),
            "amount": np.maximum(np.round(columns["amount"] * 100), 50) / 100,
            "fraud": columns["fraud"],
        }
    )
