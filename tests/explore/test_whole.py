"""Tables of which only a sample is in memory: what mixes both classes is that of all rows, in any order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from fraud_utils import explore
from fraud_utils.data import ULB, Schema, Split, split_transactions
from fraud_utils.data.sample import between
from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.explore import copies

SCHEMA = replace(ULB, features=("V1", "V2", "gap", "zeros", "empty"), categorical=("land",), id="no")
EXACT = ("volume", "rate_along_time", "class_sizes", "rate_by_hour", "amounts_below", "price_points", "duplicates")
ALL = (*EXACT, "integrity", "stability")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Four days with missing values, texts, copies of rows, some of them at another time or with another label."""
    rng, frame = np.random.default_rng(1), simulate_transactions(40_000, fraud_rate=0.01, seed=3, days=4)
    rows = len(frame)
    frame["gap"] = np.where(rng.random(rows) < 0.3, np.nan, rng.standard_normal(rows) + np.arange(rows) / rows)
    frame["zeros"] = np.where(rng.random(rows) < 0.8, 0.0, rng.exponential(1, rows))
    frame["empty"] = np.nan
    frame["land"] = pd.Series(rng.choice(["SE", "NO", "DK"], rows, p=[0.5, 0.3, 0.2])).where(rng.random(rows) < 0.9)
    frame["land"] = frame["land"].astype("category")
    for source, at in ((500, 501), (500, 502), (8_000, 8_001)):  # at the same time
        frame.loc[at] = frame.loc[source]
    frame.loc[8_001, "Class"] = 1 - frame["Class"][8_000]
    elsewhere = ["V1", "V2", "gap", "zeros", "land", "Amount"]
    for source, at in ((20_000, 39_000), (20_000, 100), (9_000, 9_500)):  # at another one
        frame.loc[at, elsewhere] = frame.loc[source, elsewhere]
    frame["Class"] = frame["Class"].astype("int8")
    frame["no"] = np.arange(rows).astype(str)
    return described(frame[list(SCHEMA.columns)])


def described(frame: pd.DataFrame, origin: str | None = None) -> pd.DataFrame:
    frame.attrs["provenance"] = {"name": "a table", "simulated": False, "origin": origin}
    return frame


def written(frame: pd.DataFrame, folder: Path) -> Path:
    """All rows as a reader of large tables leaves them: in several files, in no order; missing is null, or NaN."""
    order = np.random.default_rng(2).permutation(len(frame))
    for place, rows in enumerate(np.split(order, [7, 9_000, 25_000])):
        part = pa.Table.from_pandas(frame.iloc[rows], preserve_index=False)
        if place % 2:
            land = part["land"].cast(pa.string())
            part = part.set_column(part.column_names.index("land"), "land", land)
            part = part.set_column(part.column_names.index("gap"), "gap", pa.array(frame["gap"].iloc[rows].to_numpy()))
        parquet.write_table(part, folder / f"part-{place:05}.parquet", row_group_size=4_000)
    return folder


def sampled(frame: pd.DataFrame, folder: Path, share: float = 0.1, seed: int = 0) -> pd.DataFrame:
    """All frauds and a share of the legitimate rows."""
    fraud = frame["Class"].to_numpy() == 1
    sample = frame[fraud | (np.random.default_rng(seed).random(len(frame)) < share)]
    return bounded(sample, {"folder": str(folder), "share": share, "since": None, "until": None, "rows": len(frame)})


def bounded(frame: pd.DataFrame, whole: dict) -> pd.DataFrame:
    frame = frame.copy()
    frame.attrs["whole"] = whole
    return frame


def as_sampled(split: Split, sample: pd.DataFrame) -> Split:
    """The same cut of a sample."""
    whole, cut, known = sample.attrs["whole"], split.test_from, split.train["Time"].iloc[-1]
    train, test = sample[sample["Time"] <= known], sample[sample["Time"] >= cut]
    bounds = (None, np.nextafter(known, np.inf)), (cut, None)
    parts = (between(bounded(part, whole), SCHEMA, *bound) for part, bound in zip((train, test), bounds, strict=True))
    return replace(split, **dict(zip(("train", "test"), parts, strict=True)))


def tables(frame: pd.DataFrame, split: Split, schema: Schema = SCHEMA) -> dict[str, pd.DataFrame]:
    """Every table of the notebook that mixes both classes."""
    found = {name: getattr(explore, name)(frame, schema) for name in ("integrity", "volume", "rate_along_time")}
    found |= {name: getattr(explore, name)(split.train, schema)
              for name in ("rate_by_hour", "amounts_below", "price_points")}  # fmt: skip
    found |= {name: getattr(explore, name)(split, schema) for name in ("class_sizes", "stability")}
    return found | {"duplicates": explore.duplicates(frame, split, schema)}


def findings(frame: pd.DataFrame, split: Split, found: dict[str, pd.DataFrame], schema: Schema = SCHEMA) -> list:
    return [
        explore.integrity_finding(found["integrity"], frame, schema),
        explore.imbalance_finding(found["class_sizes"], schema),
        explore.amounts_finding(found["amounts_below"], split.train, schema),
        explore.stability_finding(found["stability"], split, schema),
        explore.duplicates_finding(found["duplicates"]),
        explore.on_time_axis(split.test_from, frame, schema),
    ]


@pytest.fixture(scope="module")
def both(table, tmp_path_factory) -> dict[str, tuple]:
    """The table in memory and a sample of it: frames, splits and tables."""
    folder, split = written(table, tmp_path_factory.mktemp("whole")), split_transactions(table, SCHEMA)
    sample = sampled(table, folder)
    cases = {"memory": (table, split), "sample": (sample, as_sampled(split, sample))}
    return {name: (*case, tables(*case)) for name, case in cases.items()}


@pytest.mark.parametrize("name", ALL)
def test_a_sampled_table_has_the_tables_of_all_its_rows(both, name):
    in_memory, of_sample = (both[case][2][name] for case in both)
    pd.testing.assert_frame_equal(of_sample, in_memory, rtol=1e-12, atol=0)
    if name in EXACT:
        pd.testing.assert_frame_equal(of_sample, in_memory, check_exact=True)


@pytest.fixture(scope="module")
def unaware(both) -> dict[str, pd.DataFrame]:
    """The tables of the sample alone."""
    sample, split, _ = both["sample"]
    sample, split = sample.copy(), replace(split, train=split.train.copy(), test=split.test.copy())
    for frame in (sample, split.train, split.test):
        del frame.attrs["whole"]
    return tables(sample, split)


@pytest.mark.parametrize("name", ALL)
def test_and_not_those_of_the_sample(both, unaware, name):
    with pytest.raises(AssertionError):
        pd.testing.assert_frame_equal(unaware[name], both["sample"][2][name], rtol=0.01)


def test_findings_say_the_same_of_both(both):
    assert findings(*both["sample"]) == findings(*both["memory"])


def test_curves_of_amounts_have_the_shares_of_all_rows_to_the_last_one(both):
    curve = explore.amount_distribution(both["sample"][1].train, SCHEMA)
    train = both["memory"][1].train
    assert (curve.groupby("kind")["share"].max() == 1).all()
    for label, kind in enumerate(("legitimate", "fraud")):
        amount, of_kind = np.sort(train.loc[train["Class"] == label, "Amount"]), curve[curve["kind"] == kind]
        assert of_kind["amount"].iloc[[0, -1]].tolist() == [amount[0], amount[-1]]
        shares = np.searchsorted(amount, of_kind["amount"], side="right") / len(amount)
        assert of_kind["share"].tolist() == shares.tolist()


@pytest.mark.parametrize(
    ("days", "origin", "unit"),
    [(4, "2015-03-02", "day"), (70, None, "week"), (900, None, "month"), (900, "2015-03-02", "month")],
)
def test_rates_and_volume_by_any_unit_with_labels_still_to_come(table, tmp_path, days, origin, unit):
    schema = replace(SCHEMA, label_delay_days=days / 8)
    frame = described(table.assign(Time=np.floor(table["Time"] * days / 4)), origin)
    sample = sampled(frame, written(frame, tmp_path), 0.03)
    rates, of_all = (explore.rate_along_time(each, schema) for each in (sample, frame))
    assert rates.index.name == unit
    pd.testing.assert_frame_equal(rates, of_all, check_exact=True)
    volume, of_all = (explore.volume(each, schema) for each in (sample, frame))
    assert not volume["known"].all()
    pd.testing.assert_frame_equal(volume, of_all, check_exact=True)


def test_days_are_counted_from_the_first_row_of_all(both, table):
    late = bounded(table[table["Time"] > 2 * 86_400], both["sample"][0].attrs["whole"])
    assert explore.on_time_axis(86_400.0, late, SCHEMA) == 1
    pd.testing.assert_frame_equal(explore.volume(late, SCHEMA), both["memory"][2]["volume"])


def test_quantiles_are_exact_even_where_the_sample_misleads(both, table):
    sample, _, _ = both["sample"]
    low = bounded(table[(table["Amount"] < 5) & (table["V1"] > 1)], sample.attrs["whole"])
    nothing = bounded(table[table["gap"].isna()], sample.attrs["whole"])
    columns = ["Amount", "V1", "gap"]
    for frame in (low, nothing):
        described = explore.integrity(frame, SCHEMA).loc[columns, ["minimum", "median", "maximum"]]
        expected = table[columns].agg(["min", "median", "max"]).T
        assert described.to_numpy().tolist() == pytest.approx(expected.to_numpy(), rel=1e-12)


def test_copies_are_found_through_files_where_they_are_too_many_to_compare_at_once(both, monkeypatch):
    monkeypatch.setattr(copies, "COMPARED", 6_000)
    sample, split, found = both["sample"]
    before = sorted(Path(sample.attrs["whole"]["folder"]).iterdir())
    pd.testing.assert_frame_equal(explore.duplicates(sample, split, SCHEMA), found["duplicates"])
    assert sorted(Path(sample.attrs["whole"]["folder"]).iterdir()) == before


def test_the_chance_limit_of_correlations_takes_frauds_as_rare_as_they_are(table, tmp_path):
    """Of two columns that are zero nearly everywhere but among frauds, few rows say little: the limit is wide."""
    rng, often, rows = np.random.default_rng(0), np.where(table["Class"] == 1, 0.6, 0.001), len(table)
    sizes = ((rng.random(rows) < often) * rng.random(rows) for _ in range(2))
    frame = table.assign(**dict(zip(("V1", "V2"), sizes, strict=True)))
    sample = sampled(frame, tmp_path, 0.3)
    unaware = sample.copy()
    del unaware.attrs["whole"]
    limits = [explore.correlations(each, SCHEMA, ["V1", "V2"], 7)["chance"][0] for each in (frame, sample, unaware)]
    assert limits[1] == pytest.approx(limits[0], rel=0.25)
    assert limits[2] < 0.75 * limits[0]


def test_a_folder_without_files_is_named(table, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the rows of the whole table are gone; load the table again"):
        explore.volume(sampled(table, tmp_path), SCHEMA)
