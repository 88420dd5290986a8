"""Scores from which to alert, what alerts save, and what they mean per day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils.evaluation.cards import card_days
from fraud_utils.evaluation.rows import Protocol, Rows, Scores
from fraud_utils.intervals import percentile, poisson
from fraud_utils.models import Candidate
from fraud_utils.record import Day, Threshold
from fraud_utils.words import Pace

AROUND = (0.1, 0.3, 1, 3, 10, 30)  # times the cost of a review


def best_f1_threshold(y: np.ndarray, score: np.ndarray) -> float:
    """The score from which alerts reach the highest F1 on these rows."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, steps = precision_recall_curve(y, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(steps[np.argmax(f1[:-1])])


def precise_threshold(y: np.ndarray, score: np.ndarray, precision: float) -> float | None:
    """The lowest score from which alerts are so precise; None where none is."""
    from sklearn.metrics import precision_recall_curve

    reached, _, steps = precision_recall_curve(y, score)
    precise = steps[reached[:-1] >= precision]
    return float(precise[0]) if len(precise) else None


def cheapest_threshold(y: np.ndarray, score: np.ndarray, amount: np.ndarray, review_cost: float) -> float:
    """The score from which alerts make reviews and the amounts of missed frauds cost least together.

    Where reviewing nothing is cheapest, 1 or the highest score, whichever is more.
    """
    steps, place = np.unique(-score, return_inverse=True)
    saved = np.bincount(place, np.where(y == 1, amount, 0.0) - review_cost).cumsum()
    best = int(np.argmax(saved))
    return float(-steps[best]) if saved[best] > 0 else max(1.0, float(score.max()))


def thresholds(
    scores: Scores,
    candidate: Candidate,
    review_cost: float,
    alerts_per_day: int,
    precision: float = 0.9,
    cards_per_day: int = 0,
) -> tuple[Threshold, ...]:
    """Scores from which to alert, chosen on out-of-fold scores and then fixed.

    Returns
    -------
    tuple of Threshold
        For the highest F1; for the precision, left out where no score reaches it; for the alert budget, the score that
        so many rows a day reach, left out where the table has no times; where cards are reviewed, the score that so
        many cards a day reach; and, with amounts, for the lowest cost.
    """
    score, rows = scores.of_all_repeats(candidate), scores.rows
    y = scores.repeated(rows.y)
    chosen = [Threshold("f1", best_f1_threshold(y, score))]
    if (precise := precise_threshold(y, score, precision)) is not None:
        chosen.append(Threshold("precision", precise, precision))
    if rows.days:
        budget = alerts_per_day * scores.repeats * rows.days
        chosen.append(Threshold("alerts_a_day", _within(score, budget), float(alerts_per_day)))
    if rows.days and cards_per_day:
        highest = [card_days(rows, once)["score"] for once in score.reshape(-1, len(rows))]
        budget = cards_per_day * scores.repeats * rows.days
        chosen.append(Threshold("cards_a_day", _within(np.concatenate(highest), budget), float(cards_per_day)))
    if rows.amount is not None:
        chosen.append(Threshold("cost", cheapest_threshold(y, score, scores.repeated(rows.amount), review_cost)))
    return tuple(chosen)


def _within(score: np.ndarray, budget: float) -> float:
    """The score that so many reach."""
    count = min(max(round(budget), 1), len(score))
    return float(np.partition(score, len(score) - count)[len(score) - count])


def describe_thresholds(alerting: Sequence[Threshold], alerts_per_day: int) -> str:
    """Say which aims have no threshold; "" where all have one that should."""
    aims, said = {each.aim for each in alerting}, []
    if "precision" not in aims:
        said.append("At no score are nine tenths of the alerts frauds, so that aim has no threshold.")
    if "alerts_a_day" not in aims:
        said.append(f"The table has no times, so a budget of {alerts_per_day:,} alerts a day sets no threshold.")
    return " ".join(said)


def savings(
    y: np.ndarray, alert: np.ndarray, amount: np.ndarray, review_cost: float, resamples: int = 1000, seed: int = 7
) -> tuple[float, list[float]]:
    """Share of the avoidable cost that alerts avoid, with its bootstrap interval.

    Every alert costs a review; a missed fraud costs its amount. Savings compare the cost with the cheaper of reviewing
    nothing and everything: 1 - cost / min(cost of nothing, cost of everything) (Bahnsen et al. 2016). Zero or less
    means that a blanket rule does as well.

    Parameters
    ----------
    y, alert, amount : numpy.ndarray, shape (rows,)
    review_cost : float
        Of one alert, in the amounts' currency.
    """
    rng = np.random.default_rng(seed)
    fraud = y == 1
    frauds, rows = int(fraud.sum()), len(y)
    lost, alerted = amount[fraud], alert[fraud]

    def share(missed: Any, alerts: Any, at_stake: Any) -> Any:
        return 1 - (missed + review_cost * alerts) / np.minimum(at_stake, review_cost * rows)

    point = share(lost[~alerted].sum(), alert.sum(), lost.sum())
    drawn = rng.multinomial(frauds, np.full(frauds, 1 / frauds), size=resamples)
    false_alerts = rng.binomial(rows - frauds, alert[~fraud].mean(), size=resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = share(drawn @ (lost * ~alerted), drawn @ alerted + false_alerts, drawn @ lost)
    return float(point), percentile(replicates[np.isfinite(replicates)])


def savings_curve(
    rows: Rows, probabilities: pd.DataFrame, review_cost: float, resamples: int = 500, seed: int = 7
) -> pd.DataFrame:
    """Savings at costs from a tenth to thirty times a review's, decisions following the cost.

    Parameters
    ----------
    probabilities : pandas.DataFrame, shape (rows, models)

    Returns
    -------
    pandas.DataFrame
        Tidy: `name`, `review_cost`, `value`, `low`, `high`.
    """
    if rows.amount is None:
        raise ValueError("savings need amounts, and the table has none")
    curve = []
    for name in probabilities:
        at_stake = probabilities[name].to_numpy() * rows.amount
        for cost in (review_cost * factor for factor in AROUND):
            value, (low, high) = savings(rows.y, at_stake > cost, rows.amount, cost, resamples, seed)
            curve.append({"name": name, "review_cost": cost, "value": value, "low": low, "high": high})
    return pd.DataFrame(curve)


def per_day(
    scores: Scores, candidate: Candidate, alerting: Sequence[Threshold], review_cost: float, protocol: Protocol
) -> dict[str, Day]:
    """What each way of alerting means per day at the pace of these rows, with intervals.

    Counts have exact Poisson intervals. Money is what the alerts cost less than the cheaper of reviewing nothing and
    everything, as in `savings`; its interval comes from resamples that hold each row a Poisson number of times, so
    that the number of frauds varies, too. All take rows as independent.

    Parameters
    ----------
    alerting : sequence of Threshold
        Fixed on other rows.
    review_cost : float
        Of one alert, in the amounts' currency.

    Returns
    -------
    dict of str to Day
        By the thresholds' names and, with amounts, `amount` (alerts where probability times amount exceeds the
        review's cost); {} where the rows have no times, or share one.
    """
    days = scores.rows.days
    return _paced(scores, candidate, alerting, review_cost, protocol, days) if days else {}


def per_thousand(
    scores: Scores, candidate: Candidate, alerting: Sequence[Threshold], review_cost: float, protocol: Protocol
) -> pd.DataFrame:
    """The same per 1,000 rows, to be shown where the table has no days to count by."""
    ways = _paced(scores, candidate, alerting, review_cost, protocol, len(scores.rows) / 1000)
    return readable_days(ways, Pace("thousand rows", 1.0))


def _paced(
    scores: Scores,
    candidate: Candidate,
    alerting: Sequence[Threshold],
    review_cost: float,
    protocol: Protocol,
    units: float,
) -> dict[str, Day]:
    """What each way of alerting means in one of the units, of which these rows have so many."""
    rows, score = scores.rows, scores.of(candidate)
    ways = {each.name: score >= each.score for each in alerting}
    if rows.amount is not None:
        ways["amount"] = score * rows.amount > review_cost
    return {name: _day(rows, alert, review_cost, protocol, units) for name, alert in ways.items()}


def _day(rows: Rows, alert: np.ndarray, review_cost: float, protocol: Protocol, days: float) -> Day:
    fraud = rows.y == 1
    counts: dict[str, Any] = {}
    seen = {"alerts": int(alert.sum()), "frauds_caught": int(alert[fraud].sum())}
    if rows.card is not None and rows.time is not None:
        cards = card_days(rows, alert)
        cards = cards[cards["score"]]
        seen |= {"cards": len(cards), "cards_caught": int(cards["fraud"].sum())}
    for name, count in seen.items():
        low, high = poisson(count)
        counts |= {name: count / days, f"{name}_ci": (low / days, high / days)}
    if rows.amount is None:
        return Day(**counts)
    lost, caught = rows.amount[fraud], alert[fraud]

    def saved(drawn: np.ndarray, rows: Any, false_alerts: Any) -> Any:
        """By how often each fraud was drawn, and how many other rows and alerts on them."""
        blanket = np.minimum(drawn @ lost, review_cost * (rows + drawn.sum(axis=-1)))
        return (blanket - drawn @ (lost * ~caught) - review_cost * (drawn @ caught + false_alerts)) / days

    rng = np.random.default_rng(protocol.seed)
    false_alerts, quiet = int(alert[~fraud].sum()), int((~alert[~fraud]).sum())
    drawn_false = rng.poisson(false_alerts, protocol.resamples)
    drawn_rows = drawn_false + rng.poisson(quiet, protocol.resamples)
    drawn = rng.poisson(1, (protocol.resamples, len(lost)))
    point = saved(np.ones(len(lost)), false_alerts + quiet, false_alerts)
    low, high = percentile(saved(drawn, drawn_rows, drawn_false))
    return Day(**counts, saved=float(point), saved_ci=(low, high))


def readable_days(days: Mapping[str, Day], pace: Pace) -> pd.DataFrame:
    """What each way of alerting means per day, week or month, each figure with its bounds beside it."""
    scaled = {name: asdict(day.over(pace.days)) for name, day in days.items()}
    table = pd.DataFrame.from_dict(scaled, orient="index")
    shown = {}
    for name in (name for name in table if f"{name}_ci" in table and table[name].notna().all()):
        bounds = np.array(table[f"{name}_ci"].tolist())
        for side, values in ((f"a {pace.unit}", table[name]), ("low", bounds[:, 0]), ("high", bounds[:, 1])):
            shown[name.replace("_", " "), side] = values
    return pd.DataFrame(shown, index=table.index).round(1)
