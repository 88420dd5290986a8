"""Settings judged as notebook 02's search judges them: what each job of a tuning job does instead of making a model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fraud_utils import models
from fraud_utils.data import later_parts
from fraud_utils.training.hyperparameters import Hyperparameters
from fraud_utils.training.material import Material

SEED = 500  # is added to the job's for the folds, which are not those of the comparison in notebook 02


def judge(material: Material, hyperparameters: Hyperparameters, stop: Callable[[], bool]) -> None:
    """Fit on the past and score the block of time that follows, so often, or hold out folds of whole groups.

    Leaves the mean average precision in the log, and the number of rounds after which it was highest.
    """
    from sklearn.metrics import average_precision_score

    rows, settings = material.train, hyperparameters.booster | {"categorical": material.features.coded}
    groups = np.arange(len(rows.y)) if rows.groups is None else rows.groups
    folds, seed, delay = hyperparameters.folds, hyperparameters.seed + SEED, hyperparameters.schema.label_delay_days
    parts = later_parts(rows.y, rows.time, groups, folds, seed, delay)
    after, reached = models.stops(int(settings["num_round"])), []
    for number, (fitted, new) in enumerate(parts, 1):
        if stop():
            print("stopped by SIGTERM; the settings are not judged", flush=True)
            return
        booster = models.fit_xgboost(
            rows.X[fitted],
            rows.y[fitted],
            hyperparameters.imbalance,
            settings,
            hyperparameters.seed,
            hyperparameters.nthread,
            weight=None if rows.weight is None else rows.weight[fitted],
        )
        scored = models.margins(bytes(booster.save_raw("ubj")), after, rows.X[new])
        reached.append([average_precision_score(rows.y[new], margin) for margin in scored])
        print(f"fold:{number}; fold_average_precision:{max(reached[-1]):.6f};", flush=True)
    mean = np.mean(reached, axis=0)
    best = int(mean.argmax())
    print(f"cv_average_precision:{mean[best]:.6f}; cv_rounds:{after[best]};", flush=True)
