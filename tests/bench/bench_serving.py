"""Serving against the usual way (Flask and gunicorn, pandas parsing), the same model and as many processes.

    python tests/bench/bench_serving.py [--load-seconds 90]    # `make bench`; wants a quiet machine; 600 in full

The bounds: 5 times Flask's throughput and a fifth of its p99; single-row p50 of 0.5 ms; 100,000 rows of CSV at half the
speed of XGBoost on a ready array; first /ping within 1.2 s; with a worker killed every 30 s, no wrong answer. And what
scoring a long CSV body in pieces on all cores saves, without which it would be scored in one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
WORKERS = len(os.sched_getaffinity(0))
CONNECTIONS = (1, 8, 32)
WARM = 2 * WORKERS  # bodies, so that each worker has met one before its time counts


def flask_app():
    """The usual way: pandas reads the body, the scikit-learn wrapper scores the frame."""
    import flask
    import pandas as pd
    import xgboost

    app = flask.Flask(__name__)
    model = xgboost.XGBClassifier()
    model.load_model(Path(os.environ["SAGEMAKER_BASE_DIR"]) / "model" / "model.ubj")

    @app.post("/invocations")
    def invocations():
        frame = pd.read_csv(io.BytesIO(flask.request.data), header=None)
        frame[29] = np.log1p(frame[29])
        scores = model.predict_proba(frame.drop(columns=0))[:, 1]
        return "\n".join(str(score) for score in scores)

    @app.get("/ping")
    def ping():
        return ""

    return app


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(kind: str, base: Path):
    """Start `serve` or Flask; gives port, process and the seconds to the first /ping."""
    port = free_port()
    environment = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": str(port), "SERVE_HOST": "127.0.0.1"}
    command = [sys.executable, str(ROOT / "container" / "serve.py")]
    if kind == "flask":
        command = [sys.executable, "-m", "gunicorn", "--chdir", str(Path(__file__).parent), "-b", f"127.0.0.1:{port}"]
        command += ["-w", str(WORKERS), "--threads", "4", "--no-control-socket", "--log-level", "error"]
        command += ["bench_serving:flask_app()"]
        environment["OMP_NUM_THREADS"] = "1"
    began = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as client:
                client.settimeout(30)
                client.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
                if client.recv(4096).startswith(b"HTTP/1.1 200"):
                    break
            if process.poll() is not None:
                raise SystemExit(f"{kind} did not start")
            time.sleep(0.01)
        yield port, process, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)


def message(body: bytes) -> bytes:
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Load:
    """Closed-loop clients in one thread: each connection sends the next row when it has its answer."""

    def __init__(self, port: int, bodies: list[bytes], expected: np.ndarray | None = None) -> None:
        self.port, self.messages, self.expected = port, [message(body) for body in bodies], expected
        self.seconds: list[float] = []
        self.failed: list[str] = []
        self.wrong = 0
        self.sent = 0

    def run(self, connections: int, seconds: float, each_second=lambda elapsed: None) -> Load:
        """Ask for so many seconds."""
        selector = selectors.DefaultSelector()
        for _ in range(connections):
            self._open(selector)
        began = tick = time.perf_counter()
        while (now := time.perf_counter()) - began < seconds:
            if now - tick > 1:
                tick = now
                each_second(now - began)
            for key, _ in selector.select(1):
                self._read(selector, key.fileobj, key.data)
        for key in list(selector.get_map().values()):
            key.fileobj.close()
        self.duration = time.perf_counter() - began
        return self

    def _open(self, selector) -> None:
        for _ in range(200):
            try:
                client = socket.create_connection(("127.0.0.1", self.port), 30)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                state = {"answer": b""}
                self._send(client, state)
                selector.register(client, selectors.EVENT_READ, state)
                return
            except OSError as error:
                self.failed.append(f"connect: {type(error).__name__}")
                time.sleep(0.05)
        raise SystemExit("no connection for ten seconds")

    def _send(self, client, state) -> None:
        state["row"] = self.sent % len(self.messages)
        self.sent += 1
        state["began"] = time.perf_counter()
        client.sendall(self.messages[state["row"]])

    def _read(self, selector, client, state) -> None:
        try:
            part = client.recv(65536)
            if not part:
                raise ConnectionResetError
            state["answer"] += part
            head, found, text = state["answer"].partition(b"\r\n\r\n")
            if not found:
                return
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            if len(text) < length:
                return
            self.seconds.append(time.perf_counter() - state["began"])
            if not head.startswith(b"HTTP/1.1 200"):
                self.failed.append(head[:30].decode())
            elif self.expected is not None and abs(float(text) - self.expected[state["row"]]) > 1e-6:
                self.wrong += 1
            state["answer"] = b""
            self._send(client, state)
        except OSError as error:  # the process that held this connection is gone
            self.failed.append(type(error).__name__)
            selector.unregister(client)
            client.close()
            self._open(selector)


def resident_mb(process) -> list[float]:
    """Memory of each worker: its own share of what it shares with others counted in part (PSS)."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    sums = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in children]
    return [int(text.split("Pss:")[1].split()[0]) / 1024 for text in sums]


def workers(process) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def cpu_seconds(process) -> float:
    """What the workers have used."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in workers(process))


def prepare(base: Path):
    """Fit the XGBoost that `models` sets by hand on the real data; gives rows and their scores."""
    from fraud_utils import artifact, models
    from fraud_utils.artifact import FeatureMap
    from fraud_utils.data import ULB, load_transactions

    path = Path(os.environ.get("FRAUD_DATA") or ROOT.parent / "shared" / "data" / "creditcard.csv.zip")
    frame = load_transactions(path if path.exists() else "")
    features = FeatureMap.fit(ULB, dict(frame.items()))
    booster = models.fit_xgboost(features.matrix(dict(frame.items())), frame[ULB.label].to_numpy(), nthread=WORKERS)
    artifact.save(
        base / "model",
        booster,
        artifact.Contents(
            schema=ULB.to_dict(),
            columns=[name for name in ULB.columns if name != ULB.label],
            features=features,
            thresholds={"default": 0.5},
            decides="default",
            hyperparameters={},
            training={},
        ),
    )
    model = artifact.load(base / "model")
    rows = frame.drop(columns=ULB.label).iloc[np.arange(100_000) % len(frame)]
    return model, rows, model.score(rows)


def main() -> None:
    """Measure and print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load-seconds", type=float, default=90, help="of load with a worker killed every 30 s")
    parser.add_argument("--seconds", type=float, default=4, help="of each latency measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        model, rows, expected = prepare(base)
        single = [line.encode() for line in rows.head(200).to_csv(index=False, header=False).splitlines()]
        starts = []
        for _ in range(5):
            with running("serve", base) as (_, process, seconds):
                starts.append(seconds)
        print(
            f"start to the first /ping 200: median {sorted(starts)[2]:.2f} s of 5 ({min(starts):.2f}-{max(starts):.2f})"
        )
        figures = {}
        for kind in ("flask", "serve"):
            with running(kind, base) as (port, process, _):
                Load(port, single).run(8, 1.5)
                for connections in CONNECTIONS:
                    load = Load(port, single, expected if kind == "serve" else None).run(connections, options.seconds)
                    p50, p99 = np.percentile(load.seconds, [50, 99]) * 1000
                    figures[kind, connections] = rate, p50, p99 = len(load.seconds) / load.duration, p50, p99
                    print(
                        f"{kind:6} {connections:3} connections: {rate:8.0f} requests/s, "
                        f"p50 {p50:7.3f} ms, p99 {p99:7.3f} ms"
                    )
                    if load.failed or load.wrong:
                        print(f"       {len(load.failed)} failed {set(load.failed)}, {load.wrong} wrong")
                print(
                    f"{kind:6} memory of each worker (PSS): {', '.join(f'{mb:.0f}' for mb in resident_mb(process))} MB"
                )
        for connections in CONNECTIONS:
            ours, usual = figures["serve", connections], figures["flask", connections]
            print(
                f"{connections:3} at once: {ours[0] / usual[0]:.1f} times the throughput, "
                f"1/{usual[2] / ours[2]:.1f} of p99"
            )
        bulk(base, model, rows, expected)
        pieces(model, rows)
        killed(base, single, expected, options.load_seconds)


def bulk(base: Path, model, rows, expected) -> None:
    """100,000 rows in one body against in-place prediction on the ready array."""
    body = message(rows.to_csv(index=False, header=False).encode())
    matrix = model.matrix(rows)
    timed: dict[str, list[float]] = {"HTTP": [], "in place, all threads": [], "in place, one thread": []}
    spent = dict.fromkeys(("HTTP", "in place"), 0.0)  # CPU seconds, which a busy machine falsifies less
    with running("serve", base) as (port, process, _):
        for asked in range(WARM + 9):
            if asked == WARM:
                spent["HTTP"] -= cpu_seconds(process)
            with socket.create_connection(("127.0.0.1", port)) as client:
                began = time.perf_counter()
                client.sendall(body)
                parts = [client.recv(1 << 20)]
                head, _, text = parts[0].partition(b"\r\n\r\n")
                missing = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) - len(text)
                while missing > 0:
                    parts.append(client.recv(1 << 20))
                    missing -= len(parts[-1])
                timed["HTTP"].append(time.perf_counter() - began)
            for name, threads in (("in place, all threads", WORKERS), ("in place, one thread", 1)):
                model.booster.set_param({"nthread": threads})
                began, busy = time.perf_counter(), time.process_time()
                model.booster.inplace_predict(matrix)
                timed[name].append(time.perf_counter() - began)
            spent["in place"] += (time.process_time() - busy) * (asked >= WARM)
        spent["HTTP"] += cpu_seconds(process)
    scores = np.array(b"".join(parts).partition(b"\r\n\r\n")[2].split(), dtype=float)
    print(f"100,000 rows ({len(body) / 1e6:.0f} MB of CSV), largest difference {np.abs(scores - expected).max():.1e}")
    medians = {name: float(np.median(seconds[WARM:])) for name, seconds in timed.items()}
    for name, seconds in medians.items():
        print(f"  {name:22} {seconds:.3f} s, HTTP at {seconds / medians['HTTP']:.2f} of its speed")
    print(f"  of CPU: HTTP {spent['HTTP'] / 9:.3f} s, in place {spent['in place'] / 9:.3f} s")


def pieces(model, rows) -> None:
    """The same body scored in this process, in one piece and in as many as `serve` makes of it."""
    from fraud_utils.serving import bodies

    body = rows.to_csv(index=False, header=False).encode()
    model.booster.set_param({"nthread": 1})  # as in `serve`
    timed: dict[str, list[float]] = {"one piece": [], "pieces": []}
    for _ in range(9):  # in turn, so that a busy moment meets both
        for name, size in (("one piece", len(body)), ("pieces", bodies.PIECE_BYTES)):
            began = time.perf_counter()
            for _ in bodies.each_piece(
                body, model.layout, lambda rows, first: (len(rows), model.score(rows, first)), size
            ):
                pass
            timed[name].append(time.perf_counter() - began)
    one, many = (float(np.median(seconds[1:])) for seconds in timed.values())
    print(
        f"the same in process: {one:.3f} s in one piece, "
        f"{many:.3f} s in pieces on {WORKERS} cores ({many / one - 1:+.0%})"
    )


def killed(base: Path, single, expected, seconds: float) -> None:
    """Load while a worker is killed every 30 seconds (or twice, where there is less time)."""
    every = min(30.0, seconds / 3)
    kills = 0
    with running("serve", base) as (port, process, _):

        def kill(elapsed: float) -> None:
            nonlocal kills
            if elapsed > every * (kills + 1):
                kills += 1
                os.kill(workers(process)[0], signal.SIGKILL)

        load = Load(port, single, expected).run(8, seconds, kill)
    reasons = {reason: load.failed.count(reason) for reason in set(load.failed)}
    print(
        f"{load.duration:.0f} s on 8 connections, a worker killed {kills} times: {len(load.seconds):,} answers, "
        f"{load.wrong} wrong, {len(load.failed)} failed {reasons} (requests that the killed process held)"
    )


if __name__ == "__main__":
    main()
