"""What the columns contain, and how rare fraud is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fraud_utils import words
from fraud_utils.data import Schema, Split
from fraud_utils.explore.rates import apart, in_words, rates
from fraud_utils.explore.summaries import describe
from fraud_utils.explore.whole import sizes, span, tally
from fraud_utils.words import Finding


def integrity(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Describe every column: role, missing and distinct values, range, and the most common value of a text column.

    Times with a date have no range here: their seconds say nothing, and the finding gives the dates. Of a table larger
    than memory, more than 65,536 distinct values are an estimate with a standard error of 0.4 %.
    """
    roles = dict.fromkeys(schema.measures, "feature") | dict.fromkeys(schema.categorical, "categorical")
    roles = dict.fromkeys(schema.groups, "group") | dict.fromkeys(schema.entities, "entity") | roles
    single = {"label": schema.label, "time": schema.time, "amount": schema.amount, "entity": schema.entity}
    single["id"] = schema.id
    roles |= {name: role for role, name in single.items() if name}
    rows = []
    for name, found in describe(frame, schema).items():
        row = {"column": name, "role": roles[name], "missing": found.missing, "distinct": found.distinct}
        if found.range is None:
            row |= {"most_common": found.most_common} if found.distinct else {}
        elif not (name == schema.time and frame.attrs.get("provenance", {}).get("origin")):
            row |= dict(zip(("minimum", "median", "maximum"), found.range, strict=True))
        rows.append(row)
    table = pd.DataFrame(rows).set_index("column")
    return table.fillna({"most_common": ""}) if "most_common" in table else table


def integrity_finding(table: pd.DataFrame, frame: pd.DataFrame, schema: Schema) -> Finding:
    """Size, span, missing values, constant columns and unusual amounts."""
    size, frauds = sizes(frame, schema)
    missing = table["missing"][table["missing"] > 0].sort_values(ascending=False, kind="stable")
    gaps = "no value is missing"
    if len(missing):
        where = f"in {len(missing):,} columns, the most of them" if len(missing) > 1 else "all of them"
        gaps = (
            f"{words.count(missing.sum(), 'value')} missing, {where} in {words.code(missing.index[0])} "
            f"({words.percent(missing.iloc[0] / size)} of its rows)"
        )
    detail = [f"The table has {words.count(len(table), 'column')} and {_span(frame, schema)}."]
    for what, number in (("a single value", 1), ("no value at all", 0)):
        if names := [words.code(name) for name in table.index[table["distinct"] == number]]:
            detail.append(f"Nothing can be learned from columns with {what}: {words.listed(names, 20)}.")
    for name in filter(None, (schema.entity, *schema.entities)):
        without = words.count(table["missing"][name], "row")
        gap = (
            f", and {without} {'has' if table['missing'][name] == 1 else 'have'} none" if table["missing"][name] else ""
        )
        detail.append(f"{words.code(name)} has {words.count(table['distinct'][name], 'distinct value')}{gap}.")
    if schema.amount:
        unusual = tally(frame, schema, schema.amount, lambda amount: 1 * (amount == 0) + 2 * (amount < 0), 3)
        for kind, rows, of_fraud in list(zip(("usual", "zero", "negative"), *unusual, strict=True))[1:]:
            if rows:
                amounts = f"{words.count(rows, 'amount')} {'is' if rows == 1 else 'are'}"
                detail.append(f"{amounts} {kind}, {of_fraud:,} of them fraud.")
    return Finding(f"{words.count(size, schema.noun)}, {words.count(frauds, 'fraud')}; {gaps}.", " ".join(detail))


def _span(frame: pd.DataFrame, schema: Schema) -> str:
    """From when to when, as far as dates are known."""
    if not schema.time:
        return "no times"
    first, last = span(frame, schema)
    origin = frame.attrs.get("provenance", {}).get("origin")
    dates = f", from {words.moment(first, origin)} to {words.moment(last, origin)} (UTC)" if origin else ""
    return f"spans {words.duration(last - first)}{dates}"


def class_sizes(split: Split, schema: Schema) -> pd.DataFrame:
    """Rows and frauds of the training part, the test part and both, with the fraud rate's interval."""
    of_parts = np.array([sizes(part, schema) for part in (split.train, split.test)])
    rows, frauds = np.vstack([of_parts.sum(axis=0), of_parts]).T
    return rates(rows, frauds, pd.Index(["all", "training", "test"], name="part"))


def imbalance_finding(table: pd.DataFrame, schema: Schema) -> Finding:
    """How rare fraud is, what accuracy is worth, and whether the two parts are shown to differ."""
    whole, train, test = (table.loc[part] for part in ("all", "training", "test"))
    verdict = {
        0: "the intervals overlap, so no change is claimed",
        1: "fraud is more frequent in the test part",
        -1: "fraud is rarer in the test part",
    }[apart(pd.concat([train.add_prefix("train_"), test]), "", "train_")]
    ratio = whole["rows"] / whole["frauds"]
    rarity = f"One {schema.noun} in {ratio:,.0f} is"
    if ratio < 10:
        rarity = f"{words.percent(whole['rate'])} of {words.plural(schema.noun)} are"
    return Finding(
        f"{rarity} fraud: {whole['frauds']:,.0f} of {whole['rows']:,.0f}, "
        f"{test['frauds']:,.0f} of them in the test part.",
        f"Calling everything legitimate would be right {words.percent(1 - whole['rate'])} of the time and catch no "
        f"fraud, so accuracy says little here. The fraud rate is {in_words(train)} in the training part and "
        f"{in_words(test)} in the test part{'' if schema.time else ', drawn at random'}: {verdict}.",
    )
