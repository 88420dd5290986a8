"""Days of traffic as SageMaker's data capture writes them, drawn from rows that the model has not seen."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_utils.monitor.rehearsal import Pool
from fraud_utils.monitor.traffic import DAY, WEEK

END = "\x1e\r\n"  # of a row, since texts may have line breaks


@dataclass(frozen=True)
class Plan:
    """How long simulated traffic is, how much comes a day, from which day on something is wrong, if anything is."""

    days: int = 21
    requests_per_day: int = 5_000
    label_delay_days: int = 7
    fault_from: int = WEEK
    first: str = "2026-01-05"


def write_traffic(folder: Path, healthy: Pool, later: Pool | None, plan: Plan, seed: int = 7) -> tuple[Path, Path]:
    """Write days of captured requests, from some day on of another pool, and the labels that have come.

    Returns
    -------
    tuple of Path
        The folder of captured requests, and the table of labels.
    """
    rng = np.random.default_rng(seed)
    start = datetime.fromisoformat(plan.first).replace(tzinfo=UTC).timestamp()
    captured, labels = folder / "captured" / "simulated" / "AllTraffic", []
    for day in range(plan.days):
        pool = later if later and day >= plan.fault_from else healthy
        drawn = rng.integers(0, len(pool.score), plan.requests_per_day)
        seconds = np.sort(rng.integers(0, DAY, plan.requests_per_day))
        names = [f"{day:03d}-{row:06d}" for row in range(plan.requests_per_day)]
        for hour, lines in _by_hour(_lines(pool, drawn, start + day * DAY + seconds, names), seconds):
            place = captured / f"{datetime.fromtimestamp(start + day * DAY + hour * 3600, UTC):%Y/%m/%d/%H}"
            place.mkdir(parents=True, exist_ok=True)
            (place / "00-00-000-simulated.jsonl").write_text("".join(lines))
        if pool.labels_come and day < plan.days - plan.label_delay_days:
            labels.append(pd.DataFrame({"id": names, "label": pool.label[drawn]}))
    pd.concat(labels or [pd.DataFrame(columns=["id", "label"])]).to_csv(folder / "labels.csv", index=False)
    return folder / "captured", folder / "labels.csv"


def _lines(pool: Pool, drawn: np.ndarray, moments: np.ndarray, names: list[str]) -> list[str]:
    """Requests of one row each, as SageMaker keeps them."""
    header = pool.frame.iloc[:0].to_csv(index=False).rstrip("\n")
    bodies = pool.frame.iloc[drawn].to_csv(index=False, header=False, lineterminator=END).split(END)[:-1]
    return [_line(header, body, score, moment, name) for body, score, moment, name
            in zip(bodies, pool.score[drawn].tolist(), moments.tolist(), names, strict=True)]  # fmt: skip


def _line(header: str, body: str, score: float, moment: float, name: str) -> str:
    parts = {}
    for mode, text in (("Input", f"{header}\n{body}\n"), ("Output", f"{score!r}\n")):
        data = base64.b64encode(text.encode()).decode()
        part = {"observedContentType": "text/csv", "mode": mode.upper(), "data": data, "encoding": "BASE64"}
        parts[f"endpoint{mode}"] = part
    event = {"eventId": name, "inferenceId": name}
    event["inferenceTime"] = f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return json.dumps({"captureData": parts, "eventMetadata": event, "eventVersion": "0"}) + "\n"


def _by_hour(lines: list[str], seconds: np.ndarray) -> Iterator[tuple[int, list[str]]]:
    """Lines in order of time, hour by hour."""
    for hour in range(24):
        start, stop = np.searchsorted(seconds, [hour * 3600, (hour + 1) * 3600])
        if stop > start:
            yield hour, lines[start:stop]
