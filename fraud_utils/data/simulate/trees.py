"""Decision trees as bytes: how the aggregates hold them, and how many rows at once find their leaves.

In preorder, a split is two bytes: the number of a column and the last code that goes left. A leaf is LEAF plus a level:
of a weight, one such byte; of a probability tree, one for each of DIGITS shares.
"""

import zlib
from base64 import b85decode, b85encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

DIGITS = 8  # a source's quantile bin is two digits to this base, each drawn from a tree of its own
LEAF = 128
LEVELS = 24  # steps of the square root of a leaf's largest share
SLOTS = 1024  # what the shares of a leaf are rounded to


def pack(code: bytes) -> str:
    """Bytes as text that JSON holds without escapes."""
    return b85encode(zlib.compress(code, 9)).decode()


def unpack(text: str) -> bytes:
    """What ``pack`` was given."""
    return zlib.decompress(b85decode(text))


def encode_probabilities(tree: Any, node: int = 0) -> bytes:
    """The ``tree_`` of a scikit-learn classifier whose classes are digits, as bytes."""
    if tree.children_left[node] < 0:
        share = tree.value[node, 0]
        levels = np.rint(np.sqrt(share / share.max()) * LEVELS).astype(int)
        return bytes((LEAF + levels).tolist())
    split = bytes([tree.feature[node], int(tree.threshold[node])])
    below, above = (encode_probabilities(tree, side[node]) for side in (tree.children_left, tree.children_right))
    return split + below + above


def encode_weights(node: dict, step: float) -> bytes:
    """A tree of XGBoost's JSON dump as bytes: a leaf's level is its value in steps, and LEAF / 2 stands for none."""
    if "leaf" in node:
        return bytes([LEAF + LEAF // 2 + round(node["leaf"] / step)])
    children = {child["nodeid"]: child for child in node["children"]}
    below, above = (encode_weights(children[node[side]], step) for side in ("yes", "no"))
    last = int(np.ceil(node["split_condition"])) - 1
    return bytes([int(node["split"].removeprefix("f")), last]) + below + above


@dataclass(frozen=True)
class ProbabilityTree:
    """Draws a digit given the columns before it.

    Attributes
    ----------
    tree : nested tuples, as ``parse`` gives them
        Leads to the number of a leaf.
    digits : numpy.ndarray of uint8
        SLOTS digits a leaf, each as often as its share.
    """

    tree: Any
    digits: np.ndarray

    @classmethod
    def read(cls, code: Iterator[int]) -> "ProbabilityTree":
        """Take the next tree off the bytes."""
        shares: list[list[int]] = []

        def number(head: int) -> np.uint8:
            shares.append([head, *islice(code, DIGITS - 1)])
            return np.uint8(len(shares) - 1)

        tree = parse(code, number)
        cumulative = np.cumsum((np.array(shares, float) - LEAF) ** 2, axis=1)
        upto = np.rint(cumulative / cumulative[:, -1:] * SLOTS).astype(int)
        slots = np.diff(upto, axis=1, prepend=0).ravel()
        return cls(tree, np.repeat(np.tile(np.arange(DIGITS, dtype="uint8"), len(shares)), slots))

    def draw(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One digit a column of ``codes``, each from the leaf that the column falls into."""
        slot = rng.integers(0, SLOTS, codes.shape[1], dtype="uint16")
        return self.digits.take(np.multiply(select(self.tree, codes), SLOTS, dtype="int64") + slot)


def parse(code: Iterator[int], leaf: Callable[[int], np.uint8]) -> Any:
    """Nested (column, threshold, left, right); ``leaf`` says what a leaf that begins with a byte stands for."""
    head = next(code)
    if head < LEAF:
        return head, next(code), parse(code, leaf), parse(code, leaf)
    return leaf(head)


def select(node: Any, codes: np.ndarray) -> Any:
    """The leaf of each column of ``codes``; whole rows at once, many times faster than dividing them at each split."""
    if not isinstance(node, tuple):
        return node
    column, threshold, left, right = node
    chosen = np.negative((codes[column] <= threshold).view("uint8"))  # all ones or zeros
    left, right = select(left, codes), select(right, codes)
    chosen &= left ^ right
    chosen ^= right
    return chosen
