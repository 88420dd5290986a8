"""When: how many transactions fall on each hour, and how the kinds of fraud drift from day to day."""

import numpy as np

KIND_DRIFT = 0.25  # standard deviation of a kind's log weight from one day to the next, after the two fitted days
MEAN_DRIFT = 0.1  # the same for the place of a kind, in normal scores


def hourly_weights(aggregates: dict, days: int, plan: np.random.Generator) -> list[np.ndarray]:
    """Expected share of each hour, by class: the two fitted days in turn, later ones of random size."""
    size = np.exp(0.1 * plan.standard_normal(days))
    size[:2] = 1
    return [
        np.concatenate([np.asarray(weight, float).reshape(2, 24)[day % 2] * size[day] for day in range(days)])
        for weight in aggregates["hourly"]
    ]


def kind_drift(aggregates: dict, days: int, plan: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each day's weights of the fraud kinds and the shift of their means: fitted for two days, then random walks."""
    kinds = aggregates["fraud"]["kinds"]
    fitted = np.array([*(kind["days"] for kind in kinds), aggregates["fraud"]["camouflaged"]], float).T
    walk = np.zeros(len(kinds) + 1)
    shift = np.zeros((len(kinds) + 1, 29))
    drift = []
    for day in range(days):
        if day > 1:
            walk = 0.9 * walk + KIND_DRIFT * plan.standard_normal(walk.shape)
            shift = 0.9 * shift + MEAN_DRIFT * plan.standard_normal(shift.shape)
        weight = fitted[day % 2] * np.exp(walk)
        drift.append((weight / weight.sum(), shift.copy()))
    return drift
