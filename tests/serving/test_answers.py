"""What a request may ask for through Accept and the custom attributes."""

import csv
import json

import pytest

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
