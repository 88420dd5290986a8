"""How long a notebook will take, by earlier runs; what is shown of it is seen in test_run.py."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from records import RUN

from fraud_utils import record
from fraud_utils.report import progress


def keep(project: Path, name: str, minute: int, **changes: Any) -> None:
    folder = project / "runs" / name
    folder.mkdir(parents=True)
    run = replace(RUN, run=name, created=RUN.created + timedelta(minutes=minute), **changes)
    record.save(folder, run)
    record.save(folder, record.State("finished", name, run.created))


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    keep(tmp_path, "older", 1, seconds={"01_explore": 10.0})
    keep(tmp_path, "newer", 2, seconds={"01_explore": 20.0})
    keep(tmp_path, "full", 3, seconds={"01_explore": 300.0}, parameters=RUN.parameters | {"profile": "full"})
    keep(tmp_path, "other", 4, seconds={"02_compare": 5.0})
    keep(tmp_path, "example", 5, seconds={"01_explore": 1.0})
    (tmp_path / "runs/example/state.json").unlink()  # it came with the repository
    return tmp_path


def test_the_newest_similar_run_of_this_machine_says_how_long_it_takes(project):
    similar = RUN.parameters
    assert progress.estimate("01_explore", similar, None) == progress.Estimate("newer", 20.0)
    assert progress.estimate("01_explore", similar | {"seed": 8}, None).run == "newer"
    assert progress.estimate("01_explore", similar | {"profile": "full"}, None).run == "full"
    assert progress.estimate("01_explore", similar | {"data": "other.csv"}, None) == progress.Estimate()
    assert progress.estimate("01_explore", similar | {"data": "other.csv"}, RUN.data.rows).run == "newer"
    assert progress.estimate("01_explore", similar, 17) == progress.Estimate()
    assert progress.estimate("03_deploy", similar, None) == progress.Estimate()


def test_what_is_left_is_said_until_it_takes_longer_than_then():
    earlier = progress.Estimate("earlier", 300.0)
    assert earlier.left() == "about 5.0 minutes"
    assert earlier.left(200.0) == "about 100 seconds"
    assert earlier.left(299.0) == "about 5 seconds"
    assert earlier.left(301.0) == progress.Estimate().left() == ""


def test_fits_count_by_their_cost_and_those_that_are_found_not_at_all():
    work = progress.Work(9, progress.Estimate())
    assert work.share is None and work.left() == ""
    assert work.take("\t100") == ""
    assert work.take("Fitting: 3 of 5 fits found in cache\t-60").endswith("in cache")
    assert work.take("Fitting: 1 of 2, xgboost, 0.5 s\t30") == "Fitting: 1 of 2, xgboost, 0.5 s"
    assert work.share == 30 / 40
    assert work.left().startswith("about ")
    work.take("Fitting: 2 of 2, a costly one, 9.0 s\t50")
    assert work.share == 0.99  # what was announced was too little
    work.cell = 9
    assert work.left() == ""
