"""How near simulated transactions come to real ones, and how fast: ``python tests/bench/bench_simulate.py REAL.csv``.

Prints one line a figure. ``tests/data/simulate/test_likeness.py`` takes the same measures at less cost.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.data.simulate.fit import held_out

V = [f"V{i}" for i in range(1, 29)]
INPUTS = [*V, "Amount"]

LEARNERS: dict[str, Callable[[], Any]] = {
    "XGBoost": lambda: XGBClassifier(
        n_estimators=150, max_depth=4, learning_rate=0.1, max_delta_step=1, subsample=0.8, n_jobs=1, random_state=0
    ),
    "random forest": lambda: RandomForestClassifier(60, max_samples=0.1, random_state=0),
    "logistic regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
    "isolation forest": lambda: IsolationForest(random_state=0),
}


def scores(model: Any, X: np.ndarray) -> np.ndarray:
    """The more like fraud, the higher."""
    return model.predict_proba(X)[:, 1] if hasattr(model, "predict_proba") else -model.score_samples(X)


def difficulty(frame: pd.DataFrame, folds: int = 2) -> dict[str, float]:
    """Average precision of each learner: random folds by second, so that copies stay together, scores pooled."""
    X, y = frame[INPUTS].to_numpy("float32"), frame["Class"].to_numpy()
    second = frame["Time"].to_numpy().astype(int)
    fold = np.random.default_rng(0).integers(0, folds, second.max() + 1)[second]
    found = {}
    for name, learner in LEARNERS.items():
        out_of_fold = np.empty(len(y))
        for k in range(folds):
            model = learner().fit(X[fold != k], y[fold != k])
            out_of_fold[fold == k] = scores(model, X[fold == k])
        found[name] = float(average_precision_score(y, out_of_fold))
    return found


def transfer(simulated: pd.DataFrame, real: pd.DataFrame) -> float:
    """Average precision on every real row of XGBoost that saw simulated rows only."""
    model = LEARNERS["XGBoost"]().fit(simulated[INPUTS].to_numpy("float32"), simulated["Class"])
    return float(average_precision_score(real["Class"], scores(model, real[INPUTS].to_numpy("float32"))))


def tell_apart(simulated: pd.DataFrame, real: pd.DataFrame, model: Any, rows: int = 60_000) -> float:
    """ROC AUC, on rows it did not see, of a classifier that tells simulated legitimate rows from real ones.

    All real rows are ones that the fit of the legitimate aggregates did not see.
    """
    both = [x.loc[x["Class"] == 0, INPUTS].sample(rows, random_state=0) for x in (real[held_out(real)], simulated)]
    X, y = pd.concat(both).to_numpy("float32"), np.repeat([0, 1], rows)
    order = np.random.default_rng(0).permutation(2 * rows)
    fit, hold = order[: 4 * rows // 3], order[4 * rows // 3 :]
    return float(roc_auc_score(y[hold], model.fit(X[fit], y[fit]).predict_proba(X[hold])[:, 1]))


def kolmogorov(simulated: pd.DataFrame, real: pd.DataFrame, label: int) -> pd.Series:
    """Kolmogorov distance by column, among the rows of a class."""
    a, b = (x[x["Class"] == label] for x in (simulated, real))
    return pd.Series({c: _apart(np.sort(a[c].to_numpy()), np.sort(b[c].to_numpy())) for c in INPUTS})


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    """SciPy's `ks_2samp` of sorted values, without its p-value, in a fifth of the time."""
    at = ((np.searchsorted(a, x, "right") / len(a), np.searchsorted(b, x, "right") / len(b)) for x in (a, b))
    return max(float(np.abs(one - other).max()) for one, other in at)


def correlation_gap(simulated: pd.DataFrame, real: pd.DataFrame, label: int) -> float:
    """Mean absolute difference between the off-diagonal correlations of a class."""
    a, b = (np.corrcoef(x.loc[x["Class"] == label, INPUTS].to_numpy().T) for x in (simulated, real))
    return float(np.abs(a - b)[np.triu_indices(len(INPUTS), 1)].mean())


def nearest(simulated: pd.DataFrame, real: pd.DataFrame, label: int, rows: int = 2_000) -> pd.DataFrame:
    """Distances to the nearest real row, in standard deviations: of simulated rows, and of other real rows.

    Exact copies among the real rows count once.
    """
    real = real[real["Class"] == label].drop_duplicates(INPUTS)
    simulated = simulated[simulated["Class"] == label].drop_duplicates(INPUTS)
    rows = min(rows, len(real), len(simulated))
    scale = real[INPUTS].std().to_numpy()
    index = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(real[INPUTS].to_numpy() / scale)
    probe = [x.sample(rows, random_state=0)[INPUTS].to_numpy() / scale for x in (simulated, real)]
    return pd.DataFrame({"simulated": index.kneighbors(probe[0])[0][:, 0], "real": index.kneighbors(probe[1])[0][:, 1]})


def nearer_to_fitted(simulated: pd.DataFrame, real: pd.DataFrame, rows: int = 2_000) -> float:
    """Share of simulated legitimate rows nearer to a real row that was fitted than to one of as many held out."""
    real = real[real["Class"] == 0].drop_duplicates(INPUTS)
    scale = real[INPUTS].std().to_numpy()
    held = held_out(real)
    probe = simulated[simulated["Class"] == 0].sample(rows, random_state=0)[INPUTS].to_numpy() / scale
    fitted, unseen = (
        NearestNeighbors(n_neighbors=1, algorithm="brute")
        .fit(x.sample(held.sum(), random_state=0)[INPUTS].to_numpy() / scale)
        .kneighbors(probe)[0][:, 0]
        for x in (real[~held], real[held])
    )
    return float((fitted < unseen).mean())


def main() -> None:
    """Print every figure; about five minutes on two quiet cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(__file__).resolve().parents[3] / "shared" / "data" / "creditcard.csv.zip"
    known = os.environ.get("FRAUD_DATA") or (str(beside) if beside.exists() else None)
    parser.add_argument("real", nargs="?", default=known, help="ULB's creditcard.csv, plain or zipped (FRAUD_DATA)")
    parser.add_argument("--seeds", type=int, default=5, help="simulated sets for the difficulty (default 5)")
    given = parser.parse_args()

    simulate_transactions(1_000)
    start = time.perf_counter()
    simulated = simulate_transactions(284_807, seed=1)
    print(f"284,807 rows: {time.perf_counter() - start:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.parquet"
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "fraud_utils.data.simulate", path, "--rows", "10000000", "--days", "70"], check=True
        )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"10,000,000 rows to parquet: {time.perf_counter() - start:.0f} s, {peak:.0f} MB peak", flush=True)
    if given.real is None:
        return

    real = pd.read_csv(given.real)
    for label, name in ((0, "legitimate"), (1, "fraud")):
        distance = kolmogorov(simulated, real, label)
        print(
            f"{name}: Kolmogorov distance up to {distance.max():.3f} ({distance.idxmax()}), mean {distance.mean():.3f}"
        )
        print(f"{name}: correlations differ by {correlation_gap(simulated, real, label):.3f} on average")
        near = nearest(simulated, real, label).quantile([0, 0.01, 0.05, 0.5])
        print(
            f"{name}: distance to the nearest real row, quantiles 0, .01, .05, .5\n{near.round(3).T.to_string()}",
            flush=True,
        )
    print(f"nearer to fitted rows than to those held out: {nearer_to_fitted(simulated, real):.3f} of the rows")
    print(f"trained on simulated, tested on real: average precision {transfer(simulated, real):.3f}", flush=True)
    for name, model in (
        ("logistic regression", make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))),
        ("random forest", RandomForestClassifier(100, min_samples_leaf=5, n_jobs=-1, random_state=0)),
        ("histogram gradient boosting", HistGradientBoostingClassifier(random_state=0)),
        ("XGBoost", XGBClassifier(n_estimators=150, max_depth=6)),
    ):
        print(f"told apart by {name}: ROC AUC {tell_apart(simulated, real, model):.3f}", flush=True)
    table = {"real": difficulty(real)}
    for seed in range(1, given.seeds + 1):
        table[f"seed {seed}"] = difficulty(simulate_transactions(284_807, seed=seed))
        print(pd.DataFrame(table).round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
