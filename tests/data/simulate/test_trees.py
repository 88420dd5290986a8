"""Decision trees as bytes: many columns of codes are led to the leaves that each is led to alone."""

import numpy as np
import pytest

from fraud_utils.data.simulate import trees
from fraud_utils.data.simulate.trees import FEW, LEAF


def grown(rng: np.random.Generator, depth: int) -> bytes:
    """A random tree over three columns, no deeper than this."""
    if depth == 0 or rng.random() < 0.2:
        return bytes([LEAF + int(rng.integers(0, 100))])
    split = bytes([int(rng.integers(0, 3)), int(rng.integers(0, 100))])
    return split + grown(rng, depth - 1) + grown(rng, depth - 1)


def led(tree, row) -> int:
    while isinstance(tree, tuple):
        column, threshold, left, right = tree
        tree = left if row[column] <= threshold else right
    return int(tree)


@pytest.mark.parametrize("seed", range(8))
def test_few_and_many_columns_find_the_leaf_that_each_is_led_to(seed):
    rng = np.random.default_rng(seed)
    code = grown(rng, 6)
    rest = iter(code + b"next")
    tree = trees.parse(rest, lambda head: np.uint8(head - LEAF))
    assert bytes(rest) == b"next"
    codes = rng.integers(0, 100, (3, FEW + 1), dtype="uint8")
    expected = [led(tree.nested, row) for row in codes.T.tolist()]
    for columns in (1, 300, FEW, FEW + 1):
        found = np.broadcast_to(tree.select(codes[:, :columns].copy()), columns)
        assert found.dtype == np.uint8 and found.tolist() == expected[:columns]
