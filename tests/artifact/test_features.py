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
MARKET = Schema("market", label="y", time="t", amount="paid", features=("a",), categorical=("few", "many"))
MANY = np.repeat([f"v{number:02d}" for number in range(40)], np.arange(40, 0, -1))
COLUMNS = {"a": np.arange(820.0), "paid": np.arange(820.0), "few": np.resize(["x", "y"], 820), "many": MANY}
FEATURES = FeatureMap.fit(MARKET, COLUMNS)


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


def test_a_column_of_many_values_also_becomes_its_values_rank_by_frequency():
    asked = {"a": [0, 0, 0, 0], "paid": [1] * 4, "few": ["x"] * 4, "many": ["v00", "v39", "unheard of", None]}
    assert FEATURES.names[-1] == "many_rank"
    assert "few_rank" not in FEATURES.names
    assert FEATURES.matrix(asked)[:, -1].tolist() == [0, 39, 40, 40]
    assert FEATURES.coded == (len(FEATURES.names) - 1,)


def test_every_column_of_the_matrix_has_a_source():
    assert len(FEATURES.sources) == len(FEATURES.names) == FEATURES.matrix(COLUMNS).shape[1]
    assert list(dict.fromkeys(FEATURES.sources)) == list(FEATURES.raw)
    assert FEATURES.sources[-1] == "many"


def test_a_map_is_built_again_from_plain_values():
    again = FeatureMap.from_dict(FEATURES.to_dict())
    assert again == FEATURES
    np.testing.assert_array_equal(again.matrix(COLUMNS), FEATURES.matrix(COLUMNS))
    older = {key: value for key, value in FEATURES.to_dict().items() if key != "ranks"}
    assert FeatureMap.from_dict(older).names == FEATURES.names[:-1]


def test_no_two_columns_of_the_matrix_have_one_name_whatever_a_table_calls_its_own():
    schema = Schema("m", "y", "t", "paid", features=("log_paid", "few=x", "many_rank"), categorical=("few", "many"))
    own = dict.fromkeys(("log_paid", "few=x", "many_rank"), np.arange(820.0))
    features = FeatureMap.fit(schema, COLUMNS | own)
    assert len({*features.names}) == len(features.names) == len(features.sources)
    assert features.names[:4] == ("log_paid", "few=x", "many_rank", "log_paid_")
