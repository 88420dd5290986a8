"""Accept, review or block: two scores that part transactions into three tiers, and what each tier holds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.artifact import ACTIONS
from fraud_utils.evaluation.rows import Scores
from fraud_utils.intervals import exact
from fraud_utils.models import Candidate
from fraud_utils.record import Tiers


def choose(scores: Scores, candidate: Candidate, review_cost: float, block_cost: float) -> Tiers | None:
    """The two scores that cost least together on out-of-fold scores; None without amounts.

    An accepted fraud costs its amount, a review its cost whatever it finds, and a legitimate transaction that is
    blocked, `block_cost`. Where no score makes an action pay, it begins at 1 or the highest score, whichever is more.

    Parameters
    ----------
    review_cost, block_cost : float
        In the amounts' currency.
    """
    if scores.rows.amount is None:
        return None
    score = scores.of_all_repeats(candidate)
    fraud, amount, stands = (
        scores.repeated(each, score) for each in (scores.rows.y == 1, scores.rows.amount, scores.rows.weight)
    )
    steps, place = np.unique(-score, return_inverse=True)
    # By how many of the highest scores: what reviewing them saves against accepting, blocking against reviewing.
    reviewed, blocked = (
        np.concatenate([[0.0], np.bincount(place, saved * stands).cumsum()])
        for saved in (np.where(fraud, amount, 0.0) - review_cost, review_cost - np.where(fraud, 0.0, block_cost))
    )
    begin = [max(1.0, float(score.max())), *(-steps).tolist()]
    review = int(np.argmax(reviewed + np.maximum.accumulate(blocked)))
    block = int(np.argmax(blocked[: review + 1]))
    return Tiers(begin[review], begin[block], review_cost, block_cost)


def held(scores: Scores, candidate: Candidate, tiers: Tiers) -> pd.DataFrame:
    """What each tier holds of these rows, and what it costs.

    Returns
    -------
    pandas.DataFrame
        A row an action: `rows`, `frauds`, the shares `precision` (of the tier's rows that are fraud) and `recall` (of
        all frauds that are here) with exact 95 % intervals, each by itself, and `cost` in the amounts' currency.
    """
    rows, score = scores.rows, scores.of(candidate)
    tier, fraud = np.searchsorted([tiers.review, tiers.block], score, side="right"), rows.y == 1
    count, frauds = np.bincount(tier, rows.weight, minlength=3), np.bincount(tier[fraud], minlength=3)
    lost = rows.amount[fraud & (tier == 0)].sum() if rows.amount is not None else np.nan
    cost = [lost, tiers.review_cost * count[1], tiers.block_cost * (count - frauds)[2]]
    columns = {("rows", ""): count.round().astype(int), ("frauds", ""): frauds}
    for name, of, drawn in (("precision", count, rows.share), ("recall", np.full(3, frauds.sum()), 1.0)):
        share = np.divide(frauds, of, out=np.full(3, np.nan), where=of > 0)
        bounds = exact(frauds, of, share=drawn)
        columns |= dict(zip([(name, side) for side in ("", "low", "high")], (share, *bounds), strict=True))
    return pd.DataFrame({**columns, ("cost", ""): cost}, index=pd.Index(ACTIONS, name="action"))


def describe(tiers: Tiers | None, currency: str) -> str:
    """Say from where transactions are reviewed and blocked, and by which costs."""
    if tiers is None:
        return "The table has no amounts, so nothing says what a missed fraud costs, and there are no tiers."
    review_cost, block_cost = (words.money(cost, currency) for cost in (tiers.review_cost, tiers.block_cost))
    return (
        f"Reviewed from a score of {tiers.review:.3g}, blocked from {tiers.block:.3g}: out of fold these two cost "
        f"least where a review costs {review_cost}, a legitimate transaction that is blocked {block_cost}, and an "
        "accepted fraud its amount."
    )
