"""Parts of a table on which settings are judged."""

import numpy as np
import pytest

from fraud_utils.data import labelled, later_parts

DAY = 86_400


@pytest.mark.parametrize(
    ("delay", "known"),
    [(0, 12), (1, 12), (2, 9), (4, 3), (5, 0)],  # three rows on each of days 0 to 3, and the label's last day counts
)
def test_a_label_is_known_from_the_moment_that_it_comes(delay, known):
    days = np.repeat(np.arange(6.0), 3) * DAY
    assert labelled(days, 4.0 * DAY, delay) == known


def test_later_parts_of_a_table_of_dates_fit_what_was_labelled_when_they_begin():
    days = np.repeat(np.arange(100.0), 20) * DAY
    y = np.tile([1, *[0] * 19], 100)
    for fit, new in later_parts(y, days, np.arange(len(y)), 3, 0, label_delay_days=7):
        assert days[fit].max() == days[new].min() - 7 * DAY
        assert days[fit].min() == 0 and len(fit) == 20 * (days[fit].max() / DAY + 1)
