"""Rates by hour, day and week, and bursts: what happens when, and what is only chance."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from noise import SCHEMA, noise, text
from scipy import stats

from fraud_utils import explore
from fraud_utils.explore.rates import rates


def test_a_burst_in_one_hour_is_found_and_named():
    frame = noise(rows=6000, rate=0.02)
    frame.loc[(frame["at"] % 86_400 // 3600 == 5) & (frame.index % 2 == 0), "fraud"] = 1
    hours = explore.rate_by_hour(frame, SCHEMA)
    assert list(hours.index) == list(range(24))
    assert hours["rows"].sum() == 6000
    finding = explore.rate_finding(hours, seed=7)
    assert re.match(r"The fraud rate differs between hours: [\d.]+ % \[[\d., ]+\] in hour 5, but", text(finding))
    assert re.search(r"above the overall rate of [\d.]+ %: hour 5, ", text(finding))
    assert "chi-square" in finding.detail and "chi-square" not in finding.headline


def test_hours_that_differ_by_chance_are_not_told_apart():
    finding = explore.rate_finding(explore.rate_by_hour(noise(), SCHEMA), seed=7)
    assert finding.headline == "No two hours are shown to differ in their fraud rate."
    assert "above" not in finding.detail


def test_bursts_are_found_where_they_are():
    frame = noise(rows=6000, rate=0.02)
    even = explore.bursts_finding(explore.volume(frame, SCHEMA), seed=7)
    assert even.headline.startswith("Frauds are not shown to come in bursts")
    frame["fraud"] = (frame["at"] // 3600 % 2).astype("int8")  # every other hour all fraud: hours count, not rows
    ratio = re.search(r"vary ([\d.]+) times", explore.bursts_finding(explore.volume(frame, SCHEMA), 7).headline)
    assert float(ratio[1]) == pytest.approx(6000 / 72, rel=0.05)
    frame = noise(rows=6000, rate=0.02)
    frame.loc[3000:3040, "fraud"] = 1
    bursts = explore.bursts_finding(explore.volume(frame, SCHEMA), seed=7)
    assert bursts.headline.startswith("Frauds come in bursts or rhythms") and "times too narrow" in bursts.detail
    assert "one hour" in explore.bursts_finding(explore.volume(noise(days=0.03), SCHEMA), seed=7).headline


def test_a_test_that_disagrees_with_overlapping_intervals_is_named_with_its_assumption():
    rows, days = np.array([100_000, 100_000]), pd.Index([1, 2], name="day")
    apart = explore.rate_finding(rates(rows, np.array([300, 200]), days), seed=7)
    assert "differs between days" in apart.headline
    overlapping = explore.rate_finding(rates(rows, np.array([270, 222]), days), seed=7)
    assert "No two days" in overlapping.headline and "only if rows are independent" in overlapping.detail


def test_one_day_is_compared_with_nothing():
    days = explore.rate_along_time(noise(days=0.5), SCHEMA)
    assert list(days.index) == [1]
    assert "one day" in explore.rate_finding(days, seed=7).headline


def test_months_are_compared_by_the_week():
    frame = noise(days=70)
    weeks = explore.rate_along_time(frame, SCHEMA)
    assert weeks.index.name == "week" and list(weeks.index) == list(range(1, 11))
    assert weeks["rows"][2] == ((frame["at"] >= 7 * 86_400) & (frame["at"] < 14 * 86_400)).sum()
    assert "No two weeks are shown to differ" in explore.rate_finding(weeks, seed=7).headline


def test_volume_counts_every_row_by_hour_and_by_day_beyond_two_weeks():
    for days, hours in ((3, 1), (30, 24)):
        frame = noise(days=days)
        frame["at"] += 20_000 * 86_400 + 7_200  # a Unix time that does not begin at midnight
        volume = explore.volume(frame, SCHEMA)
        assert set(volume["bin_hours"]) == {hours}
        assert (volume["rows"].sum(), volume["frauds"].sum()) == (3000, frame["fraud"].sum())
        start = explore.on_time_axis(frame["at"].iloc[0], frame, SCHEMA)
        assert 0 <= volume["start"].iloc[0] <= start < volume["start"].iloc[0] + hours / 24


def dated(days: float, **more: float) -> pd.DataFrame:
    frame = noise(days=days, **more)
    frame.attrs["provenance"] |= {"origin": "2015-03-02T00:00:00+00:00"}
    return frame


@pytest.mark.parametrize(
    ("days", "second", "when"),
    [(20, "2015-03-03", "on 2015-03-03"), (90, "2015-03-09", "in the week from 2015-03-09"),
     (900, "2015-04-01", "in 2015-04")],
)  # fmt: skip
def test_where_dates_are_known_rates_are_named_by_them(days, second, when):
    frame = dated(days)
    rates = explore.rate_along_time(frame, SCHEMA)
    assert rates["rows"].sum() == 3000 and rates.index[1] == pd.Timestamp(second)
    part = rates.index.get_indexer([second])[0]
    assert rates["frauds"].iloc[part] == frame["fraud"][_starts(frame, rates) == second].sum()
    frame.loc[_starts(frame, rates) == second, "fraud"] = 1
    finding = explore.rate_finding(explore.rate_along_time(frame, SCHEMA), seed=7)
    assert f" {when}, but" in finding.headline


def _starts(frame: pd.DataFrame, rates: pd.DataFrame) -> pd.Series:
    """When the day, week or month of each row begins."""
    at = pd.Timestamp("2015-03-02") + pd.to_timedelta(frame["at"], unit="s")
    return at.map(lambda when: max(start for start in rates.index if start <= when)).dt.strftime("%Y-%m-%d")


def test_rows_whose_labels_are_not_known_yet_are_not_counted_as_legitimate():
    frame = noise(days=20)
    waiting = replace(SCHEMA, label_delay_days=6.0)
    unknown = frame["at"] > frame["at"].iloc[-1] - 6 * 86_400
    frame.loc[unknown, "fraud"] = 0
    rates, known = (explore.rate_along_time(*of) for of in ((frame, waiting), (frame[~unknown], SCHEMA)))
    pd.testing.assert_frame_equal(rates, known)
    assert rates["rows"].sum() == (~unknown).sum()
    volume = explore.volume(frame, waiting)
    assert volume["known"].tolist() == [True] * 13 + [False] * 7
    assert "bursts or rhythms" in explore.bursts_finding(explore.volume(frame, SCHEMA), 7).headline
    assert "not shown to come in bursts" in explore.bursts_finding(volume, 7).headline


def test_days_are_compared_only_where_they_have_frauds():
    few = noise(days=50, rate=0.005)  # 15 frauds in 50 days
    assert explore.rate_along_time(few, SCHEMA).index.name == "week"
    assert explore.rate_along_time(noise(days=50), SCHEMA).index.name == "day"


def test_volume_begins_with_dates_where_they_are_known_and_has_weeks_beyond_two_years():
    frame = dated(800)
    volume = explore.volume(frame, SCHEMA)
    assert set(volume["bin_hours"]) == {168} and volume["start"].iloc[0] == pd.Timestamp("2015-03-02")
    assert volume["rows"].sum() == 3000
    assert explore.on_time_axis(86_400.0, frame, SCHEMA) == pd.Timestamp("2015-03-03")
    assert "weekly counts" in text(explore.bursts_finding(volume, 7))


@pytest.mark.parametrize("tables", [16, pytest.param(40, marks=pytest.mark.long)])
def test_weeks_with_one_rate_are_told_apart_at_most_as_often_as_the_level_says(tables):
    """Of 84 weeks the extremes always look different; the level holds for all of them together."""
    rng, weeks = np.random.default_rng(0), pd.Index(range(1, 85), name="week")
    rows = rng.poisson(200, (tables, 84)) + 1
    claims = sum(
        "differs" in explore.rate_finding(rates(counted, rng.binomial(counted, 0.05), weeks), seed=7).headline
        for counted in rows
    )
    assert claims <= stats.binom(tables, 0.05).ppf(0.99)  # at a level of 5 %: 3 of 16, 6 of 40
