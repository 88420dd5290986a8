"""What a request may ask for through Accept and the custom attributes."""

import json

import pytest

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"
ONE = ",".join(["0"] * 30)
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("", CSV),
        ("*/*", CSV),
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


@pytest.mark.parametrize("wish", ["threshold=unknown", "reasons=many", "reasons=0"])
def test_a_wish_that_cannot_be_met_is_refused(asked, wish):
    assert asked.error(ONE, accept=JSON, x_amzn_sagemaker_custom_attributes=wish)[0] == 400
