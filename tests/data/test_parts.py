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


def test_files_that_write_one_value_in_two_ways_are_refused(tmp_path):
    """As pandas does where a month's file has a gap: its whole numbers become 5411.0."""
    whole = dated().assign(shop=np.random.default_rng(2).choice([5411, 5812], 400))
    gap = whole[200:].astype({"shop": float})
    gap.iloc[3, gap.columns.get_loc("shop")] = np.nan
    whole[:200].to_csv(tmp_path / "a.csv", index=False)
    gap.to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(DataError, match=r"b\.csv: column 'shop': '5\d+\.0' and its like are '5\d+' in .*a\.csv"):
        load_transactions(tmp_path, DATED)
    (tmp_path / "b.csv").unlink()
    gap.to_parquet(tmp_path / "b.parquet", index=False)  # whose numbers are known to be whole
    assert {*load_transactions(tmp_path, DATED)["shop"].dropna()} == {"5411", "5812"}


def test_a_number_of_two_readings_beside_files_with_a_decimal_comma_is_asked_about(tmp_path):
    frame = dated()
    frame[:200].to_csv(tmp_path / "a.csv", index=False, sep=";", decimal=",")
    frame[200:].assign(amount="1.500", x="2").to_csv(tmp_path / "b.csv", index=False, sep=";")
    with pytest.raises(DataError, match=r"b\.csv: '1\.500' can be read in two ways, and .*a\.csv has a decimal comma"):
        load_transactions(tmp_path, DATED)
    comma = replace(DATED, written=replace(DATED.written, decimal=","))
    assert load_transactions(tmp_path, comma)["amount"].iloc[-1] == 1_500


def test_a_folder_of_one_file_is_told_what_is_wrong_with_all_its_rows(tmp_path):
    dated().assign(fraud=False).to_parquet(tmp_path / "a.parquet", index=False)
    with pytest.raises(DataError, match="all 400 rows are legitimate"):
        load_transactions(tmp_path, DATED)
    dated()[:0].to_parquet(tmp_path / "a.parquet", index=False)
    with pytest.raises(DataError, match="its files have no row with a label"):
        load_transactions(tmp_path, DATED)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zip"])
def test_a_table_of_as_many_rows_as_a_report_takes_is_read_whole(tmp_path, name):
    """However well it is packed: numbers drawn at random are hardly."""
    dated(1_000).to_csv(tmp_path / name, index=False)
    whole = load_transactions(tmp_path / name, DATED, most_rows=1_000)
    assert len(whole) == 1_000 and "share" not in whole.attrs["provenance"]
