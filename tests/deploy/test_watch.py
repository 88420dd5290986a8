"""Notebooks and processes that do not reach their end: whatever ends them, nothing is left that bills."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import uuid

import deployments
import nbformat
import psutil
import pytest
import states
from deployments import ROOT, client, command, left, marked, programs
from jupyter_client.manager import KernelManager

CONNECT = """\
import boto3
from fraud_utils import deploy
d = deploy.connect("local", run_folder)
boto3.client("s3").put_object(Bucket=d.site.place.bucket, Key=f"fraud-detection/{d.name}/train/x")
"""


def write_notebook(path, *cells):
    """A notebook with the two parameters that a report gives to every one."""
    values = 'data: str = ""\nrun_folder: str = "runs/lab"'
    parameters = nbformat.v4.new_code_cell(values, metadata={"tags": ["parameters"]})
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    cells = [parameters, *map(nbformat.v4.new_code_cell, cells)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def start_notebook(notebook, folder, *parameters):
    """Papermill on a notebook; everything that it starts is known by a mark in its environment."""
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", "papermill", notebook, folder / "out.ipynb", "-k", "python3", "--no-progress-bar"]
    process = subprocess.Popen(
        [*command, "-p", "run_folder", folder, *parameters],
        env=os.environ | {"MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    return process, mark


def start_deploying(folder, table, chosen=None):
    """Papermill on notebook 03."""
    deployments.run_folder(folder, chosen or deployments.choice())
    return start_notebook(ROOT / "notebooks/03_deploy.ipynb", folder, "-p", "data", table)


def kernel_of(mark):
    return next(each for each in marked(mark) if "ipykernel_launcher" in " ".join(command(each)))


def transform_jobs(stem: str) -> list[dict]:
    """Those whose names begin so, ended ones included."""
    return client("sagemaker").list_transform_jobs(NameContains=stem)["TransformJobSummaries"]


def endpoint_status(name):
    endpoints = client("sagemaker").list_endpoints(NameContains=name)["Endpoints"]
    return endpoints[0]["EndpointStatus"] if endpoints else ""


# ------------------------------------------------------------------------------------------------------- notebooks


def test_a_failing_cell_deletes_what_was_made_before_the_kernel_ends(server, tmp_path):
    (tmp_path / "failing").mkdir()
    process, mark = start_notebook(write_notebook(tmp_path / "failing.ipynb", CONNECT, "1 / 0"), tmp_path / "failing")
    printed, _ = process.communicate(timeout=states.HANGS)
    assert process.returncode != 0
    assert "ZeroDivisionError" in printed
    outputs = [o for c in nbformat.read(tmp_path / "failing/out.ipynb", 4).cells for o in c.get("outputs", [])]
    assert any("a cell failed or was interrupted: deleting" in output.get("text", "") for output in outputs)
    states.until(lambda: not marked(mark), "the end of all processes")
    assert left("failing") == []


@pytest.mark.long
def test_an_interrupt_during_training_stops_the_job_and_deletes(server, table, tmp_path):
    process, mark = start_deploying(tmp_path / "interrupted", table, deployments.endless())
    states.until(lambda: "train.py" in programs(server), "training")
    process.send_signal(signal.SIGINT)  # as Ctrl-C in a terminal, to papermill alone
    process.communicate(timeout=states.HANGS)
    states.until(lambda: not marked(mark), "the end of all processes")
    assert left("interrupted") == []
    assert programs(server) == []


@pytest.mark.long
def test_nothing_is_left_of_a_whole_deployment_whose_notebook_is_killed(server, table, tmp_path):
    process, mark = start_deploying(tmp_path / "nobody-asks", table)
    states.until(lambda: endpoint_status("fraud-nobody-asks-") == "InService", "an endpoint in service")
    kernel_of(mark).kill()
    process.communicate(timeout=states.HANGS)
    states.until(lambda: not marked(mark), "the end of all processes")
    assert left("nobody-asks") == []
    assert programs(server) == []
    assert "deleting Endpoint fraud-nobody-asks-" in (tmp_path / "nobody-asks/cleanup.log").read_text()


class Kernel:
    """A notebook's kernel without a notebook, as in JupyterLab, where somebody stops a cell and goes on."""

    def __init__(self):
        self.mark, self.printed = uuid.uuid4().hex, []
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=os.environ | {"MARK": self.mark})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=states.HANGS)

    def run(self, code, on_output=lambda text: None):
        """Run a cell to its end; its status."""

        def keep(message):
            self.printed.append(message["content"].get("text", ""))
            on_output(self.printed[-1])

        return self.client.execute_interactive(code, timeout=states.HANGS, output_hook=keep)["content"]["status"]

    def connect(self, folder):
        """Deploy from the kernel, up to an upload."""
        assert self.run(f"run_folder = {str(folder)!r}\n{CONNECT}") == "ok"
        assert len(left(folder.name)) == 1


@pytest.fixture(scope="module")
def kernel(server):
    """Of two tests, the second of which kills it: to start it and to import what it needs takes longest."""
    started = Kernel()
    yield started
    started.client.stop_channels()
    started.manager.shutdown_kernel(now=True)


def test_an_interrupted_cell_deletes_and_its_kernel_lives_on(kernel, tmp_path):
    kernel.connect(tmp_path / "interrupted-cell")
    stop = lambda text: kernel.manager.interrupt_kernel() if "begun" in text else None  # noqa: E731
    assert kernel.run("import time; print('begun', flush=True); time.sleep(600)", stop) == "error"
    assert "a cell failed or was interrupted: deleting" in "".join(kernel.printed)
    assert left("interrupted-cell") == []
    assert kernel.run("print('alive')") == "ok"


def test_a_killed_notebook_is_cleaned_up_after_without_anybody_asking(kernel, tmp_path):
    kernel.connect(tmp_path / "unasked")
    kernel_of(kernel.mark).kill()
    states.until(lambda: not marked(kernel.mark), "the end of all processes")
    assert left("unasked") == []
    assert "nothing is left" in (tmp_path / "unasked/cleanup.log").read_text()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.long  # test_run.py ends reports, and a notebook is killed above
def test_a_report_that_is_ended_in_the_middle_leaves_nothing(server, table, tmp_path, end):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    write_notebook(tmp_path / "notebooks/01_wait.ipynb", CONNECT, "import time; time.sleep(600)")
    mark, run = uuid.uuid4().hex, f"ended-by-{end.value}"
    command = [sys.executable, "-m", "fraud_utils.report", "--run", run, "--data", str(table)]
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"MARK": mark}, start_new_session=True)
    states.until(lambda: left(run), "an upload")
    process.send_signal(end)
    assert process.wait(states.HANGS) == (130 if end == signal.SIGINT else -signal.SIGKILL)
    states.until(lambda: not marked(mark), "the end of all processes")
    assert left(run) == []


# ------------------------------------------------------------------------------------------------------- processes


@pytest.fixture(scope="module")
def processes():
    """Forks processes that have imported the SDK, which takes seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["deployments", "fraud_utils.deploy", "sagemaker.core.resources"])
    return context


@contextlib.contextmanager
def deploying(processes, *arguments, **environment):
    """A process that deploys, as `deployments.deploy_until` says, and the mark of everything that it starts."""
    mark = uuid.uuid4().hex
    values = {key: value for key, value in os.environ.items() if key.startswith("AWS_")} | {"MARK": mark} | environment
    process = processes.Process(target=deployments.deploy_until, args=(values, *arguments))
    process.start()
    try:
        yield psutil.Process(process.pid), mark
    finally:
        process.kill()
        process.join()
        states.until(lambda: not marked(mark), "the end of all that the process started")


@pytest.mark.parametrize(
    ("step", "reached"),
    [
        pytest.param("upload", lambda server, name: left(name), marks=pytest.mark.long),
        pytest.param("train", lambda server, name: "train.py" in programs(server), marks=pytest.mark.long),
        ("serve", lambda server, name: endpoint_status(f"fraud-{name}-") == "Creating"),
        pytest.param(
            "wait", lambda server, name: endpoint_status(f"fraud-{name}-") == "InService", marks=pytest.mark.long
        ),
        pytest.param(  # so small a job may have ended, too
            "transform", lambda server, name: transform_jobs(f"fraud-{name}-"), marks=pytest.mark.long
        ),
    ],
)
def test_killing_the_process_and_cleaning_up_leaves_nothing(server, trained, processes, tmp_path, step, reached):
    run = f"killed-{step}"
    with deploying(processes, tmp_path / run, step, trained.model_url) as (process, _):
        states.until(lambda: reached(server, run), step)
        process.kill()
        command = [sys.executable, "-m", "fraud_utils.deploy", "cleanup", "--target", "local", "--run", run]
        done = subprocess.run(command, capture_output=True, text=True, timeout=states.HANGS)
        assert done.returncode == 0, done.stdout + done.stderr
    # the keeper has ended too, which deletes by itself what cleanup did not come to
    assert left(run) == []
    assert programs(server) == []


@pytest.mark.parametrize(
    ("step", "program"), [pytest.param("train", "train.py", marks=pytest.mark.long), ("wait", "serve.py")]
)
def test_a_server_that_the_process_started_ends_with_it_and_all_it_runs(processes, tmp_path, step, program):
    with deploying(processes, tmp_path / "alone", step, "", AWS_ENDPOINT_URL="") as (process, mark):
        states.until(lambda: [each for each in marked(mark) if program in " ".join(command(each))], step)
        process.kill()
