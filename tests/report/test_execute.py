"""The runner: real processes, real kernels and tiny notebooks in a project of their own."""

import html
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from fraud_utils import record as results
from fraud_utils.report import compare_runs as runs
from fraud_utils.report import execute as report

DESIGN_KEYS = [
    "run", "created", "version", "data", "parameters", "split", "models", "tie_set", "chosen", "endpoint", "seconds",
]  # fmt: skip
REPORT = [sys.executable, "-m", "fraud_utils.report"]
FINISHED = [Path(name) for name in ("one", "two", "live", "plain")]  # the runs here that do

PARAMETERS_1 = """\
data: str = ""  # a table
seed: int = 7  # what = what
profile: str = "full"
run_folder: str = "runs/lab"
rate: float = 0.5
label: str = ""
flag: bool = True
costs: list[float] = [1.0, 2.0]
behave: str = "well"
"""
SECTIONS = """\
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fraud_utils.evaluation import fits
from fraud_utils import record as results
from fraud_utils.models import Candidate

one = fits.Fit(Candidate("dummy"), np.arange(8), np.arange(8, 10))
fits.run([one], np.zeros((10, 1)), np.arange(10) % 2, "Fitting", n_jobs=1)
results.add(
    run_folder,
    data={"name": "tiny", "simulated": True, "rows": 10, "frauds": 2, "nan": float("nan")},
    split={"test_from": 8.0, "train_rows": 8, "train_frauds": 1, "test_rows": 2, "test_frauds": 1},
    types={name: type(value).__name__ for name, value in dict(rate=rate, label=label, flag=flag, costs=costs).items()},
    interpreter=sys.executable,
)
"""
BEHAVE = """\
# one
# two
# three
# four
import os
import time
from subprocess import run

from fraud_utils.data import DataError

here = Path("runs", Path(run_folder).name)
if behave == "data":
    raise DataError("bad.csv, row 3, column Amount: 'ten' is no number; mend it")
if behave == "raise":
    raise ValueError("the well is dry")
if behave == "leave":
    sys.exit(0)
if behave in ("die", "linger"):
    orphan = run("sleep 600 >/dev/null 2>&1 & echo $!", shell=True, capture_output=True, text=True).stdout
    (here / "partial").write_text(f"{os.getpid()} {orphan}")
    (here / "partial").rename(here / "pids")
    if behave == "die":
        os.kill(os.getpid(), 9)
    time.sleep(600)
"""
CHOICE = """\
results.add(
    run_folder,
    models=[{"name": "xgboost <plain>", "kind": "supervised", "oof": {"average_precision": 0.8},
             "test": {"average_precision": 0.75, "average_precision_ci": [0.7, 0.79]}}],
    tie_set=["xgboost <plain>"],
    chosen={"name": "xgboost <plain>", "hyperparameters": {}, "thresholds": {"f1": 0.5}, "reason": "the only one"},
    endpoint={"target": "local", "rows": 2, "max_abs_difference": 0.0, "deleted": True,
              "latency_ms": {"p50": time.perf_counter(), "p99": None}},
)
"""


def write_notebook(path: Path, parameters: str | None, *cells: str) -> None:
    tagged = [] if parameters is None else [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(f"# Chapter {path.stem}\n\nOf $x^2$ and [a link](https://example.org)."),
            *tagged,
            *(nbformat.v4.new_code_cell(cell) for cell in cells),
        ]
    )
    nbformat.write(notebook, path)


def make_project(folder: Path) -> Path:
    (folder / "notebooks").mkdir(parents=True)
    (folder / "pyproject.toml").write_text("")
    write_notebook(folder / "notebooks/01_first.ipynb", PARAMETERS_1, SECTIONS, BEHAVE, "seed * 6")
    write_notebook(
        folder / "notebooks/02_second.ipynb",
        'seed: int = 7\nrun_folder: str = "runs/lab"',
        "import time\n\nfrom fraud_utils import results",
        CHOICE,
    )
    write_notebook(folder / "notebooks/scratch.ipynb", None, "1 / 0")  # no chapter
    return folder


def start(project: Path, *arguments: str, stderr: int = subprocess.PIPE, **environment: str) -> subprocess.Popen:
    inherited = {
        k: v for k, v in os.environ.items() if k not in {"DATA", "SCHEMA", "RUN", "PROFILE", "TARGET", "PARAMS"}
    }
    return subprocess.Popen(
        [*REPORT, *arguments],
        cwd=project,
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


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
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def finished(project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str, str]:
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
    printed, plain = two.communicate(timeout=120)
    assert (one.wait(), two.returncode) == (0, 0), f"{live}\n{plain}"
    assert printed.splitlines()[-1] == "runs/two/index.html"
    return project / "runs/one", project / "runs/two", live, plain


def test_a_run_holds_what_the_design_promises(finished):
    one, two, _, _ = finished
    for folder in (one, two):
        pages = {"01_first.html", "02_second.html", "index.html"}
        records = {"01_first.ipynb", "02_second.ipynb", "metrics.json", "results.json", "state.json"}
        assert {p.name for p in folder.iterdir()} == pages | records
        assert state(folder)["state"] == "finished"
        metrics = json.loads((folder / "metrics.json").read_text())
        assert [key for key in metrics if key in DESIGN_KEYS] == DESIGN_KEYS
        assert metrics["run"] == folder.name
        assert list(metrics["seconds"]) == ["01_first", "02_second", "total"]
        assert metrics["version"]["packages"]["papermill"]
        assert metrics["data"]["nan"] is None
        assert metrics["interpreter"] == sys.executable  # not the kernel "python3" that the user registered
        executed = nbformat.read(folder / "01_first.ipynb", as_version=4)
        assert executed.cells[-1].outputs[0].data["text/plain"] == "42"
    assert (one.parent / "latest").readlink() in FINISHED


def test_parameters_keep_their_types_from_text_and_from_yaml(finished):
    for folder in finished[:2]:
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["parameters"] == {
            "behave": "well", "costs": [1.0, 2.5], "data": "", "flag": False, "label": "1e3", "profile": "full",
            "rate": 1000.0, "seed": 7,
        }  # fmt: skip
        assert metrics["types"] == {"rate": "float", "label": "str", "flag": "bool", "costs": "list"}


def test_equal_inputs_give_equal_metrics_but_for_the_times(finished):
    one, two = (json.loads((folder / "metrics.json").read_text()) for folder in finished[:2])
    assert one["endpoint"].pop("latency_ms") != two["endpoint"].pop("latency_ms")
    for key in ("run", "created", "seconds"):
        one.pop(key), two.pop(key)
    assert one == two


def test_progress_is_live_on_a_terminal_and_plain_elsewhere(finished):
    _, _, live, plain = finished
    cells = 6  # the markdown, the parameters, what papermill injects, and three more
    assert re.search(rf"\r01_first  cell 4/{cells} \|.*\| \d\d:\d\d", live)
    assert re.search(rf"01_first  cell {cells}/{cells} .*\r?\n", live)
    fit = r"  Fitting: 1 of 1, dummy, \d\.\d s"
    assert re.search(rf"[\r\n]{fit}\s*\n", live)  # above the live line
    lines = plain.splitlines()
    assert lines[0] == f"01_first: {cells} cells"
    assert re.fullmatch(fit, lines[1])
    assert re.fullmatch(r"02_second: done in \d+\.\d s", lines[4])
    assert len(lines) == 5


@pytest.fixture(scope="module")
def estimated(project: Path, finished) -> dict[str, tuple[int, str, str]]:
    """Two runs after one whose last cells took 40 and 200 s: on a terminal, and elsewhere with an MLflow that is down.

    Status, what stood on stdout and on stderr.
    """
    earlier = project / "runs/earlier"
    shutil.copytree(finished[0], earlier)
    metrics = json.loads((earlier / "metrics.json").read_text())
    results.write_json(earlier / "metrics.json", metrics | {"created": "2099-01-01T00:00:00+00:00"})
    for name, seconds in (("01_first", 40.0), ("02_second", 200.0)):
        notebook = nbformat.read(earlier / f"{name}.ipynb", as_version=4)
        for cell in notebook.cells:
            cell.metadata.papermill["duration"] = seconds * (cell is notebook.cells[-1])
        nbformat.write(notebook, earlier / f"{name}.ipynb")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = f"http://user:secret@127.0.0.1:{probe.getsockname()[1]}"
    screen, terminal = pty.openpty()
    live = start(project, "--run", "live", stderr=terminal)
    os.close(terminal)
    plain = start(project, "--run", "plain", MLFLOW_TRACKING_URI=nobody, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    shown = read_terminal(screen)
    os.close(screen)
    printed, errors = plain.communicate(timeout=120)
    told, _ = live.communicate(timeout=60)
    shutil.rmtree(earlier)
    return {"live": (live.returncode, told, shown), "plain": (plain.returncode, printed, errors)}


def test_what_is_left_is_estimated_from_an_earlier_run(estimated):
    _, _, shown = estimated["live"]
    told = re.findall(r"\r01_first  cell (\d)/6 [^\r]*?\d\d:\d\d, about (\d+) (s|min) left", shown)
    assert {cell for cell, *_ in told} >= {"2", "4"}
    assert all(35 <= int(number) * (60 if unit == "min" else 1) <= 180 for _, number, unit in told)
    assert re.search(r"\r01_first  cell 6/6 \|█+\| \d\d:\d\d *\r?\n", shown)  # nothing is left at the end
    _, _, errors = estimated["plain"]
    assert re.match(r"01_first: 6 cells; about 40 s, as in earlier\n", errors)
    assert "02_second: 5 cells; about 3 min, as in earlier\n" in errors


def test_at_the_end_stands_what_a_run_took_and_found(estimated):
    status, printed, _ = estimated["live"]
    assert status == 0
    *table, how, where = printed.splitlines()
    cells = dict(re.split(r"  +", line, maxsplit=1) for line in table)
    assert list(cells) == ["01_first", "02_second", "total", "data", "chosen", "average precision", "endpoint"]
    assert all(re.fullmatch(r"\d+\.\d s", cells[name]) for name in ("01_first", "02_second", "total"))
    assert cells["data"] == "SIMULATED: tiny"
    assert cells["chosen"] == "xgboost <plain>"
    assert cells["average precision"] == "0.750 [0.700, 0.790] on the test set"
    assert cells["endpoint"] == "2 transactions, scores differ by at most 0"
    assert how == "make open RUN=live opens this page:"
    assert where == "runs/live/index.html"


def test_an_mlflow_that_is_not_there_loses_no_run(project, estimated):
    status, printed, errors = estimated["plain"]
    assert status == 0
    assert printed.splitlines()[-1] == "runs/plain/index.html"
    assert errors.count("warning: MLflow at http://127.0.0.1:") == 1
    assert "is complete in runs/plain" in errors
    assert "secret" not in errors
    assert "Traceback" not in errors
    assert state(project / "runs/plain")["state"] == "finished"
    assert (project / "runs/plain/metrics.json").exists()


def listed(project: Path) -> dict[str, str]:
    """The lines of runs/index.html as text, by run."""
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', (project / "runs/index.html").read_text(), re.DOTALL)
    return {
        re.sub("<[^>]+>", "", name): " ".join(html.unescape(re.sub("<[^>]+>", " ", rest)).split())
        for name, rest in rows
    }


def test_a_run_that_ends_is_listed(project, finished, failed):
    lines = listed(project)
    assert re.search(
        r"UTC finished SIMULATED tiny xgboost <plain> 0\.750 \[0\.700, 0\.790\] 0\.800 \d+ s$", lines["one"]
    )
    assert re.search(
        r"failed in 01_first, cell 5: ValueError: the well is dry SIMULATED tiny – – – \d+ s$", lines["raise"]
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


def test_summary_tells_the_choice_and_that_the_data_is_simulated(finished):
    page = (finished[0] / "index.html").read_text()
    text = " ".join(re.sub(r"<style.*</style>|<[^>]+>", " ", page, flags=re.DOTALL).split())
    assert "SIMULATED" in text
    assert "xgboost &lt;plain&gt; reaches an average precision of 0.750 [0.700, 0.790]" in text
    assert 'href="01_first.html"' in page
    assert 'href="metrics.json"' in page
    assert "None" not in text


@pytest.fixture(scope="module")
def failed(project: Path, finished) -> dict[str, tuple[Path, int, str]]:
    """Runs whose second cell goes wrong in four ways, at once."""
    running = {how: start(project, "--run", how, f"behave={how}") for how in ("data", "raise", "die", "leave")}
    outcome = {}
    for how, process in running.items():
        _, errors = process.communicate(timeout=120)
        outcome[how] = (project / "runs" / how, process.returncode, errors)
    return outcome


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("data", "bad.csv, row 3, column Amount: 'ten' is no number; mend it"),
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


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(condition())


def test_an_interrupted_run_says_so_and_leaves_no_process(project, finished, failed, restored, capsys):
    """Ctrl-C reaches the whole group, `kill` the process alone, and SIGKILL leaves no time to say anything."""
    how = {
        "raise": (os.killpg, signal.SIGINT, 130, "interrupted"),  # takes over the folder of the run that failed
        "int": (os.kill, signal.SIGINT, 130, "interrupted"),
        "term": (os.kill, signal.SIGTERM, 143, "interrupted"),
        "kill": (os.kill, signal.SIGKILL, -9, "running"),
    }
    running = {name: start(project, "--run", name, "behave=linger") for name in how}
    pids: dict[str, list[int]] = {}
    try:
        for name in how:
            file = project / "runs" / name / "pids"
            assert wait_for(file.exists, 60), f"{name}: the cell did not begin"
            pids[name] = [int(pid) for pid in file.read_text().split()]
            assert all(map(alive, pids[name]))
        assert state(project / "runs/int").items() >= {"state": "running", "notebook": "01_first", "cell": 5}.items()
        assert report.main(["--run", "int"]) == 2
        assert "another run" in capsys.readouterr().err
        for name, (send, number, _, _) in how.items():
            send(running[name].pid, number)
        for name, (_, number, status, said) in how.items():
            _, errors = running[name].communicate(timeout=30)
            folder = project / "runs" / name
            assert running[name].returncode == status
            assert "Traceback" not in errors
            assert state(folder)["state"] == said
            left = {p.name for p in folder.iterdir()}
            assert "01_first.ipynb" in left
            assert not {"metrics.json", "index.html", "01_first.html"} & left
            if number != signal.SIGKILL:
                assert signal.Signals(number).name in errors
                assert not any(map(alive, pids[name]))
                assert "stopped in cell 5" in nbformat.read(folder / "01_first.ipynb", as_version=4).cells[0].source
                assert "interrupted in 01_first, cell 5" in listed(project)[name]
        assert wait_for(lambda: not alive(pids["kill"][0]), 15), "the kernel outlived a runner that was killed"
        runs.write_index()
        assert "killed in 01_first, cell 5" in listed(project)["kill"]
    finally:
        for process in running.values():
            process.kill()
        for pid in [pid for each in pids.values() for pid in each if alive(pid)]:
            os.kill(pid, signal.SIGKILL)
    assert (project / "runs/latest").readlink() in FINISHED


@pytest.fixture
def restored(project, monkeypatch):
    """The program's own doings to this process, undone: working directory, signals, the environment it reads."""
    handlers = {number: signal.getsignal(number) for number in report.SIGNALS}
    monkeypatch.chdir(project)
    for name in ("DATA", "SCHEMA", "RUN", "PROFILE", "TARGET", "PARAMS"):
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PARAMS", "sede=7", "PARAMS: unknown parameter 'sede'; did you mean 'seed'?"),
        ("PARAMS", "unheard_of=7", "known: behave, costs"),
        ("PARAMS", "seed", "not name=value"),
        ("PARAMS", "seed=7.5", "'seed' takes int, not '7.5'"),
        ("PARAMS", "seed=true", "'seed' takes int"),
        ("PARAMS", "rate=nan", "'rate' takes float"),
        ("PARAMS", "flag=maybe", "'flag' takes bool"),
        ("PARAMS", "costs=[1,x]", "'costs' takes list[float]"),
        ("PARAMS", "costs=1", "'costs' takes list[float]"),
        ("PARAMS", "run_folder=/tmp", "set RUN instead"),
        ("PARAMS", "label='", "No closing quotation"),
        ("PROFILE", "fast", "full or quick, not 'fast'"),
        ("TARGET", "local", "unknown parameter 'target'"),  # these notebooks have none
        ("DATA", "nowhere.csv", "DATA=nowhere.csv: no such file"),
        ("RUN", "../elsewhere", "a run's name"),
        ("RUN", "latest", "a run's name"),
        ("RUN", "one", "holds a finished run; choose another RUN or delete it"),
        ("RUN", "lab", "runs/lab exists and is no run"),
    ],
)
def test_a_run_asked_for_wrongly_is_refused_before_anything_happens(
    finished, restored, capsys, variable, value, message
):
    runs = finished[0].parent
    (runs / "lab").mkdir(exist_ok=True)
    (runs / "lab/results.json").write_text("{}")  # what notebooks leave that are run by hand
    before = {path: path.stat().st_mtime_ns for path in sorted(runs.rglob("*"))}
    restored.setenv(variable, value)
    assert report.main([]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert message in output.err
    assert {path: path.stat().st_mtime_ns for path in sorted(runs.rglob("*"))} == before


def test_the_command_line_wins_over_params_and_params_over_the_file(restored, capsys, tmp_path):
    (tmp_path / "settings.yaml").write_text("seed: one\n")
    restored.setenv("PARAMS", "seed=two")
    assert report.main(["--params-file", str(tmp_path / "settings.yaml"), "seed=three"]) == 2
    assert "'three'" in capsys.readouterr().err
    assert report.main(["--params-file", str(tmp_path / "settings.yaml")]) == 2
    assert "'two'" in capsys.readouterr().err
    restored.delenv("PARAMS")
    assert report.main(["--params-file", str(tmp_path / "settings.yaml")]) == 2
    assert "'one'" in capsys.readouterr().err


def test_help_explains_the_options_and_the_parameters(restored, capsys):
    with pytest.raises(SystemExit) as end:
        report.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "--params-file" in text
    assert "seed: int = 7  what = what" in text


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, "0 cells carry the tag 'parameters'"),
        ("seed = 7", "'seed = 7' in the parameters cell"),
        ("seed: int = 3 + 4", "must be a literal"),
        ("seed: int = '7'", "must be a literal of its type"),
        ("seed: Path = 'x'", "one of int, float"),
        ("seed: int = 7; rate: float = 0.5", "each line there is"),
        ("seed: int = 7\nseed: int = 8", "declared twice"),
        ("seed: int = ", "no Python"),
        ("seed: int = 8", "in 01_a.ipynb but 'int = 8' in 02_b.ipynb"),
    ],
)
def test_a_parameters_cell_that_breaks_the_house_rule_is_named(tmp_path, cell, message):
    write_notebook(tmp_path / "01_a.ipynb", "seed: int = 7  # a = b")
    write_notebook(tmp_path / "02_b.ipynb", cell)
    assert report.declared([tmp_path / "01_a.ipynb"])["01_a"]["seed"].help == "a = b"
    with pytest.raises(report.UsageError, match=re.escape(message)) as error:
        report.declared([tmp_path / "01_a.ipynb", tmp_path / "02_b.ipynb"])
    assert "02_b.ipynb" in str(error.value)


def test_version_names_the_commit_of_this_project_alone(tmp_path, monkeypatch):
    archive = tmp_path / "unpacked"
    archive.mkdir()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git[:3], "init", "-q"], check=True)
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    monkeypatch.chdir(tmp_path)
    assert report.version()["git"] == commit
    (tmp_path / "file").write_text("2")
    assert report.version()["git"] == f"{commit}-dirty"
    monkeypatch.chdir(archive)  # an archive unpacked inside somebody's repository
    assert report.version()["git"] is None
    monkeypatch.setenv("PATH", "")
    assert report.version()["git"] is None


def test_results_are_plain_json_merged_section_by_section(tmp_path):
    folder = tmp_path / "runs/x"
    assert results.raw(folder) == {}
    results.add(folder, data={"rows": np.int64(3), "share": np.float32(0.5), "none": np.nan, "far": np.inf})
    results.add(folder, tie_set=("a", "b"), scores=np.array([[1.0, np.nan]]))
    results.add(folder, tie_set=["c"])
    assert results.raw(folder) == {
        "data": {"rows": 3, "share": 0.5, "none": None, "far": None},
        "tie_set": ["c"],
        "scores": [[1.0, None]],
    }
    with pytest.raises(TypeError, match=r"chosen\.model: a object cannot"):
        results.add(folder, chosen={"model": object()})
    assert [p.name for p in folder.iterdir()] == ["results.json"]


def test_results_go_to_the_same_folder_from_the_root_and_from_notebooks(tmp_path, monkeypatch):
    project = make_project(tmp_path / "project")
    monkeypatch.chdir(project)
    results.add("runs/lab", data={"rows": 1})
    monkeypatch.chdir(project / "notebooks")
    results.add("runs/lab", split={"test_rows": 1})
    assert list(results.raw(project / "runs/lab")) == ["data", "split"]


def test_a_file_that_is_no_notebook_is_named(tmp_path):
    (tmp_path / "01_a.ipynb").write_text("<<<<<<< HEAD\n{}")
    with pytest.raises(report.UsageError, match=r"01_a\.ipynb: is no notebook"):
        report.declared([tmp_path / "01_a.ipynb"])
