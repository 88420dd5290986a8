"""Two variants of an endpoint, asked about the same rows: may the new one take the place of the other?"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from botocore import exceptions

from fraud_utils.deploy.errors import DeployError, explained
from fraud_utils.deploy.place import Site
from fraud_utils.project import own_request

ROWS = 1_000  # a request


@dataclass(frozen=True)
class Limits:
    """How far a new model may be from the one that it replaces.

    Both are asked about the same rows. On live requests, errors, latency and too many alerts are judged as well.
    """

    errors: float = 0.0  # share of the new one's requests that may fail
    latency: float = 3.0  # its median for single rows, or live requests, in medians of the other
    alerts: float = 2.0  # how many times as often, or as seldom, it may alert, each at its own threshold
    difference: float = 0.1  # mean absolute difference of the scores
    requests: int = 50  # of single rows to each, for the latency


@dataclass(frozen=True)
class Answers:
    """What one variant answered.

    Attributes
    ----------
    scores, alerts : numpy.ndarray, shape (rows,)
        Probabilities, and whether a row is an alert at the model's own threshold; NaN where the request failed.
    single_ms : numpy.ndarray, shape (single rows that were answered,)
    """

    requests: int
    errors: int
    scores: np.ndarray
    alerts: np.ndarray
    single_ms: np.ndarray


class Client:
    """Asks the variants of an endpoint."""

    def __init__(self, site: Site) -> None:
        self._name = site.name
        self._runtime = site.connection.client("sagemaker-runtime", read_timeout=70, retries={"max_attempts": 1})

    def ask(self, rows: pd.DataFrame, singles: int, variants: tuple[str, ...] = ("",)) -> list[Answers]:
        """Ask about all rows, some hundreds a request, then single ones; the variants take turns.

        An empty variant is whichever the endpoint chooses.
        """
        starts = [*range(0, len(rows), ROWS)]
        requests = [(start, ROWS) for start in starts] + [(i % len(rows), 1) for i in range(singles)]
        asked: list[list[Any]] = [[] for _ in variants]
        for start, size in requests:
            body = rows.iloc[start : start + size].to_csv(index=False)
            for answers, variant in zip(asked, variants, strict=True):
                answers.append(self._once(body, variant))
        return [_answers(answers, len(rows), len(starts)) for answers in asked]

    def _once(self, body: str, variant: str) -> tuple[list[dict[str, Any]], float] | None:
        """Predictions and milliseconds, None for a request that failed."""
        target = {"TargetVariant": variant} if variant else {}
        form = {"ContentType": "text/csv", "Accept": "application/json", "InferenceId": own_request()}
        start = time.perf_counter()
        with explained("asking the endpoint"):
            try:
                answer = self._runtime.invoke_endpoint(EndpointName=self._name, Body=body.encode(), **form, **target)
                text = answer["Body"].read()
            except (self._runtime.exceptions.ModelError, exceptions.ReadTimeoutError):
                return None
        return json.loads(text)["predictions"], 1000 * (time.perf_counter() - start)


def _answers(answers: list[Any], rows: int, parts: int) -> Answers:
    scores, alerts = np.full(rows, np.nan), np.full(rows, np.nan)
    for i, answer in enumerate(answers[:parts]):
        if answer:
            place = slice(i * ROWS, i * ROWS + len(answer[0]))
            scores[place] = [each["score"] for each in answer[0]]
            alerts[place] = [each["fraud"] for each in answer[0]]
    single = np.array([answer[1] for answer in answers[parts:] if answer])
    return Answers(len(answers), sum(answer is None for answer in answers), scores, alerts, single)


def compare(old: Answers, new: Answers, limits: Limits) -> tuple[pd.DataFrame, list[str]]:
    """Both variants' answers in a table, and the limits that the new one breaks, in words.

    Raises
    ------
    DeployError
        The old one answers none of the rows, so that there is nothing to compare with.
    """
    both = ~np.isnan(old.scores) & ~np.isnan(new.scores)
    if np.isnan(old.scores).all() or not len(old.single_ms):
        raise DeployError("the present model answers none of these rows: give rows that it takes")
    if not both.any() or not len(new.single_ms):
        return pd.DataFrame(), [f"{new.errors} of its {new.requests} requests failed, all of one kind"]
    alerts = [int(answers.alerts[both].sum()) for answers in (old, new)]
    latency = [float(np.median(answers.single_ms)) for answers in (old, new)]
    difference = float(np.abs(old.scores - new.scores)[both].mean())
    ratio = (alerts[1] + 1) / (alerts[0] + 1)  # one more of each, so that no alert at all can be compared with some
    table = pd.DataFrame(
        {
            "present": {"errors": old.errors / old.requests, "median ms": latency[0], "alerts": alerts[0]},
            "new": {"errors": new.errors / new.requests, "median ms": latency[1], "alerts": alerts[1]},
            "new against present": {
                "median ms": latency[1] / latency[0],
                "alerts": ratio,
                "mean difference of scores": difference,
            },
            "limit": {
                "errors": limits.errors,
                "median ms": limits.latency,
                "alerts": limits.alerts,
                "mean difference of scores": limits.difference,
            },
        }
    ).reindex(["errors", "median ms", "alerts", "mean difference of scores"])
    rules = [
        (new.errors / new.requests > limits.errors, f"{new.errors} of its {new.requests} requests failed"),
        (
            latency[1] > limits.latency * latency[0],
            f"a single row takes {latency[1]:.1f} ms, {latency[1] / latency[0]:.1f} times as long as before, "
            f"the limit is {limits.latency:g}",
        ),
        (
            not 1 / limits.alerts <= ratio <= limits.alerts,
            f"it alerts on {alerts[1]:,} of {both.sum():,} rows, the present model on {alerts[0]:,}; "
            f"the limit is {limits.alerts:g} times as many, or as few",
        ),
        (
            difference > limits.difference,
            f"scores differ by {difference:.3f} on average, the limit is {limits.difference:g}",
        ),
    ]
    return table, [text for broken, text in rules if broken]
