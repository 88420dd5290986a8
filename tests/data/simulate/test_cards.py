"""Cards on request."""

import pandas as pd

from fraud_utils.data.simulate import simulate_transactions


def test_cards_hold_copies_and_frauds_fall_on_few() -> None:
    frame = simulate_transactions(20_000, fraud_rate=0.01, seed=4, cards=True)
    cardless = simulate_transactions(20_000, fraud_rate=0.01, seed=4)
    pd.testing.assert_frame_equal(frame.drop(columns="Card"), cardless)
    assert len(frame.drop_duplicates()) == len(cardless.drop_duplicates())
    fraud = frame["Class"] == 1
    assert frame.loc[fraud, "Card"].nunique() < fraud.sum() / 4
    assert frame.loc[~fraud, "Card"].nunique() > 5_000
