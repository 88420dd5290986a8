"""Nothing outlives the server: each program's guard ends it."""

import signal
from pathlib import Path

import psutil
import pytest
from states import HANGS, until


@pytest.mark.parametrize("end", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_everything_it_started_ends_with_it(start_local, split, artefact, end):
    local = start_local()
    local.put(split, artefact.read_bytes())
    local.create_model("m", local.url("model.tar.gz"))
    local.create_config("c", "m")
    local.create_endpoint("e", "c")
    local.train("long", 100_000)
    until(lambda: local.running("train"), "the start of training")
    started = local.process.children(recursive=True)
    trees = {each.environ().get("SAGEMAKER_BASE_DIR") for each in started} - {None}
    assert len(trees) == 2
    local.process.send_signal(end)
    local.process.wait(HANGS)
    until(lambda: not [p for p in started if p.is_running() and p.status() != psutil.STATUS_ZOMBIE], "the end of all")
    until(lambda: not [tree for tree in trees if Path(tree).exists()], "the removal of the folders")
