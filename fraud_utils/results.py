"""What the notebooks of one run hand to its summary: sections of plain numbers in `<run_folder>/results.json`."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .data import resolve

FILE = "results.json"


def record(run_folder: str | Path, **sections: Any) -> None:
    """Add sections to the results of a run; a section recorded again replaces the earlier one.

    Parameters
    ----------
    run_folder : str or Path
        Relative to the project's root, or absolute; made when missing.
    **sections : Any
        Mappings, sequences, strings, numbers, NumPy and pandas values, in the shapes of `metrics.json`. What is not
        a finite number becomes null: JSON knows no NaN, and "does not apply" is what it means here.

    Raises
    ------
    TypeError
        A value has no place in JSON; the message names the key.
    """
    folder = resolve(run_folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, read(folder) | {name: _plain(value, name) for name, value in sections.items()})


def read(run_folder: str | Path) -> dict[str, Any]:
    """The sections recorded so far, {} before the first."""
    try:
        return json.loads((resolve(run_folder) / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write a JSON file that is either the old one or the whole new one, whenever a reader looks or we are killed."""
    text = json.dumps(_plain(value, path.name), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _plain(value: Any, where: str) -> Any:
    """The value in JSON's own types."""
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, pandas columns
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(items)]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "isoformat"):  # dates and times
        return value.isoformat()
    raise TypeError(f"{where}: a {type(value).__name__} cannot be written as JSON; record numbers, text or mappings")
