"""The image itself: trains and serves without a network, without root, on a read-only file system, as in process.

Runs where ENGINE names docker or podman and the image IMAGE is built: `make image-test`.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from states import HANGS, until

from fraud_utils import artifact, deploy, models, record
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import ULB, load_transactions, split_transactions
from fraud_utils.data.simulate import simulate_transactions

ROOT = Path(__file__).resolve().parents[2]
ENGINE, IMAGE = os.environ.get("ENGINE", ""), os.environ.get("IMAGE", "fraud-detect")
HYPERPARAMETERS = {"num_round": "100", "eta": "0.1", "imbalance": "undersample 1:50", "thresholds": '{"f1": 0.4}'}
LOCKED = ("--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--user", "1000")  # noqa: S108

pytestmark = [pytest.mark.image, pytest.mark.skipif(not ENGINE, reason="ENGINE names no container engine")]


def run(*arguments, **options):
    return subprocess.run([ENGINE, "run", "--rm", *arguments], capture_output=True, text=True, timeout=600, **options)


@pytest.fixture(scope="module")
def split(real_data):
    return split_transactions(load_transactions(real_data), ULB)


@pytest.fixture(scope="module")
def tree(split):
    """test_dir, laid out as SageMaker does, with the model that the image has trained; it stays for you to try."""
    base = ROOT / "test_dir"
    for folder in ("input/config", "input/data/train", "model", "output", "checkpoints"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    (base / "input/config/hyperparameters.json").write_text(json.dumps(HYPERPARAMETERS))
    split.train.to_csv(base / "input/data/train/transactions.csv", index=False)
    for path in (base, *base.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)  # the image's user is another one
    done = run(*LOCKED, "-v", f"{base}:/opt/ml", IMAGE, "train")
    assert done.returncode == 0, done.stderr
    assert "model saved" in done.stdout
    return base


def serve(tree, port, log, *more):
    """The image serving at a port, as locked up as on SageMaker and more, once /ping answers."""
    process = subprocess.Popen(
        [
            *(ENGINE, "run", "--rm", "--network", "host", "--read-only", "--cap-drop", "ALL", "--user", "1000", *more),
            *("-e", f"SAGEMAKER_BIND_TO_PORT={port}", "-e", "SERVE_HOST=127.0.0.1"),
            *("-v", f"{tree}/model:/opt/ml/model:ro", IMAGE, "serve"),
        ],
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
    )

    def answered():
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError):
            return ask(port, "GET", "/ping")[0] == 200

    began = time.monotonic()
    until(answered, "the first /ping")
    print(f"\nstart of the container to the first /ping: {time.monotonic() - began:.2f} s")
    return process


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def served(tree, port, tmp_path):
    """A port at which the image serves."""
    process = serve(tree, port, tmp_path / "log")
    yield port
    process.send_signal(signal.SIGTERM)
    assert process.wait(HANGS) == 0


def ask(port, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    return response.status, response.read().decode()


@pytest.mark.real_data
def test_served_scores_are_those_computed_in_process(split, served):
    features = FeatureMap.fit(ULB, dict(split.train.items()))
    X, y = features.matrix(dict(split.train.items())), split.train.Class.to_numpy()
    how = HYPERPARAMETERS["imbalance"]
    settings = models.XGBOOST | {"num_round": 100, "eta": 0.1}
    pipeline = models.build(models.Candidate("xgboost", how, settings)).fit(X, y)
    rows = split.test
    expected = artifact.prior_correction(
        pipeline.predict_proba(features.matrix(dict(rows.items())))[:, 1], models.kept_share(how, y)
    )
    largest = 0.0
    for first in range(0, len(rows), 20_000):
        status, text = ask(
            served, "POST", "/invocations", rows[first : first + 20_000].to_csv(index=False), Content_Type="text/csv"
        )
        assert status == 200, text
        scores = np.array(text.split(), dtype=float)
        largest = max(largest, np.abs(scores - expected[first : first + 20_000]).max())
    one = ask(served, "POST", "/invocations", rows[:1].to_csv(index=False), Content_Type="text/csv")[1]
    largest = max(largest, abs(float(one) - expected[0]))
    print(f"\nlargest absolute difference of {len(rows):,} served scores from in-process ones: {largest:.2e}")
    assert largest <= 1e-6


@pytest.mark.real_data
def test_process_one_answers_what_has_begun_when_sigterm_comes(tree, port, tmp_path):
    name = f"fraud-detect-serve-{os.getpid()}"
    process = serve(tree, port, tmp_path / "log", "--name", name)
    row = ",".join(["0"] * 30).encode()
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nExpect: 100-continue\r\n"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), HANGS)) for _ in range(8)]
        for client in clients:
            client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(row))
            assert client.recv(65536).startswith(b"HTTP/1.1 100 ")  # so it is the server's
        subprocess.run([ENGINE, "kill", "--signal", "TERM", name], check=True, capture_output=True)
        for client in clients:
            client.sendall(row)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert process.wait(HANGS) == 0


@pytest.mark.real_data
def test_the_seeds_own_command_trains_the_same_model(tree):
    locked = (tree / "model/model.ubj").read_bytes()
    done = run("-v", f"{tree}:/opt/ml", IMAGE, "train")
    assert done.returncode == 0, done.stderr
    assert (tree / "model/model.ubj").read_bytes() == locked


@pytest.mark.real_data
def test_a_failing_job_exits_with_status_one_and_says_why(tmp_path):
    for folder in ("input/config", "output"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "input/config/hyperparameters.json").write_text('{"max_dept": "3"}')
    done = run("--network", "none", "-v", f"{tmp_path}:/opt/ml", IMAGE, "train")
    assert done.returncode == 1
    assert "did you mean 'max_depth'" in (tmp_path / "output/failure").read_text()


@pytest.mark.real_data
def test_process_one_takes_sigterm_and_leaves_a_model(tree, tmp_path):
    slow = HYPERPARAMETERS | {"num_round": "4000", "imbalance": "none"}
    (tmp_path / "input/config").mkdir(parents=True)
    (tmp_path / "input/config/hyperparameters.json").write_text(json.dumps(slow))
    name = f"fraud-detect-{os.getpid()}"
    process = subprocess.Popen(
        [
            *(ENGINE, "run", "--rm", "--name", name, "--network", "none", "-v", f"{tmp_path}:/opt/ml"),
            *("-v", f"{tree}/input/data:/opt/ml/input/data:ro", IMAGE, "train"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("round:"):  # the first of twenty
            break
    subprocess.run([ENGINE, "stop", "--time", "110", name], check=True, capture_output=True)
    process.communicate(timeout=HANGS)
    assert process.returncode == 0  # and not killed when its time was over
    assert artifact.load(tmp_path / "model").booster.num_boosted_rounds() < 4_000


@pytest.mark.real_data
@pytest.mark.skipif(Path(ENGINE).name != "docker", reason="the lines in container/README.md are docker's")
def test_the_readmes_docker_lines_work_as_they_are_typed(tree, tmp_path):
    """In test_dir. An engine without a bridge, as CI has it, builds on this machine's network and is asked inside."""
    (tmp_path / "docker").symlink_to(shutil.which(ENGINE))
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    build, train, serving = re.findall("^docker .*$", (ROOT / "container/README.md").read_text(), re.M)
    if subprocess.run([ENGINE, "network", "inspect", "bridge"], capture_output=True).returncode:
        build = build.replace("build", "build --network host")
    (tree / "model/model.ubj").unlink()
    for line in (build, train):
        done = subprocess.run(line, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True)  # noqa: S602
        assert done.returncode == 0, done.stdout + done.stderr
    assert artifact.load(tree / "model").booster.num_boosted_rounds() == 100

    def listed():
        ids = subprocess.run([ENGINE, "ps", "-q", "--filter", "ancestor=fraud-detect"], capture_output=True, text=True)
        return ids.stdout.split()

    def answers():
        assert process.poll() is None
        ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/ping').status)"
        command = [ENGINE, "exec", *listed()[:1], "python", "-c", ask]
        return subprocess.run(command, capture_output=True, text=True).stdout == "200\n"

    process = subprocess.Popen(serving, shell=True, cwd=ROOT, env=environment)  # noqa: S602
    until(answers, "the first /ping")
    subprocess.run([ENGINE, "stop", *listed()], check=True, capture_output=True)
    assert process.wait(HANGS) == 0


def test_nothing_that_only_building_needs_is_left():
    found = run(
        "--entrypoint", "/bin/sh", IMAGE, "-c", "command -v gcc cc; ls /root/.cache /src 2>/dev/null; ls -A /opt"
    )
    assert found.stdout.split() == ["fraud"]


def test_the_images_own_layers_are_within_500_mb():
    layers = subprocess.run(
        [ENGINE, "run", "--rm", "--entrypoint", "du", IMAGE, "-sm", "/opt/fraud"],
        capture_output=True,
        text=True,
        check=True,
    )
    size = int(layers.stdout.split()[0])
    print(f"\nthe image's own layers: {size} MB")
    assert size <= 500


def containers():
    """The names of those that SageMaker on this machine started."""
    listed = subprocess.run(
        [ENGINE, "ps", "--all", "--format", "{{.Names}}"], capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split() if re.fullmatch("fraud-[0-9a-f]{12}", name)]


@pytest.mark.parametrize("end", ["deletion", "kill"])
def test_sagemaker_on_this_machine_runs_the_image_and_leaves_no_container(tmp_path, monkeypatch, end):
    for name in ("AWS_ENDPOINT_URL", "NO_PROXY"):
        monkeypatch.setenv(name, "")  # restored at the end
    small = split_transactions(simulate_transactions(5_000, fraud_rate=0.02, seed=1), ULB)
    deployment = deploy.connect("local", tmp_path / "run", place=deploy.Place(image=IMAGE))
    hyperparameters = {"num_round": 20, "imbalance": "undersample 1:50"}
    choice = record.Choice("xgboost", "", hyperparameters, (record.Threshold("f1", 0.4),))
    deployment.train(choice, deployment.upload(small, ULB))
    deployment.serve()
    assert len(containers()) == 1
    expected = artifact.load(tmp_path / "run/model").score(small.test)
    assert np.abs(deployment.endpoint.score(small.test) - expected).max() <= 1e-6
    if end == "deletion":
        assert deployment.delete()
    else:
        (server,) = (each for each in psutil.Process().children() if "fraud_utils.local_sagemaker" in each.cmdline())
        server.kill()
    until(lambda: not containers(), "the end of the last container")
