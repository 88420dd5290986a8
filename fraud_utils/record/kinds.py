"""The kinds of things that are kept of a run, as they are checked when they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import AwareDatetime, ConfigDict, FiniteFloat

Interval = tuple[FiniteFloat, FiniteFloat]


class _Checked:
    """Types are checked where a file is read: numbers stay numbers, and nothing is converted without a word."""

    __pydantic_config__ = ConfigDict(strict=True, extra="ignore")  # a later version may have added keys


@dataclass(frozen=True)
class Data(_Checked):
    """The table of a run: its name, where it came from, its size and its checksum.

    Attributes
    ----------
    largest_amount, median_fraud : float, optional
        Of all amounts, and of those of frauds; None without amounts.
    read_as : tuple of str
        What was detected or decided when the file was read, a sentence each.
    unlabelled : int
        Rows that were left out because they have no label.
    origin : str, optional
        The instant of second 0, as ISO 8601; None where the table's times have no date.
    """

    name: str
    simulated: bool = False
    path: str | None = None
    sha256: str | None = None
    rows: int | None = None
    frauds: int | None = None
    columns: int | None = None
    currency: str | None = None
    noun: str = "transaction"
    largest_amount: FiniteFloat | None = None
    median_fraud: FiniteFloat | None = None
    read_as: tuple[str, ...] = ()
    unlabelled: int = 0
    origin: str | None = None


@dataclass(frozen=True)
class Split(_Checked):
    """The cut between training and test rows; `test_from` is None where they were drawn at random.

    `waiting_rows` lie before the cut, and their labels were not known yet.
    """

    test_from: FiniteFloat | None = None
    train_rows: int | None = None
    train_frauds: int | None = None
    test_rows: int | None = None
    test_frauds: int | None = None
    test_days: FiniteFloat | None = None
    waiting_rows: int = 0


@dataclass(frozen=True)
class Metrics(_Checked):
    """How one model did on one set of rows; None where a figure does not apply."""

    average_precision: FiniteFloat | None = None
    average_precision_ci: Interval | None = None
    roc_auc: FiniteFloat | None = None
    f1: FiniteFloat | None = None
    precision: FiniteFloat | None = None
    recall: FiniteFloat | None = None
    precision_at_100: FiniteFloat | None = None
    recall_at_100: FiniteFloat | None = None
    brier: FiniteFloat | None = None
    log_loss: FiniteFloat | None = None
    savings: FiniteFloat | None = None
    savings_ci: Interval | None = None

    def figure(self, name: str) -> tuple[float | None, Interval | None]:
        """A metric by its name, and its interval where it has one."""
        return getattr(self, name), getattr(self, f"{name}_ci", None)


@dataclass(frozen=True)
class Model(_Checked):
    """A candidate as it was judged; `seconds` holds its `fold_fit` and its `fit`."""

    name: str
    learner: str = ""
    imbalance: str = "none"
    kind: Literal["baseline", "supervised", "unsupervised"] = "supervised"
    oof: Metrics = Metrics()
    test: Metrics = Metrics()
    seconds: dict[str, FiniteFloat] = field(default_factory=dict)


Aim = Literal["f1", "precision", "alerts_a_day", "cost"]


@dataclass(frozen=True)
class Threshold(_Checked):
    """A score from which to alert, chosen on out-of-fold rows and then fixed.

    Attributes
    ----------
    aim : str
        `f1`: the highest F1; `precision`: the lowest score at which alerts are so precise; `alerts_a_day`: so many
        alerts; `cost`: reviews and missed amounts cost least together.
    target : float, optional
        The precision, or the alerts a day.
    """

    aim: Aim
    score: FiniteFloat
    target: FiniteFloat | None = None

    @property
    def name(self) -> str:
        """Its key in `metrics.json` and in the artefact's manifest."""
        match self.aim:
            case "precision":
                return f"precision_{100 * (self.target or 0):g}"
            case "alerts_a_day":
                return f"alerts_{self.target:g}_a_day"
        return self.aim

    @property
    def meaning(self) -> str:
        """What it was chosen for, in words."""
        match self.aim:
            case "precision":
                return f"{100 * (self.target or 0):g}\N{NO-BREAK SPACE}% of alerts are frauds"
            case "alerts_a_day":
                return f"{self.target:g} alerts a day"
            case "cost":
                return "lowest cost of reviews and missed amounts"
        return "highest F1"


@dataclass(frozen=True)
class Tiers(_Checked):
    """Scores from which a transaction is reviewed, and blocked; below both it is accepted.

    Attributes
    ----------
    review_cost, block_cost : float
        What they were chosen for: the cost of a review, and of blocking a legitimate transaction.
    """

    review: FiniteFloat
    block: FiniteFloat
    review_cost: FiniteFloat
    block_cost: FiniteFloat


@dataclass(frozen=True)
class Day(_Checked):
    """What a way of alerting means per day, with intervals; money is None without amounts.

    False alarms are None in runs of before they were counted.
    """

    alerts: FiniteFloat
    alerts_ci: Interval
    frauds_caught: FiniteFloat
    frauds_caught_ci: Interval
    saved: FiniteFloat | None = None
    saved_ci: Interval | None = None
    false_alarms: FiniteFloat | None = None
    false_alarms_ci: Interval | None = None

    def over(self, days: float) -> Day:
        """What it means over so many days."""
        return Day(**{name: _times(days, value) for name, value in vars(self).items()})


def _times(factor: float, value: Any) -> Any:
    """A figure, an interval or nothing, so many times."""
    if value is None:
        return None
    return (factor * value[0], factor * value[1]) if isinstance(value, tuple) else factor * value


@dataclass(frozen=True)
class Choice(_Checked):
    """The candidate that is served.

    Attributes
    ----------
    hyperparameters : dict
        As training takes them: XGBoost's own, `imbalance` and `seed`.
    alerting : tuple of Threshold
        Every way of alerting by a fixed score.
    decides : str
        Name of the threshold that decides where nobody names one.
    why : str
        By what rule it does, as the end of a sentence.
    oof_savings : dict of str to float
        Share of the avoidable cost that each way of alerting saves out of fold, by its name; {} without amounts.
    per_day, on_test : dict of str to Day
        A day at the test set's pace, and the whole test set, by the thresholds' names and `amount`, which alerts where
        probability times amount exceeds a review's cost.
    tiers : Tiers, optional
        None without amounts.
    """

    name: str
    reason: str = ""
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    alerting: tuple[Threshold, ...] = ()
    decides: str = "f1"
    why: str = ""
    oof_savings: dict[str, FiniteFloat] = field(default_factory=dict)
    per_day: dict[str, Day] = field(default_factory=dict)
    on_test: dict[str, Day] = field(default_factory=dict)
    tiers: Tiers | None = None

    @property
    def threshold(self) -> Threshold | None:
        """The one that decides; None where none was recorded."""
        return next((each for each in self.alerting if each.name == self.decides), None)

    @property
    def thresholds(self) -> dict[str, float]:
        """Scores by name, the form that `metrics.json` and training have them in."""
        return {each.name: each.score for each in self.alerting}

    @property
    def meanings(self) -> dict[str, str]:
        """What each way of alerting is for, by its name."""
        return {each.name: each.meaning for each in self.alerting} | {
            "amount": "probability times amount above the cost of a review"
        }


@dataclass(frozen=True)
class Group(_Checked):
    """What the deciding threshold means for a group of people in the test set.

    Attributes
    ----------
    column, name : str
        What tells groups apart, and which one this is.
    false_alarms, recall : float, optional
        Share of its legitimate rows, and of its frauds, that raise an alert; None where it has none of them. The
        intervals of all groups hold together.
    """

    column: str
    name: str
    rows: int
    frauds: int
    false_alarms: FiniteFloat | None
    false_alarms_ci: Interval
    recall: FiniteFloat | None
    recall_ci: Interval


@dataclass(frozen=True)
class Reason(_Checked):
    """How far a column moved a score, in log-odds of fraud, and its value in that row; None where it is missing."""

    column: str
    contribution: FiniteFloat
    value: FiniteFloat | str | None = None


Kind = Literal["right", "wrong", "missed"]


@dataclass(frozen=True)
class Case(_Checked):
    """A row of the test set that shows what the deciding threshold does.

    Attributes
    ----------
    kind : {"right", "wrong", "missed"}
        An alert on a fraud, an alert on a legitimate row, a fraud without an alert.
    when : float, optional
        In the table's seconds.
    """

    kind: Kind
    score: FiniteFloat
    reasons: tuple[Reason, ...]
    amount: FiniteFloat | None = None
    when: FiniteFloat | None = None

    @property
    def meaning(self) -> str:
        """What it is, in words."""
        return {"right": "fraud caught", "wrong": "false alarm", "missed": "fraud missed"}[self.kind]


@dataclass(frozen=True)
class Endpoint(_Checked):
    """The proof that served scores equal the notebook's; `version` is the registered one that was served."""

    target: str
    rows: int
    max_abs_difference: FiniteFloat | None = None
    latency_ms: dict[str, FiniteFloat] = field(default_factory=dict)
    deleted: bool = False
    version: str | None = None


@dataclass(frozen=True)
class Bins(_Checked):
    """What alerting from each of some scores would have meant on the test set, highest first.

    Attributes
    ----------
    rows : int
        Of the test set.
    days : float, optional
        That it spans.
    score : tuple of float
        Alert from here up.
    alerts, frauds : tuple of int
        Alerts, and frauds among them.
    amount, squares : tuple of float, optional
        Sum of the amounts of those frauds, and of their squares.
    """

    rows: int
    days: FiniteFloat | None
    score: tuple[FiniteFloat, ...]
    alerts: tuple[int, ...]
    frauds: tuple[int, ...]
    amount: tuple[FiniteFloat, ...] | None = None
    squares: tuple[FiniteFloat, ...] | None = None


@dataclass(frozen=True)
class Sections(_Checked):
    """What notebooks record, each section None until one has done so."""

    data: Data | None = None
    split: Split | None = None
    models: tuple[Model, ...] | None = None
    tie_set: tuple[str, ...] | None = None
    chosen: Choice | None = None
    groups: tuple[Group, ...] | None = None
    bins: Bins | None = None
    cases: tuple[Case, ...] | None = None
    endpoint: Endpoint | None = None

    @property
    def served(self) -> Model | None:
        """The chosen candidate as it was judged."""
        name = self.chosen.name if self.chosen else None
        return next((model for model in self.models or () if model.name == name), None)

    @property
    def way(self) -> Day | None:
        """What the deciding threshold means on the whole test set."""
        return self.chosen.on_test.get(self.chosen.decides) if self.chosen else None


@dataclass(frozen=True)
class Version(_Checked):
    """What a run was computed with."""

    project: str | None = None
    git: str | None = None
    python: str | None = None
    packages: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunRecord(Sections):
    """A finished run; `created` is a time with its offset from UTC, `seconds` has a notebook's name or `total`."""

    run: str
    created: AwareDatetime
    version: Version = Version()
    parameters: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, FiniteFloat] = field(default_factory=dict)
