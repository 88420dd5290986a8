"""Figures of a monitored model show the numbers that they are given."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fraud_utils import monitor, plots

NAMES = ["5 Jan", "6 Jan", "7 Jan"]


@pytest.fixture
def axes():
    plots.set_style()
    fig, axes = plt.subplots(1, 4)
    yield list(axes)
    fig.canvas.draw()  # what cannot be drawn fails here
    plt.close(fig)


def points(ax, label):
    return next(line.get_xydata().tolist() for line in ax.lines if line.get_label() == label)


def test_days_outside_the_band_have_a_mark_of_their_own(axes):
    days = pd.DataFrame({"kind": "day", "alerts": [5, 30, 6], "expected": 6.0, "low": 1.0, "high": 14.0,
                         "outside": [False, True, False]})  # fmt: skip
    ax = monitor.plot_pace(days, axes[0], NAMES)
    assert points(ax, "alerts of a day") == [[0, 5], [2, 6]]
    assert points(ax, "outside the band") == [[1, 30]]
    ax.figure.canvas.draw()
    assert {label.get_text() for label in ax.get_xticklabels()} >= {*NAMES}


def test_columns_stand_in_the_order_of_how_far_they_moved_and_changes_are_crossed(axes):
    moved = [False] * 4 + [True] * 2
    table = pd.DataFrame({"kind": "day", "column": np.repeat(["calm", "moved"], 3), "first": [0, 1, 2] * 2,
                          "psi": [0.01, 0.02, np.nan, 0.01, 0.5, 0.6], "changed": moved})  # fmt: skip
    ax = monitor.plot_columns(table, axes[0], NAMES)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["moved", "calm"]
    assert ax.lines[0].get_xydata().tolist() == [[1, 0], [2, 0]]


def test_each_metric_has_an_axis_with_the_promise_and_none_is_left_empty(axes):
    figures = {f"{name}{end}": [0.5, 0.6] for name in ("precision", "recall") for end in ("", "_low", "_high")}
    monitor.plot_weeks(pd.DataFrame(figures), axes, NAMES)
    assert [ax.get_title(loc="left") for ax in axes[0].figure.axes] == ["precision", "recall"]
    assert any(set(line.get_ydata()) == {0.5} for line in axes[0].lines)
