"""A drafted schema: what is guessed of tables in public shapes, what is left open, and where the draft is written."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet
from table_shapes import SHAPES
from tiny import make_project

from fraud_utils.data import DataError, Draft, Schema, columns, draft, keep, load_transactions, unresolved
from fraud_utils.data.draft import written

DEFAULTS = {"name": "t", "time": None, "amount": None, "features": []}  # as of a schema's file


def drafted(tmp_path: Path, text: str) -> tuple[Draft, dict]:
    """The draft of a CSV, and what a YAML parser makes of it."""
    (tmp_path / "t.csv").write_text(text)
    made = draft(tmp_path / "t.csv")
    return made, yaml.safe_load(written(made, "t.csv"))


def rows(header: str, line: str, count: int = 300) -> str:
    """A CSV of lines in which {y} is 1 in every tenth row, {word} says the same, {i} counts and {z} and {flag} vary."""
    made = (
        line.format(i=i, z=i % 7, flag=i % 3 == 0, y=int(i % 10 == 3), word="fraud" if i % 10 == 3 else "legit")
        for i in range(count)
    )
    return "\n".join([header, *made, ""])


@pytest.mark.parametrize("name", SHAPES)
def test_the_draft_of_a_public_shape_is_a_schema_that_loads_the_table(tmp_path, name):
    table, file = SHAPES[name].write(tmp_path, name)
    made = draft(table)
    assert set(made.open) == SHAPES[name].open
    (tmp_path / "draft.yaml").write_text(written(made, name))
    assert len(unresolved(tmp_path / "draft.yaml")) == len(made.open)
    ours, theirs = Schema.read(tmp_path / "draft.yaml"), Schema.read(file)
    assert (ours.label, ours.time) == (theirs.label, theirs.time)
    assert ours.written.dates == theirs.written.dates
    assert ours.written.time_format == theirs.written.time_format
    loaded, expected = load_transactions(table, ours), load_transactions(table, theirs)
    assert loaded[ours.label].tolist() == expected[theirs.label].tolist()
    assert ours.time is None or loaded[ours.time].tolist() == expected[theirs.time].tolist()


def test_of_two_labels_neither_is_taken_for_granted(tmp_path):
    made, mapping = drafted(tmp_path, rows("label,class,x", "{y},{y},{i}.5"))
    assert "which is the label, label, class?" in made.open["label"]
    assert mapping["label"] == "label"


def test_a_label_in_words_is_known_where_the_first_fraud_comes_late(tmp_path):
    _, mapping = drafted(
        tmp_path, "\n".join(["fraud,x", *(f"{'Yes' if i > 1_990 else 'No'},{i % 7}" for i in range(2_000))])
    )
    assert (mapping["label"], mapping["fraud"]) == ("fraud", "Yes")


def test_a_second_column_about_fraud_and_what_gives_the_label_away_are_left_out(tmp_path):
    text = rows("is_fraud,fraud_score,outcome,refund_date,x", "{y},0.{i},{word},,{z}")
    made, mapping = drafted(tmp_path, text.replace("fraud,,", "fraud,2025-01-01,"))
    why = dict(made.roles["ignored"])
    assert {"fraud_score", "outcome", "refund_date"} == set(mapping["ignored"])
    assert "one class only" in why["refund_date"] and "gives the label away" in why["outcome"]
    assert made.open == {}


def test_ids_free_text_and_constant_columns_are_left_out_and_cards_are_entities(tmp_path):
    lines = [f"{900 - i},text number {i},7,,c{i % 40},{int(i % 7 == 0)},{i % 13}.5" for i in range(400)]
    made, mapping = drafted(tmp_path, "\n".join(["order_id,note,constant,empty,card,fraud,x", *lines]))
    assert mapping["entity"] == "card"
    assert set(mapping["ignored"]) == {"order_id", "note", "constant", "empty"}
    assert mapping["features"] == ["x"]
    assert made.open == {}


def test_a_table_with_empty_columns_at_its_end_loads_by_its_draft(tmp_path):
    _, mapping = drafted(tmp_path, rows("fraud,x,,", "{y},{z}.5,,"))
    assert mapping == {"label": "fraud", "features": ["x"], "ignored": [""]}
    assert len(load_transactions(tmp_path / "t.csv", Schema.from_dict(DEFAULTS | mapping))) == 300


def test_what_hardly_a_row_shares_is_no_card(tmp_path):
    lines = [f"c{i - i % 50 // 49},{int(i % 7 == 0)},{i % 13}.5" for i in range(400)]
    _, mapping = drafted(tmp_path, "\n".join(["card,fraud,x", *lines]))
    assert "entity" not in mapping


def test_dates_that_can_be_read_in_two_ways_are_a_question(tmp_path):
    lines = [f"4/{1 + i % 12}/2015,{i},{i % 2}" for i in range(60)]
    made, mapping = drafted(tmp_path, "\n".join(["when,x,fraud", *lines]))
    assert "%d/%m/%Y or %m/%d/%Y" in made.open["time_format"]
    assert mapping["time"] == "when"
    assert mapping["time_format"] == "%d/%m/%Y"  # the first of the two, until somebody decides


@pytest.mark.parametrize("name", ["event_date", "booked"])
@pytest.mark.parametrize("written_as", ["%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M%S", "%Y%m%d.0"])
def test_dates_in_digits_are_read_as_dates(tmp_path, name, written_as):
    moments = [datetime(2023, 1, 1, tzinfo=UTC) + timedelta(hours=12 * i) for i in range(120)]
    lines = [f"{moment.strftime(written_as)},{i % 7}.5,{i % 5 // 4}" for i, moment in enumerate(moments)]
    made, mapping = drafted(tmp_path, "\n".join([f"{name},x,fraud", *lines]))
    assert made.open == {}
    assert (mapping["time"], mapping["time_unit"], mapping["time_format"]) == (name, "timestamp", written_as)
    loaded = load_transactions(tmp_path / "t.csv", Schema.from_dict(DEFAULTS | mapping))
    assert loaded[name].iloc[-1] == 59 * 86_400 + ("%H" in written_as) * 43_200


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9])
def test_times_since_1970_are_read_in_the_unit_that_their_size_shows(tmp_path, per_second):
    lines = [f"{(1_735_693_200 + 3_600 * i) * per_second},{i % 7}.5,{i % 5 // 4}" for i in range(120)]
    made, mapping = drafted(tmp_path, "\n".join(["event_time,x,fraud", *lines]))
    assert made.open == {}
    loaded = load_transactions(tmp_path / "t.csv", Schema.from_dict(DEFAULTS | mapping))
    assert loaded["event_time"].tolist() == [3_600 * (i + 1) for i in range(120)]


@pytest.mark.parametrize(("name", "first", "step"), [
    ("date", 230_101, 1), ("event_time", 31_012_023_120_000, 1), ("date", 44_927, 1), ("time", 0, 60),
])  # fmt: skip
def test_numbers_whose_unit_is_not_plain_are_a_question(tmp_path, name, first, step):
    lines = [f"{first + step * i},{i % 7}.5,{i % 5 // 4}" for i in range(120)]
    made, mapping = drafted(tmp_path, "\n".join([f"{name},x,fraud", *lines]))
    assert mapping["time"] == name
    assert f"does {name} count seconds?" in made.open["time_unit"]


@pytest.mark.parametrize("written_as", ["%b %d, %Y", "%d-%b-%Y", "%d/%m/%Y %H:%M:%S.%f"])
def test_every_date_that_loading_can_read_is_a_time(tmp_path, written_as):
    moments = [datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=i) for i in range(120)]
    lines = [f'"{moment.strftime(written_as)}",{i % 7}.5,{i % 5 // 4}' for i, moment in enumerate(moments)]
    made, mapping = drafted(tmp_path, "\n".join(["booked,x,fraud", *lines]))
    assert (mapping["time"], mapping["time_format"], made.open) == ("booked", written_as, {})
    loaded = load_transactions(tmp_path / "t.csv", Schema.from_dict(DEFAULTS | mapping))
    assert loaded["booked"].tolist() == [86_400 * i for i in range(120)]


def test_times_that_nobody_can_read_are_a_question_and_not_left_out(tmp_path):
    lines = [f'"{1 + i % 28:02}.01.2023, {i % 24:02}:00",{i % 7}.5,{i % 5 // 4}' for i in range(300)]
    for name in ("booked", "event_time"):
        made, mapping = drafted(tmp_path, "\n".join([f"{name},x,fraud", *lines]))
        assert "time" not in mapping
        assert f"is {name} the time? It is not known how '01.01.2023, 00:00' is written" in made.open["time"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_of_day_of_a_parquet_file_is_a_part_of_the_time(tmp_path, unit):
    made_of = pa.time32 if unit in ("s", "ms") else pa.time64
    clock = pa.array([3_600 * (i % 24) for i in range(240)], pa.int64()).cast(pa.int32()).cast(pa.time32("s"))
    table = {"year": [2019] * 240, "month": [1] * 240, "day": [1 + i // 24 for i in range(240)],
             "time": clock.cast(made_of(unit)), "x": [i % 7 + 0.5 for i in range(240)],
             "fraud": [i % 10 // 9 for i in range(240)]}  # fmt: skip
    parquet.write_table(pa.table(table), tmp_path / "t.parquet")
    made = draft(tmp_path / "t.parquet")
    mapping = yaml.safe_load(written(made, "t.parquet"))
    assert mapping["time"] == ["year", "month", "day", "time"] and made.open == {}
    loaded = load_transactions(tmp_path / "t.parquet", Schema.from_dict(DEFAULTS | mapping))
    assert loaded["date_and_time"].tolist() == [3_600 * i for i in range(240)]
    parquet.write_table(pa.table({name: table[name] for name in ("time", "x", "fraud")}), tmp_path / "t.parquet")
    alone = draft(tmp_path / "t.parquet")
    assert "write 'time: [day, time]'" in dict(alone.roles["ignored"])["time"]


def test_a_birthday_is_not_when_the_transaction_was(tmp_path):
    lines = [f"{i},{1950 + i % 50}0315,{i % 7}.5,{i % 5 // 4}" for i in range(120)]
    _, mapping = drafted(tmp_path, "\n".join(["step,birth_date,x,fraud", *lines]))
    assert (mapping["time"], mapping["time_unit"]) == ("step", "hours")
    assert "birth_date" in mapping["ignored"]


def test_a_date_after_the_transaction_is_not_an_input(tmp_path):
    days = [(1 + i % 27, 1 + i % 9, int(i % 5 == 0)) for i in range(90)]
    lines = [f"2025-01-{day:02d},2025-02-0{other},2024-12-0{other},{y},{other % 7}" for day, other, y in days]
    made, mapping = drafted(tmp_path, "\n".join(["booked_at,settled_on,signup,is_fraud,x", *lines]))
    assert (mapping["time"], mapping["dates"], mapping["ignored"]) == ("booked_at", ["signup"], ["settled_on"])
    assert "after the time in" in dict(made.roles["ignored"])["settled_on"]


def test_true_and_false_are_numbers_and_a_table_without_inputs_is_a_question(tmp_path):
    made, mapping = drafted(tmp_path, rows("fraud,new_device", "{y},{flag}"))
    assert mapping["features"] == ["new_device"]
    made, mapping = drafted(tmp_path, rows("fraud,same", "{y},7"))
    assert "no column is left to learn from" in made.open["features"]


def test_names_and_values_that_mean_something_in_yaml_come_back_as_they_were(tmp_path):
    header = '"yes","a: b","#c","Is Fraud?",null,"x, y"'
    lines = [f"{i % 3}.5,{i},{i % 9},{'no' if i % 4 else 'yes'},{i % 5},{i % 6}" for i in range(80)]
    mapping = drafted(tmp_path, "\n".join([header, *lines]))[1]
    assert mapping["label"] == "Is Fraud?" and mapping["fraud"] == "yes"
    assert {"yes", "#c", "null", "x, y"} <= {*mapping["features"]}


def days(folder: Path, count: int, suffix: str, fraud_from: int = 1) -> Path:
    """A folder of a file a day, a hundred rows each, with frauds from one of the days on."""
    times = pd.date_range("2023-01-01", periods=100 * count, freq="864s")
    frame = pd.DataFrame({"when": times, "x": [i % 7 + 0.5 for i in range(len(times))]})
    frame["is_fraud"] = ((frame.index >= 100 * fraud_from) & (frame.index % 10 == 3)).astype(int)
    frame["refund"] = (frame.index >= 100).astype(int)
    for day in range(count):
        part, file = frame[100 * day : 100 * day + 100], folder / f"day={day + 1:02}" / f"p{suffix}"
        file.parent.mkdir(parents=True)
        part.to_parquet(file) if suffix == ".parquet" else part.to_csv(file, index=False)
    return folder


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_of_a_folder_more_than_the_first_file_is_looked_at(tmp_path, suffix):
    made = draft(days(tmp_path / "t", 2, suffix))
    mapping = yaml.safe_load(written(made, "t"))
    assert (mapping["label"], mapping["time"], mapping["features"]) == ("is_fraud", "when", ["x", "refund"])
    assert mapping.get("ignored", []) == (["day"] if suffix == ".parquet" else [])
    assert made.open == {} and not made.look.seen
    assert len(load_transactions(tmp_path / "t", Schema.from_dict(DEFAULTS | mapping))) == 200


def test_the_draft_of_many_files_says_which_rows_were_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "ROWS", 500)
    made = draft(days(tmp_path / "t", 31, ".csv"))
    assert made.look.columns[0].rows == 500
    assert made.look.seen == "at most the first 50 rows of 10 of its 31 files"
    assert made.look.columns[0].values.max() > np.datetime64("2023-01-31")
    assert f"# Of the folder, {made.look.seen} were looked at" in written(made, "t")


def test_a_label_that_is_constant_where_it_was_looked_at_is_a_question(tmp_path):
    made = draft(days(tmp_path / "t", 2, ".parquet", fraud_from=2).joinpath("day=01"))
    mapping = yaml.safe_load(written(made, "t"))
    assert mapping["label"] == "is_fraud" and mapping["ignored"] == ["refund"]
    assert "is is_fraud the label? Every row has 0" in made.open["label"]


def test_a_folder_s_date_is_the_time_where_there_is_no_other(tmp_path):
    for day in range(1, 4):
        (tmp_path / f"t/booked=2023-01-0{day}").mkdir(parents=True)
        frame = pd.DataFrame({"x": [i % 7 + 0.5 for i in range(100)], "is_fraud": [i % 10 // 9 for i in range(100)]})
        frame.to_parquet(tmp_path / f"t/booked=2023-01-0{day}/p.parquet")
    made = draft(tmp_path / "t")
    mapping = yaml.safe_load(written(made, "t"))
    assert mapping["time"] == "booked" and made.open == {}
    loaded = load_transactions(tmp_path / "t", Schema.from_dict(DEFAULTS | mapping))
    assert loaded["booked"].unique().tolist() == [0, 86_400, 2 * 86_400]


def test_files_that_type_a_column_in_different_ways_are_looked_at_together(tmp_path):
    (tmp_path / "t").mkdir()
    y = [i % 10 // 9 for i in range(100)]
    for name, codes, more in (("a", list(range(100)), {}), ("b", [f"k{i % 50}" for i in range(100)], {"x": y[::-1]})):
        pd.DataFrame({"code": codes, "is_fraud": y, **more}).to_parquet(tmp_path / f"t/{name}.parquet")
    kinds = {column.name: (column.kind, column.missing) for column in draft(tmp_path / "t").look.columns}
    assert kinds == {"code": ("text", 0), "is_fraud": ("number", 0), "x": ("number", 100)}
    pd.DataFrame({"code": [[1]] * 100, "is_fraud": y}).to_parquet(tmp_path / "t/c.parquet")
    with pytest.raises(DataError, match=r"column 'code' holds in different files int64, .*list<.*; write it alike"):
        draft(tmp_path / "t")


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = make_project(tmp_path / "project")
    monkeypatch.chdir(root)
    return root


def test_a_draft_is_written_beside_its_table_or_into_data_and_never_over_a_file(project, tmp_path):
    text = rows("is_fraud,x", "{y},{i}")
    (project / "data").mkdir()
    for place in (project / "data" / "inside.csv", tmp_path / "outside.csv", project / "at_root.csv"):
        place.write_text(text)
    files = [keep(draft(path), str(path)) for path in ("data/inside.csv", tmp_path / "outside.csv", "at_root.csv")]
    assert files == [Path("data/inside.yaml"), Path("data/outside.yaml"), Path("at_root.yaml")]
    assert not (tmp_path / "outside.yaml").exists()
    kept = (project / "data/inside.yaml").read_text()
    with pytest.raises(DataError, match=r"data/inside\.yaml exists and stays as it is"):
        keep(draft("data/inside.csv"), "data/inside.csv")
    assert (project / "data/inside.yaml").read_text() == kept


def test_a_table_with_cards_and_times_is_offered_their_history(tmp_path):
    lines = [f"2025-01-{1 + i % 28:02d} 12:00,c{i % 40},{i % 9}.50,{int(i % 7 == 0)},{i % 13}.5" for i in range(400)]
    made, mapping = drafted(tmp_path, "\n".join(["booked_at,card,amount,fraud,x", *lines]))
    assert "history" not in mapping
    (offer,) = (line for line in written(made, "table.csv").splitlines() if line.startswith("# history: "))
    assert Schema.from_dict({"name": "t", **mapping, **yaml.safe_load(offer[2:])}).measures == (
        *("x", "card_count_1d", "card_count_7d", "card_count_30d"),
        *("card_ratio_1d", "card_ratio_7d", "card_ratio_30d", "card_since_last"),
    )
