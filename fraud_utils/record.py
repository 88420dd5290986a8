"""What a run found, typed: what the notebooks record in `results.json` and a finished run keeps in `metrics.json`.

These files and `resamples.json` are read and written here only. Their keys are a contract: keys may be added, none
renamed or dropped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, FiniteFloat, TypeAdapter, ValidationError

from fraud_utils import project
from fraud_utils.project import resolve

if TYPE_CHECKING:
    import pandas as pd

FILE, SECTIONS_FILE, RESAMPLES_FILE = "metrics.json", "results.json", "resamples.json"
Interval = tuple[FiniteFloat, FiniteFloat]


class RecordError(ValueError):
    """A file does not hold what a run records; the message says which file, where in it, and what is wrong."""


class _Checked:
    """Types are checked where a file is read: numbers stay numbers, and nothing is converted without a word."""

    __pydantic_config__ = ConfigDict(strict=True, extra="ignore")  # a later version may have added keys


@dataclass(frozen=True)
class Data(_Checked):
    """The table of a run: its name, where it came from, its size and its checksum."""

    name: str
    simulated: bool = False
    path: str | None = None
    sha256: str | None = None
    rows: int | None = None
    frauds: int | None = None
    columns: int | None = None
    currency: str | None = None


@dataclass(frozen=True)
class Split(_Checked):
    """The cut between training and test rows; `test_days` is None where the test rows share one time."""

    test_from: FiniteFloat | None = None
    train_rows: int | None = None
    train_frauds: int | None = None
    test_rows: int | None = None
    test_frauds: int | None = None
    test_days: FiniteFloat | None = None


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


@dataclass(frozen=True)
class Day(_Checked):
    """What a way of alerting means per day, with intervals; money is None without amounts."""

    alerts: FiniteFloat
    alerts_ci: Interval
    frauds_caught: FiniteFloat
    frauds_caught_ci: Interval
    saved: FiniteFloat | None = None
    saved_ci: Interval | None = None


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
    per_day : dict of str to Day
        By the thresholds' names and `amount`, which alerts where probability times amount exceeds a review's cost.
    """

    name: str
    reason: str = ""
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    alerting: tuple[Threshold, ...] = ()
    decides: str = "f1"
    per_day: dict[str, Day] = field(default_factory=dict)

    @property
    def threshold(self) -> Threshold | None:
        """The one that decides; None where none was recorded."""
        return next((each for each in self.alerting if each.name == self.decides), None)

    @property
    def thresholds(self) -> dict[str, float]:
        """Scores by name, the form that `metrics.json` and training have them in."""
        return {each.name: each.score for each in self.alerting}


@dataclass(frozen=True)
class Endpoint(_Checked):
    """The proof that served scores equal the notebook's."""

    target: str
    rows: int
    max_abs_difference: FiniteFloat | None = None
    latency_ms: dict[str, FiniteFloat] = field(default_factory=dict)
    deleted: bool = False


@dataclass(frozen=True)
class Sections(_Checked):
    """What notebooks record, each section None until one has done so."""

    data: Data | None = None
    split: Split | None = None
    models: tuple[Model, ...] | None = None
    tie_set: tuple[str, ...] | None = None
    chosen: Choice | None = None
    endpoint: Endpoint | None = None

    @property
    def served(self) -> Model | None:
        """The chosen candidate as it was judged."""
        name = self.chosen.name if self.chosen else None
        return next((model for model in self.models or () if model.name == name), None)

    @property
    def day(self) -> Day | None:
        """What the deciding threshold means per day."""
        return self.chosen.per_day.get(self.chosen.decides) if self.chosen else None


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
    created: datetime
    version: Version = Version()
    parameters: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, FiniteFloat] = field(default_factory=dict)


@dataclass(frozen=True)
class Resamples(_Checked):
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


ORDER = (
    "run",
    "created",
    "version",
    "data",
    "parameters",
    "split",
    "models",
    "tie_set",
    "chosen",
    "endpoint",
    "seconds",
)


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
    folder = resolve(run_folder)
    folder.mkdir(parents=True, exist_ok=True)
    earlier = _json(folder / SECTIONS_FILE) if (folder / SECTIONS_FILE).exists() else {}
    unknown = sections.keys() - {item.name for item in fields(Sections)}
    if unknown:
        raise RecordError(f"{SECTIONS_FILE}: no section is called {sorted(unknown)[0]!r}")
    content = earlier | {name: _section(value) for name, value in sections.items()}
    _parse(Sections, content, SECTIONS_FILE)
    write_json(folder / SECTIONS_FILE, content)


def read(run_folder: str | Path) -> Sections:
    """The sections recorded so far, all None before the first.

    Raises
    ------
    RecordError
        The file is damaged.
    """
    path = resolve(run_folder) / SECTIONS_FILE
    return _parse(Sections, _json(path), SECTIONS_FILE) if path.exists() else Sections()


def raw(run_folder: str | Path) -> dict[str, Any]:
    """The sections as plain values, until the last caller is typed."""
    path = resolve(run_folder) / SECTIONS_FILE
    return _json(path) if path.exists() else {}


def save(folder: Path, run: RunRecord) -> None:
    """Write `metrics.json` into the folder of a finished run."""
    content = _section(run)
    write_json(folder / FILE, {key: content[key] for key in ORDER})


def load(folder: Path) -> RunRecord:
    """Read a finished run's `metrics.json`.

    Raises
    ------
    FileNotFoundError
        There is none.
    RecordError
        It is damaged, or something in it is not what it must be.
    """
    return _parse(RunRecord, _json(folder / FILE), FILE)


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
    write_json(resolve(run_folder) / RESAMPLES_FILE, kept, indent=None)


def resamples(run_folder: str | Path) -> dict[str, Resamples]:
    """What `keep_resamples` kept, by part; {} where nothing was.

    Raises
    ------
    RecordError
        The file is damaged, or something in it is not what it must be.
    """
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
        raise RecordError(f"{path.name} holds no object of names and values")
    return content


def _parse(kind: Any, content: Mapping[str, Any], file: str) -> Any:
    """The typed form of a file's content."""
    chosen = content.get("chosen")
    if isinstance(chosen, dict) and "alerting" not in chosen and isinstance(chosen.get("thresholds"), dict):
        # Before version 0.2 only the scores were kept; what each of them was for cannot be told for all.
        known = [
            {"aim": name, "score": score} for name, score in chosen["thresholds"].items() if name in ("f1", "cost")
        ]
        content = {**content, "chosen": chosen | {"alerting": known}}
    try:
        return TypeAdapter(kind).validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        given = json.dumps(first["input"], default=str)
        shown = given if len(given) <= 40 else f"{given[:39]}…"
        raise RecordError(f"{file}: {where} is {shown}: {first['msg'].lower()}") from None


def _section(value: Any) -> Any:
    """A section as `metrics.json` holds it, with scores by name beside the typed ways of alerting."""
    content = plain(value, "section")
    if isinstance(value, Choice):
        content["thresholds"] = value.thresholds
    if isinstance(value, Sections) and value.chosen:
        content["chosen"]["thresholds"] = value.chosen.thresholds
    return content


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write a JSON file whole; see `plain` for what it may hold."""
    text = json.dumps(plain(value, path.name), indent=indent, ensure_ascii=False, allow_nan=False)
    project.write(path, text + "\n")


def plain(value: Any, where: str) -> Any:
    """A value in JSON's own types; not-a-number and infinity become null.

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
    if hasattr(value, "__dataclass_fields__"):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(items)]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "isoformat"):  # dates and times
        return value.isoformat()
    raise TypeError(f"{where}: a {type(value).__name__} cannot be written as JSON; record numbers, text or mappings")
