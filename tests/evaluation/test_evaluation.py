"""All that notebook 02 asks, on small tables of the kinds that people have: each question is answered, or says why not.

Whole reports on such tables are in tests/notebooks.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fraud_utils import models
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema, split_transactions
from fraud_utils.evaluation import (
    Protocol,
    Rows,
    bootstrap_average_precision,
    calibration,
    cards,
    compare,
    decisions,
    explain,
    fairness,
    fit_and_score,
    leakage,
    out_of_fold,
    prequential,
    random_splits,
    resampled_metrics,
    selection,
)

ONCE = Protocol(resamples=100, random_splits=2, jobs=1)
FAST = {"xgboost": {"num_round": 20, "eta": 0.3}, "histogram gradient boosting": {"max_iter": 20}}
COUNT = 900


def table(share: float) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    fraud = (rng.random(COUNT) < share).astype(np.int8)
    return pd.DataFrame(
        {
            "t": np.arange(COUNT) * 600.0,
            "card": pd.Categorical([f"c{card}" if card < 40 else None for card in rng.integers(0, 80, COUNT)]),
            "x": rng.normal(size=COUNT) + 1.5 * fraud,
            "late": np.where(np.arange(COUNT) >= 0.9 * COUNT, 1.0, np.nan),
            "same": 3.0,
            "age": rng.integers(18, 90, COUNT).astype(float),
            "paid": rng.exponential(8_000, COUNT).round(2),
            "fraud": fraud,
        }
    )


def answers(frame: pd.DataFrame, schema: Schema) -> dict[str, str]:
    """Sections of notebook 02 and what they say."""
    split = split_transactions(frame, schema)
    features = FeatureMap.fit(schema, split.train)
    rows, test = (Rows.of(part, schema, features) for part in (split.train, split.test))
    listed = [c for c in models.candidates("quick", rows.complete, features, rows.y) if _is_fast(c)]
    listed = [models.Candidate(c.learner, c.imbalance, FAST.get(c.learner, c.hyperparameters)) for c in listed]
    scores = out_of_fold(listed, rows, ONCE)
    resampled = bootstrap_average_precision(scores, ONCE)
    reviews = cards.budget(rows)
    oof = compare.judge(listed, scores, resampled, cards_per_day=reviews)
    tied, differences = compare.tie_set(listed, oof, resampled), selection.family_differences(oof, resampled)
    chosen, reason = selection.choose(listed, tied, oof, resampled, rows.y)
    alerting = decisions.thresholds(scores, chosen, 3.0, 10)
    shortlist = selection.shortlist(listed, chosen, differences, oof)
    by_hand = next(c for c in listed if c.name == "xgboost")
    ways = calibration.with_and_without_correction(scores, by_hand.treated("undersample 1:10"))
    ways = calibration.calibrated(scores, chosen).join(ways)
    tested = fit_and_score(listed, rows, test, ONCE)
    judged = compare.judge(listed, tested, bootstrap_average_precision(tested, ONCE), 3.0, oof["threshold"])
    everything = Rows.of(pd.concat([split.train, split.test]), schema, features)
    threshold = alerting[0].score
    days = decisions.per_day(decisions.on_test(tested, chosen, alerting, 3.0, ONCE), tested.rows.days)
    decides, why, _ = decisions.deciding(scores, chosen, alerting, 3.0)
    assert (decides == "f1") == (rows.amount is None) or "cheaper" in why
    parts = explain.by_parts(rows, scores.of(chosen) >= threshold)
    people = fairness.compared(split, schema, tested.of(chosen) >= threshold)
    bayes = models.Candidate("logistic regression")
    assert explain.cases(tested, chosen, threshold, features, split.test)
    assert np.isfinite(resampled_metrics(tested, chosen, threshold)).all(axis=None)
    return {
        "left out": compare.describe_left_out(
            FeatureMap.constant(schema, split.train), models.left_out("quick", rows.complete, rows.y)
        ),
        "ties": compare.describe_ties(oof, tied),
        "collapsed": compare.describe_collapsed(compare.collapsed(oof, resampled), oof),
        "claim": selection.describe_claim(differences, oof),
        "choice": f"{reason}. {decisions.describe_thresholds(alerting)}",
        "in time": prequential.describe(prequential.slide(shortlist, rows, ONCE, reviews), chosen),
        "cards": cards.describe(cards.on_test_set(frame, schema, test, tested.of(chosen), reviews)),
        "probabilities": calibration.describe(calibration.quality(rows, ways, 3.0), 3.0, "EUR"),
        "per day": ", ".join(days) or "none",
        "random": compare.describe_splits(random_splits(shortlist, everything, ONCE), judged),
        "wrong": leakage.describe(leakage.lab(by_hand, rows, tested, oof.loc["xgboost", "threshold"], ONCE)),
        "own": leakage.describe_check(leakage.check(bayes, rows, ONCE, 3)),
        "parts": explain.describe_parts(parts),
        "people": " ".join(fairness.describe(people)),
    }


def _is_fast(candidate: models.Candidate) -> bool:
    return candidate.learner in ("dummy", "amount rule", "logistic regression", *FAST)


FEATURES = ("x", "late", "same", "age")
KINDS: dict[str, Callable[[], tuple[pd.DataFrame, Schema]]] = {
    "cards": lambda: (table(0.06), Schema("cards", "fraud", "t", "paid", FEATURES, entity="card", groups=("age",))),
    "no times": lambda: (
        table(0.2).assign(late=np.nan).drop(columns=["t", "card", "paid"]),
        Schema("no times", "fraud", None, None, FEATURES),
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def said(request) -> tuple[str, dict[str, str]]:
    return request.param, answers(*KINDS[request.param]())


def test_every_question_has_an_answer(said):
    _, texts = said
    assert all(texts[name] for name in texts.keys() - {"people"})
    assert not any(word in text for text in texts.values() for word in ("nan", "None", "inf "))


def test_columns_that_are_alike_are_named(said):
    assert "`late` (no value) and `same` (always 3)" in said[1]["left out"]


def test_what_needs_times_or_rare_frauds_is_left_out_with_the_reason_where_there_are_none(said):
    kind, texts = said
    bare = kind == "no times"
    for section in ("in time", "random", "choice"):
        assert ("The table has no times, so" in texts[section]) == bare, section
    assert (texts["per day"] == "none") == bare
    assert ("neither amounts nor times" in texts["parts"]) == bare
    assert ("undersample 1:10 and SMOTE 1:10, since 1 row in" in texts["left out"]) == bare
    assert ("no correction to show" in texts["probabilities"]) == bare
    assert ("SMOTE 1:10 before the folds is left out" in texts["wrong"]) == bare
    assert ("Between the 4 groups by age" in texts["people"]) != bare
    assert ("names no entity or no time" in texts["cards"]) == bare
    assert "standard errors from one half" in texts["own"]
