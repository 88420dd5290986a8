"""`python -m fraud_utils.report`, which `make report` runs: execute the notebooks, in order, into `runs/<run>/`."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import shlex
import signal
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from fraud_utils import project, words
from fraud_utils.record import RunRecord
from fraud_utils.report import check, monitor, runs, tracking
from fraud_utils.report.errors import NotebookError, Stopped, UsageError
from fraud_utils.report.parameters import OPTIONS, declared, defaults, given
from fraud_utils.report.run import run
from fraud_utils.report.runs import RUNS

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit status: 0, 1 a notebook failed, 2 asked wrongly, 128 + n ended by signal n."""
    os.chdir(project.root())  # so that what a run writes about itself names no path of this machine
    for name in ("papermill", "traitlets", "asyncio"):  # their errors reach us as exceptions, and are printed once
        logging.getLogger(name).setLevel(logging.CRITICAL)
    notebooks = [each for each in sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb")) if each != monitor.NOTEBOOK]
    options = _parser(notebooks).parse_args(arguments)
    name = options.run or f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    try:
        if not notebooks:
            raise UsageError(f"no notebooks/NN_*.ipynb in {Path.cwd()}; run this inside the project")
        parameters = declared(notebooks)
        values = given(options, {name: each for known in parameters.values() for name, each in known.items()})
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup's and a background job's choice stays
                signal.signal(number, _on_signal)
        check.before_report(defaults(parameters) | values)
        finished = run(notebooks, name, values, parameters)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(_interrupted(signal.Signals(stop.number).name, name, options), file=sys.stderr)
        return 128 + stop.number
    except NotebookError as error:
        print(error.explanation(RUNS / name / f"{error.notebook}.html"), file=sys.stderr)
        return 1
    print(_overview(finished))
    tracking.send(RUNS / name, finished)
    print(f"make open RUN={name} opens this page:\n{(RUNS / name / 'index.html').as_posix()}")
    return 0


def _interrupted(signal_name: str, name: str, options: argparse.Namespace) -> str:
    """What an interrupted run leaves, and the command that goes on with it."""
    given = {option: getattr(options, option) for option in OPTIONS}
    given["params"] = " ".join(filter(None, [options.params, *map(shlex.quote, options.override)]))
    settings = [f"{option.upper()}={shlex.quote(value)}" for option, value in given.items() if value]
    return (
        f"interrupted by {signal_name}; runs/latest is as it was. Fits that were finished are kept. This goes on:\n"
        f"  make report {' '.join([f'RUN={name}', *settings])}"
    )


def _on_signal(number: int, frame: object) -> None:
    """End the run in order; further signals are ignored, so that an impatient second Ctrl-C does not spoil that."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)


def _overview(run: RunRecord) -> str:
    """What a run took and found, for the terminal: a line a notebook, the choice, what it reaches, the endpoint."""
    lines = {stem: f"{value:.1f} s" for stem, value in run.seconds.items()}
    if run.data:
        lines["data"] = runs.data_name(run.data)
    if run.chosen:
        lines["chosen"] = run.chosen.name
    if run.served:
        reached = words.decimals_between(*run.served.test.figure("average_precision"))
        lines["average precision"] = f"{reached} on the test set"
    if run.endpoint:
        difference = run.endpoint.max_abs_difference
        same = "not compared" if difference is None else f"scores differ by at most {difference:.2g}"
        kept = "" if run.endpoint.deleted else "; NOT deleted, it bills until it is"
        lines["endpoint"] = f"{words.count(run.endpoint.rows, 'row')}, {same}{kept}"
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())


def _parser(notebooks: Iterable[Path]) -> argparse.ArgumentParser:
    """The command line, explained with what the notebooks say of their parameters."""
    try:
        by_name = {each.name: each for known in reversed(declared(notebooks).values()) for each in known.values()}
        lines = [f"  {p.name}: {p.type} = {p.default!r}  {p.help}" for p in by_name.values() if p.name != "run_folder"]
    except UsageError as error:
        lines = [f"  {error}"]
    parser = argparse.ArgumentParser(
        prog="python -m fraud_utils.report",
        description="Execute the notebooks, in order, into runs/RUN/. An option that is not given is taken from the "
        "environment variable of its name in capitals, which is how make passes it.",
        epilog="\n".join(["parameters of the notebooks:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, text in (
        ("data", "table of transactions: .csv, .csv.gz, .csv.zip or .parquet"),
        ("schema", "YAML file that says what the table's columns mean"),
        ("run", "name of the run; the date and time when it is not given"),
        ("profile", "full, or quick for laptops and CI"),
        ("target", "local, or aws"),
        ("params", 'parameters of the notebooks, as "seed=7 review_cost=3"'),
    ):
        default = os.environ.get(option.upper(), "")
        parser.add_argument(f"--{option}", default=default, metavar=option.upper(), help=text)
    parser.add_argument("--params-file", default="", metavar="YAML", help="the same, as 'name: value' lines")
    parser.add_argument("override", nargs="*", metavar="name=value", help="the same, one by one")
    return parser
