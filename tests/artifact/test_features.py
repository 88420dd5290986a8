"""How raw columns become what a model sees."""

import numpy as np
import pandas as pd
import pytest

from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema

SCHEMA = Schema(
    "shop", "fraud", "when", "paid", features=("late", "same", "gaps", "x"), categorical=("land", "shop", "desk")
)
FRAME = pd.DataFrame(
    {
        "late": [np.nan] * 4,
        "same": [2.5] * 4,
        "gaps": [1.0, np.nan, 1.0, 1.0],
        "x": [1.0, 2.0, 3.0, 4.0],
        "land": ["SE"] * 4,
        "shop": ["a", "b", "a", None],
        "desk": [None, "till", "till", None],
        "paid": [9.0] * 4,
    }
)


def test_columns_that_are_alike_in_all_training_rows_are_left_out_and_named():
    assert FeatureMap.constant(SCHEMA, FRAME) == {
        "late": "no value", "same": "always 2.5", "paid": "always 9", "land": "always SE",
    }  # fmt: skip
    features = FeatureMap.fit(SCHEMA, FRAME)
    assert features.raw == ("gaps", "x", "shop", "desk") and features.amount is None
    assert features.names == ("gaps", "x", "shop=a", "shop=b", "desk=till")
    assert features.matrix(FRAME).shape == (4, 5)
    assert FeatureMap.from_dict(features.to_dict()) == features
    assert FeatureMap.fit(SCHEMA, {name: FRAME[name].to_numpy() for name in FRAME}) == features


def test_a_column_that_begins_after_the_training_rows_is_not_learnt_from():
    later = FRAME.assign(late=5.0, same=3.0)
    features = FeatureMap.fit(SCHEMA, FRAME)
    np.testing.assert_array_equal(features.matrix(later), features.matrix(FRAME))


def test_without_a_column_that_varies_there_is_nothing_to_learn():
    alone = Schema("same", "fraud", "when", None, features=("same", "late"))
    with pytest.raises(ValueError, match="no column to learn from: in all training rows 'same'"):
        FeatureMap.fit(alone, FRAME)
