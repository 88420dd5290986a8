"""Times: every way to write them becomes seconds, and what decided is said."""

import numpy as np
import pandas as pd
import pytest

from fraud_utils.data import DataError, Schema, Written, load_transactions

DAY = 86_400


def load(folder, times: list, unit: str = "seconds", **keys: object) -> pd.DataFrame:
    """Load a table with these times, the second row a fraud."""
    frame = pd.DataFrame({"t": times, "x": np.arange(float(len(times))), "y": [0, 1] + [0] * (len(times) - 2)})
    path = folder / ("t.csv" if all(type(time) in (str, int) for time in times) else "t.parquet")
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    keys = {"name": "m", "label": "y", "time": "t", "amount": None, "features": ["x"], "time_unit": unit, **keys}
    return load_transactions(path, Schema.from_dict(keys))


def said(frame: pd.DataFrame) -> str:
    return " ".join(frame.attrs["provenance"]["read_as"])


@pytest.mark.parametrize(
    ("unit", "second"),
    [
        ("seconds", 1.0),
        ("minutes", 60.0),
        ("hours", 3_600.0),
        ("days", 86_400.0),
        ("months", 2_629_800.0),
        ("milliseconds", 0.001),
    ],
)
def test_numbers_in_any_unit_become_seconds(tmp_path, unit, second):
    frame = load(tmp_path, [1, 743], unit)
    assert frame["t"].tolist() == [second, 743 * second]
    assert frame["t"].dtype == np.float64
    assert frame.attrs["provenance"]["origin"] is None


@pytest.mark.parametrize(
    ("times", "unit", "word"),
    [
        ([1_735_693_200, 1_735_779_600], "seconds", "read as seconds since 1970"),
        ([1_735_693_200_000, 1_735_779_600_000], "seconds", "read as milliseconds since 1970"),
        ([1_735_693_200_000, 1_735_779_600_000], "milliseconds", "read as milliseconds since 1970"),
        ([1_735_693_200_000, 1_735_779_600_000], "timestamp", "read as milliseconds since 1970"),
        (["2025-01-01", "2025-01-02T01:00:00"], "seconds", "time_unit: timestamp"),
        (["1/31/2025 1:00", "2/1/2025 1:00"], "timestamp", "'%m/%d/%Y %H:%M': '1/31/2025 1:00' is 31 January 2025"),
        (["31.1.2025 01:00", "1.2.2025 01:00"], "timestamp", "'%d.%m.%Y %H:%M': '31.1.2025 01:00' is 31 January 2025"),
        ([pd.Timestamp("2025-01-31"), pd.Timestamp("2025-02-01 01:00")], "seconds", "time_unit: timestamp"),
        (["2025-01-31T03:00+02:00", "2025-02-01T03:00+02:00"], "timestamp", "offsets are taken into account"),
        (["20250131", "20250201"], "timestamp", ""),
        ([np.int64(1_735_693_200_000_000), np.int64(1_735_779_600_000_000)], "timestamp", "microseconds since 1970"),
    ],
)
def test_instants_count_from_midnight_of_the_first_day(tmp_path, times, unit, word):
    frame = load(tmp_path, times, unit)
    origin = frame.attrs["provenance"]["origin"]
    assert pd.Timestamp(origin) in (pd.Timestamp("2025-01-01", tz="UTC"), pd.Timestamp("2025-01-31", tz="UTC"))
    assert frame["t"].iloc[0] in (0, 3_600)
    assert frame["t"].iloc[1] in (DAY, DAY + 3_600)
    assert word in said(frame)


@pytest.mark.parametrize(("unit", "finer", "per_second"), [("milliseconds", "microseconds", 10**6),
                                                          ("seconds", "nanoseconds", 10**9)])  # fmt: skip
def test_times_since_1970_in_a_finer_unit_than_the_schema_says_are_refused(tmp_path, unit, finer, per_second):
    times = [seconds * per_second for seconds in (1_735_693_200, 1_735_779_600)]
    message = rf"row 1 \(line 2\), column 't' \(and 1 more row\): {times[0]} is too large for {unit}, and in {finer} "
    with pytest.raises(DataError, match=message + r"since 1970 it is 1 January 2025; write 'time_unit: timestamp'"):
        load(tmp_path, times, unit)
    assert load(tmp_path, times, "timestamp")["t"].tolist() == [3_600, DAY + 3_600]


def test_digits_that_the_format_reads_as_a_date_are_no_seconds_since_1970(tmp_path):
    frame = load(tmp_path, ["2025013101", "2025020101"], "timestamp", time_format="%Y%m%d%H")
    assert frame["t"].tolist() == [3_600, DAY + 3_600]
    assert frame.attrs["provenance"]["origin"].startswith("2025-01-31")


def test_a_format_in_the_schema_decides_between_day_and_month(tmp_path):
    with pytest.raises(DataError, match="can be 5 April 2015 or 4 May 2015"):
        load(tmp_path, ["4/5/2015", "4/6/2015"], "timestamp")
    american = load(tmp_path, ["4/5/2015", "4/6/2015"], "timestamp", time_format="%m/%d/%Y")
    assert american["t"].tolist() == [0, DAY]
    british = load(tmp_path, ["4/5/2015", "4/6/2015"], "timestamp", time_format="%d/%m/%Y")
    assert british["t"].tolist() == [0, 31 * DAY]
    assert british.attrs["provenance"]["origin"].startswith("2015-05-04")


def test_local_times_become_utc_and_clocks_that_change_are_named(tmp_path):
    frame = load(tmp_path, ["2025-03-29 12:00", "2025-03-30 12:00"], "timestamp", time_zone="Europe/Paris")
    assert frame["t"].tolist() == [11 * 3_600, DAY + 10 * 3_600]  # the clock goes forward in between
    assert "Europe/Paris are read as UTC" in said(frame)
    for time, part in (("2025-03-30 02:30", "is skipped by"), ("2025-10-26 02:30", "comes twice with")):
        with pytest.raises(DataError, match=rf"row 3 \(line 4\), column 't': '{time}' {part} the change of clocks"):
            load(tmp_path, ["2025-01-01", "2025-01-02", time], "timestamp", time_zone="Europe/Paris")
    offset = load(tmp_path, ["2025-10-26T02:30:00+02:00", "2025-10-26T02:30:00+01:00"], "timestamp",
                  time_zone="Europe/Paris")  # fmt: skip
    assert np.diff(offset["t"]).tolist() == [3_600]


def test_the_parts_of_a_timestamp_are_put_together(tmp_path):
    (tmp_path / "t.csv").write_text("Year,Month,Day,Time,x,y\n2019,10,21,22:22,1,0\n2019,1,24,06:18,2,1\n")
    (tmp_path / "m.yaml").write_text("label: y\ntime: [Year, Month, Day, Time]\nfeatures: [x]\n")
    frame = load_transactions(tmp_path / "t.csv", Schema.read(tmp_path / "m.yaml"))
    assert frame.columns.tolist() == ["time", "x", "y"]
    assert frame.attrs["provenance"]["origin"] == "2019-01-24T00:00:00+00:00"
    first, last = pd.Timestamp("2019-01-24 06:18"), pd.Timestamp("2019-10-21 22:22")
    assert frame["time"].tolist() == [6 * 3_600 + 18 * 60, 6 * 3_600 + 18 * 60 + (last - first).total_seconds()]


def test_a_further_date_becomes_the_seconds_from_it(tmp_path):
    text = "bought,joined,x,y\n2/28/2015 0:10,2/1/2015 0:00,1,0\n3/1/2015 0:00,,2,1\n3/2/2015 0:00,3/1/2015 0:00,3,0\n"
    (tmp_path / "t.csv").write_text(text)
    keys = {"name": "m", "label": "y", "time": "bought", "amount": None, "features": ["x"], "dates": ["joined"]}
    frame = load_transactions(tmp_path / "t.csv", Schema.from_dict(keys | {"time_unit": "timestamp"}))
    assert frame.columns.tolist() == ["bought", "x", "seconds_since_joined", "y"]
    # 2/1 and 3/1 alone could be read in two ways; the other column of the file decides.
    assert frame["seconds_since_joined"].fillna(-1).tolist() == [27 * DAY + 600, -1, DAY]


def test_a_table_without_times_keeps_its_order(tmp_path):
    (tmp_path / "t.csv").write_text("a,x,y\n1.5,1,0\n2.5,2,1\n0.5,3,0\n")
    schema = Schema.from_dict({"name": "m", "label": "y", "time": None, "amount": "a", "features": ["x"]})
    frame = load_transactions(tmp_path / "t.csv", schema)
    assert frame["x"].tolist() == [1, 2, 3]
    assert frame.columns.tolist() == ["x", "a", "y"]


@pytest.mark.parametrize(("unit", "key"), [("timestamp", "t"), ("timestamp", "since")])
def test_dates_without_a_clock_in_parquet_are_instants(tmp_path, unit, key):
    days = pd.date_range("2024-03-01", periods=5)
    frame = pd.DataFrame({"t": days, "since": days, "x": np.arange(5.0), "y": [0, 1, 0, 0, 0]})
    frame[key] = [day.date() for day in days]
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    schema = Schema("m", "y", "t", None, ("x",), written=Written(time_unit=unit, dates=("since",)))
    read = load_transactions(tmp_path / "t.parquet", schema)
    assert read["t"].tolist() == [day * DAY for day in range(5)]
    assert (read["seconds_since_since"] == 0).all()


@pytest.mark.parametrize("kind", ["int64", "float64", "str"])
def test_numbers_written_by_a_format_are_dates_in_parquet_as_in_csv(tmp_path, kind):
    frame = pd.DataFrame({"t": [20240301, 20240302, 20240305], "x": [0.0, 1, 2], "y": [0, 1, 0]}).astype({"t": kind})
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    schema = Schema("m", "y", "t", None, ("x",), written=Written(time_unit="timestamp", time_format="%Y%m%d"))
    assert load_transactions(tmp_path / "t.parquet", schema)["t"].tolist() == [0, DAY, 4 * DAY]


@pytest.mark.parametrize("days", [pd.Timestamp, lambda day: pd.Timestamp(day).date(), str])
def test_a_day_beside_a_time_of_day_is_joined_to_it_however_parquet_holds_it(tmp_path, days):
    frame = pd.DataFrame({"x": [0.0, 1], "y": [0, 1], "clock": ["10:00:00", "10:00:05"]})
    frame["day"] = [days("2024-03-01"), days("2024-03-02")]
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    written = Written(time_unit="timestamp", time_from=("day", "clock"))
    read = load_transactions(tmp_path / "t.parquet", Schema("m", "y", "day clock", None, ("x",), written=written))
    assert read["day clock"].tolist() == [36_000, 36_005 + DAY]
