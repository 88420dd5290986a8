"""Two finished runs compared: what they were computed from, what they reach, and whether the difference is noise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fraud_utils import intervals, record, words
from fraud_utils.record import RunRecord
from fraud_utils.report.runs import Run, data_name


class Measure(NamedTuple):
    """A figure of the chosen candidate that is compared: `oof` or `test`, its name there, what to call it, decimals."""

    part: str
    name: str
    label: str
    digits: int


MEASURES = (
    Measure("oof", "average_precision", "average precision, out of fold", 3),
    Measure("test", "average_precision", "average precision, test set", 3),
    Measure("test", "precision", "precision at the highest F1, test set", 3),
    Measure("test", "recall", "recall at the highest F1, test set", 3),
    Measure("test", "f1", "highest F1, test set", 3),
    Measure("test", "brier", "Brier score (lower is better), test set", 5),
    Measure("test", "savings", "savings, test set", 3),
)
GROUPS = ("choice", "data", "parameter", "compared", "version")  # what came out, and what went in


class Comparable:
    """A finished run, made ready to be compared with others.

    Attributes
    ----------
    facts : dict
        Text by group and name. Two runs differ where these do.
    figures : list
        Value, interval and text of each of `MEASURES`.
    """

    def __init__(self, run: Run, finished: RunRecord) -> None:
        self.run, self.record = run, finished
        self.facts = _facts(finished)
        data, split = finished.data, finished.split
        # Without a checksum nobody knows whether two tables are the same one.
        drawn = split and (split.test_from is None or (data and data.share < 1))
        at_random = (finished.parameters.get("seed"), data and data.share) if drawn else None
        test = split and (split.test_from, split.test_rows, at_random)
        self.rows = (data.sha256, test) if data and data.sha256 else None
        try:
            self.resamples = record.resamples(run.folder)
        except record.RecordError:
            self.resamples = {}
        self.figures: list[tuple[float | None, Sequence[float] | None, str]] = []
        for part, name, _, digits in MEASURES:
            value, recorded = run.figure(part, name)
            again = self._resampled(part, name)
            bounds = recorded or (None if again is None else intervals.percentile(again))
            self.figures.append((value, bounds, words.decimals_between(value, bounds, digits)))

    def _resampled(self, part: str, name: str) -> np.ndarray | None:
        values = self.resamples[part].values.get(name) if part in self.resamples else None
        return None if values is None else np.asarray(values)

    def _draws(self, part: str) -> str | None:
        return self.resamples[part].which if part in self.resamples else None

    def compared_with(self, other: Comparable) -> tuple[str, list[tuple[str, str]]]:
        """The other run's figures minus this one's.

        Returns
        -------
        note : str
            Whether they can be compared, and how.
        differences : list of (str, str)
            For each of `MEASURES` the difference with its interval ("" where the two are not paired), and what it
            shows.
        """
        simulated = [bool(each.record.data and each.record.data.simulated) for each in (self, other)]
        if simulated[0] != simulated[1]:
            note = "One run is of SIMULATED rows and the other of real ones: their figures are not compared."
            return note, [("", "not compared")] * len(MEASURES)
        same_rows = self.rows is not None and self.rows == other.rows
        differences = [self._difference(other, place, same_rows) for place in range(len(MEASURES))]
        if any(difference for difference, _ in differences):
            note = (
                "Paired: both runs scored the same rows, and each 95 % interval is of the difference on the "
                "same resamples of them; one in twenty misses. The intervals reflect the choice of rows, not "
                "the luck of a fit: runs that differ only in their seed show how much that adds."
            )
        elif same_rows:
            note = (
                "Not paired: the rows are the same, but one of the runs has no resamples.json that fits; run "
                "it again to pair them. Intervals that overlap show no difference."
            )
        elif self.rows is not None and other.rows is not None and self.rows[0] == other.rows[0]:
            note = "Not paired: the data is the same, the test sets are not. Intervals that overlap show no difference."
        else:
            note = (
                "Not paired: the data is not known to be the same. Intervals that overlap show no difference; where "
                "they do not overlap, the data may be the reason."
            )
        return note, differences

    def _difference(self, other: Comparable, place: int, same_rows: bool) -> tuple[str, str]:
        part, name, _, digits = MEASURES[place]
        (value, bounds, _), (other_value, other_bounds, _) = self.figures[place], other.figures[place]
        if value is None or other_value is None:
            return "", "not known for both"
        cost = ("parameter", "review_cost")
        if name == "savings" and self.facts.get(cost) != other.facts.get(cost):
            return "", "not compared: review_cost differs"
        one, two = self._resampled(part, name), other._resampled(part, name)
        same_draws = same_rows and self._draws(part) == other._draws(part)
        if same_draws and one is not None and two is not None:
            return paired(other_value - value, two - one, digits)
        if not bounds or not other_bounds:
            return "", "no interval to judge by"
        apart = bounds[1] < other_bounds[0] or other_bounds[1] < bounds[0]
        return "", "intervals do not overlap" if apart else "intervals overlap: no difference shown"


def paired(difference: float, replicates: np.ndarray, digits: int) -> tuple[str, str]:
    """A difference with the interval of its resamples, and what that shows."""
    low, high = intervals.percentile(replicates)
    text = words.decimals_between(difference, (low, high), digits, "+")
    if not replicates.any():
        return text, "the same"
    if low > 0 or high < 0:
        return text, f"B is {'higher' if low > 0 else 'lower'}, by more than sampling noise"
    return text, "no difference shown"


def _facts(run: RunRecord) -> dict[tuple[str, str], str]:
    data, split, chosen = run.data, run.split, run.chosen
    hyperparameters = chosen.hyperparameters if chosen else {}
    threshold = chosen.threshold if chosen else None
    groups: tuple[Mapping[str, Any], ...] = (
        {
            "candidate": chosen and chosen.name,
            "alerts for": threshold and threshold.meaning,
            "from a score of": threshold and words.cell(threshold.score),
            **{f"in the tie set, {name}": "yes" for name in run.tie_set or ()},
            **{name: value for name, value in hyperparameters.items() if name not in run.parameters},
        },
        {
            "name": data_name(data),
            "SHA-256": data and data.sha256 and data.sha256[:12],
            "rows": data and data.rows,
            "frauds": data and data.frauds,
            "share of legitimate rows": data and (data.share if data.share < 1 else None),
            "test set from": _begin(run),
            "test rows": split and split.test_rows,
            "frauds among them": split and split.test_frauds,
        },
        run.parameters,
        {model.name: "yes" for model in run.models or ()},
        {
            "fraud_utils": run.version.project,
            "commit": run.version.git,
            "Python": run.version.python,
            **run.version.packages,
        },
    )
    return {
        (group, name): _fact(value)
        for group, facts in zip(GROUPS, groups, strict=True)
        for name, value in facts.items()
    }


def _begin(run: RunRecord) -> str | None:
    """When the test set begins; None where it was drawn at random."""
    split, origin = run.split, run.data.origin if run.data else None
    return None if not split or split.test_from is None else words.moment(split.test_from, origin)


def _fact(value: Any) -> str:
    if value is None:
        return words.UNKNOWN
    return value or "(empty)" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def differing(one: Comparable, other: Comparable) -> list[tuple[str, str, str, str]]:
    """Group, name and both texts of every fact in which two runs differ."""
    keys = dict.fromkeys([*one.facts, *other.facts])
    both = [(*key, one.facts.get(key, words.UNKNOWN), other.facts.get(key, words.UNKNOWN)) for key in keys]
    return sorted((fact for fact in both if fact[2] != fact[3]), key=lambda fact: GROUPS.index(fact[0]))
