"""The Makefile as people use it, and the scripts behind it. What the targets run is tested with the packages."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from states import HANGS

ROOT = Path(__file__).resolve().parents[1]


def make(*arguments: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "CONDA", "AWS_")) and k != "MFLAGS"}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=clean | environment, capture_output=True, text=True, timeout=HANGS
    )


@pytest.fixture
def project(tmp_path):
    """A folder with this Makefile, its scripts and the notebooks, in this environment."""
    for name in ("Makefile", "requirements.lock", ".python-version"):
        shutil.copy(ROOT / name, tmp_path)
    for name in (".make", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def test_make_alone_lists_every_target():
    done = make()
    assert done.returncode == 0
    targets = re.findall(r"^\.PHONY: (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"report", "test", "lab", "data", "env", "lint", "clean", "sagemaker", "cleanup", "simulate"} <= set(targets)
    for target in targets:
        assert f"make {target} " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["report", "SEED=3"], 'did you mean PARAMS="seed=3"?'),
        (["report", "sede=3"], 'did you mean PARAMS="seed=3"?'),
        (["report", "PROFIL=quick"], "did you mean PROFILE?"),
        (["report", "params=seed=3"], "did you mean PARAMS?"),
        (["report", "NOTE=it's $HOME"], "it takes DATA, PARAMS, PROFILE"),
        (["runs", "RUN=first"], "it takes no variables"),
        (["RUN=first"], "it takes no variables"),
    ],
)
def test_a_variable_that_no_goal_takes_is_refused_before_anything_runs(project, arguments, hint):
    (project / ".venv").unlink()
    refused = make(*arguments, folder=project)
    assert refused.returncode != 0
    assert hint in refused.stderr
    assert refused.stdout == ""
    assert not list(project.glob(".venv*"))


def test_variables_that_a_goal_takes_are_not_refused(project):
    for arguments in (
        ["report", "DATA=x.csv", "PARAMS=seed=3 review_cost=5", "PYTHON=python3.12", "AWS_REGION=eu-west-1"],
        ["runs", "compare", "A=one", "B=two"],  # what any of the goals takes
        ["test", "ARGS=-k it's", "FRAUD_DATA=x.csv"],
        ["push", "ENGINE=podman", "REPOSITORY=other"],
    ):
        done = make("--dry-run", *arguments, folder=project)
        assert done.returncode == 0, done.stderr


def test_simulated_transactions_are_written_where_out_says(project):
    done = make("simulate", "OUT=some.parquet", "ROWS=2000", "DAYS=1", "SEED=1", folder=project)
    assert done.returncode == 0, done.stderr
    frame = pd.read_parquet(project / "some.parquet")
    assert len(frame) == 2000
    assert frame["Time"].max() < 86_400
    assert "make simulate OUT=many.parquet" in make("simulate", folder=project).stderr


def test_cleanup_asks_for_a_run_or_an_age_and_passes_it_on(project):
    assert "name a run" in make("cleanup", folder=project).stderr
    passed = make("cleanup", "RUN=some", "ARGS=--target local", folder=project)
    assert passed.returncode == 0, passed.stderr
    assert "is no age" in make("cleanup", "OLDER_THAN=long", folder=project).stderr


def test_clean_removes_all_caches_and_what_a_link_to_a_larger_disk_holds(project, tmp_path_factory):
    larger = tmp_path_factory.mktemp("larger")
    for folder in (larger / "table", larger / ".reading-x", *(project / name for name in (".fit_cache", "runs/first"))):
        folder.mkdir(parents=True)
        (folder / "part").touch()
    (project / ".table_cache").symlink_to(larger)
    done = make("clean", folder=project)
    assert done.returncode == 0, done.stderr
    assert not list(larger.iterdir()) and not (project / ".fit_cache").exists()
    assert (project / ".table_cache").is_symlink() and (project / "runs/first/part").exists()


def test_test_dir_is_laid_out_as_sagemaker_does(project):
    table = project / "own.csv"
    table.write_text("Class,V1\n0,1.5\n")
    for setting, file in (("DATA=", "simulated.parquet"), (f"DATA={table}", "own.csv")):
        done = make("test-dir", setting, folder=project)
        assert done.returncode == 0, done.stderr
        base = project / "test_dir"
        assert [path.name for path in (base / "input/data/train").iterdir()] == [file]
        assert json.loads((base / "input/config/hyperparameters.json").read_text())["num_round"] == "100"
        assert (base / "model").stat().st_mode & 0o777 == 0o777  # the image's user is another one


LIST_PARTS = """
import pytest
for part in ([], ["--part", "1/2"], ["--part", "2/2"]):
    print("listed:")
    assert not pytest.main(["-q", "--collect-only", "-m", "not image", *part, "tests/record", "tests/container"])
"""


def test_the_parts_of_the_long_tests_are_all_of_them():
    """CI runs a part with each commit."""
    command = [sys.executable, "-c", LIST_PARTS]  # one process: to import what tests need takes longest
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    texts = done.stdout.split("listed:\n")[1:]
    whole, first, second = (Counter(re.findall("^(.+?)::", text, re.MULTILINE)) for text in texts)  # tests of each file
    assert first and second and first + second == whole
