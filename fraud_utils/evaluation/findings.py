"""What a run found and what follows from it, in sentences that claim no more than the figures allow.

The summary and notebook 02 read the same recorded sections. A figure that was not recorded is not mentioned.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from fraud_utils import intervals, words
from fraud_utils.record import Data, Sections

FLATTERS = 0.03  # of an average precision: by so much a sample may be too high before the summary says so

# What to do ---------------------------------------------------------------------------------------------------------


def recommendation(run: Sections) -> dict[str, str]:
    """What to do, what to expect of it and what is uncertain: a sentence each; {} where no model was judged."""
    if not run.served or not run.chosen:
        return {}
    threshold, nothing = run.chosen.threshold, unlearned(run)
    if nothing:
        todo = f"Serve no model yet: {nothing}."
    elif threshold:
        why = f", {run.chosen.why}" if run.chosen.why else ""
        todo = f"Serve {run.served.name} and alert from a score of {words.cell(threshold.score)}{why}."
    else:
        todo = f"Serve {run.served.name}."
    said = {"What to do": todo, "What to expect": _expected(run), "What is uncertain": _uncertain(run)}
    return {heading: sentence for heading, sentence in said.items() if sentence}


def _expected(run: Sections) -> str:
    """What the deciding threshold did on the test set, in counts and shares."""
    shares, split = rates(run), run.split
    if not shares or not split or not split.test_rows or not split.test_frauds:
        return ""
    noun = run.data.noun if run.data else "transaction"
    sentence = (
        f"On the {words.count(split.test_rows, noun)} of the test set that raises "
        f"{words.count(shares['alerts'], 'alert')} and catches {shares['caught']:,} of "
        f"{words.count(split.test_frauds, 'fraud')}, {_share(shares['recall'], shares['recall_ci'])}"
    )
    if shares["caught"]:
        sentence += f"; {_share(shares['precision'], shares['precision_ci'])} of its alerts are frauds"
    return f"{sentence}."


def _uncertain(run: Sections) -> str:
    """What the figures rest on, and what they do not show."""
    split, said = run.split, []
    if split and split.test_frauds:
        frauds = words.count(split.test_frauds, "fraud")
        if split.test_days:
            span, unit = words.duration(86_400 * split.test_days), pace(run).unit
            said.append(
                f"The figures rest on {frauds} in {span}, and frauds come in bursts, so real {unit}s vary more than "
                "the intervals say"
            )
        else:
            said.append(f"The figures rest on {frauds} among rows drawn at random")
    if split and split.train_rows and split.test_from is None:
        said.append("the table has no times, so whether the past predicts the future, it cannot know")
    if run.data and run.data.share < 1:
        drawn = f"{words.percent(run.data.share)} of the legitimate rows, drawn at random"
        said.append(f"they come from all frauds and {drawn}, and are corrected for that")
    if flattered(run):
        said.append("so few of those drawn score like frauds that average precision flatters: raise most_rows")
    way = run.way
    if way and way.saved_ci and (sign := _sign(way.saved_ci)) < 1:
        said.append("alerting loses money there" if sign < 0 else "that it saves money is not shown")
    if rivals := _rivals(run):
        said.append(rivals)
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}." if said else ""


def flattered(run: Sections) -> bool:
    """Whether a sample has too few legitimate rows above half of the frauds for its average precision.

    Precision is convex in the number of false alarms k / share, so that its mean over draws is too high where they are
    few: by about its square's share of their variance (second-order Taylor), one more than were seen.
    """
    if not run.bins or run.bins.share == 1:
        return False
    half = next(k for k, caught in enumerate(run.bins.frauds) if 2 * caught >= run.bins.frauds[-1])
    alerts, share = run.bins.alerts[half], run.bins.share
    drawn = (alerts - run.bins.frauds[half]) * share
    return (drawn + 1) / share**2 > FLATTERS * alerts**2


def _rivals(run: Sections) -> str:
    """Who shares the lead with the choice out of fold, or is ahead of it."""
    tied, name = run.tie_set or (), run.chosen.name if run.chosen else ""
    if tied and name not in tied:
        return f"out of fold, {tied[0]} is ahead of it by more than noise"
    if len(tied) < 2:
        return ""
    others = words.count(len(tied) - 1, "other candidate")
    return f"out of fold, {others} {'are' if len(tied) > 2 else 'is'} statistically tied with it"


def unlearned(run: Sections) -> str:
    """Why no candidate, or not the choice, is shown to have learned anything; "" where it is."""
    judged = {model.name: model for model in run.models or ()}
    known = {name: value for name, model in judged.items() if (value := model.oof.average_precision) is not None}
    tied, split = [name for name in run.tie_set or () if name in known], run.split
    if baselines := [name for name in tied if judged[name].kind == "baseline"]:
        what = "which are baselines" if len(baselines) > 1 else "a baseline"
        return f"the tie for the lead includes {words.listed(baselines)}, {what}, so none is shown to have learned"
    rows, frauds = (split.train_rows, split.train_frauds) if split else (None, None)
    if (
        tied
        and rows
        and frauds
        and max(known[name] for name in tied) <= chance(rows, frauds, 0.025 / len(known), _of_legitimate(run))
    ):
        return f"the best of {len(known)} random rankings may do as well as the best candidate"
    if run.served and at_random(run):
        return f"on the test set, {run.served.name} is statistically tied with ranking at random"
    return ""


def _share(value: float, bounds: Sequence[float]) -> str:
    return words.percent_between(value, bounds[0], bounds[1], digits=2)


def _sign(interval: Sequence[float]) -> int:
    """1 or -1 where the whole interval is above or below zero, else 0."""
    return int(interval[0] > 0) - int(interval[1] < 0)


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
    split, threshold = run.split, run.chosen.threshold if run.chosen else None
    if not threshold or threshold.aim != "alerts_a_day" or not split or not split.test_rows or not split.test_days:
        return []
    if (budget := threshold.target or 0) <= split.test_rows / split.test_days:
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
    """What the deciding threshold reaches on the test set, {} where not recorded.

    `alerts`, `caught`, `recall`, `precision`, and the exact intervals `recall_ci` and `precision_ci`; without a fraud
    caught there is no interval of the precision.
    """
    frauds, way = run.split.test_frauds if run.split else None, run.way
    if not frauds or not way:
        return {}
    caught, alerts = round(way.frauds_caught), round(way.alerts)
    result: dict[str, Any] = {"alerts": alerts, "caught": caught}
    result |= {"recall": caught / frauds, "precision": caught / max(alerts, 1), "recall_ci": _exact(caught, frauds)}
    if caught:
        result["precision_ci"] = _exact(caught, alerts, _of_legitimate(run))
    return result


def _exact(successes: int, trials: int, share: float = 1.0) -> list[float]:
    return [float(bound) for bound in intervals.exact(successes, trials, share=share)]


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
    if (tied := at_random(run)) is not None and run.split and run.split.test_rows:
        share = words.plain((run.split.test_frauds or 0) / run.split.test_rows)
        alike = f", statistically tied with ranking at random ({share})"
        sentence += alike if tied else f"; ranking at random would reach {share}"
    before = run.served.oof.average_precision
    if not interval or before is None:
        return [f"{sentence}."]
    place = "above" if before > interval[1] else "below" if before < interval[0] else "inside"
    return [f"{sentence}. Its out-of-fold figure, {words.decimals(before)}, lies {place} that interval."]


def at_random(run: Sections) -> bool | None:
    """Whether a ranking at random may do as well as the choice on the test set; None where that is not known."""
    value, interval = run.served.test.figure("average_precision") if run.served else (None, None)
    if value is None or not run.split or not run.split.test_rows or not run.split.test_frauds:
        return None
    rows, frauds = run.split.test_rows, run.split.test_frauds
    return value <= chance(rows, frauds, share=_of_legitimate(run)) or (
        interval is not None and interval[0] <= frauds / rows
    )


@cache
def chance(rows: int, frauds: int, tail: float = 0.025, share: float = 1.0) -> float:
    """Average precision that a ranking at random exceeds with the probability `tail`, simulated with a fixed seed.

    Parameters
    ----------
    rows : int
        All of them.
    share : float
        Of the legitimate ones, those that were ranked.
    """
    rng, count = np.random.default_rng(0), np.arange(1, frauds + 1)
    draws = int(np.clip(2_000_000 // frauds, 200, 2_000))
    drawn = frauds + round((rows - frauds) * share)
    places = (np.sort(rng.choice(drawn, frauds, replace=False, shuffle=False)) + 1 for _ in range(draws))
    reached = [np.mean(count / (count + (place - count) / share)) for place in places]
    return float(np.quantile(reached, 1 - tail))


def _of_legitimate(run: Sections) -> float:
    """Of the legitimate rows, those that models were compared on."""
    return run.data.share if run.data else 1.0
