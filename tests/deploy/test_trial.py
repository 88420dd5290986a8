"""What keeps a new model from taking an old one's place."""

import dataclasses

import numpy as np
import pytest

from fraud_utils import deploy
from fraud_utils.deploy.trial import Answers, compare

SCORES = np.linspace(0, 1, 100)
OLD = Answers(10, 0, SCORES, (SCORES > 0.9).astype(float), np.full(5, 8.0))


def broken(old=OLD, limits=None, **changes):
    return compare(old, dataclasses.replace(OLD, **changes), limits or deploy.Limits())[1]


def test_the_same_answers_break_no_limit():
    assert broken() == []


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"errors": 1}, "1 of its 10 requests failed"),
        ({"single_ms": np.full(5, 32.0)}, "32.0 ms, 4.0 times as long"),
        ({"alerts": (SCORES > 0.5).astype(float)}, "alerts on 50 of 100 rows, the present model on 10"),
        ({"alerts": np.zeros(100)}, "alerts on 0 of 100 rows, the present model on 10"),
        ({"scores": np.clip(SCORES + 0.2, 0, 1)}, "scores differ by"),
        ({"scores": np.full(100, np.nan), "errors": 10}, "10 of its 10 requests failed, all of one kind"),
    ],
)
def test_each_limit_is_named_with_what_was_found(changes, part):
    (text,) = broken(**changes)
    assert part in text


def test_limits_can_be_given():
    assert broken(limits=deploy.Limits(errors=0.1), errors=1) == []


def test_a_present_model_that_answers_nothing_cannot_be_compared_with():
    with pytest.raises(deploy.DeployError, match="answers none of these rows"):
        broken(dataclasses.replace(OLD, scores=np.full(100, np.nan)))
