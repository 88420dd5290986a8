"""A served row has the history that a row of the table has; and where there is none to be had, its answer says so."""

import http.client
import itertools
import json
import math
import signal
import sqlite3

import cards
import numpy as np
import pandas as pd
import pytest
from served import Endpoint

from fraud_utils import artifact
from fraud_utils.data import add_history
from fraud_utils.serving import App, Settings

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
DAY = cards.DAY


@pytest.fixture(scope="module")
def table():
    return cards.payments(5_000)


@pytest.fixture(scope="module")
def tree(table, tmp_path_factory):
    base = tmp_path_factory.mktemp("tree")
    cards.train(base / "model", table)
    return base


@pytest.fixture(scope="module")
def loaded(tree):
    return artifact.load(tree / "model")


@pytest.fixture
def app(tree, tmp_path, asked_of):
    """How to ask an app, whose store is a file of its own unless said otherwise."""
    return lambda history=f"sqlite:{tmp_path}/history.sqlite", **more: asked_of(
        App.load(tree / "model", Settings(workers=1, history=history, **more))
    )


def plain(rows):
    """Rows of a frame as JSON has them; what is missing is left out."""
    return [{k: v for k, v in row.items() if v is not None and v == v} for row in rows.to_dict("records")]


def instances(*rows):
    return json.dumps({"instances": rows})


def predictions(answer):
    status, _, text = answer
    assert status == 200, text
    return json.loads(text)["predictions"]


def scores(answer):
    return [each["score"] for each in predictions(answer)]


# The same as in a table ----------------------------------------------------------------------------------------------


def sendings(frame, rng):
    """Payments in the order in which they come, by place, and whether the label comes along.

    Some come late, some twice; half of the frauds are reported a day after they came, by sending them again.
    """
    fraud, seconds = frame.is_fraud == 1, frame.seconds
    late = np.where(rng.random(len(frame)) < 0.02, rng.integers(1, DAY // 2, len(frame)), 0)
    labelled = rng.random(len(frame)) < 0.5
    sent = pd.DataFrame({"place": range(len(frame)), "at": seconds + late, "labelled": labelled})
    again = sent[rng.random(len(frame)) < 0.02].assign(labelled=False)
    reported = sent[fraud & ~labelled].assign(labelled=True)
    reported["at"] += DAY
    return pd.concat([sent, again, reported]).sort_values("at", kind="stable").reset_index(drop=True)


def as_sent(frame, sent):
    """What a table has for each sending, of the payments that had come by then."""
    whole = add_history(frame, cards.SCHEMA)
    rows = whole.iloc[sent.place].reset_index(drop=True)
    first = sent.drop_duplicates("place").reset_index().set_index("place")["index"]
    came = first.reindex(range(len(frame))).to_numpy()
    early = np.minimum.accumulate(came[::-1])[::-1]  # of this payment and all later ones
    for place in np.flatnonzero(came > early):  # what came after payments that are later than itself
        of = (frame.card == frame.card[place]) | (frame.merchant == frame.merchant[place])
        blind = of.to_numpy()[sent.place] & (rows.seconds > frame.seconds[place]) & (sent.index < came[place])
        for number in np.flatnonzero(blind):
            own = sent.place[number]
            same = (frame.card == frame.card[own]) | (frame.merchant == frame.merchant[own])
            known = frame[same & (came <= number)]
            rows.loc[number, list(cards.COLUMNS)] = add_history(known, cards.SCHEMA).loc[own, list(cards.COLUMNS)]
    return rows


def bodies(rows, sent):
    """The sendings as requests of many kinds: content type, body and how many rows."""
    kinds, start = itertools.cycle([(JSON, 1), (CSV, 240), (LINES, 9), (JSON, 30)]), 0
    raw = rows[cards.RAW].assign(is_fraud=rows.is_fraud.astype(object).where(sent.labelled, None))
    while start < len(raw):
        media, count = next(kinds)
        part = raw[start : start + count]
        lines = plain(part)
        text = {CSV: part.to_csv(index=False), JSON: instances(*lines), LINES: "\n".join(map(json.dumps, lines))}
        yield media, text[media], len(part)
        start += count


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_served_history_is_that_of_the_table_over_restarts_late_events_ties_and_repeats(tmp_path, count):
    frame = cards.payments(count, seed=8)
    cards.train(tmp_path / "model", frame)
    sent = sendings(frame, np.random.default_rng(1))
    rows = as_sent(frame, sent)
    assert len(sent) > 1.05 * count  # some twice
    assert (rows.seconds.diff() < 0).sum() > 0.01 * count  # some late
    assert frame.duplicated(["card", "seconds"]).any()
    requests, served = list(bodies(rows, sent)), []
    settings = {"SAGEMAKER_MODEL_SERVER_WORKERS": "2", "FRAUD_HISTORY": "sqlite:kept.sqlite"}
    settings |= {"FRAUD_HISTORY_TIMEOUT_MS": "60000"}
    for part in range(3):
        endpoint = Endpoint(tmp_path, tmp_path, **settings).wait()
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port)
        for media, body, _ in requests[part * len(requests) // 3 : (part + 1) * len(requests) // 3]:
            connection.request("POST", "/invocations", body, {"Content-Type": media, "Accept": LINES})
            answer = connection.getresponse()
            lines = [json.loads(line) for line in answer.read().splitlines()]
            assert answer.status == 200 and not any("history" in line for line in lines)
            served += [line["score"] for line in lines]
        connection.close()
        if part == 1:  # as a crash would end it
            for process in [*endpoint.workers(), endpoint.process]:
                process.send_signal(signal.SIGKILL)
            endpoint.process.wait()
        else:
            assert endpoint.stop() == 0
    expected = artifact.load(tmp_path / "model").score(rows)
    assert np.abs(np.array(served) - expected).max() <= 1e-6
    assert len({*np.round(expected, 6)}) > 0.2 * count  # scores tell histories apart


# Where it comes from -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def last(table):
    """A payment with a past, its row as a table has it, and what its card and merchant did before."""
    whole = add_history(table, cards.SCHEMA)
    place = len(table) - 1
    before = table[:place]
    before = before[(before.card == table.card[place]) | (before.merchant == table.merchant[place])]
    return plain(table[place:])[0], plain(whole[place:])[0], plain(before)


def test_columns_or_events_that_come_with_a_row_count_alone_and_in_this_order(app, loaded, last):
    row, ready, before = last
    (expected,) = loaded.score([ready])
    for asked in (app(""), app()):
        for sent in (ready, row | {"history": before}, row | {"history": before[::-1]}, ready | {"history": []}):
            assert scores(asked.ask(instances(sent), JSON)) == pytest.approx([expected], abs=1e-6)
        (alone,) = scores(asked.ask(instances(row | {"history": []}), JSON))
        assert abs(alone - expected) > 1e-6
    assert scores(asked.ask(instances(row), JSON)) == pytest.approx([alone], abs=1e-6)  # the store was not told


def test_ready_columns_may_come_as_csv_of_any_length(app, loaded, table):
    rows = add_history(table, cards.SCHEMA)
    body = rows.drop(columns="is_fraud").to_csv(index=False)
    assert len(body) > 1 << 16
    for text in (body, body.partition("\n")[2]):
        _, _, answer = app().ask(text, CSV)
        served = [float(line.split(",")[1]) for line in answer.splitlines()]
        np.testing.assert_allclose(served, loaded.score(rows), atol=1e-6)


def test_rows_of_one_request_count_as_if_they_had_come_one_by_one(app, table, tmp_path):
    rows = plain(table[:60].assign(card="c1", merchant=["m1", "m2"] * 30))
    together = scores(app().ask(instances(*rows), JSON))
    other = app(f"sqlite:{tmp_path}/other.sqlite")
    assert together == pytest.approx([scores(other.ask(instances(row), JSON))[0] for row in rows], abs=1e-6)


def test_a_refused_request_leaves_nothing_in_the_store(app, last):
    row, _, before = last
    asked = app()
    (expected,) = scores(asked.ask(instances(row | {"history": []}), JSON))
    assert asked.ask(instances(*before, before[0] | {"x": "text"}), JSON)[0] == 400
    assert scores(asked.ask(instances(row), JSON)) == pytest.approx([expected])


def test_a_row_sent_again_a_moment_later_does_not_meet_itself(app, last, tmp_path):
    row, _, before = last
    again = row | {"seconds": row["seconds"] + 1}
    fresh = app(f"sqlite:{tmp_path}/fresh.sqlite")
    (expected,) = scores(fresh.ask(instances(*before, again), JSON))[-1:]
    assert scores(app().ask(instances(*before, row, again), JSON))[-1] == pytest.approx(expected, abs=1e-6)
    assert scores(app().ask(instances(again), JSON))[-1] == pytest.approx(expected, abs=1e-6)


def test_a_row_without_an_id_is_known_by_the_requests_inference_id_or_counts_each_time(app, last, tmp_path):
    row, _, before = last
    nameless = [{name: value for name, value in each.items() if name != "payment"} for each in before]
    once = scores(app(f"sqlite:{tmp_path}/once.sqlite").ask(instances(*nameless, row), JSON))[-1]
    asked = app()
    for _ in range(2):
        asked.ask(instances(*nameless), JSON, x_amzn_sagemaker_inference_id="mine")
    assert scores(asked.ask(instances(row | {"payment": "a"}), JSON)) == pytest.approx([once])
    asked.ask(instances(*nameless), JSON)
    assert scores(asked.ask(instances(row | {"payment": "b"}), JSON)) != pytest.approx([once])


def test_an_unknown_entity_has_no_past_and_a_missing_one_no_history(app, loaded, last):
    row, ready, _ = last
    new = {"card_count_1d": 1, "card_count_7d": 1, "card_ratio_1d": 1, "card_ratio_7d": 1}
    new |= {"card_mean_1d": row["amount"], "card_mean_7d": row["amount"], "card_since_last": 7 * DAY}
    new |= {"merchant_count_1d": 1, "merchant_count_7d": 1, "merchant_fraud_rate_1d": 0, "merchant_fraud_rate_7d": 0}
    assert scores(app().ask(instances(row), JSON)) == pytest.approx(loaded.score([ready | new]).tolist())
    gone = ready | new | {name: None for name in cards.COLUMNS if name.startswith("card")}
    for card in (None, ""):
        answer = predictions(app().ask(instances(row | {"card": card, "payment": "z", "merchant": "new"}), JSON))
        assert answer[0]["score"] == pytest.approx(loaded.score([gone])[0])
        assert "history" not in answer[0]


def test_a_label_that_comes_later_counts_from_its_delay_on(app, last):
    row, *_ = last
    asked, early = app(), row | {"payment": "early", "seconds": row["seconds"] - 2.5 * DAY}
    unreported = scores(asked.ask(instances(early, row | {"card": "other"}), JSON))[1]
    asked.ask(instances(early | {"is_fraud": 1}), JSON)
    soon = row | {"card": "another", "seconds": early["seconds"] + 1.9 * DAY}
    assert scores(asked.ask(instances(row | {"card": "other", "payment": "later"}), JSON)) != pytest.approx(
        [unreported]
    )
    known = asked.app.past.store.recent("merchant=" + row["merchant"])
    event = asked.app.past.event(soon, "")
    assert asked.app.past.values(event, {"merchant": known})["merchant_fraud_rate_7d"] == 0
    event = event._replace(time=early["seconds"] + 2 * DAY)
    assert asked.app.past.values(event, {"merchant": known})["merchant_fraud_rate_7d"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "row 2, column 'card_count_1d' is missing; send all columns of history, or the entities' earlier rows"),
        ({"card_count_1d": 1}, "row 2, column 'card_count_7d' is missing; send all columns of history, or none"),
        ({"history": {}}, "row 2: 'history' must be a list of objects, the entities' earlier rows"),
        ({"history": [{"card": "c"}]}, "row 2, history 1, column 'seconds': history needs a number here"),
        ({"history": [], "seconds": None}, "row 2, column 'seconds': history needs a number here"),
        ({"history": [], "amount": True}, "row 2, column 'amount': history needs a number here"),
        ({"history": [], "card": ["c"]}, "row 2, column 'card': an entity is text or a whole number"),
        (
            {"history": [], "is_fraud": "yes"},
            "row 2, column 'is_fraud': a label is 0 or 1, and left out while it is not",
        ),
    ],
)
def test_what_history_cannot_be_computed_from_is_refused_by_name(app, last, change, message):
    row, ready, _ = last
    status, error = app("").error(instances(ready, row | change), JSON)
    assert status == 400
    assert error.startswith(message)


def test_csv_without_history_needs_a_store(app, table):
    status, error = app("").error(table[:3].to_csv(index=False))
    assert status == 400
    assert "FRAUD_HISTORY" in error


def test_batch_transform_sends_one_request_at_a_time_where_rows_have_an_order(app):
    for asked, most in ((app(""), 3), (app(), 1)):
        asked.app.settings = Settings(workers=3)
        suggested = json.loads(asked.ask("", method="GET", path="/execution-parameters")[2])
        assert suggested["MaxConcurrentTransforms"] == most


# Where there is none to be had ---------------------------------------------------------------------------------------


def without_history(ready):
    return ready | dict.fromkeys(cards.COLUMNS)


def test_a_locked_file_costs_rows_their_history_and_the_answer_says_so(app, tmp_path, loaded, last):
    row, ready, before = last
    asked = app(history_ms=1)
    asked.ask(instances(*before), JSON)
    with sqlite3.connect(tmp_path / "history.sqlite") as other:
        other.execute("BEGIN IMMEDIATE")  # readers are let in, writers are not
        (answer,) = predictions(asked.ask(instances(row), JSON))
        assert answer["history"] == "unrecorded"
        assert answer["score"] == pytest.approx(loaded.score([ready])[0])
    other.close()
    assert "history" not in predictions(asked.ask(instances(row), JSON))[0]


def test_a_broken_file_costs_rows_their_history_and_the_answer_says_so(app, tmp_path, loaded, last, capsys):
    row, ready, _ = last
    (tmp_path / "history.sqlite").write_bytes(b"no database" * 1000)
    asked = app()
    blind = loaded.score([without_history(ready)])[0]
    answers = predictions(asked.ask(instances(row, ready, row), JSON))
    assert [each.get("history") for each in answers] == ["unavailable", None, "unavailable"]
    assert [answers[0]["score"], answers[2]["score"]] == pytest.approx([blind, blind])
    assert json.loads(capsys.readouterr().out)["history"] == "history.sqlite: file is not a database"
    status, headers, text = asked.ask(pd.DataFrame([row]).to_csv(index=False), CSV, **{ATTRIBUTES: "mine=1"})
    assert (status, headers[ATTRIBUTES]) == (200, "mine=1,history=unavailable")
    assert float(text.split(",")[1]) == pytest.approx(blind)


def test_a_table_that_cannot_be_reached_costs_rows_their_history(tree, tmp_path, loaded, last):
    row, ready, _ = last
    aws = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    aws |= {"AWS_REGION": "eu-west-1", "FRAUD_HISTORY": "dynamodb:fraud-events"}
    endpoint = Endpoint(tree, tmp_path, **aws).wait()
    status, _, text = endpoint.ask("POST", "/invocations", instances(row), {"Content-Type": JSON})
    (answer,) = predictions((status, {}, text))
    assert answer["history"] == "unavailable"
    assert answer["score"] == pytest.approx(loaded.score([without_history(ready)])[0])
    assert "fraud-events: " in endpoint.logged()[-1]["history"]
    assert endpoint.stop() == 0


def test_history_is_asked_of_no_model_that_has_none(base, tmp_path, asked_of):
    asked = asked_of(App.load(base / "model", Settings(workers=1, history=f"sqlite:{tmp_path}/none.sqlite")))
    assert math.isfinite(asked.score(",".join(["0"] * 30))[0])
    assert not (tmp_path / "none.sqlite").exists()
