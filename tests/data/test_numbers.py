"""Numbers: decimal signs, thousands, currencies and truth values, by what the table shows."""

import pandas as pd
import pytest

from fraud_utils.data import DataError, Schema, load_transactions, numbers


def amounts(folder, *cells: str, separator: str = ";", **keys: object) -> pd.DataFrame:
    """Load a table with these amounts, the second row a fraud."""
    rows = [separator.join((str(i), f'"{cell}"', str(int(i == 1)))) for i, cell in enumerate(cells)]
    (folder / "t.csv").write_text("\n".join([separator.join(("t", "a", "y")), *rows]), encoding="utf-8")
    keys = {"name": "m", "label": "y", "time": "t", "amount": "a", "features": [], "negative_amounts": True, **keys}
    return load_transactions(folder / "t.csv", Schema.from_dict(keys))


@pytest.mark.parametrize("separator", [";", ",", "\t"])
@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1.5", "2.5"], [1.5, 2.5]),
        (["1,5", "2,5"], [1.5, 2.5]),
        (["$1,234.50", "$2"], [1234.5, 2]),
        (["1.234,50 €", "2 €"], [1234.5, 2]),
        (["€ 1.234,50", "1.234 €"], [1234.5, 1234]),  # the first cell decides how to read the second
        (["1,234.50", "1,234"], [1234.5, 1234]),
        (["1 234,50", "7"], [1234.5, 7]),
        (["1\N{NARROW NO-BREAK SPACE}234,5", "7"], [1234.5, 7]),
        (["1'234.50", "7"], [1234.5, 7]),
        (["$-7.37", "-$7.37"], [-7.37, -7.37]),
        (["\N{MINUS SIGN}7.5", "EUR 3"], [-7.5, 3]),
        (["3 USD", "4 USD"], [3, 4]),
        (["1e3", " 2 "], [1000, 2]),
        (["1.5", "2,5"], [1.5, 2.5]),  # each is clear by itself
        (["1.234", "2"], [1.234, 2]),  # as every CSV writes it
    ],
)
def test_what_clear_cells_show_decides_how_numbers_are_read(tmp_path, cells, values, separator):
    assert amounts(tmp_path, *cells, separator=separator)["a"].tolist() == values


def test_a_number_with_two_readings_is_a_question_that_the_schema_answers(tmp_path):
    with pytest.raises(DataError, match=r"row 1 \(line 2\), column 'a' .* '1,234' can be read in two ways"):
        amounts(tmp_path, "1,234", "5,678")
    assert amounts(tmp_path, "1,234", "5,678", decimal=",")["a"].tolist() == [1.234, 5.678]
    assert amounts(tmp_path, "1,234", "5,678", decimal=".")["a"].tolist() == [1234, 5678]
    assert amounts(tmp_path, "1,234", "5,678", thousands=",")["a"].tolist() == [1234, 5678]
    assert amounts(tmp_path, "1.234", "5.678", thousands=".")["a"].tolist() == [1234, 5678]


def test_what_was_decided_is_said(tmp_path):
    said = amounts(tmp_path, "1.234,50 €", "2").attrs["provenance"]["read_as"]
    assert any("decimal comma" in sentence for sentence in said)
    assert "Column 'a': currency signs are left out." in said
    assert amounts(tmp_path, "1.5", "2", separator=",").attrs["provenance"]["read_as"] == ()


def test_true_and_false_are_1_and_0(tmp_path):
    (tmp_path / "t.csv").write_text("t,x,z,y\n1,True,TRUE,False\n2,False,,True\n")
    keys = {"name": "m", "label": "y", "time": "t", "amount": None, "features": ["x", "z"]}
    frame = load_transactions(tmp_path / "t.csv", Schema.from_dict(keys))
    assert frame[["x", "z", "y"]].fillna(-1).to_numpy().tolist() == [[1, 1, 0], [0, -1, 1]]
    assert "Column 'x': true and false are read as 1 and 0." in frame.attrs["provenance"]["read_as"]


def test_a_late_cell_of_another_kind_changes_how_the_column_is_read_and_no_value(tmp_path):
    cells = [f"{i}.25" for i in range(30_000)]  # more than what is looked at first
    frame = amounts(tmp_path, *cells, "$1,000.75")
    assert frame["a"].tolist() == [float(cell) for cell in cells] + [1000.75]


@pytest.mark.parametrize(
    ("cells", "found", "either"),
    [
        (["2,5", "1,234"], ",", "1,234"),
        (["€ 1.234,50", "3"], ",", ""),
        (["12.50 USD", "-$ 7.25", "7,5 kg"], ".", ""),
        (["1.234 €", "EUR 1,234"], "", "1.234 €"),
        ([" 0.5", "0,5", "a,b"], ".,", ""),
    ],
)
def test_clear_cells_show_the_decimal_sign_whatever_currency_is_beside_them(cells, found, either):
    assert numbers.signs(cells) == (frozenset(found), either)
