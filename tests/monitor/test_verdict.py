"""One verdict on top, in the order of what matters most, and every alarm below it."""

import numpy as np
import pandas as pd
import pytest

from fraud_utils.artifact import Distribution, Promise, Reference
from fraud_utils.monitor import drift, judge, rules
from fraud_utils.monitor.traffic import Traffic
from fraud_utils.monitor.verdict import RULES

RNG = np.random.default_rng(0)
COLUMNS = {name: Distribution.of(RNG.normal(size=20_000)) for name in "ab"}
PROMISE = Promise(rows_of="validation", rows=50_000, frauds=90, alerts=100, caught=70, expected_frauds=90.0)
REFERENCE = Reference(COLUMNS, Distribution.of(RNG.beta(0.1, 5, 20_000)), PROMISE)
DAYS, ROWS = 10, 5_000


def traffic(alerts: int = 10, zero: str = "", zero_from: int = DAYS) -> Traffic:
    """Days as in training, but for the number of alerts and for columns that are zero from some day on."""
    rng = np.random.default_rng(1)
    counts = {
        name: np.stack([
            bins.count(np.zeros(ROWS) if name in zero and day >= zero_from else rng.normal(size=ROWS))
            for day in range(DAYS)
        ])
        for name, bins in COLUMNS.items()
    }  # fmt: skip
    score = np.tile(np.where(np.arange(ROWS) < alerts, 0.9, 0.01), DAYS)
    rows = pd.DataFrame(
        {"id": np.arange(DAYS * ROWS).astype(str), "day": np.repeat(np.arange(DAYS), ROWS), "score": score}
    )
    shares = REFERENCE.score.counts / REFERENCE.score.counts.sum()
    scores = np.tile((ROWS * shares).astype(int), (DAYS, 1))
    refused = pd.DataFrame(columns=["day", "why", "rows"])
    return Traffic(20_000, counts, scores, np.full(DAYS, ROWS), refused, rows)


def verdict(**changes):
    came = traffic(**changes)
    return judge(came, drift.columns(came, REFERENCE), drift.pace(came, PROMISE, 0.5), PROMISE)


def test_days_as_in_training_are_well():
    assert verdict().state == "well"


@pytest.mark.parametrize(("alerts", "side"), [(0, "Fewer alerts than promised"), (60, "More alerts than promised")])
def test_another_pace_is_named_with_the_day_it_began(alerts, side):
    found = verdict(alerts=alerts)
    assert found.state == "pace"
    assert found.headline.startswith(f"{side} on 4 October 2024")


def test_days_on_either_side_of_the_promised_pace_are_counted_apart():
    came = traffic(alerts=60)
    gone = came.rows["day"].isin([1, 2]) & (came.rows["score"] > 0.5)
    came.rows.loc[gone, "score"] = 0.01
    found = judge(came, drift.columns(came, REFERENCE), drift.pace(came, PROMISE, 0.5), PROMISE)
    assert found.headline.startswith(
        "More alerts than promised on 4 October 2024, as on 7 other days (fewer on 2 days):"
    )
    came.rows.loc[(came.rows["day"] == 0) & (came.rows["score"] > 0.5), "score"] = 0.01
    found = judge(came, drift.columns(came, REFERENCE), drift.pace(came, PROMISE, 0.5), PROMISE)
    assert found.headline.startswith(
        "Fewer alerts than promised on 4 October 2024, as on 2 other days (more on 7 days):"
    )
    came.rows.loc[came.rows["day"].isin([1, 2]) & (came.rows.groupby("day").cumcount() < 10), "score"] = 0.9
    found = judge(came, drift.columns(came, REFERENCE), drift.pace(came, PROMISE, 0.5), PROMISE)
    assert found.headline.startswith("Fewer alerts than promised on 4 October 2024 (more on 7 days):")


def test_a_column_goes_before_the_pace_that_it_changes_and_both_are_shown():
    found = verdict(alerts=60, zero="a", zero_from=4)
    assert [alarm.kind for alarm in found.alarms] == ["column", "pace"]
    assert found.headline.startswith("Column `a` changed on 8 October 2024: 100\N{NO-BREAK SPACE}% of its values are")
    assert "Since then 60 alerts a day came where 10 are promised" in found.action
    shown = found._repr_markdown_()
    assert shown.startswith("**Column `a`") and "- More alerts than promised" in shown


def test_several_columns_are_counted_and_each_is_described_below():
    found = verdict(zero="ab", zero_from=4)
    assert found.headline == "2 columns changed (`a` and `b`), the first on 8 October 2024."
    assert found._repr_markdown_().count("stability index") == 2


def test_every_kind_of_alarm_has_its_rule_and_what_to_do():
    assert [kind for kind, _, _ in RULES] == ["column", "feed", "performance", "pace", "score", "labels"]
    assert rules().count("*What to do:*") == len(RULES)
