"""Many files as one table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fraud_utils.data import ULB, DataError, Schema, Written, load_transactions
from fraud_utils.data.simulate import simulate_transactions

DATED = Schema("dated", "fraud", "at", "amount", ("x",), ("shop",), written=Written(time_unit="timestamp"))


@pytest.fixture(scope="module")
def frame():
    return simulate_transactions(6_000, seed=4)


def dated(rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    at = pd.Timestamp("2026-03-01 07:00") + pd.to_timedelta(np.sort(rng.integers(0, 6 * 86_400, rows)), unit="s")
    shop = rng.choice(["a", "b", "c"], rows)
    return pd.DataFrame(
        {
            "at": at,
            "amount": rng.exponential(9, rows),
            "x": rng.normal(size=rows),
            "shop": shop,
            "fraud": rng.random(rows) < 0.1,
        }
    )


def test_files_of_several_formats_in_folders_are_one_table(frame, tmp_path):
    table = tmp_path / "table"
    (table / "later" / "_logs").mkdir(parents=True)
    frame[:2_000].to_csv(table / "a.csv", index=False)
    frame[2_000:2_500].to_csv(table / "b.csv.gz", index=False)
    frame[2_500:].to_parquet(table / "later" / "c.parquet", index=False)
    (table / "later" / "_logs" / "d.csv").write_text("none of it")
    (table / "_SUCCESS").touch()
    (table / "README.txt").write_text("not a table")
    together = load_transactions(table, replace(ULB, name="many"))
    pd.testing.assert_frame_equal(together, frame, check_exact=False, rtol=1e-12)
    about = together.attrs["provenance"]
    assert (about["rows"], about["frauds"], about["name"]) == (6_000, int(frame["Class"].sum()), "many")


def test_parts_of_one_class_are_allowed_and_a_table_of_one_class_is_not(frame, tmp_path):
    for label, name in enumerate(("legitimate", "fraud")):
        frame[frame["Class"] == label].to_parquet(tmp_path / f"{name}.parquet", index=False)
    assert len(load_transactions(tmp_path, replace(ULB, name="many"))) == 6_000
    (tmp_path / "fraud.parquet").unlink()
    frame[:100][frame["Class"][:100] == 0].to_parquet(tmp_path / "more.parquet", index=False)
    with pytest.raises(DataError, match=r"all 6,\d\d\d rows are legitimate; learning needs both classes"):
        load_transactions(tmp_path, replace(ULB, name="many"))


def test_dates_of_all_files_count_from_the_first_day_of_any(tmp_path):
    rows = dated()
    whole = tmp_path / "whole.parquet"
    rows.to_parquet(whole, index=False)
    folder = tmp_path / "days"
    for number, day in enumerate(sorted(set(rows["at"].dt.date), reverse=True)):  # the last day comes first
        part = folder / f"part={number}"
        part.mkdir(parents=True)
        rows[rows["at"].dt.date == day].to_parquet(part / "rows.parquet", index=False)
    one, many = load_transactions(whole, DATED), load_transactions(folder, DATED)
    pd.testing.assert_frame_equal(one, many)
    assert one.attrs["provenance"]["origin"] == many.attrs["provenance"]["origin"]


def test_folders_names_give_columns_that_the_files_lack(tmp_path):
    rows = dated()
    for shop, part in rows.groupby("shop"):
        folder = tmp_path / f"shop={shop}" / "week=9"
        folder.mkdir(parents=True)
        part.drop(columns="shop").to_parquet(folder / "rows.parquet", index=False)
    whole = tmp_path.with_suffix(".parquet")
    rows.to_parquet(whole, index=False)
    pd.testing.assert_frame_equal(load_transactions(tmp_path, DATED), load_transactions(whole, DATED))


def test_what_is_wrong_with_a_folder_is_said_with_the_file(frame, tmp_path):
    with pytest.raises(DataError, match=r"holds no table; give it files ending in .csv"):
        load_transactions(tmp_path, replace(ULB, name="many"))
    frame[:3_000].to_parquet(tmp_path / "a.parquet", index=False)
    frame[3_000:].drop(columns="V7").to_parquet(tmp_path / "b.parquet", index=False)
    with pytest.raises(DataError, match=r"b.parquet: column 'V7' is missing"):
        load_transactions(tmp_path, replace(ULB, name="many"))


def test_times_with_dates_and_without_are_not_one_table(tmp_path):
    rows = dated()
    rows[:200].to_parquet(tmp_path / "a.parquet", index=False)
    rows[200:].assign(at=np.arange(200.0)).to_parquet(tmp_path / "b.parquet", index=False)
    schema = replace(DATED, written=Written())
    with pytest.raises(DataError, match=r"b.parquet: its times have no dates, and those of other files of"):
        load_transactions(tmp_path, schema)
