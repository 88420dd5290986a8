"""A schema drafted from a table alone: a role for every column, with the reason, and what somebody has to decide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fraud_utils.data.columns import look
from fraud_utils.data.guesses import Draft, guess
from fraud_utils.data.parts import files_of
from fraud_utils.data.schema import DataError, Schema
from fraud_utils.project import resolve

DECIDE = "# decide:"
SINGLE = ("label", "time", "amount", "entity")
ORDER = (
    *("separator", "decimal", "encoding", "label", "fraud", "unlabelled", "time", "time_from", "time_unit"),
    *("time_format", "dates", "amount", "currency", "thousands", "negative_amounts", "entity", "entities", "features"),
    *("categorical", "ignored"),
)


def draft(path: str | Path) -> Draft:
    """Guess what the columns of a table mean; what a wrong guess would make worthless is left open.

    Raises
    ------
    DataError
        There is no such table, or nothing of it can be read.
    """
    file = resolve(path)
    if not file.exists():
        raise DataError(f"{path}: no such file; check the path")
    made = Draft(look(files_of(file, Schema("", "label", None, None, ("feature",)), str(path)), str(path)))
    guess(made)
    return made


def keep(made: Draft, source: str) -> Path:
    """Write a draft beside its table, or into data/ where the table lies outside the project.

    Returns
    -------
    Path
        Relative to the project's root.

    Raises
    ------
    DataError
        There is such a file; it stays as it is.
    """
    table, root = made.look.path.resolve(), resolve("").resolve()
    folder = table.parent if table.is_relative_to(root) else root / "data"
    name = table.name[: table.name.lower().rindex(".parquet" if table.name.lower().endswith(".parquet") else ".csv")]
    file = folder / f"{name or 'table'}.yaml"
    shown = file.relative_to(root)
    folder.mkdir(exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(written(made, source))
    except FileExistsError:
        raise DataError(
            f"{shown} exists and stays as it is; check it with SCHEMA={shown}, or move it away for a new draft"
        ) from None
    return shown


def unresolved(schema: Path) -> list[str]:
    """What a drafted schema still asks, with its lines."""
    lines = enumerate(schema.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
    asked = ((number, line.strip().removeprefix(DECIDE)) for number, line in lines if line.strip().startswith(DECIDE))
    return [f"line {number}: to be decided:{question}" for number, question in asked]


def written(made: Draft, source: str) -> str:
    """A draft as a YAML file."""
    lines = [f"# A draft of what {source} means: guessed from names and values, with the reasons. Read every line."]
    if made.look.seen:
        lines.append(f"# Of the folder, {made.look.seen} were looked at; what is said of all rows is of these.")
    for key in ORDER:
        lines += [f"{DECIDE} {_line(made.open[key])}"] if key in made.open else []
        if key in made.keys:
            lines.append(_commented(f"{key}: {_yaml(made.keys[key][0])}", made.keys[key][1]))
        if made.roles.get(key):
            lines += _role(key, made.roles[key])
        if key == "entities" and made.people:
            lines.append(_commented(f"# groups: {_yaml(made.people)}", "to compare errors between groups of people"))
        if key == "entities" and "entity" in made.roles and "time" in {*made.roles, *made.keys}:
            of = ["count", *(["ratio"] if "amount" in made.roles else []), "since_last"]
            history = {"by": made.roles["entity"][0][0], "days": [1, 7, 30], "of": of}
            lines.append(_commented(f"# history: {_yaml([history])}", "columns on what it did before"))
    return "\n".join(lines) + "\n"


def _role(role: str, columns: list[tuple[str, str]]) -> Iterator[str]:
    if role in SINGLE:
        (name, why), *_ = columns
        yield _commented(f"{role}: {_yaml(name)}", why)
        return
    yield f"{role}:"
    for name, why in columns:
        yield _commented(f"  - {_yaml(name)}", why)


def _commented(text: str, why: str) -> str:
    return f"{text:<30}  # {_line(why)}" if why else text


def _line(text: str) -> str:
    return " ".join(text.split())


def _yaml(value: Any) -> str:
    """A value as YAML on one line."""
    import yaml  # which the image, whose programs draft nothing, does without

    return yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=float("inf")).strip()[1:-1]
