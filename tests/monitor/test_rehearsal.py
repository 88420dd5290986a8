"""Healthy weeks seldom alarm, and four faults are found within their first week: the rules of the page, many times."""

import pytest
from monitored import SHOP, saved, shop_rows

from fraud_utils import monitor
from fraud_utils.data import Schema


@pytest.fixture(scope="module", params=[40, pytest.param(200, marks=pytest.mark.long)])
def count(request):
    """Healthy weeks; half as many with each fault."""
    return request.param


@pytest.fixture(scope="module")
def weeks(pools, model, count):
    return monitor.rehearse(pools, model, count, requests_per_day=2_000, seed=7)


def test_at_most_five_percent_of_healthy_weeks_raise_an_alarm(weeks, count):
    healthy = weeks[weeks["traffic"] == monitor.HEALTHY]
    assert len(healthy) == count
    assert healthy["any"].mean() <= 0.05


@pytest.mark.parametrize(
    ("fault", "measure", "size"),
    [
        ("zero", "column", "is 0 in every row"),
        ("unit", "column", "100 times as large in every row"),
        ("pattern", "recall", "3 new frauds for each old one"),
        ("labels", "labels", "No row is ever labelled"),
    ],
)
def test_a_fault_is_found_in_95_of_100_first_weeks_by_its_measure(weeks, count, pools, fault, measure, size):
    name = monitor.FAULTS[fault]
    assert size in pools[name].size
    found = monitor.found(weeks).loc[name]
    assert (weeks["traffic"] == name).sum() == count // 2
    assert found[measure] >= 0.95


def test_what_misses_a_fault_is_shown_too(weeks):
    found = monitor.found(weeks)
    assert found.loc[monitor.FAULTS["zero"], ["score", "precision"]].max() <= 0.05
    assert found.loc[monitor.FAULTS["pattern"], ["column", "score", "pace", "precision"]].max() <= 0.05
    assert found.loc[monitor.FAULTS["labels"], ["column", "score", "recall", "precision"]].max() <= 0.05


def test_what_finds_and_what_misses_is_said_in_words(weeks, count):
    text = monitor.lessons(weeks)
    alarms = int(weeks.loc[weeks["traffic"] == monitor.HEALTHY, "any"].sum())
    assert f"- Nothing is wrong: a false alarm in {alarms} of {count} weeks" in text
    assert "- A new kind of fraud: found by recall; missed by column, score, pace, precision" in text


def test_where_frauds_are_frequent_there_are_fewer_new_ones(shop):
    rows = shop_rows(1_000, 3)
    rows["fraud"] = (rows["a"] > 0).astype("int8")
    pool = monitor.pools(rows, shop, SHOP)[monitor.FAULTS["pattern"]]
    legitimate = int((rows["fraud"] == 0).sum())
    assert pool.label.sum() - rows["fraud"].sum() == legitimate // 2
    assert "3 new frauds" not in pool.size


def test_a_model_of_texts_alone_is_rehearsed_without_the_faults_of_numbers(tmp_path):
    schema = Schema("texts", label="fraud", time="when", amount=None, features=(), categorical=("channel",))
    rows = shop_rows(2_000, 1)[["when", "channel", "fraud"]]
    pools = monitor.pools(rows, saved(tmp_path / "model", schema, rows, rows, ["channel"]), schema)
    assert {*pools} == {monitor.HEALTHY, monitor.FAULTS["pattern"], monitor.FAULTS["labels"]}
