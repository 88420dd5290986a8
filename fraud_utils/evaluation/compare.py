"""The comparison as tables and sentences: who leads, who ties, what is served and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils.evaluation.metrics import LEVEL, Scores, best_f1_threshold, calibrate, interval, metrics, uncorrected
from fraud_utils.models import Candidate, kept_share, treated_counts

FAR_BELOW = 0.9  # of the median supervised candidate: what lies below it with its whole interval has collapsed


def compare(
    candidates: Sequence[Candidate],
    y: np.ndarray,
    scores: Scores,
    resampled: pd.DataFrame,
    amount: np.ndarray | None = None,
    review_cost: float = 3.0,
    thresholds: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Judge every candidate on one set of rows.

    Parameters
    ----------
    resampled : pandas.DataFrame
        Average precision on resamples, a column a candidate.
    thresholds : mapping of str to float, optional
        By candidate, fixed on other rows. Without it each candidate's best by F1 on these rows, which is for choosing
        only: such F1, precision and recall are too good.

    Returns
    -------
    pandas.DataFrame
        A row a candidate: `learner`, `imbalance`, `kind`, `threshold`, and what `metrics` gives. Anomaly scores are no
        probabilities: what needs those is null for unsupervised candidates.
    """
    rows = {}
    for candidate in candidates:
        score = scores.values[candidate.name].to_numpy()
        if thresholds is None:
            threshold = best_f1_threshold(np.tile(y, len(score) // len(y)), score)
        else:
            threshold = thresholds[candidate.name]
        ci = interval(resampled[candidate.name])
        known = candidate.kind != "unsupervised"
        rows[candidate.name] = {
            "learner": candidate.learner,
            "imbalance": candidate.imbalance,
            "kind": candidate.kind,
            "threshold": threshold,
            **metrics(y, score, threshold, amount, review_cost, known, ci, scores.block),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def collapsed(table: pd.DataFrame, resampled: pd.DataFrame) -> list[str]:
    """Supervised candidates far below their peers: fits that failed, not findings about a method.

    The paired interval of a candidate's average precision over the median supervised one's lies below `FAR_BELOW`.
    """
    supervised = table[table["kind"] == "supervised"]["average_precision"]
    middle = resampled[list(supervised.index)].median(axis=1)
    return [name for name in supervised.index if interval(resampled[name] / middle)[1] < FAR_BELOW]


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The numbers of a comparison with the interval of average precision, the best first.

    To three places; to five what is small where frauds are rare, Brier score and log loss.
    """
    shown = table.drop(columns="threshold").select_dtypes("number").astype(float)
    for place, side in enumerate(("low", "high")):
        shown.insert(place + 1, side, [bounds[place] for bounds in table["average_precision_ci"]])
    return (
        shown.sort_values("average_precision", ascending=False)
        .round(dict.fromkeys(shown, 3) | {"brier": 5, "log_loss": 5})
        .rename(columns=lambda name: name.replace("_", " "))
    )


def readable_days(per_day: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """What each way of alerting means per day (`evaluate.per_day`), each figure with its bounds beside it."""
    table = pd.DataFrame.from_dict(per_day, orient="index")
    figures = [name for name in table if f"{name}_ci" in table and table[name].notna().all()]
    shown = {}
    for name in figures:
        bounds = np.array(table[f"{name}_ci"].tolist())
        for side, values in (("a day", table[name]), ("low", bounds[:, 0]), ("high", bounds[:, 1])):
            shown[name.replace("_", " "), side] = values
    return pd.DataFrame(shown, index=table.index).round(1)


def as_sections(
    oof: pd.DataFrame, test: pd.DataFrame, seconds: pd.Series, test_seconds: pd.Series
) -> list[dict[str, Any]]:
    """The comparison as the `models` section of `metrics.json`."""
    about, judged = ["learner", "imbalance", "kind"], list(oof.columns[4:])
    return [
        {
            "name": name,
            **oof.loc[name, about].to_dict(),
            "oof": oof.loc[name, judged].to_dict(),
            "test": test.loc[name, judged].to_dict(),
            "seconds": {"fold_fit": seconds[name], "fit": test_seconds[name]},
        }
        for name in oof.index
    ]


def ranked_intervals(table: pd.DataFrame, tied: Sequence[str]) -> pd.DataFrame:
    """Average precision with its interval, best first, for `plots.plot_intervals`: `value`, `low`, `high`, `group`."""
    ranked = table.sort_values("average_precision", ascending=False)
    bounds = np.array(ranked["average_precision_ci"].tolist())
    group = ["tie set" if name in tied else "outside the tie set" for name in ranked.index]
    return pd.DataFrame(
        {"value": ranked["average_precision"], "low": bounds[:, 0], "high": bounds[:, 1], "group": group}
    )


def precision_recall(y: np.ndarray, scores: pd.DataFrame) -> pd.DataFrame:
    """Precision and recall at every distinct score, tidy: `name`, `recall`, `precision`."""
    from sklearn.metrics import precision_recall_curve

    curves = []
    for name in scores:
        precision, recall, _ = precision_recall_curve(y, scores[name])
        curves.append(pd.DataFrame({"name": name, "recall": recall, "precision": precision}))
    return pd.concat(curves, ignore_index=True)


def tie_set(average_precisions: pd.Series, resampled: pd.DataFrame) -> tuple[str, list[str]]:
    """The best model, and all that cannot be told from it (the best included).

    A model is in the set when the paired bootstrap interval of its distance to the best reaches zero.
    """
    ranked = list(average_precisions.sort_values(ascending=False, kind="stable").index)
    return ranked[0], [name for name in ranked if interval(resampled[ranked[0]] - resampled[name])[0] <= 0]


def choose(
    candidates: Sequence[Candidate], average_precisions: pd.Series, resampled: pd.DataFrame, y: np.ndarray
) -> tuple[Candidate, list[str], str]:
    """Choose the XGBoost to serve, by a rule fixed beforehand.

    The cheapest XGBoost in the tie set, cost being the rows that its treatment leaves times its rounds (counted, not
    timed, so that the choice is the same tomorrow); where no XGBoost ties with the best, the best XGBoost.

    Returns
    -------
    chosen : Candidate
    tied : list of str
        Names in the tie set, best first.
    reason : str
        One sentence for the report.
    """
    best, tied = tie_set(average_precisions, resampled)
    served = [candidate for candidate in candidates if candidate.learner == "xgboost"]
    if not served:
        raise ValueError("no candidate is an XGBoost, which is what the container serves; list one")
    eligible = [candidate for candidate in served if candidate.name in tied]
    if eligible:
        chosen = min(eligible, key=lambda c: sum(treated_counts(c.imbalance, y)) * c.hyperparameters["num_round"])
        others = len(tied) - 1
        told = f"one of {len(tied)} that cannot be told from the best" if others else "better than every other"
        reason = f"the cheapest XGBoost in the tie set: {told} at {LEVEL:.0%} on the same out-of-fold rows"
        if best != chosen.name:
            gap = average_precisions[best] - average_precisions[chosen.name]
            low, high = interval(resampled[best] - resampled[chosen.name])
            reason += f"; its distance to {best} is {gap:.3f} [{low:.3f}, {high:.3f}] of average precision"
    else:
        chosen = max(served, key=lambda c: average_precisions[c.name])
        low, high = interval(resampled[best] - resampled[chosen.name])
        reason = (
            f"the best XGBoost, since the container serves XGBoost; {best} is better by {low:.3f} to {high:.3f} "
            "of average precision on the same out-of-fold rows"
        )
    return chosen, tied, reason


def _reach(row: pd.Series) -> str:
    low, high = row["average_precision_ci"]
    return f"{row['average_precision']:.3f} [{low:.3f}, {high:.3f}]"


def describe_ties(table: pd.DataFrame, tied: Sequence[str]) -> str:
    """Say which candidates share the lead."""
    best = table.loc[tied[0]]
    lead = f"**{tied[0]}** has the highest average precision, {_reach(best)}"
    if len(tied) == 1:
        return f"{lead}, and every other candidate's paired {LEVEL:.0%} interval lies below it."
    others = ", ".join(f"{name} ({table.loc[name, 'average_precision']:.3f})" for name in tied[1:])
    behind = len(table) - len(tied)
    are = "one is" if behind == 1 else f"{behind} are"
    rest = f"; the other {are} behind it in a paired comparison" if behind else ", which is all of them"
    return f"{lead}. These rows cannot tell it from {others}{rest}."


def describe_collapsed(names: Sequence[str], table: pd.DataFrame) -> str:
    """Say which fits failed."""
    if not names:
        return "No supervised candidate is far below its peers: no fit has collapsed."
    listed = ", ".join(f"{name} ({table.loc[name, 'average_precision']:.3f})" for name in names)
    return (
        f"Far below their peers (less than {FAR_BELOW:.0%} of the median supervised candidate, with the whole paired "
        f"interval): {listed}. Such settings or treatments fail where frauds are rare; they say little of a learner."
    )


def family_differences(table: pd.DataFrame, resampled: pd.DataFrame) -> pd.DataFrame:
    """The best XGBoost minus the best of each other learner, paired: `value`, `low`, `high`, by candidate.

    Best by average precision on the same rows, so that the winners of both sides are equally favoured. Averages and
    candidates that contain an XGBoost are left out.
    """
    points = table["average_precision"]
    leader = points[table["learner"] == "xgboost"].idxmax()
    others = table[~table["learner"].str.contains("xgboost") & (table["kind"] == "supervised")]
    others = others[others["learner"] != "average"]
    rows = {}
    for name in points[others.index].groupby(others["learner"]).idxmax():
        low, high = interval(resampled[leader] - resampled[name])
        rows[name] = {"value": points[leader] - points[name], "low": low, "high": high}
    found = pd.DataFrame.from_dict(rows, orient="index").sort_values("value")
    found.attrs["leader"] = leader
    return found


def describe_claim(differences: pd.DataFrame, table: pd.DataFrame) -> str:
    """Answer the claim that XGBoost and logistic regression are alike, lead the others, and XGBoost is a bit better."""
    leader = differences.attrs["leader"]
    learner = table.loc[differences.index, "learner"]
    if not (learner == "logistic regression").any():
        return "No logistic regression was compared, so the claim cannot be answered."
    linear = learner[learner == "logistic regression"].index[0]
    row = differences.loc[linear]
    told = f"{leader} minus {linear}: {row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    if row["low"] > 0:
        first = f"Not alike: XGBoost is better ({told})."
    elif row["high"] < 0:
        first = f"Not alike: logistic regression is better ({told})."
    else:
        first = f"These rows cannot tell the two apart ({told})."
    points = table["average_precision"]
    ahead = [name for name in differences.index if name != linear and points[name] > points[linear]]
    behind = [name for name in differences.index if name != linear and name not in ahead]
    second = (
        f"By point values, ahead of logistic regression: {', '.join(ahead) or 'none'}; behind it: "
        f"{', '.join(behind) or 'none'}."
    )
    tied = [name for name in differences.index if name != linear and differences.loc[name, "low"] <= 0]
    third = f"Not shown to be worse than {leader}: {', '.join(tied)}." if tied else f"All are shown to trail {leader}."
    return f"{first} {second} {third}"


def shortlist(
    candidates: Sequence[Candidate], chosen: Candidate, differences: pd.DataFrame, table: pd.DataFrame
) -> list[Candidate]:
    """The choice, its closest rival among the other learners, and the best logistic regression."""
    learner = table.loc[differences.index, "learner"]
    names = [chosen.name, *differences.index[:1], *learner[learner == "logistic regression"].index]
    return [next(c for c in candidates if c.name == name) for name in dict.fromkeys(names)]


def ways_to_probability(scores: Scores, chosen: str, rebalanced: Candidate, y: np.ndarray) -> pd.DataFrame:
    """Out-of-fold probabilities of the first repeat by several ways, a column each.

    The choice as it is and after two calibrations; a candidate whose treatment moved the prior, with the correction
    and without.
    """
    rows, block = slice(0, len(y)), scores.block[: len(y)]
    score, other = (scores.values[name].to_numpy()[rows] for name in (chosen, rebalanced.name))
    return pd.DataFrame(
        {
            chosen: score,
            f"{chosen}, sigmoid": calibrate(y, score, block, "sigmoid"),
            f"{chosen}, isotonic": calibrate(y, score, block, "isotonic"),
            f"{rebalanced.name}, corrected": other,
            f"{rebalanced.name}, not corrected": uncorrected(other, kept_share(rebalanced.imbalance, y)),
        }
    )


def describe_probabilities(quality: pd.DataFrame, review_cost: float, currency: str) -> str:
    """Say what skipping the correction does to probabilities and to decisions."""
    *_, with_it, without = quality.index
    ratio = quality["mean_over_base_rate"]
    best, loss = quality["log_loss"].idxmin(), quality["log_loss"]
    told = (
        f"Without the correction the mean probability is {ratio[without]:.1f} times the share of frauds, with it "
        f"{ratio[with_it]:.2f} times. The lowest log loss is that of {best}, {loss[best]:.5f}"
    )
    told += "." if best == quality.index[0] else f" ({quality.index[0]}: {loss.iloc[0]:.5f})."
    if quality["savings"].notna().all():
        told += (
            f" At {review_cost:g} {currency} a review, decisions by probability times amount save "
            f"{quality.loc[with_it, 'savings']:.0%} of the avoidable cost with the correction and "
            f"{quality.loc[without, 'savings']:.0%} without, from {quality.loc[with_it, 'alerts']:,.0f} and "
            f"{quality.loc[without, 'alerts']:,.0f} alerts; {quality.index[0]} saves {quality['savings'].iloc[0]:.0%}."
        )
    return told


def describe_splits(random: pd.DataFrame, test: pd.DataFrame) -> str:
    """Say how far random splits flatter."""
    means = random.mean(axis=1)
    parts = [
        f"{name} {means[name]:.3f} (from {random.loc[name].min():.3f} to {random.loc[name].max():.3f}) against "
        f"{test.loc[name, 'average_precision']:.3f}"
        for name in random.index
    ]
    return f"Mean of {random.shape[1]} random splits against the last rows by time: {'; '.join(parts)}."
