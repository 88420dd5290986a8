"""What any score to alert from would have meant on the test set, from bins in which no transaction can be told apart.

The summary's explorer shows the same figures: those that do not depend on the cost of a review come from here, and its
script computes `money` by the same formula.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fraud_utils.evaluation.rows import Scores
from fraud_utils.intervals import exact, normal, poisson
from fraud_utils.models import Candidate
from fraud_utils.record import Bins

STEPS = 250  # scores that are tried, closer together where there are few alerts
LEAST, LEAST_FRAUDS = 5, 3  # rows in a bin, and frauds in one that has any: no amount can be worked out from two sums


def binned(scores: Scores, candidate: Candidate) -> Bins:
    """Sum up a candidate's scores of the test rows from the highest down.

    Returns
    -------
    Bins
        Each step alerts on all rows from its score up. Between two steps lie at least `LEAST` rows, and no fraud or
        at least `LEAST_FRAUDS`; amounts are left out where there are fewer frauds in all.
    """
    score, rows = scores.of(candidate), scores.rows
    order = np.argsort(-score, kind="stable")
    ranked, fraud = score[order], rows.y[order] == 1
    few = fraud.sum() < LEAST_FRAUDS
    amount = None if few or rows.amount is None else np.where(fraud, rows.amount[order], 0.0)
    ends = _ends(ranked, fraud)
    caught = np.cumsum(fraud)[ends]
    alerts = (caught + (ends + 1 - caught) / rows.share).round().astype(int)
    return Bins(
        rows=round(rows.count()),
        days=rows.days or None,
        score=tuple(ranked[ends].tolist()),
        alerts=tuple(alerts.tolist()),
        frauds=tuple(caught.tolist()),
        amount=None if amount is None else tuple(np.cumsum(amount)[ends].tolist()),
        squares=None if amount is None else tuple(np.cumsum(amount**2)[ends].tolist()),
        share=rows.share,
    )


def _ends(ranked: np.ndarray, fraud: np.ndarray) -> np.ndarray:
    """The last row of each bin, in order of falling scores; the last bin ends with the last row."""
    last_of_score = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    wanted = np.unique(np.geomspace(LEAST, len(ranked), STEPS).round().astype(int)) - 1
    candidates = np.unique(last_of_score[np.searchsorted(last_of_score, wanted)])
    caught = np.cumsum(fraud)
    kept = [-1]

    def apart(start: int, end: int) -> bool:
        frauds = caught[end] - (caught[start] if start >= 0 else 0)
        return end - start >= LEAST and not 0 < frauds < LEAST_FRAUDS

    for end in candidates.tolist():
        if apart(kept[-1], end):
            kept.append(end)
    while len(kept) > 1 and kept[-1] != len(ranked) - 1 and not apart(kept[-1], len(ranked) - 1):
        kept.pop()
    return np.unique([*kept[1:], len(ranked) - 1])


@dataclass(frozen=True)
class Money:
    """What alerting saves, in the amounts' currency, with a 95 % interval; `share` is of the avoidable cost."""

    saved: float
    low: float
    high: float
    share: float


def money(bins: Bins, step: int, review_cost: float) -> Money:
    """What a step saves compared with the cheaper of reviewing nothing and everything, over the whole test set.

    Compared with reviewing nothing, an alert saves the amount of its fraud less a review; compared with reviewing
    everything, a row without an alert saves a review less the amount of its fraud. The sum over rows that come at
    random is compound Poisson: its variance is the sum of squares, and the interval takes it as normal. A legitimate
    row that stands for several counts with the square of all of them.

    Parameters
    ----------
    step : int
        Position in `bins`; -1 alerts on nothing.
    review_cost : float
        Of one alert, in the amounts' currency.
    """
    if bins.amount is None or bins.squares is None:
        raise ValueError("what alerts save needs amounts, and the table has none")
    total, squares = bins.amount[-1], bins.squares[-1]
    alerts, frauds, caught, caught_squares = (
        (values[step] if step >= 0 else 0.0) for values in (bins.alerts, bins.frauds, bins.amount, bins.squares)
    )
    more, one = review_cost**2 * (1 / bins.share - 1), 1 / bins.share  # where none was seen, one may be there
    if total <= review_cost * bins.rows:
        saved = caught - review_cost * alerts
        variance = (
            caught_squares - 2 * review_cost * caught + review_cost**2 * alerts + more * max(alerts - frauds, one)
        )
        blanket = total
    else:
        quiet, missed = bins.rows - alerts, total - caught
        saved = review_cost * quiet - missed
        variance = review_cost**2 * quiet - 2 * review_cost * missed + (squares - caught_squares)
        variance += more * (quiet - (bins.frauds[-1] - frauds))
        blanket = review_cost * bins.rows
    half = normal() * max(variance, 0.0) ** 0.5
    return Money(saved, saved - half, saved + half, saved / blanket if blanket else 0.0)


def steps(bins: Bins) -> pd.DataFrame:
    """What each step means, whatever a review costs.

    Returns
    -------
    pandas.DataFrame, shape (steps + 1, columns)
        By step, -1 (alerts on nothing) first. `score`; `alerts`, `frauds` caught and `false_alarms` on the test set,
        with exact Poisson intervals (`..._low`, `..._high`); `precision` (NaN without alerts) and `recall` with exact
        intervals.
    """
    alerts, frauds = np.array([0, *bins.alerts]), np.array([0, *bins.frauds])
    counts = {"alerts": alerts, "frauds": frauds, "false_alarms": alerts - frauds}
    table = pd.DataFrame({"score": [np.inf, *bins.score]}, index=pd.RangeIndex(-1, len(bins.score), name="step"))
    for name, values in counts.items():
        seen = {"alerts": frauds, "false_alarms": np.zeros(len(frauds))}.get(name, values)
        share = bins.share if name != "frauds" else 1.0
        bounds = np.array([poisson(value, share=share, seen=known) for value, known in zip(values, seen, strict=True)])
        table[name], table[f"{name}_low"], table[f"{name}_high"] = values, bounds[:, 0], bounds[:, 1]
    for name, of, share in (("precision", alerts, bins.share), ("recall", np.full(len(alerts), frauds[-1]), 1.0)):
        table[name] = frauds / np.where(of > 0, of, np.nan)
        table[f"{name}_low"], table[f"{name}_high"] = exact(frauds, of, share=share)
    return table
