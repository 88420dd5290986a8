"""The server's process: where it listens, and how it ends with its owner."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
from states import HANGS

from fraud_utils.data.simulate import simulate_transactions

ROOT = Path(__file__).resolve().parents[2]


def test_it_listens_on_this_machine_only(local):
    listening = [each.laddr.ip for each in local.process.net_connections("tcp") if each.status == "LISTEN"]
    assert set(listening) == {"127.0.0.1"}


def test_each_request_is_one_line_of_its_log(local):
    local.sagemaker.list_models(NameContains="nothing")
    assert any(line.endswith(" sagemaker ListModels 200") for line in local.log.read_text().splitlines())


def test_it_ends_with_its_owner():
    command = [sys.executable, "-m", "fraud_utils.local_sagemaker", "--owned", "--engine", ""]
    process = psutil.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.stdin.close()
    assert process.wait(HANGS) == 0


def test_the_readmes_example_works_as_it_is_typed(start_local, tmp_path):
    """With the environment that the server prints, on simulated rows."""
    server = start_local()
    settings = re.search(r"export (.*)", server.log.read_text())[1].split()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    simulate_transactions(5_000, fraud_rate=0.02, seed=1).to_parquet(tmp_path / "rows.parquet")
    (example,) = (
        code
        for code in re.findall(r"```python\n(.*?)```", (ROOT / "container/README.md").read_text(), re.S)
        if "create_endpoint" in code
    )
    command = [sys.executable, "-c", example]
    environment = clean | dict(setting.split("=", 1) for setting in settings)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 0 <= float(done.stdout) <= 1
    server.process.terminate()
    assert server.process.wait(HANGS) == 0
