"""What is set apart of captured requests is said, and nothing is said where nothing is."""

import json

import numpy as np
import pytest
from monitored import record, saved, shop_rows

from fraud_utils import monitor
from fraud_utils.artifact import History
from fraud_utils.data import DataError, Schema
from fraud_utils.monitor.apart import BARE, OWN, REPEATED, sentences
from fraud_utils.monitor.drift import SCORE
from fraud_utils.monitor.traffic import read_traffic
from fraud_utils.serving.app import App, Request, Settings
from fraud_utils.serving.history import Past

BY_CARD = {"when": 100.0, "a": 1.0, "total": 5.0, "card": "7"}
EARLIER = [{"when": 50.0, "card": "7", "total": 3.0}]


def test_each_kind_has_a_sentence_and_none_is_said_of_nothing():
    assert sentences({}) == sentences({OWN: 0, REPEATED: 0, BARE: 0}) == []
    one, three = sentences({OWN: 1, REPEATED: 1, BARE: 1}), sentences({OWN: 3_000, REPEATED: 3_000, BARE: 3_000})
    assert one[0].startswith("1 request of") and " is left out" in one[0] and "it is left out" in one[1]
    assert three[0].startswith("3,000 requests of") and " are left out" in three[0] and "they are" in three[1]
    assert three[2].startswith("3,000 rows came without columns of history")


# History that the endpoint found itself -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_card(tmp_path_factory):
    """A model that uses how many payments a card has in a day."""
    history = History("card", (1.0,), ("count",))
    named = {"label": "fraud", "time": "when", "amount": "total", "entities": ("card",), "history": (history,)}
    schema = Schema("shop", features=("a", "card_count_1d"), **named)
    rows, rng = shop_rows(3_000, 1).drop(columns=["b", "channel"]), np.random.default_rng(1)
    rows["card"] = [str(row % 50) for row in range(len(rows))]
    rows["card_count_1d"] = rng.integers(1, 9, len(rows)).astype(float)
    rows["fraud"] = ((rows.a > 1) & (rows.card_count_1d > 5)).astype("int8")
    return saved(tmp_path_factory.mktemp("cards") / "model", schema, rows, rows)


@pytest.fixture
def served(by_card, tmp_path):
    """Asks an endpoint with a store; gives the line that is captured, and the score."""
    settings = Settings(workers=1, history=f"sqlite:{tmp_path}/events.sqlite")
    app = App(by_card, settings, Past.of(by_card, settings.history, tmp_path, 0.2))

    def ask(body: str, media: str, identity: str) -> tuple[str, float]:
        status, _, answer = app.respond(Request("POST", "/invocations", {"content-type": media}, body.encode()))
        assert status == 200
        text = answer.decode()
        score = json.loads(text)["predictions"][0]["score"] if media == "application/json" else float(text)
        return record(body, text, media, inferenceId=identity), score

    return ask


def in_json(**row) -> tuple[str, str]:
    return json.dumps({"instances": [BY_CARD | row]}), "application/json"


BARE_FORMS = {
    "store": in_json(),
    "events": in_json(history=EARLIER),
    "csv": ("when,a,total, card\n100,1,5,7\n", "text/csv"),
}
READY_FORMS = {
    "ready": in_json(card_count_1d=2.0),
    "ready beside events": in_json(card_count_1d=2.0, history=EARLIER),
    "ready in csv": ("when,card,a,card_count_1d,total\n100,7,1,2,5\n", "text/csv"),
    "ready without names": ("100,7,1,2,5\n", "text/csv"),
}


def test_rows_whose_history_the_endpoint_found_are_judged_by_all_else(by_card, served, capture):
    asked = {name: served(*form, name) for name, form in (BARE_FORMS | READY_FORMS).items()}
    case = monitor.open_case(by_card, capture(*[line for line, _ in asked.values()]))
    assert case.refusals().empty
    rows = case.traffic.rows.set_index("id")
    assert rows["score"].to_dict() == {name: score for name, (_, score) in asked.items()}
    assert (rows["amount"] == 5).all()
    counts = {name: each.sum() for name, each in case.traffic.counts.items()}
    assert counts == {"a": 7, "total": 7, "card_count_1d": 4}
    assert case.traffic.counts["card_count_1d"][:, -1].sum() == 0  # none of them is missing
    assert "3 rows came without columns of history" in case.describe()


def test_a_column_that_no_row_brought_is_not_compared(by_card, served, capture):
    lines = [served(*form, f"{name}{number}")[0] for name, form in BARE_FORMS.items() for number in range(100)]
    case = monitor.open_case(by_card, capture(*lines))
    assert set(case.columns["column"]) == {"a", "total", SCORE} == set(case.by_column().index)
    assert "card_count_1d" not in [alarm.name for alarm in case.verdict().alarms]
    assert case.report() and "300 rows came without columns of history" in case.describe()


def test_a_row_without_history_that_comes_again_counts_once(by_card, served, capture):
    line, _ = served(*BARE_FORMS["store"], "store")
    other, _ = served(*READY_FORMS["ready"], "ready")
    case = monitor.open_case(by_card, capture(line, other, line, other))
    assert case.traffic.apart == {BARE: 1, REPEATED: 2}
    assert case.traffic.counts["card_count_1d"].sum() == 1


def test_a_row_that_was_refused_for_another_reason_says_which(by_card, capture):
    body = json.dumps({"instances": [BY_CARD | {"a": None, "history": EARLIER}]})
    good = record(READY_FORMS["ready"][0], "[0.5]", "application/json")
    refused = monitor.open_case(by_card, capture(good, record(body, None, "application/json"))).refusals()
    assert refused.index.tolist() == ["column 'a': the value is missing, and training rows had none missing"]


def test_a_challenger_that_needs_the_history_is_refused(by_card, served, capture):
    path = capture(served(*BARE_FORMS["store"], "store")[0])
    with pytest.raises(DataError, match="rows came without 'card_count_1d', which the endpoint found itself"):
        read_traffic(path, by_card, by_card)
