"""The files of a run: what is written comes back, and what is wrong with one is said with its place."""

import json
from dataclasses import asdict, fields, replace
from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import RUN

from fraud_utils import record
from fraud_utils.record import Choice, Data, Day, Metrics, Model, RunRecord, Sections, Split, State, Threshold

KEYS = [
    "run", "created", "version", "data", "parameters", "split", "models", "tie_set", "chosen", "groups", "bins",
    "cases", "endpoint", "reviewed", "prequential", "feedback", "seconds",
]  # fmt: skip


def written(folder: Path, change: dict[str, Any]) -> Path:
    """A folder whose `metrics.json` differs from a good one; a key is a path such as `models.0.name`."""
    record.save(folder, RUN)
    content = json.loads((folder / "metrics.json").read_text())
    for path, value in change.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place = content
        for part in parents:
            place = place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    (folder / "metrics.json").write_text(json.dumps(content))
    return folder


# A finished run -----------------------------------------------------------------------------------------------------


def test_a_finished_run_comes_back_and_its_keys_stand_in_their_order(tmp_path):
    record.save(tmp_path, RUN)
    assert record.load(tmp_path) == RUN
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert list(content) == KEYS
    assert content["created"] == "2026-01-02T03:04:05+00:00"
    assert content["chosen"]["thresholds"] == {"f1": 0.25, "precision_90": 0.5}
    assert content["models"][0]["test"]["savings_ci"] == [0.3, 0.7]
    assert list(content["models"][0]["oof"]) == [
        "average_precision", "average_precision_ci", "roc_auc", "f1", "precision", "recall", "precision_at_100",
        "recall_at_100", "brier", "log_loss", "savings", "savings_ci", "precision_at_100_a_day", "card_precision",
        "card_precision_attainable",
    ]  # fmt: skip


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INTERVALS = st.tuples(FLOATS, FLOATS)
NAMES = st.text(max_size=12)
METRICS = st.builds(
    Metrics, **{item.name: st.none() | (INTERVALS if item.name.endswith("_ci") else FLOATS) for item in fields(Metrics)}
)
RECORDS = st.builds(
    RunRecord,
    run=NAMES,
    created=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))])),
    data=st.none() | st.builds(Data, NAMES, st.booleans(), rows=st.none() | st.integers(0, 10**9)),
    parameters=st.dictionaries(NAMES, st.none() | st.booleans() | st.integers() | FLOATS | NAMES | st.lists(NAMES)),
    split=st.none() | st.builds(Split, test_from=st.none() | FLOATS, test_days=st.none() | FLOATS),
    models=st.none() | st.lists(st.builds(Model, NAMES, oof=METRICS, test=METRICS), max_size=3).map(tuple),
    tie_set=st.none() | st.lists(NAMES).map(tuple),
    chosen=st.none() | st.builds(
        Choice, NAMES, NAMES,
        alerting=st.lists(st.builds(Threshold, st.sampled_from(["f1", "cost"]), FLOATS), max_size=2).map(tuple),
        per_day=st.dictionaries(NAMES, st.builds(Day, FLOATS, INTERVALS, FLOATS, INTERVALS), max_size=2),
    ),
    seconds=st.dictionaries(NAMES, FLOATS, max_size=3),
)  # fmt: skip


@given(kept=RECORDS)
def test_any_run_comes_back_as_it_was(tmp_path_factory, kept):
    folder = tmp_path_factory.mktemp("run")
    record.save(folder, kept)
    assert record.load(folder) == kept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models.2.test.f1": "x"}, 'models[2].test.f1 is "x": input should be a valid number'),
        ({"models.0.oof.average_precision": True}, "models[0].oof.average_precision is true: "),
        ({"models": "none"}, 'models is "none": '),
        ({"models.0.test.savings_ci": [0.1]}, "models[0].test.savings_ci[1] is missing"),
        ({"models.0.name": ...}, "models[0].name is missing"),
        ({"models.1.kind": "other"}, 'models[1].kind is "other": '),
        ({"created": "yesterday"}, 'created is "yesterday": '),
        ({"created": "2026-01-02T03:04:05"}, 'created is "2026-01-02T03:04:05": input should have timezone info'),
        ({"created": ...}, "created is missing"),
        ({"seconds": None}, "seconds is null: "),
        ({"seconds.total": 10**400}, "seconds.total is 1000"),
        ({"chosen.alerting.0.aim": "luck"}, 'chosen.alerting[0].aim is "luck": '),
        ({"chosen.per_day.f1.alerts_ci": None}, "chosen.per_day.f1.alerts_ci is null: "),
        ({"data": ["mine.csv"]}, 'data is ["mine.csv"]: '),
        ({"data.name": {"a": "long " * 20}}, "…: "),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path, change, message):
    with pytest.raises(record.RecordError) as error:
        record.load(written(tmp_path, change))
    assert str(error.value).startswith("metrics.json: ") and message in str(error.value)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"run": "x", ', "is damaged: "),
        ("[" * 100_000, "is damaged: "),
        ('{"parameters": ' + '{"a": ' * 500 + "1" + "}" * 501, "metrics.json: it is "),
        ("[]", "has an unexpected structure: it holds no names and values"),
        (b"\xff\xfe", "is damaged: "),
    ],
    ids=["cut short", "deep", "nested", "list", "bytes"],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    (tmp_path / "metrics.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(record.RecordError, match=r"^metrics\.json") as error:
        record.load(tmp_path)
    assert message in str(error.value)


def test_a_file_that_cannot_be_read_is_named_and_a_missing_one_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        record.load(tmp_path)
    (tmp_path / "metrics.json").mkdir()
    with pytest.raises(record.RecordError, match=r"metrics\.json cannot be read: Is a directory"):
        record.load(tmp_path)


def test_what_a_later_version_has_added_is_ignored(tmp_path):
    added = {"models.0.test.new": 1.0, "later": {"a": 1}, "data.note": "x", "chosen.alerting.0.why": "y"}
    assert record.load(written(tmp_path, added)) == RUN


def test_a_record_from_before_the_ways_of_alerting_is_read_with_its_fixed_threshold(tmp_path):
    scores = {"f1": 0.4, "precision_90": 0.5, "cost": 0.01}
    older = record.load(written(tmp_path, {"chosen.alerting": ..., "chosen.decides": ..., "chosen.thresholds": scores}))
    assert older.chosen.alerting == (Threshold("f1", 0.4), Threshold("cost", 0.01))
    assert older.chosen.threshold == Threshold("f1", 0.4)
    assert older.way == RUN.way


# What notebooks record ----------------------------------------------------------------------------------------------


def test_sections_come_back_typed_however_they_were_recorded(tmp_path):
    folder = tmp_path / "runs/x"
    assert record.read(folder) == Sections()
    record.add(folder, data={"name": "a", "rows": np.int64(3), "sha256": None}, split={"test_from": np.float32(0.5)})
    record.add(
        folder, models=[{"name": "m", "oof": {"f1": np.nan, "recall": np.inf, "savings_ci": np.array([0, 1.0])}}]
    )
    record.add(folder, tie_set=("a", "b"), chosen=RUN.chosen)
    record.add(folder, tie_set=["c"])
    assert record.read(folder) == Sections(
        Data("a", rows=3), Split(test_from=0.5), (Model("m", oof=Metrics(savings_ci=(0.0, 1.0))),), ("c",), RUN.chosen
    )
    assert [path.name for path in folder.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"chosn": {}}, "no section is called 'chosn'"),
        ({"data": {"rows": 3}}, "data.name is missing"),
        ({"models": [{"name": "a"}, {"name": 3}]}, "models[1].name is 3: "),
        ({"endpoint": {"target": "local", "rows": 1.5}}, "endpoint.rows is 1.5: "),
    ],
)
def test_a_section_that_is_not_what_it_must_be_is_refused_and_nothing_is_written(tmp_path, sections, message):
    record.add(tmp_path, tie_set=["a"])
    with pytest.raises(record.RecordError) as error:
        record.add(tmp_path, **sections)
    assert message in str(error.value)
    assert record.read(tmp_path) == Sections(tie_set=("a",))


def test_a_value_that_json_has_no_place_for_is_refused_with_its_place(tmp_path):
    with pytest.raises(TypeError, match=r"chosen\.hyperparameters\.eta: a object cannot"):
        record.add(tmp_path, chosen={"name": "a", "hyperparameters": {"eta": object()}})


def test_sections_go_to_the_same_folder_from_the_root_and_from_notebooks(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    record.add("runs/lab", tie_set=["a"])
    monkeypatch.chdir(tmp_path / "notebooks")
    record.add("runs/lab", data=Data("a"))
    assert record.read(tmp_path / "runs/lab") == Sections(data=Data("a"), tie_set=("a",))


# Resamples and state ------------------------------------------------------------------------------------------------


def test_resamples_come_back_to_five_digits(tmp_path):
    assert record.resamples(tmp_path) == {}
    table = pd.DataFrame({"f1": [0.1234567, 0.5], "recall": [1.0, 0.0]})
    table.attrs["resamples"] = "abc x 2"
    record.keep_resamples(tmp_path, oof=table[["f1"]], test=table)
    assert asdict(record.resamples(tmp_path)["test"]) == {
        "which": "abc x 2", "values": {"f1": [0.12346, 0.5], "recall": [1.0, 0.0]}
    }  # fmt: skip
    assert list(record.resamples(tmp_path)["oof"].values) == ["f1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"test": {"resamples": "x", "recall": [1, "a"]}}', 'test.values.recall[1] is "a": '),
        ('{"test": {"recall": [1]}}', "test.which is null: "),
        ('{"test": [1]}', "test is [1]: "),
        ("{", "is damaged"),
    ],
)
def test_what_is_wrong_with_resamples_is_said_with_its_place(tmp_path, content, message):
    (tmp_path / "resamples.json").write_text(content)
    with pytest.raises(record.RecordError, match=r"^resamples\.json") as error:
        record.resamples(tmp_path)
    assert message in str(error.value)


def test_the_state_of_a_run_comes_back(tmp_path):
    assert record.state(tmp_path) is None
    state = State("running", "x", RUN.created, 17, "01_explore", 3)
    record.save(tmp_path, state)
    assert record.state(tmp_path) == state
    record.save(tmp_path, replace(state, state="failed", error="ValueError: x", seconds=2.5))
    assert record.state(tmp_path).seconds == 2.5
    (tmp_path / "state.json").write_text('{"state": "asleep"}')
    with pytest.raises(record.RecordError, match=r'^state\.json: state is "asleep"'):
        record.state(tmp_path)
