"""Schemas: a small YAML file, and every way to get it wrong."""

import json

import pytest

from fraud_utils.data import ULB, DataError, Schema, Written


def test_a_file_becomes_a_schema(tmp_path):
    text = """
    label: is_fraud
    time: when
    time_unit: timestamp
    features: [x]
    categorical: [shop]
    entity: card
    ignored: [note]
    """
    (tmp_path / "mine.yaml").write_text(text)
    schema = Schema.read(tmp_path / "mine.yaml")
    assert (schema.name, schema.amount, schema.features, schema.entity) == ("mine", None, ("x",), "card")
    assert schema.columns == ("when", "card", "x", "shop", "is_fraud")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("lable: x\ntime: t\nfeatures: [a]", "unknown key 'lable'; did you mean 'label'"),
        ("time: t\nfeatures: [a]", "key 'label' is missing"),
        ("label: y\ntime: t\nfeatures: a", "'features' must be a list"),
        ("label: y\ntime: t\nfeatures: [a, y]", "column 'y' has two roles"),
        ("label: y\ntime: t\nfeatures: [a]\ntime_unit: years", "time_unit is 'years'"),
        ("label: y\ntime: t\nfeatures: [a]\nnegative_amounts: 'no'", "must be true or false"),
        ("label: 1\ntime: t\nfeatures: [a]", "'label' must be text"),
        ("label: y\ntime: t", "no column to learn from"),
        ("label: y\ntime: t\nfeatures: [a]\ntime_zone: Paris", "time_zone is 'Paris'; it must be a name such as"),
        ("label: y\ntime: t\nfeatures: [a]\nencoding: utf-9", "encoding is 'utf-9'; it must be a name such as"),
        ("label: y\ntime: t\nfeatures: [a]\nseparator: ;;", "separator is ';;'; it must be one character"),
        ("label: y\ntime: t\nfeatures: [a]\ndecimal: x", "decimal is 'x'; it must be '.' or ','"),
        ("label: y\ntime: t\nfeatures: [a]\ndecimal: '.'\nthousands: '.'", "thousands is '.'"),
        ("label: y\ntime: t\nfeatures: [a]\nunlabelled: drop", "it can only be 'leave_out'"),
        ("label: y\ntime: t\nfeatures: [a]\ntime_format: %d", "put quotes around"),
        ("label: y\nfeatures: [a]\ndates: [d]", "'dates' are counted from the time"),
        ("label: y\nfeatures: [a]\ntime: []", "'time' lists no column"),
        (
            "label: y\nfeatures: [a]\ntime: [d, t]\ntime_unit: hours",
            "time_unit is 'hours', but the columns under 'time'",
        ),
        ("- a\n- b", "expected 'key: value' lines"),
        ("label: [", "not readable as YAML"),
    ],
)
def test_a_bad_schema_is_refused(tmp_path, text, part):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(DataError) as caught:
        Schema.read(tmp_path / "s.yaml")
    assert str(caught.value).startswith(f"SCHEMA={tmp_path / 's.yaml'}: ")
    assert part in str(caught.value)


def test_a_schema_file_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"SCHEMA=nowhere\.yaml: no such file"):
        Schema.read("nowhere.yaml")


@pytest.mark.parametrize(
    ("line", "name", "parts"),
    [
        ("[Year, Month, Day, Time]", "time", ("Year", "Month", "Day", "Time")),
        ("[date, time]", "date_and_time", ("date", "time")),
    ],
)
def test_a_time_in_several_columns_is_one_column_of_the_loaded_frame(tmp_path, line, name, parts):
    (tmp_path / "s.yaml").write_text(f"label: y\ntime: {line}\nfeatures: [a]")
    schema = Schema.read(tmp_path / "s.yaml")
    assert (schema.time, schema.written.time_from, schema.written.time_unit) == (name, parts, "timestamp")
    assert schema.columns == (name, "a", "y")
    assert schema.file_columns == (*parts, "a", "y")


def test_a_schema_remembers_its_file_and_is_no_other_for_it(tmp_path):
    (tmp_path / "s.yaml").write_text("label: y\ntime: t\nfeatures: [a]\nfraud: yes")
    schema = Schema.read(tmp_path / "s.yaml")
    assert schema.source == str(tmp_path / "s.yaml")
    assert Schema.from_dict(schema.to_dict()) == schema
    assert schema.written.fraud == "true"


def test_a_schema_survives_plain_values():
    schema = Schema(
        "x", "y", "t", None, ("a",), categorical=("c",), entity="e", written=Written("yes", time_unit="timestamp")
    )
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    assert Schema.read("") is ULB
