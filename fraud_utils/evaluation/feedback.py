"""What if only those cards are ever labelled that the model itself raised an alert on?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.artifact import Events, History, cents
from fraud_utils.data import LEAST, Schema
from fraud_utils.evaluation import fits
from fraud_utils.evaluation.cards import DAY, card_days
from fraud_utils.evaluation.fits import Fit
from fraud_utils.evaluation.metrics import average_precision
from fraud_utils.evaluation.prequential import Blocks
from fraud_utils.evaluation.resamples import bootstrap_average_precision
from fraud_utils.evaluation.rows import Protocol, Rows, Scores
from fraud_utils.intervals import percentile
from fraud_utils.models import Candidate
from fraud_utils.record import Feedback

ALL, ALERTED = "all labels", "alerted cards' labels"


@dataclass(frozen=True)
class FraudRates:
    """The history columns that hold labels, so that they can be computed again from the labels that are known.

    Attributes
    ----------
    entities : dict of History to numpy.ndarray of int, shape (rows,)
        The settings, and each row's entity.
    """

    rows: Rows
    cents: np.ndarray
    entities: dict[History, np.ndarray]

    @classmethod
    def of(cls, frame: pd.DataFrame, schema: Schema, rows: Rows) -> FraudRates:
        """Those of a table, whose rows are given."""
        entities = {}
        for each in schema.history:
            if "fraud_rate" in each.of:
                entities[History(each.by, each.days, ("fraud_rate",))] = pd.factorize(frame[each.by])[0]
        return cls(rows, cents(frame[schema.amount] if schema.amount else np.zeros(len(frame))), entities)

    def write(self, X: np.ndarray, known: np.ndarray, begin: int, end: int) -> None:
        """Compute the columns of the rows from `begin` to `end` in place, `known` being all that is taken as fraud."""
        delay, time = self.rows.label_delay_days, np.asarray(self.rows.time)
        for history, entity in self.entities.items():
            first = int(np.searchsorted(time, time[begin] - history.reach(delay)))
            part = slice(first, end)
            values = history.values(Events(entity[part], time[part], self.cents[part], known[part]), delay)
            for name, column in values.items():
                if name in self.rows.names:
                    X[begin:end, self.rows.names.index(name)] = column[begin - first :]


def simulate(
    candidate: Candidate, rows: Rows, rates: FraudRates, blocks: Blocks, cards_per_day: int, protocol: Protocol
) -> Feedback | None:
    """Live through the blocks with the labels that reviews alone give, and compare with all labels, on the same rows.

    Before the first block every label is known. From there on, the cards with the highest scores of a day are
    reviewed, and their rows of that day get their labels once the delay has passed; what nobody reviewed counts as
    legitimate, both where the next blocks' models are fitted and in fraud rates (Dal Pozzolo et al. 2018, "Credit card
    fraud detection: a realistic modeling and a novel learning strategy"). All rows are judged by their true labels.

    Parameters
    ----------
    candidate : Candidate
        An XGBoost, the first of those in `blocks`.
    rows : Rows
        Before the test set, those that `blocks` are of.

    Returns
    -------
    Feedback or None
        With the paired interval of the loss; None where there are no cards, no fraud rates in the history, no blocks
        of days, or too few frauds that reviews have labelled to fit on.
    """
    if not (cards_per_day and rates.entities and blocks.plan and blocks.scores) or blocks.plan.block < DAY:
        return None
    X, y, score, time = rows.X.copy(), rows.y.copy(), np.full(len(rows), np.nan), np.asarray(rows.time)
    parts = blocks.plan.parts(time)
    y[parts[0][1][0] :] = 0
    for number, (fit, new) in enumerate(parts, 1):
        if y[fit].sum() < LEAST:
            return None
        todo = [Fit(candidate, fit, new[:1], protocol.seed)]
        what = f"Labels of alerted cards, block {number} of {len(parts)}"
        (fitted,) = fits.run(todo, X, y, what, protocol.cache, protocol.jobs)
        for day in filter(len, np.split(new, np.flatnonzero(np.diff(time[new] // DAY)) + 1)):
            rates.write(X, y, day[0], day[-1] + 1)
            score[day] = _margin(fitted.booster, X[day])
            y[day] = rows.y[day] * _reviewed(rows.at(day), score[day], cards_per_day)
    places, judged = blocks.places, blocks.scores
    values = pd.DataFrame({ALL: judged.values[candidate.name], ALERTED: score[places]})
    both = Scores(judged.rows, values, judged.block)
    drawn = bootstrap_average_precision(both, protocol)
    low, high = percentile(drawn[ALL] - drawn[ALERTED])
    reached = {name: average_precision(both.rows.y, values[name].to_numpy(), both.block) for name in values}
    return Feedback(
        cards_per_day,
        blocks=len(np.unique(both.block)),
        labelled=float(y[places].sum() / rows.y[places].sum()),
        all_labels=reached[ALL],
        alerted_only=reached[ALERTED],
        loss=reached[ALL] - reached[ALERTED],
        loss_ci=(low, high),
    )


def describe(found: Feedback | None, schema: Schema) -> str:
    """Say what it costs that only alerted cards are labelled, or why that is not known."""
    if found:
        return loss(found)
    if not schema.entity or not any("fraud_rate" in each.of for each in schema.history):
        return "Asked only of tables whose schema names an entity, and fraud rates in its history."
    return "Not asked: there are no blocks of whole days, reviews label too few frauds to fit on, or rows are a sample."


def loss(found: Feedback) -> str:
    """Say what it costs that only alerted cards are labelled."""
    lost = words.decimals_between(found.loss, found.loss_ci, sign="+")
    verdict = f"no loss of average precision is shown ({lost})"
    if found.loss_ci[0] > 0:
        verdict = f"average precision is lower by {lost}"
    elif found.loss_ci[1] < 0:
        verdict = f"average precision is not lower but differs by {lost}"
    return (
        f"With reviews of {words.count(found.cards_per_day, 'card')} a day as the only source of labels, "
        f"{words.percent(found.labelled, 2)} of the frauds since the first of {words.count(found.blocks, 'block')} get "
        f"theirs, and {verdict}: {words.decimals(found.alerted_only)} instead of {words.decimals(found.all_labels)}. A "
        "longer time without other labels may cost more."
    )


def _margin(model: bytes, X: np.ndarray) -> np.ndarray:
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(model))
    return booster.inplace_predict(X, predict_type="margin")


def _reviewed(day: Rows, score: np.ndarray, cards_per_day: int) -> np.ndarray:
    """Which rows of a day are of the cards with its highest scores."""
    cards = card_days(day, score).nlargest(cards_per_day, "score")
    return np.isin(day.card, cards["card"].to_numpy())  # type: ignore[arg-type]
