"""Fit the aggregates that ``simulate`` draws from: ``python -m fraud_utils.simulate_fit creditcard.csv.zip``.

Needs the real file, about two minutes and 2 GB. What it writes are shares, moments and quantiles only: a leaf of a
probability tree rests on at least ``LEAF_ROWS`` rows, a leaf of a weight on as many, real and proposed together, a
stratum on nearly as many real ones, a quantile on an average of ``QUANTILE_ROWS`` or more, an amount is named only when
at least ``QUANTILE_ROWS`` transactions have it, a kind's moments are those of whole groups, and all are rounded. The
trees are bytes, packed; ``simulate`` says how they are read.

Legitimate transactions follow sequential trees (Reiter 2005, "Using CART to generate partially synthetic public
use microdata"): the V's are unmixed by ICA into near independent sources, many of them discrete, and the amount and
each source are given by a probability tree on the hour and the columns before it. What these propose is kept by weight:
boosted trees tell real rows from proposals, which estimates the ratio of their densities (as in Sugiyama, Suzuki and
Kanamori 2012, "Density ratio estimation in machine learning"). All of this is fitted on two thirds of the seconds;
the rest tests it.

Frauds and the legitimate transactions that look like frauds follow Gaussian copulas, one for each kind. The kinds are
told apart by who finds them out of fold: a linear model, a tree model, both or neither; those that neither finds are
drawn like legitimate transactions.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.covariance import OAS
from sklearn.decomposition import FastICA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits
from xgboost import XGBClassifier

from fraud_utils.data.simulate.generate import (
    AGGREGATES,
    DIGITS,
    KIND_BINS,
    LEAF,
    MIXING_GRID,
    QUANTILE_GRID,
    SCORE_GRID,
    Legitimate,
    pack,
)

V = [f"V{i}" for i in range(1, 29)]
LEAF_ROWS = 100
QUANTILE_ROWS = 20
FOLDS = 3
LOOK_ALIKES = 400  # legitimate rows, of 283,253, that the two models find most like fraud
FOUND, LOST = 60, 3_000  # a fraud is found with fewer legitimate rows ahead of it, lost with more
FAR = 14.0  # standard deviations that some V of a fraud far out reaches
COST_PER_LEAF = 0.0016  # bits of entropy a row that a leaf must save: sets the size of the file
LEVELS = 24  # steps of the square root of a leaf's largest share
WEIGHT_TREES = 150
RANGE = np.array([0.002, 0.998])  # quantiles between which the weights see differences
STRATA = np.array([0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995])  # quantiles of size
MOST = 1.5  # a proposal that is rarer among the proposals than among the real rows by more is kept no more often
FACTORS = 14


def main(arguments: list[str] | None = None) -> None:
    """Read the real file, fit and write the aggregates."""
    parser = argparse.ArgumentParser(prog="python -m fraud_utils.simulate_fit", description=__doc__.splitlines()[0])
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
    rate = float(frame["Class"].mean())

    rows = frame.drop_duplicates(ignore_index=True)
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
    camouflaged = fraud & lost
    print({name: int(kind.sum()) for name, kind in kinds.items()}, "camouflaged", int(camouflaged.sum()))
    return {
        "about": {
            "source": "Aggregates of the credit card transactions by the Machine Learning Group of the Université "
            "libre de Bruxelles (creditcard.csv, 284,807 rows; OpenML 1597, Kaggle mlg-ulb/creditcardfraud)",
            "licence": "Database Contents License (DbCL) v1.0",
            "written by": "python -m fraud_utils.simulate_fit; hourly counts and counts of copies apart, "
            "no number rests on fewer than 20 rows; the weights' are of real rows and proposals together",
        },
        "rate": round(rate, 6),
        "hourly": hourly,
        "copies": copies,
        "legitimate": fit_sources(rows[~fraud & ~alike & ~held_out(rows)], rng),
        "look-alike": {"share": round(alike.sum() / (~fraud).sum(), 6)} | fit_kinds(rows, {"look-alike": alike}),
        "fraud": {"camouflaged": _days(rows, camouflaged)} | fit_kinds(rows, kinds),
    }


def held_out(rows: pd.DataFrame) -> np.ndarray:
    """Rows of every third second: the fit of legitimate transactions does not see them, so that they can test it."""
    return rows["Time"].to_numpy() % 3 == 0


def _copies(sizes: pd.Series) -> tuple[float, list[int]]:
    """Share of rows that repeat an earlier one, and how many groups have 2, 3, 4, ... members."""
    return float((sizes - 1).sum() / sizes.sum()), np.bincount(sizes.clip(upper=6), minlength=7)[2:].tolist()


def out_of_fold(rows: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a linear and of a tree model, each row's by a model that saw no row of the same second."""
    X, y = rows[[*V, "Amount"]].to_numpy("float32"), rows["Class"].to_numpy()
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


# --- legitimate transactions -------------------------------------------------------------------------------------


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
    place = np.column_stack([_uniform_rank(x, rng) * bins for x in columns])
    codes = np.column_stack([hour, place.astype(int)])
    trees = bytearray()
    for j in range(1, codes.shape[1]):
        high, low = codes[:, j] // DIGITS, codes[:, j] % DIGITS
        for known, target in ((np.zeros(len(codes), int), high), (high, low)):
            # The digit known so far takes column 0; the hour, the amount and the earlier sources follow.
            trees += _encode_tree(np.column_stack([known, codes[:, :j]]), target)
        print("column", j, "trees so far", len(trees), "bytes", flush=True)
    fitted = {
        "mean": mean.tolist(),
        "mixing": mixing.astype(int).tolist(),
        "quantiles": [_knots(x, bins) for x in columns[1:]],
        "amounts": _amounts(columns[0], 130),
        "tails": fit_tails(place, bins),
        "trees": pack(bytes(trees)),
        "ranges": [_quantiles(rows[c].to_numpy(), RANGE).round(2).tolist() for c in [*V, "Amount"]],
        "scale": rows[V].std().round(2).tolist(),
    }
    none = {"edges": [], "levels": [0]}
    weights = {"count": 0, "step": 0, "full": 0, "trees": pack(b""), "strata": {"far out": none, "amount": none}}
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
        "step": _number(step),
        "full": len(dump) * LEAF // 2 + round(float(np.log(MOST)) / step),
        "trees": pack(b"".join(_encode_weights(tree, step) for tree in dump)),
    }


def fit_strata(proposals: Legitimate, weights: dict, rows: pd.DataFrame, rng: np.random.Generator) -> dict:
    """Levels to add by how far out a row is and by its amount, so that each has its share among the rows kept.

    The trees alone keep too few large ones: real rows far out are where hardly any are proposed.
    """
    real, proposed = _real_and_proposed(proposals, rows, rng)
    level = proposals.level(proposed)
    edges, wanted, stratum, added = {}, {}, {}, {}
    for name, size in proposals.sizes(real).items():
        edges[name] = [_number(edge) for edge in _quantiles(size, STRATA).tolist()]
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
    return rows[[*V, "Amount"]].to_numpy().T, proposals.propose(np.repeat(hour, 2), rng)


def _leaves(node: dict) -> list[float]:
    if "leaf" in node:
        return [node["leaf"]]
    return [leaf for child in node["children"] for leaf in _leaves(child)]


def _encode_weights(node: dict, step: float) -> bytes:
    """A boosted tree as ``simulate`` reads it: a leaf's level is its value in steps, and LEAF / 2 stands for none."""
    if "leaf" in node:
        return bytes([LEAF + LEAF // 2 + round(node["leaf"] / step)])
    below, above = sorted(node["children"], key=lambda child: child["nodeid"] != node["yes"])
    last = int(np.ceil(node["split_condition"])) - 1
    return (
        bytes([int(node["split"].removeprefix("f")), last])
        + _encode_weights(below, step)
        + _encode_weights(above, step)
    )


def _uniform_rank(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rank in (0, 1), ties in random order: an amount that many share fills an interval."""
    order = np.lexsort((rng.random(len(x)), x))
    rank = np.empty(len(x))
    rank[order] = (np.arange(len(x)) + 0.5) / len(x)
    return rank


def _encode_tree(X: np.ndarray, y: np.ndarray) -> bytes:
    """A probability tree as ``simulate`` reads it."""
    tree = (
        DecisionTreeClassifier(
            criterion="entropy",
            min_samples_leaf=LEAF_ROWS,
            max_leaf_nodes=256,
            ccp_alpha=COST_PER_LEAF,
            random_state=0,
        )
        .fit(X.astype("float32"), y)
        .tree_
    )

    def encode(node: int) -> bytes:
        if tree.children_left[node] < 0:
            share = tree.value[node, 0]
            levels = np.rint(np.sqrt(share / share.max()) * LEVELS).astype(int)
            return bytes((LEAF + levels).tolist())
        split = bytes([tree.feature[node], int(tree.threshold[node])])
        return split + encode(tree.children_left[node]) + encode(tree.children_right[node])

    return encode(0)


def _number(x: float, digits: int = 4) -> float:
    return float(f"{x:.{digits}g}")


def _tail(bins: int, rows: int) -> list[float]:
    """Levels below the first bin's edge, halving while enough rows remain."""
    levels, level = [], 0.5 / bins
    while level * rows >= QUANTILE_ROWS:
        levels.append(level)
        level /= 2
    return levels[::-1]


def _quantiles(x: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Each an average over the ``QUANTILE_ROWS`` values around it, so that none is a row's."""
    x = np.sort(x)
    near = QUANTILE_ROWS // 2
    at = np.clip((level * len(x)).astype(int), near, len(x) - near)
    return np.array([x[i - near : i + near].mean() for i in at])


def _knots(x: np.ndarray, bins: int) -> dict:
    """Levels are even between tails of halving levels; the ends make the outermost means right."""
    x, low = np.sort(x), _tail(bins, len(x))
    level = np.array([*low, *(np.arange(1, bins) / bins), *(1 - np.array(low[::-1]))])
    value = _quantiles(x, level)
    count = round(level[0] * len(x))
    first = 2 * x[:count].mean() - value[0]
    last = 2 * x[-count:].mean() - value[-1]
    value = np.maximum.accumulate([min(first, value[0]), *value, max(last, value[-1])])
    return {"tail": len(low), "values": np.rint(value * QUANTILE_GRID).astype(int).tolist()}


def _amounts(x: np.ndarray, at_least: int) -> list[list[float]]:
    """Distribution function of the amount: [amount, share below, share at or below], steps at the price points."""
    x = np.sort(x)
    value, count = np.unique(x, return_counts=True)
    points = value[count >= at_least]
    between = np.maximum(_knots(x, 32)["values"], 0) / QUANTILE_GRID
    table = []
    for amount in np.unique(np.round([0.0, *points, *between], 2)):
        below, upto = np.searchsorted(x, amount, "left") / len(x), np.searchsorted(x, amount, "right") / len(x)
        if amount not in points:  # no step: the share at this very amount is nobody's business
            below = upto = (below + upto) / 2
        table.append([_number(amount, 6), round(below, 5), round(upto, 5)])
    table[0][1], table[-1][2] = 0.0, 1.0
    return table


# --- frauds and what looks like them -----------------------------------------------------------------------------


def fit_kinds(rows: pd.DataFrame, kinds: dict[str, np.ndarray]) -> dict:
    """Quantiles over all kinds together, and each kind's moments of normal scores."""
    rng = np.random.default_rng(0)
    members = np.logical_or.reduce(list(kinds.values()))
    columns = rows.loc[members, [*V, "Amount"]].to_numpy().T
    scores = norm.ppf(np.column_stack([_uniform_rank(x, rng) for x in columns]))
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
                "days": _days(rows, kind),
                "mean": np.rint(z.mean(0) * SCORE_GRID).astype(int).tolist(),
                "factor": np.rint(factor * SCORE_GRID).astype(int).tolist(),
                "noise": np.rint(noise * SCORE_GRID).astype(int).tolist(),
            }
        )
    return {
        "quantiles": [_knots(x, KIND_BINS) for x in columns[:-1]],
        "amounts": _amounts(columns[-1], QUANTILE_ROWS),
        "kinds": fitted,
    }


def _days(rows: pd.DataFrame, kind: np.ndarray) -> list[int]:
    """How many of a kind on the first day, and on the second."""
    first_day = rows["Time"].to_numpy() < 86_400
    return [int((kind & first_day).sum()), int((kind & ~first_day).sum())]


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
