"""All runs together: `runs/index.html` lists them and compares any two, the terminal does the same.

`make runs`, `make compare` and `make open` run this program. A run is
whatever folder holds a `metrics.json` or a `state.json`; what cannot be read of it is said in its line, and keeps no
other run from being listed.
"""

from __future__ import annotations

import argparse
import difflib
import fcntl
import json
import math
import os
import secrets
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fraud_utils import record as results
from fraud_utils.project import root
from fraud_utils.report import pages

if TYPE_CHECKING:
    import numpy as np

RUNS = Path("runs")
COMPARED = 30  # newest finished runs that the page can compare: it holds each pair's differences, some 600 bytes
# Of the chosen candidate: part, name in metrics.json, what to call it, decimals.
MEASURES = (
    ("oof", "average_precision", "average precision, out of fold", 3),
    ("test", "average_precision", "average precision, test set", 3),
    ("test", "precision", "precision, test set", 3),
    ("test", "recall", "recall, test set", 3),
    ("test", "f1", "F1, test set", 3),
    ("test", "brier", "Brier score (lower is better), test set", 5),
    ("test", "savings", "savings, test set", 3),
)
UNKNOWN = "–"


class UsageError(Exception):
    """Something was asked of runs that are not there, or not finished."""


@dataclass(frozen=True)
class Run:
    """What one folder says of itself.

    Attributes
    ----------
    name : str
        The folder's.
    state : {"finished", "running", "failed", "interrupted", "killed", "damaged"}
        Killed: it says that it is running, and no process holds it. Damaged: its files cannot be read.
    problem : str
        Of a run that is not finished: where it is, or what went wrong.
    begun : float
        When, in seconds since 1970; of a damaged run, when its folder last changed.
    metrics : dict
        Of a finished run, checked as far as is needed here; else no more than the `data` that was recorded.
    seconds : float, optional
    page : str
        The file to read, in its folder; "" where there is none.
    """

    name: str
    state: str
    problem: str = ""
    begun: float = 0.0
    metrics: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    page: str = ""

    @property
    def folder(self) -> Path:
        return RUNS / self.name

    @property
    def created(self) -> str:
        """When it began, "2026-01-02 03:04 UTC"."""
        return f"{datetime.fromtimestamp(self.begun, UTC):%Y-%m-%d %H:%M} UTC"

    @property
    def shown(self) -> str:
        """The name, whatever bytes a folder's may hold."""
        return os.fsencode(self.name).decode("utf-8", "replace")

    @property
    def link(self) -> str:
        """From `runs/` to its page; quoted, so that no name is taken for an address of another kind."""
        return f"{quote(os.fsencode(self.name), safe='')}/{quote(self.page, safe='')}" if self.page else ""

    @property
    def simulated(self) -> bool:
        return bool((self.metrics.get("data") or {}).get("simulated"))

    @property
    def data(self) -> str:
        name = str((self.metrics.get("data") or {}).get("name") or UNKNOWN)
        return f"SIMULATED: {name}" if self.simulated and "SIMULATED" not in name else name

    @property
    def chosen(self) -> str:
        return str((self.metrics.get("chosen") or {}).get("name") or UNKNOWN)

    def figure(self, part: str, name: str) -> tuple[float | None, list[float] | None]:
        """A metric of the chosen candidate and its interval; None where it was not recorded."""
        models = {model["name"]: model for model in self.metrics.get("models") or []}
        judged = models.get(self.chosen, {}).get(part) or {}
        return judged.get(name), judged.get(f"{name}_ci")


# Reading ------------------------------------------------------------------------------------------------------------


def listed() -> list[Run]:
    """All runs, newest first."""
    folders = sorted(RUNS.iterdir()) if RUNS.is_dir() else []
    found = [read(folder) for folder in folders if folder.name != "latest" and not folder.name.startswith(".")]
    return sorted((run for run in found if run), key=lambda run: run.begun, reverse=True)


def read(folder: Path) -> Run | None:
    """What a folder says of itself; None when it holds no run. A fault in its files becomes part of the answer."""
    try:
        if not any((folder / name).exists() for name in ("metrics.json", "state.json")):
            return None
    except OSError:
        return None
    try:
        state = _json(folder / "state.json")
        if not (folder / "metrics.json").exists():
            return _unfinished(folder, state)
        metrics = _json(folder / "metrics.json")
        _check(metrics)
        page = "index.html" if (folder / "index.html").exists() else ""
        return Run(
            folder.name, "finished", "", _moment(metrics["created"]), metrics, metrics["seconds"].get("total"), page
        )
    except (OSError, ValueError, OverflowError, RecursionError) as error:
        return Run(folder.name, "damaged", _short(error), folder.stat().st_mtime)


def _json(path: Path) -> dict[str, Any]:
    """An object from a file, {} where there is no file; ValueError names the file."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is of another shape: it holds no object")
    return content


def _check(metrics: Mapping[str, Any]) -> None:
    """Refuse, by a ValueError that says where, a `metrics.json` of another shape than what is read of it here."""

    def need(holder: Any, key: str, *kinds: type, where: str = "") -> Any:
        value = holder.get(key) if isinstance(holder, dict) else None
        wrong = not isinstance(value, kinds) or isinstance(value, bool)
        if wrong or (isinstance(value, int | float) and _number(value) is None):
            raise ValueError(f"metrics.json is of another shape: {where}{key} is {_short(json.dumps(value), 40)}")
        return value

    nothing = type(None)
    try:
        _moment(need(metrics, "created", str))
    except (ValueError, OverflowError):
        raise ValueError(f"metrics.json is of another shape: created is {_short(metrics.get('created'), 40)}") from None
    need(metrics, "parameters", dict)
    need(need(metrics, "version", dict), "packages", dict, where="version.")
    need(need(metrics, "seconds", dict), "total", int, float, nothing, where="seconds.")
    for section in ("data", "split", "chosen"):
        need(metrics, section, dict, nothing)
    if metrics["chosen"]:
        need(metrics["chosen"], "name", str, where="chosen.")
        need(metrics["chosen"], "hyperparameters", dict, nothing, where="chosen.")
    need(metrics, "tie_set", list, nothing)
    for place, model in enumerate(need(metrics, "models", list, nothing) or []):
        where = f"models[{place}]."
        need(model, "name", str, where=where)
        for part in ("oof", "test"):
            judged = need(model, part, dict, nothing, where=where) or {}
            for name in {name for _, name, *_ in MEASURES}:
                need(judged, name, int, float, nothing, where=f"{where}{part}.")
                bounds = need(judged, f"{name}_ci", list, nothing, where=f"{where}{part}.")
                if bounds is not None and (len(bounds) != 2 or any(_number(bound) is None for bound in bounds)):
                    raise ValueError(f"metrics.json is of another shape: {where}{part}.{name}_ci is no [low, high]")


def _unfinished(folder: Path, state: Mapping[str, Any]) -> Run:
    said, created = state.get("state"), state.get("created")
    if said not in ("running", "failed", "interrupted", "finished") or not isinstance(created, str):
        raise ValueError("state.json is of another shape: it holds no state, or not when the run began")
    if said == "finished":
        raise ValueError("metrics.json is missing, though the run was finished")
    if said == "running" and not _held(folder):
        said = "killed"
    place = f"in {state['notebook']}, cell {state.get('cell', 0)}" if state.get("notebook") else ""
    problem = ": ".join(filter(None, [place, _short(state.get("error") or "")]))
    page = f"{state.get('notebook')}.html"
    data = _json(folder / results.SECTIONS_FILE).get("data")
    return Run(
        folder.name,
        said,
        problem,
        _moment(created),
        {"data": data} if isinstance(data, dict) else {},
        _number(state.get("seconds")),
        page if (folder / page).exists() else "",
    )


def _held(folder: Path) -> bool:
    """Whether a process holds the lock that `report` takes on a run's folder."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # held; or a file system that cannot tell, where the run's own word has to do
        return True
    finally:
        os.close(lock)
    return False


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if abs(value) < 1e15 and not math.isnan(value) else None  # what is larger is no figure of ours


def _moment(created: str) -> float:
    moment = datetime.fromisoformat(created).timestamp()
    datetime.fromtimestamp(moment, UTC)  # can be shown, too
    return moment


def _short(text: object, length: int = 200) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def cell_seconds(notebook: str, parameters: Mapping[str, Any], rows: int | None) -> tuple[str, dict[str, float]]:
    """How long each cell of a notebook took in the newest finished run that is like another one.

    Parameters
    ----------
    notebook : str
        Its stem.
    parameters : mapping
        Of the other run. Alike are runs of one profile and target, and of as many rows.
    rows : int, optional
        Where they are not known yet, runs of the same table and schema are alike.

    Returns
    -------
    run : str
        Its name, "" when there is none.
    seconds : dict of str to float
        By the cell's id.
    """
    same = ["profile", "target"] + ["data", "schema"] * (rows is None)
    for run in listed():
        its = run.metrics.get("parameters", {})
        if run.state != "finished" or any(its.get(name) != parameters.get(name) for name in same):
            continue
        if rows is not None and (run.metrics.get("data") or {}).get("rows") != rows:
            continue
        try:
            cells = json.loads((run.folder / f"{notebook}.ipynb").read_bytes())["cells"]
            took = {cell["id"]: cell["metadata"].get("papermill", {}).get("duration") for cell in cells}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue
        if known := {cell: seconds for cell, seconds in took.items() if _number(seconds) is not None}:
            return run.name, known  # an example has no times
    return "", {}


# Comparing ----------------------------------------------------------------------------------------------------------


def reach(value: float | None, bounds: Sequence[float] | None, digits: int = 3, sign: str = "") -> str:
    """A figure with its interval, a dash where it is not known."""
    if value is None:
        return UNKNOWN
    shown = [f"{each:{sign}.{digits}f}".replace("-", "−") for each in (value, *(bounds or []))]
    return shown[0] + (f" [{shown[1]}, {shown[2]}]" if bounds else "")


class Compared:
    """A finished run, made ready to be compared with others.

    Attributes
    ----------
    facts : dict
        Text by group and name: data, parameters, choice, versions. Two runs differ where these do.
    figures : list
        Value, interval and text of each of `MEASURES`.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        metrics = run.metrics
        data, split, chosen = (metrics.get(name) or {} for name in ("data", "split", "chosen"))
        version = metrics["version"]
        hyperparameters = chosen.get("hyperparameters") or {}
        judged = [model["name"] for model in metrics.get("models") or []]
        groups: dict[str, Mapping[str, Any]] = {
            "data": {
                "name": run.data,
                "SHA-256": str(data.get("sha256") or UNKNOWN)[:12],
                "transactions": data.get("rows"),
                "frauds": data.get("frauds"),
                "test set from time": split.get("test_from"),
                "test transactions": split.get("test_rows"),
                "frauds among them": split.get("test_frauds"),
            },
            "parameter": metrics["parameters"],
            "choice": {
                "candidate": run.chosen,
                **{name: value for name, value in hyperparameters.items() if name not in metrics["parameters"]},
                **{f"compared, {name}": "yes" for name in judged},
                **{f"in the tie set, {name}": "yes" for name in metrics.get("tie_set") or []},
            },
            "version": {
                "fraud_utils": version.get("project"),
                "commit": version.get("git"),
                "Python": version.get("python"),
                **version["packages"],
            },
        }
        self.facts = {
            (group, str(name)): _fact(value) for group, facts in groups.items() for name, value in facts.items()
        }
        # Without a checksum nobody can tell whether two tables are the same one.
        self.rows = (data["sha256"], *map(split.get, ("test_from", "test_rows"))) if data.get("sha256") else None
        self.resamples = _resamples(run)
        self.figures = []
        for part, name, _, digits in MEASURES:
            value, bounds = run.figure(part, name)
            again = self._resampled(part, name)
            if value is not None and bounds is None and again is not None:
                bounds = _interval(again)
            self.figures.append((value, bounds, reach(value, bounds, digits)))

    def _resampled(self, part: str, name: str) -> np.ndarray | None:
        return self.resamples.get(part, ("", {}))[1].get(name)

    def against(self, other: Compared) -> tuple[str, list[tuple[str, str]]]:
        """The other run's figures minus this one's.

        Returns
        -------
        note : str
            Whether they can be compared, and how.
        differences : list of (str, str)
            For each of `MEASURES` the difference with its interval ("" where the two are not paired), and what it
            shows.
        """
        if self.run.simulated != other.run.simulated:
            told = "One run is of SIMULATED transactions and the other of real ones: their figures are not compared."
            return told, [("", "not compared")] * len(MEASURES)
        same_rows = self.rows is not None and self.rows == other.rows
        shown = [self._difference(other, place, same_rows) for place in range(len(MEASURES))]
        if any(difference for difference, _ in shown):
            note = (
                "Paired: both runs scored the same transactions, and each 95 % interval is of the difference on the "
                "same resamples of them; one in twenty is wrong. They cover which transactions there happen to be, not "
                "the luck of a fit: runs that differ in their seed alone show how much that is."
            )
        elif same_rows:
            note = (
                "Not paired: the transactions are the same, but one of the runs has no resamples.json that fits; run "
                "it again to pair them. Intervals that overlap show no difference."
            )
        elif self.rows is not None and other.rows is not None and self.rows[0] == other.rows[0]:
            note = "Not paired: the data is the same, the test sets are not. Intervals that overlap show no difference."
        else:
            note = (
                "Not paired: the data is not known to be the same. Intervals that overlap show no difference, and even "
                "where they do not, other data may be the reason."
            )
        return note, shown

    def _difference(self, other: Compared, place: int, same_rows: bool) -> tuple[str, str]:
        part, name, _, digits = MEASURES[place]
        (value, bounds, _), (its, its_bounds, _) = self.figures[place], other.figures[place]
        if value is None or its is None:
            return "", "not known of both"
        cost = ("parameter", "review_cost")
        if name == "savings" and self.facts.get(cost) != other.facts.get(cost):
            return "", "not compared: review_cost differs"
        mine, theirs = self._resampled(part, name), other._resampled(part, name)
        alike = self.resamples.get(part, ("",))[0] == other.resamples.get(part, ("",))[0]
        if same_rows and alike and mine is not None and theirs is not None and len(mine) == len(theirs):
            change = theirs - mine
            low, high = _interval(change)
            text = reach(its - value, [low, high], digits, "+")
            if not change.any():
                return text, "the same"
            if low > 0 or high < 0:
                return text, f"B is {'higher' if low > 0 else 'lower'}, by more than sampling noise"
            return text, "no difference shown"
        if not bounds or not its_bounds:
            return "", "no interval to judge by"
        apart = bounds[1] < its_bounds[0] or its_bounds[1] < bounds[0]
        return "", "intervals do not overlap" if apart else "intervals overlap: no difference shown"


def _fact(value: Any) -> str:
    if value is None:
        return UNKNOWN
    return value or "(empty)" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _interval(values: np.ndarray) -> list[float]:
    import numpy as np

    return [float(bound) for bound in np.quantile(values, [0.025, 0.975])]


def _resamples(run: Run) -> dict[str, tuple[str, dict[str, np.ndarray]]]:
    """By part, which resamples they are and each metric on them; {} where the file is missing or damaged."""
    import numpy as np

    try:
        kept = results.resamples(run.folder)
    except results.RecordError:
        return {}
    return {part: (each.which, {k: np.asarray(v) for k, v in each.values.items()}) for part, each in kept.items()}


def differing(one: Compared, other: Compared) -> list[tuple[str, str, str, str]]:
    """Group, name and both texts of every fact in which two runs differ."""
    keys = dict.fromkeys([*one.facts, *other.facts])
    both = [(*key, one.facts.get(key, UNKNOWN), other.facts.get(key, UNKNOWN)) for key in keys]
    order = ["data", "parameter", "choice", "version"]
    return sorted((fact for fact in both if fact[2] != fact[3]), key=lambda fact: order.index(fact[0]))


def compared(one: str, other: str) -> str:
    """The comparison of two runs as text for a terminal.

    Raises
    ------
    UsageError
        There is no such run, or it is not finished.
    """
    first, second = (Compared(_finished(name, key)) for name, key in ((one, "A"), (other, "B")))
    note, differences = first.against(second)
    about = [
        ["A", first.run.shown, first.run.created, first.run.data],
        ["B", second.run.shown, second.run.created, second.run.data],
    ]
    facts = [[f"{group}: {name}", a, b] for group, name, a, b in differing(first, second)]
    figures = [
        [label, first.figures[place][2], second.figures[place][2], *differences[place]]
        for place, (_, _, label, _) in enumerate(MEASURES)
    ]
    parts = [
        _columns(about),
        _columns([["of the chosen candidate", "A", "B", "B minus A", ""], *figures]),
        note,
        _columns([["what differs", "A", "B"], *facts]) if facts else "Data, parameters, choice and versions are alike.",
    ]
    return "\n\n".join(parts)


def _columns(rows: Sequence[Sequence[str]], widest: int = 48) -> str:
    """Text in columns; what is wider than a column may be is cut, control characters are shown as such."""
    plain = [["".join(c if c.isprintable() else "�" for c in _short(cell, widest)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    return "\n".join("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in plain)


def _finished(name: str, source: str) -> Run:
    """The finished run of this name; `latest` is one."""
    runs = {run.name: run for run in listed()}
    if not runs:
        raise UsageError(f"there are no runs in {RUNS}/; make report makes one")
    if name == "latest" and (RUNS / name).is_symlink():
        name = (RUNS / name).readlink().name
    if name not in runs:
        close = difflib.get_close_matches(name, runs, 3, 0.4)
        near = f"did you mean {' or '.join(map(repr, close))}?" if close else f"there are {', '.join(list(runs)[:10])}"
        raise UsageError(f"{source}={name}: no such run; {near}" if name else f"{source}: name a run; {near}")
    run = runs[name]
    if run.state != "finished":
        raise UsageError(
            f"{source}={name}: this run is {run.state}; choose a finished one ({run.problem or 'no more is known'})"
        )
    return run


# The page -----------------------------------------------------------------------------------------------------------


def write_index() -> Path:
    """Write `runs/index.html`, from all that the folders in `runs/` say; returns its path."""
    everything = listed()
    ready = [Compared(run) for run in everything if run.state == "finished"][:COMPARED]
    pairs = {}
    notes: dict[str, int] = {}
    for a, one in enumerate(ready):
        for b, other in enumerate(ready):
            if a != b:
                note, differences = one.against(other)
                pairs[f"{a} {b}"] = [notes.setdefault(note, len(notes)), differences]
    embedded = {
        "runs": [
            {
                "name": each.run.shown,
                "about": f"{each.run.created}, {each.run.data}",
                "facts": [[*key, text] for key, text in each.facts.items()],
                "figures": [text for *_, text in each.figures],
            }
            for each in ready
        ],
        "measures": [label for _, _, label, _ in MEASURES],
        "notes": list(notes),
        "pairs": pairs,
    }
    text = pages.render(
        "runs.html.j2",
        "runs.js",
        runs=everything,
        comparable=len(ready),
        limit=COMPARED,
        embedded=embedded,
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        reach=reach,
    )
    page = RUNS / "index.html"
    partial = RUNS / f".index-{secrets.token_hex(4)}.html"
    try:
        partial.write_text(text, encoding="utf-8", errors="replace")
        partial.replace(page)
    finally:
        partial.unlink(missing_ok=True)
    return page


def _open(name: str) -> str:
    """Open a run's summary in a browser; returns the page's path, to be printed."""
    run = _finished(name or "latest", "RUN")
    page = run.folder.resolve() / run.page
    if not run.page:
        raise UsageError(f"RUN={run.name}: {run.folder}/index.html is missing; run it again")
    try:
        opened = webbrowser.open(page.as_uri())
    except webbrowser.Error:
        opened = False
    return (run.folder / run.page).as_posix() + ("" if opened else "  (no browser was found here; open it in one)")


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit status: 0, or 2 when a run is not there or not finished."""
    os.chdir(root())
    parser = argparse.ArgumentParser(prog="python -m fraud_utils.report.compare_runs", description="What runs/ holds.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("index", help="write runs/index.html again: all runs, and a comparison of any two")
    compare = commands.add_parser(
        "compare", help="print in which data, parameters, versions and figures two runs differ"
    )
    compare.add_argument("a", metavar="A", help="name of a finished run, or latest")
    compare.add_argument("b", metavar="B", help="of another")
    opening = commands.add_parser("open", help="open a run's summary in a browser")
    opening.add_argument("run", metavar="RUN", nargs="?", default="", help="its name; the latest when it is not given")
    options = parser.parse_args(arguments)
    try:
        match options.command:
            case "index":
                RUNS.mkdir(exist_ok=True)
                print(write_index().as_posix())
            case "compare":
                print(compared(options.a, options.b))
            case "open":
                print(_open(options.run))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
