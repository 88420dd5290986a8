"""`serve` as SageMaker runs it: a process with a model folder, asked over real HTTP and ended by real signals."""

import contextlib
import itertools
import json
import re
import resource
import select
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import CSV, Endpoint, read_all
from states import HANGS, until

from fraud_utils.data import ULB

ONE = ",".join(["0"] * 30)
HEADERS = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
CHUNKED, LAST = b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"


def request_of(body, more=b""):
    return HEADERS + more + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.fixture
def start(base, tmp_path):
    """Starts `serve`; whatever still runs at the end is killed."""
    started = []

    def starts(tree=base, changed="", **environment):
        started.append(Endpoint(tree, tmp_path, changed, **environment))
        return started[-1]

    yield starts
    for endpoint in started:
        if endpoint.process.poll() is None:
            for process in [*endpoint.workers(), endpoint.process]:
                process.kill()
            endpoint.process.wait()


@pytest.fixture(scope="module")
def endpoint(base, tmp_path_factory):
    running = Endpoint(base, tmp_path_factory.mktemp("log"), SAGEMAKER_MAX_PAYLOAD_IN_MB="6").wait()
    yield running
    assert running.stop() == 0


# What is asked and answered ------------------------------------------------------------------------------------------


def in_chunks(body):
    return (body[i : i + 30_000] for i in range(0, len(body), 30_000))


@pytest.mark.parametrize("way", [bytes, in_chunks])
@pytest.mark.parametrize("count", [1, 200, 5000])  # answered at once; in a thread; and read piece by piece before that
def test_served_scores_are_those_computed_in_process(endpoint, frame, model, count, way):
    rows = frame.head(count)
    scores = endpoint.score(way(rows.to_csv(index=False).encode()))
    np.testing.assert_allclose(scores, model.score(rows), rtol=0, atol=1e-6)


def test_status_headers_and_body_are_the_apps(endpoint):
    wish = {"X-Amzn-SageMaker-Custom-Attributes": "threshold=never; trace=7", "Accept": "application/json"}
    status, headers, text = endpoint.ask("POST", "/invocations?x=1", ONE, {"Content-Type": CSV} | wish)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert headers["X-Amzn-SageMaker-Custom-Attributes"] == "threshold=never; trace=7"
    assert json.loads(text)["predictions"][0]["fraud"] is False
    status, headers, text = endpoint.ask("POST", "/invocations", "1,2", {"Content-Type": CSV})
    assert (status, json.loads(text)["id"]) == (400, headers["X-Request-Id"])
    (line,) = (line for line in endpoint.logged() if line["id"] == headers["X-Request-Id"])
    assert line["status"] == 400
    assert endpoint.ask("GET", "/")[0] == 404
    assert endpoint.ask("HEAD", "/ping")[::2] == (200, "")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /ping HTTP/1.0\r\n\r\n", 200),
        (b"GET http://x/ping?x=1 HTTP/1.1\r\nHost: x\r\n" + LAST + b"\r\n", 200),
        (b"GET https://x:8080/ping HTTP/1.1\r\nHost: x:8080\r\n" + LAST + b"\r\n", 200),
        (request_of(ONE.encode(), LAST).replace(b" /inv", b" http://x/inv"), 200),
        (request_of(ONE.encode(), LAST + b"Content-Encoding: identity\r\n"), 200),
        (b"GET /ping HTTP/1.1\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n", 200),
        (HEADERS + LAST + CHUNKED + b"\r\n3b\r\n" + ONE.encode() + b"\r\n0\r\n\r\n", 200),
        (b"GET /ping HTTP/1.1\r\n" + b"x: " + b"y" * 500_000, 431),
        (b"GET /ping HTTP/7\r\n\r\n", 400),
        (HEADERS + b"Content-Length: -1\r\n\r\n", 400),
        (HEADERS + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n0", 400),
    ],
)
def test_http_itself_is_spoken_well(endpoint, sent, status):
    answer = endpoint.say(sent)
    assert re.match(b"HTTP/1.[01] %d " % status, answer), answer
    assert answer.count(b"x-request-id: ") == (status == 200)


def test_what_the_environment_sets_is_what_the_server_does(start):
    served = start(
        MAX_CONTENT_LENGTH="70",
        SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="application/json",
        SAGEMAKER_INFERENCE_OUTPUT="predicted_label",
    ).wait()
    status, _, text = served.ask("POST", "/invocations", ONE, {"Content-Type": "csv"})
    assert (status, [*json.loads(text)["predictions"][0]]) == (200, ["predicted_label"])
    status, _, text = served.ask("POST", "/invocations", ONE + "\n" + ONE, {"Content-Type": CSV})
    assert (status, "limit of 70 bytes" in text) == (413, True)
    assert served.stop() == 0


def test_requests_sent_ahead_are_answered_in_order(endpoint):
    lengths = [1, 2000, 1, 10_000, 1, 3]  # the long ones are scored in threads, while the others wait
    bodies = ["\n".join([ONE] * rows).encode() for rows in lengths]
    sent = b"".join(request_of(body, LAST if body is bodies[-1] else b"") for body in bodies)
    answers = [text.partition(b"\r\n\r\n")[2] for text in endpoint.say(sent).split(b"HTTP/1.1 200 OK\r\n")]
    assert [answer.count(b"\n") for answer in answers[1:]] == lengths


def test_a_long_body_does_not_keep_short_ones_waiting(endpoint):
    body = "\n".join([ONE] * 50_000).encode()
    request = request_of(body, LAST + b"Accept: application/json\r\nX-Amzn-SageMaker-Custom-Attributes: reasons\r\n")
    with endpoint.connect() as client:
        client.sendall(request)
        waits = []
        while not select.select([client], [], [], 0)[0]:
            began = time.monotonic()
            endpoint.score(ONE)
            waits.append(time.monotonic() - began)
        assert read_all(client).startswith(b"HTTP/1.1 200 ")
    assert max(waits) < 0.5 * sum(waits)  # on any machine: else one waited for nearly all of the long one


# Bodies that do not arrive as they should ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        HEADERS + b"Content-Length: 119\r\n\r\n" + ONE.encode() + b"\n",
        HEADERS + b"Content-Length: 3000000\r\n\r\n" + ONE.encode() + b"\n",
        HEADERS + CHUNKED + b"\r\n3b\r\n" + ONE.encode() + b"\r\n",
        HEADERS + CHUNKED + b"\r\n3b\r\n" + ONE.encode() + b"\r\n3b\r\n0,0",
        HEADERS + CHUNKED + b"\r\n3b\r\n" + ONE.encode() + b"\r\nzz\r\n",
        HEADERS + CHUNKED + b"\r\n3b\r\n" + ONE.encode() + b"\r\n0\r\nX-Trailer: y\r\n\r\n",
    ],
    ids=["short", "long", "no last chunk", "chunk cut off", "chunk without a size", "trailers"],
)
def test_a_body_that_breaks_off_is_never_scored(endpoint, sent):
    before = len(endpoint.logged())
    answer = endpoint.say(sent, half_close=True)
    assert not answer or (answer.startswith(b"HTTP/1.1 400 ") and b"broke off" in answer)
    (line,) = until(lambda: endpoint.logged()[before:], "the request's log line")
    assert (line["status"], line["rows"]) == (400, 0)


@pytest.mark.parametrize("first", [True, False])
def test_with_a_length_beside_chunks_the_chunks_count_and_nothing_after_them(endpoint, first):
    length = b"Content-Length: 4\r\n"
    framing = length + CHUNKED if first else CHUNKED + length
    chunks = b"3b\r\n" + ONE.encode() + b"\r\n0\r\n\r\n"
    answer = endpoint.say(HEADERS + framing + b"\r\n" + chunks + b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1  # whoever believed the length smuggles no second request in
    assert b"connection: close\r\n" in answer
    broken = endpoint.say(HEADERS + framing + b"\r\n" + ONE.encode(), half_close=True)
    assert b" 200 " not in broken


def test_a_body_over_the_limit_is_refused_before_it_is_sent_and_after(endpoint):
    with endpoint.connect() as client:
        client.sendall(HEADERS + b"Content-Length: 9999999999\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")
    status, _, text = endpoint.ask("POST", "/invocations", b"0" * (20 << 20), {"Content-Type": CSV})
    assert (status, "limit of 6 MB" in json.loads(text)["error"]) == (413, True)


def test_an_endless_chunked_body_is_refused_at_the_limit(endpoint):
    chunk = b"10000\r\n" + b"0" * 0x10000 + b"\r\n"
    with endpoint.connect() as client:
        client.sendall(HEADERS + CHUNKED + b"\r\n")
        sent = 0
        while not select.select([client], [], [], 0)[0]:
            assert sent < 200 << 20
            client.sendall(chunk)
            sent += len(chunk)
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_asks_first_is_told_to_go_on_or_that_the_body_is_too_long(endpoint):
    ahead = HEADERS + LAST + b"Expect: 100-continue\r\n"
    with endpoint.connect() as client:
        client.sendall(ahead + b"Content-Length: %d\r\n\r\n" % len(ONE))
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(ONE.encode())
        assert read_all(client).startswith(b"HTTP/1.1 200 ")
    assert endpoint.say(ahead + b"Content-Length: 99999999\r\n\r\n").startswith(b"HTTP/1.1 413 ")


PIECES = [HEADERS, LAST, CHUNKED, b"Content-Length: 59\r\n", b"\r\n", ONE.encode(), b"3b\r\n", b"0\r\n\r\n"]
PIECES += [b"GET /ping HTTP/1.1\r\n", b"X-Amzn-SageMaker-Custom-Attributes: a\r\n b\r\n", b"Expect: 100-continue\r\n"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=30), max_size=12).map(b"".join))
def test_no_bytes_get_a_5xx_or_end_the_server(endpoint, sent):
    with contextlib.suppress(ConnectionError):
        answer = endpoint.say(sent, half_close=True)
        assert b"HTTP/1.1 5" not in answer
        assert answer.startswith(b"HTTP/1.") or not answer
    assert endpoint.ask("GET", "/ping")[0] == 200
    assert "Traceback" not in endpoint.log.read_text()


# Clients that keep a connection --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hasty(base, tmp_path_factory):
    """A server that waits seconds where `serve` waits half a minute and more, and never collects garbage.

    A connection that only a collection would close must not be one.
    """
    changed = "import gc; gc.disable(); server.ARRIVAL_SECONDS = 1; server.IDLE_SECONDS = 2; server.DRAIN_SECONDS = 1"
    running = Endpoint(base, tmp_path_factory.mktemp("log"), changed).wait()
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize("size", [60, 1 << 21])
@pytest.mark.parametrize("trickle", [False, True])
def test_a_body_that_does_not_arrive_in_time_is_answered(hasty, size, trickle):
    with hasty.connect() as client:
        client.sendall(HEADERS + b"Content-Length: %d\r\n\r\n0,0," % size)
        while trickle and not select.select([client], [], [], 0.3)[0]:
            client.sendall(b"0")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close\r\n" in answer
    assert "did not arrive within 1 seconds" in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


@pytest.mark.parametrize("sent", [b"", HEADERS[:40], b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_connection_that_asks_nothing_is_ended(hasty, sent):
    assert hasty.say(sent).count(b"200 OK") == sent.endswith(b"\r\n\r\n")


def test_half_sent_requests_block_nobody(endpoint):
    head = HEADERS + b"Content-Length: 60\r\n\r\n0,0,"
    with contextlib.ExitStack() as stack:
        for part in (head, head[:30], b""):
            for _ in range(20):
                stack.enter_context(endpoint.connect()).sendall(part)
        assert len(endpoint.score(ONE)) == 1


def test_two_thousand_idle_connections_leave_room_for_others(endpoint):
    least = 2_500
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < least:
        pytest.skip(f"this machine does not let a process open {least} files")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, least), hard))
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(2_000):
                stack.enter_context(endpoint.connect())
            until(lambda: endpoint.connections() >= 2_000, "2,000 connections")
            assert len(endpoint.score(ONE)) == 1
        until(lambda: endpoint.connections() < 100, "the end of the connections")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_client_that_never_reads_is_not_read_from_and_harms_nobody(endpoint):
    (worker,) = endpoint.workers()
    before = worker.memory_info().rss
    request = request_of("\n".join([ONE] * 100).encode(), b"Accept: application/json\r\n")
    with endpoint.connect() as deaf:
        deaf.settimeout(1)
        with pytest.raises(TimeoutError):  # once the answers that nobody reads fill all that can hold them
            for _ in range(100_000):
                deaf.sendall(request)
        assert len(endpoint.score(ONE)) == 1
        # Socket buffers and the server's hold single megabytes; answers piling up would be without bound.
        assert worker.memory_info().rss - before < 50 << 20


def test_a_worker_takes_little_memory_of_its_own(endpoint):
    body = "\n".join([ONE] * 50_000)
    for _ in range(4):
        endpoint.score(body)
    (worker,) = endpoint.workers()
    # 50 to 100 MB were seen on two cores, most of it XGBoost's and Arrow's; a second copy of either is 100 MB more.
    assert worker.memory_full_info().uss < 250 << 20


# Processes -----------------------------------------------------------------------------------------------------------


def test_it_starts_only_with_a_model(start, tmp_path):
    endpoint = start(tmp_path)
    assert endpoint.process.wait(HANGS) == 1
    assert re.fullmatch(r"serve: .*manifest\.json: no such file.*\n", endpoint.log.read_text())


def test_a_wrong_setting_and_a_taken_port_are_refused_by_name(start, endpoint):
    wrong = start(SAGEMAKER_MAX_PAYLOAD_IN_MB="6MB")
    taken = start(SAGEMAKER_BIND_TO_PORT=str(endpoint.port))
    assert wrong.process.wait(HANGS) == taken.process.wait(HANGS) == 1
    assert wrong.log.read_text() == "serve: SAGEMAKER_MAX_PAYLOAD_IN_MB is '6MB'; it must be a whole number\n"
    assert taken.log.read_text() == f"serve: port {endpoint.port} of 127.0.0.1: Address already in use\n"


def test_a_connection_is_accepted_only_once_the_model_is_loaded(start):
    endpoint = start()
    refused = 0

    def accepted():
        nonlocal refused
        assert endpoint.process.poll() is None, endpoint.log.read_text()
        try:
            return endpoint.connect()
        except ConnectionRefusedError:
            refused += 1

    until(accepted, "a connection").close()
    assert refused > 0
    assert endpoint.ask("GET", "/ping")[0] == 200
    assert endpoint.stop() == 0


def test_serving_loads_neither_pandas_nor_scikit_learn_nor_special_functions(endpoint):
    pids = [endpoint.process.pid, *(worker.pid for worker in endpoint.workers())]
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in pids)
    assert "/xgboost/" in maps
    assert "/pandas/" not in maps
    assert "/sklearn/" not in maps
    assert "/scipy/special/" not in maps


@pytest.fixture
def load(frame, model):
    """Clients that ask for row after row; they note answers, wrong ones and failures until told to stop."""
    rows = frame.head(40)
    messages = [line.encode() for line in rows[[*ULB.columns[:-1]]].to_csv(index=False, header=False).splitlines()]
    expected = model.score(rows)
    return Load([request_of(message) for message in messages], expected)


class Load:
    """Closed loops on kept connections, against one endpoint."""

    def __init__(self, requests, expected):
        self.requests, self.expected = requests, expected
        self.answers, self.wrong, self.lost, self.enough = 0, 0, 0, False

    @contextlib.contextmanager
    def on(self, endpoint, clients=4):
        threads = [threading.Thread(target=self._client, args=(endpoint,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.enough = True
            for thread in threads:
                thread.join()

    def _client(self, endpoint):
        connection = None
        for i in itertools.cycle(range(len(self.requests))):
            if self.enough:
                break
            try:
                connection = connection or endpoint.connect()
                connection.sendall(self.requests[i])
                answer = b""
                while b"\n" not in answer.partition(b"\r\n\r\n")[2]:
                    part = connection.recv(65536)
                    if not part:
                        raise ConnectionResetError
                    answer += part
            except ConnectionRefusedError:  # nobody took it, so nothing was lost
                connection = None
                time.sleep(0.01)  # asking costs the processor that the server needs to start or to end
                continue
            except OSError:
                self.lost, connection = self.lost + 1, None
                continue
            head, _, text = answer.partition(b"\r\n\r\n")
            right = head.startswith(b"HTTP/1.1 200 ") and abs(float(text) - self.expected[i]) < 1e-6
            self.answers, self.wrong = self.answers + right, self.wrong + (not right)
            if b"connection: close" in head:
                break
        if connection:
            connection.close()

    def goes_on(self):
        """Wait until more requests have been answered."""
        before = self.answers
        until(lambda: self.answers > before + 20, "20 more answers")


def test_killed_workers_are_replaced_and_no_answer_is_wrong(start, load):
    endpoint = start(SAGEMAKER_MODEL_SERVER_WORKERS="2").wait()
    with load.on(endpoint):
        for _ in range(3):
            load.goes_on()
            victim = endpoint.workers()[0]
            victim.kill()
            until(lambda gone=victim: gone not in endpoint.workers(), "its end")
            until(lambda: len(endpoint.workers()) == 2, "two workers")
        load.goes_on()
    assert load.wrong == 0
    # Three kills, and as many new starts of all workers, each of which costs a client at most the request that it waits
    # for and one in the queue of a socket that closes. What is refused or asked again for ever would be thousands.
    assert load.lost <= (3 + 3) * 4 * 2
    assert endpoint.stop() == 0


def test_when_workers_die_in_a_row_all_are_started_anew_without_loading_again(start, load):
    """granian ends itself where one worker dies twice within 5.5 seconds; the restart is ours, not SageMaker's."""
    endpoint = start(SAGEMAKER_MODEL_SERVER_WORKERS="2").wait()

    def ended_by_its_guard():
        for worker in endpoint.workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        return "crash loop" in endpoint.log.read_text()

    until(ended_by_its_guard, "the end of granian's patience")
    with load.on(endpoint):
        load.goes_on()
    assert load.wrong == 0
    assert len(endpoint.workers()) == 2
    assert endpoint.stop() == 0


def test_workers_end_with_their_parent(start):
    endpoint = start().wait()
    (worker,) = endpoint.workers()
    endpoint.process.kill()
    endpoint.process.wait()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, "the worker's end")


# The end -------------------------------------------------------------------------------------------------------------


def refused(endpoint):
    """Whether the server takes no connection any more."""
    try:
        endpoint.connect().close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("rows", [1, 5000])
def test_a_request_that_has_begun_when_sigterm_comes_is_answered(start, rows):
    endpoint = start().wait()
    body = "\n".join([ONE] * rows).encode()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(endpoint.connect()) for _ in range(8)]
        for client in clients:
            client.sendall(HEADERS + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
            assert client.recv(65536).startswith(b"HTTP/1.1 100 ")  # so it is the server's
        endpoint.process.send_signal(signal.SIGTERM)
        until(lambda: refused(endpoint), "the end of new connections")
        for client in clients:
            client.sendall(body)
            assert read_all(client).partition(b"\r\n\r\n")[2].count(b"\n") == rows
    assert endpoint.process.wait(HANGS) == 0


def test_a_long_body_being_scored_when_sigterm_comes_is_answered(start):
    endpoint = start().wait()
    body = "\n".join([ONE] * 60_000).encode()
    with endpoint.connect() as client:
        client.sendall(request_of(body))
        endpoint.process.send_signal(signal.SIGTERM)
        assert read_all(client).partition(b"\r\n\r\n")[2].count(b"\n") == 60_000
    assert endpoint.process.wait(HANGS) == 0


@pytest.mark.parametrize("stops", [1, pytest.param(20, marks=pytest.mark.long)])
def test_no_request_is_lost_when_it_is_stopped_under_load(start, load, stops):
    """Each answer after SIGTERM asks its client to close, so that no connection is closed on a request."""
    for _ in range(stops):
        load.enough = False
        endpoint = start(SAGEMAKER_MODEL_SERVER_WORKERS="2").wait()
        with load.on(endpoint, clients=8):
            load.goes_on()
            assert endpoint.stop() == 0
    assert (load.lost, load.wrong) == (0, 0)
