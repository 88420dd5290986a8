"""The repository that this code runs in: its root, whole files, versions and the commit. Standard library only."""

from __future__ import annotations

import os
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# How the InferenceId begins of what this project asks an endpoint itself: no customer's, so no row to be monitored.
OWN_REQUESTS = "fraud-detection-own-"


def own_request() -> str:
    """An InferenceId for one of this project's own requests."""
    return f"{OWN_REQUESTS}{uuid.uuid4()}"


def root() -> Path:
    """Nearest folder from the working directory upwards that holds the project, else the working directory.

    Notebooks run from the root under papermill and from `notebooks/` in JupyterLab; paths mean the same in both.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").exists() and (folder / "notebooks").is_dir():
            return folder
    return here


def resolve(path: str | Path) -> Path:
    """A path given relative to the project's root, as one that can be opened from any working directory."""
    return root() / Path(path).expanduser()


def write(path: str | Path, content: str | bytes) -> None:
    """Write one file whole: whoever reads it, whenever this process is killed, finds the old file or the new one."""
    path = Path(path)
    write_all(path.parent, {path.name: content.encode() if isinstance(content, str) else content})


def write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put files into a folder only once all of them are complete and on disk, in the order given."""
    written: list[tuple[str, str]] = []
    try:
        for name, content in files.items():
            with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}.", delete=False) as file:
                written.append((file.name, name))
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
        for temporary, name in written:
            Path(temporary).replace(folder / name)
    finally:
        for temporary, _ in written:
            Path(temporary).unlink(missing_ok=True)


def commit(length: int = 40, mark_changes: bool = False) -> str | None:
    """The commit that this code is, None outside a repository of its own.

    An image has it in GIT_COMMIT; a working copy knows it itself.

    Parameters
    ----------
    length : int
        Digits wanted; git gives more where so few are not unique.
    mark_changes : bool
        Add "-dirty" where a tracked file differs from the commit.
    """
    if given := os.environ.get("GIT_COMMIT"):
        return given[:length]
    folder = Path(__file__).resolve().parents[1]
    command = ["git", "-C", str(folder), "describe", "--always", "--exclude", "*", f"--abbrev={length}"]
    try:
        answer = subprocess.run(
            [*command, "--dirty"] if mark_changes else command,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)},
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip() or None


def version_of(*names: str) -> str | None:
    """Version of the first of these packages that is installed."""
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
