"""The container's programs are found beside the package, not in the working directory."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_server_started_elsewhere_runs_them(local, trained):
    assert Path(local.process.cwd()) == local.folder
    assert not list(local.folder.glob("container"))
    assert trained["TrainingJobStatus"] == "Completed"


def test_a_package_without_the_projects_folder_says_where_the_programs_should_be(tmp_path):
    shutil.copytree(ROOT / "fraud_utils", tmp_path / "fraud_utils")
    command = [sys.executable, "-m", "fraud_utils.local_sagemaker"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{tmp_path / 'container/train.py'} does not exist" in done.stderr
    assert "--engine" in done.stderr
