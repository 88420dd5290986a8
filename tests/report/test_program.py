"""`python -m fraud_utils.report` as it is typed: what it refuses and explains; test_run.py has what it does."""

import signal
from pathlib import Path

import pytest
from records import RUN
from tiny import make_project

from fraud_utils import record
from fraud_utils.report import program


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a finished run, one at work and a folder of notebooks run by hand; what the program does to this
    process (working directory, signals, the environment it reads) is undone."""
    make_project(tmp_path)
    (tmp_path / "runs/lab").mkdir(parents=True)
    (tmp_path / "runs/lab/results.json").write_text("{}")
    (tmp_path / "runs/one").mkdir()
    record.save(tmp_path / "runs/one", record.State("finished", "one", RUN.created))
    handlers = {number: signal.getsignal(number) for number in program.SIGNALS}
    monkeypatch.chdir(tmp_path / "notebooks")
    for name in ("DATA", "SCHEMA", "RUN", "PROFILE", "TARGET", "PARAMS"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PARAMS", "sede=7", "PARAMS: unknown parameter 'sede'; did you mean 'seed'?"),
        ("DATA", "nowhere.csv", "DATA=nowhere.csv: no such file"),
        ("RUN", "../elsewhere", "a run's name"),
        ("RUN", "latest", "a run's name"),
        ("RUN", "one", "holds a finished run; choose another RUN or delete it"),
        ("RUN", "lab", "runs/lab exists and is not a run"),
        ("RUN", "file", "runs/file is a file"),
    ],
)
def test_a_run_asked_for_wrongly_is_refused_before_anything_happens(
    project, monkeypatch, capsys, variable, value, message
):
    (project / "runs/file").touch()
    before = {path: path.stat().st_mtime_ns for path in sorted(project.rglob("*"))}
    monkeypatch.setenv(variable, value)
    assert program.main([]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ") and output.err.count("\n") == 1
    assert message in output.err
    assert {path: path.stat().st_mtime_ns for path in sorted(project.rglob("*"))} == before


def test_help_explains_the_options_and_the_parameters(project, capsys):
    with pytest.raises(SystemExit) as end:
        program.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "--params-file" in text
    assert "seed: int = 7  what = what" in text


def test_a_place_without_notebooks_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert program.main([]) == 2
    assert "run this inside the project" in capsys.readouterr().err
    assert list(Path(tmp_path).iterdir()) == []
