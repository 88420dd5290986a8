"""Training on several hosts, each a process of its own: what comes out is what one host makes of the same rows."""

import json
import random
import signal
import time

import pytest
from sklearn.metrics import average_precision_score

from fraud_utils import artifact

EXACT = {"num_round": "40", "eta": "0.1", "subsample": "1", "colsample_bytree": "1"}  # nothing is drawn
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


@pytest.mark.parametrize(("count", "sharded"), [(2, True), (3, True), (2, False)])
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


SLOW = {"num_round": "400", "eta": "0.02", "max_depth": "6", "imbalance": "undersample 1:50"}  # draws rows and columns


def until_round(process, lines):
    """Reads the first host's log until so many lines on rounds."""
    rounds = (line for line in process.stdout if line.startswith("round:"))
    for _ in range(lines):
        next(rounds, None)


@pytest.fixture(scope="module")
def undisturbed(cluster, frame, tmp_path_factory):
    shards, _ = dealt(frame, 3)
    whole = cluster(tmp_path_factory.mktemp("undisturbed"), SLOW, [{"train": shard} for shard in shards])
    whole.run()
    return whole.first


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 10))])
def test_a_host_that_is_killed_ends_all_and_a_restart_grows_the_same_trees(cluster, frame, undisturbed, tmp_path, seed):
    draw = random.Random(seed)  # noqa: S311
    killed = cluster(tmp_path, SLOW, [{"train": shard} for shard in dealt(frame, 3)[0]])
    place, lines = draw.randrange(3), draw.randrange(1, 15)
    processes = killed.start()
    until_round(processes[0], lines)
    time.sleep(draw.random() / 4)  # anywhere within a round, or while the checkpoint is written
    processes[place].kill()
    began = time.monotonic()
    statuses = [1, 1, 1]
    statuses[place] = -signal.SIGKILL
    killed.ended(processes, *statuses)
    assert time.monotonic() - began < 60
    for job in killed.jobs[:place] + killed.jobs[place + 1 :]:
        assert job.failure.startswith(
            f"host {killed.names[place]} ended before the job did, without a reason: it was k"
        )
    first = killed.run()[0]
    assert "going on from the checkpoint after round" in first
    assert killed.first.trees == undisturbed.trees
