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
from fraud_utils.record import Choice, Data, Day, Metrics, Model, Sections, Split, Threshold

DAY = Day(60.0, (33.6, 99.0), 48.0, (24.8, 83.8), 5210.4, (1200.0, 9800.0))
NO_MONEY: dict[str, Any] = {"saved": None, "saved_ci": None}


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
                  per_day={"f1": DAY, "amount": replace(DAY, saved=6000.0, saved_ci=(2000.0, 11_000.0))}),
)  # fmt: skip


def changed(test: Metrics | None = None, **chosen: Any) -> Sections:
    """The run with other figures of the chosen model on the test set, or with changes of the choice."""
    assert RUN.models and RUN.chosen
    first, *others = RUN.models
    return replace(RUN, models=(replace(first, test=test or first.test), *others), chosen=replace(RUN.chosen, **chosen))


def text(run: Sections) -> str:
    return " ".join(findings.sentences(run)).replace("\N{NO-BREAK SPACE}", " ").replace("−", "-")


def test_findings_of_a_model_that_works():
    assert [sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in findings.sentences(RUN)] == [
        # 12 of 20 and 12 of 15, with the intervals that R's binom.test gives
        "At its fixed threshold, a score of 0.25, trees raises 15 alerts on the 10,000 transactions of the test set "
        "(1.5 per 1,000) and catches 12 of 20 frauds, 60 % [36, 81]; 80 % [52, 96] of its alerts are frauds.",
        "At the pace of the test set, which spans 6.0 hours, that is 60 [34, 99] alerts a day, and 48 [25, 84] frauds "
        "caught a day.",
        "At that threshold it saves 5,210 [1,200, 9,800] EUR a day, compared with the cheaper of reviewing nothing or "
        "everything.",
        "Alerting where probability times amount exceeds the cost of a review saves 50 % [30, 70] of the avoidable "
        "cost on the test set, 6,000 [2,000, 11,000] EUR a day.",
        "On the test set, trees reaches an average precision of 0.700 [0.600, 0.790]; ranking at random would reach "
        "0.002. Its out-of-fold figure, 0.800, lies above that interval.",
        "Out of fold, average of all has the highest average precision, 0.810 [0.760, 0.860], statistically tied with "
        "1 of the 2 others.",
        "Served: trees, it is the cheapest.",
    ]


def test_where_frauds_are_rare_the_pages_count_by_the_week():
    run = replace(RUN, data=Data("claims", currency="EUR", noun="claim"), split=replace(RUN.split, test_days=100.0))
    assert "20 frauds" in text(run) and "the 10,000 claims of the test set" in text(run)
    assert "that is 420 [235, 693] alerts a week, and 336 [174, 587] frauds caught a week." in text(run)
    assert "it saves 36,473 [8,400, 68,600] EUR a week" in text(run)
    assert "a day" not in text(run)


def test_a_budget_above_the_rows_of_a_day_is_said():
    budget = replace(RUN.chosen, alerting=(*RUN.chosen.alerting, Threshold("alerts_a_day", 0.5, 100.0)))
    slow = replace(RUN, chosen=budget, split=replace(RUN.split, test_days=1_000.0))
    assert findings.doubts(slow, 3.0)[0].startswith("The budget of 100 alerts a day is above the 10 rows a day of the")
    assert findings.doubts(replace(RUN, chosen=budget), 3.0) == []


@pytest.mark.parametrize(
    ("cost", "said"), [(3.0, ""), (500.0, ""), (501.0, "more than the largest amount, 500 EUR"), (0.02, ""),
                       (0.019, "less than a thousandth of the median fraud, 20 EUR"), (None, "")]
)  # fmt: skip
def test_a_review_that_costs_next_to_nothing_or_more_than_any_amount_is_pointed_out(cost, said):
    run = replace(RUN, data=Data("mine.csv", currency="EUR", largest_amount=500.0, median_fraud=20.0))
    found = findings.doubts(run, cost)
    assert len(found) == bool(said) and all(said in sentence for sentence in found)
    assert findings.doubts(replace(RUN, data=Data("mine.csv", currency="EUR")), 1e9) == []


def test_without_a_signal_nothing_is_claimed():
    none = replace(DAY, saved=100.0, saved_ci=(-200.0, 400.0), frauds_caught=0.0, frauds_caught_ci=(0.0, 14.8))
    test = judged(0.003, 0.0015, 0.02, precision=0.0, recall=0.0, savings=0.1, savings_ci=(-0.2, 0.4))
    run = replace(changed(test, per_day={"f1": none, "amount": none}), tie_set=("average of all", "trees", "dummy"))
    assert "statistically tied with ranking at random (0.002)" in text(run)
    assert "catches none of the 20 frauds in the test set; its recall may still be as high as 17 %" in text(run)
    assert "no savings are proven: 100 [-200, 400] EUR a day" in text(run)
    assert "has no proven savings: 10 % [-20, 40]" in text(run)
    assert "includes dummy, a baseline: no candidate is shown to have learned" in text(run)
    assert not re.search("saves|leads|better|ahead", text(run))


def test_an_average_precision_that_chance_reaches_is_called_a_tie():
    """With 20 frauds in 10,000 rows a random ranking reaches .006 now and then, though its mean is .002."""
    assert "tied with ranking at random" in text(changed(judged(0.0045, 0.0022, 0.012)))
    assert "ranking at random would reach 0.002" in text(changed(judged(0.05, 0.03, 0.09)))


def test_chance_is_what_scikit_learn_finds_for_random_scores():
    rng, y = np.random.default_rng(5), np.arange(1000) < 10
    low, high = np.quantile([average_precision_score(y, rng.random(1000)) for _ in range(2000)], [0.96, 0.985])
    assert low < findings.chance(1000, 10) < high


def test_the_best_of_several_random_rankings_has_learned_nothing():
    """Means of 20 frauds in 10,000 rows are .002; the best of three at random often exceeds .004."""
    models = tuple(
        Model(name, oof=judged(value, 0.0021, 0.02)) for name, value in zip("abc", (0.004, 0.003, 0.002), strict=True)
    )
    run = Sections(
        models=models, tie_set=("a", "b"), split=Split(train_rows=10_000, train_frauds=20), chosen=Choice("a")
    )
    assert "The best of 3 random rankings may do as well: no candidate is shown to have learned." in text(run)
    assert "random" not in text(replace(run, split=Split(train_rows=1_000_000, train_frauds=20)))


def test_a_loss_is_called_one():
    loss = replace(DAY, saved=-300.0, saved_ci=(-500.0, -100.0))
    run = changed(Metrics(savings=-0.5, savings_ci=(-0.9, -0.1)), per_day={"f1": loss, "amount": loss})
    assert "it loses money: -300 [-500, -100] EUR a day" in text(run)
    assert "loses money: -50 % [-90, -10] of the avoidable cost on the test set, -300 [-500, -100] EUR" in text(run)
    assert "saves" not in text(run)


def test_a_single_leader_leads():
    run = replace(RUN, tie_set=("average of all",))
    assert "Out of fold, average of all leads with an average precision of 0.810 [0.760, 0.860]: in paired" in text(run)
    assert "it is ahead of each of the 2 others." in text(run)


def test_the_threshold_that_decides_is_the_one_that_is_described():
    by_cost = replace(DAY, alerts=200.0, alerts_ci=(150.0, 260.0))
    run = changed(decides="cost", per_day={"f1": DAY, "cost": by_cost})
    assert "a score of 0.1, trees" in text(run) and "200 [150, 260] alerts a day" in text(run)


def test_without_amounts_money_is_not_mentioned():
    test = judged(0.7, 0.6, 0.79, precision=0.8, recall=0.6)
    run = replace(changed(test, per_day={"f1": replace(DAY, **NO_MONEY)}), data=Data("mine.csv"))
    assert "60 [34, 99] alerts a day" in text(run)
    assert not re.search("saves|EUR|money|cost", text(run))


def test_what_was_not_measured_is_not_mentioned():
    assert len(findings.sentences(changed(Metrics(), reason="", alerting=(), per_day={}))) == 1  # the lead out of fold
    assert "a day" not in text(changed(per_day={}))
    assert findings.sentences(replace(RUN, chosen=None)) == []
    assert findings.sentences(replace(RUN, models=None)) == []
    assert findings.sentences(Sections()) == []
    for part in (findings.alerting, findings.money, findings.on_test_set, findings.lead, findings.choice):
        assert part(Sections()) == []


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
        at_threshold = {"recall": caught / frauds, "precision": caught / max(alerts, 1)} if draw(st.booleans()) else {}
        test = Metrics(**measured(average_precision=(0, 1), savings=(-3, 1)), **at_threshold)
        oof = Metrics(**measured(average_precision=(0, 1)))
        models.append(Model(name, kind=draw(st.sampled_from(["supervised", "baseline"])), oof=oof, test=test))
    days = measured(alerts=(0, 1e6), frauds_caught=(0, 1e4), saved=(-1e5, 1e5))
    complete = days["alerts"] is not None and days["frauds_caught"] is not None
    per_day = {"f1": Day(**days), "amount": Day(**days)} if complete else {}
    alerting = (Threshold("f1", draw(st.floats(0, 1))),) if draw(st.booleans()) else ()
    return Sections(
        data=draw(maybe(st.builds(Data, st.just("x"), currency=maybe(st.just("EUR"))))),
        split=draw(maybe(st.just(Split(test_rows=rows, test_frauds=frauds, test_days=draw(st.floats(1e-4, 1e3)))))),
        models=tuple(models),
        tie_set=draw(maybe(st.lists(st.sampled_from(names), unique=True).map(tuple))),
        chosen=Choice(draw(st.sampled_from(names)), draw(st.sampled_from(["", "it is so"])), alerting=alerting,
                      per_day=per_day),
    )  # fmt: skip


@given(runs())
def test_no_sentence_claims_more_than_its_interval(run):
    assert run.served
    oof = {model.name: model.oof.average_precision for model in run.models}
    for sentence in findings.sentences(run):
        assert sentence.endswith(".") and not re.search(r"\b(?:nan|inf|None|null)\b|[-−]0\b(?![.,])", sentence)
        if "At that threshold" in sentence or "probability times amount" in sentence:
            low, high = run.day.saved_ci if "At that threshold" in sentence else run.served.test.savings_ci
            assert ("saves" in sentence) == (low > 0)
            assert ("loses" in sentence) == (high < 0)
        if sentence.startswith("On the test set") and run.split:
            interval = run.served.test.average_precision_ci
            if interval[0] <= run.split.test_frauds / run.split.test_rows:
                assert "tied with ranking at random" in sentence
        if " leads " in sentence or " ahead " in sentence:
            assert len([name for name in run.tie_set if oof[name] is not None]) == 1
        assert "better" not in sentence


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 5000))
def test_rates_lie_within_their_intervals_and_name_whole_alerts(frauds, caught, false_alarms):
    assume(caught <= frauds)
    alerts = caught + false_alarms
    test = Metrics(recall=caught / frauds, precision=caught / max(alerts, 1))
    run = Sections(split=Split(test_rows=9000, test_frauds=frauds), models=(Model("a", test=test),), chosen=Choice("a"))
    rates = findings.rates(run)
    assert rates["recall_ci"][0] <= rates["recall"] <= rates["recall_ci"][1]
    assert ("precision_ci" in rates) == (caught > 0)
    if caught:
        assert rates["precision_ci"][0] <= rates["precision"] <= rates["precision_ci"][1]


@pytest.mark.parametrize("value", [0.0, 0.004, 0.05, 0.62, 1.0, -0.5, -7.25, -0.001])
def test_percentages_keep_their_sign_and_size(value):
    run = changed(Metrics(savings=value, savings_ci=(value, value)))
    shown = re.search(r"(-?[\d.]+) % \[", text(run).partition("probability times amount")[2])
    assert shown and float(shown[1]) == pytest.approx(100 * value, abs=0.51 if abs(value) >= 0.1 else 0.051)
