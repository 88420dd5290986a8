"""History in a schema and in a loaded frame."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from fraud_utils.artifact import History
from fraud_utils.data import DataError, Schema, load_transactions

YAML = """
label: fraud
time: when
time_unit: timestamp
amount: paid
features: [x]
entity: card
entities: [shop]
label_delay_days: 2
history:
  - {by: card, days: [1, 7], of: [count, ratio]}
  - {by: shop, days: [3], of: [fraud_rate]}
"""
COLUMNS = ("card_count_1d", "card_count_7d", "card_ratio_1d", "card_ratio_7d", "shop_fraud_rate_3d")


@pytest.fixture
def table(tmp_path):
    """A CSV, its schema, and the frame that is loaded from both."""
    rng = np.random.default_rng(5)
    count = 300
    when = pd.Timestamp("2024-03-30") + pd.to_timedelta(rng.integers(0, 20 * 1440, count), unit="min")
    frame = pd.DataFrame(
        {
            "when": when,
            "card": [f"c{number}" if number else None for number in rng.integers(0, 12, count)],
            "shop": [f"s{number}" for number in rng.integers(0, 5, count)],
            "paid": rng.integers(0, 5_000, count) / 100,
            "x": rng.normal(size=count),
            "fraud": (rng.random(count) < 0.3).astype(int),
        }
    )
    frame.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "table.yaml").write_text(YAML)
    schema = Schema.read(tmp_path / "table.yaml")
    return tmp_path, schema, load_transactions(tmp_path / "table.csv", schema)


def test_loading_adds_what_pandas_windows_have(table):
    _, schema, frame = table
    assert tuple(frame) == schema.columns
    assert set(COLUMNS) <= set(schema.measures)
    assert not set(COLUMNS) & set(schema.file_columns)
    known = frame[frame["card"].notna()]
    known = known[~known.duplicated(["card", "when"], keep=False)]  # pandas counts peers
    other = frame[frame["card"].notna() & ~frame.index.isin(known.index)]
    assert frame.loc[frame["card"].isna(), ["card_count_1d", "card_ratio_7d"]].isna().all(axis=None)
    assert frame["shop_fraud_rate_3d"].notna().all()
    clock = frame.assign(clock=pd.to_datetime(frame["when"], unit="s")).set_index("clock")
    for card in set(known["card"]) - set(other["card"]):
        own = clock[clock["card"] == card]
        for days in (1, 7):
            window = own["paid"].rolling(f"{days}D")
            np.testing.assert_array_equal(own[f"card_count_{days}d"], window.count())
            np.testing.assert_allclose(own[f"card_ratio_{days}d"], own["paid"] / window.mean())


def test_a_loaded_frame_is_not_computed_again_and_keeps_its_settings(table):
    folder, schema, frame = table
    frame.to_parquet(folder / "again.parquet")
    loaded = schema.as_loaded
    assert loaded.columns == schema.columns
    assert (loaded.history, loaded.label_delay_days) == (schema.history, 2)
    assert Schema.from_dict(json.loads(json.dumps(loaded.to_dict()))) == loaded
    part = frame.tail(100)  # as a training channel, whose rows lack what came before
    part.to_parquet(folder / "part.parquet")
    again = load_transactions(folder / "part.parquet", loaded)
    pd.testing.assert_frame_equal(again[[*COLUMNS]], part[[*COLUMNS]].reset_index(drop=True))


def test_time_zones_and_the_order_of_rows_are_of_no_matter(table):
    folder, schema, frame = table
    raw = pd.read_csv(folder / "table.csv", parse_dates=["when"])
    raw = raw.assign(when=raw["when"].dt.tz_localize("UTC").dt.tz_convert("Asia/Kolkata")).sample(
        frac=1, random_state=1
    )
    raw.to_csv(folder / "other.csv", index=False)
    other = load_transactions(folder / "other.csv", schema)
    by = ["when", "x"]
    pd.testing.assert_frame_equal(
        frame.sort_values(by, ignore_index=True), other.sort_values(by, ignore_index=True), check_exact=True
    )


def test_what_was_added_is_said(table):
    assert "5 history columns computed, by card and shop." in table[2].attrs["provenance"]["read_as"]


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("by: card", "by: crad", "history by 'crad': there is no such entity; did you mean 'card'?"),
        ("by: card", "by: x", "there is no such entity; list its column under 'entity' or 'entities'"),
        ("entities: [shop]", "id: shop", "is the id, which no two rows share"),
        ("of: [fraud_rate]", "of: [fraud_rates]", "did you mean 'fraud_rate'?"),
        ("days: [3]", "days: 3", "'days' a list"),
        ("days: [3]", "days: [-3]", "a window of -3 days; it must be longer than 0"),
        ("days: [3]", "days: [three]", "'days' must be a number, not 'three'"),
        ("days: [3],", "", "'history': 'days' is missing"),
        ("days: [3]", "days: [3], each: 1", "'history': 'each' is unknown"),
        ("amount: paid\n", "", "'ratio' is of amounts, and the schema names none"),
        ("time: when\ntime_unit: timestamp\n", "", "'history' needs times"),
        ("label_delay_days: 2", "label_delay_days: -2", "label_delay_days is -2; it must be 0 or a number of days"),
        ("label_delay_days: 2", "label_delay_days: soon", "'label_delay_days' must be a number, not 'soon'"),
        (
            "  - {by: shop",
            "  - {by: card, days: [1], of: [count]}\n  - {by: shop",
            "column 'card_count_1d' has two roles",
        ),
    ],
)
def test_a_fault_says_what_to_do(tmp_path, old, new, part):
    (tmp_path / "s.yaml").write_text(YAML.replace(old, new))
    with pytest.raises(DataError) as caught:
        Schema.read(tmp_path / "s.yaml")
    assert part in str(caught.value)


def test_history_alone_is_enough_to_learn_from():
    schema = Schema("s", "y", "t", None, (), entity="card", history=(History("card", (1.0,), ("count",)),))
    assert schema.measures == ("card_count_1d",)
    with pytest.raises(DataError, match="no column to learn from"):
        dataclasses.replace(schema, history=())
