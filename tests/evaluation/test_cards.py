"""What a team that reviews cards finds in a day."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evaluation import made
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema
from fraud_utils.evaluation import Protocol, Rows, cards, compare, decisions
from fraud_utils.models import Candidate
from fraud_utils.record import Threshold

DAY = 86_400
DUMMY = Candidate("dummy")
ONCE = Protocol(resamples=50, jobs=1)


def rows(*used: tuple[float, int, int], **known) -> Rows:
    """Rows from (day, card, fraud), in order of time."""
    day, card, y = (np.array(column) for column in zip(*used, strict=True))
    return made.rows(np.zeros((len(y), 0)), y, time=day * DAY, card=card.astype(np.uint64), **known)


def by_the_book(of: Rows, score, k: int, drop_found: bool = True) -> list[float]:
    """The Handbook's `card_precision_top_k`, day after day, card after card."""
    found, precisions = [], []
    for day in sorted({time // DAY for time in of.time}):
        highest, compromised = {}, set()
        for time, card, y, value in zip(of.time, of.card, of.y, score, strict=True):
            if time // DAY == day and card not in found:
                highest[card] = max(value, highest.get(card, -1))
                if y:
                    compromised.add(card)
        top = sorted(highest, key=lambda card: -highest[card])[:k]
        caught = [card for card in top if card in compromised]
        precisions.append(len(caught) / k)
        found += caught
    return precisions


uses = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 1)), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(uses, st.integers(1, 5), st.randoms(use_true_random=False))
def test_card_precision_is_the_handbooks_where_no_scores_tie(used, k, random):
    of = rows(*sorted(used))
    score = np.array(random.sample(range(100), len(used)), dtype=float)
    np.testing.assert_allclose(cards.card_precision(of, score, k)["precision"], by_the_book(of, score, k))


def test_a_card_counts_by_its_highest_score_of_the_day_and_not_again_once_found():
    of = rows((0, 1, 1), (0.2, 1, 0), (0.5, 2, 0), (0.9, 3, 1), (1, 1, 1), (1.5, 3, 1), (1.6, 2, 0))
    daily = cards.card_precision(of, np.array([0.1, 0.9, 0.8, 0.2, 0.9, 0.5, 0.4]), 1)
    assert daily["precision"].tolist() == [1, 1]  # card 1 by its later row; then card 3, since 1 is known
    assert daily["compromised"].tolist() == [2, 1]
    assert cards.attainable(of, 1) == 1


def test_the_number_of_reviews_divides_even_on_days_with_fewer_cards():
    of = rows((0, 1, 1), (0, 2, 0), (1, 3, 0), (1, 4, 1), (1, 5, 1), (1, 6, 0))
    daily = cards.card_precision(of, np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), 4)
    assert daily["precision"].tolist() == [1 / 4, 2 / 4]
    assert cards.attainable(of, 4) == 3 / 8


def test_cards_that_tie_for_the_last_places_count_by_their_share_and_are_not_taken_as_found():
    of = rows((0, 1, 0), (0, 2, 1), (0, 3, 0), (0, 4, 1), (1, 2, 1), (1, 4, 1))
    daily = cards.card_precision(of, np.array([0.9, 0.5, 0.5, 0.5, 0.3, 0.2]), 2)
    assert daily["precision"].tolist() == pytest.approx([(2 / 3) / 2, 1])
    assert daily["compromised"].tolist() == [2, 2]
    whole = cards.card_precision(of, np.array([0.5, 0.5, 0.1, 0.1, 0.3, 0.2]), 2)  # all that tie are reviewed
    assert whole["compromised"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("delay", "since", "known"),
    [(0, -np.inf, [0, 0, 0, 1, 1, 0]), (1, -np.inf, [0, 0, 0, 0, 1, 0]), (0, 1.0, [0, 0, 0, 0, 1, 0])],
)
def test_a_card_is_known_as_compromised_once_the_label_of_its_fraud_was_known_when_the_day_began(delay, since, known):
    of = rows((0.5, 1, 1), (0.9, 1, 1), (0.9, 2, 0), (1.1, 1, 1), (2.5, 1, 0), (2.6, 2, 1), label_delay_days=delay)
    assert cards.known_compromised(of, since * DAY).tolist() == [bool(each) for each in known]


FRAME = pd.DataFrame(
    {
        "t": np.arange(12) * DAY / 2,
        "card": pd.Categorical(["a", "b", None, "a", "c", None, "b", "d", "e", "b", "d", "f"]),
        "x": np.arange(12.0),
        "fraud": [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0],
    }
)
SCHEMA = Schema("cards", "fraud", "t", None, ("x",), entity="card")


def test_a_card_has_one_number_in_all_parts_of_a_table_and_a_row_without_one_is_alone():
    features = FeatureMap.fit(SCHEMA, FRAME)
    first, second = (Rows.of(part, SCHEMA, features) for part in (FRAME[:6], FRAME[6:]))
    assert first.card[1] == second.card[0] == second.card[3]
    assert first.card[0] == first.card[3] != first.card[1]
    assert len({*first.card, *second.card}) == 8
    assert Rows.of(FRAME, replace(SCHEMA, entity=None), features).card is None


def test_the_test_set_is_judged_with_known_cards_and_without_them():
    test = Rows.of(FRAME[6:], SCHEMA, FeatureMap.fit(SCHEMA, FRAME))
    score = np.array([0.1, 0.8, 0.2, 0.3, 0.9, 0.1])
    kept, dropped = cards.on_test_set(FRAME, SCHEMA, test, score, 1)
    assert (kept.cards, kept.days, kept.card_precision) == (
        "kept",
        3,
        pytest.approx(1 / 3),
    )  # d is found on its first day
    assert dropped.card_precision == kept.card_precision  # a is known, but not used here
    known = FRAME.assign(fraud=[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0], card=[*"abxacybdebdf"])
    known.loc[0, ["card", "fraud"]] = "d", 1
    dropped = cards.on_test_set(known, SCHEMA, test, score, 1)[1]
    assert (dropped.card_precision, dropped.attainable) == (0, 0)
    assert "0.333 [0.000, 1.000] of all cards (at most 0.333 can be reached)" in cards.describe((kept,))
    assert cards.on_test_set(FRAME, replace(SCHEMA, entity=None), test, score, 1) == ()
    assert "names no entity" in cards.describe(())


def test_the_interval_over_days_is_students_and_fewer_than_three_days_have_none():
    days = np.repeat(np.arange(6.0), 4)
    frame = pd.DataFrame({"t": days * DAY, "x": np.arange(24.0), "card": np.tile([*"abcd"], 6), "fraud": 0})
    frame.loc[[0, 5, 8, 14, 23], "fraud"] = 1
    score = np.tile([0.4, 0.3, 0.2, 0.1], 6)
    features = FeatureMap.fit(SCHEMA, frame)
    kept, _ = cards.on_test_set(frame, SCHEMA, Rows.of(frame, SCHEMA, features), score, 2)
    daily = cards.card_precision(Rows.of(frame, SCHEMA, features), score, 2)["precision"]
    assert daily.std() > 0
    wanted = stats.t.interval(0.95, 5, daily.mean(), stats.sem(daily))
    assert kept.card_precision_ci == pytest.approx(np.clip(wanted, 0, 1))
    assert "fewer than three" not in cards.describe((kept,)).lower()
    two, *_ = cards.on_test_set(frame, SCHEMA, Rows.of(frame[16:], SCHEMA, features), score[16:], 2)
    assert (two.days, two.card_precision_ci) == (2, None)
    assert "Fewer than three days, or days all alike, give no interval" in cards.describe((two,))
    none = Rows.of(frame.assign(fraud=0), SCHEMA, features)
    alike, *_ = cards.on_test_set(frame.assign(fraud=0), SCHEMA, none, score, 2)
    assert (alike.card_precision, alike.card_precision_ci) == (0, None)  # six days without a hit are no proof of none


def test_reviews_are_a_hundred_or_fit_the_table():
    many = rows(*((day, card, 0) for day in range(3) for card in range(60)))
    assert cards.budget(many) == 3
    assert cards.budget(many, 40) == 40
    assert cards.budget(rows((0, 1, 0))) == 1
    assert cards.budget(rows(*((0, card, 0) for card in range(4_000)))) == 100
    assert cards.budget(replace(many, card=None)) == cards.budget(replace(many, time=None)) == 0


def test_a_budget_of_cards_sets_the_score_that_so_many_cards_a_day_reach():
    used = [(day + hour / 24, card, int(card == 0)) for day in range(10) for hour in (1, 2) for card in range(8)]
    of = rows(*used)
    score = np.array([(10 * card + hour % 3) / 100 for day in range(10) for hour in (1, 2) for card in range(8)])
    scores = made.scores(of.y, pd.DataFrame({"dummy": score}), time=of.time, card=of.card)
    threshold = next(t for t in decisions.thresholds(scores, DUMMY, 3.0, 5, cards_per_day=2) if t.aim == "cards_a_day")
    assert (threshold.name, threshold.meaning) == ("cards_2_a_day", "2 cards a day")
    assert threshold.score == pytest.approx(0.62)  # the highest of the second card from the top
    found = decisions.on_test(scores, DUMMY, [threshold, Threshold("f1", 0.0)], 3.0, ONCE)
    assert [(way.cards, way.cards_caught) for way in found.values()] == [(20, 0), (80, 10)]
    assert decisions.per_day(found, of.days)["cards_2_a_day"].cards == pytest.approx(20 / of.days)
    decided = decisions.deciding(scores, DUMMY, [Threshold("f1", 0.5), threshold], 3.0, decisions.given(9, 2))
    assert decided.name == "cards_2_a_day" and "the budget of 2 cards a day" in decided.why
    assert (decisions.given(9, 0), decisions.given(0, 0)) == ("alerts_a_day", None)


def test_tables_show_days_and_not_a_hundred_of_the_whole_time():
    of = rows(*((day + 0.1, card, int(card < 2)) for day in range(4) for card in range(9)))
    scores = made.scores(of.y, pd.DataFrame({"dummy": 1.0 - of.card / 10}), time=of.time, card=of.card)
    judged = compare.judge([DUMMY], scores, pd.DataFrame({"dummy": [0.5]}), cards_per_day=2)
    figures = judged.loc["dummy", ["precision_at_100_a_day", "card_precision", "card_precision_attainable"]]
    assert figures.tolist() == pytest.approx([2 / 9, 1 / 4, 1 / 4])
    shown = {*compare.readable(judged)}
    assert {"precision at 100 a day", "card precision"} < shown
    assert not shown & {"precision at 100", "recall at 100"}
