"""The Fraud Detection Handbook's protocol on its simulated transactions, our figures beside the published ones.

    HANDBOOK_DATA=folder python tests/bench/handbook.py [--start 2018-07-25] [--cards 100]

The folder holds one file a day, `2018-04-01.parquet` or `.csv`, with the Handbook's columns. It publishes pickles,
which run code when they are read, so that nothing here reads them. Whoever trusts them converts each in a line of their
own: `pandas.read_pickle("2018-04-01.pkl").to_parquet("2018-04-01.parquet")`.

Protocol (Le Borgne, Siblini, Lebichot and Bontempi, 2022, "Reproducible Machine Learning for Credit Card Fraud
Detection", chapters 3 to 5): a week to learn from, a week in which its labels come in, a week to test; customers whose
fraud is known by the day of the test leave it. Card precision is the share of compromised customers among each day's
100 with the highest scores, without those that an earlier day has found.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from fraud_utils import evaluation, models
from fraud_utils.artifact import FeatureMap, History
from fraud_utils.data import Schema, Written, load_transactions
from fraud_utils.evaluation import Rows

DAYS = (1.0, 7.0, 30.0)
CUSTOMER = History("CUSTOMER_ID", DAYS, ("count", "mean"))
TERMINAL = History("TERMINAL_ID", DAYS, ("count", "fraud_rate"))
RATIO = History("CUSTOMER_ID", DAYS, ("ratio", "since_last"))
SCHEMA = Schema(
    name="the Handbook's transactions",
    label="TX_FRAUD",
    time="TX_DATETIME",
    amount="TX_AMOUNT",
    features=(),
    entity="CUSTOMER_ID",
    entities=("TERMINAL_ID",),
    label_delay_days=7,
    written=Written(time_unit="timestamp", ignore_others=True),
)
CANDIDATES = {  # history, and the days to learn from
    "amount": ((), 7),
    "+ customer": ((CUSTOMER,), 7),
    "+ terminal": ((CUSTOMER, TERMINAL), 7),
    "+ ratio, since last": ((CUSTOMER, TERMINAL, RATIO), 7),
    "30 days to learn from": ((CUSTOMER, TERMINAL, RATIO), 30),
}
PUBLISHED = {"XGBoost": (0.639, 0.273), "random forest": (0.658, None), "logistic regression": (0.606, None)}


def table(folder: Path) -> pd.DataFrame:
    """All days as one loaded frame, with every history column."""
    files = sorted([*folder.glob("*.parquet"), *folder.glob("*.csv")])
    if not files:
        found = "pickles; convert them as this program's first lines say" if any(folder.glob("*.pkl")) else "no tables"
        sys.exit(f"{folder}: holds {found}")
    parts = (
        pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, parse_dates=["TX_DATETIME"])
        for file in files
    )
    with tempfile.NamedTemporaryFile(suffix=".parquet") as whole:
        pd.concat(parts, ignore_index=True).to_parquet(whole.name)
        return load_transactions(whole.name, replace(SCHEMA, history=(CUSTOMER, TERMINAL, RATIO)))


def split(frame: pd.DataFrame, day: np.ndarray, start: int, days: int = 7) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to learn from, which end a week after `start` and go back `days`, and the week to test."""
    fraud, customer = frame["TX_FRAUD"].to_numpy() == 1, frame["CUSTOMER_ID"]
    known = set(customer[fraud & (day >= start) & (day < start + 7)])
    keep = np.zeros(len(frame), dtype=bool)
    for today in range(start + 14, start + 21):
        known |= set(customer[fraud & (day == today - 8)])
        keep |= (day == today) & ~customer.isin(known).to_numpy()
    return frame[(day >= start + 7 - days) & (day < start + 7)], frame[keep]


def main() -> None:
    """Print a line a candidate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--start", default="2018-07-25", help="first day of the week to learn from")
    parser.add_argument("--cards", type=int, default=100, help="customers that can be reviewed a day")
    options = parser.parse_args()
    if not os.environ.get("HANDBOOK_DATA"):
        sys.exit("name the folder of daily files: HANDBOOK_DATA=folder python tests/bench/handbook.py")
    frame = table(Path(os.environ["HANDBOOK_DATA"]))
    day = (frame["TX_DATETIME"] // 86_400).to_numpy(dtype=int)
    first = pd.Timestamp(frame.attrs["provenance"]["origin"])
    start = (pd.Timestamp(options.start, tz="UTC") - first).days
    print(f"{'XGBoost, set by hand':24}{'train':>8}{'frauds':>8}{'test':>8}{'frauds':>8}{'AP':>8}{'CP':>8}")
    for name, (history, days) in CANDIDATES.items():
        train, test = split(frame, day, start, days)
        if not len(test) or not train["TX_FRAUD"].any():
            sys.exit(f"--start {options.start}: no fraud to learn from, or no test; the table begins on {first.date()}")
        schema = replace(SCHEMA, history=history)
        features = FeatureMap.fit(schema, train)
        booster = models.fit_xgboost(features.matrix(train), train["TX_FRAUD"].to_numpy())
        rows = Rows.of(test, schema, features)
        score = booster.inplace_predict(rows.X)
        sizes = "".join(f"{count:8,}" for part in (train, test) for count in (len(part), part["TX_FRAUD"].sum()))
        reached = average_precision_score(test["TX_FRAUD"], score)
        daily = evaluation.cards.card_precision(rows, score, options.cards)["precision"]
        print(f"{name:24}{sizes}{reached:8.3f}{daily.mean():8.3f}")
    print("\nPublished (train 67,240 with 598 frauds, test 58,264 with 385):")
    for name, (reached, cards) in PUBLISHED.items():
        print(f"{name:24}{'':32}{reached:8.3f}{'' if cards is None else f'{cards:8.3f}'}")


if __name__ == "__main__":
    main()
