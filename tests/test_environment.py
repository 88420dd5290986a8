"""What the project says it needs, what the lock pins, and how `make env` builds it."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from states import HANGS

ROOT = Path(__file__).resolve().parents[1]
ASKED = {"jupyterlab", "papermill", "xgboost", "scikit-learn", "imbalanced-learn", "seaborn", "pandas", "sagemaker"}


@cache
def locked(lock: str = "requirements.lock") -> dict[str, tuple[Requirement, list[str]]]:
    """Requirement and hashes by name."""
    lines = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
    parsed = {}
    for line in lines:
        text, *hashes = line.split(" --hash=")
        requirement = Requirement(text.strip())
        parsed[canonicalize_name(requirement.name)] = (requirement, [value.strip() for value in hashes])
    return parsed


def declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [Requirement(text) for text in project["project"]["dependencies"] + project["dependency-groups"]["dev"]]


def test_every_locked_package_is_pinned_with_hashes_and_names_no_index():
    pins = locked()
    assert len(pins) > 100
    for name, (requirement, hashes) in pins.items():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), name
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), name
    assert not re.search(r"https?:|--(extra-)?index-url|--find-links", (ROOT / "requirements.lock").read_text())


def test_the_lock_holds_what_the_project_declares_on_both_pythons_and_platforms():
    pins = locked()
    for requirement in declared():
        pinned, _ = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(str(pinned.specifier).removeprefix("==")), requirement
        for python in ("3.12", "3.13"):
            for system in ("linux", "darwin"):
                here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": system}
                if requirement.marker is None or requirement.marker.evaluate(here):
                    assert pinned.marker is None or pinned.marker.evaluate(here), (requirement.name, python, system)


def test_no_package_builds_a_parser_in_each_process_that_reads_a_notebook():
    assert "rfc3987-syntax" not in locked()  # 2.4 CPU seconds when jsonschema is imported, which Jupyter and the SDK do


def test_the_image_gets_the_same_versions():
    project, image = locked(), locked("container/requirements.lock")
    assert len(image) > 10
    for name, (pinned, hashes) in image.items():
        assert pinned.specifier == project[name][0].specifier, name
        assert set(hashes) <= set(project[name][1]), name


def test_this_environment_is_the_locked_one():
    for requirement in declared():
        if requirement.marker is None or requirement.marker.evaluate():
            pinned, _ = locked()[canonicalize_name(requirement.name)]
            assert f"=={version(requirement.name)}" == str(pinned.specifier)


def test_every_dependency_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    for requirement in declared():
        line = next(line for line in text.splitlines() if re.match(rf'\s*"{re.escape(requirement.name)}[<>;=[]', line))
        assert re.search(r'",\s+# \S+', line), line


def test_environment_yml_names_what_was_asked_for_after_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert f"python={(ROOT / '.python-version').read_text().strip()}" in environment["dependencies"]
    first, *names = environment["dependencies"][-1]["pip"]
    assert first == "-r requirements.lock"
    requirements = [Requirement(name) for name in names]
    assert {r.name.removesuffix("-cpu") for r in requirements} == ASKED
    assert not [r for r in requirements if str(r.specifier)]  # the lock alone says which version


# make env -----------------------------------------------------------------------------------------------------------


def project(folder: Path) -> Path:
    """A copy of what `make env` needs."""
    for name in ("Makefile", "pyproject.toml", ".python-version", "requirements.lock", "environment.yml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / ".make", folder / ".make")
    return folder


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "CONDA", "UV_")) and k != "MFLAGS"}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=clean | environment, capture_output=True, text=True, timeout=HANGS
    )


def test_a_python_that_is_too_old_gives_one_line_that_says_what_to_install(tmp_path):
    old = tmp_path / "bin" / "python3.12"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho\n")  # what another version prints when it is asked
    old.chmod(0o755)
    done = make(project(tmp_path), "env", f"PYTHON={old}")
    assert done.returncode != 0
    message = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert len(message) == 1
    assert "needs Python 3.12 or 3.13; install it" in message[0]
    assert not list(tmp_path.glob(".venv*"))


def fake_uv(folder: Path, body: str) -> str:
    """Put a uv of our own first on the PATH: what is tested is what the script does around it."""
    program = folder / "bin" / "uv"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/bash\nfor last; do :; done\n{body}\n")
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def test_an_environment_that_fails_or_is_interrupted_leaves_the_old_one(tmp_path):
    project(tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "old").write_text("works")
    (tmp_path / ".venv" / "built-from").write_text("another lock")
    for body in (
        '[ "$1" = venv ] && mkdir -p "$last" || exit 7',
        '[ "$1" = venv ] && mkdir -p "$last" || kill -INT $PPID',
    ):
        done = make(tmp_path, "env", f"PYTHON={sys.executable}", PATH=fake_uv(tmp_path, body))
        assert done.returncode != 0
        assert sorted(path.name for path in tmp_path.glob(".venv*")) == [".venv"]
        assert (tmp_path / ".venv" / "old").read_text() == "works"


def test_an_environment_is_built_once_and_again_when_the_lock_changes(tmp_path):
    project(tmp_path)
    path = fake_uv(tmp_path, f'[ "$1" = venv ] && mkdir -p "$last"; echo "$1 $2" >> {tmp_path}/calls')
    for _ in range(2):
        assert make(tmp_path, "env", f"PYTHON={sys.executable}", PATH=path).returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 3  # venv, lock, project
    with (tmp_path / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    assert make(tmp_path, "env", f"PYTHON={sys.executable}", PATH=path).returncode == 0
    assert len((tmp_path / "calls").read_text().splitlines()) == 6
    assert sorted(p.name for p in tmp_path.glob(".venv*")) == [".venv"]


@pytest.mark.parametrize("name", ["fraud-detection", "base"])
def test_the_active_conda_environment_is_used_when_it_is_ours(tmp_path, name):
    project(tmp_path)
    conda = tmp_path / "conda"
    (conda / "bin").mkdir(parents=True)
    (conda / "bin" / "python").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    (conda / "bin" / "python").chmod(0o755)
    (tmp_path / ".venv").mkdir()
    built_from = (ROOT / "requirements.lock").read_text() + (ROOT / ".python-version").read_text()
    (tmp_path / ".venv" / "built-from").write_text(built_from)
    for _ in range(2):
        done = make(tmp_path, "env", CONDA_PREFIX=str(conda), CONDA_DEFAULT_ENV=name)
        assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []
    if name == "fraud-detection":  # the lock, then the project, once
        assert ["requirements.lock" in call for call in calls] == [True, False]
        assert calls[1].endswith("-e .")
    else:
        assert not calls
