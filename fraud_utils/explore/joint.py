"""What columns show together: correlations within each class, and all rows on a plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from fraud_utils import intervals, words
from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema, duplicate_groups, share_of
from fraud_utils.explore.rates import KINDS, apart, in_words, shares
from fraud_utils.intervals import LEVEL
from fraud_utils.words import Finding


def correlations(frame: pd.DataFrame, schema: Schema, columns: Sequence[str], seed: int) -> pd.DataFrame:
    """Rank correlation of every pair of columns within each class, and the difference.

    Spearman's coefficient r. Intervals: Fisher's z with variance (1 + r² / 2) / (n - 3) (Bonett and Wright 2000,
    Psychometrika 65, 23-28); of a difference, from those of its two parts (Zou 2007, Psychological Methods 12,
    399-413). They hold together, but rest on values that vary well; what rare categories and columns full of zeros
    give by chance, labels that are drawn anew say.

    Parameters
    ----------
    columns : sequence of str
        Columns as models see them (`FeatureMap.names`).
    seed : int
        Of the labels drawn anew.

    Returns
    -------
    pandas.DataFrame
        A row a pair: `first`, `second`, `legitimate`, `fraud` (the coefficients), `difference` (fraud minus
        legitimate), `low`, `high`; `chance`, what no difference exceeds in 95 % of draws, all pairs together; and
        whether they `differ`: beyond chance, and with an interval without zero. NaN where a class has fewer than ten
        rows with both values, or fewer than ten off a column's median.
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
        of_class = pd.DataFrame(values)
        varies = of_class.sub(of_class.median()).abs().gt(0).sum().to_numpy() >= 10
        r = of_class.rank().corr(min_periods=10).to_numpy()[first, second]
        r[~(varies[first] & varies[second])] = np.nan
        n = (known.T @ known)[first, second]
        half = z * np.sqrt((1 + r**2 / 2) / np.maximum(n - 3, 1))
        inside = 1 - 1 / np.maximum(n, 2)  # a perfect correlation in few rows proves no perfect one
        centre = np.arctanh(r.clip(-inside, inside))
        table[kind], bounds[kind] = r, (np.tanh(centre - half), np.tanh(centre + half))
    (low0, high0), (low1, high1) = bounds["legitimate"], bounds["fraud"]
    table["difference"] = table["fraud"] - table["legitimate"]
    table["low"] = table["difference"] - np.hypot(table["fraud"] - low1, high0 - table["legitimate"])
    table["high"] = table["difference"] + np.hypot(high1 - table["fraud"], table["legitimate"] - low0)
    known = table["difference"].notna()
    table["chance"] = np.nan
    if known.any():
        share = share_of(frame)
        table.loc[known, "chance"] = _chance(X, label, share, (first[known], second[known]), seed)
    clear = (table["low"] > 0) | (table["high"] < 0)
    table["differ"] = clear & (table["difference"].abs() > table["chance"])
    return table


def _chance(
    X: np.ndarray, label: np.ndarray, share: float, pairs: tuple[np.ndarray, ...], seed: int, draws: int = 499
) -> np.ndarray:
    """By pair, what the difference of two classes' rank correlations stays under if labels mean nothing.

    Each difference is measured in its own standard deviations over the draws; the largest of all pairs gives the
    limit (Westfall and Young 1993). Of many rows a sample is drawn from, and the limit is scaled to their number. Where
    only a share of the legitimate rows is here, frauds are drawn from as large a share.
    """
    rng, frauds = np.random.default_rng(seed), int(label.sum())
    pool = np.flatnonzero((label == 0) | (np.random.default_rng([seed, 1]).random(len(X)) < share))
    few = min(frauds, 1_000)
    rest = min(len(X) - frauds, len(pool) - few, 20_000)
    sample = pd.DataFrame(X[pool[rng.choice(len(pool), few + rest, replace=False)]]).rank()
    known = sample.notna().to_numpy(float)
    ranks = ((sample - sample.mean()) / max(len(sample), 1)).fillna(0).to_numpy()

    def sums(places: np.ndarray | slice) -> np.ndarray:
        x, there = ranks[places], known[places]
        return np.stack([there.T @ there, x.T @ there, (x * x).T @ there, x.T @ x])

    def correlation(n: np.ndarray, x: np.ndarray, xx: np.ndarray, xy: np.ndarray) -> np.ndarray:
        variance = (xx - x * x / n)[pairs] * (xx - x * x / n).T[pairs]
        return (xy - x * x.T / n)[pairs] / np.sqrt(np.where(variance > 1e-18, variance, np.nan))

    total, differences = sums(slice(None)), np.zeros((draws, len(pairs[0])))
    with np.errstate(divide="ignore", invalid="ignore"):
        for row in differences:
            part = sums(rng.choice(len(ranks), few, replace=False, shuffle=False))
            row[:] = np.nan_to_num(correlation(*part) - correlation(*(total - part)))
    spread = np.sqrt((differences**2).mean(axis=0))
    largest = (np.abs(differences) / np.where(spread > 0, spread, np.inf)).max(axis=1)
    scale = np.sqrt((1 / frauds + 1 / (len(X) - frauds)) / (1 / few + 1 / rest))
    return np.quantile(largest, LEVEL, method="higher") * spread * scale


def correlations_finding(table: pd.DataFrame) -> Finding:
    """How many pairs are correlated differently in the two classes, and which of them most."""
    known = table.dropna(subset=["difference"])
    if known.empty:
        return Finding("No pair of columns has enough values in both classes to compare their correlations.")
    differ = known[known["differ"]]
    pairs = f"of {words.count(len(known), 'pair')} of columns"
    if differ.empty:
        return Finding(
            f"None {pairs} is shown to be correlated differently among frauds than among legitimate rows.",
            "Every difference is within what labels drawn at random give.",
        )
    widest = differ.loc[differ["difference"].abs().idxmax()]
    stronger = int((differ["fraud"].abs() > differ["legitimate"].abs()).sum())
    difference = words.decimals_between(widest["difference"], widest[["low", "high"]].tolist(), 2)
    return Finding(
        f"{len(differ):,} {pairs} {'is' if len(differ) == 1 else 'are'} correlated differently among frauds, "
        f"{stronger:,} of them more strongly.",
        f"The largest observed difference is that of {words.code(widest['first'])} and {words.code(widest['second'])}: "
        f"{difference}, from a rank correlation of {words.decimals(widest['legitimate'], 2)} among legitimate "
        f"rows to {words.decimals(widest['fraud'], 2)} among frauds.",
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
        f"{in_words(row, 'legitimate_')} of legitimate rows"
    )
    plane = (
        f"The sample has {fraud.sum():,} of each class; the two axes hold "
        f"{words.percent(sum(table.attrs['explained']))} of its variance."
    )
    if apart(row, "fraud_", "legitimate_") > 0:
        return Finding(f"On a plane drawn without the labels, frauds partly stand apart: {compared}.", plane)
    return Finding(f"On a plane drawn without the labels, frauds are not shown to stand apart: {compared}.", plane)
