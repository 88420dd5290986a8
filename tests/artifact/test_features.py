"""The matrix that models see: indicators of frequent values, ranks where there are more."""

import numpy as np

from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema

SCHEMA = Schema("market", label="y", time="t", amount="paid", features=("a",), categorical=("few", "many"))
MANY = np.repeat([f"v{number:02d}" for number in range(40)], np.arange(40, 0, -1))
COLUMNS = {"a": np.arange(820.0), "paid": np.ones(820), "few": np.resize(["x", "y"], 820), "many": MANY}
FEATURES = FeatureMap.fit(SCHEMA, COLUMNS)


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
