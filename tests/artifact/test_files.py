"""A model folder is loaded and packed whole or not at all."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from states import HANGS

from fraud_utils import artifact
from fraud_utils.artifact import ArtifactError


def test_a_packed_model_is_two_files_and_the_same_bytes_again(folder, model, frame, tmp_path):
    artifact.pack(folder, tmp_path / "one.tar.gz")
    artifact.pack(folder, tmp_path / "sub" / "two.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "sub" / "two.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        assert sorted(tar.getnames()) == ["manifest.json", "model.ubj"]
        assert all(member.mode == 0o644 for member in tar)  # the image's user is not the owner
    artifact.unpack(tmp_path / "one.tar.gz", tmp_path / "again")
    np.testing.assert_array_equal(artifact.load(tmp_path / "again").score(frame), model.score(frame))


@pytest.mark.parametrize("name", ["../model.ubj", "/tmp/model.ubj", "code.py", "sub/model.ubj", "link"])  # noqa: S108
def test_an_archive_with_anything_else_is_refused_and_nothing_is_written(tmp_path, name):
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as tar:
        for member in ("manifest.json", "model.ubj"):
            tar.addfile(tarfile.TarInfo(member))
        extra = tarfile.TarInfo(name if name != "link" else "model.ubj")
        if name == "link":
            extra.type, extra.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(extra, io.BytesIO())
    with pytest.raises(ArtifactError, match="belong there"):
        artifact.unpack(tmp_path / "bad.tar.gz", tmp_path / "out")
    assert not list(tmp_path.rglob("*.ubj"))


def test_an_archive_that_is_damaged_or_incomplete_is_refused(folder, tmp_path):
    artifact.pack(folder, tmp_path / "whole.tar.gz")
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "whole.tar.gz").read_bytes()[:-200])
    with pytest.raises(ArtifactError, match="not a readable"):
        artifact.unpack(tmp_path / "cut.tar.gz", tmp_path / "out")
    with tarfile.open(tmp_path / "half.tar.gz", "w:gz") as tar:
        tar.add(folder / "manifest.json", "./manifest.json")
    with pytest.raises(ArtifactError, match=r"model\.ubj is missing"):
        artifact.unpack(tmp_path / "half.tar.gz", tmp_path / "out")


def changed(folder: Path, target: Path, **manifest) -> Path:
    """A copy of a model folder with other values in its manifest."""
    target.mkdir(exist_ok=True)
    (target / "model.ubj").write_bytes((folder / "model.ubj").read_bytes())
    values = json.loads((folder / "manifest.json").read_text()) | manifest
    (target / "manifest.json").write_text(json.dumps({key: value for key, value in values.items() if value != "drop"}))
    return target


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"format_version": 0}, "model format 0, .* train the model again"),
        ({"format_version": 99}, "model format 99, .* upgrade fraud_utils"),
        ({"format_version": "drop"}, "model format None"),
        ({"model_sha256": "0" * 64}, r"model\.ubj: does not match"),
        ({"kept_share": "drop"}, "incomplete .'kept_share'"),
        ({"features": {"numeric": ["V1"], "amount": None, "categories": {}}}, "disagree on the number of features"),
    ],
)
def test_a_folder_that_is_no_model_of_this_version_is_refused(folder, tmp_path, manifest, message):
    with pytest.raises(ArtifactError, match=message):
        artifact.load(changed(folder, tmp_path / "other", **manifest))


def test_missing_and_damaged_files_are_named(folder, tmp_path):
    with pytest.raises(ArtifactError, match=r"manifest\.json: no such file"):
        artifact.load(tmp_path)
    with pytest.raises(ArtifactError, match=r"manifest\.json: not a directory"):
        artifact.load(folder / "model.ubj")
    (tmp_path / "manifest.json").write_text("{")
    (tmp_path / "model.ubj").write_text("")
    with pytest.raises(ArtifactError, match="not JSON"):
        artifact.load(tmp_path)
    other = changed(folder, tmp_path / "other")
    with (other / "model.ubj").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    with pytest.raises(ArtifactError, match="does not match"):
        artifact.load(other)
    (other / "model.ubj").write_bytes(b"{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    with pytest.raises(ArtifactError, match=r"model\.ubj: XGBoost cannot read it"):
        artifact.load(changed(other, tmp_path / "another", model_sha256=digest))


FULL_DISK = """
import resource, sys
from fraud_utils import artifact
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    artifact.unpack(sys.argv[1], sys.argv[2])
except OSError as error:
    sys.exit(f"full: {error}")
"""


def test_a_disk_that_fills_up_leaves_the_old_model_whole(folder, model, frame, tmp_path):
    other = changed(folder, tmp_path / "other")
    before = {path.name: path.read_bytes() for path in other.iterdir()}
    archive = tmp_path / "new.tar.gz"
    artifact.pack(folder, archive)
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, archive, other], capture_output=True, text=True, timeout=HANGS, check=False
    )
    assert "full: " in run.stderr
    assert {path.name: path.read_bytes() for path in other.iterdir()} == before
