"""The parameters of the notebooks: what they declare, and what somebody has set."""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import math
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fraud_utils.data import DataError, Schema
from fraud_utils.report.errors import UsageError

CHOICES = {"profile": ("full", "quick"), "target": ("local", "aws"), "simulate": ("", "cards")}
OPTIONS = ("data", "schema", "profile", "target")  # parameters that are options of the program, too


class Limits(NamedTuple):
    """The numbers that make sense for a parameter, and how to say so."""

    low: float
    high: float
    words: str

    def allow(self, value: float) -> bool:
        return self.low <= value <= self.high


LIMITS = {
    "seed": Limits(0, 2**32 - 1, "a whole number from 0 to 4,294,967,295"),
    "test_share": Limits(0.01, 0.99, "a share from 0.01 to 0.99, such as 0.2 for 20 %"),
    "review_cost": Limits(1e-9, 1e12, "an amount above 0"),
    "block_cost": Limits(1e-9, 1e12, "an amount above 0"),
    "alerts_per_day": Limits(0, 1e9, "at least 1, or 0 for no budget"),
    "cards_per_day": Limits(0, 1e9, "at least 1, or 0 for no budget"),
    "tuning_trials": Limits(0, 1e6, "at least 1, or 0 for as many as the profile says"),
    "tune_jobs": Limits(0, 500, "at least 1, or 0 for the search without training jobs"),
    "tuning_seconds": Limits(0, 1e9, "0 or more seconds"),
    "most_rows": Limits(0, 1e10, "at least 1, or 0 for as many as this machine takes well"),
    "train_count": Limits(1, 1e4, "at least 1"),
    "serve_count": Limits(1, 1e4, "at least 1"),
    "canary_minutes": Limits(0, 60, "from 0 to 60 minutes"),
    "canary_percent": Limits(1, 50, "from 1 to 50 percent"),
    "autoscale_to": Limits(0, 1e4, "at least 1, or 0 for no scaling"),
    "label_delay_days": Limits(-1, 3_650, "0 or more days, or -1 for as long as the schema says"),
    "rehearsal_weeks": Limits(0, 1e5, "at least 1, or 0 for no rehearsal"),
    "requests_per_day": Limits(1, 1e6, "from 1 to a million"),
}


@dataclass(frozen=True)
class Parameter:
    """One line `name: type = value  # help` of a notebook's `parameters` cell."""

    name: str
    type: str
    default: Any
    help: str
    notebook: str


# What notebooks declare ---------------------------------------------------------------------------------------------


def declared(notebooks: Iterable[Path]) -> dict[str, dict[str, Parameter]]:
    """The parameters of each notebook, by the notebook's stem.

    The cell is parsed as Python rather than matched line by line as papermill does, which overlooks a parameter whose
    comment holds a '=' and both of two on one line.

    Raises
    ------
    UsageError
        A notebook has no `parameters` cell or more than one, a line of it is not `name: type = literal`, a default is
        not of its type, or two notebooks disagree about a parameter.
    """
    by_notebook: dict[str, dict[str, Parameter]] = {}
    first: dict[str, Parameter] = {}
    for notebook in notebooks:
        by_notebook[notebook.stem] = parameters = _parameters(notebook)
        for name, parameter in parameters.items():
            other = first.setdefault(name, parameter)
            if (other.type, other.default) != (parameter.type, parameter.default):
                raise UsageError(
                    f"parameter {name!r} is '{other.type} = {other.default!r}' in {other.notebook} but "
                    f"'{parameter.type} = {parameter.default!r}' in {parameter.notebook}; make them the same"
                )
    return by_notebook


def defaults(by_notebook: Mapping[str, Mapping[str, Parameter]]) -> dict[str, Any]:
    """The values that parameters have where nobody sets them."""
    return {each.name: each.default for known in by_notebook.values() for each in known.values()}


def cells(notebook: Path) -> list[dict[str, Any]]:
    """The cells as they stand in the file; reading them through nbformat would take seconds to import."""
    try:
        return json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{notebook}: not a notebook of format 4: {error!r}") from None


def _parameters(notebook: Path) -> dict[str, Parameter]:
    tagged = [cell for cell in cells(notebook) if "parameters" in cell["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise UsageError(f"{notebook}: {len(tagged)} cells carry the tag 'parameters'; exactly one must")
    source = "".join(tagged[0]["source"])  # a string, or its lines
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise UsageError(f"{notebook}: the parameters cell is not Python: {error.msg}, line {error.lineno}") from None
    lines = source.splitlines()
    parameters: dict[str, Parameter] = {}
    for node in statements:
        text = ast.unparse(node)
        rest = lines[(node.end_lineno or 1) - 1].encode()[node.end_col_offset :].decode().strip()
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if rest[:1] in ("", "#"):
                if name in parameters:
                    raise UsageError(f"{notebook}: parameter {name!r} is declared twice")
                kind = ast.unparse(node.annotation)
                default = _default(value, kind, f"{notebook}: parameter '{text}'")
                parameters[name] = Parameter(name, kind, default, rest.lstrip("# "), notebook.name)
            case _:
                raise UsageError(
                    f"{notebook}: '{text}' in the parameters cell; each line there is "
                    "'name: type = value  # help', with a literal as the value"
                )
    return parameters


def _default(value: ast.expr, kind: str, where: str) -> Any:
    try:
        literal = ast.literal_eval(value)
        default = _convert(literal, kind)
    except (ValueError, TypeError):
        literal = default = None
    if default is None or default != literal:
        raise UsageError(
            f"{where}: the default must be a literal of its type, which is one of int, float, bool, str, list, "
            "list[...], dict"
        )
    return default


def _convert(value: Any, kind: str) -> Any:
    """The value as the annotated type, from text or from what YAML made of it; ValueError when it is not one."""
    wrong = ValueError(f"takes {kind}, not {value!r}")
    item = re.fullmatch(r"list\[(.+)\]", kind)
    try:
        if isinstance(value, str) and (item or kind in ("list", "dict")):
            value = yaml.safe_load(value)
        if item and isinstance(value, list):
            return [_convert(element, item[1]) for element in value]
        if kind in ("int", "float") and isinstance(value, str):
            value = int(value) if kind == "int" else float(value)
    except (ValueError, yaml.YAMLError):
        raise wrong from None
    if kind == "bool" and isinstance(value, str):
        value = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(value.lower())
    if kind == "float" and type(value) is int:
        value = float(value)
    types = {"int": int, "float": float, "bool": bool, "str": str, "list": list, "dict": dict}
    if type(value) is not types.get(kind) or (isinstance(value, float) and not math.isfinite(value)):
        raise wrong
    return value


# What somebody has set ----------------------------------------------------------------------------------------------


def given(options: argparse.Namespace, known: Mapping[str, Parameter]) -> dict[str, Any]:
    """The parameters that somebody has set, typed.

    What has an option of its own wins, then single values on the command line, then PARAMS, then the file.

    Raises
    ------
    UsageError
        A name that no notebook knows, a value of another type or one that makes no sense, or a file that is not there.
    """
    values: dict[str, Any] = {}
    for name, (value, source) in {name: (value, source) for name, value, source in _settings(options)}.items():
        if name == "run_folder":
            raise UsageError(f"{source}: 'run_folder' follows from the run's name; set RUN instead")
        if name not in known:
            allowed = sorted(known.keys() - {"run_folder"})
            close = difflib.get_close_matches(name, allowed, 1)
            hint = f"did you mean {close[0]!r}?" if close else "no notebook has it"
            raise UsageError(f"{source}: unknown parameter {name!r}; {hint} (known: {', '.join(allowed)})")
        try:
            values[name] = _convert(value, known[name].type)
        except ValueError as error:
            raise UsageError(f"{source}: parameter {name!r} {error}") from None
        if values[name] not in CHOICES.get(name, (values[name],)):
            raise UsageError(f"{source}: {name} is {' or '.join(filter(None, CHOICES[name]))}, not {value!r}")
        if name in LIMITS and not LIMITS[name].allow(values[name]):
            raise UsageError(f"{source}: {name} is {value}; it must be {LIMITS[name].words}")
        if name in ("data", "schema") and values[name] and not is_there(name, Path(values[name]).expanduser()):
            raise UsageError(f"{source}={values[name]}: no such file (paths are relative to {Path.cwd()})")
    if values.get("simulate") and (other := next((name for name in ("data", "schema") if values.get(name)), "")):
        raise UsageError(f"simulate={values['simulate']} makes transactions; leave {other.upper()} out, or simulate")
    try:
        Schema.read(values.get("schema", ""))
    except DataError as error:
        raise UsageError(str(error)) from None
    return values


def is_there(name: str, path: Path) -> bool:
    """Whether a table or a schema is there; a table may be a folder."""
    return path.is_file() or (name == "data" and path.is_dir())


def _settings(options: argparse.Namespace) -> Iterator[tuple[str, Any, str]]:
    """Name, value and where it was set, in rising precedence."""
    if options.params_file:
        try:
            content = yaml.safe_load(Path(options.params_file).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"{options.params_file}: not readable as YAML: {error}") from None
        if not isinstance(content, dict):
            raise UsageError(f"{options.params_file}: expected 'name: value' lines such as 'seed: 7'")
        yield from ((str(name), value, options.params_file) for name, value in content.items())
    try:
        words = shlex.split(options.params)
    except ValueError as error:
        raise UsageError(f"PARAMS={options.params!r}: {error}") from None
    for source, pairs in (("PARAMS", words), ("command line", options.override)):
        for pair in pairs:
            name, equals, text = pair.partition("=")
            if not equals:
                raise UsageError(f"{source}: {pair!r} is not name=value, for example seed=7")
            yield name, text, source
    for name in OPTIONS:
        if value := getattr(options, name):
            yield name, value, name.upper()
