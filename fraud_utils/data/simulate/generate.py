"""Transactions that look like the ULB reference set, for machines without it.

Everything is drawn from the aggregates in ``aggregates.json`` (hourly counts, quantiles, conditional
shares, moments, weights; ``fit`` writes them from the real file), never from rows. Legitimate transactions
are proposed by sequential probability trees over independent components and kept by weight; frauds are of several
kinds, each a Gaussian copula, whose mixture drifts from day to day; some legitimate transactions look like frauds; some
rows are exact copies that share their second. The same seed gives the same bytes: sums of products are sums of
integers, which no order of summation rounds.

``python -m fraud_utils.data.simulate out.parquet --rows 10000000 --days 70`` writes any number of rows in constant
memory.
"""

import argparse
import json
import zlib
from base64 import b85decode, b85encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

GENERATOR_VERSION = "2.0"
AGGREGATES = Path(__file__).with_name("aggregates.json")
COLUMNS = ["Time", *(f"V{i}" for i in range(1, 29)), "Amount", "Class"]
CHUNK_ROWS = 300_000

KIND_BINS = 16  # quantile bins of frauds and look-alikes
DIGITS = 8  # a source's quantile bin is two digits to this base, each drawn from a tree of its own
# How trees are written, in preorder: a split is the number of a column and the last code that goes left; a byte of a
# leaf is LEAF and a level. A leaf of a probability tree has the levels of DIGITS shares, one of a weight has one.
LEAF = 128

_DAY = 86_400
_KIND_DRIFT = 0.25  # standard deviation of a kind's log weight from one day to the next, after the two fitted days
_MEAN_DRIFT = 0.1  # the same for the place of a kind, in normal scores
_GRID = 1e5  # what the file's integers are multiplied with is rounded to whole numbers of this grid
_BLOCK = 150_000  # rows drawn by one thread; part of what a seed means
_FEW = 20_000  # proposals that cost no more than one; part of what a seed means
_SLOTS = 1024  # what the shares of a leaf are rounded to

# The file gives numbers as integers over these.
MIXING_GRID = 1e4
QUANTILE_GRID = 1e3
SCORE_GRID = 1e2


def simulate_transactions(
    rows: int = 80_000,
    fraud_rate: float | None = None,
    seed: int = 7,
    days: int = 2,
    *,
    cards: bool = False,
) -> pd.DataFrame:
    """Simulate card transactions in the schema of ULB's creditcard.csv.

    Parameters
    ----------
    rows : int
        Number of transactions, exact.
    fraud_rate : float, optional
        Share of frauds, met to the nearest row; the reference set's 0.001727 when not given.
    seed : int
        The same seed gives the same bytes.
    days : int
        Days that the transactions span. The first two follow the reference set's; later ones repeat their hours and
        drift.
    cards : bool
        Add a column Card (integer id), for features and metrics by card.

    Returns
    -------
    pandas.DataFrame
        Columns Time (seconds since the first midnight, whole, ascending), V1..V28, Amount (euro, whole cents), Class
        (int8, 1 is fraud) and, when asked for, Card (int64).

    Raises
    ------
    ValueError
        For fewer than 1 row or day, or a rate outside 0 to 1.
    """
    chunks = simulate_chunks(rows, fraud_rate, seed, days, cards=cards)
    return pd.concat(chunks, ignore_index=True)


def simulate_chunks(
    rows: int,
    fraud_rate: float | None = None,
    seed: int = 7,
    days: int = 2,
    *,
    cards: bool = False,
) -> Iterator[pd.DataFrame]:
    """Yield what ``simulate_transactions`` returns piece by piece in time order, about ``CHUNK_ROWS`` rows each."""
    if rows < 1 or days < 1:
        raise ValueError(f"rows={rows}, days={days}: simulate at least one row over at least one day")
    aggregates = _aggregates()
    rate = aggregates["rate"] if fraud_rate is None else fraud_rate
    if not 0 <= rate <= 1:
        raise ValueError(f"fraud_rate={rate}: give a share between 0 and 1 (the reference set's is 0.0017)")
    frauds = round(rows * rate)
    plan = _generator(seed, 0)
    # An hour that would not fit into a chunk is cut into equal slots.
    slots = 1 << max(0, int(np.ceil(np.log2(max(1.0, rows / (15 * days) / CHUNK_ROWS)))))
    count = np.stack(
        [
            plan.multinomial(total, np.repeat(weight / weight.sum() / slots, slots))
            for total, weight in zip((rows - frauds, frauds), _hourly_weights(aggregates, days, plan), strict=True)
        ]
    )
    drift = _kind_drift(aggregates, days, plan)
    holders = _Cards(rows, days, plan) if cards else None
    start = 0
    filled = np.cumsum(count.sum(0))
    while start < count.shape[1]:
        before = filled[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(filled, before + CHUNK_ROWS, side="right")))
        if count[:, start:stop].any():
            yield _chunk(aggregates, count[:, start:stop], start, slots, drift, _generator(seed, 1, start), holders)
        start = stop


def write_parquet(
    path: Path | str,
    rows: int,
    fraud_rate: float | None = None,
    seed: int = 7,
    days: int = 2,
    *,
    cards: bool = False,
) -> None:
    """Write simulated transactions to one parquet file, a row group a chunk; memory does not grow with the rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    try:
        for chunk in simulate_chunks(rows, fraud_rate, seed, days, cards=cards):
            table = pa.Table.from_pandas(chunk, preserve_index=False)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


@lru_cache(maxsize=1)
def _aggregates() -> dict[str, Any]:
    aggregates = json.loads(AGGREGATES.read_text(encoding="utf-8"))
    aggregates["legitimate"] = Legitimate(aggregates["legitimate"])
    return aggregates


def _generator(seed: int, *stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=stream)))


# --- when: hours, days, drift ------------------------------------------------------------------------------------


def _hourly_weights(aggregates: dict, days: int, plan: np.random.Generator) -> list[np.ndarray]:
    """Expected share of each hour, by class: the two fitted days in turn, later ones of random size."""
    size = np.exp(0.1 * plan.standard_normal(days))
    size[:2] = 1
    return [
        np.concatenate([np.asarray(weight, float).reshape(2, 24)[day % 2] * size[day] for day in range(days)])
        for weight in aggregates["hourly"]
    ]


def _kind_drift(aggregates: dict, days: int, plan: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each day's weights of the fraud kinds and the shift of their means: fitted for two days, then random walks."""
    kinds = aggregates["fraud"]["kinds"]
    fitted = np.array([*(kind["days"] for kind in kinds), aggregates["fraud"]["camouflaged"]], float).T
    walk = np.zeros(len(kinds) + 1)
    shift = np.zeros((len(kinds) + 1, 29))
    drift = []
    for day in range(days):
        if day > 1:
            walk = 0.9 * walk + _KIND_DRIFT * plan.standard_normal(walk.shape)
            shift = 0.9 * shift + _MEAN_DRIFT * plan.standard_normal(shift.shape)
        weight = fitted[day % 2] * np.exp(walk)
        drift.append((weight / weight.sum(), shift.copy()))
    return drift


# --- what: one chunk ---------------------------------------------------------------------------------------------


def _chunk(
    aggregates: dict,
    count: np.ndarray,
    first_slot: int,
    slots: int,
    drift: list[tuple[np.ndarray, np.ndarray]],
    rng: np.random.Generator,
    cards: "_Cards | None",
) -> pd.DataFrame:
    """Transactions of consecutive slots of an hour; ``count`` has a row for each class."""
    label = np.repeat([0, 1], count.sum(1)).astype("int8")
    slot = first_slot + np.concatenate([np.repeat(np.arange(count.shape[1]), of_class) for of_class in count])
    time = np.floor((slot + rng.random(slot.size)) * (3600 / slots))
    order = np.argsort(time, kind="stable")
    label, time = label[order], time[order]
    hour = (time // 3600).astype(int)

    table = np.empty((len(COLUMNS), slot.size))
    table[0], table[-1] = time, label
    uniform = rng.random(slot.size)
    alike = np.where((label == 0) & (uniform < aggregates["look-alike"]["share"]), 0, -1)
    kind = np.full(slot.size, -1)
    shift = np.zeros((29, slot.size))
    for day in np.unique(hour[label == 1] // 24):
        today = np.flatnonzero((label == 1) & (hour // 24 == day))
        weight, moved = drift[day]
        kind[today] = np.searchsorted(np.cumsum(weight)[:-1], uniform[today], side="right")
        shift[:, today] = moved[kind[today]].T
    _draw_kinds(table[1:30], aggregates["look-alike"], alike, shift, rng)
    _draw_kinds(table[1:30], aggregates["fraud"], kind, shift, rng)
    camouflaged = kind == len(aggregates["fraud"]["kinds"])
    usual = np.flatnonzero((alike < 0) & (camouflaged | (label == 0)))
    table[1:30, usual] = aggregates["legitimate"].draw(hour[usual] % 48, rng)

    source = _copies(aggregates["copies"], label, rng)
    table = table[:, source]
    table = table[:, np.argsort(table[0], kind="stable")]
    frame = pd.DataFrame(dict(zip(COLUMNS, table, strict=True)), copy=False).astype({"Class": "int8"})
    if cards is not None:
        frame["Card"] = cards.draw(frame, rng)
    return frame


def _copies(copies: list[dict], label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each row the row it repeats: itself, but for as many as the reference set has exact copies."""
    source = np.arange(label.size)
    for of_class, fitted in enumerate(copies):
        rows = np.flatnonzero(label == of_class)
        size = np.repeat(np.arange(1, 6), fitted["sizes"])  # further copies a group has
        groups = rng.binomial(rows.size, fitted["share"] / size.mean())
        extra = rng.choice(size, groups)
        extra = extra[np.cumsum(extra + 1) <= rows.size]
        if extra.size:
            chosen = rng.choice(rows, size=int((extra + 1).sum()), replace=False)
            head = np.cumsum(extra + 1) - (extra + 1)
            source[chosen] = np.repeat(chosen[head], extra + 1)
    return source


# --- legitimate transactions: sequential probability trees, then weights -----------------------------------------


class Legitimate:
    """Draws of V1..V28 and the amount of legitimate transactions, given the hour.

    Rows are proposed by the probability trees, column by column, and kept with a chance in proportion to how much
    more common such rows are among the real ones, which boosted trees estimate (rejection sampling).
    """

    def __init__(self, fitted: dict) -> None:
        self._fitted = fitted
        self._mixing = np.asarray(fitted["mixing"], float)
        self._mean = np.asarray(fitted["mean"], float)
        self._trees = []
        code = iter(unpack(fitted["trees"]))
        for _ in range(2 * (1 + len(fitted["quantiles"]))):
            shares: list[list[int]] = []
            tree = _parse_tree(code, partial(_number_leaf, shares, code))
            cumulative = np.cumsum((np.array(shares, float) - LEAF) ** 2, axis=1)
            upto = np.rint(cumulative / cumulative[:, -1:] * _SLOTS).astype(int)
            slots = np.diff(upto, axis=1, prepend=0).ravel()
            self._trees.append((tree, np.repeat(np.tile(np.arange(DIGITS, dtype="uint8"), len(shares)), slots)))
        weights = fitted["weights"]
        code = iter(unpack(weights["trees"]))
        self._weights = [_parse_tree(code, lambda head: np.uint8(head - LEAF)) for _ in range(weights["count"])]
        self._chance = np.exp(weights["step"] * (np.arange(weights["full"] + 1) - weights["full"])).round(9)

    def draw(self, hour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """V1..V28 and the amount, a row each, at the given hours (0 to 47)."""

        def draw_block(hour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            value = np.empty((29, hour.size))
            waiting = np.arange(hour.size)
            while waiting.size:
                # Few rows cost as much as thousands, so the last ones to be kept get many proposals at once.
                row = np.repeat(waiting, min(64, 1 + _FEW // waiting.size))
                proposed = self.propose(hour[row], rng)
                level = self.level(proposed).clip(0, self._chance.size - 1)
                kept = np.flatnonzero(rng.random(row.size) < self._chance[level])
                filled, first = np.unique(row[kept], return_index=True)
                value[:, filled] = proposed[:, kept[first]]
                waiting = np.setdiff1d(waiting, filled, assume_unique=True)
            value[:28] = value[:28].round(6)
            return value

        blocks = np.split(hour, range(_BLOCK, hour.size, _BLOCK))
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
            high = _draw_digit(self._trees[2 * j], known, rng)
            known[0] = high
            codes[2 + j] = DIGITS * high + _draw_digit(self._trees[2 * j + 1], known, rng)
            within = rng.random(hour.size)
            # Columns of a row that are far out are so together (but the smallest amounts are not far out).
            edge = np.flatnonzero((codes[2 + j] == DIGITS**2 - 1) | ((j > 0) & (codes[2 + j] == 0)))
            share = self._fitted["tails"][j] / SCORE_GRID
            own = np.sqrt(1 - share**2) * rng.standard_normal(edge.size)
            outward = _normal_cdf(share * common[edge] + own)
            within[edge] = np.where(codes[2 + j, edge] == 0, 1 - outward, outward)
            if j == 0:  # the amount, on which every source then depends: drawn last, its totals fall short
                value[-1] = _amount((codes[2] + within) / DIGITS**2, self._fitted["amounts"])
            else:
                value[j - 1] = _quantile(codes[2 + j], within, self._fitted["quantiles"][j - 1], DIGITS**2)
        sources = np.rint(value[:28] * _GRID)
        value[:28] = self._mixing @ sources
        value[:28] /= _GRID * MIXING_GRID
        value[:28] += self._mean[:, None]
        return value

    def level(self, value: np.ndarray) -> np.ndarray:
        """How much more common rows like these are among the real ones: a logarithm, in the weights' steps."""
        codes = self.codes(value)
        level = np.zeros(value.shape[1], "int32")
        for tree in self._weights:
            level += _select(tree, codes)
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


def pack(code: bytes) -> str:
    """Bytes as text that JSON holds without escapes."""
    return b85encode(zlib.compress(code, 9)).decode()


def unpack(text: str) -> bytes:
    """What ``pack`` was given."""
    return zlib.decompress(b85decode(text))


def _parse_tree(code: Iterator[int], leaf: Callable[[int], np.uint8]) -> Any:
    """Nested (column, threshold, left, right); ``leaf`` says what a leaf that begins with a byte stands for."""
    head = next(code)
    if head < LEAF:
        return head, next(code), _parse_tree(code, leaf), _parse_tree(code, leaf)
    return leaf(head)


def _number_leaf(shares: list[list[int]], code: Iterator[int], head: int) -> np.uint8:
    """The number of a probability tree's next leaf; its levels are added to ``shares``."""
    shares.append([head, *islice(code, DIGITS - 1)])
    return np.uint8(len(shares) - 1)


def _select(node: Any, codes: np.ndarray) -> Any:
    """The leaf of each column of ``codes``; whole rows at once, many times faster than dividing them at each split."""
    if not isinstance(node, tuple):
        return node
    column, threshold, left, right = node
    chosen = np.negative((codes[column] <= threshold).view("uint8"))  # all ones or zeros
    left, right = _select(left, codes), _select(right, codes)
    chosen &= left ^ right
    chosen ^= right
    return chosen


def _draw_digit(tree: tuple[Any, np.ndarray], codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One digit a column of ``codes``, each from the leaf that the column falls into."""
    node, digits = tree
    slot = rng.integers(0, _SLOTS, codes.shape[1], dtype="uint16")
    return digits.take(np.multiply(_select(node, codes), _SLOTS, dtype="int64") + slot)


def _quantile(bin_: np.ndarray, within: np.ndarray, knots: dict, bins: int) -> np.ndarray:
    """Value at a place (0 to 1) within a quantile bin: linear, but for the first and last bin, which have tails."""
    tail = knots["tail"]
    values = np.asarray(knots["values"]) / QUANTILE_GRID
    inner = values[tail + 1 : tail + bins]  # the edges between bins
    edges = np.concatenate([[inner[0]], inner, [inner[-1]]])
    found = edges[bin_] + within * np.diff(edges)[bin_]
    halving = 0.5 ** np.arange(tail, 0, -1)
    low, high = np.flatnonzero(bin_ == 0), np.flatnonzero(bin_ == bins - 1)
    found[low] = np.interp(within[low], [0, *halving, 1], values[: tail + 2])
    found[high] = np.interp(within[high], [0, *(1 - halving[::-1]), 1], values[-tail - 2 :])
    return found


def _amount(level: np.ndarray, table: list[list[float]]) -> np.ndarray:
    """Amount in whole cents: price points are steps of the distribution function."""
    amount, below, upto = np.array(table).T
    return np.interp(level, np.column_stack([below, upto]).ravel(), np.repeat(amount, 2)).round(2)


# --- frauds and what looks like them: Gaussian copulas by kind ---------------------------------------------------


def _draw_kinds(table: np.ndarray, fitted: dict, kind: np.ndarray, shift: np.ndarray, rng: np.random.Generator) -> None:
    """Write V1..V28 and the amount into the columns of the table that are of one of the fitted kinds."""
    members = np.flatnonzero((kind >= 0) & (kind < len(fitted["kinds"])))
    score = shift[:, members]
    for i, of_kind in enumerate(fitted["kinds"]):
        those = np.flatnonzero(kind[members] == i)
        mean, factor, noise = (np.asarray(of_kind[part], float) for part in ("mean", "factor", "noise"))
        common = np.rint(rng.standard_normal((factor.shape[1], those.size)) * _GRID)
        own = rng.standard_normal((29, those.size))
        score[:, those] += (mean[:, None] + factor @ common / _GRID + noise[:, None] * own) / SCORE_GRID
    level = _normal_cdf(score)
    bins = level * KIND_BINS
    inside = np.minimum(bins.astype(int), KIND_BINS - 1)
    for j, knots in enumerate(fitted["quantiles"]):
        table[j, members] = _quantile(inside[j], bins[j] - inside[j], knots, KIND_BINS).round(6)
    table[28, members] = _amount(level[28], fitted["amounts"])


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    """Standard normal distribution function to 7.5e-8 (Abramowitz and Stegun 1964, 26.2.17)."""
    t = 1 / (1 + 0.2316419 * np.abs(x))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    upper = np.exp(-x * x / 2) / np.sqrt(2 * np.pi) * series
    return np.where(x > 0, 1 - upper, upper)


# --- who: cards on request ---------------------------------------------------------------------------------------


class _Cards:
    """Cards of very different activity; the frauds of a day fall on few of them."""

    def __init__(self, rows: int, days: int, plan: np.random.Generator) -> None:
        count = max(10, round(rows / (1.5 * days)))
        self.activity = np.cumsum(plan.lognormal(0, 1, count))
        self.seed = int(plan.integers(2**31))

    def draw(self, frame: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        rows = len(frame)
        card = np.searchsorted(self.activity, rng.random(rows) * self.activity[-1])
        day = (frame["Time"].to_numpy() // _DAY).astype(int)
        fraud = np.flatnonzero(frame["Class"].to_numpy() == 1)
        for each in np.unique(day[fraud]):
            today = fraud[day[fraud] == each]
            stolen = _generator(self.seed, int(each)).integers(
                self.activity.size, size=max(1, self.activity.size // 500)
            )
            card[today] = rng.choice(stolen, today.size)
        # A copy is the same card's.
        first = ~frame[["Time", "V1", "V2", "Amount"]].duplicated().to_numpy()
        if not first.all():
            group = frame.groupby(["Time", "V1", "V2", "Amount"], sort=False).ngroup().to_numpy()
            card = card[np.flatnonzero(first)][group]
        return card.astype("int64")


def main(arguments: list[str] | None = None) -> None:
    """Write simulated transactions to a parquet file."""
    parser = argparse.ArgumentParser(prog="python -m fraud_utils.data.simulate", description=main.__doc__)
    parser.add_argument("path", type=Path, help="parquet file to write")
    parser.add_argument("--rows", type=int, default=80_000)
    parser.add_argument("--fraud-rate", type=float, help="share of frauds (default: the reference set's 0.0017)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--cards", action="store_true", help="add a column Card")
    given = parser.parse_args(arguments)
    write_parquet(given.path, given.rows, given.fraud_rate, given.seed, given.days, cards=given.cards)
