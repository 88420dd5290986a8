"""`make push` against moto's ECR, with a script in place of the engine that writes down what it was asked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from states import HANGS

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
ENGINE = """#!/bin/sh
echo "$@" >> "$ASKED"
case $1 in login) cat >> "$ASKED";; esac
"""


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A committed tree that pushes as this one does, an account without repositories, and a recording engine."""
    from moto.server import ThreadedMotoServer  # here, since every worker collects this file

    for name in [name for name in os.environ if name.startswith(("AWS_", "GIT_", "MAKE"))]:
        monkeypatch.delenv(name)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    engine = tmp_path / "podman"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    tree = tmp_path / "tree"
    for name in ("Makefile", "container/push.sh", "container/build.sh"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "ENGINE": str(engine),
        "ASKED": str(tmp_path / "asked"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    git(tree, "init", "-q")
    git(tree, "add", ".")
    git(tree, "-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "-qm", "One")
    yield tree
    server.stop()


def git(tree, *arguments):
    return subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True, check=True).stdout.strip()


def push(tree, *settings):
    return subprocess.run(["make", "push", *settings], cwd=tree, capture_output=True, text=True, timeout=HANGS)


def repositories():
    return [each["repositoryName"] for each in boto3.client("ecr", "eu-west-1").describe_repositories()["repositories"]]


def test_push_refuses_an_image_that_no_commit_names(tree, tmp_path):
    (tree / "container" / "new").touch()
    refused = push(tree)
    assert refused.returncode != 0
    assert "commit them first" in refused.stderr
    assert "container/new" in refused.stderr
    assert not (tmp_path / "asked").exists()
    assert repositories() == []


def test_push_builds_logs_in_creates_the_repository_and_pushes_the_commit(tree, tmp_path, monkeypatch):
    commit = git(tree, "rev-parse", "HEAD")
    name = f"{REGISTRY}/sagemaker-fraud-detect:{commit[:12]}"
    (tree / "notebooks").mkdir()
    for edited, settings in (("01_explore.ipynb", []), ("03_deploy.ipynb", ["AWS_REGION=eu-west-1"])):
        (tree / "notebooks" / edited).touch()  # no matter
        if settings:  # the second time, when the repository is there, nothing else names the region
            monkeypatch.delenv("AWS_DEFAULT_REGION")
        done = push(tree, *settings)
        assert done.returncode == 0, done.stderr
        assert repositories() == ["sagemaker-fraud-detect"]
        build, login, password, tag, pushed = (tmp_path / "asked").read_text().splitlines()[-5:]
        assert build.startswith("build ")
        assert f"GIT_COMMIT={commit}" in build
        assert login == f"login --username AWS --password-stdin {REGISTRY}"
        assert password
        assert password not in done.stdout + done.stderr
        assert tag == f"tag fraud-detect {name}"
        assert pushed == f"push {name}"
        for command in ("aws ecr get-login-password", "aws ecr describe-repositories", f"podman push {name}"):
            assert command in done.stderr
    assert "aws ecr create-repository" not in done.stderr


def test_push_without_a_region_says_what_to_set(tree, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    refused = push(tree)
    assert refused.returncode != 0
    assert "AWS_REGION" in refused.stderr
