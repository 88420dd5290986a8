"""The tree that SageMaker lays out for a job, and `train` as SageMaker runs it."""

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from forked import PROGRAM, Forked
from states import HANGS

from fraud_utils.data.simulate import simulate_transactions


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

    def start(self, **variables):
        """Start `train` from a process that has imported its libraries."""
        return Forked({"SAGEMAKER_BASE_DIR": str(self.base)} | variables)

    def start_program(self):
        """Start `train` as SageMaker does."""
        return subprocess.Popen(
            [sys.executable, PROGRAM],
            env=os.environ | {"SAGEMAKER_BASE_DIR": str(self.base), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, status=0, start=start):
        """Run `train` to its end; what it wrote to stdout."""
        process = start(self)
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


class Cluster:
    """A job on several hosts, each a process on a tree of its own.

    `tables` has the channels of each host; those named in `sharded` are its own, the others are alike on all of them.
    """

    def __init__(self, base, hyperparameters, tables, sharded=("train", "validation")):
        self.names = [f"127.0.0.{number}" for number in range(1, len(tables) + 1)]
        self.jobs = []
        for name, channels in zip(self.names, tables, strict=True):
            job = Job(base / name, hyperparameters, self.names, **channels)
            config = base / name / "input" / "config"
            (config / "resourceconfig.json").write_text(json.dumps({"current_host": name, "hosts": self.names}))
            shared = {c: "ShardedByS3Key" if c in sharded else "FullyReplicated" for c in channels}
            settings = {name: {"TrainingInputMode": "File", "S3DistributionType": shared[name]} for name in channels}
            (config / "inputdataconfig.json").write_text(json.dumps(settings))
            self.jobs.append(job)

    def start(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        return [job.start(TRAIN_PORT=str(port)) for job in self.jobs]

    def run(self, *statuses):
        """Run all to their ends, which are well unless statuses are given; what they wrote to stdout."""
        return self.ended(self.start(), *statuses)

    def ended(self, processes, *statuses):
        with ThreadPoolExecutor() as pool:  # a pipe that nobody reads would stop its writer
            written = list(pool.map(lambda process: process.communicate(timeout=HANGS), processes))
        found = [process.returncode for process in processes]
        assert found == list(statuses or [0] * len(processes)), [error for _, error in written]
        return [out for out, _ in written]

    @property
    def first(self):
        """The host that leaves the model."""
        return self.jobs[0]


@pytest.fixture(scope="session")
def job():
    return Job


@pytest.fixture(scope="session")
def cluster():
    return Cluster


@pytest.fixture(scope="session")
def frame():
    return simulate_transactions(12_000, seed=5)
