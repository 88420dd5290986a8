"""Whether scores can be taken as probabilities: calibration, and what undoes a treatment's prior."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.artifact import prior_correction
from fraud_utils.evaluation.metrics import metrics
from fraud_utils.evaluation.rows import Rows, Scores
from fraud_utils.evaluation.weights import stands_for
from fraud_utils.intervals import exact
from fraud_utils.models import Candidate

CALIBRATED = 3  # columns of `calibrated`


def calibrate(y: np.ndarray, score: np.ndarray, block: np.ndarray, method: str, share: float = 1.0) -> np.ndarray:
    """Map scores to probabilities by a curve that is fitted on the rows of other blocks.

    Parameters
    ----------
    score : numpy.ndarray, shape (rows,)
        Out-of-fold probabilities.
    block : numpy.ndarray of int, shape (rows,)
        The fold of each row; a block's curve comes from the others, so that what is shown was not fitted on.
    method : {"sigmoid", "isotonic"}
        A line in log-odds (Platt 1999), or any rising curve (Zadrozny and Elkan 2002).
    share : float
        Of the legitimate rows that are here (`Rows.share`).
    """
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    result, stands = np.empty(len(y)), stands_for(y, share)
    log_odds = np.log(np.clip(score, 1e-12, 1 - 1e-12) / (1 - np.clip(score, 1e-12, 1 - 1e-12)))
    for number in np.unique(block):
        here = block == number
        if method == "sigmoid":
            line = LogisticRegression(C=np.inf, max_iter=1000).fit(log_odds[~here, None], y[~here], stands[~here])
            result[here] = line.predict_proba(log_odds[here, None])[:, 1]
        elif method == "isotonic":
            curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
            curve.fit(score[~here], y[~here], stands[~here])
            result[here] = curve.predict(score[here])
        else:
            raise ValueError(f"method is {method!r}; it must be 'sigmoid' or 'isotonic'")
    return result


def uncorrected(probability: np.ndarray, kept_share: float) -> np.ndarray:
    """Undo `artifact.prior_correction`: what the model fitted on rebalanced rows says by itself."""
    return prior_correction(probability, 1 / kept_share)


def calibrated(scores: Scores, candidate: Candidate) -> pd.DataFrame:
    """Out-of-fold probabilities of a candidate, as they are and after two calibrations, a column each."""
    score, rows, block = scores.of(candidate), scores.rows, scores.block[: len(scores.rows)]
    table = {candidate.name: score}
    for method in ("sigmoid", "isotonic"):
        table[f"{candidate.name}, {method}"] = calibrate(rows.y, score, block, method, rows.share)
    return pd.DataFrame(table)


def with_and_without_correction(scores: Scores, rebalanced: Candidate) -> pd.DataFrame:
    """Out-of-fold probabilities of a candidate whose treatment moved the prior, corrected for that and not.

    Without columns where the treatment changes nothing: there is nothing to correct then.
    """
    if rebalanced.treatment.obstacle(scores.rows.y):
        return pd.DataFrame(index=range(len(scores.rows)))
    score, kept = scores.of(rebalanced), rebalanced.treatment.kept_share(scores.rows.y) * scores.rows.share
    return pd.DataFrame(
        {
            f"{rebalanced.name}, corrected": score,
            f"{rebalanced.name}, not corrected": uncorrected(score, kept),
        }
    )


def reliability(rows: Rows, probabilities: pd.DataFrame, bins: int = 8) -> pd.DataFrame:
    """Compare what probabilities say with what happened, in bins that hold about as many frauds each.

    Returns
    -------
    pandas.DataFrame
        Tidy: `name`, `predicted` (mean of the bin), `observed` (share of frauds) with its exact interval `low`,
        `high`, and `rows`.
    """
    tables, y, stands = [], rows.y, rows.weight
    for name in probabilities:
        values = probabilities[name].to_numpy()
        edges = np.unique(np.quantile(values[y == 1], np.linspace(0, 1, bins + 1)[1:-1]))
        place = np.searchsorted(edges, values, side="right")
        count, frauds = np.bincount(place, stands), np.bincount(place, y)
        low, high = exact(frauds, count, share=rows.share)
        bin_of = {"predicted": np.bincount(place, values * stands) / count, "observed": frauds / count}
        bin_of |= {"low": low, "high": high, "rows": count.round().astype(int)}
        tables.append(pd.DataFrame({"name": name, **bin_of}))
    return pd.concat(tables, ignore_index=True)


def quality(rows: Rows, probabilities: pd.DataFrame, review_cost: float) -> pd.DataFrame:
    """Brier score, log loss, mean probability over base rate, and savings where decisions follow the probability."""
    table = {}
    for name in probabilities:
        values = probabilities[name].to_numpy()
        judged = metrics(rows, values, 0.5, review_cost)
        low, high = judged["savings_ci"] or (None, None)
        table[name] = {
            "brier": judged["brier"],
            "log loss": judged["log_loss"],
            "mean over base rate": np.average(values, weights=rows.weight) / (rows.y.sum() / rows.count()),
            "alerts": None if rows.amount is None else round(rows.count(values * rows.amount > review_cost)),
            "savings": judged["savings"],
            "low": low,
            "high": high,
        }
    return pd.DataFrame.from_dict(table, orient="index")


def describe(quality: pd.DataFrame, review_cost: float, currency: str) -> str:
    """Say what skipping the correction does to probabilities and to decisions.

    Parameters
    ----------
    quality : pandas.DataFrame
        Of the columns of `calibrated`, then those of `with_and_without_correction`.
    """
    first, *_ = names = list(quality.index)
    *_, with_it, without = names
    ratio, loss, saved, alerts = (quality[key] for key in ("mean over base rate", "log loss", "savings", "alerts"))
    corrected = len(names) > CALIBRATED
    if corrected:
        text = (
            f"Without the correction the mean probability is {words.decimals(ratio[without], 1)} times the share of "
            f"frauds, with it {words.decimals(ratio[with_it], 2)} times."
        )
    else:
        text = (
            "Frauds are so frequent among the rows to learn from that ten legitimate ones for each rebalance nothing: "
            "there is no correction to show."
        )
    lowest = loss.idxmin()
    text += f" On these rows the lowest log loss is that of {lowest}, {words.decimals(loss[lowest], 5)}"
    text += "." if lowest == first else f" ({first}: {words.decimals(loss[first], 5)})."
    if corrected and saved.notna().all():
        text += (
            f" At {words.money(review_cost, currency)} a review, decisions by probability times amount save "
            f"{words.percent(saved[with_it], 2)} of the avoidable cost with the correction and "
            f"{words.percent(saved[without], 2)} without, with {alerts[with_it]:,.0f} and "
            f"{words.count(alerts[without], 'alert')}; {first} saves {words.percent(saved[first], 2)}."
        )
    return text
