"""A deployed model and what came in: opened once, asked by a notebook section by section."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_utils import artifact, intervals, project, words
from fraud_utils.artifact import Model, Promise, Reference
from fraud_utils.data import DataError
from fraud_utils.monitor import apart, drift, performance, verdict
from fraud_utils.monitor.performance import Terms
from fraud_utils.monitor.rehearsal import Pool
from fraud_utils.monitor.simulated import Plan, write_traffic
from fraud_utils.monitor.tables import read_labels
from fraud_utils.monitor.traffic import WEEK, Traffic, read_traffic, reference_of


@dataclass(frozen=True)
class Case:
    """A model, the traffic that it scored, the labels that have come, and the terms on which weeks are judged."""

    model: Model
    traffic: Traffic
    label: np.ndarray | None
    terms: Terms

    @property
    def reference(self) -> Reference:
        return reference_of(self.model)

    @property
    def promise(self) -> Promise:
        return self.reference.promise

    @cached_property
    def columns(self) -> pd.DataFrame:
        """See `drift.columns`."""
        return drift.columns(self.traffic, self.reference)

    @cached_property
    def pace(self) -> pd.DataFrame:
        """See `drift.pace`."""
        return drift.pace(self.traffic, self.promise, self.terms.threshold)

    @cached_property
    def weeks(self) -> pd.DataFrame:
        """See `performance.weeks`; empty without labels."""
        if self.label is None:
            return pd.DataFrame()
        return performance.weeks(self.traffic, self.label, self.promise, self.terms)

    @property
    def judged_days(self) -> int:
        """How many days, from the first, belong to weeks whose labels are due."""
        return int(self.weeks["last"].max()) + 1 if len(self.weeks) else 0

    def verdict(self) -> verdict.Verdict:
        """See `verdict.judge`."""
        return verdict.judge(self.traffic, self.columns, self.pace, self.promise, self.weeks)

    def report(self) -> str:
        """The verdict and the figures behind it, as Markdown."""
        return f"{self.verdict()._repr_markdown_()}\n\n{self.summary()}"

    def summary(self) -> str:
        """The figures behind the verdict, as Markdown."""
        columns, days = self.by_column(), self.pace[self.pace["kind"] == "day"]
        sentences = [
            f"Columns: the largest stability index of a week is {words.plain(columns['stability index'].iloc[0])}, of "
            f"{words.code(columns.index[0])}; from {drift.MODERATE:g} on it matters.",
            f"Pace: {words.plain(days['alerts'].mean())} alerts a day, where {words.plain(days['expected'].mean())} "
            f"were promised; {words.count(days['outside'].sum(), 'day')} of {len(days)} outside the band.",
        ]
        if self.judged_days:
            last, promised = self.weeks.iloc[-1], performance.promised(self.promise, self.terms)
            figures = [
                f"{name} {words.percent_between(last[name], last[f'{name}_low'], last[f'{name}_high'])} "
                f"(promised: {words.percent(promised[name])})"
                for name in ("precision", "recall")
            ]
            first = self.traffic.name(int(last["first"]))
            sentences.append(f"Performance in the last week whose labels are due, from {first}: {'; '.join(figures)}.")
        else:
            sentences.append("Performance: not known, as no labels are due.")
        return words.bullets(sentences)

    def describe(self) -> str:
        """What came in and what was promised, as Markdown."""
        traffic, promise = self.traffic, self.promise
        rows, refused = int(traffic.requests.sum()), int(traffic.refused["rows"].sum())
        last = traffic.name(traffic.days - 1)
        of = "held-out rows" if promise.rows_of == "validation" else "its own training rows, which is too favourable"
        sentences = [
            f"{words.count(rows, 'row')} with a score came in {words.count(traffic.days, 'day')}, from "
            f"{traffic.name(0)} to {last}; {words.count(refused, 'row') if refused else 'none'} had no score.",
            f"The threshold that decides, `{self.model.decides}`, is {words.plain(self.terms.threshold)}. On {of} "
            f"({promise.rows:,}, {words.count(promise.frauds, 'fraud')}) it gave an alert for "
            f"{words.percent(promise.alerts / max(promise.rows, 1))} of the rows: "
            f"{words.plain(promise.alerts / max(promise.rows, 1) * rows / traffic.days)} a day at the volume of these "
            "days. That is the promise.",
        ]
        if self.label is not None:
            labelled = int((~np.isnan(self.label)).sum())
            nameless = int((traffic.rows["id"] == "").sum())
            without = f" {words.count(nameless, 'row')} came without an id and cannot get one." if nameless else ""
            sentences.append(f"{words.count(labelled, 'row')} of these have a label by now.{without}")
        sentences += apart.sentences(traffic.apart)
        return words.bullets(sentences)

    def per_week(self) -> pd.DataFrame:
        """Rows, refused rows and alerts of each week; a last one that is cut is there, too."""
        starts = range(0, self.traffic.days, WEEK)
        days = self.pace[self.pace["kind"] == "day"]
        week = days["first"].to_numpy() // WEEK
        refused = self.traffic.refused.groupby("day")["rows"].sum().reindex(range(self.traffic.days), fill_value=0)
        table = days.groupby(week)[["rows", "alerts", "expected"]].sum()
        table.insert(1, "refused", refused.groupby(week).sum())
        outside = self.pace["outside"].to_numpy()[: self.traffic.days]
        table["days outside the band"] = np.bincount(week, outside, len(starts)).astype(int)
        return table.set_axis(pd.Index([self.traffic.names[day] for day in starts], name="week from"))

    def refusals(self) -> pd.DataFrame:
        """Why rows have no score, most frequent first."""
        grouped = self.traffic.refused.groupby("why")
        table = grouped.agg(rows=("rows", "sum"), days=("day", "nunique"), first=("day", "min"))
        table["first"] = ["unknown" if day < 0 else self.traffic.names[day] for day in table["first"]]
        return table.sort_values("rows", ascending=False)

    def by_column(self) -> pd.DataFrame:
        """See `drift.by_column`, with the name of the day since when a column has changed."""
        table = drift.by_column(self.columns, self.reference)
        names = self.traffic.names
        since = [names[int(day)] if day == day else "" for day in table.pop("since")]
        table.insert(1, "changed since", since)
        return table

    def by_week(self) -> pd.DataFrame:
        """Each judged week's metrics with their bounds, numeric, the promise in the first line."""
        promised = performance.promised(self.promise, self.terms)
        promise = self.promise
        first = {"rows": promise.rows, "frauds": promise.frauds, "alerts": promise.alerts} | promised
        for name, of in (("precision", promise.alerts), ("recall", promise.frauds)):
            low, high = intervals.exact(promise.caught, of)
            first |= {f"{name}_low": float(low), f"{name}_high": float(high)}
        shown = ["rows", "labelled", "frauds", "alerts"]
        shown += [f"{name}{end}" for name in promised for end in ("", "_low", "_high") if f"{name}{end}" in self.weeks]
        names = [self.traffic.names[day] for day in self.weeks["first"]] if len(self.weeks) else []
        table = pd.concat([pd.DataFrame([first]), self.weeks]).reindex(columns=shown)
        return table.set_axis(pd.Index(["promised", *names], name="week from"))

    def calibration(self) -> pd.DataFrame:
        """See `performance.calibration`."""
        label = np.full(len(self.traffic.rows), np.nan) if self.label is None else self.label
        return performance.calibration(self.traffic, label, self.judged_days)

    def unknown(self) -> str:
        """See `verdict.unknown`."""
        return verdict.unknown(self.traffic, None if self.label is None else self.weeks, self.terms)

    def compare(self, challenger: str) -> pd.DataFrame:
        """The other model against this one on the judged rows; see `performance.compare`."""
        if self.label is None or not self.judged_days:
            raise DataError(f"challenger={challenger}: two models are compared on labelled rows; give LABELS")
        names = {"score": "this model", "challenger": challenger}
        return performance.compare(self.traffic, self.label, self.judged_days, names)


def load_model(run_folder: str | Path) -> Model:
    """The model of a run.

    Raises
    ------
    DataError
        The run has none, or one that is too old to be monitored.
    """
    try:
        model = artifact.load(project.resolve(run_folder) / "model")
    except artifact.ArtifactError as error:
        raise DataError(f"{run_folder}: {error}; make report leaves a model in its run's folder") from None
    reference_of(model)
    return model


def open_case(
    model: Model, captured: str | Path, labels: str | Path = "", terms: Terms | None = None, challenger: str = ""
) -> Case:
    """Read captured requests, and the labels that belong to them.

    Parameters
    ----------
    captured, labels : str or Path
        As `read_traffic` and `read_labels` take them; no labels when empty.
    challenger : str
        A run whose model is to score the same rows.

    Raises
    ------
    DataError
        Something cannot be read; the message says what, where and what to do.
    """
    other = load_model(f"runs/{challenger}") if challenger else None
    traffic = read_traffic(captured, model, other)
    label = None
    if str(labels):
        label = performance.join(traffic, read_labels(labels, model.manifest["schema"]))
    return Case(model, traffic, label, terms or Terms(model.thresholds[model.decides]))


def simulated_case(
    model: Model, healthy: Pool, plan: Plan, later: Pool | None = None, terms: Terms | None = None
) -> Case:
    """A case of simulated traffic, from some day on of another pool, if one is given; written and read as captures."""
    with tempfile.TemporaryDirectory() as folder:
        captured, labels = write_traffic(Path(folder), healthy, later, plan)
        return open_case(model, captured, labels if plan.label_delay_days < plan.days else "", terms)
