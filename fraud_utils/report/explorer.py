"""What the summary's explorer shows: any score to alert from, and what it would have meant on the test set."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fraud_utils import intervals
from fraud_utils.record import RunRecord
from fraud_utils.report.summary import unit

COUNTS = {
    "alerts": "Alerts",
    "frauds": "Frauds caught",
    "missed": "Frauds missed",
    "false_alarms": "False alarms",
    "passed": "Legitimate, no alert",
}
SHARES = {"precision": "Alerts that are frauds (precision)", "recall": "Frauds caught (recall)"}


def explored(run: RunRecord) -> dict[str, Any] | None:
    """What the explorer's template needs, and `data` for its script; None for a run that left no bins."""
    from fraud_utils.evaluation import explorer  # with scipy, which the list of runs does without

    if not run.bins or not run.chosen:
        return None
    table, names = explorer.steps(run.bins), ("alerts", "frauds", "false_alarms", "precision", "recall")
    bounds = {name: table[[name, f"{name}_low", f"{name}_high"]].to_numpy().tolist() for name in names}
    bounds["precision"][0] = None  # nothing is alerted on
    per, pace = unit(run)
    decides, cost = run.chosen.threshold, run.parameters.get("review_cost")
    data = {
        "bins": asdict(run.bins),
        "steps": [{name: bounds[name][step] for name in names} for step in range(len(table))],
        "start": sum(score >= decides.score for score in run.bins.score) - 1 if decides else 0,
        "cost": cost if isinstance(cost, int | float) else 3,
        "pace": pace,
        "normal": intervals.normal(),
    }
    currency = run.data.currency if run.data and run.bins.amount is not None else None
    return {"per": per, "currency": currency, "counts": COUNTS, "shares": SHARES, "data": data}
