"""Tables as a page shows them; until then they are numeric."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pandas as pd

from fraud_utils import words

SHARES = ("labelled", "column", "score", "pace", "recall", "precision", "labels", "any", "savings")


def shown(table: pd.DataFrame) -> Any:
    """A table with thousands separated, shares in percent, intervals beside their values, a dash for no value.

    Columns `name_low` and `name_high` become the interval of `name`.
    """
    text = pd.DataFrame(index=table.index)
    for name in table.columns:
        low, high = f"{name}_low", f"{name}_high"
        if low in table:
            between = _BETWEEN.get(name, _decimals_between)
            text[name] = [between(*row) for row in table[[name, low, high]].to_numpy(float)]
        elif name.rpartition("_")[0] not in table or name.rpartition("_")[2] not in ("low", "high"):
            text[name] = [_cell(name, value) for value in table[name]]
    text = text.rename_axis(index=None, columns=table.index.name)  # in the same line as the columns' names
    nowrap = {"selector": "td", "props": "white-space: nowrap"}
    style = text.rename(columns=lambda name: name.replace("_", " ")).style.set_table_styles([nowrap])
    return style.set_uuid(f"{crc32(' '.join(text.columns).encode()):08x}")  # not random: equal runs give equal pages


def _cell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) or value is None or value != value:
        return words.cell(value)
    if name in SHARES or name.startswith(("missing", "share")):
        return words.percent(float(value))
    return words.plain(float(value)) if "index" in name or name == "expected" else words.cell(value)


def _percent_between(value: float, low: float, high: float) -> str:
    return words.percent(value, 2) if low != low else words.percent_between(value, low, high, 2)


def _decimals_between(value: float, low: float, high: float) -> str:
    return words.decimals_between(value, None if low != low else (low, high))


_BETWEEN = dict.fromkeys(("precision", "recall", "savings"), _percent_between) | {
    "frauds": lambda value, low, high: words.plain_between(value, (low, high))
}
