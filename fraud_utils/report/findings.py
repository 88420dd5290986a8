"""What a run found, in sentences that say no more than its figures allow.

Everything is computed from sections in the shape of `metrics.json`, so that the summary, notebook 02 and whoever reads
the file say the same. A figure that was not recorded is not mentioned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def sentences(run: Mapping[str, Any]) -> list[str]:
    """All findings of a run, what matters to a fraud desk first; [] where no model was chosen."""
    if not _chosen(run):
        return []
    return [*alerting(run), *money(run), *on_test_set(run), *lead(run), *choice(run)]


def as_markdown(said: Sequence[str]) -> str:
    """Sentences as a list; a dollar sign is a currency here, never the start of a formula."""
    return "\n".join(f"- {sentence}" for sentence in said).replace("$", "\\$")


def _chosen(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """The section of the chosen model in `models`, {} where there is none."""
    name = (run.get("chosen") or {}).get("name")
    return next((model for model in run.get("models") or [] if model["name"] == name), {})


# Alerts, frauds, money ----------------------------------------------------------------------------------------------


def alerting(run: Mapping[str, Any]) -> list[str]:
    """What the fixed threshold means: alerts, frauds caught, and both per day."""
    name, test, split = run["chosen"]["name"], _chosen(run).get("test") or {}, run.get("split") or {}
    threshold = (run["chosen"].get("thresholds") or {}).get("f1")
    rows, frauds = split.get("test_rows"), split.get("test_frauds")
    precision, recall = test.get("precision"), test.get("recall")
    if precision is None or recall is None or not rows or not frauds or threshold is None:
        return []
    shares = rates(run)
    caught = round(recall * frauds)
    where = f"At its fixed threshold, a score of {threshold:.3g}, {name}"
    if not caught:
        return [
            f"{where} catches none of the {frauds:,} frauds of the test set; a share of up to "
            f"{_percent(shares['recall_ci'][1])} would be in keeping with that."
        ]
    alerts = round(caught / precision)
    said = [
        f"{where} alerts {alerts:,} times on the {rows:,} transactions of the test set "
        f"({_plain(1000 * alerts / rows)} per 1,000) and catches {caught:,} of {frauds:,} frauds, "
        f"{_share(recall, shares['recall_ci'])}; {_share(precision, shares['precision_ci'])} of its alerts are frauds."
    ]
    days = (run["chosen"].get("per_day") or {}).get("f1")
    if days and split.get("test_days"):
        said.append(
            f"At the pace of the test set, which spans {_duration(split['test_days'])}, that is "
            f"{_with_interval(days['alerts'], days['alerts_ci'])} alerts a day, and "
            f"{_with_interval(days['frauds_caught'], days['frauds_caught_ci'])} frauds caught a day."
        )
    return said


def rates(run: Mapping[str, Any]) -> dict[str, Any]:
    """Recall and precision of the chosen model at its fixed threshold on the test set, where known.

    `recall`, `precision`, and their exact (Clopper-Pearson) intervals `recall_ci` and `precision_ci`; without a fraud
    caught there is no interval of the precision.
    """
    from scipy.stats import binomtest

    test, frauds = _chosen(run).get("test") or {}, (run.get("split") or {}).get("test_frauds")
    recall, precision = test.get("recall"), test.get("precision")
    if recall is None or precision is None or not frauds:
        return {}
    caught = round(recall * frauds)
    found = {"recall": recall, "precision": precision, "recall_ci": list(binomtest(caught, frauds).proportion_ci())}
    if caught:
        found["precision_ci"] = list(binomtest(caught, round(caught / precision)).proportion_ci())
    return found


def money(run: Mapping[str, Any]) -> list[str]:
    """What is saved at the fixed threshold, and by weighing probability and amount; [] without amounts."""
    per_day, currency = run["chosen"].get("per_day") or {}, (run.get("data") or {}).get("currency")
    test = _chosen(run).get("test") or {}
    said = []
    day = per_day.get("f1") or {}
    if currency and day.get("saved") is not None:
        verdict = ("no money is shown to be saved:", "it saves", "it loses money:")[_sign(day["saved_ci"])]
        said.append(
            f"At that threshold {verdict} {_money(day, currency)}, against the cheaper of alerting on nothing and on "
            "everything."
        )
    saved, interval = test.get("savings"), test.get("savings_ci")
    if saved is not None and interval:
        verdict = ("shows no savings:", "saves", "loses money:")[_sign(interval)]
        sentence = (
            f"Alerting where probability times amount exceeds the cost of a review {verdict} "
            f"{_share(saved, interval)} of the avoidable cost on the test set"
        )
        day = per_day.get("amount") or {}
        if currency and day.get("saved") is not None and _sign(day["saved_ci"]) == _sign(interval):
            sentence += f", {_money(day, currency)}"
        said.append(f"{sentence}.")
    return said


def _sign(interval: Sequence[float]) -> int:
    """1 or -1 where the whole interval is above or below zero, else 0."""
    return int(interval[0] > 0) - int(interval[1] < 0)


def _money(day: Mapping[str, Any], currency: str) -> str:
    low, high = day["saved_ci"]
    return f"{round(day['saved']):,} {currency} a day [{round(low):,}, {round(high):,}]"


# Average precision --------------------------------------------------------------------------------------------------


def on_test_set(run: Mapping[str, Any]) -> list[str]:
    """What the choice reaches on rows that had no part in it, against chance and against what it promised."""
    model, split = _chosen(run), run.get("split") or {}
    oof, test = model.get("oof") or {}, model.get("test") or {}
    value, interval = test.get("average_precision"), test.get("average_precision_ci")
    if value is None:
        return []
    sentence = f"On the test set, {model['name']} reaches an average precision of {_precision(value, interval)}"
    rows, frauds = split.get("test_rows"), split.get("test_frauds")
    if rows and frauds:
        share = frauds / rows
        beats = value > chance(rows, frauds) and (interval is None or interval[0] > share)
        if beats:
            sentence += f"; ranking at random would reach {share:.2g}"
        else:
            sentence += f", which cannot be told from ranking at random ({share:.2g})"
    said = [f"{sentence}."]
    before = oof.get("average_precision")
    if interval and before is not None:
        place = "above" if before > interval[1] else "below" if before < interval[0] else "inside"
        said.append(f"Its out-of-fold figure, {before:.3f}, lies {place} that interval.")
    return [" ".join(said)]


def chance(rows: int, frauds: int, tail: float = 0.025) -> float:
    """Average precision that a ranking at random exceeds with the probability `tail`, simulated with a fixed seed."""
    rng, count = np.random.default_rng(0), np.arange(1, frauds + 1)
    draws = int(np.clip(2_000_000 // frauds, 200, 2_000))
    places = (np.sort(rng.choice(rows, frauds, replace=False, shuffle=False)) + 1 for _ in range(draws))
    return float(np.quantile([np.mean(count / place) for place in places], 1 - tail))


def lead(run: Mapping[str, Any]) -> list[str]:
    """Which candidates share the lead out of fold, and whether any is shown to have learned something."""
    judged = {model["name"]: (model.get("oof") or {}).get("average_precision") for model in run.get("models") or []}
    known = {name: value for name, value in judged.items() if value is not None}
    tied = [name for name in run.get("tie_set") or [] if name in known]
    if not tied:
        return []
    first = max(tied, key=lambda name: known[name])
    section = {model["name"]: model for model in run["models"]}
    figure = _precision(known[first], section[first]["oof"].get("average_precision_ci"))
    ties, others = len(tied) - 1, len(known) - 1
    if not others:
        return []
    if not ties:
        return [
            f"Out of fold, {first} leads with an average precision of {figure}: in paired comparisons it is ahead of "
            f"{f'each of the {others} others' if others > 1 else 'the other candidate'}."
        ]
    said = [
        f"Out of fold, {first} has the highest average precision, {figure}; {ties} of the {others} "
        f"{'others' if others > 1 else 'other'} cannot be told from it."
    ]
    split = run.get("split") or {}
    rows, frauds = split.get("train_rows"), split.get("train_frauds")
    blank = [name for name in tied if section[name].get("kind") == "baseline"]
    if blank:
        among = "are the baselines" if len(blank) > 1 else "is"
        said.append(
            f"Among those that share the first place {among} {' and '.join(blank)}: nothing is shown to be learned."
        )
    elif rows and frauds and known[first] <= chance(rows, frauds, 0.025 / len(known)):
        said.append(f"The best of {len(known)} rankings at random may reach as much: nothing is shown to be learned.")
    return [" ".join(said)]


def choice(run: Mapping[str, Any]) -> list[str]:
    """Which candidate is served, and by what rule."""
    chosen = run["chosen"]
    return [f"Served: {chosen['name']}, {chosen['reason']}."] if chosen.get("reason") else []


# Figures in words ---------------------------------------------------------------------------------------------------

_UNIT = "\N{NO-BREAK SPACE}%"


def _precision(value: float, interval: Sequence[float] | None) -> str:
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def _share(value: float, interval: Sequence[float]) -> str:
    low, high = (_percent(bound).removesuffix(_UNIT) for bound in interval)
    return f"{_percent(value)} [{low}, {high}]"


def _percent(value: float) -> str:
    return (f"{100 * value:.1f}" if 0.0005 < abs(value) < 0.095 else f"{round(100 * value)}") + _UNIT


def _with_interval(value: float, interval: Sequence[float]) -> str:
    return f"{_plain(value)} [{_plain(interval[0])}, {_plain(interval[1])}]"


def _plain(value: float) -> str:
    """Two significant digits below 100, whole numbers with separators from there on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{float(f'{value:.2g}'):g}"


def _duration(days: float) -> str:
    return f"{_plain(days)} days" if days >= 2 else f"{_plain(24 * days)} hours"
