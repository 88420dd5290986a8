"""What columns show together: correlations within each class, and all transactions on a plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from fraud_utils import intervals, words
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema, duplicate_groups
from fraud_utils.explore.rates import KINDS, apart, in_words, shares
from fraud_utils.words import Finding


def correlations(frame: pd.DataFrame, schema: Schema, columns: Sequence[str]) -> pd.DataFrame:
    """Rank correlation of every pair of columns within each class, and the difference.

    Spearman's coefficient r. Intervals: Fisher's z with variance (1 + r² / 2) / (n - 3) (Bonett and Wright 2000,
    Psychometrika 65, 23-28); of a difference, from those of its two parts (Zou 2007, Psychological Methods 12,
    399-413). They hold together.

    Parameters
    ----------
    columns : sequence of str
        Columns as models see them (`FeatureMap.names`), at least two.

    Returns
    -------
    pandas.DataFrame
        A row a pair: `first`, `second`, `legitimate`, `fraud` (the coefficients), `difference` (fraud minus
        legitimate), `low`, `high`. NaN where a column does not vary or fewer than ten rows have both values.
    """
    features = FeatureMap.fit(schema, frame)
    place = [features.names.index(name) for name in columns]
    X, label = features.matrix(frame)[:, place], frame[schema.label].to_numpy()
    first, second = np.triu_indices(len(columns), 1)
    z = stats.norm.ppf((1 + intervals.together(len(first))) / 2)
    names = np.asarray(columns, dtype=object)
    table = pd.DataFrame({"first": names[first], "second": names[second]})
    bounds = {}
    for code, kind in enumerate(KINDS):
        values = X[label == code]
        known = (~np.isnan(values)).astype(np.float64)
        r = pd.DataFrame(values).rank().corr(min_periods=10).to_numpy()[first, second]
        n = (known.T @ known)[first, second]
        half = z * np.sqrt((1 + r**2 / 2) / np.maximum(n - 3, 1))
        inside = 1 - 1 / np.maximum(n, 2)  # a perfect correlation in few rows proves no perfect one
        centre = np.arctanh(r.clip(-inside, inside))
        table[kind], bounds[kind] = r, (np.tanh(centre - half), np.tanh(centre + half))
    (low0, high0), (low1, high1) = bounds["legitimate"], bounds["fraud"]
    table["difference"] = table["fraud"] - table["legitimate"]
    table["low"] = table["difference"] - np.hypot(table["fraud"] - low1, high0 - table["legitimate"])
    table["high"] = table["difference"] + np.hypot(high1 - table["fraud"], table["legitimate"] - low0)
    return table


def correlations_finding(table: pd.DataFrame) -> Finding:
    """How many pairs are correlated differently in the two classes, and which of them most."""
    known = table.dropna(subset=["difference"])
    if known.empty:
        return Finding("No pair of columns has enough values in both classes to compare their correlations.")
    differ = known[(known["low"] > 0) | (known["high"] < 0)]
    pairs = f"of {words.count(len(known), 'pair')} of columns"
    if differ.empty:
        return Finding(
            f"None {pairs} is shown to be correlated differently among frauds than among legitimate transactions.",
            "Every interval of a difference contains zero.",
        )
    widest = differ.loc[differ["difference"].abs().idxmax()]
    stronger = int((differ["fraud"].abs() > differ["legitimate"].abs()).sum())
    difference = words.decimals_between(widest["difference"], widest[["low", "high"]].tolist(), 2)
    return Finding(
        f"{len(differ):,} {pairs} {'is' if len(differ) == 1 else 'are'} correlated differently among frauds, "
        f"{stronger:,} of them more strongly.",
        f"The largest observed difference is that of {words.code(widest['first'])} and {words.code(widest['second'])}: "
        f"{difference}, from a rank correlation of {words.decimals(widest['legitimate'], 2)} among legitimate "
        f"transactions to {words.decimals(widest['fraud'], 2)} among frauds.",
    )


def projection(frame: pd.DataFrame, schema: Schema, seed: int, per_class: int = 500) -> pd.DataFrame:
    """Two principal components of a sample with as many frauds as legitimate transactions, copies left out.

    Each column is ranked and put on a normal scale first, so that no outlier spans an axis; missing values take the
    median. The labels choose the sample and nothing else.

    Returns
    -------
    pandas.DataFrame
        `x`, `y`, `kind`; `attrs["explained"]` holds the two components' shares of the variance.
    """
    from sklearn.decomposition import PCA

    _, first = np.unique(duplicate_groups(frame, schema), return_index=True)
    label = frame[schema.label].to_numpy()[first]
    size = min(per_class, int(label.sum()), int((label == 0).sum()))
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(np.concatenate([rng.choice(first[label == code], size, replace=False) for code in (0, 1)]))
    X = FeatureMap.fit(schema, frame).matrix(frame.iloc[chosen])
    ranks = pd.DataFrame(X).rank()
    scores = np.nan_to_num(stats.norm.ppf((ranks - 0.5) / ranks.count()))  # 0, the median, where a value is missing
    spread = scores.std(axis=0)
    varying = scores[:, spread > 0] / spread[spread > 0]
    points, explained = np.zeros((len(X), 2)), np.zeros(2)
    if axes := min(2, *varying.shape):
        pca = PCA(axes, svd_solver="full").fit(varying)
        points[:, :axes], explained[:axes] = pca.transform(varying), pca.explained_variance_ratio_
    kind = np.take(KINDS, frame[schema.label].to_numpy()[chosen])
    table = pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "kind": kind})
    table.attrs["explained"] = explained.tolist()
    return table


def projection_finding(table: pd.DataFrame, neighbours: int = 15) -> Finding:
    """Whether frauds lie among frauds: the majority of each point's nearest neighbours, the point itself left out."""
    from sklearn.neighbors import NearestNeighbors

    fraud = (table["kind"] == "fraud").to_numpy()
    k = min(neighbours, len(table) - 1)
    near = NearestNeighbors(n_neighbors=k).fit(table[["x", "y"]]).kneighbors(return_distance=False)
    among = fraud[near].mean(axis=1) > 0.5
    of_class = shares([among[fraud].sum(), among[~fraud].sum()], [fraud.sum(), (~fraud).sum()], intervals.together(2))
    row = pd.concat([of_class.loc[0].add_prefix("fraud_"), of_class.loc[1].add_prefix("legitimate_")])
    compared = (
        f"{in_words(row, 'fraud_')} of frauds have mostly frauds among their {k} nearest neighbours, compared with "
        f"{in_words(row, 'legitimate_')} of legitimate transactions"
    )
    plane = (
        f"The sample has {fraud.sum():,} of each class; the two axes hold "
        f"{words.percent(sum(table.attrs['explained']))} of its variance."
    )
    if apart(row, "fraud_", "legitimate_") > 0:
        return Finding(f"On a plane drawn without the labels, frauds partly stand apart: {compared}.", plane)
    return Finding(f"On a plane drawn without the labels, frauds are not shown to stand apart: {compared}.", plane)
