"""What it costs that only alerted cards are labelled."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fraud_utils.artifact import FeatureMap, History
from fraud_utils.data import Schema, add_history
from fraud_utils.evaluation import Protocol, Rows, feedback, fits, prequential
from fraud_utils.evaluation.fits import Fit
from fraud_utils.models import Candidate

DAY = 86_400
XGBOOST = Candidate("xgboost", "none", {"num_round": 20, "max_depth": 3})
ONCE = Protocol(resamples=100, jobs=1)
SCHEMA = Schema(
    *("bought", "fraud", "t", None, ("x",)),
    entity="card",
    entities=("shop",),
    label_delay_days=2.0,
    history=(History("shop", (5.0, 10.0), ("count", "fraud_rate")),),
)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Forty shops, some of which are compromised for five days: their fraud rate says so, `x` a little."""
    rng, count = np.random.default_rng(5), 3_000
    time = np.sort(rng.integers(0, 40 * DAY, count)).astype(float)
    shop = rng.integers(0, 40, count)
    bad = (shop % 8) == (time // (5 * DAY)) % 8
    fraud = (rng.random(count) < np.where(bad, 0.5, 0.01)).astype(np.int8)
    frame = pd.DataFrame(
        {
            "t": time,
            "card": [f"c{card}" for card in rng.integers(0, 400, count)],
            "shop": [f"s{each}" for each in shop],
            "x": rng.normal(size=count) + 0.5 * fraud,
            "fraud": fraud,
        }
    )
    return add_history(frame, SCHEMA)


@pytest.fixture(scope="module")
def rows(table) -> Rows:
    return Rows.of(table, SCHEMA, FeatureMap.fit(SCHEMA, table))


@pytest.fixture(scope="module")
def blocks(rows) -> prequential.Blocks:
    return prequential.slide([XGBOOST], rows, ONCE)


def lived(rows: Rows, table: pd.DataFrame, of: prequential.Plan, reviews: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels that are known and scores, lived through day by day; every rate counted anew from all rows before."""
    X, y, score, delay = rows.X.copy(), rows.y.copy(), np.full(len(rows), np.nan), 2 * DAY
    y[rows.time >= of.start] = 0
    shop, time = table["shop"].to_numpy(), rows.time
    for fit, new in of.parts(time):
        for day in np.unique(time[new] // DAY):
            today = [i for i in new if time[i] // DAY == day]
            for i in today:
                for days in (5, 10):
                    known = (shop == shop[i]) & (time > time[i] - delay - days * DAY) & (time <= time[i] - delay)
                    column = rows.names.index(f"shop_fraud_rate_{days}d")
                    X[i, column] = y[known].sum() / max(known.sum(), 1)
            (done,) = fits.run([Fit(XGBOOST, fit, np.array(today), ONCE.seed)], X, y, "lived")
            score[today] = done.scores
            best = {}
            for i in today:
                best[rows.card[i]] = max(best.get(rows.card[i], 0), score[i])
            seen = sorted(best, key=lambda card: (-best[card], card))[:reviews]
            y[[i for i in today if rows.card[i] in seen]] = rows.y[[i for i in today if rows.card[i] in seen]]
    return y, score


def test_it_is_lived_through_day_by_day_with_labels_and_rates_that_reviews_give(rows, table, blocks):
    short = prequential.Plan(34.0 * DAY, 2.0 * DAY, 30.0 * DAY, 2.0 * DAY, 3)
    some = prequential.slide([XGBOOST], rows, ONCE, given=short)
    found = feedback.simulate(XGBOOST, rows, feedback.FraudRates.of(table, SCHEMA, rows), some, 6, ONCE)
    y, score = lived(rows, table, short, 6)
    assert found.labelled == pytest.approx(y[some.places].sum() / rows.y[some.places].sum())
    reached = [prequential.average_precision(rows.y[new], score[new]) for _, new in short.parts(rows.time)]
    assert found.alerted_only == pytest.approx(np.mean(reached))
    assert found.all_labels == pytest.approx(prequential.summary(some).models[0].average_precision)
    assert found.loss == pytest.approx(found.all_labels - found.alerted_only)
    assert found.loss_ci[0] <= found.loss <= found.loss_ci[1]


def test_where_all_cards_are_reviewed_nothing_is_lost(rows, table, blocks):
    found = feedback.simulate(XGBOOST, rows, feedback.FraudRates.of(table, SCHEMA, rows), blocks, 400, ONCE)
    assert (found.labelled, found.loss, found.loss_ci) == (1, 0, (0, 0))
    assert "no loss of average precision is shown (0.000 [0.000, 0.000])" in feedback.describe(found, SCHEMA).replace(
        "+", ""
    )


def test_where_one_card_is_reviewed_rates_and_fits_lose_what_made_them_good(rows, table, blocks):
    found = feedback.simulate(XGBOOST, rows, feedback.FraudRates.of(table, SCHEMA, rows), blocks, 1, ONCE)
    assert found.labelled < 0.3
    assert found.loss_ci[0] > 0
    assert "1 card a day as the only source of labels" in feedback.describe(found, SCHEMA)
    assert "average precision is lower by +0." in feedback.describe(found, SCHEMA)
    said = feedback.describe(replace(found, labelled=0.1234), SCHEMA)
    assert "12\N{NO-BREAK SPACE}% of the frauds" in said  # of few frauds: no more digits


def test_tables_that_cannot_be_asked_are_told_why(rows, table, blocks):
    plain = replace(SCHEMA, history=(History("shop", (5.0,), ("count",)),))
    rates = feedback.FraudRates.of(table, plain, rows)
    assert feedback.simulate(XGBOOST, rows, rates, blocks, 5, ONCE) is None
    assert "fraud rates in its history" in feedback.describe(None, plain)
    rates = feedback.FraudRates.of(table, SCHEMA, rows)
    assert feedback.simulate(XGBOOST, rows, rates, prequential.Blocks(left_out="too short"), 5, ONCE) is None
    assert "no blocks of whole days" in feedback.describe(None, SCHEMA)
