"""What a summary says of a run: what to do first, ways of alerting, alerts to look at, and the model card."""

from __future__ import annotations

import math
from dataclasses import asdict
from itertools import groupby
from typing import Any, NamedTuple

from fraud_utils import words
from fraud_utils.record import Choice, Day, Model, RunRecord

FIGURES = ("alerts", "frauds_caught", "false_alarms", "saved")  # of a way of alerting, in the order they are shown
DATA = {
    "path": "File",
    "sha256": "SHA-256",
    "columns": "Columns",
    "largest_amount": "Largest amount",
    "median_fraud": "Median amount of a fraud",
}
JUDGED = {
    "average_precision": "Average precision",
    "roc_auc": "Area under the ROC curve",
    "brier": "Brier score (lower is better)",
    "log_loss": "Log loss (lower is better)",
    "savings": "Avoidable cost saved, weighing probability and amount",
}


class Way(NamedTuple):
    """A way of alerting: its aim, score, share of the avoidable cost saved out of fold, and what a unit is like."""

    aim: str
    score: float | None
    saves: float | None
    day: Day | None
    decides: bool


def parts(run: RunRecord) -> dict[str, Any]:
    """The values that the summary's templates take from the record alone."""
    # With scikit-learn, which the list of runs does without.
    from fraud_utils.evaluation import cards, fairness, feedback, findings

    per, factor = unit(run)
    parameters = {name: value for name, value in run.parameters.items() if value not in ("", None)}
    return {
        "advice": findings.recommendation(run),
        "doubts": findings.doubts(run, run.parameters.get("review_cost")),
        "people": fairness.describe(run.groups or ()),
        "per": per,
        "day": run.way.over(factor) if run.way else None,
        "ways": _ways(run, run.chosen, factor) if run.chosen else [],
        "currency": run.data.currency if run.data and run.way and run.way.saved is not None else None,
        "cases": _cases(run),
        "reviews": {
            "test set": cards.describe(run.reviewed) if run.reviewed else "",
            "out of fold": feedback.loss(run.feedback) if run.feedback else "",
        },
        "facts": {text: getattr(run.data, name) for name, text in DATA.items()} if run.data else {},
        "judged": _judged(run.served) if run.served else [],
        "rates": findings.rates(run),
        "parameters": parameters,
        "empty": sorted(run.parameters.keys() - parameters.keys()),
        "models": sorted(run.models or (), key=_precision, reverse=True),
    }


def unit(run: RunRecord) -> tuple[str, float]:
    """The unit that counts of the test set are shown for, and the factor that turns them into it.

    Day, week or month; a thousand rows where a table has no times.
    """
    from fraud_utils.evaluation import findings

    split, pace = run.split, findings.pace(run)
    if split and split.test_days:
        return f"a {pace.unit}", pace.days / split.test_days
    return "per 1,000 rows", 1000 / split.test_rows if split and split.test_rows else 1.0


def _ways(run: RunRecord, choice: Choice, factor: float) -> list[Way]:
    """All ways of alerting but a budget that nobody gave and that is above the rows of a day."""
    split = run.split
    rows = split.test_rows / split.test_days if split and split.test_rows and split.test_days else math.inf
    idle = {each.name for each in choice.alerting if each.aim == "alerts_a_day" and (each.target or 0) > rows}
    return [
        Way(
            aim,
            choice.thresholds.get(name),
            choice.oof_savings.get(name),
            choice.on_test[name].over(factor) if name in choice.on_test else None,
            name == choice.decides,
        )
        for name, aim in choice.meanings.items()
        if (name in choice.thresholds or name in choice.on_test) and (name == choice.decides or name not in idle)
    ]


def _cases(run: RunRecord) -> list[dict[str, Any]]:
    """The rows to look at, by what each is, with the width of each reason's bar in percent of the widest."""
    cases = run.cases or ()
    widest = max((abs(reason.contribution) for case in cases for reason in case.reasons), default=1.0)
    return [
        {
            "meaning": words.plural(meaning) if meaning == "false alarm" else meaning.replace("fraud", "frauds"),
            "rows": [
                {
                    "case": case,
                    "reasons": [
                        asdict(reason) | {"width": round(100 * abs(reason.contribution) / (widest or 1.0))}
                        for reason in case.reasons
                    ],
                }
                for case in same
            ],
        }
        for meaning, same in groupby(cases, key=lambda case: case.meaning)
    ]


def _judged(model: Model) -> list[tuple[str, ...]]:
    """Each figure of the choice in words, out of fold and on the test set; those that are known."""
    rows = []
    for name, text in JUDGED.items():
        digits = 5 if name in ("brier", "log_loss") else 3
        both = [part.figure(name) for part in (model.oof, model.test)]
        if any(value is not None for value, _ in both):
            rows.append((text, *(words.decimals_between(value, bounds, digits) for value, bounds in both)))
    return rows


def _precision(model: Model) -> float:
    """By which candidates are ordered; one that has no average precision comes last."""
    value = model.oof.average_precision
    return -1.0 if value is None else value
