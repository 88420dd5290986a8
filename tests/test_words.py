"""Figures become words that claim no more and no less than the figures do."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud_utils import words
from fraud_utils.words import PERCENT, UNKNOWN

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


def number(shown: str) -> float:
    """The number that a text says, without its unit."""
    return float(re.sub("[,%\\s]", "", shown).replace("−", "-"))


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0, "0"),
        (1, "100"),
        (0.5, "50"),
        (0.12345, "12.3"),
        (0.001727, "0.173"),
        (1e-7, "0.00001"),
        (0.9523, "95.2"),
        (0.99827, "99.83"),
        (0.999_996, "99.9996"),
        (12.3456, "1,235"),
        (-0.0427, "−4.27"),
        (-0.9999, "−99.99"),
        (-0.0, "0"),
    ],
)
def test_a_share_in_percent_has_three_digits_and_no_exponent(share, shown):
    assert words.percent(share) == shown + PERCENT
    assert words.percent(0.973, 2) == "97" + PERCENT
    assert PERCENT == "\N{NO-BREAK SPACE}%"


@given(st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(1, 6))
def test_a_share_is_never_rounded_to_nothing_or_everything(share, digits):
    shown = words.percent(share, digits)
    assert re.fullmatch(rf"\d+(\.\d+)?{PERCENT}", shown)
    assert shown not in ("0" + PERCENT, "100" + PERCENT)
    assert words.percent(-share, digits) == "−" + shown


@given(st.floats(0, 1), st.integers(2, 6))
def test_percent_is_as_exact_as_its_digits(share, digits):
    distance, kept = (1 - share, digits - 1) if share >= 0.95 else (share, digits)
    error = abs(number(words.percent(share, digits)) - 100 * share)
    assert error <= 0.5001 * 10.0 ** (1 - kept) * 100 * distance + 1e-12


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_percent_keeps_the_order(shares):
    shown = [number(words.percent(share)) for share in sorted(shares)]
    assert shown == sorted(shown)


def test_what_is_not_known_is_a_dash():
    for shown in (
        *(words.percent(math.nan), words.percent_between(math.nan, 0, 1), words.plain(math.nan)),
        *(words.decimals(None), words.decimals(math.nan), words.decimals_between(None, None)),
        *(words.cell(None), words.cell(math.nan), words.cell(np.float32("nan")), words.money(math.nan, "EUR")),
    ):
        assert shown == UNKNOWN
    assert words.p_value(math.nan) == f"= {UNKNOWN}"


def test_intervals_follow_the_number_that_they_belong_to():
    assert words.percent_between(0.7333, 0.6189, 0.8289) == f"73.3{PERCENT} [61.9, 82.9]"
    assert words.percent_between(0.1, 0, 1, 2) == f"10{PERCENT} [0, 100]"
    assert words.decimals_between(0.7971, (0.70712, 0.878)) == "0.797 [0.707, 0.878]"
    assert words.decimals_between(-0.5, [-1, 0.25], 2, "+") == "−0.50 [−1.00, +0.25]"
    assert words.decimals_between(0.5, None) == "0.500"
    assert words.plain_between(60.2, (34.4, 99.4)) == "60 [34, 99]"


def test_decimals_have_a_true_minus_and_zero_has_no_sign():
    assert words.decimals(-1234.5678, 2) == "−1,234.57"
    assert words.decimals(-0.0001) == words.decimals(0) == "0.000"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.0123, "0.012"), (7.66, "7.7"), (99.4, "99"), (99.96, "100"), (1234.5, "1,234"), (-3.14, "−3.1")],
)
def test_a_plain_number_has_two_digits_below_a_hundred(value, shown):
    assert words.plain(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("SE", "SE"),
        (3, "3"),
        (2.0, "2"),
        (12.3456, "12.35"),
        (999.96, "1,000"),
        (25691.16, "25,691"),
        (1e12, "1,000,000,000,000"),
        (-0.5, "−0.5"),
        (math.inf, "inf"),
    ],
)
def test_a_cell_has_four_digits_and_all_before_the_point(value, shown):
    assert words.cell(value) == words.cell(np.float64(value) if isinstance(value, float) else value) == shown


@given(finite)
def test_a_cell_is_as_exact_as_four_digits(value):
    assert number(words.cell(value)) == pytest.approx(value, rel=6e-4)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (3, "3"),
        (9.5, "9.50"),
        (1809.68, "1,809.68"),
        (0.00123, "0.00123"),
        (0.123, "0.123"),
        (0.01, "0.01"),
        (-5, "−5"),
        (-0.0, "0"),
        (100.004, "100"),
    ],
)
def test_money_has_cents_only_where_there_are_any(amount, shown):
    assert words.money(amount, "EUR") == f"{shown} EUR"


def test_counts_agree_with_their_noun():
    assert [words.count(n, "fraud") for n in (0, 1, 1.0, 2, 1234)] == [
        *("0 frauds", "1 fraud", "1 fraud", "2 frauds", "1,234 frauds")
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        *((0, "0 seconds"), (1, "1 second"), (119, "119 seconds"), (120, "2.0 minutes"), (7199, "120.0 minutes")),
        *((7200, "2.0 hours"), (129_599, "36.0 hours"), (129_600, "1.5 days"), (86_400_000, "1,000.0 days")),
    ],
)
def test_a_duration_has_its_largest_fitting_unit(seconds, shown):
    assert words.duration(seconds) == shown


def test_a_p_value_is_never_zero():
    assert [words.p_value(p) for p in (1, 0.0312, 0.00011, 0.0001, 0)] == [
        *("= 1", "= 0.031", "= 0.00011", "≤ 0.0001", "≤ 0.0001")
    ]


def test_lists_read_as_english_and_say_what_they_leave_out():
    assert [words.listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert words.listed(iter("abcdefg"), 2) == "a, b and 5 more"
    assert words.listed("ab", 2) == "a and b"


def test_a_dollar_is_a_currency_and_no_formula():
    finding = words.Finding("It costs 5 $.", "Or 6 $.")
    assert finding._repr_markdown_() == "**It costs 5 \\$.** Or 6 \\$."
    assert words.Finding("Alone.")._repr_markdown_() == "**Alone.**"
    assert words.bullets(["5 $", "`x`"]) == "- 5 \\$\n- `x`"
    assert words.code("sum_$") == "`sum_$`"


@pytest.mark.parametrize(
    ("noun", "several"),
    [
        ("claim", "claims"),
        ("policy", "policies"),
        ("payment by day", "payment by days"),
        ("batch", "batches"),
        ("tax", "taxes"),
        ("registration", "registrations"),
    ],
)
def test_a_noun_takes_its_regular_plural(noun, several):
    assert words.count(2, noun) == f"2 {several}"
    assert words.count(1, noun) == f"1 {noun}"
    assert words.count(0, noun) == f"0 {several}"


def test_a_moment_is_a_date_where_one_is_known_else_a_day_and_a_time():
    afternoon = 2 * 86_400 + 13 * 3_600 + 5 * 60 + 59.9
    assert words.moment(afternoon) == "day 3, 13:05"
    assert words.moment(0) == "day 1, 00:00"
    assert words.moment(-60) == "day 0, 23:59"
    for origin in ("2015-03-02T00:00:00+00:00", "2015-03-02T00:00:00Z", "2015-03-02"):
        assert words.moment(afternoon, origin) == "2015-03-04 13:05"


def test_a_pace_counts_in_the_shortest_unit_that_sees_an_event_but_in_none_longer_than_the_table():
    assert words.pace(per_day=180, span_days=0.4).unit == "day"
    assert words.pace(per_day=0.28, span_days=900).unit == "week"
    assert words.pace(per_day=0.05, span_days=900).unit == "month"
    assert words.pace(per_day=0.001, span_days=900).unit == "month"
    assert words.pace(per_day=0.05, span_days=20).unit == "week"
    assert words.pace(per_day=0.05, span_days=2).unit == "day"
