"""The scores in a captured answer, in each form that the endpoint gives them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from fraud_utils.artifact import Layout

# Names that SAGEMAKER_INFERENCE_OUTPUT may give to the probability of fraud, beside that of an answer without it; of a
# pair it is the second. The other two, `predicted_label` and `labels`, hold no score.
NUMBERS, PAIRS = ("score", "probability", "raw_score"), ("probabilities", "raw_scores")
NO_SCORES = "the answer holds no scores"
NOT_TOLD = (
    "no score can be told from what else the answer holds; let SAGEMAKER_INFERENCE_OUTPUT end in probability, or leave "
    "it out"
)


class AnswerError(ValueError):
    """An answer without scores; the message is what the endpoint said, or what to do."""


def scores_of(text: str, layout: Layout) -> list[float]:
    """The probabilities in an answer of JSON, JSON lines or CSV, told by how it begins.

    Raises
    ------
    AnswerError
        There are none, or what they are cannot be told.
    """
    try:
        return _of_json(text) if text.lstrip()[:1] in ("{", "[") else _of_csv(text, layout)
    except AnswerError:
        raise
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError, csv.Error):
        raise AnswerError(NO_SCORES) from None


def _of_json(text: str) -> list[float]:
    try:
        document = json.loads(text)
    except ValueError:
        document = [json.loads(line) for line in text.split("\n") if line.strip()]
    if not isinstance(document, dict):
        return [_score(each) for each in document]
    if "error" in document:
        raise AnswerError(str(document["error"]))
    return [_score(each) for each in document.get("predictions", [document])]


def _score(prediction: Any) -> float:
    if not isinstance(prediction, dict):
        return float(prediction)
    for name in (*NUMBERS, *PAIRS):
        if name in prediction:
            return float(prediction[name] if name in NUMBERS else prediction[name][-1])
    raise AnswerError(NOT_TOLD)


def _of_csv(text: str, layout: Layout) -> list[float]:
    """Values without names are told apart by how `serve` writes them; where several are scores, they have to agree."""
    columns = list(zip(*(row for row in csv.reader(io.StringIO(text, newline="")) if row), strict=True))
    if not columns:
        raise AnswerError(NO_SCORES)
    if layout.id and len(columns) > 1:  # ids come first; where rows have none, what is left decides
        del columns[0]
    found = [scores for column in columns if (scores := _of_column(column))]
    if not found or any(scores != found[0] for scores in found):
        raise AnswerError(NOT_TOLD)
    return found[0]


def _of_column(values: tuple[str, ...]) -> list[float]:
    """The scores in one column of CSV; none where it holds labels, which are whole."""
    if set(values) <= {"0", "1"} or set(values) == {"[0, 1]"}:
        return []
    return [float(json.loads(value)[-1] if value.startswith("[") else value) for value in values]
