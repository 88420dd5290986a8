"""Loading what somebody names: the reference set, another table, or simulated transactions."""

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter
from small_tables import SMALL, written

from fraud_utils import record
from fraud_utils.data import ULB, DataError, Schema, duplicate_groups, load, load_transactions, split_transactions


def test_another_file_by_ulbs_name_is_named_as_such(tmp_path):
    columns = {name: [0.0, 1.0, 2.0] for name in ULB.columns} | {"Class": [0, 1, 0]}
    path = written(tmp_path, pd.DataFrame(columns), "creditcard.csv")
    with pytest.raises(DataError, match=r"different file: SHA-256 .* 3 rows and 1 frauds instead of 284,807 and 492"):
        load_transactions(path)
    path.rename(tmp_path / "ours.csv")
    assert load_transactions(tmp_path / "ours.csv").attrs["provenance"]["name"] == "ours.csv"


def test_without_data_transactions_are_simulated_and_say_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(load, "SIMULATED_ROWS", 2_000)
    first, again, other = (load_transactions(seed=seed) for seed in (7, 7, 8))
    provenance = first.attrs["provenance"]
    assert provenance["simulated"] is True
    assert "SIMULATED" in provenance["name"]
    assert "seed 7" in provenance["name"]
    assert len(first) == 2_000
    assert provenance["sha256"] == again.attrs["provenance"]["sha256"] != other.attrs["provenance"]["sha256"]
    with pytest.raises(DataError, match="DATA=path"):
        load_transactions(schema=SMALL)


def test_a_table_as_tabformer_writes_it(tmp_path):
    (tmp_path / "t.csv").write_text(
        "User,Card,Year,Month,Day,Time,Amount,Use Chip,Zip,Errors?,Is Fraud?\n"
        "16,3,2019,10,21,22:22,$103.08,Online Transaction,91750.0,,No\n"
        "31,0,2019,1,24,06:18,$-7.37,Swipe Transaction,,Bad PIN,Yes\n"
    )
    (tmp_path / "t.yaml").write_text(
        "label: Is Fraud?\ntime: [Year, Month, Day, Time]\namount: Amount\nnegative_amounts: true\nentity: Card\n"
        "features: [Zip]\ncategorical: [Use Chip, 'Errors?']\nignore_others: true\n"
    )
    schema = Schema.read(tmp_path / "t.yaml")
    frame = load_transactions(tmp_path / "t.csv", schema)
    assert tuple(frame.columns) == schema.columns
    assert frame[["Card", "Amount", "Is Fraud?"]].to_numpy().tolist() == [["0", -7.37, 1], ["3", 103.08, 0]]
    provenance = frame.attrs["provenance"]
    assert provenance["origin"] == "2019-01-24T00:00:00+00:00"
    said = " ".join(provenance["read_as"])
    for part in ("passed over: 'User'", "'Yes' is read as fraud", "currency signs are left out"):
        assert part in said


def test_what_was_read_survives_as_a_record(tmp_path):
    (tmp_path / "t.csv").write_text("t;x;y\n2025-01-01;1;0\n2025-01-02;2;1\n;3;\n")
    keys = {"name": "m", "label": "y", "time": "t", "amount": None, "features": ["x"], "unlabelled": "leave_out"}
    provenance = load_transactions(tmp_path / "t.csv", Schema.from_dict(keys)).attrs["provenance"]
    data = TypeAdapter(record.Data).validate_json(json.dumps(provenance))
    assert (data.unlabelled, data.origin) == (1, "2025-01-01T00:00:00+00:00")
    assert data.read_as[0] == "Columns are separated by semicolons."


def test_a_file_that_is_not_there_is_named_with_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"no such file.*make data"):
        load_transactions(tmp_path / "nothing.csv")


@pytest.fixture(scope="session")
def real(real_data):
    return load_transactions(real_data)


@pytest.mark.real_data
def test_the_reference_set_has_its_published_counts(real):
    assert real.attrs["provenance"]["name"] == "ULB creditcard.csv"
    assert (len(real), int(real["Class"].sum())) == (284_807, 492)
    copies = real.duplicated()
    assert (int(copies.sum()), int(real.loc[copies, "Class"].sum())) == (1_081, 19)
    assert len(real) - len(np.unique(duplicate_groups(real, ULB))) == 1_081
    assert real["Amount"].sum() == pytest.approx(25_162_590.01, abs=0.005)
    assert int((real["Amount"] == 0).sum()) == 1_825
    assert real.memory_usage(deep=True).sum() <= 80e6


@pytest.mark.real_data
def test_every_value_of_the_reference_set_is_the_nearest_to_its_text(real, real_data):
    exact = pd.read_csv(real_data, dtype="float64", float_precision="round_trip").astype({"Class": "int8"})
    pd.testing.assert_frame_equal(real, exact[list(ULB.columns)], check_exact=True)
    assert real.attrs["provenance"]["read_as"] == ()


@pytest.mark.real_data
def test_the_last_fifth_of_the_reference_set(real):
    split = split_transactions(real, ULB)
    assert (split.test_rows, split.test_frauds) == (56_962, 75)
    groups = duplicate_groups(real, ULB)
    assert not np.intersect1d(groups[: split.train_rows], groups[split.train_rows :]).size
