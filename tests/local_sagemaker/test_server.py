"""The server's process: where it listens, and how it ends with its owner."""

import subprocess
import sys

import psutil


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
    assert process.wait(300) == 0
