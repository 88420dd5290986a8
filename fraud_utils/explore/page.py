"""The table's name and its tables of figures, as a page shows them."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pandas as pd

from fraud_utils import words
from fraud_utils.data import WITHOUT_TIME, Schema
from fraud_utils.explore.summaries import DISTINCT


def heading(frame: pd.DataFrame, schema: Schema) -> str:
    """The table's name and how it was read, in Markdown, under a warning where it is simulated."""
    provenance = frame.attrs["provenance"]
    parts = [f"The table: **{provenance['name']}**"]
    if provenance["simulated"]:
        warning = f"> **SIMULATED {words.plural(schema.noun)}.** They show how the notebook works and say nothing about"
        parts.insert(0, f"{warning} real fraud.")
    if notes := [*provenance.get("read_as", ()), *(() if schema.time else (WITHOUT_TIME,)), *_sampled(frame)]:
        parts.append("\n".join(f"- {note}" for note in notes))
    return words.markdown("\n\n".join(parts))


def _sampled(frame: pd.DataFrame) -> tuple[str, ...]:
    """What rests on a sample, where not all rows are in memory."""
    if not (whole := frame.attrs.get("whole")):
        return ()
    return (
        f"Not all rows are in memory. The figures on integrity (above {DISTINCT:,} the number of distinct values is an "
        "estimate), imbalance, time, hours, amounts, price points, duplicates and drift are those of all rows. The "
        "first rows, and what compares the classes column by column (separation, histograms, correlations, the plane), "
        f"are from a sample: all frauds and {words.percent(whole['share'])} of the legitimate rows, drawn at random.",
    )


def first_rows(frame: pd.DataFrame, schema: Schema, rows: int = 5) -> pd.DataFrame:
    """The beginning of the table, its times as dates where they are known."""
    head, origin = frame.head(rows), frame.attrs.get("provenance", {}).get("origin")
    if not schema.time or not origin:
        return head
    return head.assign(**{schema.time: [words.moment(seconds, origin) for seconds in head[schema.time]]})


def styled(table: pd.DataFrame) -> Any:
    """A table as a page shows it: thousands separated, a share in percent with its interval, a dash for no value.

    A column called `rate` or `share`, or `..._rate` or `..._share`, takes up the columns `low` and `high` of the same
    prefix.
    """
    shown = pd.DataFrame(index=table.index)
    for name in table.columns:
        prefix, end = name[: name.rfind("_") + 1], name.rpartition("_")[2]
        bounds = [f"{prefix}low", f"{prefix}high"]
        if end in ("rate", "share") and bounds[0] in table:
            shown[name] = [words.percent_between(*row) for row in table[[name, *bounds]].to_numpy()]
        elif end not in ("low", "high") or not {f"{prefix}rate", f"{prefix}share"} & set(table.columns):
            shown[name] = [words.cell(value) for value in table[name]]
    if table.index.dtype.kind in "iuf":
        shown.index = pd.Index([words.cell(value) for value in table.index], name=table.index.name)
    nowrap = {"selector": "th, td", "props": "white-space: nowrap"}
    style = shown.rename(columns=lambda name: name.replace("_", " ")).style.set_table_styles([nowrap])
    return style.set_uuid(f"{crc32(' '.join(table.columns).encode()):08x}")  # not random: two runs give equal pages
