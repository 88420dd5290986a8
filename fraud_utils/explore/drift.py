"""Whether the test part looks like the training part, labels aside."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from fraud_utils import intervals, words
from fraud_utils.data import Schema, Split
from fraud_utils.explore.time import DAY, HOUR, NO_TIME
from fraud_utils.words import Finding

BANDS = {"moderate": 0.1, "large": 0.25}  # the usual ones of the stability index (Siddiqi 2006)


def stability(split: Split, schema: Schema, bins: int = 10) -> pd.DataFrame:
    """Population stability index of every column between the training and the test part, largest first.

    The sum over bins of (q - p) ln(q / p), p and q being the bin's shares of training and test rows (Siddiqi 2006,
    Credit Risk Scorecards; it is the symmetric divergence of Kullback and Leibler 1951). Bins are the training part's
    deciles, one more on either side of its range, one for missing values; of text columns, the values. Every count
    is raised by one half so that an empty bin stays finite.

    Returns
    -------
    pandas.DataFrame
        By `column`: `psi`; `chance`, what it stays under without any drift (chi-square with as many degrees of
        freedom as filled bins less one, times 1 / train rows + 1 / test rows: Yurdakul 2018; all columns together at
        95 %); `band` ("stable", or as in `BANDS`); `psi_same_hours`, the index against only those training rows that
        fall into the hours of the day that the test part covers. Empty without a time column.
    """
    if not schema.time:
        return pd.DataFrame()
    hour_train, hour_test = (part[schema.time].to_numpy() % DAY // HOUR for part in (split.train, split.test))
    same = np.isin(hour_train, np.unique(hour_test))
    columns = [*schema.numeric, *schema.categorical]
    rows = []
    for name in columns:
        train, test = _binned(split.train[name], split.test[name], bins)
        size = max(train.max(), test.max()) + 1
        before, after, before_same = (np.bincount(codes, minlength=size) for codes in (train, test, train[same]))
        freedom = max(int(((before + after) > 0).sum()) - 1, 1)
        scale = 1 / len(train) + 1 / len(test)
        rows.append(
            {
                "column": name,
                "psi": _psi(before, after),
                "chance": float(stats.chi2.ppf(intervals.together(len(columns)), freedom) * scale),
                "psi_same_hours": _psi(before_same, after) if same.any() else np.nan,
            }
        )
    table = pd.DataFrame(rows).sort_values("psi", ascending=False, kind="stable").set_index("column")
    edges = [-np.inf, *BANDS.values(), np.inf]
    table.insert(2, "band", pd.cut(table["psi"], edges, right=False, labels=["stable", *BANDS]).astype(str))
    return table


def _binned(train: pd.Series, test: pd.Series, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes of bins learned from `train`; 0 stands for a missing value."""
    if train.dtype.kind not in "fiu":
        both = pd.concat([train.astype(object), test.astype(object)])
        codes = pd.factorize(both)[0] + 1
        return codes[: len(train)], codes[len(train) :]
    known = train.dropna().to_numpy()
    if not len(known):
        return train.notna().to_numpy(np.int64), test.notna().to_numpy(np.int64)
    inner = np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])
    edges = np.unique(np.concatenate([[np.nextafter(known.min(), -np.inf)], inner, [known.max()]]))
    return tuple(np.where(part.isna(), 0, 1 + np.searchsorted(edges, part.to_numpy())) for part in (train, test))  # type: ignore[return-value]


def _psi(before: np.ndarray, after: np.ndarray) -> float:
    filled = (before + after) > 0
    p, q = (counts[filled] + 0.5 for counts in (before, after))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def stability_finding(table: pd.DataFrame, split: Split, schema: Schema) -> Finding:
    """Which columns have shifted, beyond chance and by the usual bands, and what the time of day has to do with it."""
    if table.empty:
        return Finding(f"{NO_TIME}drift along time cannot be seen: both parts were drawn at random from the same rows.")
    moderate, large = BANDS["moderate"], BANDS["large"]
    beyond_chance = table["psi"] > table["chance"]
    shifted = table[(table["psi"] >= moderate) & beyond_chance]
    largest = f"the largest index is {words.plain(table['psi'].iloc[0])}, of {words.code(table.index[0])}"
    detail = (
        f"{beyond_chance.sum():,} of {words.count(len(table), 'column')} moved more than chance explains."
        f"{_other_hours(shifted, split, schema)}"
    )
    if shifted.empty:
        bands = f"All indices are below {moderate}."
        if table["psi"].iloc[0] >= moderate:
            bands = f"Indices of {moderate} or more are within what chance gives in so few rows."
        return Finding(
            f"No column is shown to have shifted between the training and the test part: {largest}.",
            f"{bands} {detail}",
        )
    names = words.listed(map(words.code, shifted.index), 5)
    count = int((shifted["psi"] >= large).sum())
    return Finding(
        f"{words.count(len(shifted), 'column')} shifted between the training and the test part ({names}): {largest}.",
        f"{count:,} of them {'is' if count == 1 else 'are'} in the band called large (from {large}). {detail}",
    )


def _other_hours(shifted: pd.DataFrame, split: Split, schema: Schema) -> str:
    """How much of the shift is the time of day, where the test part is shorter than a day."""
    time = split.test[schema.time].to_numpy()
    if time[-1] - time[0] >= DAY:
        return ""
    sentence = f" The test part spans {words.duration(time[-1] - time[0])}, less than a day"
    if len(shifted) and shifted["psi_same_hours"].notna().all():
        again = int((shifted["psi_same_hours"] >= BANDS["moderate"]).sum())
        sentence += (
            f"; compared with the same hours of the training part, {again} of {len(shifted)} "
            f"{'is' if again == 1 else 'are'} still at {BANDS['moderate']} or more"
        )
    return f"{sentence}."
