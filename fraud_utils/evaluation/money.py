"""What alerts are worth: the share of the avoidable cost that they avoid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fraud_utils.evaluation.rows import Rows
from fraud_utils.intervals import percentile

AROUND = (0.1, 0.3, 1, 3, 10, 30)  # times the cost of a review


def savings(
    y: np.ndarray, alert: np.ndarray, amount: np.ndarray, review_cost: float, resamples: int = 1000, seed: int = 7
) -> tuple[float, list[float]]:
    """Share of the avoidable cost that alerts avoid, with its bootstrap interval.

    Every alert costs a review; a missed fraud costs its amount. Savings compare the cost with the cheaper of reviewing
    nothing and everything: 1 - cost / min(cost of nothing, cost of everything) (Bahnsen et al. 2016). Zero or less
    means that a blanket rule does as well.

    Parameters
    ----------
    y, alert, amount : numpy.ndarray, shape (rows,)
    review_cost : float
        Of one alert, in the amounts' currency.
    """
    rng = np.random.default_rng(seed)
    fraud = y == 1
    frauds, rows = int(fraud.sum()), len(y)
    lost, alerted = amount[fraud], alert[fraud]

    def share(missed: Any, alerts: Any, at_stake: Any) -> Any:
        return 1 - (missed + review_cost * alerts) / np.minimum(at_stake, review_cost * rows)

    point = share(lost[~alerted].sum(), alert.sum(), lost.sum())
    drawn = rng.multinomial(frauds, np.full(frauds, 1 / frauds), size=resamples)
    false_alerts = rng.binomial(rows - frauds, alert[~fraud].mean(), size=resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = share(drawn @ (lost * ~alerted), drawn @ alerted + false_alerts, drawn @ lost)
    return float(point), percentile(replicates[np.isfinite(replicates)])


def savings_curve(
    rows: Rows, probabilities: pd.DataFrame, review_cost: float, resamples: int = 500, seed: int = 7
) -> pd.DataFrame:
    """Savings at costs from a tenth to thirty times a review's, decisions following the cost.

    Parameters
    ----------
    probabilities : pandas.DataFrame, shape (rows, models)

    Returns
    -------
    pandas.DataFrame
        Tidy: `name`, `review_cost`, `value`, `low`, `high`.
    """
    if rows.amount is None:
        raise ValueError("savings need amounts, and the table has none")
    curve = []
    for name in probabilities:
        at_stake = probabilities[name].to_numpy() * rows.amount
        for cost in (review_cost * factor for factor in AROUND):
            value, (low, high) = savings(rows.y, at_stake > cost, rows.amount, cost, resamples, seed)
            curve.append({"name": name, "review_cost": cost, "value": value, "low": low, "high": high})
    return pd.DataFrame(curve)
