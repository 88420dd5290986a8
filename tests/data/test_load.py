"""Loading what somebody names: the reference set, another table, or simulated transactions."""

import numpy as np
import pandas as pd
import pytest
from small_tables import SMALL, written

from fraud_utils.data import ULB, DataError, duplicate_groups, load_transactions, split_transactions


def test_another_file_by_ulbs_name_is_named_as_such(tmp_path):
    columns = {name: [0.0, 1.0, 2.0] for name in ULB.columns} | {"Class": [0, 1, 0]}
    path = written(tmp_path, pd.DataFrame(columns), "creditcard.csv")
    with pytest.raises(DataError, match=r"different file: SHA-256 .* 3 rows and 1 frauds instead of 284,807 and 492"):
        load_transactions(path)
    path.rename(tmp_path / "ours.csv")
    assert load_transactions(tmp_path / "ours.csv").attrs["provenance"]["name"] == "ours.csv"


def test_without_data_transactions_are_simulated_and_say_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, again, other = (load_transactions(seed=seed) for seed in (7, 7, 8))
    provenance = first.attrs["provenance"]
    assert provenance["simulated"] is True
    assert "SIMULATED" in provenance["name"]
    assert "seed 7" in provenance["name"]
    assert provenance["sha256"] == again.attrs["provenance"]["sha256"] != other.attrs["provenance"]["sha256"]
    with pytest.raises(DataError, match="DATA=path"):
        load_transactions(schema=SMALL)


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
def test_the_last_fifth_of_the_reference_set(real):
    split = split_transactions(real, ULB)
    assert (split.test_rows, split.test_frauds) == (56_962, 75)
    groups = duplicate_groups(real, ULB)
    assert not np.intersect1d(groups[: split.train_rows], groups[split.train_rows :]).size
