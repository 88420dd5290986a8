"""Which XGBoost is served, and whether the learners differ at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.intervals import LEVEL, percentile, together
from fraud_utils.models import Candidate


def choose(
    candidates: Sequence[Candidate],
    tied: Sequence[Candidate],
    table: pd.DataFrame,
    resampled: pd.DataFrame,
    y: np.ndarray,
) -> tuple[Candidate, str]:
    """Choose the XGBoost to serve, by a rule fixed beforehand.

    The cheapest XGBoost in the tie set, cost being the rows that its treatment leaves times its rounds (counted, not
    timed, so that the choice is the same tomorrow); where no XGBoost ties with the best, the best XGBoost of those that
    were scored in all repeats, since the others may have been lucky in one. Of the tie set only those are eligible that
    a paired comparison of their own does not put behind the best, and whose average precision is at most one standard
    error below it (Breiman et al. 1984, "Classification and regression trees"), for the set is wide where many
    candidates are compared, and cheapness is no reason to serve a worse one.

    Parameters
    ----------
    tied : sequence of Candidate
        From `compare.tie_set`.
    table, resampled : pandas.DataFrame
        From `compare.judge` and `bootstrap_average_precision`, on out-of-fold scores.

    Returns
    -------
    chosen : Candidate
    reason : str
        One sentence for the report.
    """
    best, points = tied[0].name, table["average_precision"]
    if not (served := _served(candidates)):
        raise ValueError("no candidate is an XGBoost, which is what the container serves; list one")
    least = points[best] - resampled[best].std()
    eligible = [candidate for candidate in _served(tied) if points[candidate.name] >= least]
    if not eligible:
        chosen = next(candidate for candidate in served if candidate.name == _best_xgboost(table))
        interval = percentile(resampled[best] - resampled[chosen.name])
        ahead = f"better by {' to '.join(map(words.decimals, interval))}"
        if interval[0] <= 0:
            ahead = f"ahead by {words.decimals_between(points[best] - points[chosen.name], interval)}"
        return chosen, (
            f"the best XGBoost, since the container serves XGBoost; {best} is {ahead} of average precision on the same "
            "out-of-fold rows"
        )
    near = [c for c in eligible if percentile(resampled[best] - resampled[c.name])[0] <= 0]
    what = "the cheapest XGBoost as good as the best"
    if not near:
        near = [max(eligible, key=lambda c: points[c.name])]
        what = "the best XGBoost, less than one standard error below the best"
    chosen = min(near, key=lambda c: sum(c.treatment.counts(y)) * c.hyperparameters["num_round"])
    rank = f"one of {len(tied)} statistically tied for the lead" if len(tied) > 1 else "better than every other"
    reason = f"{what}: {rank} at {words.percent(LEVEL)} on the same out-of-fold rows"
    if best != chosen.name:
        interval = percentile(resampled[best] - resampled[chosen.name])
        distance = words.decimals_between(points[best] - points[chosen.name], interval)
        reason += f"; its distance to {best} is {distance} of average precision"
    return chosen, reason


def describe_distance(chosen: Candidate, table: pd.DataFrame, resampled: pd.DataFrame, has_history: bool) -> str:
    """Say how far the choice is from the best of the other learners, and what to do where that is more than chance.

    Of the others, averages included and what is an XGBoost itself left out, the one with the highest average precision;
    the standard error is that of its average precision over the resamples, the interval of the distance is paired.
    """
    points = table["average_precision"]
    others = table.index[~table["learner"].str.contains("xgboost") & (table["kind"] == "supervised")]
    if not len(others):
        return "No other supervised learner was compared."
    rival = points[others].idxmax()
    error, ahead = float(resampled[rival].std()), points[rival] - points[chosen.name]
    paired = percentile(resampled[rival] - resampled[chosen.name])
    if ahead <= 0:
        gained = words.decimals_between(-ahead, (-paired[1], -paired[0]))
        return f"It is ahead of {rival}, the best of the other learners, by {gained} of average precision."
    distance = f"{rival}, the best of the other learners, is ahead by {words.decimals_between(ahead, paired)}"
    if ahead <= error:
        return f"{distance} of average precision, within one standard error ({words.decimals(error)})."
    remedy = "A longer search (tuning_trials) may close the gap"
    if not has_history:
        remedy += f"; so may columns that say what {rival} has found, such as counts of an entity's history"
    return (
        f"**{distance} of average precision, more than one standard error ({words.decimals(error)})**: serving XGBoost "
        f"costs that much on this table. {remedy}."
    )


def _served(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that the container can serve."""
    return [candidate for candidate in candidates if candidate.learner == "xgboost"]


def _best_xgboost(table: pd.DataFrame) -> str:
    """The best by average precision of those that were scored in as many repeats as any."""
    served = table[table["learner"] == "xgboost"]
    return served[served["repeats"] == served["repeats"].max()]["average_precision"].idxmax()


def family_differences(table: pd.DataFrame, resampled: pd.DataFrame) -> pd.DataFrame:
    """The best XGBoost minus the best of each other learner, paired: `value`, `low`, `high`, by candidate.

    Best by average precision on the same rows, of XGBoosts among those scored in all repeats; a learner that is behind
    after the first may have been lucky in it, which favours the other side. The intervals hold together.
    Averages and candidates that contain an XGBoost are left out. `attrs["leader"]` names the XGBoost.
    """
    points = table["average_precision"]
    leader = _best_xgboost(table)
    others = table[~table["learner"].str.contains("xgboost") & (table["kind"] == "supervised")]
    others = others[others["learner"] != "average"]
    rows, names = {}, points[others.index].groupby(others["learner"]).idxmax()
    for name in names:
        low, high = percentile(resampled[leader] - resampled[name], together(len(names)))
        rows[name] = {"value": points[leader] - points[name], "low": low, "high": high}
    differences = pd.DataFrame.from_dict(rows, orient="index").sort_values("value")
    differences.attrs["leader"] = leader
    return differences


def describe_claim(differences: pd.DataFrame, table: pd.DataFrame) -> str:
    """Answer the claim that XGBoost and logistic regression are alike, lead the others, and XGBoost is a bit better."""
    leader = differences.attrs["leader"]
    learner = table.loc[differences.index, "learner"]
    if not (learner == "logistic regression").any():
        return "No logistic regression was compared, so the claim cannot be answered."
    linear = learner[learner == "logistic regression"].index[0]
    row = differences.loc[linear]
    gap = f"{leader} minus {linear}: {words.decimals_between(row['value'], (row['low'], row['high']), sign='+')}"
    if row["low"] > 0:
        first = f"Not alike: XGBoost is better ({gap})."
    elif row["high"] < 0:
        first = f"Not alike: logistic regression is better ({gap})."
    else:
        first = f"The two are statistically tied ({gap})."
    points, others = table["average_precision"], differences.drop(index=linear)
    ahead = [name for name in others.index if points[name] > points[linear]]
    behind = [name for name in others.index if name not in ahead]
    second = (
        f"By point values, ahead of logistic regression: {', '.join(ahead) or 'none'}; behind it: "
        f"{', '.join(behind) or 'none'}."
    )
    tied = list(others.index[others["low"] <= 0])
    third = f"Not shown to be worse than {leader}: {', '.join(tied)}." if tied else f"All are shown to trail {leader}."
    return f"{first} {second} {third}"


def shortlist(
    candidates: Sequence[Candidate], chosen: Candidate, differences: pd.DataFrame, table: pd.DataFrame
) -> list[Candidate]:
    """The choice, its closest rival among the other learners, and the best logistic regression."""
    learner = table.loc[differences.index, "learner"]
    names = [chosen.name, *differences.index[:1], *learner[learner == "logistic regression"].index]
    by_name = {candidate.name: candidate for candidate in candidates}
    return [by_name[name] for name in dict.fromkeys(names)]
