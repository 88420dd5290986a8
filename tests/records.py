"""A small record of a finished run, complete, for tests to change."""

from datetime import UTC, datetime
from typing import Any

from fraud_utils.record import (
    Case,
    Choice,
    Data,
    Day,
    Endpoint,
    Group,
    Metrics,
    Model,
    Reason,
    RunRecord,
    Split,
    Threshold,
    Version,
)  # fmt: skip


def judged(value: float, low: float, high: float, **more: Any) -> Metrics:
    return Metrics(value, (low, high), **more)


def way(alerts: float, caught: float, saved: float) -> Day:
    figures = {"alerts": alerts, "frauds_caught": caught, "saved": saved, "false_alarms": alerts - caught}
    return Day(**figures, **{f"{name}_ci": (value / 2, 2 * value) for name, value in figures.items()})


def case(kind: Any, score: float, amount: float, when: float) -> Case:
    return Case(kind, score, (Reason("V14", 2.3, -6.1), Reason("shop", -0.7, "Rome"), Reason("V4", 0.1)), amount, when)


ON_TEST = {"f1": way(15, 12, 1302.5), "precision_90": way(10, 10, 1000), "amount": way(22.5, 7.5, 1500)}

AVERAGE = "average of boosted trees, extremely random trees and networks"
RUN = RunRecord(
    run="one",
    created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    version=Version("0.1.0", "abc", "3.12.1", {"numpy": "2.0", "xgboost": "3.2"}),
    data=Data("mine.csv", path="mine.csv", sha256="0" * 64, rows=50_000, frauds=100, columns=31, currency="EUR"),
    parameters={"seed": 7, "review_cost": 3.0, "profile": "quick", "data": "mine.csv", "schema": ""},
    split=Split(100.0, 40_000, 80, 10_000, 20, 0.25),
    models=(
        Model("boosted trees", "xgboost", seconds={"fold_fit": 1.0, "fit": 2.0}, oof=judged(0.8, 0.75, 0.85),
              test=judged(0.7, 0.6, 0.79, precision=0.8, recall=0.6, brier=0.001, savings=0.5, savings_ci=(0.3, 0.7))),
        Model(AVERAGE, "average", oof=judged(0.81, 0.76, 0.86), test=judged(0.72, 0.6, 0.8, precision=0.7, recall=0.9)),
        Model("logistic regression", "linear", oof=judged(0.6, 0.5, 0.65),
              test=judged(0.75, 0.66, 0.83, precision=0.9, recall=0.5, brier=0.002, savings=0.1, savings_ci=(-1, 1))),
    ),
    tie_set=(AVERAGE, "boosted trees"),
    chosen=Choice(
        "boosted trees", "it is served", {"eta": 0.1}, (Threshold("f1", 0.25), Threshold("precision", 0.5, 0.9)),
        why="where reviews and missed frauds together cost least",
        oof_savings={"f1": 0.71, "precision_90": 0.66, "amount": 0.69}, on_test=ON_TEST,
        per_day={name: each.over(4) for name, each in ON_TEST.items()},
    ),
    cases=(
        case("right", 0.91, 512.0, 90_000.0), case("right", 0.3, 20.0, 91_000.0),
        case("missed", 0.01, 1204.5, 95_000.0),
    ),
    groups=(
        Group("age", "below 30", 4_000, 8, 0.01, (0.007, 0.014), 0.5, (0.1, 0.9)),
        Group("age", "30 and more", 6_000, 12, 0.03, (0.025, 0.036), 0.7, (0.3, 0.95)),
        Group("age", "no value", 10, 0, 0.1, (0.001, 0.6), None, (0.0, 1.0)),
    ),
    endpoint=Endpoint("local", 10_000, 0.0, {"p50": 4.0, "p99": 9.0}, deleted=True),
    seconds={"01_explore": 1.0, "02_compare": 82.0, "total": 83.0},
)  # fmt: skip
