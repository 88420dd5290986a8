"""All runs together: `runs/index.html` lists them and compares any two, the terminal does the same.

`make runs`, `make compare` and `make open` run this program.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
import webbrowser
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fraud_utils import project
from fraud_utils.record import RunRecord
from fraud_utils.report import pages
from fraud_utils.report.comparison import MEASURES, Comparable, differing
from fraud_utils.report.errors import UsageError
from fraud_utils.report.runs import RUNS, Run, data_name, listed, short

COMPARED = 30  # newest finished runs that the page can compare: it holds each pair's differences, some 600 bytes


# In the terminal ----------------------------------------------------------------------------------------------------


def compared(one: str, other: str) -> str:
    """The comparison of two runs as text for a terminal.

    Raises
    ------
    UsageError
        There is no such run, or it is not finished.
    """
    first, second = Comparable(*_finished(one, "A")), Comparable(*_finished(other, "B"))
    note, differences = first.compared_with(second)
    about = [[key, each.run.shown, *_about(each)] for key, each in (("A", first), ("B", second))]
    facts = [[f"{group}: {name}", a, b] for group, name, a, b in differing(first, second)]
    figures = [
        [measure.label, first.figures[place][2], second.figures[place][2], *differences[place]]
        for place, measure in enumerate(MEASURES)
    ]
    parts = [
        _columns(about),
        _columns([["of the chosen candidate", "A", "B", "B minus A", ""], *figures]),
        note,
        _columns([["what differs", "A", "B"], *facts]) if facts else "Data, parameters, choice and versions are equal.",
    ]
    return "\n\n".join(parts)


def _about(each: Comparable) -> tuple[str, str]:
    return each.run.created, data_name(each.record.data)


def _columns(rows: Sequence[Sequence[str]], widest: int = 48) -> str:
    """Text in columns; what is wider than a column may be is cut, control characters are shown as such."""
    plain = [["".join(c if c.isprintable() else "�" for c in short(cell, widest)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    return "\n".join("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in plain)


def _finished(name: str, source: str) -> tuple[Run, RunRecord]:
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
    if not run.record:
        raise UsageError(
            f"{source}={name}: this run is {run.state}; choose a finished one ({short(run.problem) or 'no details'})"
        )
    return run, run.record


# The page -----------------------------------------------------------------------------------------------------------


def write_index() -> Path:
    """Write `runs/index.html`, from all that the folders in `runs/` say; returns its path."""
    everything = listed()
    ready = [Comparable(run, run.record) for run in everything if run.record][:COMPARED]
    pairs = {}
    notes: dict[str, int] = {}
    for a, one in enumerate(ready):
        for b, other in enumerate(ready):
            if a != b:
                note, differences = one.compared_with(other)
                pairs[f"{a} {b}"] = [notes.setdefault(note, len(notes)), differences]
    embedded = {
        "runs": [
            {
                "name": each.run.shown,
                "about": ", ".join(_about(each)),
                "facts": [[*key, text] for key, text in each.facts.items()],
                "figures": [text for *_, text in each.figures],
            }
            for each in ready
        ],
        "measures": [measure.label for measure in MEASURES],
        "notes": list(notes),
        "pairs": pairs,
    }
    text = pages.render(
        "runs.html.j2",
        "runs.js",
        runs=everything,
        otherwise=_otherwise(everything),
        comparable=len(ready),
        limit=COMPARED,
        embedded=embedded,
        written=datetime.now(UTC),
    )
    page = RUNS / "index.html"
    project.write(page, text.encode("utf-8", "replace"))
    return page


def _otherwise(runs: Sequence[Run]) -> dict[str, str]:
    """By run, the parameters in which it differs from most of the runs; what has a column of its own is left out."""
    names = sorted({name for run in runs for name in run.parameters} - {"profile", "seed"})
    values = {name: [json.dumps(run.parameters[name]) for run in runs if name in run.parameters] for name in names}
    usual = {name: Counter(found).most_common(1)[0][0] for name, found in values.items()}
    return {
        run.name: ", ".join(
            f"{name} {short(value, 40) or 'empty'}"
            for name, value in run.parameters.items()
            if name in usual and json.dumps(value) != usual[name]
        )
        for run in runs
    }


def _open(name: str) -> str:
    """Open a run's summary in a browser; returns the page's path, to be printed."""
    run, _ = _finished(name or "latest", "RUN")
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
    os.chdir(project.root())
    parser = argparse.ArgumentParser(prog="python -m fraud_utils.report.compare_runs", description="What runs/ holds.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("index", help="write runs/index.html again: all runs, and a comparison of any two")
    compare = commands.add_parser("compare", help="show how two runs differ: data, parameters, versions, figures")
    compare.add_argument("a", metavar="A", help="name of a finished run, or latest")
    compare.add_argument("b", metavar="B", help="name of another")
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
