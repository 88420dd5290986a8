"""Faults to learn from: weeks of traffic drawn from rows the model has not seen, with and without something wrong.

Each week draws its rows with replacement. The rules that judge them are those of the page (`drift`, `performance`);
what differs is that many weeks are judged at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fraud_utils import intervals, words
from fraud_utils.artifact import Model, Reference
from fraud_utils.data import SIMULATED, Schema, load_transactions, split_transactions, uniform
from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.monitor import drift, performance
from fraud_utils.monitor.traffic import WEEK, reference_of

FRESH_ROWS = 100_000  # simulated anew, where the run's transactions were simulated
FACTOR = 100  # of a unit that changed: euro, then cents
NEW_FRAUDS = 3  # of the new kind, for each of the old ones, as far as half of the legitimate rows suffice
HEALTHY = "nothing is wrong"
FAULTS = {
    "zero": "a column is zero",
    "unit": "a unit changed",
    "pattern": "a new kind of fraud",
    "labels": "labels stop",
}


@dataclass(frozen=True)
class Pool:
    """Rows to draw traffic from: raw columns with label and time, and the model's scores of them.

    `size` says in words how large the fault is.
    """

    frame: pd.DataFrame
    label: np.ndarray
    score: np.ndarray
    size: str = ""
    labels_come: bool = True


def unseen(data: str, schema: Schema, seed: int = 7, test_share: float = 0.2, most_rows: int = 0) -> pd.DataFrame:
    """Rows that a run's model has not learned from: its test rows, or new ones where its own were simulated."""
    transactions = load_transactions(data, schema, seed, most_rows)
    if schema.source in SIMULATED.values():
        return load_transactions(data, schema, seed + 1)
    if transactions.attrs["provenance"]["simulated"]:
        return simulate_transactions(FRESH_ROWS, seed=seed + 1)
    test = split_transactions(transactions, schema, test_share, seed).test
    return uniform(test, schema, seed)


def pools(frame: pd.DataFrame, model: Model, schema: Schema, seed: int = 7) -> dict[str, Pool]:
    """The rows as they are, and once with each fault; two of these need a column of numbers that the model uses."""
    label = frame[schema.label].to_numpy()
    score = model.score(frame)
    strongest = strongest_column(model)
    scaled = model.layout.features.amount or strongest
    frauds, legitimate = int(label.sum()), np.flatnonzero(label == 0)
    new = min(NEW_FRAUDS * frauds, len(legitimate) // 2)
    camouflaged = np.random.default_rng(seed).choice(legitimate, new, replace=False)
    new_label = label.copy()
    new_label[camouflaged] = 1

    def changed(column: str, factor: float, size: str) -> Pool:
        other = frame.assign(**{column: frame[column] * factor})
        return Pool(other, label, model.score(other), size)

    made = {HEALTHY: Pool(frame, label, score, "Rows drawn as they are")}
    if strongest and scaled:
        zero = f"{strongest}, the model's strongest column, is 0 in every row"
        made[FAULTS["zero"]] = changed(strongest, 0, zero)
        made[FAULTS["unit"]] = changed(scaled, FACTOR, f"{scaled} is {FACTOR} times as large in every row")
    return made | {
        FAULTS["pattern"]: Pool(
            frame,
            new_label,
            score,
            f"{new / frauds:.2g} new frauds for each old one; to the model they look like legitimate transactions",
        ),
        FAULTS["labels"]: Pool(frame, label, score, "No row is ever labelled", labels_come=False),
    }


def strongest_column(model: Model) -> str | None:
    """The column of numbers whose splits gain most; None for a model of texts alone."""
    gain = model.booster.get_score(importance_type="total_gain")
    gains = {name: gain.get(f"f{place}", 0.0) for place, name in enumerate(model.layout.numeric)}  # come first
    return max(gains, key=gains.__getitem__, default=None)


# Many weeks ---------------------------------------------------------------------------------------------------------


def rehearse(pools: dict[str, Pool], model: Model, weeks: int, requests_per_day: int, seed: int = 7) -> pd.DataFrame:
    """Judge weeks of each pool, half as many of those with a fault as of healthy ones.

    Returns
    -------
    pandas.DataFrame
        A row a week: `traffic`; whether `column`, `score`, `pace`, `recall`, `precision`, `labels` raised an alarm, and
        `any`; and what they looked at: `column_psi` (largest), `score_psi`, `alerts_a_day`, `precision_value`,
        `recall_value`.
    """
    reference = reference_of(model)
    rng = np.random.default_rng(seed)
    made = []
    for name, pool in pools.items():
        place = _Bins.of(pool, reference)
        alert = pool.score >= model.thresholds[model.decides]
        for _ in range(weeks if name == HEALTHY else weeks // 2):
            drawn = rng.integers(0, len(alert), WEEK * requests_per_day)
            judged = _judged(place.counts(drawn), reference)
            judged |= _pace(alert[drawn], reference, requests_per_day)
            judged |= _performance(alert[drawn], pool.label[drawn] if pool.labels_come else None, reference)
            made.append({"traffic": name} | judged)
    table = pd.DataFrame(made)
    measures = ["column", "score", "pace", "recall", "precision", "labels"]
    return table.assign(any=table[measures].any(axis=1))


@dataclass(frozen=True)
class _Bins:
    """The bin of every value of a pool, all columns and the score (the last) numbered through."""

    codes: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, pool: Pool, reference: Reference) -> _Bins:
        of_all = [*reference.columns.items(), ("", reference.score)]
        starts = np.cumsum([0, *(bins.bins for _, bins in of_all)])
        codes = [
            bins.codes(pool.frame[name].to_numpy() if name else pool.score) + start
            for (name, bins), start in zip(of_all, starts, strict=False)
        ]
        return cls(np.column_stack(codes), starts)

    def counts(self, drawn: np.ndarray) -> list[np.ndarray]:
        """Of each column, the bins' counts on each of the week's days and, last, over all of it."""
        size = self.starts[-1]
        days = [np.bincount(self.codes[day].ravel(), minlength=size) for day in np.array_split(drawn, WEEK)]
        table = np.vstack([*days, np.sum(days, axis=0)])
        return [table[:, start:stop] for start, stop in zip(self.starts[:-1], self.starts[1:], strict=True)]


def _judged(counts: list[np.ndarray], reference: Reference) -> dict[str, float | bool]:
    tests = drift.tests_of_week(len(reference.columns))[0]
    bins = [*reference.columns.values(), reference.score]
    changed = [drift.has_changed(each, of.counts, tests).any() for each, of in zip(counts, bins, strict=True)]
    index = [
        float(drift.stability_index(each[-1], of.counts)) for each, of in zip(counts, bins, strict=True)
    ]  # fmt: skip
    return {
        "column": any(changed[:-1]),
        "score": bool(changed[-1]),
        "column_psi": max(index[:-1]),
        "score_psi": index[-1],
    }


def _pace(alert: np.ndarray, reference: Reference, requests_per_day: int) -> dict[str, float | bool]:
    days = np.array([each.sum() for each in np.array_split(alert, WEEK)])
    counts, rows = np.append(days, days.sum()), np.append(np.full(WEEK, requests_per_day), len(alert))
    outside = drift.off_pace(counts, rows, reference.promise, drift.tests_of_week(0)[1])
    return {"pace": bool(outside.any()), "alerts_a_day": float(days.mean())}


def _performance(alert: np.ndarray, label: np.ndarray | None, reference: Reference) -> dict[str, float | bool]:
    """As the page judges the week once its labels are due."""
    promise = reference.promise
    if label is None:
        values = {"precision_value": np.nan, "recall_value": np.nan}
        return {"recall": False, "precision": False, "labels": True} | values  # no row is labelled
    frauds, alerts, caught = int(label.sum()), int(alert.sum()), int(label[alert].sum())
    return {
        "recall": bool(performance.fell(caught, frauds, promise.caught, promise.frauds)),
        "precision": bool(performance.fell(caught, alerts, promise.caught, promise.alerts)),
        "labels": bool(performance.too_few(frauds, len(label), promise)),
        "precision_value": caught / alerts if alerts else np.nan,
        "recall_value": caught / frauds if frauds else np.nan,
    }


def found(table: pd.DataFrame) -> pd.DataFrame:
    """Share of the weeks in which each measure raised an alarm: a row a pool."""
    measures = ["column", "score", "pace", "recall", "precision", "labels", "any"]
    return table.groupby("traffic", sort=False)[measures].mean()


def lessons(table: pd.DataFrame, often: float = 0.95, seldom: float = 0.1) -> str:
    """What finds each fault and what misses it, and how often healthy weeks alarm, as Markdown, from `rehearse`."""
    healthy = table.loc[table["traffic"] == HEALTHY, "any"]
    low, high = intervals.exact(healthy.sum(), len(healthy))
    alarms = words.percent_between(healthy.mean(), float(low), float(high))
    sentences = [
        f"{HEALTHY.capitalize()}: a false alarm in {healthy.sum()} of {words.count(len(healthy), 'week')}, {alarms}."
    ]
    for fault, row in found(table).drop(columns="any", index=HEALTHY).iterrows():
        finds, misses = row.index[row >= often], row.index[row <= seldom]
        said = f"found by {words.listed(finds)}" if len(finds) else "found by no measure every time"
        sentences.append(f"{str(fault).capitalize()}: {said}; missed by {words.listed(misses) or 'none'}.")
    return words.bullets(sentences)


def seen(table: pd.DataFrame) -> pd.DataFrame:
    """What the measures looked at, the median week of each pool."""
    values = ["column_psi", "score_psi", "alerts_a_day", "precision_value", "recall_value"]
    names = ["largest column index", "score index", "alerts a day", "precision", "recall"]
    return table.groupby("traffic", sort=False)[values].median().set_axis(names, axis=1)
