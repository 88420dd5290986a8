"""A served row with history: ready columns, events that come with it, and the endpoint's own store in SQLite.

    python tests/bench/bench_kept_history.py [--rows 3000]    # `make bench`; wants a quiet machine

The bound: a row whose history the endpoint keeps takes at most 1 ms more at p50 than one with ready columns.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_serving import cpu_seconds, running

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import cards

from fraud_utils.data import add_history

PAYMENTS, WARM = 40_000, 200


def plain(rows) -> list[dict]:
    return [{name: value for name, value in row.items() if value == value} for row in rows.to_dict("records")]


def ask(port: int, bodies: list[dict]) -> np.ndarray:
    """Milliseconds of each row, one after the other on one connection."""
    connection, taken = http.client.HTTPConnection("127.0.0.1", port), []
    for body in bodies:
        text = json.dumps({"instances": [body]})
        began = time.perf_counter()
        connection.request("POST", "/invocations", text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        taken.append(1000 * (time.perf_counter() - began))
        if answer.status != 200:
            raise SystemExit(f"answered {answer.status}")
    return np.array(taken[WARM:])


def main() -> None:
    """Measure and print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3000, help="of each measurement")
    count = parser.parse_args().rows + WARM
    frame = cards.payments(PAYMENTS)
    whole, past, last = add_history(frame, cards.SCHEMA), frame[:-count], frame[-count:]
    before = [
        plain(past[(past.card == card) | (past.merchant == merchant)])
        for card, merchant in zip(last.card[:500], last.merchant[:500], strict=True)
    ]
    rows = plain(last)
    with_events = [row | {"history": events} for row, events in zip(rows, before, strict=False)]
    with tempfile.TemporaryDirectory() as folder:
        cards.train(Path(folder) / "model", frame)
        os.environ |= {"FRAUD_HISTORY": "sqlite:kept.sqlite", "FRAUD_HISTORY_TIMEOUT_MS": "10000"}
        with running("serve", Path(folder)) as (port, process, _):
            connection = http.client.HTTPConnection("127.0.0.1", port)
            began = time.perf_counter()
            for start in range(0, len(past), 5_000):
                body = past[start : start + 5_000].to_csv(index=False)
                connection.request("POST", "/invocations", body, {"Content-Type": "text/csv"})
                connection.getresponse().read()
            seconds = time.perf_counter() - began
            print(f"filled with {len(past):,} payments at {len(past) / seconds:,.0f} a second")
            median = {}
            kinds = {"ready columns": plain(whole[-count:]), "kept in SQLite": rows, "events with it": with_events}
            for kind, bodies in kinds.items():
                spent = cpu_seconds(process)
                taken = ask(port, bodies)
                spent = 1000 * (cpu_seconds(process) - spent) / len(bodies)
                median[kind], p99 = np.percentile(taken, [50, 99])
                print(f"{kind:14}: p50 {median[kind]:.3f} ms, p99 {p99:.3f} ms; {spent:.3f} ms of CPU a row")
            more = median["kept in SQLite"] - median["ready columns"]
            print(f"kept in SQLite: {more:.3f} ms more at p50 (bound 1 ms)")
            events = sum(map(len, before)) / len(before)
            size = sum(file.stat().st_size for file in Path(folder).glob("kept.sqlite*")) / 1e6
            print(f"{events:.0f} events a row; the store's file has {size:.1f} MB")


if __name__ == "__main__":
    main()
