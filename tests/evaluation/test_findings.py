"""Sentences and the figures that they are made from; whole runs are checked in tests/notebooks."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from fraud_utils.evaluation import findings
from fraud_utils.record import Bins, Choice, Data, Day, Metrics, Model, Sections, Split, Threshold

WAY = Day(15.0, (8.4, 24.8), 12.0, (6.2, 21.0), 1302.6, (300.0, 2450.0), 3.0, (0.6, 8.8))


def judged(value: float, low: float, high: float, **more: Any) -> Metrics:
    return Metrics(value, (low, high), **more)


RUN = Sections(
    data=Data("mine.csv", currency="EUR"),
    split=Split(test_rows=10_000, test_frauds=20, test_days=0.25),
    models=(
        Model("trees", oof=judged(0.8, 0.75, 0.85),
              test=judged(0.7, 0.6, 0.79, precision=0.8, recall=0.6, savings=0.5, savings_ci=(0.3, 0.7))),
        Model("average of all", oof=judged(0.81, 0.76, 0.86), test=judged(0.72, 0.6, 0.8)),
        Model("dummy", kind="baseline", oof=judged(0.002, 0.002, 0.002), test=judged(0.002, 0.002, 0.002)),
    ),
    tie_set=("average of all", "trees"),
    chosen=Choice("trees", "it is the cheapest", alerting=(Threshold("cost", 0.1), Threshold("f1", 0.25)),
                  why="where precision and recall balance best", on_test={"f1": WAY}),
)  # fmt: skip


def changed(test: Metrics | None = None, **chosen: Any) -> Sections:
    """The run with other figures of the chosen model on the test set, or with changes of the choice."""
    assert RUN.models and RUN.chosen
    first, *others = RUN.models
    return replace(RUN, models=(replace(first, test=test or first.test), *others), chosen=replace(RUN.chosen, **chosen))


def text(run: Sections) -> str:
    return plain(" ".join([*findings.recommendation(run).values(), *findings.on_test_set(run)]))


def plain(sentence: str) -> str:
    return sentence.replace("\N{NO-BREAK SPACE}", " ").replace("−", "-")


def test_the_recommendation_of_a_model_that_works():
    assert {heading: plain(sentence) for heading, sentence in findings.recommendation(RUN).items()} == {
        "What to do": "Serve trees and alert from a score of 0.25, where precision and recall balance best.",
        # 12 of 20 and 12 of 15, with the intervals that R's binom.test gives
        "What to expect": "On the 10,000 transactions of the test set that raises 15 alerts and catches 12 of 20 "
        "frauds, 60 % [36, 81]; 80 % [52, 96] of its alerts are frauds.",
        "What is uncertain": "The figures rest on 20 frauds in 6.0 hours, and frauds come in bursts, so real days vary "
        "more than the intervals say; out of fold, 1 other candidate is statistically tied with it.",
    }
    (sentence,) = findings.on_test_set(RUN)
    assert sentence == (
        "On the test set, trees reaches an average precision of 0.700 [0.600, 0.790]; ranking at random would reach "
        "0.002. Its out-of-fold figure, 0.800, lies above that interval."
    )


def test_the_recommendation_speaks_of_the_tables_own_rows_and_unit():
    run = replace(RUN, data=Data("claims", currency="EUR", noun="claim"), split=replace(RUN.split, test_days=100.0))
    assert "On the 10,000 claims of the test set" in text(run)
    assert "20 frauds in 100.0 days, and frauds come in bursts, so real weeks vary" in text(run)


def test_without_times_it_says_what_it_cannot_know():
    run = replace(RUN, split=Split(train_rows=40_000, train_frauds=80, test_rows=10_000, test_frauds=20))
    uncertain = findings.recommendation(run)["What is uncertain"]
    assert uncertain.startswith("The figures rest on 20 frauds among rows drawn at random; the table has no times, so")
    assert "whether the past predicts the future, it cannot know" in uncertain and "days" not in uncertain


@pytest.mark.parametrize(
    ("interval", "said"),
    [((1.0, 9.0), ""), ((-1.0, 9.0), "that it saves money is not shown"), ((-9.0, -1.0), "alerting loses money there")],
)
def test_money_that_is_not_shown_to_be_saved_is_pointed_out(interval, said):
    uncertain = findings.recommendation(changed(on_test={"f1": replace(WAY, saved_ci=interval)}))["What is uncertain"]
    assert said in uncertain and ("money" in uncertain) == bool(said)
    bare = changed(on_test={"f1": replace(WAY, saved=None, saved_ci=None)})
    assert not re.search("saves|EUR|money|cost", text(bare))


def test_who_is_tied_with_the_choice_or_ahead_of_it_is_said():
    assert "tied" not in text(replace(RUN, tie_set=("trees",)))
    ahead = text(replace(RUN, tie_set=("average of all",)))
    assert "out of fold, average of all is ahead of it by more than noise" in ahead and "tied" not in ahead


def test_a_budget_above_the_rows_of_a_day_is_said():
    given = Threshold("alerts_a_day", 0.5, 100.0)
    budget = replace(RUN.chosen, alerting=(*RUN.chosen.alerting, given), decides=given.name)
    slow = replace(RUN, chosen=budget, split=replace(RUN.split, test_days=1_000.0))
    assert findings.doubts(slow, 3.0)[0].startswith("The budget of 100 alerts a day is above the 10 rows a day of the")
    assert findings.doubts(replace(RUN, chosen=budget), 3.0) == []
    assert findings.doubts(replace(slow, chosen=replace(budget, decides="f1")), 3.0) == []  # nobody gave it


@pytest.mark.parametrize(
    ("cost", "said"), [(3.0, ""), (500.0, ""), (501.0, "more than the largest amount, 500 EUR"), (0.02, ""),
                       (0.019, "less than a thousandth of the median fraud, 20 EUR"), (None, "")]
)  # fmt: skip
def test_a_review_that_costs_next_to_nothing_or_more_than_any_amount_is_pointed_out(cost, said):
    run = replace(RUN, data=Data("mine.csv", currency="EUR", largest_amount=500.0, median_fraud=20.0))
    found = findings.doubts(run, cost)
    assert len(found) == bool(said) and all(said in sentence for sentence in found)
    assert findings.doubts(replace(RUN, data=Data("mine.csv", currency="EUR")), 1e9) == []


def test_without_a_signal_no_model_is_recommended():
    none = replace(WAY, frauds_caught=0.0, frauds_caught_ci=(0.0, 3.7), saved_ci=(-200.0, 400.0))
    test = judged(0.003, 0.0015, 0.02)
    run = changed(test, on_test={"f1": none})
    assert "statistically tied with ranking at random (0.002)" in text(run)
    assert text(run).startswith("Serve no model yet: on the test set, trees is statistically tied with ranking at")
    assert "catches 0 of 20 frauds, 0 % [0, 17]." in text(run)  # and no share of alerts, which would have no interval
    tied = text(replace(run, tie_set=("average of all", "trees", "dummy")))
    assert "Serve no model yet: the tie for the lead includes dummy, a baseline, so none is shown to have lea" in tied
    assert not re.search("leads|better|ahead|alert from", tied)


def test_an_average_precision_that_chance_reaches_is_called_a_tie():
    """With 20 frauds in 10,000 rows a random ranking reaches .006 now and then, though its mean is .002."""
    assert "tied with ranking at random" in text(changed(judged(0.0045, 0.0022, 0.012)))
    assert "ranking at random would reach 0.002" in text(changed(judged(0.05, 0.03, 0.09)))
    unknown = replace(RUN, split=replace(RUN.split, test_frauds=None))
    assert "random" not in findings.on_test_set(unknown)[0]


@pytest.mark.parametrize(("low", "high", "place"), [(0.6, 0.79, "above"), (0.7, 0.85, "inside"), (0.81, 0.9, "below")])
def test_the_figure_out_of_fold_is_placed_by_the_interval_of_the_test_set(low, high, place):
    (sentence,) = findings.on_test_set(changed(judged((low + high) / 2, low, high)))
    assert sentence.endswith(f"Its out-of-fold figure, 0.800, lies {place} that interval.")


def test_chance_is_what_scikit_learn_finds_for_random_scores():
    rng, y = np.random.default_rng(5), np.arange(1000) < 10
    low, high = np.quantile([average_precision_score(y, rng.random(1000)) for _ in range(1000)], [0.96, 0.985])
    assert low < findings.chance(1000, 10) < high
    assert findings.chance(1000, 10) < findings.chance(1000, 10, share=0.1) < 1  # fewer rows, more luck


def test_the_best_of_several_random_rankings_has_learned_nothing():
    """Means of 20 frauds in 10,000 rows are .002; the best of three at random often exceeds .004."""
    models = tuple(
        Model(name, oof=judged(value, 0.0021, 0.02)) for name, value in zip("abc", (0.004, 0.003, 0.002), strict=True)
    )
    run = Sections(
        models=models, tie_set=("a", "b"), split=Split(train_rows=10_000, train_frauds=20), chosen=Choice("a")
    )
    assert "Serve no model yet: the best of 3 random rankings may do as well as the best candidate." in text(run)
    assert "random" not in text(replace(run, split=Split(train_rows=1_000_000, train_frauds=20, test_from=0.0)))


def test_the_threshold_that_decides_is_the_one_that_is_described():
    by_cost = replace(WAY, alerts=200.0, alerts_ci=(150.0, 260.0))
    run = changed(decides="cost", on_test={"f1": WAY, "cost": by_cost})
    assert "alert from a score of 0.1," in text(run) and "raises 200 alerts" in text(run)


def test_what_was_not_measured_is_not_mentioned():
    assert list(findings.recommendation(changed(on_test={}))) == ["What to do", "What is uncertain"]
    assert findings.recommendation(changed(alerting=(), on_test={}))["What to do"] == "Serve trees."
    for nothing in (replace(RUN, chosen=None), replace(RUN, models=None), Sections()):
        assert findings.recommendation(nothing) == {} and findings.on_test_set(nothing) == []


# Any figures --------------------------------------------------------------------------------------------------------


def between(low: float, high: float) -> st.SearchStrategy[tuple[float, tuple[float, float]]]:
    """A value within its interval."""
    three = st.tuples(*[st.floats(low, high)] * 3).map(sorted)
    return three.map(lambda ordered: (ordered[1], (ordered[0], ordered[2])))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def runs(draw: st.DrawFn) -> Sections:
    """Sections as a run may leave them: whatever may be missing is missing now and then."""

    def measured(**bounds: tuple[float, float]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, ends in bounds.items():
            value, interval = draw(maybe(between(*ends))) or (None, None)
            result |= {name: value, f"{name}_ci": interval}
        return result

    frauds = draw(st.integers(1, 40))
    rows = frauds + draw(st.integers(0, 5000))
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True))
    models = []
    for name in names:
        caught = draw(st.integers(0, frauds))
        alerts = caught + draw(st.integers(0, rows - frauds))
        test = Metrics(**measured(average_precision=(0, 1), savings=(-3, 1)))
        oof = Metrics(**measured(average_precision=(0, 1)))
        models.append(Model(name, kind=draw(st.sampled_from(["supervised", "baseline"])), oof=oof, test=test))
    wide = (0.0, 9e9)
    way = Day(float(alerts), wide, float(caught), wide, **measured(saved=(-1e5, 1e5)))
    on_test = {"f1": way} if draw(st.booleans()) else {}
    alerting = (Threshold("f1", draw(st.floats(0, 1))),) if draw(st.booleans()) else ()
    return Sections(
        data=draw(maybe(st.builds(Data, st.just("x"), currency=maybe(st.just("EUR"))))),
        split=draw(maybe(st.just(Split(test_rows=rows, test_frauds=frauds, test_days=draw(st.floats(1e-4, 1e3)))))),
        models=tuple(models),
        tie_set=draw(maybe(st.lists(st.sampled_from(names), unique=True).map(tuple))),
        chosen=Choice(draw(st.sampled_from(names)), draw(st.sampled_from(["", "it is so"])), alerting=alerting,
                      on_test=on_test),
    )  # fmt: skip


@given(runs())
def test_no_sentence_claims_more_than_its_interval(run):
    assert run.served
    said = findings.recommendation(run)
    for sentence in [*said.values(), *findings.on_test_set(run)]:
        assert sentence.endswith(".") and not re.search(r"\b(?:nan|inf|None|null)\b|[-−]0\b(?![.,])", sentence)
        assert "better" not in sentence
        if sentence.startswith("On the test set, ") and run.split:
            interval = run.served.test.average_precision_ci
            if interval[0] <= run.split.test_frauds / run.split.test_rows:
                assert "tied with ranking at random" in sentence and "Serve no model yet" in said["What to do"]
    uncertain = said.get("What is uncertain", "")
    if run.way and run.way.saved_ci:
        low, high = run.way.saved_ci
        assert ("is not shown" in uncertain) == (low <= 0 <= high)
        assert ("loses money" in uncertain) == (high < 0)
    if any(model.kind == "baseline" and model.name in (run.tie_set or ()) and model.oof.average_precision is not None
           for model in run.models):  # fmt: skip
        assert "Serve no model yet" in said["What to do"]


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 5000))
def test_rates_lie_within_their_intervals_and_name_whole_alerts(frauds, caught, false_alarms):
    assume(caught <= frauds)
    way = Day(caught + false_alarms, (0, 9e9), caught, (0, 9e9))
    run = Sections(split=Split(test_rows=9000, test_frauds=frauds), chosen=Choice("a", on_test={"f1": way}))
    rates = findings.rates(run)
    assert rates["recall_ci"][0] <= rates["recall"] <= rates["recall_ci"][1]
    assert ("precision_ci" in rates) == (caught > 0)
    if caught:
        assert rates["precision_ci"][0] <= rates["precision"] <= rates["precision_ci"][1]


def test_what_is_not_known_of_the_split_is_left_unsaid():
    bare = replace(RUN, split=None)
    assert "at random" not in text(bare) and "0.700 [0.600, 0.790]" in text(bare)
    assert (findings.pace(bare).unit, findings.pace(bare).days) == ("day", 1.0)


@pytest.mark.parametrize(
    ("share", "alerts", "flattered"),
    [(1.0, 60, False), (0.43, 60, False), (0.02, 200, True), (0.02, 5_500, False), (0.001, 1_050, True)],
)
def test_a_sample_says_where_its_average_precision_flatters(share, alerts, flattered):
    """By the square of how uncertain the number of false alarms above half of the frauds is."""
    frauds = 2_500 if alerts > 5_000 else 50
    bins = Bins(300_000, 1.0, (0.5, 0.1), (alerts, 300_000), (frauds, 2 * frauds), share=share)
    assert findings.flattered(Sections(bins=bins)) == flattered
