"""Scores from which to alert, what alerts save, and what they mean per day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.evaluation.cards import card_days
from fraud_utils.evaluation.rows import Protocol, Rows, Scores
from fraud_utils.evaluation.weights import reached_by, stands_for
from fraud_utils.intervals import percentile, poisson
from fraud_utils.models import Candidate
from fraud_utils.record import Aim, Choice, Day, Threshold

USUAL_BUDGET = 100  # alerts a day that are shown where nobody has said how many can be reviewed
UNSEEN = "on training rows that it had not seen"
USUAL = Protocol()
AROUND = (0.1, 0.3, 1, 3, 10, 30)  # times the cost of a review


class Decision(NamedTuple):
    """The name of the threshold that decides, why, and the share of the avoidable cost that each way saves."""

    name: str
    why: str
    saves: dict[str, float]


def best_f1_threshold(y: np.ndarray, score: np.ndarray, share: float = 1.0) -> float:
    """The score from which alerts reach the highest F1 on these rows, of whose legitimate ones so many are here."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, steps = precision_recall_curve(y, score, sample_weight=stands_for(y, share))
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(steps[np.argmax(f1[:-1])])


def precise_threshold(y: np.ndarray, score: np.ndarray, precision: float, share: float = 1.0) -> float | None:
    """The lowest score from which alerts are so precise; None where none is."""
    from sklearn.metrics import precision_recall_curve

    reached, _, steps = precision_recall_curve(y, score, sample_weight=stands_for(y, share))
    precise = steps[reached[:-1] >= precision]
    return float(precise[0]) if len(precise) else None


def cheapest_threshold(
    y: np.ndarray, score: np.ndarray, amount: np.ndarray, review_cost: float, share: float = 1.0
) -> float:
    """The score from which alerts make reviews and the amounts of missed frauds cost least together.

    Where reviewing nothing is cheapest, 1 or the highest score, whichever is more.
    """
    steps, place = np.unique(-score, return_inverse=True)
    saved = np.bincount(place, np.where(y == 1, amount - review_cost, -review_cost / share)).cumsum()
    best = int(np.argmax(saved))
    return float(-steps[best]) if saved[best] > 0 else max(1.0, float(score.max()))


def given(alerts_per_day: int, cards_per_day: int) -> Aim | None:
    """The budget that somebody has given, 0 being none: of cards before that of alerts."""
    return "cards_a_day" if cards_per_day else "alerts_a_day" if alerts_per_day else None


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
        For the highest F1; for the precision, left out where no score reaches it; for the alert budget (0 for the
        usual one), the score that so many rows a day reach, left out where the table has no times; where cards are
        reviewed, the score that so many cards a day reach; and, with amounts, for the lowest cost.
    """
    score, rows = scores.of_all_repeats(candidate), scores.rows
    y, share = scores.repeated(rows.y, score), rows.share
    chosen = [Threshold("f1", best_f1_threshold(y, score, share))]
    if (precise := precise_threshold(y, score, precision, share)) is not None:
        chosen.append(Threshold("precision", precise, precision))
    alerts_per_day = alerts_per_day or USUAL_BUDGET
    if rows.days:
        budget = alerts_per_day * scores.repeats(score) * rows.days
        chosen.append(Threshold("alerts_a_day", reached_by(score, budget, stands_for(y, share)), float(alerts_per_day)))
    if rows.days and cards_per_day:
        scored = np.concatenate([card_days(rows, once)["score"] for once in score.reshape(-1, len(rows))])
        budget = cards_per_day * scores.repeats(score) * rows.days
        chosen.append(Threshold("cards_a_day", reached_by(scored, budget, np.ones(len(scored))), float(cards_per_day)))
    if rows.amount is not None:
        amount = scores.repeated(rows.amount, score)
        chosen.append(Threshold("cost", cheapest_threshold(y, score, amount, review_cost, share)))
    return tuple(chosen)


def describe_thresholds(alerting: Sequence[Threshold]) -> str:
    """Say which aims have no threshold; "" where all have one that should."""
    aims, said = {each.aim for each in alerting}, []
    if "precision" not in aims:
        said.append("At no score are nine tenths of the alerts frauds, so that aim has no threshold.")
    if "alerts_a_day" not in aims:
        said.append("The table has no times, so a budget of alerts a day sets no threshold.")
    return " ".join(said)


def savings(
    y: np.ndarray,
    alert: np.ndarray,
    amount: np.ndarray,
    review_cost: float,
    share: float = 1.0,
    protocol: Protocol = USUAL,
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
    share : float
        Of the legitimate rows that are here (`Rows.share`).
    """
    rng = np.random.default_rng(protocol.seed)
    fraud = y == 1
    frauds, others = int(fraud.sum()), int((~fraud).sum())
    lost, alerted = amount[fraud], alert[fraud]

    def saved(missed: Any, alerts: Any, at_stake: Any) -> Any:
        return 1 - (missed + review_cost * alerts) / np.minimum(at_stake, review_cost * (frauds + others / share))

    point = saved(lost[~alerted].sum(), alerted.sum() + alert[~fraud].sum() / share, lost.sum())
    drawn = rng.multinomial(frauds, np.full(frauds, 1 / frauds), size=protocol.resamples)
    seen = int(alert[~fraud].sum())
    if share == 1:
        false_alerts = rng.binomial(others, seen / others, size=protocol.resamples)
    else:
        false_alerts = _stand_for(seen, share, protocol.resamples, rng)
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = saved(drawn @ (lost * ~alerted), drawn @ alerted + false_alerts, drawn @ lost)
    return float(point), percentile(replicates[np.isfinite(replicates)])


def _stand_for(seen: int, share: float, draws: int, rng: np.random.Generator) -> np.ndarray:
    """How many rows those of a sample may stand for, more than none where none was seen (Jeffreys' prior)."""
    return rng.gamma(seen + 0.5, size=draws) / share


def savings_curve(rows: Rows, probabilities: pd.DataFrame, review_cost: float, protocol: Protocol) -> pd.DataFrame:
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
            value, (low, high) = savings(rows.y, at_stake > cost, rows.amount, cost, rows.share, protocol)
            curve.append({"name": name, "review_cost": cost, "value": value, "low": low, "high": high})
    return pd.DataFrame(curve)


def alerts(
    scores: Scores, candidate: Candidate, alerting: Sequence[Threshold], review_cost: float
) -> dict[str, np.ndarray]:
    """Which rows each way of alerting alerts on, all repeats of them, by its name.

    `amount` alerts where probability times amount exceeds the review's cost; it has no threshold.
    """
    score, amount = scores.of_all_repeats(candidate), scores.rows.amount
    ways = {each.name: score >= each.score for each in alerting}
    if amount is not None:
        ways["amount"] = score * scores.repeated(amount, score) > review_cost
    return ways


def deciding(
    scores: Scores, candidate: Candidate, alerting: Sequence[Threshold], review_cost: float, budget: Aim | None = None
) -> Decision:
    """The threshold that decides: what costs least on these out-of-fold rows, unless a budget was given.

    Costs are those of reviews and of missed amounts. Where the table has no amounts, or no threshold costs less than
    the cheaper of reviewing nothing and everything, it is the threshold of the highest F1.
    """
    rows = scores.rows
    saves = {}
    if rows.amount is not None:
        score = scores.of_all_repeats(candidate)
        y, amount = scores.repeated(rows.y, score), scores.repeated(rows.amount, score)
        ways = alerts(scores, candidate, alerting, review_cost)
        once = Protocol(resamples=1)
        saves = {name: savings(y, alert, amount, review_cost, rows.share, once)[0] for name, alert in ways.items()}
    saves = {name: share for name, share in saves.items() if np.isfinite(share)}
    for each in alerting:
        if each.aim == budget:
            return Decision(each.name, f"where the budget of {each.meaning} is used up {UNSEEN}", saves)
    balance = f"where precision and recall balance best (highest F1) {UNSEEN}"
    if not saves:
        return Decision("f1", f"{balance}; the table has no amounts, so costs cannot be compared", saves)
    cheapest = max((each.name for each in reversed(alerting)), key=lambda name: saves[name])
    if saves[cheapest] <= 0:
        return Decision("f1", f"{balance}; no score makes alerting cheaper than reviewing nothing or everything", saves)
    return Decision(cheapest, f"where reviews and missed frauds together cost least {UNSEEN}", saves)


def on_test(
    scores: Scores, candidate: Candidate, alerting: Sequence[Threshold], review_cost: float, protocol: Protocol
) -> dict[str, Day]:
    """What each way of alerting means on all of these rows, with intervals.

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
        By the names that `alerts` gives.
    """
    ways = alerts(scores, candidate, alerting, review_cost)
    return {name: _counted(scores.rows, alert, review_cost, protocol) for name, alert in ways.items()}


def per_day(on_test: Mapping[str, Day], days: float) -> dict[str, Day]:
    """The same per day at the pace of the rows, which span so many days; {} where they have no times, or share one."""
    return {name: way.over(1 / days) for name, way in on_test.items()} if days else {}


def _counted(rows: Rows, alert: np.ndarray, review_cost: float, protocol: Protocol) -> Day:
    fraud, share = rows.y == 1, rows.share
    caught, false_alerts, quiet = (int(of.sum()) for of in (alert[fraud], alert[~fraud], ~alert[~fraud]))
    numbers = {"alerts": caught + false_alerts / share, "frauds_caught": caught, "false_alarms": false_alerts / share}
    seen = {"alerts": caught, "false_alarms": 0}
    if rows.card is not None and rows.time is not None:
        cards = card_days(rows, alert)
        cards = cards[cards["score"]]
        numbers |= {"cards": len(cards), "cards_caught": int(cards["fraud"].sum())}
    counts: dict[str, Any] = {name: float(number) for name, number in numbers.items()}
    counts |= {
        f"{name}_ci": poisson(number, share=share, seen=seen[name]) if name in seen else poisson(number)
        for name, number in numbers.items()
    }
    if rows.amount is None:
        return Day(**counts)
    lost, seen = rows.amount[fraud], alert[fraud]

    def saved(drawn: np.ndarray, rows: Any, false_alerts: Any) -> Any:
        """By how often each fraud was drawn, and how many other rows and alerts on them."""
        blanket = np.minimum(drawn @ lost, review_cost * (rows + drawn.sum(axis=-1)))
        return blanket - drawn @ (lost * ~seen) - review_cost * (drawn @ seen + false_alerts)

    rng = np.random.default_rng(protocol.seed)
    if share == 1:
        drawn_false, drawn_quiet = (rng.poisson(count, protocol.resamples) for count in (false_alerts, quiet))
    else:
        drawn_false, drawn_quiet = (
            _stand_for(count, share, protocol.resamples, rng) for count in (false_alerts, quiet)
        )
    drawn_rows = drawn_false + drawn_quiet
    drawn = rng.poisson(1, (protocol.resamples, len(lost)))
    point = saved(np.ones(len(lost)), (false_alerts + quiet) / share, false_alerts / share)
    low, high = percentile(saved(drawn, drawn_rows, drawn_false))
    return Day(**counts, saved=float(point), saved_ci=(low, high))


def readable(choice: Choice) -> pd.DataFrame:
    """The ways of alerting as they were chosen, out of fold, or what they reach on the test set, once that is known."""
    table: dict[str, dict[str, str]] = {}
    for name, meaning in choice.meanings.items():
        way, row = choice.on_test.get(name), {}
        if way:
            for figure in ("alerts", "frauds_caught", "false_alarms", "cards", "cards_caught", "saved"):
                if (value := getattr(way, figure)) is not None:
                    row[figure.replace("_", " ")] = words.decimals_between(value, getattr(way, f"{figure}_ci"), 0)
        elif not choice.on_test and (name in choice.thresholds or name in choice.oof_savings):
            row["alert from a score of"] = words.cell(choice.thresholds.get(name))
            if choice.oof_savings:
                row["avoidable cost saved"] = words.percent(choice.oof_savings[name], 2)
        if row:
            table[f"{meaning} (decides)" if name == choice.decides else meaning] = row
    return pd.DataFrame.from_dict(table, orient="index")
