"""Scores are found in every answer that `serve` gives, or the answer is refused; a label is never taken for one."""

import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from fraud_utils.monitor.answers import AnswerError, scores_of
from fraud_utils.serving.answers import CSV, JSON, JSON_LINES, OUTPUTS, Usual, Wanted, error

HOLDING = {"probability", "raw_score", "probabilities", "raw_scores"}


@pytest.fixture
def with_ids(shop):
    return replace(shop, layout=replace(shop.layout, id="payment", accepted=shop.layout.accepted | {"payment"}))


def answer(model, media: str, outputs: tuple[str, ...], rows) -> str:
    wanted = Wanted.read({}, media, model, Usual(outputs=outputs))
    _, (text, _) = wanted.write(model, rows)
    return wanted.join([text]).decode()


def columns(rows: int, **more) -> dict:
    rng = np.random.default_rng(rows)
    numbers = {"a": rng.normal(2, 1, rows), "b": rng.normal(size=rows), "total": rng.gamma(1, 50, rows)}
    return {**numbers, "channel": ["web"] * rows, **more}


@pytest.mark.parametrize("media", [CSV, JSON, JSON_LINES])
def test_whatever_an_endpoint_is_told_to_answer_its_scores_are_found_or_it_is_refused(shop, media):
    rows = columns(5)
    score = shop.score(rows).tolist()
    assert scores_of(answer(shop, media, (), rows), shop.layout) == score
    for size in (1, 2, 3):
        for outputs in permutations(OUTPUTS, size):
            text = answer(shop, media, outputs, rows)
            if HOLDING & set(outputs):
                assert scores_of(text, shop.layout) == score, outputs
            else:
                with pytest.raises(AnswerError, match="let SAGEMAKER_INFERENCE_OUTPUT end in probability"):
                    scores_of(text, shop.layout)


@pytest.mark.parametrize("ids", [["0.5"] * 5, ["1", "0", "1", "0", "1"], ["[0, 1]"] * 5, ["a,b"] * 5, None])
def test_ids_beside_other_values_are_not_taken_for_scores(with_ids, ids):
    rows = columns(5, **({"payment": ids} if ids else {}))
    score = with_ids.score(rows).tolist()
    for outputs in [(), *permutations(OUTPUTS, 1), *permutations(OUTPUTS, 2)]:
        try:
            found = scores_of(answer(with_ids, CSV, outputs, rows), with_ids.layout)
        except AnswerError:
            assert not HOLDING & set(outputs) or (ids is None and outputs[-1] in ("labels", "predicted_label"))
        else:
            assert found == score, outputs


def test_scores_that_are_whole_among_many_are_scores(shop):
    text = "".join(f"{value}\n" for value in ["0", "1", "0.25"] * 200)  # so the endpoint writes 0.0 in a long answer
    assert scores_of(text, shop.layout) == [0, 1, 0.25] * 200


def test_two_numbers_of_which_neither_is_known_to_be_the_score_are_refused(shop):
    with pytest.raises(AnswerError, match="no score can be told"):
        scores_of("0.25,0.5\n0.25,0.75\n", shop.layout)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "no number\n",
        "0.5,x\n",
        "0.5\n0.5,0.6\n",
        '{"predictions": 1}',
        "[" * 100_000,
        '{"predictions": [{"probabilities": []}]}',
        '{"predictions": [{"score": null}]}',
    ],
)
def test_what_is_no_answer_of_the_endpoint_is_refused(shop, text):
    with pytest.raises(AnswerError, match="the answer holds no scores"):
        scores_of(text, shop.layout)


def test_an_error_says_why_there_are_no_scores(shop):
    with pytest.raises(AnswerError, match=r"^row 2, column 'a': the value is missing$"):
        scores_of(error("row 2, column 'a': the value is missing", "x").decode(), shop.layout)
    assert scores_of(json.dumps({"score": 0.5, "fraud": True}), shop.layout) == [0.5]  # one JSON line
