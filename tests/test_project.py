"""The repository that code runs in: its commit is that of the code's own working copy."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

from fraud_utils import project


def copied(folder: Path) -> ModuleType:
    """The module as code of another repository."""
    (folder / "fraud_utils").mkdir(parents=True)
    file = shutil.copy(project.__file__, folder / "fraud_utils")
    spec = importlib.util.spec_from_file_location("copied", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_commit_is_that_of_the_working_copy_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("GIT_COMMIT", raising=False)
    code = copied(tmp_path)
    assert code.commit() is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "fraud_utils"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert code.commit() == code.commit(mark_changes=True) == commit
    assert commit.startswith(code.commit(7)) and len(code.commit(7)) < 12
    with (tmp_path / "fraud_utils/project.py").open("a") as file:
        file.write("\n")
    assert code.commit(mark_changes=True) == f"{commit}-dirty"
    assert code.commit() == commit
    assert copied(tmp_path / "unpacked").commit() is None  # an archive inside somebody's repository
    monkeypatch.setenv("GIT_COMMIT", "0123456789")  # as an image has it
    assert code.commit(4) == "0123"
    monkeypatch.delenv("GIT_COMMIT")
    monkeypatch.setenv("PATH", "")
    assert code.commit() is None
