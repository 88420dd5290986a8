"""The columns that a file has beside those that its schema names."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise

from fraud_utils.data import numbers
from fraud_utils.data.faults import Faults
from fraud_utils.data.files import TableFile
from fraud_utils.data.schema import DataError

SIMULATED = "SIMULATED"  # a CSV's column, or a parquet file's metadata, by which the simulator marks what it writes
INDEX = ("", "Unnamed: 0", "__index_level_0__")  # how pandas and others call the column that counts rows
_NAMES = 8  # that one message lists


def match(header: Sequence[str], table: TableFile, faults: Faults, said: list[str]) -> dict[str, str]:
    """Find the schema's columns in a header.

    Parameters
    ----------
    faults, said
        Gain what is wrong with the header, and what was decided about it.

    Returns
    -------
    dict of str to str
        The schema's names, in its order, and how the file has them.
    """
    schema, wanted = table.schema, table.schema.file_columns
    for name in sorted({name for name in header if name.strip() and header.count(name) > 1}):
        faults.add(f"column {name!r} appears {header.count(name)} times; rename or drop one")
    once = [name for name in header if header.count(name) == 1]
    stripped = {name.strip(): name for name in once}
    found = {name: name if name in once else stripped[name] for name in wanted if name in once or name in stripped}
    if spaces := [name for name, given in found.items() if name != given]:
        said.append(f"Spaces around column names are left out: {_listed(spaces)}.")
    used = {*found.values(), *schema.ignored, SIMULATED}
    extra = [name for name in once if name not in used and name.strip() not in used]
    missing = [name for name in wanted if name not in found and name not in header]
    if not found and all(numbers.is_number(name) for name in header):
        raise DataError(f"{table.source}: the first line holds values, not names; add a line with the columns' names")
    _missing(missing, extra, table, faults)
    _extra([name for name in extra if name.strip() and name not in INDEX], table, faults, said)
    return found


def nameless(header: Sequence[str], columns: Sequence[Sequence[str]], faults: Faults, said: list[str]) -> None:
    """Leave out columns without a name that count rows or are empty; others are faults.

    Parameters
    ----------
    columns : sequence of sequence of str
        The first cells of every column.
    """
    for place, (name, cells) in enumerate(zip(header, columns, strict=True), 1):
        if name.strip() and name not in INDEX:
            continue
        counts = all(cell.isdecimal() for cell in cells) and {
            int(after) - int(before) for before, after in pairwise(cells)
        } <= {1}
        if counts or not any(cells):
            said.append(f"Column {place} has no name and {'counts rows' if counts else 'is empty'}: it is left out.")
        else:
            faults.add(f"column {place} has no name; name it, or list {name!r} under 'ignored'")


def _missing(missing: list[str], extra: list[str], table: TableFile, faults: Faults) -> None:
    """A fault for each column that may be misspelt, and one for all others."""
    far = []
    for name in missing:
        close = get_close_matches(name, extra, 1)
        close = close or [other for other in extra if other.strip().casefold() == name.casefold()]
        if close:
            text = f"is missing; did you mean {close[0]!r}, which the file has? Rename it there or in"
            faults.add(f"column {name!r} {text} {table.described_in}")
            extra.remove(close[0])
        else:
            far.append(name)
    if far:
        remedy = f"add it, or describe the columns in {table.described_in}"
        faults.add(f"column {far[0]!r} is missing{_more(far)}; {remedy}")


def _extra(extra: list[str], table: TableFile, faults: Faults, said: list[str]) -> None:
    """Columns that the schema does not name: a fault, or passed over where it says so."""
    if not extra:
        return
    if table.schema.written.ignore_others:
        said.append(f"Columns that the schema does not name are passed over: {_listed(extra)}.")
        return
    faults.add(
        f"column {extra[0]!r}{_more(extra)} is not in the schema {table.schema.name!r}; drop it, list it under "
        f"'features', 'categorical' or 'ignored', or write 'ignore_others: true', in {table.described_in}"
    )


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more: {_listed(names[1:])})" if len(names) > 1 else ""


def _listed(names: list[str]) -> str:
    return ", ".join([*(repr(name) for name in names[:_NAMES]), *(["…"] if len(names) > _NAMES else [])])
