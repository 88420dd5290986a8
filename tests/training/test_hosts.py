"""Training on several hosts, each a process of its own: what comes out is what one host makes of the same rows."""

import contextlib
import json
import random
import re
import signal
import socket
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score
from states import HANGS, until

from fraud_utils import artifact
from fraud_utils.data import Schema
from fraud_utils.data.simulate import simulate_transactions

EXACT = {"num_round": "40", "eta": "0.1", "subsample": "1", "colsample_bytree": "1"}  # nothing is drawn
LONG = pytest.mark.long
BARE = {"thresholds": '{"f1": 0.3}', "decides": "f1"}


def manifest(job):
    return json.loads((job.base / "model" / "manifest.json").read_text())


def dealt(frame, hosts):
    """Each host's files of a channel: as S3 keys are dealt, every n-th."""
    files = {f"part-{i:02}.parquet": frame[i * len(frame) // 12 : (i + 1) * len(frame) // 12] for i in range(12)}
    return [dict(list(files.items())[place::hosts]) for place in range(hosts)], files


@pytest.fixture(scope="module")
def alone(job, frame, tmp_path_factory):
    base = tmp_path_factory.mktemp("alone")
    tables = {"train": dealt(frame[:9000], 1)[1], "validation": {"b.csv": frame[9000:]}}
    finished = job(base, EXACT | BARE, **tables)
    finished.run()
    return finished


@pytest.mark.parametrize(
    ("count", "sharded"),
    [(2, True), pytest.param(3, True, marks=pytest.mark.long), pytest.param(2, False, marks=pytest.mark.long)],
)
def test_several_hosts_learn_what_one_does(cluster, alone, frame, tmp_path, count, sharded):
    shards, files = dealt(frame[:9000], count)
    held_out = {"b.csv": frame[9000:]}
    tables = [{"train": shard if sharded else files, "validation": held_out} for shard in shards]
    group = cluster(tmp_path, EXACT | BARE, tables, ["train"] if sharded else [])
    first, *others = group.run()
    assert "model saved" in first
    assert "train_rows:9000; train_frauds:18;" in first
    assert not any("rows:" in out or "round:" in out for out in others)
    assert all(not (job.base / "model").exists() for job in group.jobs[1:])
    ours, theirs = manifest(group.first), manifest(alone)
    for key in ("features", "may_be_missing", "kept_share", "training", "schema", "columns"):
        assert ours[key] == theirs[key], key
    assert ours["reference"]["columns"] == theirs["reference"]["columns"]
    promised = ours["reference"]["promise"]
    assert (promised["rows_of"], promised["rows"], promised["frauds"]) == ("validation", 3000, 3)
    model, other = (artifact.load(job.base / "model") for job in (group.first, alone))
    score, expected = model.score(frame), other.score(frame)
    reached = [average_precision_score(frame.Class[:9000], each[:9000]) for each in (score, expected)]
    print(f"average precision {reached[0]:.5f} on {count} hosts, {reached[1]:.5f} on one")
    assert reached[0] == pytest.approx(reached[1], abs=0.02)
    assert ours["metrics"]["train_average_precision"] == pytest.approx(reached[0], abs=1e-6)
    assert promised["average_precision"] == pytest.approx(average_precision_score(frame.Class[9000:], score[9000:]))


def until_round(process, count):
    """Reads the first host's log until so many lines on rounds; what was read."""
    lines = []
    while sum(line.startswith("round:") for line in lines) < count and (line := process.stdout.readline()):
        lines.append(line)
    return "".join(lines)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def rows():
    return simulate_transactions(6_000, fraud_rate=0.02, seed=1)


def test_with_a_bin_for_every_value_the_scores_are_those_of_one_host(job, cluster, frame, tmp_path):
    """What is left between one host and several is their sketch of the quantiles: here there is nothing to sketch."""
    rows = frame[:6000].round(0).clip(-50, 50)
    alone = job(tmp_path / "alone", EXACT, train={"a.parquet": rows})
    alone.run()
    shards = [{"a.parquet": rows[:3500]}, {"b.parquet": rows[3500:]}]
    group = cluster(tmp_path, EXACT, [{"train": shard} for shard in shards])
    group.run()
    score, expected = (artifact.load(job.base / "model").score(rows) for job in (group.first, alone))
    assert np.abs(score - expected).max() < 1e-5


def test_a_shard_may_lack_frauds_or_lie_wholly_among_the_rows_of_early_stopping(job, cluster, rows, tmp_path):
    middle = rows[3000:5000]
    shards = [{"a.parquet": rows[:3000]}, {"b.parquet": middle[middle.Class == 0]}, {"c.parquet": rows[5000:]}]
    settings = EXACT | {
        "num_round": "200",
        "eta": "0.3",
        "max_depth": "3",
        "early_stopping_rounds": "10",
        "imbalance": "undersample 1:20",
    }
    alone = job(tmp_path / "alone", settings, train={name: part for shard in shards for name, part in shard.items()})
    alone.run()
    group = cluster(tmp_path, settings, [{"train": shard} for shard in shards])
    log = group.run()[0]
    ours, theirs = manifest(group.first), manifest(alone)
    for key in ("features", "may_be_missing", "kept_share", "training"):
        assert ours[key] == theirs[key], key
    assert ours["training"]["validation"] == "last 20% by time"
    assert ours["reference"]["columns"] == theirs["reference"]["columns"]
    for key in ("rows_of", "rows", "frauds", "fraud_amount"):
        assert ours["reference"]["promise"][key] == theirs["reference"]["promise"][key], key
    assert 1 < ours["metrics"]["rounds"] < 190
    # What early stopping watched is the average precision of all hosts' rows, though one host has none of them.
    seen = [float(value) for value in re.findall(r"validation_aucpr:([\d.]+);", log)]
    assert seen
    assert max(seen) == pytest.approx(ours["metrics"]["validation_average_precision"], abs=0.05)


def test_categories_missing_values_and_dates_are_those_of_all_hosts(job, cluster, tmp_path):
    rng = np.random.default_rng(0)
    merchant = rng.integers(0, 60, 4000)
    table = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=4000, freq="h").astype(str), "same": 1.0})
    table["a"] = np.where(np.arange(4000) > 3900, np.nan, rng.normal(size=4000))  # the second host's only
    table["merchant"] = [f"m{m}" for m in np.where(np.arange(4000) < 2000, merchant, merchant + 30)]
    table.loc[::50, "merchant"] = None
    table["fraud"] = (rng.random(4000) < np.where(merchant % 10 == 3, 0.4, 0.02)).astype(int)
    schema = Schema("shop", label="fraud", time="t", amount=None, features=("a", "same"), categorical=("merchant",))
    settings = EXACT | {"schema": json.dumps(schema.to_dict()), "early_stopping_rounds": "40", "nthread": "2"}
    shards = [{"a.csv": table[:2000]}, {"b.csv": table[2000:]}]
    alone = job(tmp_path / "alone", settings, train=shards[0] | shards[1])
    alone.run()
    group = cluster(tmp_path, settings, [{"train": shard} for shard in shards])
    group.run()
    ours, theirs = manifest(group.first), manifest(alone)
    assert len(ours["features"]["ranks"]["merchant"]) == 90
    assert ours["features"]["numeric"] == ["a"]
    assert ours["may_be_missing"] == theirs["may_be_missing"] == ["merchant"]  # a's are all in the last fifth
    for key in ("features", "training"):
        assert ours[key] == theirs[key], key
    assert ours["reference"]["columns"] == theirs["reference"]["columns"]
    reached = [manifest["metrics"]["train_average_precision"] for manifest in (ours, theirs)]
    assert reached[0] == pytest.approx(reached[1], abs=0.02)


def broken(rows):
    return rows.assign(V3=["x", *rows.V3[1:]])


HISTORY = {"name": "shop", "label": "fraud", "time": "t", "amount": None, "features": [], "entity": "card"}
HISTORY |= {"history": [{"by": "card", "days": [1], "of": ["count"]}]}


@pytest.mark.parametrize(
    ("sharded", "tables", "more", "message"),
    [
        (True, [{"a.csv": "rows"}, {"b.csv": "broken"}], {}, "train/b.csv: row 1 (line 2), column 'V3': 'x' is not"),
        (True, [{"a.csv": "legitimate"}, {"b.csv": "legitimate"}], {}, "all 1,800 rows are legitimate; learning"),
        pytest.param(
            True, [{"a.csv": "rows"}] * 2, {}, "ShardedByS3Key, but train/a.csv lies on several hosts", marks=LONG
        ),
        (False, [{"a.csv": "rows"}, {"b.csv": "rows"}], {}, "is FullyReplicated, but its files are not the same"),
        pytest.param(
            True, [{"a.csv": "rows"}] * 2, {"schema": json.dumps(HISTORY)}, "'card_count_1d' of a row", marks=LONG
        ),
    ],
)
def test_every_host_says_what_one_of_them_could_not_use(cluster, rows, tmp_path, sharded, tables, more, message):
    rows = rows[:1000]
    kinds = {"rows": rows, "broken": broken(rows), "legitimate": rows[rows.Class == 0][:900]}
    tables = [{"train": {name: kinds[kind] for name, kind in host.items()}} for host in tables]
    failed = cluster(tmp_path, EXACT | more, tables, ["train"] if sharded else [])
    failed.run(1, 1)
    assert all(message in job.failure for job in failed.jobs)
    assert not (failed.first.base / "model").exists()


def test_hosts_agree_on_what_is_legitimate(cluster, tmp_path):
    """As on one host: besides what means fraud there is one other value, wherever the files lie."""
    schema = {"name": "shop", "label": "outcome", "time": "t", "amount": None, "features": ["a"], "fraud": "chargeback"}
    labels = ["chargeback", "ok", "ok", "ok"] * 100
    rows = pd.DataFrame({"t": range(400), "a": np.arange(400) % 7 / 7, "outcome": labels})
    pending = rows.replace({"outcome": {"ok": "pending"}})
    settings = EXACT | {"schema": json.dumps(schema)}
    failed = cluster(tmp_path / "failed", settings, [{"train": {"a.csv": rows}}, {"train": {"b.csv": pending}}])
    failed.run(1, 1)
    message = "column 'outcome': besides what means fraud there can be one other value, and there are 'ok', 'pending'"
    assert all(message in job.failure for job in failed.jobs)
    cluster(tmp_path / "alike", settings, [{"train": {"a.csv": rows}}, {"train": {"b.csv": rows}}]).run()


# It cannot have ended by itself before it is stopped, and the first line comes soon; draws rows.
ENDLESS = {"num_round": "1000", "max_depth": "1", "eta": "0.001", "imbalance": "undersample 1:10"}


def endless(cluster, folder, rows):
    return cluster(folder, ENDLESS, [{"train": {"a.parquet": rows.head(400)}}] * 2, [])


def stopped(group, lines):
    """Runs a job until so many lines on rounds; what its first host says."""
    processes = group.start()
    begun = until_round(processes[0], lines)
    processes[1].send_signal(signal.SIGTERM)  # only one of them is asked
    return begun + group.ended(processes)[0]


def test_all_hosts_stop_after_the_same_round_and_leave_one_model(cluster, rows, tmp_path):
    group = endless(cluster, tmp_path, rows)
    assert "stopped by SIGTERM; the model holds" in stopped(group, 1)
    assert artifact.load(group.first.base / "model").score(rows.head(5)).shape == (5,)
    assert group.first.checkpoint.exists()


def killed(group, place, lines, pause=0.0):
    """Runs a job until so many lines on rounds, kills one of its hosts, and waits for the others, which say so."""
    processes = group.start()
    until_round(processes[0], lines)
    time.sleep(pause)
    processes[place].kill()
    began = time.monotonic()
    statuses = [1] * len(processes)
    statuses[place] = -signal.SIGKILL
    group.ended(processes, *statuses)
    assert time.monotonic() - began < 60
    for job in group.jobs[:place] + group.jobs[place + 1 :]:
        assert job.failure.startswith(f"host {group.names[place]} ended before the job did, without a reason: it was k")


def test_a_host_that_is_killed_ends_all_and_a_restart_goes_on_with_the_same_trees(cluster, rows, tmp_path):
    group, whole = (endless(cluster, tmp_path / name, rows) for name in ("killed", "whole"))
    killed(group, 1, 1)
    (after,) = re.findall(r"going on from the checkpoint after round (\d+)", stopped(group, 1))
    stopped(whole, int(after) // 50 + 1)  # a line every 50 rounds: this one has trees beyond the checkpoint, too
    ours, theirs = (artifact.load(each.first.base / "model").booster for each in (group, whole))
    rounds = min(ours.num_boosted_rounds(), theirs.num_boosted_rounds())
    assert rounds > int(after) > 0
    assert ours[:rounds].get_dump(with_stats=True) == theirs[:rounds].get_dump(with_stats=True)


def test_a_host_that_waits_for_the_others_can_be_stopped_and_knows_strangers(cluster, rows, tmp_path):
    waiting = cluster(tmp_path, EXACT, [{"train": {"a.csv": rows}}] * 2, [])
    port = free_port()
    process = waiting.first.start(TRAIN_PORT=str(port))

    def answers():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=HANGS) as stranger:
            stranger.sendall(b'{"host": "somebody"}\n')
            return stranger.recv(1) == b""

    until(answers, "a stranger being turned away")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=HANGS)
    assert process.returncode == 0, err
    assert "stopped by SIGTERM before all hosts had met; there is no model to save" in out


SLOW = {"num_round": "80", "eta": "0.1", "max_depth": "6", "imbalance": "undersample 1:50"}  # draws rows and columns


@pytest.fixture(scope="module")
def undisturbed(cluster, frame, tmp_path_factory):
    shards, _ = dealt(frame, 3)
    whole = cluster(tmp_path_factory.mktemp("undisturbed"), SLOW, [{"train": shard} for shard in shards])
    whole.run()
    return whole.first


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_hosts_killed_at_any_moment_and_restarted_grow_the_same_trees(cluster, frame, undisturbed, tmp_path, seed):
    draw = random.Random(seed)  # noqa: S311
    group = cluster(tmp_path, SLOW, [{"train": shard} for shard in dealt(frame, 3)[0]])
    place, lines = draw.randrange(3), draw.randrange(1, 15)
    killed(group, place, lines, draw.random() / 4)  # anywhere within a round, or while the checkpoint is written
    assert "going on from the checkpoint after round" in group.run()[0]
    assert group.first.trees == undisturbed.trees
