"""The comparison as tables and sentences: who leads, who ties, what has failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.evaluation.cards import DAY, attainable, card_precision
from fraud_utils.evaluation.decisions import best_f1_threshold
from fraud_utils.evaluation.metrics import average_precision, metrics, top_k
from fraud_utils.evaluation.rows import Scores
from fraud_utils.intervals import LEVEL, percentile, together
from fraud_utils.models import Candidate
from fraud_utils.record import Metrics, Model

FAR_BELOW = 0.9  # of the median supervised candidate: what lies below it with its whole interval has collapsed


def describe_left_out(columns: Mapping[str, str], treatments: Mapping[str, str]) -> str:
    """Say which columns and which treatments of the imbalance take no part, and why, both by name."""
    said = []
    if columns:
        named = (f"{words.code(name)} ({what})" for name, what in columns.items())
        said.append(f"Left out of the models, since all training rows are alike in them: {words.listed(named)}.")
    for why in dict.fromkeys(treatments.values()):
        named = (name for name, reason in treatments.items() if reason == why)
        said.append(f"Left out of the comparison: {words.listed(named)}, since {why}.")
    return words.bullets(said or ["Every column and every treatment of the imbalance takes part."])


def judge(
    candidates: Sequence[Candidate],
    scores: Scores,
    resampled: pd.DataFrame,
    review_cost: float = 3.0,
    thresholds: Mapping[str, float] | None = None,
    cards_per_day: int = 0,
) -> pd.DataFrame:
    """Judge every candidate on one set of rows.

    Parameters
    ----------
    resampled : pandas.DataFrame
        Average precision on resamples, a column a candidate.
    thresholds : mapping of str to float, optional
        By candidate, fixed on other rows. Without it each candidate's best by F1 on these rows, which is for choosing
        only: such F1, precision and recall are too good.
    cards_per_day : int
        Cards that are reviewed a day; 0 for no card precision.

    Returns
    -------
    pandas.DataFrame
        A row a candidate: `learner`, `imbalance`, `kind`, `repeats` (how often each row was scored), `threshold`, and
        the fields of `record.Metrics`. Anomaly scores are no probabilities: what needs those is null for unsupervised
        candidates.
    """
    rows, table = scores.rows, {}
    most = attainable(rows, cards_per_day) if cards_per_day else None
    for candidate in candidates:
        score = scores.of_all_repeats(candidate)
        if thresholds is None:
            threshold = best_f1_threshold(scores.repeated(rows.y, score), score, rows.share)
        else:
            threshold = thresholds[candidate.name]
        table[candidate.name] = {
            "learner": candidate.learner,
            "imbalance": candidate.imbalance,
            "kind": candidate.kind,
            "repeats": scores.repeats(score),
            "threshold": threshold,
            "average_precision": average_precision(rows.y, score, scores.block[: len(score)], rows.share),
            "average_precision_ci": percentile(resampled[candidate.name]),
            **metrics(rows, score, threshold, review_cost, candidate.kind != "unsupervised"),
            **_a_day(scores, score, cards_per_day),
            "card_precision_attainable": most,
        }
    return pd.DataFrame.from_dict(table, orient="index")


def _a_day(scores: Scores, score: np.ndarray, cards_per_day: int) -> dict[str, float | None]:
    """Precision among each day's highest scores, a mean over days and repeats: of 100 rows, and of so many cards."""
    rows, result = scores.rows, dict.fromkeys(("precision_at_100_a_day", "card_precision"))
    if rows.time is None:
        return result
    repeats = score.reshape(-1, len(rows))
    days = np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows.time // DAY)) + 1)
    reached = [top_k(rows.y[day], once[day], share=rows.share)[0] for once in repeats for day in days]
    result["precision_at_100_a_day"] = float(np.mean(reached))
    if cards_per_day:
        reached = [card_precision(rows, once, cards_per_day)["precision"].mean() for once in repeats]
        result["card_precision"] = float(np.mean(reached))
    return result


def as_models(oof: pd.DataFrame, test: pd.DataFrame, fold_fit: pd.Series, fit: pd.Series) -> tuple[Model, ...]:
    """The comparison as a run records it; `fold_fit` and `fit` are seconds by candidate."""
    judged, about = [item.name for item in fields(Metrics)], ["learner", "imbalance", "kind"]
    return tuple(
        Model(
            name,
            **oof.loc[name, about].to_dict(),
            oof=Metrics(**oof.loc[name, judged].to_dict()),
            test=Metrics(**test.loc[name, judged].to_dict()),
            seconds={"fold_fit": fold_fit[name], "fit": fit[name]},
        )
        for name in oof.index
    )


def shown(table: pd.DataFrame, digits: int = 3) -> pd.DataFrame | None:
    """A table for the last line of a cell: rounded, thousands separated; nothing at all where it has no rows."""
    if table.empty:
        return None
    result = table.astype(object)
    for name, values in table.select_dtypes("number").items():
        whole = values.dtype.kind in "iu" or values.abs().max() >= 1_000
        result[name] = [words.decimals(value, 0 if whole else digits) for value in values]
    return result


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The numbers of a comparison with the interval of average precision, the best first.

    To three places; to five what is small where frauds are rare, Brier score and log loss. Precision and recall among
    the 100 highest scores of the whole time are left out, since nobody reviews so; repeats, where all have as many.
    """
    given = table.drop(columns=["threshold", "precision_at_100", "recall_at_100", "repeats"])
    numbers = given.select_dtypes("number").astype(float)
    if len(set(table["repeats"])) > 1:
        numbers["repeats"] = table["repeats"]
    for place, side in enumerate(("low", "high")):
        numbers.insert(place + 1, side, [bounds[place] for bounds in table["average_precision_ci"]])
    return (
        numbers.sort_values("average_precision", ascending=False)
        .round(dict.fromkeys(numbers, 3) | {"brier": 5, "log_loss": 5})
        .rename(columns=lambda name: name.replace("_", " "))
    )


def ranked_intervals(table: pd.DataFrame, tied: Sequence[Candidate]) -> pd.DataFrame:
    """Average precision with its interval, best first, for `plots.plot_intervals`: `value`, `low`, `high`, `group`."""
    ranked = table.sort_values("average_precision", ascending=False)
    bounds, names = np.array(ranked["average_precision_ci"].tolist()), {candidate.name for candidate in tied}
    group = ["tie set" if name in names else "outside the tie set" for name in ranked.index]
    return pd.DataFrame(
        {"value": ranked["average_precision"], "low": bounds[:, 0], "high": bounds[:, 1], "group": group}
    )


def precision_recall(scores: Scores, candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Precision and recall of each candidate at every distinct score, tidy: `name`, `recall`, `precision`."""
    from sklearn.metrics import precision_recall_curve

    curves = []
    for name, candidate in {candidate.name: candidate for candidate in candidates}.items():
        rows, score = scores.rows, scores.of(candidate)
        precision, recall, _ = precision_recall_curve(rows.y, score, sample_weight=rows.weight)
        curves.append(pd.DataFrame({"name": name, "recall": recall, "precision": precision}))
    return pd.concat(curves, ignore_index=True)


def roc(scores: Scores, candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Each candidate's receiver operating characteristic, tidy: `name`, `false_alarms` (share of legitimate rows that
    raise an alert), `recall`."""
    from sklearn.metrics import roc_curve

    curves = []
    for name, candidate in {candidate.name: candidate for candidate in candidates}.items():
        false_alarms, recall, _ = roc_curve(scores.rows.y, scores.of(candidate))
        curves.append(pd.DataFrame({"name": name, "false_alarms": false_alarms, "recall": recall}))
    return pd.concat(curves, ignore_index=True)


def score_bins(scores: Scores, candidate: Candidate, bins: int = 30) -> pd.DataFrame:
    """How a candidate's probabilities are distributed within each class, in bins that are even in log-odds.

    Returns
    -------
    pandas.DataFrame
        Tidy: `kind` (legitimate or fraud), `left` and `right` edge of the bin, `share` of the class in it; the
        outermost bins hold what lies beyond.
    """
    y, score = scores.rows.y, np.clip(scores.of(candidate), 1e-6, 1 - 1e-6)
    log_odds = np.log(score / (1 - score))
    edges = np.linspace(log_odds.min() - 1e-9, max(log_odds.max(), log_odds.min() + 0.1) + 1e-9, bins + 1)
    left, right = (1 / (1 + np.exp(-side)) for side in (edges[:-1], edges[1:]))
    tables = []
    for kind, label in (("legitimate", 0), ("fraud", 1)):
        counts, _ = np.histogram(log_odds[y == label], edges)
        tables.append(pd.DataFrame({"kind": kind, "left": left, "right": right, "share": counts / counts.sum()}))
    return pd.concat(tables, ignore_index=True)


def distances(table: pd.DataFrame, resampled: pd.DataFrame) -> pd.DataFrame:
    """How far each candidate's average precision is from the best one's, paired: `value`, `low`, `high`, best first.

    The best is found by looking at all, so that its distance to each is judged as one of all pairs: the intervals are
    those of Tukey's range test, with the range's distribution from the resamples.
    """
    points = table["average_precision"].sort_values(ascending=False, kind="stable")
    draws = resampled[points.index].to_numpy()
    centred = draws - draws.mean(axis=0)
    gaps = centred[:, :, None] - centred[:, None, :]
    errors = gaps.std(axis=0)
    known = errors > 1e-12  # two that score alike have a distance of none
    ranges = (np.abs(gaps) / np.where(known, errors, np.inf)).max(axis=(1, 2))
    half = np.quantile(ranges, LEVEL) * np.where(known[0], errors[0], 0)
    value = points - points.iloc[0]
    return pd.DataFrame({"value": value, "low": value - half, "high": value + half})


def tie_set(candidates: Sequence[Candidate], table: pd.DataFrame, resampled: pd.DataFrame) -> list[Candidate]:
    """The best candidate and all that are statistically tied with it, best first.

    A candidate is outside the set when the interval of its distance to the best lies below zero.
    """
    by_name = {candidate.name: candidate for candidate in candidates}
    high = distances(table, resampled)["high"]
    return [by_name[name] for name in high.index[high >= 0]]


def describe_ties(table: pd.DataFrame, tied: Sequence[Candidate]) -> str:
    """Say which candidates share the lead."""
    best, *others = (candidate.name for candidate in tied)
    reached = words.decimals_between(*table.loc[best, ["average_precision", "average_precision_ci"]])
    lead = f"**{best}** has the highest average precision, {reached}"
    if not others:
        return f"{lead}; every other candidate is behind it in paired comparisons that hold together."
    text = f"{lead}. Statistically tied with it: {_with_figures(others, table)}"
    match len(table) - len(tied):
        case 0:
            return f"{text}, which is all of them."
        case 1:
            return f"{text}; the other one is behind it in paired comparisons that hold together."
        case behind:
            return f"{text}; the other {behind} are behind it in paired comparisons that hold together."


def collapsed(table: pd.DataFrame, resampled: pd.DataFrame) -> list[str]:
    """Supervised candidates far below their peers: fits that failed, not findings about a method.

    The paired interval of a candidate's average precision over the median supervised one's lies below `FAR_BELOW`; the
    intervals of all candidates hold together.
    """
    supervised = list(table.index[table["kind"] == "supervised"])
    middle = resampled[supervised].median(axis=1)
    level = together(len(supervised))
    return [name for name in supervised if percentile(resampled[name] / middle, level)[1] < FAR_BELOW]


def describe_collapsed(names: Sequence[str], table: pd.DataFrame) -> str:
    """Say which fits failed."""
    if not names:
        return "No supervised candidate is far below its peers: no fit has collapsed."
    return (
        f"Far below their peers (less than {words.percent(FAR_BELOW)} of the median supervised candidate, with the "
        f"whole paired interval): {_with_figures(names, table)}. Such settings or treatments fail where frauds are "
        "rare; they say little about a learner."
    )


def _with_figures(names: Sequence[str], table: pd.DataFrame) -> str:
    return ", ".join(f"{name} ({words.decimals(table.loc[name, 'average_precision'])})" for name in names)


def describe_splits(random: pd.DataFrame, test: pd.DataFrame) -> str:
    """Say how far random splits flatter, or why that is not known."""
    if random.empty:
        return random.attrs["left_out"]
    parts = [
        f"{name} {words.decimals(splits.mean())} (from {words.decimals(splits.min())} to "
        f"{words.decimals(splits.max())}) against {words.decimals(test.loc[name, 'average_precision'])}"
        for name, splits in random.iterrows()
    ]
    return f"Mean of {random.shape[1]} random splits against the last rows by time: {'; '.join(parts)}."
