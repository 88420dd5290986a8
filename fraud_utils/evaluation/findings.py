"""What a run found, in sentences that claim no more than the figures allow.

The summary page, notebook 02 and the tests read the same recorded sections, so that all of them say the same. A figure
that was not recorded is not mentioned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fraud_utils import intervals, words
from fraud_utils.record import Data, Day, Sections


def sentences(run: Sections) -> list[str]:
    """All findings of a run, those that matter to a fraud desk first; [] where no model was chosen."""
    if not run.served:
        return []
    return [*alerting(run), *money(run), *on_test_set(run), *lead(run), *choice(run)]


# Alerts, frauds, money ----------------------------------------------------------------------------------------------


def alerting(run: Sections) -> list[str]:
    """What the deciding threshold means: alerts and frauds caught, on the test set and per day."""
    shares, split = rates(run), run.split
    threshold = run.chosen.threshold if run.chosen else None
    if not shares or not split or not split.test_rows or not split.test_frauds or not threshold or not run.served:
        return []
    rows, frauds = split.test_rows, split.test_frauds
    noun = run.data.noun if run.data else "transaction"
    caught = round(shares["recall"] * frauds)
    where = f"At its fixed threshold, a score of {threshold.score:.3g}, {run.served.name}"
    if not caught:
        return [
            f"{where} catches none of the {words.count(frauds, 'fraud')} in the test set; its recall may still be as "
            f"high as {words.percent(shares['recall_ci'][1], 2)}."
        ]
    alerts = round(caught / shares["precision"])
    result = [
        f"{where} raises {words.count(alerts, 'alert')} on the {words.count(rows, noun)} of the test set "
        f"({words.plain(1000 * alerts / rows)} per 1,000) and catches {caught:,} of {words.count(frauds, 'fraud')}, "
        f"{_share(shares['recall'], shares['recall_ci'])}; "
        f"{_share(shares['precision'], shares['precision_ci'])} of its alerts are frauds."
    ]
    if run.day and split.test_days:
        unit, day = pace(run).unit, run.day.over(pace(run).days)
        result.append(
            f"At the pace of the test set, which spans {words.duration(86_400 * split.test_days)}, that is "
            f"{words.plain_between(day.alerts, day.alerts_ci)} alerts a {unit}, and "
            f"{words.plain_between(day.frauds_caught, day.frauds_caught_ci)} frauds caught a {unit}."
        )
    return result


def pace(run: Sections) -> words.Pace:
    """The unit of time in which the pages of a run count: one in which a fraud is usual in the test set."""
    split = run.split
    if not split or not split.test_days or not split.test_frauds:
        return words.Pace("day", 1.0)
    return words.pace(split.test_frauds / split.test_days, split.test_days)


def doubts(run: Sections, review_cost: float | None) -> list[str]:
    """Parameters that do not fit the table: a budget beyond its rows, a review that costs next to nothing or all."""
    return [*_budget_doubts(run), *_cost_doubts(run.data, review_cost)]


def _budget_doubts(run: Sections) -> list[str]:
    split, alerting = run.split, run.chosen.alerting if run.chosen else ()
    budget = max((each.target or 0 for each in alerting if each.aim == "alerts_a_day"), default=0)
    if not split or not split.test_rows or not split.test_days or budget <= split.test_rows / split.test_days:
        return []
    return [
        f"The budget of {words.plain(budget)} alerts a day is above the "
        f"{words.plain(split.test_rows / split.test_days)} rows a day of the test set: all of them can be reviewed, so "
        "its threshold decides nothing. Lower alerts_per_day."
    ]


def _cost_doubts(data: Data | None, review_cost: float | None) -> list[str]:
    if review_cost is None or not data or not data.currency or data.largest_amount is None or data.median_fraud is None:
        return []
    cost = f"A review is said to cost {words.money(review_cost, data.currency)}"
    if review_cost > data.largest_amount:
        largest = words.money(data.largest_amount, data.currency)
        return [f"{cost}, more than the largest amount, {largest}: no review can pay. Lower review_cost."]
    if review_cost < data.median_fraud / 1_000:
        median = words.money(data.median_fraud, data.currency)
        return [
            f"{cost}, less than a thousandth of the median fraud, {median}: nearly every review pays. Is review_cost "
            f"in {data.currency}?"
        ]
    return []


def rates(run: Sections) -> dict[str, Any]:
    """Recall and precision of the chosen model at its fixed threshold on the test set, {} where not recorded.

    `recall`, `precision`, and their exact intervals `recall_ci` and `precision_ci`; without a fraud caught there is no
    interval of the precision.
    """
    frauds = run.split.test_frauds if run.split else None
    if not run.served or not frauds:
        return {}
    recall, precision = run.served.test.recall, run.served.test.precision
    if recall is None or precision is None:
        return {}
    caught = round(recall * frauds)
    result = {"recall": recall, "precision": precision, "recall_ci": _exact(caught, frauds)}
    if caught:
        result["precision_ci"] = _exact(caught, round(caught / precision))
    return result


def _share(value: float, bounds: Sequence[float]) -> str:
    return words.percent_between(value, bounds[0], bounds[1], digits=2)


def _exact(successes: int, trials: int) -> list[float]:
    return [float(bound) for bound in intervals.exact(successes, trials)]


def money(run: Sections) -> list[str]:
    """What is saved at the fixed threshold, and by weighing probability and amount; [] without amounts."""
    if not run.served or not run.chosen:
        return []
    currency, result = run.data.currency if run.data else None, []
    if currency and run.day and run.day.saved_ci:
        verdict = ("no savings are proven:", "it saves", "it loses money:")[_sign(run.day.saved_ci)]
        result.append(
            f"At that threshold {verdict} {_saved(run, run.day, currency)}, compared with the cheaper of reviewing "
            "nothing or everything."
        )
    saved, interval = run.served.test.figure("savings")
    if saved is not None and interval:
        verdict = ("has no proven savings:", "saves", "loses money:")[_sign(interval)]
        sentence = (
            f"Alerting where probability times amount exceeds the cost of a review {verdict} "
            f"{_share(saved, interval)} of the avoidable cost on the test set"
        )
        day = run.chosen.per_day.get("amount")
        if currency and day and day.saved_ci and _sign(day.saved_ci) == _sign(interval):
            sentence += f", {_saved(run, day, currency)}"
        result.append(f"{sentence}.")
    return result


def _sign(interval: Sequence[float]) -> int:
    """1 or -1 where the whole interval is above or below zero, else 0."""
    return int(interval[0] > 0) - int(interval[1] < 0)


def _saved(run: Sections, day: Day, currency: str) -> str:
    unit = pace(run)
    day = day.over(unit.days)
    return f"{words.decimals_between(day.saved, day.saved_ci, 0)} {currency} a {unit.unit}"


# Average precision --------------------------------------------------------------------------------------------------


def on_test_set(run: Sections) -> list[str]:
    """What the choice reaches on rows that had no part in it, compared with chance and with its out-of-fold figure."""
    if not run.served:
        return []
    value, interval = run.served.test.figure("average_precision")
    if value is None:
        return []
    shown = words.decimals_between(value, interval)
    sentence = f"On the test set, {run.served.name} reaches an average precision of {shown}"
    if run.split and run.split.test_rows and run.split.test_frauds:
        share = run.split.test_frauds / run.split.test_rows
        if value > chance(run.split.test_rows, run.split.test_frauds) and (interval is None or interval[0] > share):
            sentence += f"; ranking at random would reach {words.plain(share)}"
        else:
            sentence += f", statistically tied with ranking at random ({words.plain(share)})"
    before = run.served.oof.average_precision
    if not interval or before is None:
        return [f"{sentence}."]
    place = "above" if before > interval[1] else "below" if before < interval[0] else "inside"
    return [f"{sentence}. Its out-of-fold figure, {words.decimals(before)}, lies {place} that interval."]


def chance(rows: int, frauds: int, tail: float = 0.025) -> float:
    """Average precision that a ranking at random exceeds with the probability `tail`, simulated with a fixed seed."""
    rng, count = np.random.default_rng(0), np.arange(1, frauds + 1)
    draws = int(np.clip(2_000_000 // frauds, 200, 2_000))
    places = (np.sort(rng.choice(rows, frauds, replace=False, shuffle=False)) + 1 for _ in range(draws))
    return float(np.quantile([np.mean(count / place) for place in places], 1 - tail))


def lead(run: Sections) -> list[str]:
    """Which candidates share the lead out of fold, and whether any is shown to have learned something."""
    judged = {model.name: model for model in run.models or ()}
    known = {name: value for name, model in judged.items() if (value := model.oof.average_precision) is not None}
    tied = [name for name in run.tie_set or () if name in known]
    others = len(known) - 1
    if not tied or not others:
        return []
    first = max(tied, key=lambda name: known[name])
    reached = words.decimals_between(*judged[first].oof.figure("average_precision"))
    if len(tied) == 1:
        behind = f"each of the {others} others" if others > 1 else "the other candidate"
        return [
            f"Out of fold, {first} leads with an average precision of {reached}: in paired comparisons it is ahead of "
            f"{behind}."
        ]
    rest = f"{len(tied) - 1} of the {others} others" if others > 1 else "the other candidate"
    sentence = f"Out of fold, {first} has the highest average precision, {reached}, statistically tied with {rest}."
    baselines = [name for name in tied if judged[name].kind == "baseline"]
    split, share = run.split, 0.025 / len(known)
    if baselines:
        what = "which are baselines" if len(baselines) > 1 else "a baseline"
        sentence += f" The tie includes {words.listed(baselines)}, {what}: no candidate is shown to have learned."
    elif (
        split
        and split.train_rows
        and split.train_frauds
        and known[first] <= chance(split.train_rows, split.train_frauds, share)
    ):
        sentence += f" The best of {len(known)} random rankings may do as well: no candidate is shown to have learned."
    return [sentence]


def choice(run: Sections) -> list[str]:
    """Which candidate is served, and by what rule."""
    return [f"Served: {run.chosen.name}, {run.chosen.reason}."] if run.chosen and run.chosen.reason else []
