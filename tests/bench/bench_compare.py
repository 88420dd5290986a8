"""Where the comparison's time goes: seconds of one fit of each candidate, on one thread, and its share of the total."""

import os
from pathlib import Path

from fraud_utils import models
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import ULB, load_transactions, split_transactions
from fraud_utils.evaluation import Rows, fits
from fraud_utils.evaluation.fits import Fit
from fraud_utils.evaluation.scores import folds_of

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    path = os.environ.get("FRAUD_DATA") or ROOT.parent / "shared" / "data" / "creditcard.csv.zip"
    split = split_transactions(load_transactions(str(path), ULB), ULB)
    features = FeatureMap.fit(ULB, split.train)
    rows = Rows.of(split.train, ULB, features)
    part = folds_of(rows, folds=3, seed=7)[0]
    for profile in ("full", "quick"):
        listed = [candidate for candidate in models.candidates(profile, features=features) if not candidate.members]
        done = fits.run([Fit(candidate, *part) for candidate in listed], rows.X, rows.y, profile, n_jobs=1)
        total = sum(fitted.seconds for fitted in done)
        print(f"{profile}: {len(listed)} candidates, {total:.0f} s to fit each once on {len(part[0]):,} rows")
        for candidate, fitted in sorted(zip(listed, done, strict=True), key=lambda pair: -pair[1].seconds):
            print(f"  {candidate.name:42s} {fitted.seconds:6.1f} s {fitted.seconds / total:6.1%}")


if __name__ == "__main__":
    main()
