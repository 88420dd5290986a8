"""Distinct values and frequent texts, counted part by part in bounded memory."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from noise import SCHEMA, noise
from pyarrow import parquet

from fraud_utils.explore import summaries


def test_distinct_values_are_counted_and_beyond_a_bound_estimated(tmp_path):
    rows = 300_000
    frame = noise(rows=rows)
    frame["p"] = np.arange(rows) % 60_000 / 7
    frame["q"] = np.arange(rows) % 200_000 / 7
    frame["r"] = np.where(np.arange(rows) % 2, 0.0, -0.0)
    for place in range(3):
        part = pa.Table.from_pandas(frame.iloc[place::3], preserve_index=False)
        parquet.write_table(part, tmp_path / f"part-{place}.parquet")
    sample = frame[frame["fraud"] == 1].copy()
    sample.attrs["whole"] = {"folder": str(tmp_path), "share": 1e-9, "since": None, "until": None, "rows": rows}
    found, of_all = summaries.describe(sample, SCHEMA), summaries.describe(frame, SCHEMA)
    assert [found[name].distinct for name in ("p", "r", "fraud")] == [60_000, 1, 2]
    assert of_all["q"].distinct == 200_000 and found["q"].distinct == pytest.approx(200_000, rel=0.016)
    assert found["q"].distinct % 1_000 == 0  # as many digits as are known


def test_a_sample_of_one_value_does_not_hide_the_others(tmp_path):
    frame = noise(rows=10_000)
    frame["p"] = np.where(np.arange(10_000) < 4_000, 0.0, 1.0)
    parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "part-0.parquet")
    sample = frame[frame["p"] == 0].copy()
    sample.attrs["whole"] = {"folder": str(tmp_path), "share": 0.4, "since": None, "until": None, "rows": 10_000}
    tenths = [0.2, 0.4, 0.5, 0.9]
    assert summaries.quantiles(sample, SCHEMA, ["p"], tenths)["p"].tolist() == [*np.quantile(frame["p"], tenths)]


def test_frequent_texts_stay_among_more_than_are_counted(monkeypatch):
    monkeypatch.setattr(summaries, "COMMON", 1_000)
    texts, rng = summaries.Texts(), np.random.default_rng(0)
    for part in range(40):
        rare = [f"{part}-{place}" for place in range(900)]
        texts.add(pd.Series(rng.permutation(["often"] * 60 + ["also"] * 50 + rare + [None])))
    assert texts.missing == 40 and texts.most_common() == "often"
    assert len(texts.counts) < 2_000 + 900
    assert 40 * 60 - 40 * 1_010 / 1_000 <= texts.counts["often"] <= 40 * 60


def test_of_texts_equally_common_the_first_in_the_alphabet_is_named():
    texts = summaries.Texts()
    assert texts.most_common() is None
    texts.add(pd.Series(["b", "a", "b", "a", "c"], dtype="category"))
    assert texts.most_common() == "a"
