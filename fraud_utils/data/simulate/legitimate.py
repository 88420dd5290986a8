"""Legitimate transactions: sequential probability trees propose rows, and weights say which are kept."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fraud_utils.data.simulate import quantiles, trees
from fraud_utils.data.simulate.quantiles import GRID, SCORE_GRID
from fraud_utils.data.simulate.trees import DIGITS, LEAF

MIXING_GRID = 1e4  # the file gives the mixing matrix as integers over this
BLOCK = 150_000  # rows drawn by one thread; part of what a seed means
FEW = 20_000  # proposals that cost no more than one; part of what a seed means


class Legitimate:
    """Draws of V1..V28 and the amount of legitimate transactions, given the hour.

    Rows are proposed by the probability trees, column by column, and kept with a chance in proportion to how much
    more common such rows are among the real ones, which boosted trees estimate (rejection sampling).
    """

    def __init__(self, fitted: dict) -> None:
        self._fitted = fitted
        self._mixing = np.asarray(fitted["mixing"], float)
        self._mean = np.asarray(fitted["mean"], float)
        code = iter(trees.unpack(fitted["trees"]))
        self._trees = [trees.ProbabilityTree.read(code) for _ in range(2 * (1 + len(fitted["quantiles"])))]
        weights = fitted["weights"]
        code = iter(trees.unpack(weights["trees"]))
        self._weights = [trees.parse(code, _level) for _ in range(weights["count"])]
        self._chance = np.exp(weights["step"] * (np.arange(weights["full"] + 1) - weights["full"])).round(9)

    def draw(self, hour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """V1..V28 and the amount, a row each, at the given hours (0 to 47)."""

        def draw_block(hour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            value = np.empty((29, hour.size))
            waiting = np.arange(hour.size)
            while waiting.size:
                # Few rows cost as much as thousands, so the last ones to be kept get many proposals at once.
                row = np.repeat(waiting, min(64, 1 + FEW // waiting.size))
                proposed = self.propose(hour[row], rng)
                level = self.level(proposed).clip(0, self._chance.size - 1)
                kept = np.flatnonzero(rng.random(row.size) < self._chance[level])
                filled, first = np.unique(row[kept], return_index=True)
                value[:, filled] = proposed[:, kept[first]]
                waiting = np.setdiff1d(waiting, filled, assume_unique=True)
            value[:28] = value[:28].round(6)
            return value

        blocks = np.split(hour, range(BLOCK, hour.size, BLOCK))
        with ThreadPoolExecutor() as pool:
            return np.hstack(list(pool.map(draw_block, blocks, rng.spawn(len(blocks)))))

    def propose(self, hour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows from the probability trees alone, shaped as in ``draw``."""
        columns = len(self._trees) // 2
        codes = np.zeros((2 + columns, hour.size), "uint8")
        codes[1] = hour
        value = np.empty((columns, hour.size))
        common = rng.standard_normal(hour.size)
        for j in range(columns):
            known = codes[: 2 + j]
            known[0] = 0
            high = self._trees[2 * j].draw(known, rng)
            known[0] = high
            codes[2 + j] = DIGITS * high + self._trees[2 * j + 1].draw(known, rng)
            within = rng.random(hour.size)
            # Columns of a row that are far out are so together (but the smallest amounts are not far out).
            edge = np.flatnonzero((codes[2 + j] == DIGITS**2 - 1) | ((j > 0) & (codes[2 + j] == 0)))
            share = self._fitted["tails"][j] / SCORE_GRID
            own = np.sqrt(1 - share**2) * rng.standard_normal(edge.size)
            outward = quantiles.normal_cdf(share * common[edge] + own)
            within[edge] = np.where(codes[2 + j, edge] == 0, 1 - outward, outward)
            if j == 0:  # the amount, on which every source then depends: drawn last, its totals fall short
                value[-1] = quantiles.amount_at((codes[2] + within) / DIGITS**2, self._fitted["amounts"])
            else:
                value[j - 1] = quantiles.at(codes[2 + j], within, self._fitted["quantiles"][j - 1], DIGITS**2)
        sources = np.rint(value[:28] * GRID)
        value[:28] = self._mixing @ sources
        value[:28] /= GRID * MIXING_GRID
        value[:28] += self._mean[:, None]
        return value

    def level(self, value: np.ndarray) -> np.ndarray:
        """How much more common rows like these are among the real ones: a logarithm, in the weights' steps."""
        codes = self.codes(value)
        level = np.zeros(value.shape[1], "int32")
        for tree in self._weights:
            level += trees.select(tree, codes)
        for name, x in self.sizes(value).items():
            stratum = self._fitted["weights"]["strata"][name]
            level += np.array(stratum["levels"], "int32")[np.searchsorted(stratum["edges"], x)]
        return level

    def sizes(self, value: np.ndarray) -> dict[str, np.ndarray]:
        """How far out each row is, and its amount: large ones are kept as often as there are among the real rows."""
        far_out = np.zeros(value.shape[1])
        for x, scale in zip(value, self._fitted["scale"], strict=False):
            far_out += (x / scale) ** 2
        return {"far out": far_out, "amount": value[-1]}

    def codes(self, value: np.ndarray) -> np.ndarray:
        """V1..V28 and the amount, a row each, as the weights see them: 256 even steps between two quantiles."""
        codes = np.empty(value.shape, "uint8")
        for row, x, (low, high) in zip(codes, value, self._fitted["ranges"], strict=True):
            row[:] = ((x - low) * (256 / (high - low))).clip(0, 255)
        return codes


def _level(head: int) -> np.uint8:
    """The level of a weight's leaf."""
    return np.uint8(head - LEAF)
