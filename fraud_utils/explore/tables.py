"""What a table of transactions says about itself: tidy tables, and findings that hold for any table.

Every table is numeric and tidy, and every finding is a sentence computed from such a table: where intervals overlap
it claims no difference. Intervals of one table hold together: with k of them each has the level
1 - (1 - `LEVEL`) / k (Bonferroni), so that picking the largest of them afterwards is allowed. They take transactions
as independent; frauds that come in bursts make them too narrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from scipy import stats

from fraud_utils.artifact import FeatureMap
from fraud_utils.data import Schema, Split, duplicate_groups

LEVEL = 0.95
MODERATE_SHIFT, LARGE_SHIFT = 0.1, 0.25
_HOUR, _DAY = 3600, 86_400


@dataclass(frozen=True)
class Finding:
    """A sentence that stands for itself, and what else belongs to it; a notebook shows both as Markdown."""

    headline: str
    detail: str = ""

    def _repr_markdown_(self) -> str:
        return _markdown(f"**{self.headline}** {self.detail}".rstrip())


def heading(frame: pd.DataFrame) -> str:
    """The table's name in Markdown, under a warning where the transactions are simulated."""
    provenance = frame.attrs["provenance"]
    lines = [f"The table: **{provenance['name']}**"]
    if provenance["simulated"]:
        lines.insert(
            0, "> **SIMULATED transactions.** They show how the notebook works and say nothing about real cards.\n"
        )
    return _markdown("\n".join(lines))


def summary(frame: pd.DataFrame, findings: Iterable[Finding]) -> str:
    """The headlines as a Markdown list under the table's name."""
    items = "\n".join(f"- {finding.headline}" for finding in findings)
    return _markdown(f"## Findings: {frame.attrs['provenance']['name']}\n\n{items}")


def styled(table: pd.DataFrame) -> Any:
    """A table as a page shows it: thousands separated, a share in percent with its interval, a dash for no value."""
    shown = pd.DataFrame(index=table.index)
    for name in table.columns:
        prefix, _, end = name.rpartition("_")
        prefix += "_" if prefix else ""
        if end in ("rate", "share") and f"{prefix}low" in table:
            shown[name] = [_rate(row, prefix) for _, row in table.iterrows()]
        elif not (end in ("low", "high") and {f"{prefix}rate", f"{prefix}share"} & set(table.columns)):
            shown[name] = [_short(value) for value in table[name]]
    if table.index.dtype.kind in "iuf":
        shown.index = pd.Index([_short(value) for value in table.index], name=table.index.name)
    nowrap = {"selector": "th, td", "props": "white-space: nowrap"}
    style = shown.rename(columns=lambda name: name.replace("_", " ")).style.set_table_styles([nowrap])
    return style.set_uuid(f"{crc32(' '.join(table.columns).encode()):08x}")  # not random: two runs give equal pages


def exact_interval(successes: Any, trials: Any, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Exact interval of a proportion; (0, 1) where nothing was tried.

    Clopper and Pearson (1934), Biometrika 26, 404-413. It covers at least at its level however few the successes;
    Wilson's does not when a handful of frauds meets the high levels of many intervals that hold together.

    Parameters
    ----------
    successes, trials : array of numbers
        `trials` need not be whole.

    Returns
    -------
    low, high : numpy.ndarray
    """
    successes, trials = np.broadcast_arrays(np.asarray(successes, float), np.asarray(trials, float))
    tail, failures = (1 - level) / 2, trials - successes
    low = np.where(successes > 0, stats.beta.ppf(tail, successes, failures + 1), 0.0)
    high = np.where(failures > 0, stats.beta.isf(tail, successes + 1, failures), 1.0)
    return low, high


def integrity(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Describe every column: role, missing and distinct values, range, and the most common value of a text column."""
    roles = dict.fromkeys(schema.features, "feature") | dict.fromkeys(schema.categorical, "categorical")
    roles |= {schema.label: "label", schema.time: "time"}
    roles |= {name: role for name, role in ((schema.amount, "amount"), (schema.entity, "entity")) if name}
    rows = []
    for name in schema.columns:
        column = frame[name]
        row = {"column": name, "role": roles[name], "missing": int(column.isna().sum())}
        row["distinct"] = column.nunique()
        if column.dtype.kind in "fiu":
            row |= {"minimum": float(column.min()), "median": float(column.median()), "maximum": float(column.max())}
        elif row["distinct"]:
            row["most_common"] = str(column.value_counts().index[0])
        rows.append(row)
    table = pd.DataFrame(rows).set_index("column")
    return table.fillna({"most_common": ""}) if "most_common" in table else table


def integrity_finding(table: pd.DataFrame, frame: pd.DataFrame, schema: Schema) -> Finding:
    """Size, span, missing values, constant columns and unusual amounts."""
    label, time = frame[schema.label].to_numpy(), frame[schema.time].to_numpy()
    missing = table["missing"][table["missing"] > 0].sort_values(ascending=False, kind="stable")
    if len(missing):
        gaps = (
            f"{_count(missing.sum(), 'value')} missing in {_count(len(missing), 'column')}, most of them in "
            f"{_code(missing.index[0])} ({_percent(missing.iloc[0] / len(frame))} of its rows)"
        )
    else:
        gaps = "no value is missing"
    detail = [f"They span {_duration(time[-1] - time[0])}, in {len(table)} columns."]
    if constant := [name for name in table.index if table["distinct"][name] < 2]:
        detail.append(f"One value only, and so nothing to learn from: {_list(map(_code, constant))}.")
    if schema.entity:
        detail.append(f"They belong to {table['distinct'][schema.entity]:,} values of {_code(schema.entity)}.")
    if schema.amount:
        amount = frame[schema.amount].to_numpy()
        for kind, chosen in (("zero", amount == 0), ("negative", amount < 0)):
            if chosen.any():
                are = "amount is" if chosen.sum() == 1 else "amounts are"
                detail.append(f"{chosen.sum():,} {are} {kind}; frauds among them: {label[chosen].sum():,}.")
    return Finding(f"{len(frame):,} transactions, {_count(label.sum(), 'fraud')}; {gaps}.", " ".join(detail))


def class_sizes(split: Split, schema: Schema) -> pd.DataFrame:
    """Rows and frauds of the training part, the test part and both, with the fraud rate's interval."""
    rows = np.array([split.train_rows + split.test_rows, split.train_rows, split.test_rows])
    frauds = np.array([split.train_frauds + split.test_frauds, split.train_frauds, split.test_frauds])
    return _rates(rows, frauds, ["all", "training", "test"], _together(3)).rename_axis("part")


def imbalance_finding(table: pd.DataFrame, seed: int) -> Finding:
    """How rare fraud is, what accuracy is worth, and whether the two parts differ."""
    whole, train, test = (table.loc[part] for part in ("all", "training", "test"))
    both = table.loc[["training", "test"]]
    _, p_value = chi_square(both["rows"].to_numpy(), both["frauds"].to_numpy(), seed)
    verdict = "no change is claimed"
    if p_value <= 1 - LEVEL:
        verdict = f"fraud is {'rarer' if test['rate'] < train['rate'] else 'more frequent'} in the test part"
    test_of_parts = f"chi-square, permutation p {_p(p_value)}, level {_percent(1 - LEVEL)}"
    parts = f"The fraud rate is {_rate(train)} before the cut and {_rate(test)} after it; {verdict} ({test_of_parts})."
    ratio = whole["rows"] / whole["frauds"]
    rarity = f"one transaction in {ratio:,.0f}" if ratio >= 10 else f"{_percent(whole['rate'])} of transactions"
    return Finding(
        f"Fraud is {rarity}: {whole['frauds']:,.0f} of {whole['rows']:,.0f}, {test['frauds']:,.0f} in the test part.",
        f"Calling everything legitimate would be right {_percent(1 - whole['rate'])} of the time and find no fraud: "
        f"accuracy has to be read against that. {parts}",
    )


def volume(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Transactions and frauds along the whole table, by the hour or, beyond two weeks, by the day.

    Returns
    -------
    pandas.DataFrame
        `day` (in days from the first row's midnight, the bin's start), `rows`, `frauds`, `bin_hours`.
    """
    time = frame[schema.time].to_numpy()
    width = _HOUR if time[-1] - time[0] <= 14 * _DAY else _DAY
    place = (time // width).astype(np.int64)
    start = place[0]
    rows = np.bincount(place - start)
    frauds = np.bincount(place - start, weights=frame[schema.label]).astype(np.int64)
    day = day_of(np.arange(start, start + len(rows)) * width, frame, schema)
    return pd.DataFrame({"day": day, "rows": rows, "frauds": frauds, "bin_hours": width // _HOUR})


def day_of(time: Any, frame: pd.DataFrame, schema: Schema) -> Any:
    """Seconds of the table's time column as days from the midnight before its first row."""
    return (time - frame[schema.time].iloc[0] // _DAY * _DAY) / _DAY


def rate_along_time(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Fraud rate by `day` or, beyond eight weeks, by `week`, counted from 1.

    A day begins where the time is a multiple of 86,400 seconds, the first week with the first day.
    """
    day = np.floor(day_of(frame[schema.time].to_numpy(), frame, schema)).astype(np.int64)
    if day[-1] < 56:
        return _rates_by(day + 1, frame[schema.label], "day")
    return _rates_by(day // 7 + 1, frame[schema.label], "week")


def rate_by_hour(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Fraud rate by hour of the day, 0 to 23, counted from where the time is a multiple of 86,400 seconds."""
    hour = (frame[schema.time].to_numpy() % _DAY // _HOUR).astype(np.int64)
    return _rates_by(hour, frame[schema.label], "hour", range(24))


def rate_finding(table: pd.DataFrame, seed: int) -> Finding:
    """Whether the groups of a table of rates (its index names them) can be told apart, and which stand out."""
    seen, unit = table[table["rows"] > 0], str(table.index.name)
    if len(seen) == 1:
        return Finding(f"All transactions fall into one {unit}, so there is nothing to compare.")
    overall = seen["frauds"].sum() / seen["rows"].sum()
    statistic, p_value = chi_square(seen["rows"].to_numpy(), seen["frauds"].to_numpy(), seed)
    test = (
        f"(chi-square {statistic:,.1f}, df {len(seen) - 1}, permutation p {_p(p_value)}; level {_percent(1 - LEVEL)})"
    )
    top, bottom = seen["rate"].idxmax(), seen["rate"].idxmin()
    extremes = (
        f"observed highest in {unit} {top} ({_rate(seen.loc[top])}), "
        f"lowest in {unit} {bottom} ({_rate(seen.loc[bottom])})"
    )
    if p_value > 1 - LEVEL:
        return Finding(
            f"The {unit}s cannot be told apart by their fraud rate {test}.",
            f"The rate is {extremes}, a spread that is within chance at that level.",
        )
    detail = []
    for side, chosen in (("above", seen["low"] > overall), ("below", seen["high"] < overall)):
        if chosen.any():
            part = seen[chosen]
            plural = unit if len(part) == 1 else f"{unit}s"
            detail.append(
                f"Wholly {side} the overall rate of {_percent(overall)}: {plural} {_list(map(str, part.index))}, with "
                f"{_percent(part['rows'].sum() / seen['rows'].sum())} of the transactions and "
                f"{_percent(part['frauds'].sum() / seen['frauds'].sum())} of the frauds."
            )
    if not detail:
        detail.append(f"No single {unit}'s interval leaves the overall rate of {_percent(overall)} outside.")
    return Finding(f"The fraud rate differs between {unit}s {test}: {extremes}.", " ".join(detail))


def bursts_finding(table: pd.DataFrame, seed: int) -> Finding:
    """Whether frauds come more unevenly than one constant rate would give, from `volume`'s table.

    The ratio of the variances is the design effect of clusters in time (Kish 1965, Survey Sampling).
    """
    seen, unit = table[table["rows"] > 0], "hour" if table["bin_hours"].iloc[0] == 1 else "day"
    if len(seen) == 1:
        return Finding(f"All transactions fall into one {unit}, so bursts cannot be seen.")
    rows, frauds = seen["rows"].to_numpy(), seen["frauds"].to_numpy()
    _, p_value = chi_square(rows, frauds, seed)
    rate, scale = frauds.sum() / rows.sum(), len(seen) / (len(seen) - 1)
    ratio = scale * ((frauds - rows * rate) ** 2).sum() / (frauds.sum() * (1 - rate))
    spread = f"their number by {unit} varies {ratio:.1f} times as much as one constant rate would give"
    test = f"(permutation p {_p(p_value)}, level {_percent(1 - LEVEL)})"
    if p_value > 1 - LEVEL or ratio <= 1:
        return Finding(f"Frauds are not shown to come in bursts: {spread} {test}.")
    return Finding(
        f"Frauds come unevenly, in bursts or rhythms: {spread} {test}.",
        f"Intervals of rates, which take transactions as independent, may be {ratio**0.5:.1f} times too narrow.",
    )


def chi_square(rows: np.ndarray, frauds: np.ndarray, seed: int, draws: int = 9_999) -> tuple[float, float]:
    """Test whether groups share one fraud rate.

    Pearson's statistic; its distribution under equal rates is drawn with the margins held fixed, since fraud is too
    rare for the asymptotic one: p = (1 + draws at least as large) / (1 + draws) (Hope 1968).

    Parameters
    ----------
    rows, frauds : numpy.ndarray of int, shape (groups,)
        Every group has at least one row.

    Returns
    -------
    statistic, p_value : float
        (0, 1) where all rows are of one class.
    """
    overall = frauds.sum() / rows.sum()
    if overall in (0, 1):
        return 0.0, 1.0
    expected = rows * overall
    weight = 1 / (expected * (1 - overall))
    statistic = float(((frauds - expected) ** 2 * weight).sum())
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(rows, int(frauds.sum()), draws, method="marginals")
    chance = ((drawn - expected) ** 2 * weight).sum(axis=1)
    return statistic, float((1 + (chance >= statistic * (1 - 1e-12)).sum()) / (1 + draws))


def amount_distribution(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Share of each class at or below an amount: `kind`, `amount`, `share`; steps kept, at most 2,000 a class."""
    parts = []
    for label, kind in enumerate(KINDS):
        amount = np.sort(frame.loc[frame[schema.label] == label, schema.amount].to_numpy())
        values, last = np.unique(amount[::-1], return_index=True)
        share = (len(amount) - last) / len(amount)
        if len(values) > 2_000:  # keep the first, the last, and steps evenly up the curve: large steps always stay
            keep = np.unique(np.searchsorted(share, np.linspace(0, 1, 2_000)).clip(max=len(values) - 1))
            values, share = values[keep], share[keep]
        parts.append(pd.DataFrame({"kind": kind, "amount": values, "share": share}))
    return pd.concat(parts, ignore_index=True)


def amounts_below(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Share of frauds and of legitimate transactions below 1, 3, 10, 30, ... (as far as the amounts reach).

    Returns
    -------
    pandas.DataFrame
        By `below`, in the amount's currency: `fraud_share`, `fraud_low`, `fraud_high`, and the same for legitimate
        ones; the intervals hold together. Empty without an amount column or an amount above zero.
    """
    if not schema.amount:
        return pd.DataFrame()
    amount, label = frame[schema.amount].to_numpy(), frame[schema.label].to_numpy()
    positive = amount[amount > 0]
    if not len(positive):
        return pd.DataFrame()
    first, last = np.log10(np.quantile(positive, 0.05)), np.log10(positive.max())
    edges = [m * 10.0**e for e in range(int(np.floor(first)), int(np.ceil(last)) + 1) for m in (1, 3)]
    edges = [edge for edge in edges if 10**first < edge <= 10**last] or [float(positive.max())]
    table = pd.DataFrame(index=pd.Index(edges, name="below"))
    for kind, chosen in (("fraud", label == 1), ("legitimate", label == 0)):
        below = np.searchsorted(np.sort(amount[chosen]), edges)
        low, high = exact_interval(below, np.full(len(edges), chosen.sum()), _together(2 * len(edges)))
        table[f"{kind}_share"], table[f"{kind}_low"], table[f"{kind}_high"] = below / chosen.sum(), low, high
    return table


def amounts_finding(table: pd.DataFrame, frame: pd.DataFrame, schema: Schema) -> Finding:
    """At which amount the classes' shares differ most, and how far the totals depend on a few frauds."""
    if not schema.amount:
        return Finding("The table has no amount column, so there are no amounts to compare.")
    fraud = frame.loc[frame[schema.label] == 1, schema.amount].to_numpy()
    legitimate = frame.loc[frame[schema.label] == 0, schema.amount].to_numpy()
    medians = (
        f"Median amount: {_money(np.median(fraud), schema)} among frauds, {_money(np.median(legitimate), schema)} "
        f"among legitimate ones; largest: {_money(fraud.max(), schema)} and {_money(legitimate.max(), schema)}."
    )
    largest = np.sort(fraud)[len(fraud) - len(fraud) // 10 :]
    if fraud.min() >= 0 and largest.sum() > fraud.sum() / 2:
        medians += (
            f" The {len(largest):,} largest frauds carry {_percent(largest.sum() / fraud.sum())} of the sum of all "
            "fraud amounts: a total in money rests on few transactions."
        )
    if not len(table):
        return Finding("No amount is above zero, so there is nothing to compare.", medians)
    apart = (table["fraud_low"] > table["legitimate_high"]) | (table["fraud_high"] < table["legitimate_low"])
    gap = (table["fraud_share"] - table["legitimate_share"])[apart]
    claims = []
    if len(gap) and gap.max() > 0:
        row = table.loc[gap.idxmax()]
        claims.append((gap.max(), "small", f"below {_money(gap.idxmax(), schema)}", row))
    if len(gap) and gap.min() < 0:
        row = 1 - table.loc[gap.idxmin()].rename({f"{k}_{a}": f"{k}_{b}" for k in KINDS for a, b in _MIRROR.items()})
        claims.append((-gap.min(), "large", f"of {_money(gap.idxmin(), schema)} or more", row))
    if not claims:
        return Finding(
            "The amounts of frauds cannot be told apart from those of legitimate transactions: at every threshold of "
            "the table the intervals overlap.",
            medians,
        )
    claims.sort(key=lambda claim: -claim[0])
    shares = "; ".join(
        f"{_rate(row, 'fraud_')} are {where}, against {_rate(row, 'legitimate_')} of legitimate transactions"
        for _, _, where, row in claims
    )
    return Finding(f"Frauds are more often {' and more often '.join(c[1] for c in claims)}: {shares}.", medians)


_MIRROR = {"low": "high", "high": "low", "share": "share"}


def price_points(frame: pd.DataFrame, schema: Schema, top: int = 10) -> pd.DataFrame:
    """The exact amounts most frequent among frauds, by `amount`, with their share of each class.

    Returns
    -------
    pandas.DataFrame
        `frauds`, `legitimate`, `fraud_share`, `fraud_low`, `fraud_high`, `legitimate_share`, `legitimate_low`,
        `legitimate_high`; only amounts that two frauds have. The intervals hold together. Empty without an amount
        column.
    """
    if not schema.amount:
        return pd.DataFrame()
    label = frame[schema.label].to_numpy() == 1
    counts = frame.loc[label, schema.amount].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    distinct = len(counts)  # all of them could have come out on top, so the intervals cover them all
    table = counts[counts > 1].head(top).rename("frauds").rename_axis("amount").to_frame()
    table["legitimate"] = [int((frame.loc[~label, schema.amount] == amount).sum()) for amount in table.index]
    for kind, column, total in (("fraud", "frauds", label.sum()), ("legitimate", "legitimate", (~label).sum())):
        low, high = exact_interval(table[column], np.full(len(table), total), _together(2 * distinct))
        table[f"{kind}_share"], table[f"{kind}_low"], table[f"{kind}_high"] = table[column] / total, low, high
    return table


def price_points_finding(table: pd.DataFrame, schema: Schema) -> Finding:
    """Which exact amounts frauds have more often than legitimate transactions do."""
    if not schema.amount:
        return Finding("The table has no amount column, so there are no price points.")
    if not len(table):
        return Finding("No two frauds have the same amount, so there are no price points.")
    first = table.iloc[0]
    tied = table.index[table["frauds"] == first["frauds"]]
    headline = (
        f"The most common fraud amount is {_money(table.index[0], schema)}: {_rate(first, 'fraud_')} of frauds, "
        f"{_rate(first, 'legitimate_')} of legitimate transactions."
        if len(tied) == 1
        else f"No amount is the most common among frauds on its own: "
        f"{_list(_money(amount, schema) for amount in tied[:3])} have {first['frauds']:,.0f} frauds each."
    )
    typical = table.index[table["fraud_low"] > table["legitimate_high"]]
    if len(typical):
        return Finding(
            headline,
            "Typical of fraud (intervals apart): " + _list(_money(amount, schema) for amount in typical) + ".",
        )
    return Finding(
        headline, "All intervals overlap with those of legitimate transactions: no amount is shown to be typical."
    )


def effects(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """How well each column alone separates the classes, strongest first.

    The effect is the probability of superiority A: that a random fraud has a larger value than a random legitimate
    transaction, ties counting half (Mann and Whitney 1947; the column's ROC AUC). Its interval is that of a proportion
    of A (1 - A) / variance trials, the variance being DeLong's (1988). That number is kept between the size of the
    smaller class (the variance is at most A (1 - A) by it: Birnbaum and Klose 1957) and three times that (what it is
    when the classes are alike), so that it stays a real interval when a column separates perfectly.

    Returns
    -------
    pandas.DataFrame
        By `name`, of a column as models see it (`FeatureMap.names`): `superiority`, and folded to the side above
        0.5 `value`, `low`, `high`; `group` says which way ("higher in fraud", "lower in fraud"). The intervals hold
        together. Rows without a value are left out column by column; columns with one value are at 0.5.
    """
    features = FeatureMap.fit(schema, frame)
    X, fraud = features.matrix(frame), frame[schema.label].to_numpy() == 1
    rows = []
    for j, name in enumerate(features.names):
        positive, negative = X[fraud, j], X[~fraud, j]
        superiority, trials = _superiority(positive[~np.isnan(positive)], negative[~np.isnan(negative)])
        value = max(superiority, 1 - superiority)
        low, high = exact_interval(value * trials, trials, _together(len(features.names)))
        group = "higher in fraud" if superiority >= 0.5 else "lower in fraud"
        rows.append((name, superiority, value, float(low), float(high), group))
    table = pd.DataFrame(rows, columns=["name", "superiority", "value", "low", "high", "group"])
    return table.sort_values("value", ascending=False, kind="stable").set_index("name")


def _superiority(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """Probability of superiority, and the number of trials that its variance is worth (0 where a class is empty)."""
    m, n = len(positive), len(negative)
    if not m or not n:
        return 0.5, 0.0
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    above = (ranks[:m] - stats.rankdata(positive)) / n  # share of legitimate values below each fraud's
    below = 1 - (ranks[m:] - stats.rankdata(negative)) / m
    superiority = float(above.mean())
    variance = (above.var(ddof=1) / m if m > 1 else 0) + (below.var(ddof=1) / n if n > 1 else 0)
    smaller = float(min(m, n))
    trials = superiority * (1 - superiority) / variance if variance > 0 else smaller
    return superiority, float(np.clip(trials, smaller, 3 * smaller))


def effects_finding(table: pd.DataFrame) -> Finding:
    """Which columns separate the classes, as far as their intervals allow a ranking."""
    best, name = table.iloc[0], table.index[0]
    nothing = table.index[table["low"] <= 0.5]
    if best["low"] <= 0.5:
        return Finding(
            "No single column separates frauds from legitimate transactions: every interval contains 0.5, the value of "
            "no effect.",
            f"The largest observed effect is that of {_code(name)}, {_number(best)}.",
        )
    way = "higher" if best["group"].startswith("higher") else "lower"
    level = f"a fraud has a {way} value than a legitimate transaction with probability {_number(best)}"
    rivals = table.index[(table["high"] >= best["low"]) & (table.index != name)]
    if len(rivals):
        shown = _list(map(_code, rivals[:5])) + (f" and {len(rivals) - 5} more" if len(rivals) > 5 else "")
        headline = (
            f"{_code(name)} separates the classes most in these rows ({level}); {shown} cannot be ranked below it."
        )
    else:
        headline = f"{_code(name)} separates the classes best{' of all columns' if len(table) > 1 else ''}: {level}."
    if len(nothing):
        names = _list(map(_code, nothing)) if len(nothing) <= 8 else f"{len(nothing)} of {len(table)} columns"
        detail = f"Cannot be told from no effect (interval contains 0.5): {names}."
    else:
        detail = f"No effect is 0.5; of {_count(len(table), 'interval')} none contains it."
    if best["low"] > 0.99:
        detail += f" So clean a separation by {_code(name)} alone may mean that the label leaked into it."
    return Finding(headline, detail)


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
    z = stats.norm.ppf((1 + _together(max(len(first), 1))) / 2)
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
    """How many pairs are correlated differently in the two classes, and which one most."""
    known = table.dropna(subset=["difference"])
    if known.empty:
        return Finding("No pair of columns has enough values in both classes to compare their correlations.")
    apart = known[(known["low"] > 0) | (known["high"] < 0)]
    of_pairs = f"of {_count(len(known), 'pair')} of columns"
    if apart.empty:
        return Finding(
            f"None {of_pairs} is shown to be correlated differently among frauds than among legitimate transactions.",
            "Every interval of a difference contains zero.",
        )
    widest = apart.loc[apart["difference"].abs().idxmax()]
    stronger = int((apart["fraud"].abs() > apart["legitimate"].abs()).sum())
    return Finding(
        f"{len(apart):,} {of_pairs} {'is' if len(apart) == 1 else 'are'} correlated differently among frauds, "
        f"{stronger:,} of them more strongly.",
        f"The widest gap is between {_code(widest['first'])} and {_code(widest['second'])}: rank correlation "
        f"{widest['fraud']:.2f} among frauds, {widest['legitimate']:.2f} among legitimate transactions, difference "
        f"{widest['difference']:.2f} [{widest['low']:.2f}, {widest['high']:.2f}].",
    )


def duplicates(frame: pd.DataFrame, split: Split, schema: Schema) -> pd.DataFrame:
    """Rows that repeat an earlier one in everything but the label, with and without regard to the time.

    Returns
    -------
    pandas.DataFrame
        By `kind`: `groups` of equal rows, `copies` (rows after a group's first), frauds among them with the
        rate of fraud in copies and in all other rows, `mixed_groups` (that hold both labels), `seen_in_test`
        (test rows with a copy in the training part) and `seen_at_random` (how many a random split of the same size
        would have on average).
    """
    label, cut = frame[schema.label].to_numpy(), split.train_rows
    timeless = frame.drop(columns=schema.time).assign(**{schema.time: 0.0})
    rows = []
    for kind, source in (("exact copies", frame), ("equal but for the time", timeless)):
        group = duplicate_groups(source, schema)
        size = np.bincount(group)
        _, first = np.unique(group, return_index=True)
        copy = np.ones(len(group), dtype=bool)
        copy[first] = False
        frauds = np.bincount(group, weights=label)
        share = split.test_rows / len(frame)
        low, high = exact_interval([label[copy].sum(), label[~copy].sum()], [copy.sum(), (~copy).sum()], _together(4))
        rows.append(
            {
                "kind": kind,
                "groups": int((size > 1).sum()),
                "copies": int(copy.sum()),
                "frauds": int(label[copy].sum()),
                "copy_rate": label[copy].mean() if copy.any() else np.nan,
                "copy_low": low[0],
                "copy_high": high[0],
                "other_rate": label[~copy].mean(),
                "other_low": low[1],
                "other_high": high[1],
                "mixed_groups": int(((frauds > 0) & (frauds < size)).sum()),
                "seen_in_test": int(np.isin(group[cut:], group[:cut]).sum()),
                "seen_at_random": float(share * (size * (1 - share ** (size - 1.0))).sum()),
            }
        )
    return pd.DataFrame(rows).set_index("kind")


def duplicates_finding(table: pd.DataFrame) -> Finding:
    """How many copies there are, whether fraud is more frequent among them, and what a split does to them."""
    exact, timeless = table.loc["exact copies"], table.loc["equal but for the time"]
    beyond = (
        f"Leaving the time aside, copies number {timeless['copies']:,.0f}; {timeless['seen_in_test']:,.0f} test rows "
        "have such a twin in the training part."
        if timeless["copies"] > exact["copies"]
        else "None repeats an earlier row at another time either."
        if not exact["copies"]
        else "No further row repeats an earlier one at another time."
    )
    if not exact["copies"]:
        return Finding("No row is an exact copy of another.", beyond)
    apart = _apart(exact, exact, "copy_", "other_")
    compared = (
        f"The fraud rate is {_rate(exact, 'copy_')} among copies, {_rate(exact, 'other_')} among other rows: "
        + (
            f"copies are frauds {'more' if apart > 0 else 'less'} often, so they carry signal."
            if apart
            else "the intervals overlap, so no difference is claimed."
        )
    )
    mixed = f" In {_count(exact['mixed_groups'], 'group')} the labels disagree." if exact["mixed_groups"] else ""
    leak = (
        f"Copies share one time, so the cut in time leaves {exact['seen_in_test']:,.0f} test rows with a copy in the "
        f"training part; a random cut would leave about {exact['seen_at_random']:,.0f}."
    )
    one = exact["copies"] == 1
    return Finding(
        f"{exact['copies']:,.0f} {'row is an exact copy' if one else 'rows are exact copies'} of an earlier row; "
        f"frauds among them: {exact['frauds']:,.0f}.",
        f"{compared}{mixed} {leak} {beyond}",
    )


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
        `LEVEL`); `band` ("stable", "moderate", "large", at the usual 0.1 and 0.25); `psi_same_hours`, the index
        against only those training rows that fall into the hours of the day that the test part covers.
    """
    hour_train, hour_test = (part[schema.time].to_numpy() % _DAY // _HOUR for part in (split.train, split.test))
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
                "chance": float(stats.chi2.ppf(_together(len(columns)), freedom) * scale),
                "psi_same_hours": _psi(before_same, after) if same.any() else np.nan,
            }
        )
    table = pd.DataFrame(rows).sort_values("psi", ascending=False, kind="stable").set_index("column")
    bands = np.select([table["psi"] >= LARGE_SHIFT, table["psi"] >= MODERATE_SHIFT], ["large", "moderate"], "stable")
    table.insert(2, "band", bands)
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
    first, name = table.iloc[0], table.index[0]
    shifted = table[(table["psi"] >= MODERATE_SHIFT) & (table["psi"] > table["chance"])]
    time = split.test[schema.time].to_numpy()
    hours = (time[-1] - time[0]) / _HOUR
    moved = int((table["psi"] > table["chance"]).sum())
    detail = f"Of {_count(len(table), 'column')}, {moved:,} moved more than chance explains. "
    if hours < 24:
        again = table[(table["psi_same_hours"] >= MODERATE_SHIFT) & (table.index.isin(shifted.index))]
        detail += f"The test part spans {_duration(time[-1] - time[0])}, less than a day"
        if len(shifted) and table["psi_same_hours"].notna().all():
            detail += (
                f"; against the same hours of the training part {len(again)} of the {len(shifted)} "
                f"{'is' if len(again) == 1 else 'are'} still at {MODERATE_SHIFT} or more"
            )
        detail += "."
    largest = f"the largest index is {first['psi']:.2g}, of {_code(name)}"
    if shifted.empty:
        return Finding(
            f"No column is shown to have shifted between the training and the test part: {largest}.",
            (f"Indices at or above {MODERATE_SHIFT} are within what chance gives in so few rows. "
             if first["psi"] >= MODERATE_SHIFT else f"All are below {MODERATE_SHIFT}. ") + detail,
        )  # fmt: skip
    large = int((shifted["psi"] >= LARGE_SHIFT).sum())
    names = _list(map(_code, shifted.index[:5])) + (f" and {len(shifted) - 5} more" if len(shifted) > 5 else "")
    return Finding(
        f"{_count(len(shifted), 'column')} shifted between the training and the test part ({names}): {largest}.",
        f"{large:,} of them {'is' if large == 1 else 'are'} in the band called large (from {LARGE_SHIFT}). {detail}",
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
    low, high = exact_interval([among[fraud].sum(), among[~fraud].sum()], [fraud.sum(), (~fraud).sum()], _together(2))
    inside, outside = (
        pd.Series({"rate": among[chosen].mean(), "low": low[i], "high": high[i]})
        for i, chosen in enumerate((fraud, ~fraud))
    )
    shares = (
        f"{_rate(inside)} of frauds have mostly frauds among their {k} nearest neighbours, {_rate(outside)} of "
        "legitimate transactions do"
    )
    plane = (
        f"The sample has {fraud.sum():,} of each class; the two axes hold {_percent(sum(table.attrs['explained']))} of "
        "its variance."
    )
    if _apart(inside, outside) > 0:
        return Finding(f"On a plane chosen without the labels the classes lie apart in part: {shares}.", plane)
    return Finding(f"On this plane the classes are not shown to lie apart: {shares}.", plane)


KINDS = ("legitimate", "fraud")


def _rates(rows: np.ndarray, frauds: np.ndarray, index: Any, level: float) -> pd.DataFrame:
    low, high = exact_interval(frauds, rows, level)
    rate = np.divide(frauds, rows, out=np.full(len(rows), np.nan), where=rows > 0)
    return pd.DataFrame({"rows": rows, "frauds": frauds, "rate": rate, "low": low, "high": high}, index=index)


def _rates_by(group: np.ndarray, label: pd.Series, name: str, index: Any = None) -> pd.DataFrame:
    """Rates by group, with intervals that hold together over the groups that have rows."""
    index = pd.Index(np.unique(group) if index is None else index, name=name)
    place = index.get_indexer(group)
    rows = np.bincount(place, minlength=len(index))
    frauds = np.bincount(place, weights=label, minlength=len(index)).astype(np.int64)
    return _rates(rows, frauds, index, _together(int((rows > 0).sum())))


def _together(count: int) -> float:
    """Level of each of so many intervals that hold together at `LEVEL` (Bonferroni)."""
    return 1 - (1 - LEVEL) / max(count, 1)


def _apart(first: pd.Series, second: pd.Series, prefix: str = "", other: str | None = None) -> int:
    """1 where the first interval lies above the second, -1 below, 0 where they overlap."""
    other = prefix if other is None else other
    above = first[f"{prefix}low"] > second[f"{other}high"]
    return int(above) - int(first[f"{prefix}high"] < second[f"{other}low"])


def _percent(share: float) -> str:
    """Three significant digits, and never rounded to 0 or 100 % from without."""
    if np.isnan(share):
        return "–"
    if 0.9995 <= share < 1:
        digits = np.format_float_positional(100 * (1 - share), precision=1, fractional=False, trim="-")
        return f"{100 - float(digits):.10g} %" if float(digits) else "100 %"
    return np.format_float_positional(100 * share, precision=3, fractional=False, trim="-") + " %"


def _short(value: Any) -> str:
    """Four significant digits, all of those before the point, no exponent for what is large."""
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return "–"
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:.4g}"


def _rate(row: pd.Series, prefix: str = "") -> str:
    name = "share" if f"{prefix}share" in row else "rate"
    if np.isnan(row[prefix + name]):
        return "–"
    low, high = (_percent(row[f"{prefix}{end}"]).removesuffix(" %") for end in ("low", "high"))
    return f"{_percent(row[prefix + name])} [{low}, {high}]"


def _number(row: pd.Series) -> str:
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _p(p_value: float) -> str:
    return f"= {p_value:.2g}" if p_value > 1e-4 else "≤ 0.0001"


def _money(amount: float, schema: Schema) -> str:
    tiny = abs(amount) < 1 and amount != round(amount, 2)
    return (f"{amount:.3g}" if tiny else f"{amount:,.2f}".removesuffix(".00")) + f" {schema.currency}"


def _count(number: Any, noun: str) -> str:
    return f"{int(number):,} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    for unit, size in (("days", _DAY), ("hours", _HOUR), ("minutes", 60)):
        if seconds >= 2 * size or (unit == "days" and seconds >= 1.5 * size):
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.0f} seconds"


def _code(name: Any) -> str:
    return f"`{name}`"


def _list(items: Iterable[str]) -> str:
    items = list(items)
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def _markdown(text: str) -> str:
    """A dollar sign is a currency here, never the start of a formula."""
    return text.replace("$", "\\$")
