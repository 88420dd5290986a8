"""Whole runs of tiny notebooks: real processes and real kernels, in a project of their own."""

import contextlib
import html
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
from records import RUN
from states import HANGS, until
from tiny import make_project

from fraud_utils import record
from fraud_utils.report import compare_runs, program
from fraud_utils.report import run as runner

KEYS = [
    "run", "created", "version", "data", "parameters", "split", "models", "tie_set", "chosen", "groups", "bins",
    "cases", "endpoint", "reviewed", "prequential", "feedback", "seconds",
]  # fmt: skip
SETTINGS = {"DATA", "SCHEMA", "RUN", "PROFILE", "TARGET", "PARAMS"}
FINISHED = [Path(name) for name in ("one", "two")]  # the runs here that do


class Finished(NamedTuple):
    """The folders of two runs, what the first showed on a terminal, and what the second wrote to stderr and stdout."""

    one: Path
    two: Path
    live: str
    plain: str
    printed: str


def start(project: Path, *arguments: str, stderr: int = subprocess.PIPE, **environment: str) -> subprocess.Popen:
    inherited = {k: v for k, v in os.environ.items() if k not in SETTINGS}
    return subprocess.Popen(
        [sys.executable, "-m", "fraud_utils.report", *arguments],
        cwd=project,
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def called(main: Callable[[list[str]], int], project: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a program that is run in this process, which is left as it was."""
    handlers = {number: signal.getsignal(number) for number in program.SIGNALS}
    with (
        contextlib.chdir(project),
        contextlib.redirect_stdout(io.StringIO()) as printed,
        contextlib.redirect_stderr(io.StringIO()) as errors,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name in SETTINGS:
            patch.delenv(name, raising=False)
        try:
            status = main(list(arguments))
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    return status, printed.getvalue(), errors.getvalue()


def state(folder: Path) -> dict:
    return json.loads((folder / "state.json").read_text())


def read_terminal(descriptor: int) -> str:
    """All that was written to the other end, which is closed."""
    text = b""
    while True:
        try:
            block = os.read(descriptor, 65536)
        except OSError:
            block = b""
        if not block:
            return text.decode()
        text += block


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an earlier, similar run whose notebooks took 4,000 and 20,000 seconds.

    By its date it is the newest, so that it is the one to go by whichever run of these tests ends first.
    """
    root = make_project(tmp_path_factory.mktemp("project"))
    (root / "runs/earlier").mkdir(parents=True)
    seconds = {"01_first": 4_000.0, "02_second": 20_000.0}
    parameters = {"data": "", "profile": "full"}
    earlier = replace(RUN, run="earlier", data=record.Data("tiny", rows=10), parameters=parameters, seconds=seconds)
    earlier = replace(earlier, created=RUN.created.replace(year=2099))
    record.save(root / "runs/earlier", earlier)
    record.save(root / "runs/earlier", record.State("finished", "earlier", earlier.created))
    return root


@pytest.fixture(scope="module")
def finished(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Two runs at once with the same values: one from PARAMS at the root on a terminal, one from YAML in notebooks/."""
    mine = tmp_path_factory.mktemp("mine")
    (mine / "kernels/python3").mkdir(parents=True)
    broken = {"argv": ["/bin/false"], "display_name": "Mine", "language": "python"}
    (mine / "kernels/python3/kernel.json").write_text(json.dumps(broken))
    settings = mine / "settings.yaml"
    settings.write_text("rate: 1000\nlabel: '1e3'\nflag: false\ncosts: [1, 2.5]\n")
    kernels: dict[str, Any] = {"JUPYTER_PATH": str(mine), "JUPYTER_DATA_DIR": str(mine), "JUPYTER_PREFER_ENV_PATH": "0"}

    screen, terminal = pty.openpty()
    one = start(project, stderr=terminal, RUN="one", PARAMS="rate=1e3 label=1e3 flag=no 'costs=[1, 2.5]'", **kernels)
    os.close(terminal)
    two = start(project / "notebooks", "--run", "two", "--params-file", str(settings), **kernels)
    live = read_terminal(screen)
    os.close(screen)
    printed, plain = two.communicate(timeout=HANGS)
    assert (one.wait(), two.returncode) == (0, 0), f"{live}\n{plain}"
    return Finished(project / "runs/one", project / "runs/two", live, plain, printed)


def metrics(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


def test_a_run_holds_what_the_design_promises(finished):
    for folder in finished[:2]:
        pages = {"01_first.html", "02_second.html", "index.html"}
        records = {"01_first.ipynb", "02_second.ipynb", "metrics.json", "results.json", "state.json", "seen.json"}
        assert {p.name for p in folder.iterdir()} == pages | records
        assert state(folder)["state"] == "finished"
        content = metrics(folder)
        assert list(content) == KEYS
        assert content["run"] == folder.name
        assert list(content["seconds"]) == ["01_first", "02_second", "total"]
        assert content["version"]["packages"]["papermill"]
        assert content["data"]["columns"] is None
        executed = nbformat.read(folder / "01_first.ipynb", as_version=4)
        assert executed.cells[-1].outputs[0].data["text/plain"] == "42"
    assert (finished.one.parent / "latest").readlink() in FINISHED


def test_parameters_keep_their_types_from_text_and_from_yaml(finished):
    for folder in finished[:2]:
        assert metrics(folder)["parameters"] == {
            "behave": "well", "costs": [1.0, 2.5], "data": "", "flag": False, "label": "1e3", "profile": "full",
            "rate": 1000.0, "seed": 7,
        }  # fmt: skip
        seen = json.loads((folder / "seen.json").read_text())
        assert seen["types"] == {"rate": "float", "label": "str", "flag": "bool", "costs": "list"}
        assert seen["interpreter"] == sys.executable  # not the kernel "python3" that the user registered


def test_equal_inputs_give_equal_metrics_but_for_the_times(finished):
    one, two = metrics(finished.one), metrics(finished.two)
    assert one["endpoint"].pop("latency_ms") != two["endpoint"].pop("latency_ms")
    for key in ("run", "created", "seconds"):
        one.pop(key), two.pop(key)
    assert one == two


def test_progress_is_live_on_a_terminal_and_plain_elsewhere(finished):
    cells = 6  # the markdown, the parameters, what papermill injects, and three more
    assert re.search(rf"\r01_first  cell 4/{cells} \|.*\| \d\d:\d\d", finished.live)
    assert re.search(rf"\r01_first  cell {cells}/{cells} \|█+\| [\d:]+ *\r?\n", finished.live)  # nothing is left
    fit = "Fitting: 1 of 2, dummy, 0.5 s"
    assert re.search(r"\r01_first  (fits|cell) [^\r\n]*, Fitting: 1 of 2", finished.live)  # whichever came first
    assert "\n  Fitting" not in finished.live  # on the live line, and on no line of its own
    lines = finished.plain.splitlines()
    assert lines[1] == f"  {fit}"
    assert re.fullmatch(r"02_second: done in \d+\.\d s", lines[4])
    assert len(lines) == 5


def test_what_is_left_is_estimated_from_an_earlier_run(finished):
    """Of 4,000 and 20,000 seconds, more than any machine needs, so that something is always left."""
    assert re.search(r"\r01_first  cell \d/6 [^\r]*?\d\d:\d\d, about 6\d\.\d minutes left", finished.live)
    assert finished.plain.startswith("01_first: 6 cells; about 66.7 minutes, as in earlier\n")
    assert "02_second: 5 cells; about 5.6 hours, as in earlier\n" in finished.plain


def test_at_the_end_stands_what_a_run_took_and_reached(finished):
    *table, how, where = finished.printed.splitlines()
    cells = dict(re.split(r"  +", line, maxsplit=1) for line in table)
    assert list(cells) == ["01_first", "02_second", "total", "data", "chosen", "average precision", "endpoint"]
    assert all(re.fullmatch(r"\d+\.\d s", cells[name]) for name in ("01_first", "02_second", "total"))
    assert cells["data"] == "SIMULATED: tiny"
    assert cells["chosen"] == "xgboost <plain>"
    assert cells["average precision"] == "0.750 [0.700, 0.790] on the test set"
    assert cells["endpoint"] == "2 rows, scores differ by at most 0"
    assert how == "make open RUN=two opens this page:"
    assert where == "runs/two/index.html"


def listed(project: Path) -> dict[str, str]:
    """The lines of runs/index.html, written anew, as text, by run."""
    assert called(compare_runs.main, project, "index")[0] == 0
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', (project / "runs/index.html").read_text(), re.DOTALL)
    return {
        re.sub("<[^>]+>", "", name): " ".join(html.unescape(re.sub("<[^>]+>", " ", rest)).split())
        for name, rest in rows
    }


def test_a_run_that_ends_is_listed(project, finished, failed):
    lines = listed(project)
    assert re.search(
        r"UTC finished SIMULATED tiny full 7 costs \[1\.0, 2\.5\], flag False, label 1e3, rate 1000\.0 "
        r"xgboost <plain> 0\.750 \[0\.700, 0\.790\] 0\.800 \d+ seconds$",
        lines["one"],
    )
    assert re.search(
        r"failed in 01_first, cell 5: ValueError: the well is dry left: 01_first SIMULATED tiny full 7 behave raise "
        r"(– ){3}\d+ seconds?$",
        lines["raise"],
    )


class References(HTMLParser):
    """What a browser would fetch to show a page; a link to click on is not that."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"]
        self.found += [
            v for k, v in attributes if k in ("src", "srcset", "data", "poster") and not v.startswith("data:")
        ]
        if tag not in ("a", "area") and "href" in named:
            self.found.append(named["href"])
        self.handle_data(named.get("style", ""))

    def handle_data(self, data):
        self.found += re.findall(r"""url\(\s*["']?(?!data:|["']?\))[^)]*|@import[^;]*|\bimport\s+.*?from.*""", data)


@pytest.mark.parametrize("page", ["../index.html", "index.html", "01_first.html", "02_second.html"])
def test_a_page_fetches_nothing(finished, page):
    references = References()
    references.feed((finished[0] / page).read_text())
    assert [r for r in references.found if re.search(r"//|^\w+:", r)] == []
    assert references.policy.startswith("default-src 'none'")


def test_pages_name_themselves_and_lead_back(finished):
    page = (finished[0] / "02_second.html").read_text()
    assert "<title>Chapter 02_second · one</title>" in page
    assert '<a href="index.html">' in page
    assert '<a href="02_second.html">' in (finished[0] / "01_first.html").read_text()  # written before there was one


def test_the_summary_names_the_choice_and_says_that_the_data_is_simulated(finished):
    page = (finished[0] / "index.html").read_text()
    text = " ".join(re.sub(r"<style.*</style>|<[^>]+>", " ", page, flags=re.DOTALL).split())
    assert "SIMULATED" in text
    assert "xgboost &lt;plain&gt;" in text
    assert "0.750 [0.700, 0.790]" in text
    assert 'href="01_first.html"' in page
    assert 'href="metrics.json"' in page
    assert "None" not in text


@pytest.fixture(scope="module")
def failed(project: Path, finished) -> dict[str, tuple[Path, int, str]]:
    """Runs whose third cell goes wrong in four ways, by the program's main function: its start is paid for once."""
    outcome = {}
    for how in ("data", "raise", "die", "leave"):
        status, _, errors = called(program.main, project, "--run", how, f"behave={how}")
        outcome[how] = (project / "runs" / how, status, errors)
    return outcome


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("data", "bad.csv, row 3, column Amount: 'ten' is not a number; fix it"),
        ("raise", "ValueError: the well is dry"),
        ("die", "kernel died"),
        ("leave", "left the notebook before its end"),
    ],
)
def test_a_failure_is_explained_once_and_never_looks_finished(failed, how, message):
    folder, status, errors = failed[how]
    assert status == 1
    assert errors.count(message) == 1
    assert "Traceback" not in errors
    assert "01_first, cell 5" in errors
    assert f"runs/{how}/01_first.html" in errors
    assert state(folder).items() >= {"state": "failed", "notebook": "01_first", "cell": 5}.items()
    assert message in state(folder)["error"]
    left = {p.name for p in folder.iterdir()}
    assert {"01_first.ipynb", "01_first.html"} <= left
    assert not {"metrics.json", "index.html", "02_second.ipynb"} & left
    partial = nbformat.read(folder / "01_first.ipynb", as_version=4)
    assert re.search("exception was encountered|stopped in cell 5", partial.cells[0].source, re.IGNORECASE)
    assert partial.cells[-1].outputs == []
    assert (folder.parent / "latest").readlink() in FINISHED


def test_what_a_dead_kernel_started_is_stopped(failed):
    kernel, orphan = map(int, (failed["die"][0] / "pids").read_text().split())
    assert not alive(kernel)
    assert not alive(orphan)


def test_a_failing_cell_is_shown_by_its_first_lines_and_bad_data_by_its_message(failed):
    _, _, errors = failed["raise"]
    assert "    # one\n    # two\n" in errors
    assert "sys.exit" not in errors
    _, _, errors = failed["data"]
    assert "# one" not in errors
    assert "DataError" not in errors


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        if sys.platform == "linux":
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_interrupted_run_says_so_and_leaves_no_process(project, finished, failed):
    """Ctrl-C reaches the whole group, `kill` the process alone, and SIGKILL leaves no time to say anything."""
    how = {
        "raise": (os.killpg, signal.SIGINT, 130, "interrupted"),  # takes over the folder of the run that failed
        "term": (os.kill, signal.SIGTERM, 143, "interrupted"),
        "kill": (os.kill, signal.SIGKILL, -9, "running"),
    }
    running = {name: start(project, "--run", name, "behave=linger") for name in how}
    pids: dict[str, list[int]] = {}
    try:
        for name in how:
            file = project / "runs" / name / "pids"
            until(file.exists, f"the cell that lingers in {name}")
            pids[name] = [int(pid) for pid in file.read_text().split()]
            assert all(map(alive, pids[name]))
        assert state(project / "runs/term").items() >= {"state": "running", "notebook": "01_first", "cell": 5}.items()
        status, _, errors = called(program.main, project, "--run", "term")
        assert "another run" in errors and status == 2
        assert "running in 01_first, cell 5" in listed(project)["term"]
        for name, (send, number, _, _) in how.items():
            send(running[name].pid, number)
        for name, (_, number, status, outcome) in how.items():
            _, errors = running[name].communicate(timeout=HANGS)
            folder = project / "runs" / name
            assert running[name].returncode == status
            assert "Traceback" not in errors
            assert state(folder)["state"] == outcome
            left = {p.name for p in folder.iterdir()}
            assert "01_first.ipynb" in left
            assert not {"metrics.json", "index.html", "01_first.html"} & left
            if number != signal.SIGKILL:
                assert signal.Signals(number).name in errors and "Fits that were finished are kept" in errors
                assert f"\n  make report RUN={name} PARAMS=behave=linger\n" in errors
                assert not any(map(alive, pids[name]))
                assert "stopped in cell 5" in nbformat.read(folder / "01_first.ipynb", as_version=4).cells[0].source
                assert "interrupted in 01_first, cell 5" in listed(project)[name]
        until(lambda: not alive(pids["kill"][0]), "the end of the kernel of a runner that was killed")
        assert "killed in 01_first, cell 5" in listed(project)["kill"]
    finally:
        for process in running.values():
            process.kill()
        for pid in [pid for each in pids.values() for pid in each if alive(pid)]:
            os.kill(pid, signal.SIGKILL)
    assert (project / "runs/latest").readlink() in FINISHED


def test_a_version_has_the_packages_that_the_project_asks_for():
    version = runner.version()
    assert version.python == ".".join(map(str, sys.version_info[:3])) and version.project
    assert {"numpy", "papermill", "xgboost-cpu"} & set(version.packages) >= {"numpy", "papermill"}
    assert "pytest" not in version.packages
