"""Sentences against the figures that they are made from; runs of the notebooks check them in test_notebooks.py."""

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud_utils.report import findings

DAY = {"alerts": 60.0, "alerts_ci": [33.6, 99.0], "frauds_caught": 48.0, "frauds_caught_ci": [24.8, 83.8],
       "saved": 5210.4, "saved_ci": [1200.0, 9800.0]}  # fmt: skip


def judged(value: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"average_precision": value, "average_precision_ci": [low, high], **more}


def candidate(name: str, oof: dict[str, Any], test: dict[str, Any], kind: str = "supervised") -> dict[str, Any]:
    return {"name": name, "kind": kind, "oof": oof, "test": test}


RUN: dict[str, Any] = {
    "data": {"currency": "EUR"},
    "split": {"test_rows": 10_000, "test_frauds": 20, "test_days": 0.25},
    "models": [
        candidate("trees", judged(0.8, 0.75, 0.85),
                  judged(0.7, 0.6, 0.79, precision=0.8, recall=0.6, savings=0.5, savings_ci=[0.3, 0.7])),
        candidate("average of all", judged(0.81, 0.76, 0.86), judged(0.72, 0.6, 0.8)),
        candidate("dummy", judged(0.002, 0.002, 0.002), judged(0.002, 0.002, 0.002), "baseline"),
    ],
    "tie_set": ["average of all", "trees"],
    "chosen": {"name": "trees", "thresholds": {"f1": 0.25}, "reason": "it is the cheapest",
               "per_day": {"f1": DAY, "amount": DAY | {"saved": 6000.0, "saved_ci": [2000.0, 11_000.0]}}},
}  # fmt: skip


def changed(test: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    run = copy.deepcopy(RUN) | sections
    run["models"][0]["test"] |= test or {}
    return run


def said(run: dict[str, Any]) -> str:
    return " ".join(findings.sentences(run)).replace("\N{NO-BREAK SPACE}", " ")


def test_findings_of_a_model_that_works():
    assert [sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in findings.sentences(RUN)] == [
        # 12 of 20 and 12 of 15, with the intervals that R's binom.test gives
        "At its fixed threshold, a score of 0.25, trees alerts 15 times on the 10,000 transactions of the test set "
        "(1.5 per 1,000) and catches 12 of 20 frauds, 60 % [36, 81]; 80 % [52, 96] of its alerts are frauds.",
        "At the pace of the test set, which spans 6 hours, that is 60 [34, 99] alerts a day, and 48 [25, 84] frauds "
        "caught a day.",
        "At that threshold it saves 5,210 EUR a day [1,200, 9,800], against the cheaper of alerting on nothing and on "
        "everything.",
        "Alerting where probability times amount exceeds the cost of a review saves 50 % [30, 70] of the avoidable "
        "cost on the test set, 6,000 EUR a day [2,000, 11,000].",
        "On the test set, trees reaches an average precision of 0.700 [0.600, 0.790]; ranking at random would reach "
        "0.002. Its out-of-fold figure, 0.800, lies above that interval.",
        "Out of fold, average of all has the highest average precision, 0.810 [0.760, 0.860]; 1 of the 2 others cannot "
        "be told from it.",
        "Served: trees, it is the cheapest.",
    ]


def test_without_a_signal_nothing_is_claimed():
    none = {"saved": 100.0, "saved_ci": [-200.0, 400.0], "frauds_caught": 0.0, "frauds_caught_ci": [0.0, 14.8]}
    run = changed(
        judged(0.003, 0.0015, 0.02, precision=0.0, recall=0.0, savings=0.1, savings_ci=[-0.2, 0.4]),
        chosen=RUN["chosen"] | {"per_day": {"f1": DAY | none, "amount": DAY | none}},
        tie_set=["average of all", "trees", "dummy"],
    )
    told = said(run)
    assert "cannot be told from ranking at random (0.002)" in told
    assert "catches none of the 20 frauds of the test set; a share of up to 17 %" in told
    assert "no money is shown to be saved: 100 EUR a day [-200, 400]" in told
    assert "shows no savings: 10 % [-20, 40]" in told
    assert "share the first place is dummy: nothing is shown to be learned" in told
    assert not re.search("saves|leads|better|ahead", told)


def test_an_average_precision_that_chance_reaches_is_not_told_from_chance():
    """With 20 frauds in 10,000 rows a random ranking reaches .006 now and then, though its mean is .002."""
    assert "cannot be told from ranking at random" in said(changed(judged(0.0045, 0.0022, 0.012)))
    assert "ranking at random would reach 0.002" in said(changed(judged(0.05, 0.03, 0.09)))


def test_chance_is_what_scikit_learn_finds_for_random_scores():
    import numpy as np
    from sklearn.metrics import average_precision_score

    rng, y = np.random.default_rng(5), np.arange(1000) < 10
    found = np.quantile([average_precision_score(y, rng.random(1000)) for _ in range(2000)], [0.96, 0.985])
    assert found[0] < findings.chance(1000, 10) < found[1]


def test_the_best_of_several_random_rankings_has_learned_nothing():
    """Means of 20 frauds in 10,000 rows are .002; the best of three at random often exceeds .004."""
    lucky = [
        candidate(name, judged(value, 0.0021, 0.02), {}) for name, value in (("a", 0.004), ("b", 0.003), ("c", 0.002))
    ]
    split = {"train_rows": 10_000, "train_frauds": 20}
    run = {"models": lucky, "tie_set": ["a", "b"], "split": split, "chosen": {"name": "a"}}
    assert "The best of 3 rankings at random may reach as much: nothing is shown to be learned." in said(run)
    assert "at random" not in said(run | {"split": split | {"train_rows": 1_000_000}})


def test_a_loss_is_called_one():
    loss = DAY | {"saved": -300.0, "saved_ci": [-500.0, -100.0]}
    chosen = RUN["chosen"] | {"per_day": {"f1": loss, "amount": loss}}
    told = said(changed({"savings": -0.5, "savings_ci": [-0.9, -0.1]}, chosen=chosen))
    assert "it loses money: -300 EUR a day [-500, -100]" in told
    assert "loses money: -50 % [-90, -10] of the avoidable cost on the test set, -300 EUR a day" in told
    assert "saves" not in told


def test_a_single_leader_leads():
    told = said(changed(tie_set=["average of all"]))
    assert "Out of fold, average of all leads with an average precision of 0.810 [0.760, 0.860]: in paired" in told
    assert "it is ahead of each of the 2 others." in told


def test_without_amounts_money_is_not_mentioned():
    day = DAY | {"saved": None, "saved_ci": None}
    run = changed({"savings": None, "savings_ci": None}, data={"currency": None})
    run["chosen"]["per_day"] = {"f1": day}
    assert "60 [34, 99] alerts a day" in said(run)
    assert not re.search("saves|EUR|money|cost", said(run).replace("cheapest", ""))


def test_what_was_not_measured_is_not_mentioned():
    nothing = dict.fromkeys(RUN["models"][0]["test"])
    assert len(findings.sentences(changed(nothing, chosen={"name": "trees"}))) == 1  # who leads out of fold
    assert "a day" not in said(changed(chosen=RUN["chosen"] | {"per_day": {}}))
    assert findings.sentences(RUN | {"chosen": None}) == []
    assert findings.sentences(RUN | {"models": None}) == []
    assert findings.sentences({}) == []


def test_a_dollar_starts_no_formula():
    assert findings.as_markdown(["a $ b", "c"]) == "- a \\$ b\n- c"


# Any figures --------------------------------------------------------------------------------------------------------

SHARE = st.floats(0, 1)


@st.composite
def intervals(draw: st.DrawFn, low: float, high: float) -> tuple[float, list[float]]:
    a, value, b = sorted(draw(st.tuples(*[st.floats(low, high)] * 3)))
    return value, [a, b]


@st.composite
def runs(draw: st.DrawFn) -> dict[str, Any]:
    """Sections as a run may leave them: anything but the names may be null or missing."""

    def some(value: Any) -> Any:
        return value if draw(st.integers(0, 5)) else None

    def part(names: dict[str, tuple[float, float]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, bounds in names.items():
            value, ci = draw(intervals(*bounds))
            found |= {name: value, f"{name}_ci": ci} if draw(st.integers(0, 5)) else {name: None, f"{name}_ci": None}
        return found

    frauds = draw(st.integers(1, 40))
    rows = frauds + draw(st.integers(0, 5000))
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True))
    models = []
    for name in names:
        caught = draw(st.integers(0, frauds))
        alerts = caught + draw(st.integers(0, rows - frauds))
        test = part({"average_precision": (0, 1), "savings": (-3, 1)})
        test |= {"recall": some(caught / frauds), "precision": some(caught / max(alerts, 1))}
        kind = draw(st.sampled_from(["supervised", "baseline"]))
        models.append(candidate(name, some(part({"average_precision": (0, 1)})), some(test), kind))
    days = part({"alerts": (0, 1e6), "frauds_caught": (0, 1e4), "saved": (-1e5, 1e5)})
    if any(days[name] is None for name in ("alerts", "frauds_caught")):
        days = None
    chosen = {"name": draw(st.sampled_from(names)), "reason": some("it is so"), "thresholds": some({"f1": draw(SHARE)}),
              "per_day": some({"f1": days, "amount": days} if days else {})}  # fmt: skip
    split = {"test_rows": rows, "test_frauds": frauds, "test_days": draw(st.floats(1e-4, 1e3))}
    return {"data": some({"currency": some("EUR")}), "split": some(split), "models": models,
            "tie_set": some(draw(st.lists(st.sampled_from(names), unique=True))), "chosen": chosen}  # fmt: skip


@given(runs())
def test_no_sentence_claims_more_than_its_interval(run):
    by_name = {model["name"]: model for model in run["models"]}
    test = by_name[run["chosen"]["name"]]["test"] or {}
    days = (run["chosen"]["per_day"] or {}).get("f1") or {}
    for sentence in findings.sentences(run):
        assert sentence.endswith(".") and not re.search(r"\b(?:nan|inf|None|null)\b|\be[+-]|-0\b(?!\.)", sentence)
        if "At that threshold" in sentence or "probability times amount" in sentence:
            low, high = days["saved_ci"] if "At that threshold" in sentence else test["savings_ci"]
            assert ("saves" in sentence) == (low > 0)
            assert ("loses" in sentence) == (high < 0)
        if "an average precision of" in sentence and "On the test set" in sentence and run["split"]:
            share = run["split"]["test_frauds"] / run["split"]["test_rows"]
            if test["average_precision_ci"] and test["average_precision_ci"][0] <= share:
                assert "cannot be told from ranking at random" in sentence
        if " leads " in sentence or " ahead " in sentence:
            assert len([name for name in run["tie_set"] if (by_name[name]["oof"] or {}).get("average_precision")]) <= 1
        assert "better" not in sentence


@pytest.mark.parametrize("value", [0.0, 0.004, 0.05, 0.62, 1.0, -0.5, -7.25, -0.001])
def test_percentages_keep_their_sign_and_size(value):
    run = changed({"savings": value, "savings_ci": [value, value]})
    shown = re.search(r"(-?[\d.]+) % \[", said(run).partition("probability times amount")[2])
    assert float(shown[1]) == pytest.approx(100 * value, abs=0.51 if abs(value) >= 0.1 else 0.051)
