"""Fit what ``Legitimate`` draws from: sources, probability trees over them, and the weights of what they propose.

Sequential trees follow Reiter 2005, "Using CART to generate partially synthetic public use microdata": the V's are
unmixed by ICA into near independent sources, many of them discrete, and the amount and each source are given by a
probability tree on the hour and the columns before it. The weights are boosted trees that tell real rows from
proposals, which estimates the ratio of their densities (as in Sugiyama, Suzuki and Kanamori 2012, "Density ratio
estimation in machine learning").
"""

import json

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.decomposition import FastICA
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from fraud_utils.data.simulate import quantiles, trees
from fraud_utils.data.simulate.kinds import INPUTS
from fraud_utils.data.simulate.legitimate import MIXING_GRID, Legitimate
from fraud_utils.data.simulate.quantiles import SCORE_GRID
from fraud_utils.data.simulate.trees import DIGITS, LEAF

V = INPUTS[:-1]
LEAF_ROWS = 100
COST_PER_LEAF = 0.0016  # bits of entropy a row that a leaf must save: sets the size of the file
WEIGHT_TREES = 150
RANGE = np.array([0.002, 0.998])  # quantiles between which the weights see differences
STRATA = np.array([0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995])  # quantiles of size
MOST = 1.5  # a proposal that is rarer among the proposals than among the real rows by more is kept no more often


def fit_sources(rows: pd.DataFrame, rng: np.random.Generator) -> dict:
    """Unmixed sources of the V's: mixing matrix, quantiles, and the probability trees over their quantile bins."""
    v, hour = rows[V].to_numpy(), rows["Time"].floordiv(3600).astype(int).to_numpy()
    far = np.abs(v / v.std(0)).max(1)
    core = np.flatnonzero(far < np.quantile(far, 0.97))  # outliers would steer the contrast
    ica = FastICA(28, whiten="unit-variance", fun="exp", max_iter=400, random_state=0)
    ica.fit(v[rng.permutation(core)[:150_000]])
    scale = np.std((v - ica.mean_) @ ica.components_.T, axis=0)
    unmix = ica.components_ / scale[:, None]
    mean, mixing = np.round(ica.mean_, 4), np.rint(np.linalg.inv(unmix) * MIXING_GRID)
    sources = (v - mean) @ np.linalg.inv(mixing / MIXING_GRID).T
    columns = [rows["Amount"].to_numpy(), *sources.T]
    bins = DIGITS**2
    place = np.column_stack([quantiles.uniform_rank(x, rng) * bins for x in columns])
    codes = np.column_stack([hour, place.astype(int)])
    code = bytearray()
    for j in range(1, codes.shape[1]):
        high, low = codes[:, j] // DIGITS, codes[:, j] % DIGITS
        for known, target in ((np.zeros(len(codes), int), high), (high, low)):
            # The digit known so far takes column 0; the hour, the amount and the earlier sources follow.
            code += _encode_tree(np.column_stack([known, codes[:, :j]]), target)
        print("column", j, "trees so far", len(code), "bytes", flush=True)
    fitted = {
        "mean": mean.tolist(),
        "mixing": mixing.astype(int).tolist(),
        "quantiles": [quantiles.knots(x, bins) for x in columns[1:]],
        "amounts": quantiles.amounts(columns[0], 130),
        "tails": fit_tails(place, bins),
        "trees": trees.pack(bytes(code)),
        "ranges": [quantiles.quantiles(rows[c].to_numpy(), RANGE).round(2).tolist() for c in INPUTS],
        "scale": rows[V].std().round(2).tolist(),
    }
    none = {"edges": [], "levels": [0]}
    weights = {"count": 0, "step": 0, "full": 0, "trees": trees.pack(b""), "strata": {"far out": none, "amount": none}}
    weights |= fit_weights(Legitimate(fitted | {"weights": weights}), rows, rng)
    weights |= {"strata": fit_strata(Legitimate(fitted | {"weights": weights}), weights, rows, rng)}
    return fitted | {"weights": weights}


def fit_tails(place: np.ndarray, bins: int) -> list[int]:
    """How strongly each column's place within its outermost bins follows one factor that all columns share.

    Where several columns of a row are far out, they are so together: one large amount, one odd transaction.
    """
    first, last = place < 1, place >= bins - 1
    first[:, 0] = False  # the smallest amounts are no tail
    outward = norm.ppf(np.where(first, 1 - place, np.where(last, place - (bins - 1), np.nan)))
    correlation = pd.DataFrame(outward).corr(min_periods=LEAF_ROWS).to_numpy(copy=True)
    np.fill_diagonal(correlation, np.nan)
    weight = np.isfinite(correlation)
    correlation = np.where(weight, correlation, 0)
    loading = np.full(len(correlation), 0.7)
    for _ in range(50):  # alternating least squares, damped; a column that is seldom far out with others has none
        loading = (loading + (correlation @ loading) / np.maximum(weight @ loading**2, 1e-9)) / 2
        loading = loading.clip(0, 0.95)
    return np.rint(loading * SCORE_GRID).astype(int).tolist()


def fit_weights(proposals: Legitimate, rows: pd.DataFrame, rng: np.random.Generator) -> dict:
    """Boosted trees that tell real rows from proposals; their margin is the logarithm of the ratio of densities."""
    real, proposed = _real_and_proposed(proposals, rows, rng)
    X = np.hstack([proposals.codes(real), proposals.codes(proposed)]).T.astype("float32")
    y = np.repeat([1, 0], [len(rows), 2 * len(rows)])
    model = XGBClassifier(
        n_estimators=WEIGHT_TREES,
        max_depth=5,
        learning_rate=0.15,
        subsample=0.7,
        min_child_weight=LEAF_ROWS / 4,  # a row weighs at most a quarter
        base_score=0.5,
        n_jobs=1,
        random_state=0,
    ).fit(X, y, sample_weight=np.where(y == 1, 1, 0.5))
    dump = [json.loads(tree) for tree in model.get_booster().get_dump(dump_format="json")]
    step = max(abs(leaf) for tree in dump for leaf in _leaves(tree)) / (LEAF // 2 - 1)
    return {
        "count": len(dump),
        "step": quantiles.number(step),
        "full": len(dump) * LEAF // 2 + round(float(np.log(MOST)) / step),
        "trees": trees.pack(b"".join(trees.encode_weights(tree, step) for tree in dump)),
    }


def fit_strata(proposals: Legitimate, weights: dict, rows: pd.DataFrame, rng: np.random.Generator) -> dict:
    """Levels to add by how far out a row is and by its amount, so that each has its share among the rows kept.

    The trees alone keep too few large ones: real rows far out are where hardly any are proposed.
    """
    real, proposed = _real_and_proposed(proposals, rows, rng)
    level = proposals.level(proposed)
    edges, wanted, stratum, added = {}, {}, {}, {}
    for name, size in proposals.sizes(real).items():
        edges[name] = [quantiles.number(edge) for edge in quantiles.quantiles(size, STRATA).tolist()]
        wanted[name] = np.bincount(np.searchsorted(edges[name], size), minlength=len(STRATA) + 1) / len(rows)
        stratum[name] = np.searchsorted(edges[name], proposals.sizes(proposed)[name])
        added[name] = np.zeros(len(STRATA) + 1)
    for _ in range(30):
        for name in added:
            total = level + np.sum([added[other][stratum[other]] for other in added], axis=0)
            kept = np.exp(np.minimum(0, weights["step"] * (total - weights["full"])))
            found = np.bincount(stratum[name], kept, minlength=len(STRATA) + 1) / kept.sum()
            ratio = np.divide(wanted[name], found, out=np.ones(len(found)), where=(wanted[name] > 0) & (found > 0))
            added[name] += np.log(ratio) / weights["step"]
    return {name: {"edges": edges[name], "levels": np.rint(added[name]).astype(int).tolist()} for name in added}


def _real_and_proposed(
    proposals: Legitimate, rows: pd.DataFrame, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """V1..V28 and the amount, a row each, of the real rows and of twice as many proposals at the same hours."""
    hour = rows["Time"].floordiv(3600).astype(int).to_numpy()
    return rows[INPUTS].to_numpy().T, proposals.propose(np.repeat(hour, 2), rng)


def _leaves(node: dict) -> list[float]:
    if "leaf" in node:
        return [node["leaf"]]
    return [leaf for child in node["children"] for leaf in _leaves(child)]


def _encode_tree(X: np.ndarray, y: np.ndarray) -> bytes:
    """A probability tree, fitted and as bytes."""
    model = DecisionTreeClassifier(
        criterion="entropy", min_samples_leaf=LEAF_ROWS, max_leaf_nodes=256, ccp_alpha=COST_PER_LEAF, random_state=0
    )
    return trees.encode_probabilities(model.fit(X.astype("float32"), y).tree_)
