"""What a request may ask for, and how answers and errors are written."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fraud_utils.artifact import Model

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
MEDIA = {CSV: CSV, JSON: JSON, JSON_LINES: JSON_LINES, "application/x-jsonlines": JSON_LINES, "text/json": JSON}
MEDIA["csv"] = CSV  # as AWS's container takes it
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
ARROW_SCORES = 500  # more scores are worth Arrow's writer
REASONS = 3
# What SAGEMAKER_INFERENCE_OUTPUT may name, from a row's score and whether it counts as fraud. The names are those of
# AWS's XGBoost container, for which a raw score of binary:logistic is the probability as well.
OUTPUTS: dict[str, Callable[[float, bool], Any]] = {
    "predicted_label": lambda score, fraud: int(fraud),
    "labels": lambda score, fraud: [0, 1],
    "probability": lambda score, fraud: score,
    "probabilities": lambda score, fraud: [1 - score, score],
    "raw_score": lambda score, fraud: score,
    "raw_scores": lambda score, fraud: [1 - score, score],
}

type Written = tuple[int, tuple[bytes, int]]  # rows; the text of their answers, and how many are alerts


class RequestError(Exception):
    """A request that cannot be answered; the message says what to change."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


@dataclass(frozen=True)
class Usual:
    """What answers are like unless a request asks for something else.

    Attributes
    ----------
    accept : str
        What a request takes that does not say; empty is the media type that it sends.
    outputs : tuple of str
        Names in `OUTPUTS`; empty is the score, in JSON with the decision.
    """

    accept: str = ""
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What a request's headers ask for.

    Attributes
    ----------
    media : str
        The media type of the answer.
    threshold : float
        The probability from which a row counts as fraud.
    reasons : int
        How many for each row; 0 is none.
    outputs : tuple of str
        As in `Usual`.
    """

    media: str
    threshold: float
    reasons: int
    outputs: tuple[str, ...]

    @classmethod
    def read(cls, headers: Mapping[str, str], sent: str, model: Model, usual: Usual) -> Wanted:
        """Read `Accept` and the custom attributes of a request whose body is of the media type `sent`.

        Raises
        ------
        RequestError
            They ask for what there is not.
        """
        accept = headers.get("accept") or "*/*"
        media = _accepted(usual.accept if usual.accept and accept.strip() == "*/*" else accept, sent)
        wishes = _wishes(headers.get(ATTRIBUTES) or "")
        name = wishes.get("threshold", model.decides)
        if name not in model.thresholds:
            known = ", ".join(model.thresholds)
            raise RequestError(400, f"threshold {name[:60]!r} is unknown; the model has {known}")
        reasons = wishes.get("reasons", "0") or str(REASONS)
        if "reasons" in wishes and not re.fullmatch("[1-9][0-9]?|100", reasons):
            raise RequestError(400, f"reasons={reasons[:20]}: ask for a number of reasons from 1 to 100")
        unmet = "threshold" if "predicted_label" not in usual.outputs else ""
        if media == CSV and (wish := next((wish for wish in ("reasons", unmet) if wish in wishes), "")):
            raise RequestError(400, f"{wish} would be lost in {CSV}; ask for {JSON} or {JSON_LINES} by Accept")
        return cls(media, model.thresholds[name], int(reasons), usual.outputs)

    def write(self, model: Model, rows: Any, first: int = 0, settle: Callable[[], list[str]] = list) -> Written:
        """Score rows, before which `first` came; returns their number, and their answers with that of alerts.

        In JSON the text is what stands between the brackets of the list of predictions; see `join`. `settle` is called
        once all rows have been scored, and gives what each answer has to say about the row's history.
        """
        scores, ids = model.score(rows, first), model.layout.ids_of(rows)
        return len(scores), (self._text(model, rows, scores, ids, settle()), int((scores >= self.threshold).sum()))

    def _text(self, model: Model, rows: Any, scores: np.ndarray, ids: Any, notes: list[str]) -> bytes:
        if self.media == CSV and ids is None and not self.outputs:
            return _lines(scores)
        predictions = [self._prediction(score) for score in scores.tolist()]
        if self.media != CSV and not self.outputs and (actions := model.actions(scores)):
            predictions = [{**each, "action": action} for each, action in zip(predictions, actions, strict=True)]
        if ids is not None:
            predictions = [{"id": each, **prediction} for each, prediction in zip(ids, predictions, strict=True)]
        if self.reasons:
            for prediction, reasons in zip(predictions, model.reasons(rows, self.reasons), strict=True):
                prediction["reasons"] = reasons
        if self.media == CSV:
            return _table(predictions)
        for prediction, note in zip(predictions, notes, strict=False):
            if note:
                prediction["history"] = note
        if self.media == JSON:
            return json.dumps(predictions)[1:-1].encode()
        return "".join(json.dumps(prediction) + "\n" for prediction in predictions).encode()

    def _prediction(self, score: float) -> dict[str, Any]:
        fraud = score >= self.threshold
        if self.outputs:
            return {name: OUTPUTS[name](score, fraud) for name in self.outputs}
        return {"score": score} if self.media == CSV else {"score": score, "fraud": fraud}

    def join(self, texts: list[bytes]) -> bytes:
        """The whole answer, from the texts of successive rows."""
        return b'{"predictions": [%b]}' % b", ".join(filter(None, texts)) if self.media == JSON else b"".join(texts)


def error(message: str, identity: str) -> bytes:
    """The body of an answer that is an error."""
    return json.dumps({"error": message, "id": identity}).encode()


@lru_cache(maxsize=256)
def _accepted(accept: str, sent: str) -> str:
    """The media type to answer with: the best that the caller takes, and what it sent where it takes anything."""
    choices = []
    for order, choice in enumerate(filter(None, (part.strip() for part in accept.lower().split(",")))):
        media, *parameters = (part.strip() for part in choice.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        weight = float(quality) if re.fullmatch(r"[01](\.\d{0,3})?", quality) else 1.0
        if weight > 0:
            choices.append((-weight, order, media))
    for _, _, media in sorted(choices):
        if media in MEDIA:
            return MEDIA[media]
        kind = media.removesuffix("*")
        if media == "*/*" or (kind.endswith("/") and sent.startswith(kind)):
            return sent
        if kind in ("text/", "application/"):
            return CSV if kind == "text/" else JSON
    raise RequestError(406, f"Accept {accept[:100]!r} cannot be served; take {CSV}, {JSON} or {JSON_LINES}")


@lru_cache(maxsize=256)
def _wishes(attributes: str) -> dict[str, str]:
    """`reasons=3, threshold=name` in the custom attributes; whatever else callers put there is theirs."""
    pairs = (part.partition("=") for part in re.split("[,;]", attributes))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


def _table(predictions: list[dict[str, Any]]) -> bytes:
    """One prediction a line; a list is one value, in JSON."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [json.dumps(value) if isinstance(value, list) else value for value in prediction.values()]
        for prediction in predictions
    )
    return text.getvalue().encode()


def _lines(scores: np.ndarray) -> bytes:
    """One score a line, in the fewest digits that give it back."""
    if len(scores) < ARROW_SCORES:
        return "".join(f"{score!r}\n" for score in scores.tolist()).encode()
    import pyarrow
    from pyarrow import csv as arrow_csv

    out = pyarrow.BufferOutputStream()
    column = pyarrow.Array.from_buffers(pyarrow.float64(), len(scores), [None, pyarrow.py_buffer(scores)])
    arrow_csv.write_csv(pyarrow.table([column], ["score"]), out, arrow_csv.WriteOptions(include_header=False))
    return out.getvalue().to_pybytes()
