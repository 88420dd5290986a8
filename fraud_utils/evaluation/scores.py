"""Scores of rows by models that have not seen them: out of fold, on the test set, on any parts of the rows."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fraud_utils import data
from fraud_utils.data import Parts
from fraud_utils.evaluation import fits
from fraud_utils.evaluation.compare import tie_set
from fraud_utils.evaluation.fits import Fit
from fraud_utils.evaluation.metrics import average_precision
from fraud_utils.evaluation.resamples import bootstrap_average_precision
from fraud_utils.evaluation.rows import Protocol, Rows, Scores
from fraud_utils.models import Candidate


def folds_of(rows: Rows, folds: int, seed: int) -> Parts:
    """The parts that `data.assign_folds` makes: every fold is scored by a fit on the others."""
    fold_of = data.assign_folds(rows.y, rows.groups, folds, seed)
    return [(np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k)) for k in range(folds)]


def out_of_fold(candidates: Sequence[Candidate], rows: Rows, protocol: Protocol) -> Scores:
    """Score every row by models that have not seen it, nor a copy of it.

    Folds are stratified by whether a group holds a fraud; each repeat has other folds. Who is shown to be behind after
    the first repeat takes no part in the others; an XGBoost, which alone can be served, has to be behind another one.

    Returns
    -------
    Scores
        Probabilities corrected for the treatment's prior inside each fold, or anomaly scores.

    Raises
    ------
    DataError
        There are too few frauds for so many folds.
    """
    first = _once(candidates, rows, protocol, 0)
    if protocol.repeats == 1:
        return first
    again = _may_lead(candidates, first, protocol)
    behind = [candidate for candidate in candidates if candidate not in again]
    spared = sum(candidate.cost(rows.y) for candidate in behind) * (protocol.repeats - 1) * (protocol.folds - 1)
    fits.say(f"{len(behind)} of {len(candidates)} candidates are behind, and not fitted on other folds", -spared)
    scored = [first, *(_once(again, rows, protocol, repeat) for repeat in range(1, protocol.repeats))]
    return dataclasses.replace(
        first,
        values=pd.concat([each.values for each in scored], ignore_index=True),
        block=np.concatenate([each.block + number * protocol.folds for number, each in enumerate(scored)]),
        seconds=pd.concat([each.seconds for each in scored], axis=1).mean(axis=1)[first.seconds.index],
    )


def _once(candidates: Sequence[Candidate], rows: Rows, protocol: Protocol, repeat: int) -> Scores:
    """The scores of one repeat, in the order of the rows."""
    parts = folds_of(rows, protocol.folds, protocol.seed + repeat)
    what = f"Fitting on {protocol.folds} {'other ' if repeat else ''}folds"
    scored = score_parts(candidates, rows, parts, protocol, what)
    back = np.argsort(np.concatenate([new for _, new in parts]))
    return dataclasses.replace(scored, values=scored.values.iloc[back].reset_index(drop=True), block=scored.block[back])


def _may_lead(candidates: Sequence[Candidate], scores: Scores, protocol: Protocol) -> list[Candidate]:
    """Those that paired comparisons, which hold together for all pairs, do not show to be behind the best.

    Nor the XGBoosts behind the best of these; and the members of averages among them.
    """
    rows = scores.rows
    points = {c.name: average_precision(rows.y, scores.of(c), scores.block, rows.share) for c in candidates}
    resampled = bootstrap_average_precision(scores, dataclasses.replace(protocol, resamples=200))
    table = pd.DataFrame({"average_precision": points})
    near = tie_set(candidates, table, resampled)
    if served := [c for c in candidates if c.learner == "xgboost"]:
        listed = [c.name for c in served]
        near += tie_set(served, table.loc[listed], resampled[listed])
    names = {name for c in near for name in (c.name, *c.members)}
    return [candidate for candidate in candidates if candidate.name in names]


def fit_and_score(candidates: Sequence[Candidate], train: Rows, test: Rows, protocol: Protocol) -> Scores:
    """Fit each candidate on all training rows and score the test rows; to be called once, at the end."""
    both = np.arange(len(train) + len(test))
    # A fit sees the labels of the rows that it is fitted on, so the test rows need none.
    stacked = dataclasses.replace(train, X=np.concatenate([train.X, test.X]))
    parts = [(both[: len(train)], both[len(train) :])]
    scored = score_parts(candidates, stacked, parts, protocol, "Fitting on all training rows")
    return dataclasses.replace(scored, rows=test)


def random_splits(candidates: Sequence[Candidate], rows: Rows, protocol: Protocol) -> pd.DataFrame:
    """Average precision on stratified random fifths of all rows, the rest fitted: how most results are published.

    Copies of a transaction stay on one side. A row a candidate, a column a split; without columns, and with the reason
    in `attrs["left_out"]`, where the test set is drawn at random, too.
    """
    if rows.time is None:
        table = pd.DataFrame()
        table.attrs["left_out"] = (
            "The table has no times, so its test set is one random draw already: nothing to compare."
        )
        return table
    seeds = range(protocol.seed + 1000, protocol.seed + 1000 + protocol.random_splits)
    parts = [folds_of(rows, 5, seed)[0] for seed in seeds]
    scored = score_parts(candidates, rows, parts, protocol, "Random splits")
    return _by_part(scored, {f"split {k}": new for k, (_, new) in enumerate(parts, 1)})


def score_parts(candidates: Sequence[Candidate], rows: Rows, parts: Parts, protocol: Protocol, what: str) -> Scores:
    """Fit each candidate on each part's rows and score its others; averages come from their members' scores.

    Parameters
    ----------
    parts : sequence of (numpy.ndarray, numpy.ndarray)
        Places of the rows to fit, and of those to score.
    what : str
        Heads the progress lines.

    Returns
    -------
    Scores
        Part after part, each a block.
    """
    fitted = [c for c in candidates if not c.members]
    labels = [f"{number} of {len(parts)}" if len(parts) > 1 else "" for number in range(1, len(parts) + 1)]
    todo = [
        Fit(c, *part, protocol.seed, label, rows.share)
        for c in fitted
        for part, label in zip(parts, labels, strict=True)
    ]
    done = iter(fits.run(todo, rows.X, rows.y, what, protocol.cache, protocol.jobs))
    values, seconds, boosters = {}, {}, {}
    for candidate in fitted:
        of_parts = list(itertools.islice(done, len(parts)))
        values[candidate.name] = score = np.concatenate([fit.scores for fit in of_parts])
        if missing := np.count_nonzero(np.isnan(score)):
            raise ValueError(f"{candidate.name}: no number for {missing:,} of {len(score):,} rows")
        seconds[candidate.name] = float(np.mean([fit.seconds for fit in of_parts]))
        if len(of_parts) == 1 and of_parts[0].booster:
            boosters[candidate.name] = of_parts[0].booster
    for candidate in candidates:
        if members := candidate.members:
            if unknown := [name for name in members if name not in values]:
                raise ValueError(f"{candidate.name}: {', '.join(unknown)} is not among the candidates")
            values[candidate.name] = np.mean([values[name] for name in members], axis=0)
            seconds[candidate.name] = sum(seconds[name] for name in members)
    names = [candidate.name for candidate in candidates]
    block = np.repeat(np.arange(len(parts)), [len(new) for _, new in parts])
    return Scores(rows, pd.DataFrame(values)[names], block, pd.Series(seconds)[names], boosters)


def _by_part(scored: Scores, parts: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Average precision of each candidate (a row) on each part (a column), given the rows that each part scored."""
    table = {}
    for number, (heading, new) in enumerate(parts.items()):
        values = scored.values[scored.block == number]
        y, share = scored.rows.y[new], scored.rows.share
        table[heading] = {name: average_precision(y, values[name].to_numpy(), share=share) for name in values}
    return pd.DataFrame(table)
