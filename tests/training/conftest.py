"""The tree that SageMaker lays out for a job, and `train` as SageMaker runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fraud_utils.data.simulate import simulate_transactions

PROGRAM = Path(__file__).resolve().parents[2] / "container" / "train.py"


class Job:
    """A tree with hyperparameters and tables: `train` and `validation` map file names to frames or bytes."""

    def __init__(self, base, hyperparameters, hosts=("algo-1",), content_types=None, **tables):
        self.base = base
        config = base / "input" / "config"
        config.mkdir(parents=True)
        (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
        (config / "resourceconfig.json").write_text(json.dumps({"current_host": hosts[0], "hosts": list(hosts)}))
        channels = {
            name: {"TrainingInputMode": "File", "ContentType": media} for name, media in (content_types or {}).items()
        }
        (config / "inputdataconfig.json").write_text(json.dumps(channels))
        for channel, files in tables.items():
            folder = base / "input" / "data" / channel
            folder.mkdir(parents=True)
            for name, content in files.items():
                if isinstance(content, bytes):
                    (folder / name).write_bytes(content)
                elif name.endswith(".parquet"):
                    content.to_parquet(folder / name, index=False)
                else:
                    content.to_csv(folder / name, index=False)

    def start(self):
        return subprocess.Popen(
            [sys.executable, PROGRAM],
            env=os.environ | {"SAGEMAKER_BASE_DIR": str(self.base), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, status=0):
        """Run `train` to its end; what it wrote to stdout."""
        process = self.start()
        out, err = process.communicate()
        assert process.returncode == status, err
        return out

    @property
    def trees(self):
        return (self.base / "model" / "model.ubj").read_bytes()

    @property
    def failure(self):
        return (self.base / "output" / "failure").read_text()

    @property
    def checkpoint(self):
        return self.base / "checkpoints" / "checkpoint.ubj"


@pytest.fixture(scope="session")
def job():
    return Job


@pytest.fixture(scope="session")
def frame():
    return simulate_transactions(12_000, seed=5)
