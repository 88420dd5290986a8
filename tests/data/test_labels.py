"""Labels: words, truth values and rows that have none yet."""

import pandas as pd
import pytest

from fraud_utils.data import DataError, Schema, load_transactions


def load(folder, labels: list, name: str = "t.csv", **keys: object) -> pd.DataFrame:
    frame = pd.DataFrame({"t": range(len(labels)), "x": 1.0, "y": labels})
    path = folder / name
    frame.to_parquet(path) if name.endswith(".parquet") else frame.to_csv(path, index=False)
    keys = {"name": "m", "label": "y", "time": "t", "amount": None, "features": ["x"], **keys}
    return load_transactions(path, Schema.from_dict(keys))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize(
    ("labels", "fraud", "expected"),
    [
        (["legit", "fraud", "legit"], "fraud", [0, 1, 0]),
        (["legit", "Fraud ", "LEGIT"], "FRAUD", [0, 1, 0]),
        (["No", "Yes", "No"], "", [0, 1, 0]),
        (["No", "Yes", "No"], True, [0, 1, 0]),  # as YAML reads 'fraud: yes'
        (["No", "Yes", "No"], False, [1, 0, 1]),
        ([False, True, False], "", [0, 1, 0]),
        (["N", "y", "n"], "", [0, 1, 0]),
        ([1, 2, 2], 1, [1, 0, 0]),
        ([1.0, 2.0, 2.0], "2", [0, 1, 1]),
        ([0.0, 1.0, 0.0], "", [0, 1, 0]),
    ],
)
def test_one_value_is_fraud_and_the_other_legitimate(tmp_path, name, labels, fraud, expected):
    frame = load(tmp_path, labels, name, fraud=fraud)
    assert frame["y"].tolist() == expected
    assert frame["y"].dtype == "int8"


@pytest.mark.parametrize("labels", [[0, 1, None, 0, None], ["no", "yes", None, "no", None]])
def test_rows_without_a_label_are_left_out_and_counted_where_the_schema_says_so(tmp_path, labels):
    with pytest.raises(DataError, match=r"row 3 \(line 4\), column 'y' \(and 1 more row\): the value is missing"):
        load(tmp_path, labels)
    frame = load(tmp_path, labels, unlabelled="leave_out")
    assert frame["t"].tolist() == [0, 1, 3]
    assert frame.attrs["provenance"]["unlabelled"] == 2
    assert "2 rows without a label left out." in frame.attrs["provenance"]["read_as"]
    assert frame.attrs["provenance"]["rows"] == 3


def test_faults_of_rows_that_are_left_out_do_not_count(tmp_path):
    (tmp_path / "t.csv").write_text("t,x,y\n1,1,0\n2,2,1\nsoon,inf,\n")
    keys = {"name": "m", "label": "y", "time": "t", "amount": None, "features": ["x"], "unlabelled": "leave_out"}
    assert len(load_transactions(tmp_path / "t.csv", Schema.from_dict(keys))) == 2


def test_a_nullable_label_with_a_gap_is_a_missing_value(tmp_path):
    with pytest.raises(DataError, match="row 3, column 'y': the value is missing"):
        load(tmp_path, pd.array([True, False, None], "boolean"), "t.parquet")
    frame = load(tmp_path, pd.array([True, False, None], "boolean"), "t.parquet", unlabelled="leave_out")
    assert frame["y"].tolist() == [1, 0]


def test_words_are_never_answered_with_the_removal_of_rows(tmp_path):
    with pytest.raises(DataError) as caught:
        load(tmp_path, ["legit", "fraud", "legit"])
    assert "'legit' in 2 rows, 'fraud' in 1 row" in str(caught.value)
    assert "'fraud: fraud'" in str(caught.value)
    assert "remove" not in str(caught.value)
    assert "drop" not in str(caught.value)
