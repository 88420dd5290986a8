"""Tables of more rows than a report takes: all are read, and some of the legitimate ones are kept in memory."""

import io
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fraud_utils import data, evaluation
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import ULB, DataError, Schema, Written, load_transactions, split_transactions
from fraud_utils.data.simulate import simulate_cards, simulate_transactions

MANY = replace(ULB, name="many")


@pytest.fixture(scope="module")
def frame():
    return simulate_transactions(30_000, seed=6)


@pytest.fixture(scope="module")
def parts(frame, tmp_path_factory):
    """A folder of three files."""
    folder = tmp_path_factory.mktemp("parts")
    for number, part in enumerate(np.array_split(np.random.default_rng(0).permutation(len(frame)), 3)):
        frame.iloc[part].to_parquet(folder / f"{number}.parquet", index=False, row_group_size=4_000)
    return folder


@pytest.fixture
def table(parts, tmp_path, monkeypatch):
    """The folder, in a project of its own to keep rows in."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(parts, tmp_path / "table"))


def kept(project: Path) -> list[Path]:
    return list((project / ".table_cache").iterdir())


def test_all_frauds_and_a_share_of_the_others_are_in_memory(frame, table):
    sampled = load_transactions(table, MANY, 7, 5_000)
    assert sampled["Class"].sum() == frame["Class"].sum()
    assert len(sampled) == pytest.approx(5_000, abs=300)
    assert sampled["Time"].is_monotonic_increasing
    about, share = sampled.attrs["provenance"], data.share_of(sampled)
    assert share == about["share"] == (len(sampled) - frame["Class"].sum()) / (30_000 - frame["Class"].sum())
    whole = load_transactions(table, MANY).attrs["provenance"]
    for name in ("rows", "frauds", "sha256", "largest_amount", "median_fraud", "columns", "name", "origin"):
        assert about[name] == whole[name], name
    merged = sampled.merge(frame, how="left", on=[*frame.columns], indicator=True)
    assert (merged["_merge"] == "both").all()


def test_the_draw_follows_from_the_seed_and_is_made_once(table):
    one = load_transactions(table, MANY, 7, 5_000)
    (folder,) = kept(table.parent)
    times = {file: file.stat().st_mtime_ns for file in folder.rglob("*.parquet")}
    again, other = load_transactions(table, MANY, 7, 5_000), load_transactions(table, MANY, 8, 5_000)
    pd.testing.assert_frame_equal(one, again)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*.parquet")} == times
    assert not one[one["Class"] == 0]["V1"].isin(other["V1"]).all()
    for each in kept(table.parent):
        os.utime(each, (0, 0))  # nobody has asked for them for long
    load_transactions(table, MANY, 9, 5_000)
    assert len(kept(table.parent)) == 1


def test_a_split_knows_the_sizes_and_rows_of_the_whole_table(frame, table):
    delayed = replace(MANY, label_delay_days=0.1)
    split = split_transactions(load_transactions(table, delayed, 7, 5_000), delayed)
    train, test = (frame[frame["Time"] <= split.test_from - 8_640], frame[frame["Time"] >= split.test_from])
    assert (split.train_rows, split.test_rows) == (len(train), len(test))
    assert split.waiting_rows == (frame["Time"] < split.test_from).sum() - len(train)
    assert len(test) / 30_000 == pytest.approx(0.2, abs=0.02)
    for part, rows in ((split.train, train), (split.test, test)):
        pieces = list(data.all_rows(part, delayed))
        assert len(pieces) > 1
        whole = pd.concat(pieces).sort_values([*frame.columns], ignore_index=True)
        pd.testing.assert_frame_equal(whole, rows.sort_values([*frame.columns], ignore_index=True))
        legitimate = (part["Class"] == 0).sum() / (rows["Class"] == 0).sum()
        assert data.share_of(part) == legitimate
    assert data.share_of(split.both) == pytest.approx(data.share_of(split.train), rel=0.1)
    assert "drawn at random: figures are corrected" in split.describe(split.train.attrs["provenance"])


@pytest.mark.parametrize("most", [5_000, 0])
def test_the_rows_of_a_split_are_parquet_files_of_which_few_are_written_anew(frame, tmp_path, monkeypatch, most):
    """Jobs learn from these: all rows of a split and no others, whether a sample of them is in memory or all."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    for number in range(6):  # by time: the cut runs through one file
        frame[number * 5_000 :][:5_000].to_parquet(tmp_path / f"{number}.parquet", index=False)
    split = split_transactions(load_transactions(tmp_path, MANY, 7, most), MANY)
    for part, whole in (
        (split.train, frame[frame["Time"] < split.test_from]),
        (split.test, frame[frame["Time"] >= split.test_from]),
    ):
        files = [stream.read() for stream in data.as_parquet(part, MANY)]
        found = pd.concat([pd.read_parquet(io.BytesIO(each)) for each in files])
        assert list(found) == list(part)
        expected = whole[list(part)].sort_values(list(part), ignore_index=True)
        found = found.sort_values(list(part), ignore_index=True)
        pd.testing.assert_frame_equal(found, expected, check_dtype=False)
        if most:
            kept = {file.read_bytes() for file in tmp_path.glob(".table_cache/*/part-*.parquet")}
            assert len(kept) == 6 and len([each for each in files if each not in kept]) == 1


def test_a_table_in_memory_stands_for_itself(frame):
    split = split_transactions(frame, ULB)
    assert [part is split.train for part in data.all_rows(split.train, ULB)] == [True]
    assert data.share_of(split.train) == data.share_of(split.both) == 1


def test_a_fault_in_any_row_is_found_and_nothing_is_kept(frame, table):
    bad = frame[:9_000].assign(V3=frame["V3"].where(frame.index != 8_401, np.inf))
    bad.to_parquet(table / "9.parquet", index=False, row_group_size=4_000)
    with pytest.raises(DataError, match=r"9.parquet: row 8402, column 'V3': the value is infinite"):
        load_transactions(table, MANY, 7, 5_000)
    assert not kept(table.parent)
    (table / "9.parquet").unlink()
    assert len(load_transactions(table, MANY, 7, 5_000))


def test_rows_of_which_a_part_is_gone_are_not_taken_for_all(table):
    load_transactions(table, MANY, 7, 5_000)
    (folder,) = kept(table.parent)
    next(folder.glob("part-*.parquet")).unlink()
    with pytest.raises(DataError, match=rf"{folder.name} holds [\d,]+ of its 30,000 rows.* delete this folder"):
        load_transactions(table, MANY, 7, 5_000)


def test_a_csv_that_does_not_fit_into_memory_is_refused_before_it_is_read(table, monkeypatch):
    load_transactions(table, MANY, 7, 5_000).head(100).to_csv(table / "9.csv", index=False)
    (limit := table.parent / "memory.max").write_text("10000\n")  # as a container's limit is written
    monkeypatch.setattr("fraud_utils.data.parts.CGROUP", limit)
    with pytest.raises(DataError, match=r"table/9.csv: reading it takes about 0 GB .* several CSVs in one folder"):
        load_transactions(table, MANY, 7, 5_000)


def test_a_table_whose_history_is_computed_is_read_whole(table):
    cards = simulate_cards(3)
    cards.to_parquet(table.parent / "cards.parquet", index=False)
    schema = replace(Schema.read("", "cards"), source="")
    assert data.share_of(load_transactions(table.parent / "cards.parquet", schema, 7, 1_000)) == 1
    assert not (table.parent / ".table_cache").exists()


def test_of_a_sample_nothing_is_said_of_cards(frame, table):
    """A sample lacks rows of most cards, so that no figure of a card could be right."""
    file, schema = table.parent / "with_cards.parquet", replace(MANY, entity="card")
    cards = pd.Series(np.random.default_rng(1).integers(0, 900, len(frame))).astype(str)
    frame.assign(card=cards).to_parquet(file, index=False)
    whole, sampled = (load_transactions(file, schema, 7, most) for most in (0, 5_000))
    assert 0 < data.share_of(sampled) < 1 == data.share_of(whole)
    features = FeatureMap.fit(schema, whole)
    rows = {name: evaluation.Rows.of(each, schema, features) for name, each in {"all": whole, "some": sampled}.items()}
    assert rows["all"].card is not None and rows["some"].card is None
    assert evaluation.cards.budget(rows["all"]) > 0 == evaluation.cards.budget(rows["some"])
    assert len(np.unique(rows["some"].groups)) <= 900  # a card's rows share a fold as before
    with pytest.raises(DataError, match="set most_rows to as many as the table has"):
        evaluation.cards.budget(rows["some"], 5)


def test_what_is_known_of_files_is_the_same_whether_they_are_sampled_or_read_whole(frame, table):
    """Days in any order, a file without a label, one without rows, one twice: facts, times and counts agree."""
    written = Written(time_unit="timestamp", unlabelled="leave_out")
    schema, folder = Schema("dated", "Class", "Time", "Amount", ("V1", "V2"), written=written), table.parent / "dated"
    folder.mkdir()
    rows = frame[["Time", "Amount", "V1", "V2", "Class"]].astype({"Class": float})
    for number, start in enumerate(range(0, 12_000, 3_000)):
        part = rows[start : start + 3_000].copy()
        part["Time"] = pd.Timestamp(2026, 3, 9 - 2 * number) + pd.to_timedelta(part["Time"] % 80_000, unit="s")
        part.loc[part.index[:40], "Class"] = np.nan
        part.to_parquet(folder / f"{number}.parquet", index=False)
    part.assign(Class=np.nan).to_parquet(folder / "unlabelled.parquet", index=False)
    part[:0].to_parquet(folder / "empty.parquet", index=False)
    whole, sampled = (load_transactions(folder, schema, 7, most) for most in (0, 3_000))
    one, other = (each.attrs["provenance"] for each in (whole, sampled))
    assert one["unlabelled"] == 4 * 40 + 3_000
    assert one["origin"][:10] == "2026-03-03"
    assert {**other, "share": None} == {**one, "share": None}
    assert sampled["Time"].min() >= 0 and sampled["Time"].max() == pytest.approx(whole["Time"].max(), abs=20_000)
    assert one["read_as"] == ("40 rows without a label left out. Likewise 4 more parts.",)
    pieces = pd.concat(data.all_rows(sampled, schema)).sort_values([*whole.columns], ignore_index=True)
    pd.testing.assert_frame_equal(pieces, whole.sort_values([*whole.columns], ignore_index=True))


@pytest.mark.parametrize("most", [0, 1_000])
def test_a_label_of_three_values_is_refused_however_they_are_spread(frame, table, most):
    schema, folder = replace(MANY, written=Written(fraud="chargeback")), table.parent / "words"
    folder.mkdir()
    for other, part in (("ok", frame[:4_000]), ("pending", frame[4_000:8_000])):
        part.assign(Class=np.where(part["Class"] == 1, "chargeback", other)).to_parquet(folder / f"{other}.parquet")
    with pytest.raises(DataError, match="one other value, and there are 'ok', 'pending'"):
        load_transactions(folder, schema, 7, most)
