"""What the columns contain, and how rare fraud is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data import Schema, Split
from fraud_utils.explore.rates import apart, in_words, rates
from fraud_utils.words import Finding


def integrity(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Describe every column: role, missing and distinct values, range, and the most common value of a text column."""
    roles = dict.fromkeys(schema.measures, "feature") | dict.fromkeys(schema.categorical, "categorical")
    roles |= {schema.label: "label", schema.time: "time"}
    roles |= {name: role for name, role in ((schema.amount, "amount"), (schema.entity, "entity")) if name}
    rows = []
    for name in schema.columns:
        column = frame[name]
        row = {"column": name, "role": roles[name], "missing": int(column.isna().sum()), "distinct": column.nunique()}
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
    gaps = "no value is missing"
    if len(missing):
        where = f"in {len(missing):,} columns, most of them" if len(missing) > 1 else "all of them"
        gaps = (
            f"{words.count(missing.sum(), 'value')} missing, {where} in {words.code(missing.index[0])} "
            f"({words.percent(missing.iloc[0] / len(frame))} of its rows)"
        )
    detail = [f"The table has {len(table)} columns and spans {words.duration(time[-1] - time[0])}."]
    if constant := [words.code(name) for name in table.index if table["distinct"][name] < 2]:
        detail.append(f"Nothing can be learned from columns with a single value: {words.listed(constant)}.")
    if schema.entity:
        detail.append(f"{words.code(schema.entity)} has {table['distinct'][schema.entity]:,} distinct values.")
    if schema.amount:
        amount = frame[schema.amount].to_numpy()
        for kind, chosen in (("zero", amount == 0), ("negative", amount < 0)):
            if chosen.any():
                are = "is" if chosen.sum() == 1 else "are"
                amounts = words.count(chosen.sum(), "amount")
                detail.append(f"{amounts} {are} {kind}, {label[chosen].sum():,} of them fraud.")
    return Finding(f"{len(frame):,} transactions, {words.count(label.sum(), 'fraud')}; {gaps}.", " ".join(detail))


def class_sizes(split: Split) -> pd.DataFrame:
    """Rows and frauds of the training part, the test part and both, with the fraud rate's interval."""
    rows = np.array([split.train_rows + split.test_rows, split.train_rows, split.test_rows])
    frauds = np.array([split.train_frauds + split.test_frauds, split.train_frauds, split.test_frauds])
    return rates(rows, frauds, pd.Index(["all", "training", "test"], name="part"))


def imbalance_finding(table: pd.DataFrame) -> Finding:
    """How rare fraud is, what accuracy is worth, and whether the two parts are shown to differ."""
    whole, train, test = (table.loc[part] for part in ("all", "training", "test"))
    verdict = {
        0: "the intervals overlap, so no change is claimed",
        1: "fraud is more frequent in the test part",
        -1: "fraud is rarer in the test part",
    }[apart(pd.concat([train.add_prefix("train_"), test]), "", "train_")]
    ratio = whole["rows"] / whole["frauds"]
    rarity = f"One transaction in {ratio:,.0f}" if ratio >= 10 else f"{words.percent(whole['rate'])} of transactions"
    return Finding(
        f"{rarity} {'is' if ratio >= 10 else 'are'} fraud: {whole['frauds']:,.0f} of {whole['rows']:,.0f}, "
        f"{test['frauds']:,.0f} of them in the test part.",
        f"Calling everything legitimate would be right {words.percent(1 - whole['rate'])} of the time and catch no "
        f"fraud, so accuracy says little here. The fraud rate is {in_words(train)} before the cut in time and "
        f"{in_words(test)} after it: {verdict}.",
    )
