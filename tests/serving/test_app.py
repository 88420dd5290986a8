"""`serve` as SageMaker runs it: a process with a model folder, asked over real HTTP."""

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud_utils import artifact, models
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import ULB, Schema
from fraud_utils.data.simulate import simulate_transactions

PROGRAMS = Path(__file__).resolve().parents[2] / "container"
CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"
COLUMNS = [name for name in ULB.columns if name != "Class"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Endpoint:
    """A running `serve` and ways to ask it."""

    def __init__(self, base, changed="", **environment):
        self.port, self.log = free_port(), base / "serve.log"
        tree = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": str(self.port), "SERVE_HOST": "127.0.0.1"}
        given = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}  # as in the image
        # `changed`: statements that shorten the program's own constants, for tests that cannot wait for them
        program = ["-c", f"import serve; {changed}; raise SystemExit(serve.main())"] if changed else ["serve.py"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program],
                cwd=PROGRAMS,
                env=given | tree | {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"} | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self, seconds=60):
        """Wait for the first /ping to be answered."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/ping")[0] == 200:
                    return self
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def ask(self, method, path, body=None, headers=None, timeout=20):
        """One request on a connection of its own; gives status, headers and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def score(self, body, content=CSV, accept=CSV, **headers):
        """Scores of a body that must be answered."""
        status, got, text = self.ask(
            "POST", "/invocations", body, {"Content-Type": content, "Accept": accept, **headers}
        )
        assert status == 200, text
        assert got["Content-Type"] == accept
        if accept == CSV:
            return [float(line) for line in text.splitlines()]
        predictions = json.loads(text)["predictions"] if accept == JSON else map(json.loads, text.splitlines())
        return [prediction["score"] for prediction in predictions]

    def workers(self):
        """Process ids of the serving processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def connections(self):
        """How many the serving processes hold."""
        held = (connection for pid in self.workers() for connection in psutil.Process(pid).net_connections("tcp"))
        return sum(connection.status == psutil.CONN_ESTABLISHED for connection in held)

    def stop(self):
        """End it as SageMaker does; gives the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def frame():
    return simulate_transactions(12_000, seed=5)


@pytest.fixture(scope="module")
def base(frame, tmp_path_factory):
    """A tree with a model in it."""
    base = tmp_path_factory.mktemp("tree")
    columns = dict(frame.items())
    features = FeatureMap.fit(ULB, columns)
    X, y = features.matrix(columns), frame.Class.to_numpy()
    booster = models.fit_xgboost(X, y, "undersample 1:10", {"num_round": 60})
    scores = 1 / (1 + np.exp(-booster.inplace_predict(X, predict_type="margin")))
    middle = float(np.median(artifact.prior_correction(scores, 0.05)))
    artifact.save(
        base / "model",
        booster,
        artifact.Contents(
            schema=ULB.to_dict(),
            columns=COLUMNS,
            features=features,
            kept_share=0.05,
            thresholds={"half": middle, "never": 1.0},
            decides="half",
            hyperparameters={},
            training={},
        ),
    )
    return base


@pytest.fixture(scope="module")
def endpoint(base):
    running = Endpoint(base, SAGEMAKER_MAX_PAYLOAD_IN_MB="6").wait()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def model(base):
    return artifact.load(base / "model")


def bodies(rows, order):
    """The same rows in every form that the contract allows."""
    shuffled = rows[order]
    plain = rows[COLUMNS]
    yield CSV, shuffled.to_csv(index=False)
    yield CSV, ("\ufeff" + shuffled.to_csv(index=False, lineterminator="\r\n", quoting=1)).encode()
    yield CSV, plain.to_csv(index=False, header=False)
    yield CSV, plain.drop(columns="Time").to_csv(index=False, header=False).rstrip("\n")
    yield JSON, json.dumps({"instances": shuffled.to_dict("records")})
    yield JSON, json.dumps({"instances": plain.to_numpy().tolist()})
    yield LINES, "".join(json.dumps(row) + "\n" for row in shuffled.to_dict("records"))
    yield LINES, "\n".join(json.dumps(row) for row in plain.to_numpy().tolist())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_way_of_sending_rows_gives_the_scores_computed_in_process(endpoint, frame, model, data):
    size = data.draw(st.sampled_from([1, 2, 7, 60, 2000]))
    first = data.draw(st.integers(0, len(frame) - size))
    rows = frame.iloc[first : first + size]
    order = data.draw(st.permutations(rows.columns.to_list() if data.draw(st.booleans()) else COLUMNS))
    expected = model.score(rows)
    for content, body in bodies(rows, order):
        accept = data.draw(st.sampled_from([CSV, JSON, LINES]))
        np.testing.assert_allclose(endpoint.score(body, content, accept), expected, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def pieced(base, tmp_path_factory):
    """A server that takes 20 KB of CSV for long, where `serve` takes megabytes, and scores it in that many pieces."""
    tree = tmp_path_factory.mktemp("pieced")
    (tree / "model").symlink_to(base / "model")
    running = Endpoint(tree, "serve.PIECE_BYTES = 20_000; serve.ARROW_BYTES = 10_000").wait()
    yield running
    running.stop()


def in_chunks(body):
    return (body[i : i + 30_000] for i in range(0, len(body), 30_000))


@pytest.mark.parametrize("accept", [CSV, JSON, LINES])
@pytest.mark.parametrize("way", [bytes, in_chunks])
def test_a_long_body_is_scored_in_pieces_as_it_is_in_one(pieced, frame, model, accept, way):
    rows = frame.head(2000)
    expected = model.score(rows)
    plain = rows[COLUMNS].to_csv(index=False, header=False)
    middle = plain.index("\n", len(plain) // 2) + 1
    for body in (
        plain,
        "\ufeff" + rows.to_csv(index=False, lineterminator="\r\n"),
        rows.to_csv(index=False, quoting=1),
        plain[:middle] + "\n\r\n" + plain[middle:].rstrip("\n"),
        plain.replace("\n", " \n", 1500) + "\n" * 90_000,  # Arrow's parser takes no blank after a number
    ):
        np.testing.assert_array_equal(pieced.score(way(body.encode()), CSV, accept), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({9999: "x"}, "row 10000, column 'Amount': text where a number"),
        ({200: "inf", 9000: "x"}, "row 201, column 'Amount': the value is infinite"),
        ({6000: ""}, "row 6001, column 'Amount': the value is missing"),
        ({3000: "1,2"}, "row 3001 has 31 values; expected 30"),
        ({"V7": "v7"}, "did you mean 'V7'"),
    ],
)
@pytest.mark.parametrize("way", [bytes, in_chunks])
def test_the_first_row_that_cannot_be_scored_is_named_in_whichever_piece_it_lies(pieced, change, message, way):
    lines = [HEAD.replace("V7", change.get("V7", "V7")), *(ONE[:-1] + change.get(i, "0") for i in range(10_000))]
    for body in ("\n".join(lines), "\n".join(lines[1:]))[: 1 if "V7" in change else 2]:
        status, _, text = pieced.ask("POST", "/invocations", way(body.encode()), {"Content-Type": CSV})
        assert (status, message in text) == (400, True), text


SLIPS = [
    '"',
    '""',
    "\r",
    "\n",
    "\r\n",
    "\n\n",
    " ",
    ",",
    "NA",
    "+",
    "_",
    "\0",
    "é",
    "\ufeff",
    "e",
    ".",
    "-",
    "'",
    "#",
    "\t",
]
SLIPS += ["1e400", "nan", "inf", "0x1", "1_0", ",,", '"\n', '\n"', '",', ',"', "1" * 400, "\x85", "\u2028", "\x1c"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_long_body_with_slips_is_taken_or_refused_as_a_short_one_is(endpoint, pieced, frame, data):
    body = frame.head(200).to_csv(index=False, header=data.draw(st.booleans()), columns=COLUMNS)
    for _ in range(data.draw(st.integers(1, 4))):
        at, length = data.draw(st.integers(0, len(body))), data.draw(st.sampled_from([0, 0, 1, 3]))
        body = body[:at] + data.draw(st.sampled_from(SLIPS)) + body[at + length :]
    told = [running.ask("POST", "/invocations", body.encode(), {"Content-Type": CSV}) for running in (endpoint, pieced)]
    (status, _, text), (long_status, _, long_text) = told
    assert status in (200, 400), text
    assert long_status == status, (text, long_text)
    if status == 200:
        np.testing.assert_array_equal(np.array(long_text.split(), float), np.array(text.split(), float))


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server whose model has texts, and numbers that may be missing; rows for it, and their scores."""
    base = tmp_path_factory.mktemp("shop")
    schema = Schema(name="shop", label="fraud", time="when", amount=None, features=("a",), categorical=("shop",))
    rng = np.random.default_rng(3)
    shops = ['"Sun"\n& Sons', "a,b", "\n\n", "plain"]
    rows = pd.DataFrame({"when": np.arange(9000.0), "a": rng.normal(size=9000), "shop": rng.choice(shops, 9000)})
    rows["fraud"] = ((rows.a > 0.5) & (rows["shop"] == shops[0])).astype(int)
    rows.loc[::7, "a"] = np.nan
    features = FeatureMap.fit(schema, dict(rows.items()))
    booster = models.fit_xgboost(features.matrix(dict(rows.items())), rows.fraud.to_numpy(), "none", {"num_round": 9})
    artifact.save(
        base / "model",
        booster,
        artifact.Contents(
            schema=schema.to_dict(),
            columns=["when", "a", "shop"],
            features=features,
            may_be_missing=["a"],
            thresholds={"half": 0.5},
            decides="half",
            hyperparameters={},
            training={},
        ),
    )
    running = Endpoint(base, "serve.PIECE_BYTES = 20_000").wait()
    yield running, rows, artifact.load(base / "model").score(rows)
    running.stop()


def test_text_may_hold_line_ends_wherever_a_long_body_is_cut(shop):
    running, rows, expected = shop
    np.testing.assert_array_equal(running.score(rows.to_csv(index=False)), expected)


@pytest.mark.parametrize("spelling", ["", "NA", "NaN", "null", "#N/A", "-nan"])
def test_missing_values_are_spelled_as_in_training_tables(shop, spelling):
    running, rows, expected = shop
    for count in (100, 9000):
        body = rows.head(count).to_csv(index=False, na_rep=spelling)
        np.testing.assert_allclose(running.score(body), expected[:count], rtol=0, atol=1e-6)
        body = rows.head(count).assign(shop=spelling).to_csv(index=False)
        status, _, text = running.ask("POST", "/invocations", body, {"Content-Type": CSV})
        assert (status, "row 1, column 'shop': the value is missing" in text) == (400, True), text


ONE = ",".join(["0"] * 30)
HEAD = ",".join(COLUMNS)
OBJECT = dict.fromkeys(COLUMNS, 0)


@pytest.mark.parametrize(
    ("content", "body", "message"),
    [
        (CSV, "", "the body is empty"),
        (CSV, "\n\n", "the body is empty"),
        (CSV, HEAD, "no rows"),
        (CSV, "1,2,3", "row 1 has 3 values; expected 30"),
        (CSV, f"{ONE}\n{ONE},0", "row 2 has 31 values; expected 30"),
        (CSV, f"{HEAD}\n{ONE}\n{ONE[:-1]}x", "row 2, column 'Amount': text where a number"),
        (CSV, f"{HEAD}\n{ONE}\n{ONE[:-1]}inf", "row 2, column 'Amount': the value is infinite"),
        (CSV, f"{HEAD}\n{ONE[:-1]}", "row 1, column 'Amount': the value is missing"),
        (CSV, f"{HEAD}\n{ONE[:-1]}1_0", "row 1, column 'Amount': text where a number"),
        (CSV, f"{HEAD},Amount\n{ONE},0", "column 'Amount' appears 2 times"),
        (CSV, f"{HEAD.replace('V7', 'v7')}\n{ONE}", "column 'v7' is unknown; did you mean 'V7'"),
        (CSV, f"{HEAD.replace(',V7', '')}\n{ONE[2:]}", "column 'V7' is missing"),
        (CSV, ",".join(f"a{i}" for i in range(300_000)), "column 'a0' is unknown"),
        (CSV, "a" * 100_000, f"column '{'a' * 60}' is unknown"),
        (CSV, b"\xef\xbb\xbf\n", "first line holds a byte order mark"),
        (CSV, b"\xff\xfe\x00", "not UTF-8"),
        (CSV, f'{HEAD}\n"{ONE}', "not CSV"),
        (CSV, "\n".join([ONE] * 3000 + [ONE[:-1] + "x"]), "row 3001, column 'Amount': text where a number"),
        (CSV, "\n".join([ONE] * 17000 + [ONE[:-1] + "inf"]), "row 17001, column 'Amount': the value is infinite"),
        (JSON, "", "the body is not JSON"),
        (JSON, "{", "the body is not JSON"),
        (JSON, "[" * 100_000, "the body is not JSON"),
        (JSON, "[]", '{"instances": [...]}'),
        (JSON, '{"instances": 3}', '{"instances": [...]}'),
        (JSON, '{"instances": []}', "no rows"),
        (JSON, '{"instances": [3]}', "row 1 is a number"),
        (JSON, json.dumps({"instances": [OBJECT, OBJECT | {"V3": "a"}]}), "row 2, column 'V3': text where a number"),
        (JSON, json.dumps({"instances": [OBJECT, OBJECT | {"V3": None}]}), "row 2, column 'V3': the value is missing"),
        (
            JSON,
            json.dumps({"instances": [OBJECT | {"V3": 1e300}]}),
            "row 1, column 'V3': the value is infinite or beyond",
        ),
        (JSON, json.dumps({"instances": [OBJECT | {"W3": 1}]}), "row 1, column 'W3' is unknown"),
        (JSON, '{"instances": [{"V1": 0, "V2": 1, "V1": 1}]}', "'V1' appears 2 times in one JSON object"),
        (LINES, f"{json.dumps(OBJECT)}\n{{", "row 2 is not JSON"),
        (LINES, f"{json.dumps(OBJECT)}\n[1, 2]", "row 2 has 2 values"),
    ],
)
def test_rows_that_cannot_be_scored_are_refused_by_row_and_column(endpoint, content, body, message):
    status, headers, text = endpoint.ask("POST", "/invocations", body, {"Content-Type": content})
    assert (status, headers["Content-Type"]) == (400, JSON)
    assert message in json.loads(text)["error"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/ping", {}, 200),
        ("HEAD", "/ping", {}, 200),
        ("POST", "/ping", {}, 405),
        ("GET", "/invocations", {}, 405),
        ("GET", "/", {}, 404),
        ("GET", "/execution-parameters", {}, 200),
        ("POST", "/invocations", {}, 415),
        ("POST", "/invocations", {"Content-Type": "text/html"}, 415),
        ("POST", "/invocations", {"Content-Type": "text/csv; charset=utf-8"}, 200),
        ("POST", "/invocations", {"Content-Type": "TEXT/CSV"}, 200),
        ("POST", "/invocations", {"Content-Type": CSV, "Content-Encoding": "gzip"}, 415),
        ("POST", "/invocations", {"Content-Type": CSV, "Accept": "image/png"}, 406),
        ("POST", "/invocations", {"Content-Type": CSV, "Accept": "application/json;q=0"}, 406),
    ],
)
def test_each_path_method_and_media_type_has_its_status(endpoint, method, path, headers, status):
    got, _, text = endpoint.ask(method, path, ONE if method == "POST" else None, headers)
    assert got == status
    assert status == 200 or json.loads(text)["error"]


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
def test_the_answer_is_what_accept_prefers(endpoint, accept, answered):
    headers = {"Content-Type": CSV} | ({"Accept": accept} if accept else {})
    assert endpoint.ask("POST", "/invocations", ONE, headers)[1]["Content-Type"] == answered


def test_decisions_and_reasons_are_asked_for_through_custom_attributes(endpoint, frame, model):
    rows = frame.tail(300)
    asked = {"Content-Type": CSV, "Accept": JSON}
    attributes = "X-Amzn-SageMaker-Custom-Attributes"

    def predictions(wish):
        headers = asked | ({attributes: wish} if wish else {})
        status, got, text = endpoint.ask("POST", "/invocations", rows.to_csv(index=False), headers)
        assert status == 200, text
        assert got[attributes] == wish
        return json.loads(text)["predictions"]

    usual = predictions(None)
    assert [p["fraud"] for p in usual] == [score >= model.thresholds["half"] for score in model.score(rows)]
    assert {p["fraud"] for p in usual} == {True, False}
    assert "reasons" not in usual[0]
    assert not any(p["fraud"] for p in predictions("threshold=never"))
    explained = predictions("trace=abc; reasons=2")
    assert [p["reasons"] for p in explained] == model.reasons(rows, 2)
    assert len(predictions("reasons")[0]["reasons"]) == 3
    for wish in ("threshold=unknown", "reasons=many", "reasons=0"):
        assert endpoint.ask("POST", "/invocations", ONE, asked | {attributes: wish})[0] == 400


HEADERS = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"


def test_a_body_over_the_limit_is_refused_before_it_is_sent(endpoint):
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=10) as client:
        began = time.monotonic()
        client.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 9999999999\r\n\r\n"
        )
        answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert time.monotonic() - began < 2
    status, _, text = endpoint.ask("POST", "/invocations", b"0" * (7 << 20), {"Content-Type": CSV})
    assert (status, "limit of 6 MB" in text) == (413, True)


def test_an_endless_chunked_body_is_refused_at_the_limit(endpoint):
    chunk = b"10000\r\n" + b"0" * 0x10000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=10) as client:
        client.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 200:
                client.sendall(chunk)
                sent += 1
                if sent * len(chunk) > 8 << 20:
                    break
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_half_sent_requests_block_nobody(endpoint):
    head = HEADERS + b"Content-Length: 60\r\n\r\n0,0,"
    with contextlib.ExitStack() as stack:
        for part in (head, head[:30], b""):
            for _ in range(20):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", endpoint.port)))
                client.sendall(part)
        began = time.monotonic()
        assert len(endpoint.score(ONE)) == 1
        assert time.monotonic() - began < 2


def read_all(client):
    """Everything until the server closes."""
    answer = b""
    while part := client.recv(65536):
        answer += part
    return answer


@pytest.fixture(scope="module")
def hasty(base, tmp_path_factory):
    """A server that waits seconds where `serve` waits half a minute and more."""
    tree = tmp_path_factory.mktemp("hasty")
    (tree / "model").symlink_to(base / "model")
    changed = "serve.ARRIVAL_SECONDS = 1; serve.IDLE_SECONDS = 3; serve.DRAIN_SECONDS = 1"
    running = Endpoint(tree, changed).wait()
    yield running
    running.stop()


@pytest.mark.parametrize(
    "part",
    [HEADERS[:40], HEADERS, *(HEADERS + b"Content-Length: %d\r\n\r\n0,0," % size for size in (60, 1 << 20))],
    ids=["line", "head", "body", "long body"],
)
@pytest.mark.parametrize("trickle", [False, True])
def test_a_request_that_does_not_arrive_in_time_is_ended(hasty, part, trickle):
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as client:
        client.sendall(part)
        while trickle and not select.select([client], [], [], 0.3)[0]:
            client.sendall(b"0")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close\r\n" in answer
    assert "did not arrive within 1 seconds" in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_connections_that_ask_nothing_or_read_nothing_are_ended(hasty):
    request = HEADERS + b"Accept: application/json\r\nContent-Length: %d\r\n\r\n%b"
    body = "\n".join([ONE] * 100).encode()
    with contextlib.ExitStack() as stack:
        silent, deaf = (
            stack.enter_context(socket.create_connection(("127.0.0.1", hasty.port), timeout=10)) for _ in range(2)
        )
        deaf.settimeout(1)
        with pytest.raises(TimeoutError):  # once the answers that nobody reads fill all that can hold them
            while True:
                deaf.sendall(request % (len(body), body))
        assert read_all(silent) == b""
        for _ in range(100):
            if not hasty.connections():
                return
            time.sleep(0.1)
    raise AssertionError("the server still holds the connection")


def ask_raw(port, sent, half_close=False):
    """What the server says to these bytes until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(sent)
        if half_close:
            client.shutdown(socket.SHUT_WR)
        return read_all(client)


def request_of(rows, last=b""):
    body = "\n".join([ONE] * rows).encode()
    return HEADERS + last + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


LAST = b"Connection: close\r\n"


def test_requests_sent_ahead_are_answered_in_order(endpoint):
    lengths = [1, 2000, 1, 10_000, 1, 3]  # the long ones are scored in threads, while the others wait
    sent = b"".join(request_of(rows, LAST if rows == 3 else b"") for rows in lengths)
    answers = [text.partition(b"\r\n\r\n")[2] for text in ask_raw(endpoint.port, sent).split(b"HTTP/1.1 200 OK\r\n")]
    assert [answer.count(b"\n") for answer in answers[1:]] == lengths


@pytest.mark.parametrize("rows", [1, 2000, 10_000])
def test_a_client_that_sends_no_more_still_gets_its_answer(endpoint, rows):
    answer = ask_raw(endpoint.port, request_of(rows), half_close=True)
    assert answer.partition(b"\r\n\r\n")[2].count(b"\n") == rows


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /ping HTTP/1.0\r\n\r\n", 200),
        (b"GET /ping?x=1 HTTP/1.1\r\nHost: x\r\n" + LAST + b"\r\n", 200),
        (b"GET /ping HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", 200),
        (HEADERS + LAST + b"Transfer-Encoding: chunked\r\n\r\n3b\r\n" + ONE.encode() + b"\r\n0\r\n\r\n", 200),
        (b"GET /ping HTTP/1.1\r\n" + b"x: " + b"y" * 400_000, 431),
        (b"GET /ping HTTP/7\r\n\r\n", 400),
        (HEADERS + b"Content-Length: -1\r\n\r\n", 400),
        (HEADERS + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n0", 400),
        (HEADERS + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEADERS + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_http_itself_is_spoken_well(endpoint, sent, status):
    answer = ask_raw(endpoint.port, sent)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert answer.count(b"x-request-id: ") == 1


def test_a_client_that_asks_first_is_told_to_go_on_or_that_the_body_is_too_long(endpoint):
    ahead = HEADERS + b"Expect: 100-continue\r\n"
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=10) as client:
        client.sendall(ahead + LAST + b"Content-Length: %d\r\n\r\n" % len(ONE))
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(ONE.encode())
        assert read_all(client).startswith(b"HTTP/1.1 200 ")
    assert ask_raw(endpoint.port, ahead + b"Content-Length: 99999999\r\n\r\n").startswith(b"HTTP/1.1 413 ")


PIECES = [HEADERS, LAST, b"Content-Length: 59\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n", ONE.encode(), b"3b\r\n"]
PIECES += [
    b"0\r\n\r\n",
    b"GET /ping HTTP/1.1\r\n",
    b"X-Amzn-SageMaker-Custom-Attributes: a\r\n b\r\n",
    b"Expect: 100-continue\r\n",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=30), max_size=12).map(b"".join))
def test_no_bytes_get_a_5xx_or_end_the_server(endpoint, sent):
    with contextlib.suppress(ConnectionError):
        answer = ask_raw(endpoint.port, sent, half_close=True)
        assert b"HTTP/1.1 5" not in answer
        assert answer.startswith(b"HTTP/1.1 ") or not answer
    assert endpoint.ask("GET", "/ping")[0] == 200
    assert "Traceback" not in endpoint.log.read_text()


def test_a_long_body_does_not_keep_short_ones_waiting(endpoint, frame):
    body = frame.iloc[np.arange(30_000) % len(frame)].drop(columns="Class").round(2).to_csv(index=False)
    assert len(body) < 6 << 20
    seconds = []

    def score_all():
        began = time.monotonic()
        endpoint.score(body)
        seconds.append(time.monotonic() - began)

    waits = []
    for _ in range(3):
        slow = threading.Thread(target=score_all)
        slow.start()
        while slow.is_alive():
            began = time.monotonic()
            endpoint.score(ONE)
            waits.append(time.monotonic() - began)
        slow.join()
    assert np.sort(waits)[-2] < 0.5 * min(seconds)


def test_execution_parameters_stay_within_batch_transforms_100_mb(endpoint):
    text = endpoint.ask("GET", "/execution-parameters")[2]
    suggested = json.loads(text)
    assert suggested["MaxConcurrentTransforms"] * suggested["MaxPayloadInMB"] <= 100
    assert suggested["BatchStrategy"] in ("MULTI_RECORD", "SINGLE_RECORD")
    assert suggested["MaxPayloadInMB"] <= 6


def test_sagemakers_zeros_mean_no_setting_of_its_own(base, tmp_path):
    (tmp_path / "model").symlink_to(base / "model")
    names = ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", "SAGEMAKER_MODEL_SERVER_WORKERS")
    endpoint = Endpoint(tmp_path, **dict.fromkeys(names, "0")).wait()
    suggested = json.loads(endpoint.ask("GET", "/execution-parameters")[2])
    assert suggested["MaxConcurrentTransforms"] == len(os.sched_getaffinity(0))
    assert len(endpoint.score(ONE)) == 1
    assert endpoint.stop() == 0


def test_a_setting_that_is_no_number_is_refused_by_name(tmp_path):
    endpoint = Endpoint(tmp_path, SAGEMAKER_MAX_PAYLOAD_IN_MB="6MB")
    assert endpoint.process.wait(60) == 1
    assert endpoint.log.read_text() == "serve: SAGEMAKER_MAX_PAYLOAD_IN_MB is '6MB'; it must be a whole number\n"


def test_one_json_log_line_a_request_without_its_data(endpoint):
    told = "123456.789"
    body = ",".join([told] * 30)
    _, headers, _ = endpoint.ask("POST", "/invocations", f"{body}\n{body}", {"Content-Type": CSV})
    _, refused, text = endpoint.ask("POST", "/invocations", f"{body},{told}", {"Content-Type": CSV})
    time.sleep(0.2)
    written = endpoint.log.read_text()
    lines = [json.loads(line) for line in written.splitlines()]
    (first,) = (line for line in lines if line["id"] == headers["X-Request-Id"])
    (second,) = (line for line in lines if line["id"] == refused["X-Request-Id"])
    assert (first["status"], first["rows"]) == (200, 2)
    assert (second["status"], second["id"]) == (400, json.loads(text)["id"])
    assert first["ms"] > 0
    assert first["time"].endswith("Z")
    assert told not in written


JUNK = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=200).map(str.encode),
    st.lists(st.text('0123456789.,-+eEnaif"\n\r_ ', max_size=40), max_size=9).map(
        lambda parts: ",".join(parts).encode()
    ),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=31) | st.dictionaries(st.sampled_from([*COLUMNS, "x"]), inner, max_size=31)
        ),
        max_leaves=60,
    ).map(lambda value: json.dumps({"instances": [value]}).encode()),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=JUNK,
    content=st.sampled_from([CSV, JSON, LINES, "application/x-jsonlines", "text/csv;;", "/", ""]),
    accept=st.sampled_from([CSV, JSON, "*/*", ";q=", "text/csv;q=x", ",,", "a/b"]),
    wish=st.sampled_from(
        [
            "",
            "reasons",
            "reasons=-1",
            "threshold=",
            ";;==",
            "threshold=half,reasons=99999999999999999999",
            f"reasons={'9' * 5000}",
        ]
    ),
)
def test_no_body_gets_a_5xx_or_no_answer(endpoint, body, content, accept, wish):
    headers = {"Content-Type": content, "Accept": accept, "X-Amzn-SageMaker-Custom-Attributes": wish}
    status, _, text = endpoint.ask("POST", "/invocations", body, headers)
    assert status in (200, 400, 406, 415), text
    assert endpoint.ask("GET", "/ping")[0] == 200


def test_an_unexpected_error_gives_an_id_that_the_log_explains_and_no_trace(base, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.ubj").write_bytes((base / "model" / "model.ubj").read_bytes())
    manifest = json.loads((base / "model" / "manifest.json").read_text())
    manifest["thresholds"] = {}  # no model of ours has none, so nothing expects it
    (tmp_path / "model" / "manifest.json").write_text(json.dumps(manifest))
    endpoint = Endpoint(tmp_path).wait()
    status, headers, text = endpoint.ask("POST", "/invocations", ONE, {"Content-Type": CSV})
    assert endpoint.ask("POST", "/invocations", "\n".join([ONE] * 50_000), {"Content-Type": CSV})[0] == 500
    assert endpoint.ask("GET", "/ping")[0] == 200
    assert endpoint.stop() == 0
    answer = json.loads(text)
    assert (status, answer) == (500, {"error": "internal error; quote the id", "id": headers["X-Request-Id"]})
    line = next(line for line in map(json.loads, endpoint.log.read_text().splitlines()) if line["id"] == answer["id"])
    assert line["error"]
    assert ".py:" in line["at"]


def test_it_starts_only_with_a_model(tmp_path):
    endpoint = Endpoint(tmp_path)
    assert endpoint.process.wait(60) == 1
    assert "manifest.json: no such file" in endpoint.log.read_text()


def test_the_socket_accepts_only_once_the_model_is_loaded(base):
    endpoint = Endpoint(base)
    refused = 0
    while True:
        try:
            with socket.create_connection(("127.0.0.1", endpoint.port), timeout=10):
                break
        except ConnectionRefusedError:
            refused += 1
            assert endpoint.process.poll() is None, endpoint.log.read_text()
            time.sleep(0.01)
    began = time.monotonic()
    status = endpoint.ask("GET", "/ping")[0]
    assert (refused > 0, status) == (True, 200)
    assert time.monotonic() - began < 1
    assert endpoint.stop() == 0


def test_a_killed_worker_is_replaced_and_no_answer_is_wrong(base, frame, model):
    endpoint = Endpoint(base, SAGEMAKER_MODEL_SERVER_WORKERS="2").wait()
    rows = frame.head(40)
    bodies_ = [row.to_csv(index=False) for row in (rows.iloc[i : i + 1] for i in range(40))]
    expected = model.score(rows)
    answers, failures, done = 0, 0, threading.Event()

    def client():
        nonlocal answers, failures
        while not done.is_set():
            for i, body in enumerate(bodies_):
                try:
                    assert abs(endpoint.score(body)[0] - expected[i]) < 1e-6
                    answers += 1
                except (OSError, http.client.HTTPException):
                    failures += 1  # the one that the killed worker was answering

    clients = [threading.Thread(target=client) for _ in range(2)]
    for thread in clients:
        thread.start()
    for _ in range(4):
        time.sleep(0.7)
        os.kill(endpoint.workers()[0], signal.SIGKILL)
    time.sleep(0.7)
    done.set()
    for thread in clients:
        thread.join()
    assert len(endpoint.workers()) == 2
    assert answers > 100
    assert failures <= 8
    assert endpoint.stop() == 0


def test_sigterm_lets_a_request_in_progress_end(base, frame):
    endpoint = Endpoint(base).wait()
    body = frame.iloc[np.arange(60_000) % len(frame)].to_csv(index=False)
    scores = []
    slow = threading.Thread(target=lambda: scores.extend(endpoint.score(body)))
    slow.start()
    time.sleep(0.3)
    assert endpoint.stop() == 0
    slow.join()
    assert len(scores) == 60_000


def test_serving_loads_neither_pandas_nor_scikit_learn(base):
    endpoint = Endpoint(base).wait()
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in [endpoint.process.pid, *endpoint.workers()])
    assert endpoint.stop() == 0
    assert "/xgboost/" in maps
    assert "/pandas/" not in maps
    assert "/sklearn/" not in maps
