"""`make image` with each kind of builder: scripts in place of engines that know what those know, and write down calls.

Real engines build in `.ci/run`: Docker with its legacy builder and with BuildKit.
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = """#!/bin/sh
case "$*" in
  "build --help") echo "{known}" ;;
  "network inspect bridge") exit {no_bridge} ;;
  *) echo "$@" >> "$ASKED" ;;
esac
"""
COMMON = "--build-arg string --network string"


def build(folder, known, base="python:3.12-slim", no_bridge=0):
    """What an engine is asked that knows certain options."""
    engine = folder / "engine"
    engine.write_text(ENGINE.format(known=f"{COMMON} {known}", no_bridge=no_bridge))
    engine.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    settings = [f"ENGINE={engine}", f"BASE_IMAGE={base}", "IMAGE=mine"]
    done = subprocess.run(
        ["make", "image", *settings], cwd=ROOT, env=clean | {"ASKED": str(folder / "asked")}, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    (asked,) = (folder / "asked").read_text().splitlines()
    assert asked.startswith("build ")
    assert "--tag mine" in asked
    assert f"BASE_IMAGE={base}" in asked
    return asked


@pytest.mark.parametrize("known", ["", "-o, --output stringArray --progress string"])
def test_docker_without_buildx_gets_no_flag_that_it_does_not_know(tmp_path, known):
    """The legacy builder, and BuildKit in a client without buildx; both write Docker's manifests anyway."""
    asked = build(tmp_path, known)
    for flag in ("--provenance", "--output", "--format", "--network", "--pull"):
        assert flag not in asked


def test_buildx_is_kept_from_writing_what_sagemaker_refuses(tmp_path):
    asked = build(tmp_path, "--provenance string -o, --output stringArray")
    assert "--provenance=false --output type=docker" in asked
    assert "--format" not in asked


def test_podman_under_whatever_name_writes_dockers_format_and_pulls_no_image_made_here(tmp_path):
    asked = build(tmp_path, "--format string", base="localhost/python:3.12-slim", no_bridge=1)
    assert "--format docker" in asked
    assert "--pull=never" in asked
    assert "--provenance" not in asked


def test_an_engine_without_a_network_of_its_own_builds_on_this_machines(tmp_path):
    assert "--network host" in build(tmp_path, "", no_bridge=1)


def test_without_an_engine_the_message_says_what_to_install():
    done = subprocess.run(["make", "image", "ENGINE=no-such-engine"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "there is no no-such-engine here; install docker or podman" in done.stderr
