"""Both stores keep the same promises: a file of SQLite's, and a table of DynamoDB's in moto's server, over HTTP."""

import socket
import sqlite3
import subprocess
import sys
import time

import boto3
import pytest
from moto.server import ThreadedMotoServer
from states import HANGS

from fraud_utils.serving import stores
from fraud_utils.serving.stores import Event, StoreError

PATIENT = 60.0  # seconds; nothing here waits for them
KEEP = 1e6
FIRST = Event("a", 100.0, 1999)


@pytest.fixture(scope="module")
def aws():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.delenv("AWS_DEFAULT_REGION", raising=False)
        patch.setenv("AWS_REGION", "eu-west-1")  # as SageMaker says it
        patch.setenv("AWS_ACCESS_KEY_ID", "x")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        yield boto3.client("dynamodb", "eu-west-1")
    server.stop()


@pytest.fixture(params=["sqlite", "dynamodb"])
def place(request, tmp_path):
    """Where a store's events are, however often it is opened."""
    if request.param == "sqlite":
        return stores.SqliteStore, tmp_path / "history.sqlite"
    table = "fraud-" + tmp_path.name
    request.getfixturevalue("aws").create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "entity", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "entity", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return stores.DynamoStore, table


@pytest.fixture
def opened(place):
    kind, name = place
    return lambda keep=KEEP: kind(name, keep, PATIENT)


def test_events_of_an_entity_come_back_and_of_an_unknown_one_none(opened):
    store = opened()
    second = Event("b", 100.0, -50, True)  # at the same second
    for entity, event in (("card=1", FIRST), ("card=1", second), ("card=2", FIRST)):
        store.record(entity, event)
    assert sorted(store.recent("card=1")) == [FIRST, second]
    assert store.recent("card=3") == []


def test_an_event_recorded_twice_counts_once_and_takes_the_label_that_comes_later(opened):
    store = opened()
    for event in (FIRST, FIRST._replace(time=200.0, cents=1), FIRST._replace(fraud=True), FIRST):
        store.record("card=1", event)
    assert store.recent("card=1") == [FIRST._replace(fraud=True)]
    store.record("card=1", FIRST._replace(fraud=False))  # a label may be corrected
    assert store.recent("card=1") == [FIRST._replace(fraud=False)]


def test_events_outlive_the_store_that_recorded_them(opened):
    opened().record("card=1", FIRST)
    assert opened().recent("card=1") == [FIRST]


def test_events_expire_by_when_they_were_recorded_not_by_their_own_time(opened):
    opened().record("card=1", FIRST._replace(time=1e12))
    opened().record("card=1", FIRST._replace(id="b", time=0.0))
    assert len(opened().recent("card=1")) == 2
    opened(-1).record("card=1", FIRST._replace(id="c"))  # as if all had been recorded long ago
    assert {event.id for event in opened().recent("card=1")} <= {"c"}


def test_dynamodb_is_told_when_an_item_may_go(aws, place, opened):
    if place[0] is stores.DynamoStore:
        opened().record("card=1", FIRST)
        item = aws.get_item(TableName=place[1], Key={"entity": {"S": "card=1"}})["Item"]
        assert int(item["expires"]["N"]) > time.time() + KEEP - PATIENT


def test_no_writer_loses_anothers_event(opened):
    mine, other = opened(), opened()
    for number in range(5):
        mine.recent("card=1")
        other.record("card=1", Event(f"other {number}", 0.0, 1))  # between what is read and what is written
        mine.record("card=1", Event(f"mine {number}", 0.0, 1))
    assert len({event.id for event in mine.recent("card=1")}) == 10


def test_worker_processes_share_a_file(tmp_path):
    path = tmp_path / "history.sqlite"
    program = f"""
import pathlib, sys
from fraud_utils.serving.stores import Event, SqliteStore
store = SqliteStore(pathlib.Path({str(path)!r}), {KEEP}, {PATIENT})
for number in range(200):
    store.record("card=1", Event(f"{{sys.argv[1]}}/{{number}}", float(number), 1))
"""
    workers = [subprocess.Popen([sys.executable, "-c", program, str(number)]) for number in range(2)]
    assert [worker.wait(HANGS) for worker in workers] == [0, 0]
    assert len(stores.SqliteStore(path, KEEP, PATIENT).recent("card=1")) == 400


@pytest.mark.parametrize("fault", ["locked", "no database", "no folder"])
def test_a_file_that_does_not_answer_is_an_error_until_it_does(tmp_path, fault):
    path = tmp_path / "folder" / "history.sqlite"
    store = stores.SqliteStore(path, KEEP, 0.01)
    if fault != "no folder":
        path.parent.mkdir()
    if fault == "no database":
        path.write_bytes(b"something else" * 1000)
    if fault == "locked":
        store.record("card=1", FIRST)
        other = sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"history\.sqlite: "):
        store.record("card=1", FIRST._replace(id="b"))
    if fault == "locked":
        other.close()
    path.parent.mkdir(exist_ok=True)
    if fault == "no database":
        path.unlink()
    store.record("card=1", FIRST._replace(id="b"))
    assert FIRST._replace(id="b") in store.recent("card=1")


def test_a_table_that_is_not_there_or_cannot_be_reached_is_an_error(aws, monkeypatch):
    with pytest.raises(StoreError, match="fraud-none: ResourceNotFoundException"):
        stores.DynamoStore("fraud-none", KEEP, PATIENT).recent("card=1")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{probe.getsockname()[1]}")
        with pytest.raises(StoreError, match="fraud-none: ReadTimeoutError"):  # it listens, and never answers
            stores.DynamoStore("fraud-none", KEEP, 0.05).recent("card=1")
    with pytest.raises(StoreError, match="fraud-none: EndpointConnectionError"):  # a closed port
        stores.DynamoStore("fraud-none", KEEP, PATIENT).record("card=1", FIRST)


@pytest.mark.parametrize("setting", ["sqlite", "sqlite:", "/a/path", "dynamodb:", "dynamodb:a table", "redis:host"])
def test_a_setting_that_names_no_store_is_refused(setting):
    with pytest.raises(ValueError, match=r"FRAUD_HISTORY is '.*'; it must be sqlite:PATH, or dynamodb:TABLE"):
        stores.check(setting)


def test_a_relative_path_begins_in_the_tree(tmp_path):
    stores.open_store("sqlite:kept.sqlite", tmp_path, 1.0, PATIENT).record("card=1", FIRST)
    assert (tmp_path / "kept.sqlite").exists()
    assert stores.open_store("", tmp_path, 1.0, PATIENT) is None
