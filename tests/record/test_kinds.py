"""What a record knows of itself: which model is served, which threshold decides, what each is called."""

from dataclasses import replace

import pytest
from records import RUN, judged

from fraud_utils.record import Day, Sections, Threshold


@pytest.mark.parametrize(
    ("threshold", "name", "meaning"),
    [
        (Threshold("f1", 0.5), "f1", "highest F1"),
        (Threshold("cost", 0.5), "cost", "lowest cost of reviews and missed amounts"),
        (Threshold("precision", 0.5, 0.9), "precision_90", "90 % of alerts are frauds"),
        (Threshold("precision", 0.5, 0.995), "precision_99.5", "99.5 % of alerts are frauds"),
        (Threshold("alerts_a_day", 0.5, 100), "alerts_100_a_day", "100 alerts a day"),
        (Threshold("cards_a_day", 0.5, 20), "cards_20_a_day", "20 cards a day"),
    ],
)
def test_a_way_of_alerting_has_a_name_and_a_meaning(threshold, name, meaning):
    assert threshold.name == name
    assert threshold.meaning.replace("\N{NO-BREAK SPACE}", " ") == meaning


def test_the_threshold_that_decides_is_the_one_that_is_named():
    assert RUN.chosen.threshold == Threshold("f1", 0.25) and RUN.way == RUN.chosen.on_test["f1"]
    other = replace(RUN, chosen=replace(RUN.chosen, decides="precision_90"))
    assert (
        other.chosen.threshold == Threshold("precision", 0.5, 0.9) and other.way == RUN.chosen.on_test["precision_90"]
    )
    assert replace(RUN.chosen, decides="cost").threshold is None


def test_the_served_model_is_the_chosen_one():
    assert RUN.served.name == "boosted trees"
    assert replace(RUN, chosen=None).served is None and replace(RUN, models=None).served is None
    assert Sections().served is None and Sections().way is None


def test_a_figure_comes_with_its_interval_where_it_has_one():
    metrics = judged(0.7, 0.6, 0.8, f1=0.5)
    assert metrics.figure("average_precision") == (0.7, (0.6, 0.8))
    assert metrics.figure("f1") == (0.5, None)
    assert metrics.figure("brier") == (None, None)


def test_what_a_day_means_is_scaled_to_any_span():
    day = Day(2.0, (1.0, 3.0), 0.5, (0.25, 1.0), -10.0, (-20.0, 5.0))
    assert day.over(2) == Day(4.0, (2.0, 6.0), 1.0, (0.5, 2.0), -20.0, (-40.0, 10.0))
    assert Day(2.0, (1.0, 3.0), 0.5, (0.25, 1.0)).over(7).saved is None
