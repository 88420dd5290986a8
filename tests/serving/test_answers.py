"""What a request may ask for through Accept and the custom attributes."""

import csv
import dataclasses
import io
import json

import numpy as np
import pytest

from fraud_utils import artifact, models
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema
from fraud_utils.serving import App, Settings

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"
ONE = ",".join(["0"] * 30)
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("", CSV),
        ("*/*", CSV),
        ("csv", CSV),
        ("application/json;verbose=True", JSON),
        ("text/*", CSV),
        ("application/*", JSON),
        ("application/json, text/csv;q=0.5", JSON),
        ("text/csv;q=0.1, application/jsonlines", LINES),
        ("image/png, application/json", JSON),
    ],
)
def test_the_answer_is_what_accept_prefers(asked, accept, answered):
    status, headers, _ = asked.ask(ONE, accept=accept)
    assert (status, headers["content-type"]) == (200, answered)


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0"])
def test_what_nobody_can_write_is_refused(asked, accept):
    status, error = asked.error(ONE, accept=accept)
    assert status == 406
    assert "text/csv" in error


def test_decisions_and_reasons_are_asked_for_through_custom_attributes(asked, frame, model):
    rows = frame.tail(300)

    def predictions(wish):
        status, headers, text = asked.ask(
            rows.to_csv(index=False), accept=JSON, x_amzn_sagemaker_custom_attributes=wish
        )
        assert status == 200, text
        assert headers.get(ATTRIBUTES) == wish
        return json.loads(text)["predictions"]

    usual = predictions(None)
    assert [p["fraud"] for p in usual] == [score >= model.thresholds["half"] for score in model.score(rows)]
    assert {p["fraud"] for p in usual} == {True, False}
    assert "reasons" not in usual[0]
    assert not any(p["fraud"] for p in predictions("threshold=never"))
    explained = predictions("trace=abc; reasons=2")
    assert [p["reasons"] for p in explained] == model.reasons(rows, 2)
    assert len(predictions("reasons")[0]["reasons"]) == 3


@pytest.mark.parametrize("wish", ["reasons", "reasons=2", "threshold=never"])
def test_a_wish_that_an_answer_in_csv_would_lose_is_refused(asked, wish):
    status, error = asked.error(ONE, accept=CSV, x_amzn_sagemaker_custom_attributes=wish)
    assert (status, "would be lost in text/csv; ask for application/json" in error) == (400, True), error


def served_with(asked_of, model, **environment):
    return asked_of(App(model, Settings.read(environment)))


def test_what_a_request_takes_that_does_not_say_can_be_set(asked_of, model):
    served = served_with(asked_of, model, SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="application/jsonlines")
    for accept, answered in (("", LINES), ("*/*", LINES), ("text/csv", CSV), ("application/json", JSON)):
        assert served.ask(ONE, accept=accept)[1]["content-type"] == answered


def test_answers_hold_what_the_inference_output_names(asked_of, model, frame):
    served = served_with(asked_of, model, SAGEMAKER_INFERENCE_OUTPUT="predicted_label, probabilities,probability")
    rows = frame.tail(200)
    scores, body = model.score(rows).tolist(), rows.to_csv(index=False)
    labels = [int(score >= model.thresholds["half"]) for score in scores]
    assert set(labels) == {0, 1}
    predictions = json.loads(served.ask(body, accept=JSON)[2])["predictions"]
    keys = ("predicted_label", "probabilities", "probability")
    expected = [dict(zip(keys, (y, [1 - p, p], p), strict=True)) for y, p in zip(labels, scores, strict=True)]
    assert predictions == expected
    table = list(csv.reader(served.ask(body, accept=CSV)[2].splitlines()))
    assert [(int(y), json.loads(both), float(p)) for y, both, p in table] == [
        tuple(prediction.values()) for prediction in predictions
    ]
    _, _, text = served.ask(body, accept=CSV, x_amzn_sagemaker_custom_attributes="threshold=never")
    assert {line[0] for line in text.splitlines()} == {"0"}  # the threshold decides the label


@pytest.mark.parametrize("wish", ["threshold=unknown", "reasons=many", "reasons=0"])
def test_a_wish_that_cannot_be_met_is_refused(asked, wish):
    assert asked.error(ONE, accept=JSON, x_amzn_sagemaker_custom_attributes=wish)[0] == 400


def test_answers_of_a_model_with_tiers_hold_the_action(asked, asked_of, model, frame):
    rows = frame.tail(300)
    scores, body = model.score(rows), rows.to_csv(index=False)
    low, high = np.quantile(scores, [0.5, 0.9])
    tiered = asked_of(App(dataclasses.replace(model, tiers={"review": low, "block": high}), Settings()))
    expected = np.select([scores >= high, scores >= low], ["block", "review"], "accept").tolist()
    assert set(expected) == {"accept", "review", "block"}
    for accept in (JSON, LINES):
        wish = {"accept": accept, "x_amzn_sagemaker_custom_attributes": "threshold=never; reasons=1"}
        (_, _, with_tiers), (_, _, without) = (app.ask(body, **wish) for app in (tiered, asked))
        answers, plain = (
            json.loads(text)["predictions"] if accept == JSON else list(map(json.loads, text.splitlines()))
            for text in (with_tiers, without)
        )
        assert [answer.pop("action") for answer in answers] == expected  # whatever threshold decides
        assert answers == plain
    assert tiered.score(body) == asked.score(body)  # in CSV nothing is added


# An id goes through scoring ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known(frame, tmp_path_factory, asked_of):
    """An app whose schema has an id, and rows with ids that are easily lost: zeros, missing values' names, commas."""
    schema = Schema("known", "Class", "Time", "Amount", ("V4", "V14"), id="transaction")
    rows = frame[["Time", "V4", "V14", "Amount", "Class"]]
    strange = ["007", "NA", "", "null", 'a,"b"', "1e3", "né", "x" * 300]
    ids = [*strange, *(f"t-{i:06}" for i in range(len(rows) - len(strange)))]
    rows = rows.assign(transaction=ids)[["Time", "transaction", "V4", "V14", "Amount", "Class"]]
    features = FeatureMap.fit(schema, dict(rows.items()))
    contents = artifact.Contents(
        schema=schema.to_dict(),
        columns=[name for name in schema.columns if name != "Class"],
        features=features,
        thresholds={"half": 0.5},
        decides="half",
        hyperparameters={},
        training={},
    )
    folder, X = tmp_path_factory.mktemp("known"), features.matrix(dict(rows.items()))
    artifact.save(folder, models.fit_xgboost(X, rows.Class.to_numpy(), "none", {"num_round": 5}), contents)
    model = artifact.load(folder)
    return asked_of(App(model, Settings())), rows, model.score(rows).tolist()


def ways_to_send(rows):
    columns = ["Time", "transaction", "V4", "V14", "Amount"]
    yield CSV, rows.to_csv(index=False)
    yield CSV, rows[columns].to_csv(index=False, header=False)
    yield JSON, json.dumps({"instances": rows.to_dict("records")})
    yield JSON, json.dumps({"instances": rows[columns].to_numpy().tolist()})
    yield LINES, "\n".join(map(json.dumps, rows[columns].to_dict("records")))


@pytest.mark.parametrize("count", [1, 8, 3_000])  # the last is read by Arrow
def test_an_id_comes_back_with_the_score_and_the_decision(known, count):
    asked, rows, scores = known
    rows = rows.head(count)
    ids, expected = rows.transaction.to_list(), pytest.approx(scores[:count], abs=1e-6)
    for content, body in ways_to_send(rows):
        table = list(csv.reader(io.StringIO(asked.ask(body, content, accept=CSV)[2])))
        assert [row[0] for row in table] == ids
        assert [float(row[1]) for row in table] == expected
        for accept in (JSON, LINES):
            text = asked.ask(body, content, accept=accept)[2]
            answers = json.loads(text)["predictions"] if accept == JSON else [*map(json.loads, text.splitlines())]
            assert [*answers[0]] == ["id", "score", "fraud"]
            assert [answer["id"] for answer in answers] == ids


def test_an_id_comes_back_with_reasons_and_with_named_outputs(known, asked_of):
    asked, rows, _ = known
    body = rows.head(9).to_csv(index=False)
    _, _, text = asked.ask(body, accept=JSON, x_amzn_sagemaker_custom_attributes="reasons=2")
    answers = json.loads(text)["predictions"]
    assert [(answer["id"], len(answer["reasons"])) for answer in answers] == [(i, 2) for i in rows.transaction.head(9)]
    labels = served_with(asked_of, asked.app.model, SAGEMAKER_INFERENCE_OUTPUT="predicted_label")
    table = csv.reader(io.StringIO(labels.ask(body, accept=CSV)[2]))
    assert [row[0] for row in table] == rows.transaction.head(9).to_list()
    assert {*json.loads(labels.ask(body, accept=JSON)[2])["predictions"][0]} == {"id", "predicted_label"}


def test_rows_may_go_without_an_id_where_columns_have_names(known):
    asked, rows, scores = known
    assert asked.score(rows.drop(columns="transaction").head(9).to_csv(index=False)) == pytest.approx(scores[:9])
    records = rows.head(2).to_dict("records")
    del records[1]["transaction"]
    text = asked.ask(json.dumps({"instances": records}), JSON)[2]
    assert [answer["id"] for answer in json.loads(text)["predictions"]] == ["007", None]
    records[1]["transaction"] = 12
    text = asked.ask(json.dumps({"instances": records}), JSON)[2]
    assert [answer["id"] for answer in json.loads(text)["predictions"]] == ["007", 12]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (["12"], "a list where text or a number is needed"),
        (True, "true or false where text or a number is needed"),
        (float("nan"), "the value is no finite number"),
        ("\ud800", "half of a surrogate pair, which UTF-8 cannot write"),
    ],
)
@pytest.mark.parametrize("accept", [CSV, JSON])
def test_an_id_that_could_not_come_back_is_refused(known, given, fault, accept):
    asked, rows, _ = known
    records = rows.head(2).to_dict("records")
    records[1]["transaction"] = given
    answer = asked.error(json.dumps({"instances": records}), JSON, accept=accept)
    assert answer == (400, f"row 2, column 'transaction': {fault}")


def test_the_scores_do_not_depend_on_the_id(known):
    asked, rows, scores = known
    assert "transaction" not in asked.app.model.layout.features.raw
    answer = asked.ask(rows.head(50).assign(transaction="same").to_csv(index=False), accept=JSON)[2]
    assert [each["score"] for each in json.loads(answer)["predictions"]] == pytest.approx(scores[:50], abs=1e-6)
