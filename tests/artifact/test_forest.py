"""Walking the trees gives XGBoost's own margins, to the last bit."""

import numpy as np


def test_the_walk_gives_the_boosters_margins_to_the_last_bit(model, frame, shop):
    for fitted, rows in ((model, frame.tail(300)), (shop[0], shop[1].head(300))):  # the second with missing values
        matrix = fitted.matrix(rows)
        assert len(rows) > 6  # so that the booster is asked
        expected = fitted.booster.inplace_predict(matrix, predict_type="margin")
        np.testing.assert_array_equal(fitted.forest.margin(matrix), expected)


def test_splits_by_sets_of_categories_are_walked_too(market):
    model, frame, _ = market
    matrix = model.matrix(frame.head(300))
    place = model.layout.features.coded[0]
    matrix[:60, place] = np.resize([199, 200, 201, 5000, np.nan], 60)  # seen, unheard of, beyond all sets, missing
    assert len(model.forest.chosen) > 20
    expected = model.booster.inplace_predict(matrix, predict_type="margin")
    np.testing.assert_array_equal(model.forest.margin(matrix), expected)


def test_a_value_on_a_split_goes_where_the_booster_sends_it(model, frame):
    matrix = model.matrix(frame.head(200))
    forest = model.forest
    inner = np.flatnonzero(forest.child.reshape(-1, 2)[:, 0] != np.arange(len(forest.feature)))
    for i, node in enumerate(inner[: len(matrix)]):
        matrix[i, forest.feature[node]] = forest.condition[node]
    expected = model.booster.inplace_predict(matrix, predict_type="margin")
    np.testing.assert_array_equal(forest.margin(matrix), expected)
