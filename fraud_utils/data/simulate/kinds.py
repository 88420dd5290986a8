"""Frauds, and legitimate transactions that look like frauds: a Gaussian copula for each kind."""

import numpy as np
import pandas as pd

from fraud_utils.data.simulate import quantiles
from fraud_utils.data.simulate.quantiles import GRID, SCORE_GRID

KIND_BINS = 16  # quantile bins of a column
FACTORS = 14
INPUTS = [*(f"V{i}" for i in range(1, 29)), "Amount"]


def fit_kinds(rows: pd.DataFrame, kinds: dict[str, np.ndarray]) -> dict:
    """Quantiles over all kinds together, and each kind's moments of normal scores; ``kinds`` are masks of rows."""
    from scipy.stats import norm
    from sklearn.covariance import OAS

    rng = np.random.default_rng(0)
    members = np.logical_or.reduce(list(kinds.values()))
    columns = rows.loc[members, INPUTS].to_numpy().T
    scores = norm.ppf(np.column_stack([quantiles.uniform_rank(x, rng) for x in columns]))
    fitted = []
    for name, kind in kinds.items():
        z = scores[kind[members]]
        covariance = OAS().fit(z).covariance_
        values, vectors = np.linalg.eigh(covariance)
        factor = vectors[:, -FACTORS:] * np.sqrt(values[-FACTORS:])
        noise = np.sqrt(np.maximum(np.diag(covariance) - (factor**2).sum(1), 0.01))
        fitted.append(
            {
                "name": name,
                "days": days_of(rows, kind),
                "mean": np.rint(z.mean(0) * SCORE_GRID).astype(int).tolist(),
                "factor": np.rint(factor * SCORE_GRID).astype(int).tolist(),
                "noise": np.rint(noise * SCORE_GRID).astype(int).tolist(),
            }
        )
    return {
        "quantiles": [quantiles.knots(x, KIND_BINS) for x in columns[:-1]],
        "amounts": quantiles.amounts(columns[-1], quantiles.QUANTILE_ROWS),
        "kinds": fitted,
    }


def days_of(rows: pd.DataFrame, kind: np.ndarray) -> list[int]:
    """How many of a kind on the first day, and on the second."""
    first_day = rows["Time"].to_numpy() < 86_400
    return [int((kind & first_day).sum()), int((kind & ~first_day).sum())]


def draw_kinds(table: np.ndarray, fitted: dict, kind: np.ndarray, shift: np.ndarray, rng: np.random.Generator) -> None:
    """Write V1..V28 and the amount into the columns of the table that are of one of the fitted kinds.

    Parameters
    ----------
    table : numpy.ndarray, shape (29, rows)
    fitted : dict
        As ``fit_kinds`` returns it.
    kind : numpy.ndarray of int, shape (rows,)
        The kind's number; others than the fitted ones' are passed over.
    shift : numpy.ndarray, shape (29, rows)
        Added to the normal scores: where a kind has drifted to.
    """
    members = np.flatnonzero((kind >= 0) & (kind < len(fitted["kinds"])))
    score = shift[:, members]
    for i, of_kind in enumerate(fitted["kinds"]):
        those = np.flatnonzero(kind[members] == i)
        mean, factor, noise = (np.asarray(of_kind[part], float) for part in ("mean", "factor", "noise"))
        common = np.rint(rng.standard_normal((factor.shape[1], those.size)) * GRID)
        own = rng.standard_normal((29, those.size))
        score[:, those] += (mean[:, None] + factor @ common / GRID + noise[:, None] * own) / SCORE_GRID
    level = quantiles.normal_cdf(score)
    bins = level * KIND_BINS
    inside = np.minimum(bins.astype(int), KIND_BINS - 1)
    for j, knots in enumerate(fitted["quantiles"]):
        table[j, members] = quantiles.at(inside[j], bins[j] - inside[j], knots, KIND_BINS).round(6)
    table[28, members] = quantiles.amount_at(level[28], fitted["amounts"])
