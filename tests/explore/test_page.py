"""The table's name and its figures as a page shows them."""

import numpy as np
import pandas as pd
from noise import SCHEMA, noise

from fraud_utils import explore
from fraud_utils.data import Schema


def test_the_page_names_the_table_and_warns_of_simulated_ones():
    frame = noise()
    assert "SIMULATED" not in explore.heading(frame, SCHEMA) and SCHEMA.name in explore.heading(frame, SCHEMA)
    frame.attrs["provenance"] = {"name": "SIMULATED transactions (seed 7)", "simulated": True}
    assert explore.heading(frame, SCHEMA).startswith("> **SIMULATED")


def test_the_first_rows_have_dates_where_they_are_known():
    frame = noise()
    assert explore.first_rows(frame, SCHEMA).equals(frame.head())
    frame.attrs["provenance"]["origin"] = "2015-03-02T00:00:00Z"
    frame.loc[0, "at"] = 60.0
    assert explore.first_rows(frame, SCHEMA)["at"][0] == "2015-03-02 00:01"


def test_shares_are_never_rounded_to_all_or_nothing():
    rates = pd.DataFrame(
        {"rate": [0.999_996, 1.0, 1e-7, np.nan], "low": 0.0, "high": 1.0, "rows": [1_234_567, 1, 1, 1]}
    )
    shown = explore.styled(rates).to_html()
    assert "99.9996\N{NO-BREAK SPACE}% [0, 100]" in shown and "100\N{NO-BREAK SPACE}% [0, 100]" in shown
    assert shown == explore.styled(rates).to_html()
    assert "0.00001\N{NO-BREAK SPACE}%" in shown and "–" in shown and "1,234,567" in shown


def test_the_page_says_how_the_table_was_read_what_was_left_out_and_what_it_cannot_know():
    timeless = Schema("claims", label="fraud", time=None, amount=None, features=("p",), noun="claim")
    frame = noise()
    frame.attrs["provenance"] |= {"read_as": ["The separator is ;.", "3 rows left out."]}
    shown = explore.heading(frame, timeless)
    assert "- The separator is ;.\n- 3 rows left out.\n- The table has no times" in shown
    assert "whether the past predicts the future, it cannot know" in shown
    assert "no times" not in explore.heading(frame, SCHEMA)
    frame.attrs["provenance"]["simulated"] = True
    assert "SIMULATED claims" in explore.heading(frame, timeless)


def test_the_page_of_a_table_larger_than_memory_says_what_rests_on_a_sample():
    frame = noise()
    assert "memory" not in explore.heading(frame, SCHEMA)
    frame.attrs["whole"] = {"folder": "parts", "share": 0.05, "since": None, "until": None}
    shown = explore.heading(frame, SCHEMA).replace("\N{NO-BREAK SPACE}", " ")
    assert "- Not all rows are in memory." in shown and "price points, duplicates and drift" in shown
    assert "from a sample: all frauds and 5 % of the legitimate rows" in shown
