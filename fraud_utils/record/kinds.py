"""The kinds of things that are kept of a run, as they are checked when they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import AwareDatetime, FiniteFloat

from fraud_utils.record.blocks import Feedback, Prequential, Reviewed
from fraud_utils.record.checked import Checked, Interval
from fraud_utils.record.scored import Bins, Case, Group


@dataclass(frozen=True)
class Data(Checked):
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
    share : float
        Of the legitimate rows that models were compared on, drawn at random; figures are corrected for it.
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
    share: FiniteFloat = 1.0


@dataclass(frozen=True)
class Split(Checked):
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
class Metrics(Checked):
    """How one model did on one set of rows; None where a figure does not apply.

    Attributes
    ----------
    precision_at_100, precision_at_100_a_day : float, optional
        Among the 100 highest scores of all rows; mean over days of that among each day's 100 highest.
    card_precision, card_precision_attainable : float, optional
        Of reviewing so many cards a day (the parameter `cards_per_day`), and what it is for who knows all frauds.
    """

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
    precision_at_100_a_day: FiniteFloat | None = None
    card_precision: FiniteFloat | None = None
    card_precision_attainable: FiniteFloat | None = None

    def figure(self, name: str) -> tuple[float | None, Interval | None]:
        """A metric by its name, and its interval where it has one."""
        return getattr(self, name), getattr(self, f"{name}_ci", None)


@dataclass(frozen=True)
class Model(Checked):
    """A candidate as it was judged; `seconds` holds its `fold_fit` and its `fit`."""

    name: str
    learner: str = ""
    imbalance: str = "none"
    kind: Literal["baseline", "supervised", "unsupervised"] = "supervised"
    oof: Metrics = Metrics()
    test: Metrics = Metrics()
    seconds: dict[str, FiniteFloat] = field(default_factory=dict)


Aim = Literal["f1", "precision", "alerts_a_day", "cards_a_day", "cost"]


@dataclass(frozen=True)
class Threshold(Checked):
    """A score from which to alert, chosen on out-of-fold rows and then fixed.

    Attributes
    ----------
    aim : str
        `f1`: the highest F1; `precision`: the lowest score at which alerts are so precise; `alerts_a_day`: so many
        alerts; `cards_a_day`: alerts on so many cards; `cost`: reviews and missed amounts cost least together.
    target : float, optional
        The precision, or the alerts or cards a day.
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
            case "alerts_a_day" | "cards_a_day":
                return f"{self.aim.partition('_')[0]}_{self.target:g}_a_day"
        return self.aim

    @property
    def meaning(self) -> str:
        """What it was chosen for, in words."""
        match self.aim:
            case "precision":
                return f"{100 * (self.target or 0):g}\N{NO-BREAK SPACE}% of alerts are frauds"
            case "alerts_a_day":
                return f"{self.target:g} alerts a day"
            case "cards_a_day":
                return f"{self.target:g} cards a day"
            case "cost":
                return "lowest cost of reviews and missed amounts"
        return "highest F1"


@dataclass(frozen=True)
class Tiers(Checked):
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
class Day(Checked):
    """What a way of alerting means per day, with intervals; money is None without amounts, cards without entities.

    A card counts once for each day on which it raises an alert; it is caught where one of that day's rows is fraud.
    False alarms are None in runs of before they were counted.
    """

    alerts: FiniteFloat
    alerts_ci: Interval
    frauds_caught: FiniteFloat
    frauds_caught_ci: Interval
    saved: FiniteFloat | None = None
    saved_ci: Interval | None = None
    cards: FiniteFloat | None = None
    cards_ci: Interval | None = None
    cards_caught: FiniteFloat | None = None
    cards_caught_ci: Interval | None = None
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
class Choice(Checked):
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
class Endpoint(Checked):
    """The proof that served scores equal the notebook's; `version` is the registered one that was served."""

    target: str
    rows: int
    max_abs_difference: FiniteFloat | None = None
    latency_ms: dict[str, FiniteFloat] = field(default_factory=dict)
    deleted: bool = False
    version: str | None = None


@dataclass(frozen=True)
class Sections(Checked):
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
    reviewed: tuple[Reviewed, ...] | None = None
    prequential: Prequential | None = None
    feedback: Feedback | None = None

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
class Version(Checked):
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


@dataclass(frozen=True)
class Resamples(Checked):
    """What the chosen candidate reaches on resamples of one part of the rows, so that two runs can be paired.

    Attributes
    ----------
    which : str
        Equal for two runs exactly when their labels and draws are; others must not be subtracted.
    values : dict of str to list
        Each metric on every resample.
    """

    which: str
    values: dict[str, list[FiniteFloat]]


@dataclass(frozen=True)
class State(Checked):
    """How far a run is, or how it ended; `seconds` is set where it did not finish."""

    state: Literal["running", "finished", "failed", "interrupted"]
    run: str
    created: AwareDatetime
    pid: int | None = None
    notebook: str | None = None
    cell: int | None = None
    error: str | None = None
    seconds: FiniteFloat | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
