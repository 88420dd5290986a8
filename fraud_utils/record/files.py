"""The files of a run are read and written here and nowhere else."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from fraud_utils import project
from fraud_utils.project import resolve
from fraud_utils.record.kinds import Choice, Resamples, RunRecord, Sections, State

if TYPE_CHECKING:
    import pandas as pd

FILE, SECTIONS_FILE, RESAMPLES_FILE, STATE_FILE = "metrics.json", "results.json", "resamples.json", "state.json"
_ORDER = ("run", "created", "version", "data", "parameters")  # of the keys in metrics.json; the sections come next


class RecordError(ValueError):
    """A file does not hold what a run records; the message says which file, where in it, and what is wrong."""


def add(run_folder: str | Path, **sections: Any) -> None:
    """Record sections of a run; a section recorded again replaces the earlier one.

    Parameters
    ----------
    run_folder : str or Path
        Relative to the project's root, or absolute; made when missing.
    **sections : Any
        By the names of `Sections`: its types, or mappings in the same shape. NumPy and pandas values become plain
        ones. What is not a finite number becomes null: "does not apply" is what it means here.

    Raises
    ------
    RecordError
        A section or a value in it is not what it must be.
    """
    unknown = sections.keys() - {item.name for item in fields(Sections)}
    if unknown:
        raise RecordError(f"{SECTIONS_FILE}: no section is called {sorted(unknown)[0]!r}")
    folder = resolve(run_folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SECTIONS_FILE
    content = (_json(path) if path.exists() else {}) | {name: _plain(value, name) for name, value in sections.items()}
    _parse(Sections, content, SECTIONS_FILE)
    _write_json(path, content)


def read(run_folder: str | Path) -> Sections:
    """The sections recorded so far, all None before the first.

    Raises
    ------
    RecordError
        The file is damaged, or something in it is not what it must be; so it is for all that is read here.
    """
    return _optional(Sections, resolve(run_folder) / SECTIONS_FILE) or Sections()


def save(folder: Path, kept: RunRecord | State) -> None:
    """Write a finished run's `metrics.json`, or the `state.json` of any run, into its folder."""
    content = vars(kept)
    if isinstance(kept, State):
        _write_json(folder / STATE_FILE, content)
    else:
        _write_json(folder / FILE, {key: content[key] for key in [*_ORDER, *content]})


def load(folder: Path) -> RunRecord:
    """Read a finished run's `metrics.json`; a FileNotFoundError where there is none."""
    return _parse(RunRecord, _json(folder / FILE), FILE)


def state(folder: Path) -> State | None:
    """How far a run is; None where its folder does not say."""
    return _optional(State, folder / STATE_FILE)


def keep_resamples(run_folder: str | Path, **parts: pd.DataFrame) -> None:
    """Keep what the chosen candidate reaches on the resamples that all runs share.

    Parameters
    ----------
    run_folder : str or Path
        Relative to the project's root, or absolute.
    **parts : pandas.DataFrame
        `oof` and `test`, from `evaluation.resampled_metrics`.
    """
    kept = {
        part: {"resamples": table.attrs["resamples"]}
        | {name: [float(f"{value:.5g}") for value in table[name]] for name in table}
        for part, table in parts.items()
    }
    _write_json(resolve(run_folder) / RESAMPLES_FILE, kept, indent=None)


def resamples(run_folder: str | Path) -> dict[str, Resamples]:
    """What `keep_resamples` kept, by part; {} where nothing was."""
    path = resolve(run_folder) / RESAMPLES_FILE
    if not path.exists():
        return {}
    parts = {
        name: {"which": part.get("resamples"), "values": {key: part[key] for key in part if key != "resamples"}}
        if isinstance(part, dict)
        else part
        for name, part in _json(path).items()
    }
    return _parse(dict[str, Resamples], parts, RESAMPLES_FILE)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RecordError(f"{path.name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path.name} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise RecordError(f"{path.name} has an unexpected structure: it holds no names and values")
    chosen = content.get("chosen")
    if isinstance(chosen, dict) and "alerting" not in chosen and isinstance(chosen.get("thresholds"), dict):
        # Earlier runs kept scores by name alone; these two names say what they were chosen for.
        scores = chosen["thresholds"]
        chosen["alerting"] = [{"aim": aim, "score": scores[aim]} for aim in ("f1", "cost") if aim in scores]
    return content


def _optional(kind: Any, path: Path) -> Any:
    return _parse(kind, _json(path), path.name) if path.exists() else None


_adapter = cache(TypeAdapter)


def _parse(kind: Any, content: Mapping[str, Any], file: str) -> Any:
    """The typed form of a file's content."""
    try:
        return _adapter(kind).validate_json(json.dumps(content))
    except RecursionError:
        raise RecordError(f"{file} has an unexpected structure: it is nested too deeply") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "missing":
        raise RecordError(f"{file}: {where} is missing")
    given = json.dumps(first["input"], default=str)
    shown = given if len(given) <= 40 else f"{given[:39]}…"
    raise RecordError(f"{file}: {where or 'it'} is {shown}: {first['msg'].lower()}")


def _write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write a file whole; see `_plain` for what it may hold."""
    text = json.dumps(_plain(value, path.name), indent=indent, ensure_ascii=False, allow_nan=False)
    project.write(path, text + "\n")


def _plain(value: Any, where: str) -> Any:
    """A value in JSON's own types; not-a-number and infinity become null, and a choice has its scores by name, too.

    Raises
    ------
    TypeError
        A value has no place in JSON; the message says where it stands.
    """
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, pandas columns
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value):
        value = vars(value) | ({"thresholds": value.thresholds} if isinstance(value, Choice) else {})
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(items)]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "isoformat"):  # dates and times
        return value.isoformat()
    raise TypeError(f"{where}: a {type(value).__name__} cannot be written as JSON; record numbers, text or mappings")
