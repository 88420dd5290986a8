"""Where the comparison's time goes: seconds of one fit of each candidate, on one thread, and its share of the total."""

import os
from pathlib import Path

import numpy as np

from fraud_utils import data as tables
from fraud_utils import models
from fraud_utils.artifact import FeatureMap
from fraud_utils.evaluation import fits
from fraud_utils.evaluation import metrics as evaluate
from fraud_utils.evaluation.fits import Fit

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    path = os.environ.get("FRAUD_DATA") or ROOT.parent / "shared" / "data" / "creditcard.csv.zip"
    columns = tables.Schema.read("")
    split = tables.split_by_time(tables.load_transactions(str(path), columns), columns)
    features = FeatureMap.fit(columns, split.train)
    X, y = features.matrix(split.train), split.train[columns.label].to_numpy()
    fold_of = evaluate.assign_folds(tables.fold_groups(split.train, columns), y, 3, 7)
    rows = np.flatnonzero(fold_of != 0), np.flatnonzero(fold_of == 0)
    for profile in ("full", "quick"):
        listed = [c for c in models.candidates(profile, features=features) if c.learner != "average"]
        done = fits.run([Fit(candidate, *rows) for candidate in listed], X, y, profile, n_jobs=1)
        total = sum(fitted.seconds for fitted in done)
        print(f"{profile}: {len(listed)} candidates, {total:.0f} s to fit each once on {len(rows[0]):,} rows")
        for candidate, fitted in sorted(zip(listed, done, strict=True), key=lambda pair: -pair[1].seconds):
            print(f"  {candidate.name:42s} {fitted.seconds:6.1f} s {fitted.seconds / total:6.1%}")


if __name__ == "__main__":
    main()
