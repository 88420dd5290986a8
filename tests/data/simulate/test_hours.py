"""Hours and drift."""

import pandas as pd

from fraud_utils.data.simulate import simulate_transactions


def test_fraud_drifts_from_day_to_day() -> None:
    """Days that repeat the same fitted day differ by more than days drawn from one distribution would."""
    frauds = simulate_transactions(24_000, fraud_rate=1.0, seed=2, days=24)
    day = frauds["Time"] // 86_400
    frauds = frauds[day % 2 == 0].reset_index(drop=True)
    day = frauds["Time"] // 86_400
    columns = ["V4", "V10", "V14", "V17"]
    between = frauds.groupby(day)[columns].mean().var(ddof=1)
    shuffled = [
        frauds.groupby(day.sample(frac=1, random_state=i, ignore_index=True))[columns].mean().var(ddof=1)
        for i in range(10)
    ]
    assert (between / pd.concat(shuffled, axis=1).mean(axis=1)).mean() > 3  # 1 without drift
