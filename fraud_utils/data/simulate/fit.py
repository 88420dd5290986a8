"""Fit the aggregates that transactions are simulated from; ``python -m fraud_utils.data.simulate.fit creditcard.csv``.

Needs the real file, about two minutes and 2 GB. What it writes are shares, moments and quantiles only: a leaf of a
probability tree rests on at least ``LEAF_ROWS`` rows, a leaf of a weight on as many, real and proposed together, a
stratum on nearly as many real ones, a quantile on an average of ``QUANTILE_ROWS`` or more, an amount is named only when
at least ``QUANTILE_ROWS`` transactions have it, a kind's moments are those of whole groups, and all are rounded.

Frauds, and the legitimate transactions most like frauds, are of kinds. Which kind a fraud is depends on what finds it
out of fold: a linear model, a tree model, both or neither; those that neither finds are drawn like legitimate
transactions. The fit of the legitimate transactions sees two thirds of the seconds; the rest tests it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from xgboost import XGBClassifier

from fraud_utils.data.simulate.fit_legitimate import V, fit_sources
from fraud_utils.data.simulate.generate import AGGREGATES
from fraud_utils.data.simulate.kinds import INPUTS, days_of, fit_kinds

FOLDS = 3
LOOK_ALIKES = 400  # legitimate rows, of 283,253, that the two models find most like fraud
FOUND, LOST = 60, 3_000  # a fraud is found with fewer legitimate rows ahead of it, lost with more
FAR = 14.0  # standard deviations that some V of a fraud far out reaches


def main(arguments: list[str] | None = None) -> None:
    """Read the real file, fit and write the aggregates."""
    parser = argparse.ArgumentParser(
        prog="python -m fraud_utils.data.simulate.fit", description=__doc__.splitlines()[0]
    )
    parser.add_argument("data", type=Path, help="ULB's creditcard.csv, plain or zipped")
    parser.add_argument("--out", type=Path, default=AGGREGATES, help="file to write (default: the package's)")
    given = parser.parse_args(arguments)
    with threadpool_limits(1):  # more threads add in another order, and ICA amplifies the last digit
        text = dumps(fit(pd.read_csv(given.data)))
    given.out.write_text(text, encoding="utf-8")
    print(f"{given.out}: {len(text.encode()):,} bytes")


def fit(frame: pd.DataFrame, seed: int = 7) -> dict:
    """Aggregates of ULB's transactions, as ``simulate`` reads them."""
    rng = np.random.default_rng(seed)
    groups = frame.groupby(list(frame.columns), sort=False)["Class"].agg(["size", "first"])
    copies = [
        {"share": round(size, 6), "sizes": counts}
        for size, counts in (_copies(groups[groups["first"] == label]["size"]) for label in (0, 1))
    ]
    hours = frame["Time"].floordiv(3600).astype(int)
    hourly = [np.bincount(hours[frame["Class"] == label], minlength=48).tolist() for label in (0, 1)]

    rows = frame.drop_duplicates(ignore_index=True)
    legitimate = rows["Class"].to_numpy() == 0
    kinds, camouflaged, alike = _kinds(rows, rng)
    print({name: int(kind.sum()) for name, kind in kinds.items()}, "camouflaged", int(camouflaged.sum()))
    return {
        "about": {
            "source": "Aggregates of the credit card transactions by the Machine Learning Group of the Université "
            "libre de Bruxelles (creditcard.csv, 284,807 rows; OpenML 1597, Kaggle mlg-ulb/creditcardfraud)",
            "licence": "Database Contents License (DbCL) v1.0",
            "written by": "python -m fraud_utils.data.simulate.fit; hourly counts and counts of copies apart, "
            "no number rests on fewer than 20 rows; the weights' are of real rows and proposals together",
        },
        "rate": round(float(frame["Class"].mean()), 6),
        "hourly": hourly,
        "copies": copies,
        "legitimate": fit_sources(rows[legitimate & ~alike & ~held_out(rows)], rng),
        "look-alike": {"share": round(alike.sum() / legitimate.sum(), 6)} | fit_kinds(rows, {"look-alike": alike}),
        "fraud": {"camouflaged": days_of(rows, camouflaged)} | fit_kinds(rows, kinds),
    }


def _kinds(rows: pd.DataFrame, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Masks: of each kind of fraud, of the frauds that look legitimate, and of the legitimate rows most like fraud."""
    linear, trees = out_of_fold(rows, rng)
    fraud = rows["Class"].to_numpy() == 1
    alike = np.zeros(len(rows), bool)
    likeness = np.minimum(linear.argsort().argsort(), trees.argsort().argsort()) + 0.0
    likeness[fraud] = -1
    alike[np.argsort(likeness)[-LOOK_ALIKES:]] = True
    # Behind how many legitimate rows does each model rank a row?
    ahead = [(~fraud).sum() - np.searchsorted(np.sort(x[~fraud]), x, side="right") for x in (linear, trees)]
    found = [rank < FOUND for rank in ahead]
    lost = (ahead[0] >= LOST) & (ahead[1] >= LOST)
    both = fraud & found[0] & found[1]
    far = both & (np.abs(rows[V] / rows[V].std()).max(axis=1).to_numpy() > FAR)
    kinds = {
        "plain": both & ~far,
        "plain, far out": far,
        "non-linear": fraud & ~found[0] & found[1],
        "partial": fraud & ~found[1] & ~lost,
    }
    return kinds, fraud & lost, alike


def held_out(rows: pd.DataFrame) -> np.ndarray:
    """Rows of every third second: the fit of legitimate transactions does not see them, so that they can test it."""
    return rows["Time"].to_numpy() % 3 == 0


def _copies(sizes: pd.Series) -> tuple[float, list[int]]:
    """Share of rows that repeat an earlier one, and how many groups have 2, 3, 4, ... members."""
    return float((sizes - 1).sum() / sizes.sum()), np.bincount(sizes.clip(upper=6), minlength=7)[2:].tolist()


def out_of_fold(rows: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a linear and of a tree model, each row's by a model that saw no row of the same second."""
    X, y = rows[INPUTS].to_numpy("float32"), rows["Class"].to_numpy()
    fold = rng.integers(0, FOLDS, 200_000)[rows["Time"].astype(int)]
    scores = np.empty((2, len(rows)))
    for k in range(FOLDS):
        models = (
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
            XGBClassifier(n_estimators=200, max_depth=5, learning_rate=0.1, max_delta_step=1, subsample=0.8, n_jobs=1),
        )
        for i, model in enumerate(models):
            scores[i, fold == k] = model.fit(X[fold != k], y[fold != k]).predict_proba(X[fold == k])[:, 1]
    return scores[0], scores[1]


def dumps(aggregates: dict) -> str:
    """JSON with one entry of the two upper levels a line, so that a difference can be read."""
    lines = []
    for key, value in aggregates.items():
        if isinstance(value, dict):
            inner = ",\n".join(
                f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False, separators=(',', ':'))}"
                for k, v in value.items()
            )
            lines.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else:
            lines.append(f" {json.dumps(key)}: {_compact(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main()
