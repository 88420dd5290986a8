"""Tables as a page shows them."""

import numpy as np
import pandas as pd

from fraud_utils.monitor import shown

SPACE = "\N{NO-BREAK SPACE}"


def cells(table: pd.DataFrame) -> pd.DataFrame:
    return shown(table).data


def test_intervals_stand_beside_their_values_and_bounds_have_no_columns_of_their_own():
    table = pd.DataFrame({"rows": [35_000, 400], "recall": [0.75, np.nan], "recall_low": [0.6, np.nan],
                          "recall_high": [0.86, np.nan],
                          "average_precision": [0.8, 0.7], "average_precision_low": [0.7, np.nan],
                          "average_precision_high": [0.9, np.nan]})  # fmt: skip
    assert cells(table).to_dict("list") == {
        "rows": ["35,000", "400"],
        "recall": [f"75{SPACE}% [60, 86]", "–"],
        "average precision": ["0.800 [0.700, 0.900]", "0.700"],
    }


def test_shares_are_in_percent_and_indices_have_two_digits():
    table = pd.DataFrame({"stability index": [0.02346], "missing now": [0.5], "changed since": [""], "agrees": [True]})
    assert cells(table).iloc[0].tolist() == ["0.023", f"50{SPACE}%", "", "yes"]
