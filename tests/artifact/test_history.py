"""History columns against their definition in plain Python, and what must not change them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud_utils.artifact import Events, History, cents

DAY = 86_400
ALL = ("count", "mean", "ratio", "since_last", "fraud_rate")
HISTORY = History("card", (1.0, 2.5), ALL)


@st.composite
def tables(draw):
    """Few entities and few moments, so that ties and the edges of windows are common; times from any origin."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(-1, 2),  # the entity, unknown below 0
                st.integers(0, 20).map(lambda step: step * DAY / 4),
                st.integers(-3, 5).map(lambda step: step * 50),
                st.booleans(),
            ),
            min_size=1,
            max_size=25,
        )
    )
    rows = sorted(rows, key=lambda row: row[1])
    delay = draw(st.sampled_from([0, 0.25, 1, 7]))
    return rows, delay, draw(st.sampled_from([0, 1_700_000_000, -86_399.5]))


def events(rows, origin=0):
    entity, time, amount, fraud = (np.array(column) for column in zip(*rows, strict=True))
    return Events(entity, time + float(origin), amount, fraud)


def defined(rows, place, delay):
    """One row's columns, by the words of the definition."""
    entity, time, amount, _ = rows[place]
    if entity < 0:
        return dict.fromkeys(HISTORY.columns, math.nan)
    before = [row for row in rows if row[0] == entity and row[1] < time]
    found = {}
    for days in HISTORY.days:
        amounts = [row[2] for row in before if row[1] > time - days * DAY] + [amount]
        mean = sum(amounts) / len(amounts)
        known = time - delay * DAY
        frauds = [row[3] for row in before if known - days * DAY < row[1] <= known]
        found |= {
            f"card_count_{days:g}d": len(amounts),
            f"card_mean_{days:g}d": mean / 100,
            f"card_ratio_{days:g}d": amount / mean if mean else (math.nan if amount else 1),
            f"card_fraud_rate_{days:g}d": sum(frauds) / len(frauds) if frauds else 0,
        }
    longest = max(HISTORY.days) * DAY
    return found | {"card_since_last": min([longest, *(time - row[1] for row in before)])}


@given(tables())
def test_columns_are_what_the_definition_says_for_a_table_and_for_one_event_at_a_time(table):
    rows, delay, origin = table
    made = HISTORY.values(events(rows, origin), delay)
    assert tuple(made) == HISTORY.columns
    for place, (entity, time, amount, _) in enumerate(rows):
        row = {name: column[place] for name, column in made.items()}
        assert row == pytest.approx(defined(rows, place, delay), nan_ok=True)
        if entity >= 0:
            others = [(t + origin, c, f) for e, t, c, f in rows[:place] + rows[place + 1 :] if e == entity]
            online = HISTORY.of_event(time + origin, amount, others[::-1], delay)
            np.testing.assert_array_equal([*online.values()], [*row.values()])


@given(tables(), st.randoms())
def test_the_order_of_rows_within_a_second_is_of_no_matter(table, random):
    rows, delay, _ = table
    order = sorted(range(len(rows)), key=lambda place: (rows[place][1], random.random()))
    one, other = (HISTORY.values(events(each), delay) for each in (rows, [rows[place] for place in order]))
    for name in HISTORY.columns:
        np.testing.assert_array_equal(one[name][order], other[name])


@given(tables(), st.integers(0, 24), st.randoms())
def test_nothing_of_the_future_and_no_label_that_is_not_known_yet_is_used(table, place, random):
    rows, delay, _ = table
    place %= len(rows)
    now = rows[place][1]
    future = [row for row in rows if row[1] > now]
    random.shuffle(future)
    future = [(random.randint(-1, 2), row[1], random.randint(0, 9), random.random() < 0.5) for row in future]
    changed = [row for row in rows if row[1] <= now] + sorted(future, key=lambda row: row[1])
    # Of the past, labels within the delay; of this very moment, all labels.
    hidden = [row[1] > now - delay * DAY or row[1] == now for row in changed]
    changed = [(*row[:3], random.random() < 0.5) if hide else row for row, hide in zip(changed, hidden, strict=True)]
    one, other = (HISTORY.values(events(each), delay) for each in (rows, changed))
    for name in HISTORY.columns:
        np.testing.assert_array_equal(one[name][place], other[name][place])


def test_a_stream_of_a_hundred_thousand_events_is_the_same_online():
    rng = np.random.default_rng(3)
    count = 100_000
    time = np.sort(rng.integers(0, 40 * DAY, count) // 600 * 600).astype(float)  # many ties
    stream = Events(rng.integers(0, 3_000, count), time, cents(rng.lognormal(3, 1, count)), rng.random(count) < 0.05)
    history = History("card", (1.0, 7.0, 30.0), ALL)
    made = history.values(stream, 7)
    reach, recent = history.reach(7), {}
    for place in range(count):
        entity, now = int(stream.entity[place]), float(time[place])
        known = recent.setdefault(entity, [])
        if place % 20 == 0:
            online = history.of_event(now, int(stream.cents[place]), known, 7)
            assert [*online.values()] == [made[name][place] for name in history.columns], place
            known[:] = [event for event in known if event[0] > now - reach]  # what a store may forget
        known.append((now, int(stream.cents[place]), bool(stream.fraud[place])))


def test_amounts_are_summed_without_rounding():
    """0.1 + 0.2 is not 0.3 in binary; as cents it is, in any order."""
    assert cents([0.1, 0.2, 19.99, -0.05]).tolist() == [10, 20, 1999, -5]
    rows = [(0, float(t), int(c), False) for t, c in enumerate(cents([0.1, 0.2, 0.3]))]
    made = History("card", (1.0,), ("mean", "ratio")).values(events(rows))
    assert made["card_mean_1d"].tolist() == [0.1, 0.15, 0.2]
    assert made["card_ratio_1d"][-1] == 1.5


def test_columns_are_named_after_entity_kind_and_window():
    history = History("card", (0.5, 7.0), ("count", "since_last"))
    assert history.columns == ("card_count_0.5d", "card_count_7d", "card_since_last")
    assert history.reach(7) == 7 * DAY
    assert History("shop", (1.0, 30.0), ("fraud_rate",)).reach(7) == 37 * DAY


@pytest.mark.parametrize(
    ("days", "of", "part"),
    [
        ((1.0,), ("counts",), "nothing is known of 'counts'; did you mean 'count'"),
        ((1.0,), ("weekday",), "choose from count, mean"),
        ((), ("count",), "needs days"),
        ((1.0,), (), "needs days"),
        ((0.0,), ("count",), "a window of 0 days; it must be longer"),
        ((math.nan,), ("count",), "a window of nan days"),
        ((7.0, 7.0), ("count",), "'days' lists a value twice"),
    ],
)
def test_settings_that_make_no_columns_are_refused(days, of, part):
    with pytest.raises(ValueError, match=part):
        History("card", days, of)
