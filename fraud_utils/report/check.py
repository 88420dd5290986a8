"""`python -m fraud_utils.report.check`, which `make check` runs: what can be known of a table before any notebook.

Without a schema, a draft of one is written. With one, all faults are listed, or else what the table holds and what a
report will leave out. A report does the same first, so that nothing of this comes up after minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fraud_utils import project, words
from fraud_utils.artifact import MAX_CATEGORIES, FeatureMap
from fraud_utils.data import (
    DEFAULT_PATH,
    ULB,
    DataError,
    Draft,
    Schema,
    Split,
    describe_sample,
    draft,
    fold_groups,
    frauds_to_fold,
    keep,
    load_transactions,
    share_of,
    split_transactions,
    uniform,
    unresolved,
)
from fraud_utils.record import Choice, Data, Sections, Threshold
from fraud_utils.record import Split as SplitSizes
from fraud_utils.report.errors import UsageError
from fraud_utils.report.parameters import declared, defaults, is_there

# What the check asks of the notebooks' parameters; a project of other notebooks may do anything with its table.
ASKED = {"data", "schema", "seed", "profile", "test_share", "review_cost", "alerts_per_day", "most_rows"}
SHOWN = 40  # columns that a table's list has at most; the draft has all


@dataclass(frozen=True)
class Checked:
    """A table without faults: figures by their names, what was detected, what reports leave out, and what to doubt."""

    facts: Mapping[str, str]
    read_as: tuple[str, ...]
    left_out: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def notes(self) -> list[str]:
        """What somebody who starts a report should know."""
        sentences = {"read": self.read_as, "left out": self.left_out, "doubtful": self.doubts}
        return [f"{what}: {each}" for what, found in sentences.items() for each in found]


def check(values: Mapping[str, Any]) -> Checked:
    """Check a table as the notebooks will meet it.

    Parameters
    ----------
    values : mapping
        The notebooks' parameters.

    Raises
    ------
    UsageError
        With every fault that was found, a line each.
    """
    from fraud_utils.evaluation import cards

    schema_file = str(values["schema"])
    asked = [f"{schema_file}, {each}" for each in unresolved(project.resolve(schema_file))] if schema_file else []
    try:
        schema = Schema.read(schema_file)
        frame = load_transactions(values["data"], schema, values["seed"], values["most_rows"])
        schema = schema.as_loaded
        split = split_transactions(frame, schema, values["test_share"], values["seed"])
        _foldable(split, schema, values)
        constant = _constant(split, schema)
        if values.get("cards_per_day") and share_of(frame) < 1:
            raise DataError(cards.SAMPLED)
    except DataError as error:
        raise _refused(values["data"], asked, error) from None
    if asked:
        raise _refused(values["data"], asked)
    _tunable(frame, values)
    facts = _facts(frame, split, schema)
    read_as, left_out = frame.attrs["provenance"]["read_as"], _left_out(frame, split, schema, values, constant)
    if (share := share_of(frame)) < 1:
        read_as = (*read_as, describe_sample(share))
    return Checked(facts, tuple(read_as), tuple(left_out), tuple(_doubts(frame, split, values)))


def before_report(values: Mapping[str, Any]) -> None:
    """Check what a report is asked for, and print what its reader should know of the table.

    Of simulated tables there is nothing to know, nor for notebooks that do not have the parameters of those that come
    with the project. A version of the Model Registry has to be there and approved.

    Raises
    ------
    UsageError
        As `check` does.
    """
    _servable(values)
    table = values.get("data")
    if (
        not values.keys() >= ASKED
        or values.get("simulate")
        or (not table and not project.resolve(DEFAULT_PATH).exists())
    ):
        return
    try:
        for note in check(values).notes:
            print(note, file=sys.stderr)
    except UsageError as error:
        if table and not values.get("schema") and "is missing" in str(error):
            raise UsageError(f"{error}\nFor a table of your own, 'make check DATA={table}' drafts a schema") from None
        raise


def _servable(values: Mapping[str, Any]) -> None:
    """Refuse a version of the Model Registry that notebook 03 would refuse after the others have run."""
    if version := values.get("model_version"):
        from fraud_utils import deploy  # with boto3, which a table's check does without

        try:
            deploy.require_version(version, values["target"], values["region"])
        except deploy.DeployError as error:
            raise UsageError(f"model_version={version}: {error}") from None


def _tunable(frame: pd.DataFrame, values: Mapping[str, Any]) -> None:
    """Refuse a tuning job that notebook 02 would refuse after the first one has run."""
    if count := values.get("tune_jobs"):
        from fraud_utils import deploy

        try:
            deploy.require_all_rows(frame, count)
        except deploy.DeployError as error:
            raise UsageError(str(error)) from None


def _refused(table: str, asked: list[str], error: DataError | None = None) -> UsageError:
    """All that is wrong in one message; an error with one fault speaks for itself."""
    faults = [*asked, *(error.faults if error else ())]
    if len(faults) > 1:
        return UsageError("\n".join([f"{table}: {len(faults)} faults", *(f"- {fault}" for fault in faults)]))
    return UsageError(str(error) if error else faults[0])


def _foldable(split: Split, schema: Schema, values: Mapping[str, Any]) -> None:
    """Refuse a table whose frauds are too few for the folds of the comparison."""
    from fraud_utils.evaluation import Protocol

    frauds = split.train[split.train[schema.label] == 1]
    frauds_to_fold(np.ones(len(frauds), dtype=int), fold_groups(frauds, schema), Protocol.of(values["profile"]).folds)


def _constant(split: Split, schema: Schema) -> dict[str, str]:
    """Columns that tell training rows apart in nothing, by name; a table that has no others is refused."""
    constant = FeatureMap.constant(schema, split.train)
    if len(constant) == len(schema.numeric) + len(schema.categorical):
        listed = words.listed((f"{column!r} ({why})" for column, why in constant.items()), 5)
        raise DataError(
            f"no column to learn from: all training rows are alike in {listed}; list a column that varies under "
            "'features' or 'categorical'"
        )
    return constant


# What a table holds -------------------------------------------------------------------------------------------------


def _facts(frame: pd.DataFrame, split: Split, schema: Schema) -> dict[str, str]:
    provenance = frame.attrs["provenance"]
    rows, frauds, noun = provenance["rows"], provenance["frauds"], schema.noun
    facts = {
        "table": f"{provenance['name']}, {provenance['path']}",
        "rows": words.count(rows, noun),
        "fraud": f"{words.count(frauds, 'fraud')}, {words.percent(frauds / rows)}, one {noun} in {rows / frauds:,.0f}",
    }
    if provenance["unlabelled"]:
        facts["unlabelled"] = f"{words.count(provenance['unlabelled'], 'row')} without a label, left out"
    if schema.time:
        first, last = (float(frame[schema.time].iloc[place]) for place in (0, -1))
        days = words.count(max(round((last - first) / 86_400), 1), "day")
        facts["span"] = f"{' to '.join(words.moment(each, provenance['origin']) for each in (first, last))}, {days}"
    facts["test part"] = (
        f"{'the last' if schema.time else 'at random'} {split.test_rows:,} of them, "
        f"{words.count(split.test_frauds, 'fraud')}"
    )
    if schema.label_delay_days:
        facts["not labelled"] = (
            f"{words.count(split.waiting_rows, 'row')} before the test part: labels take "
            f"{words.duration(86_400 * schema.label_delay_days)}; models do not learn from them"
        )
    if names := [name for each in schema.history for name in each.columns]:
        facts["history"] = f"{words.count(len(names), 'column')}: {words.listed(names, 6)}"
    for column in (*([schema.entity] if schema.entity else []), *schema.entities):
        known, named = frame[column].notna(), column
        if share_of(frame) == 1:
            without = f", none in {words.count((~known).sum(), 'row')}" if not known.all() else ""
            named = f"{words.count(frame[column].nunique(), 'value')} of {column}{without}"
        facts["entities" if column == schema.entity else f"and by {column}"] = named
    if schema.amount:
        amounts, largest = uniform(frame, schema)[schema.amount], provenance["largest_amount"]
        low, middle, high = (words.money(each, schema.currency) for each in (*amounts.quantile([0, 0.5]), largest))
        facts["amounts"] = f"{low} to {high}, median {middle}"
    return facts


def _left_out(
    frame: pd.DataFrame, split: Split, schema: Schema, values: Mapping[str, Any], constant: Mapping[str, str]
) -> Iterator[str]:
    """What a report will not have, and why; a sentence each."""
    if not schema.amount:
        yield "costs, savings and the rule by amount, since the schema names no amount"
    if not schema.time:
        yield (
            "figures per day, drift and blocks in time, since the schema names no time; the test rows are drawn at "
            "random, and no page can know whether the past predicts the future"
        )
    for column, why in constant.items():
        yield f"column {column!r}, {why} among the training rows"
    for column in schema.categorical:
        if (count := frame[column].nunique()) > MAX_CATEGORIES:
            yield f"indicators of all but the {MAX_CATEGORIES} most frequent of {count:,} values of {column!r}"
    yield from _treatments(split, schema, values["profile"], {*schema.numeric} - {*constant})


def _doubts(frame: pd.DataFrame, split: Split, values: Mapping[str, Any]) -> list[str]:
    """Parameters that do not fit the table, in the words of a report's summary."""
    from fraud_utils.evaluation import findings

    budget = Threshold("alerts_a_day", 0.0, float(values["alerts_per_day"]))
    run = Sections(
        data=Data(**frame.attrs["provenance"]),
        split=SplitSizes(test_rows=split.test_rows, test_days=split.test_days),
        chosen=Choice("", alerting=(budget,), decides=budget.name),
    )
    return findings.doubts(run, values["review_cost"])


def _treatments(split: Split, schema: Schema, profile: str, numeric: set[str]) -> Iterator[str]:
    """Treatments of the imbalance that a report does not try, those with one reason together."""
    from fraud_utils.models import left_out

    gaps = [column for column in sorted(numeric) if split.train[column].isna().any()]
    obstacles = left_out(profile, not gaps, split.train[schema.label].to_numpy())
    for reason in dict.fromkeys(obstacles.values()):
        named = ", ".join(name for name, why in obstacles.items() if why == reason)
        yield f"candidates with {named}: {reason}"


# The program --------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit status: 0 nothing is wrong, or a draft is written; 1 otherwise."""
    os.chdir(project.root())
    options = _parser().parse_args(arguments)
    notebooks = sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb"))
    try:
        if not options.data and not project.resolve(DEFAULT_PATH).exists():
            raise UsageError("name the table to check: make check DATA=path")
        values = defaults(declared(notebooks)) | {"data": options.data or DEFAULT_PATH, "schema": options.schema}
        if missing := ASKED - values.keys():
            raise UsageError(f"no notebook of {Path.cwd()} has a parameter {min(missing)}")
        for name in ("data", "schema"):
            if values[name] and not is_there(name, project.resolve(values[name])):
                raise UsageError(f"{name.upper()}={values[name]}: no such file (paths are relative to {Path.cwd()})")
        drafted = None if options.schema else draft(values["data"])
        if drafted and {column.name for column in drafted.look.columns} != {*ULB.columns}:
            print(_columns(drafted))
            file = keep(drafted, values["data"])
            print(_next(drafted, file, values["data"]))
            return 0
        print(_shown(check(values)))
    except (UsageError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _columns(drafted: Draft) -> str:
    """What each column holds, a line each."""
    lines = [("column", "kind", "missing", "distinct", "for example")]
    for each in drafted.look.columns[:SHOWN]:
        missing = words.percent(each.missing / each.rows) if each.missing else "–"
        lines.append((each.name, each.kind, missing, f"{each.distinct:,}", ", ".join(each.examples)[:60]))
    widths = [max(len(line[place]) for line in lines) for place in range(4)]
    shown = ["  ".join([f"{a:<{widths[0]}}", f"{b:<{widths[1]}}", f"{c:>{widths[2]}}", f"{d:>{widths[3]}}", e]).rstrip()
             for a, b, c, d, e in lines]  # fmt: skip
    if (more := len(drafted.look.columns) - SHOWN) > 0:
        shown.append(f"and {words.count(more, 'column')} more")
    seen = f", {drafted.look.seen}" if drafted.look.seen else ""
    return "\n".join([f"{words.count(drafted.look.columns[0].rows, 'row')}{seen}", *shown])


def _next(drafted: Draft, file: Path, table: str) -> str:
    """What to do with a draft."""
    count = len(drafted.open)
    decide = f"; decide what {words.count(count, 'line')} of it ask{'s' if count == 1 else ''}" if count else ""
    return (
        f"\nA draft of the schema is in {file}. Read it{decide}. Then:\n"
        f"make check DATA={table} SCHEMA={file}\nmake report DATA={table} SCHEMA={file}"
    )


def _shown(checked: Checked) -> str:
    width = max(map(len, checked.facts))
    lines = [f"{name:<{width}}  {text}" for name, text in checked.facts.items()]
    titles = {"Read as": checked.read_as, "A report leaves out": checked.left_out, "Look again": checked.doubts}
    for title, sentences in titles.items():
        if sentences:
            lines += ["", f"{title}:", *(f"- {each}" for each in sentences)]
    return "\n".join([*lines, "", "Nothing is wrong with it."])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fraud_utils.report.check", description=(__doc__ or "").split("\n")[2]
    )
    for option, text in (("data", "table of transactions"), ("schema", "YAML file that says what its columns mean")):
        default = os.environ.get(option.upper(), "")
        parser.add_argument(f"--{option}", default=default, metavar=option.upper(), help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
