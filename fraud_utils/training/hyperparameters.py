"""hyperparameters.json and the schema beside it: what XGBoost gets, and what the job acts on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from fraud_utils import models
from fraud_utils.data import ULB, DataError, Schema

SCHEMA_FILE = "schema.json"  # in the channel `schema`: what `Schema.to_dict` gives


class SetupError(ValueError):
    """Hyperparameters, channels or hosts cannot be used; the message says what to change."""


@dataclass(frozen=True)
class Hyperparameters:
    """What a job was asked for.

    Attributes
    ----------
    booster : dict
        XGBoost's, in its native names, and `num_round`.
    thresholds : dict of str to float
        Probabilities by name, for the model's manifest.
    decides : str
        The threshold that decides.
    tiers : dict of str to float
        As in `artifact.Contents`.
    folds : int
        Above 0 the settings are judged on so many later blocks of time or folds of groups, and no model is made.
    unnamed_rows : str
        As in `artifact.Contents`.
    nthread : int
        Cores to use, 0 for all; the trees are the same on any number of them.
    external_memory : str
        Whether rows stay on disk while trees grow: "always", "never", or "auto", where they need over half of memory.
    csv_weights : bool
        Whether tables have a weight for each row; in files without a header it is the second column.
    """

    booster: dict[str, Any]
    thresholds: dict[str, float]
    decides: str
    imbalance: str = "none"
    early_stopping_rounds: int = 0
    seed: int = 7
    nthread: int = 0
    schema: Schema = ULB
    unnamed_rows: str = "schema"
    csv_weights: bool = False
    tiers: dict[str, float] = field(default_factory=dict)
    folds: int = 0
    external_memory: str = "auto"

    @property
    def recipe(self) -> dict[str, Any]:
        """All that the trees depend on, besides the rows."""
        names = ("imbalance", "early_stopping_rounds", "seed")
        return self.booster | {name: getattr(self, name) for name in names}


def _number(kind: type, low: float, high: float = float("inf"), above: bool = False) -> Callable[[str], float]:
    """A parser of numbers within [low, high], or (low, high] where `above`."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise SetupError(f"must be {'a whole number' if kind is int else 'a number'}") from None
        if not low <= value <= high or (above and value == low):
            bound = f"above {low:g}" if above else f"at least {low:g}"
            raise SetupError(f"must be {bound}" + (f" and at most {high:g}" if high < float("inf") else ""))
        return value

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    """A parser of one of these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise SetupError(f"must be {' or '.join(words)}")
        return text

    return parse


def _imbalance(text: str) -> str:
    try:
        models.Treatment.parse(text)
    except ValueError:
        raise SetupError(f"must be one of {', '.join(models.FORMS)} (N = 1, 2, ...)") from None
    return text


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SetupError(f"must be a JSON object ({error})") from None
    if not isinstance(value, dict):
        raise SetupError("must be a JSON object")
    return value


def _schema(text: str | bytes) -> Schema:
    try:
        return Schema.from_dict(_object(text))
    except DataError as error:
        raise SetupError(f"is not a schema: {error}") from None


def _thresholds(text: str) -> dict[str, float]:
    values = _object(text)
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise SetupError(f"must map names to probabilities between 0 and 1; {name!r} is {value!r}")
    if not values:
        raise SetupError("must hold at least one threshold")
    return {name: float(value) for name, value in values.items()}


def _tiers(text: str) -> dict[str, float]:
    values, costs = _object(text), {"review_cost", "block_cost"}
    if not {"review", "block"} <= values.keys() <= {"review", "block"} | costs:
        raise SetupError(f"must hold 'review' and 'block', and beside them only {' and '.join(sorted(costs))}")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise SetupError(f"must map names to numbers from 0; {name!r} is {value!r}")
    if not values["review"] <= values["block"] <= 1:
        raise SetupError("must review from a score at or below that from which it blocks, and both at most 1")
    return {name: float(value) for name, value in values.items()}


def _folds(text: str) -> int:
    if text == "1":
        raise SetupError("must be 0, or at least 2: nothing can be held out of one fold")
    return int(_number(int, 0, 20)(text))


def _device(text: str) -> str:
    _one_of("cpu", "cuda")(text)
    if text == "cuda" and not _has_gpu():
        raise SetupError(
            "needs a GPU and XGBoost built for one (the image has xgboost-cpu); without them XGBoost would train on "
            "the CPU all the same. Choose cpu"
        )
    return text


def _has_gpu() -> bool:
    """Whether XGBoost trains on a GPU when it is told to: asked of a tree of two rows, since it falls back silently."""
    rows = xgboost.DMatrix(np.zeros((2, 1), dtype=np.float32), [0, 1])
    with xgboost.config_context(verbosity=0):
        booster = xgboost.train({"device": "cuda"}, rows, 1)
    return json.loads(booster.save_config())["learner"]["generic_param"]["device"].startswith("cuda")


def _metrics(text: str) -> str:
    if not set(text.strip("[]").replace('"', "").replace(" ", "").split(",")) <= {"logloss", "aucpr"}:
        raise SetupError("can only be logloss, aucpr or both, which are in the log after every round")
    return text


def _only(value: str, reason: str) -> Callable[[str], str]:
    """A parser of what cannot be set to anything else."""

    def parse(text: str) -> str:
        if text != value:
            raise SetupError(f"can only be {value}: {reason}")
        return text

    return parse


# A parser raises SetupError, "must be ...". XGBoost's native names, since its documentation explains them; `imbalance`
# decides the weight of a fraud.
_BOOSTER: dict[str, Callable[[str], Any]] = {
    "num_round": _number(int, 1, 100_000),
    "eta": _number(float, 0, 1, above=True),
    "max_depth": _number(int, 1, 30),
    "max_leaves": _number(int, 0),
    "max_bin": _number(int, 2, 65_535),
    "max_delta_step": _number(float, 0),
    "min_child_weight": _number(float, 0),
    "gamma": _number(float, 0),
    "lambda": _number(float, 0),
    "alpha": _number(float, 0),
    "base_score": _number(float, 0, 1, above=True),
    "subsample": _number(float, 0, 1, above=True),
    "colsample_bytree": _number(float, 0, 1, above=True),
    "colsample_bylevel": _number(float, 0, 1, above=True),
    "colsample_bynode": _number(float, 0, 1, above=True),
    "grow_policy": _one_of("depthwise", "lossguide"),
    "verbosity": _number(int, 0, 3),
    "device": _device,
}
_OURS: dict[str, Callable[[str], Any]] = {
    "imbalance": _imbalance,
    "early_stopping_rounds": _number(int, 0),
    "seed": _number(int, 0, 2**31 - 1),
    "nthread": _number(int, 0, 1024),
    "schema": _schema,
    "thresholds": _thresholds,
    "decides": str,
    "tiers": _tiers,
    "unnamed_rows": _one_of("schema", "features"),
    "folds": _folds,
    "external_memory": _one_of("auto", "always", "never"),
    "csv_weights": lambda text: _one_of("0", "1")(text) == "1",
}
# XGBoost's other names for some of them, which its scikit-learn interface and AWS's container take as well.
_ALIASES = {"learning_rate": "eta", "min_split_loss": "gamma", "reg_lambda": "lambda", "reg_alpha": "alpha"}
# What jobs for AWS's container say and what is fixed here: taken where it says the same, and not kept.
_FIXED: dict[str, Callable[[str], Any]] = {
    "objective": _only("binary:logistic", "scores are probabilities of fraud"),
    "booster": _only("gbtree", "reasons and monitoring are made for trees"),
    "tree_method": _only("hist", "it is what notebook 02 compares"),
    "eval_metric": _metrics,
    "scale_pos_weight": _only("1", "the weight of a fraud is set by 'imbalance', which corrects the scores for it"),
    "monotone_constraints": _only("()", "they go by position, and the model's columns have an order of their own"),
    "save_model_on_termination": _only("true", "a job that is stopped leaves the trees grown so far"),
}
_TUNING = "_tuning_objective_metric"  # what a tuning job adds; its value is for SageMaker, which reads the log


def read_hyperparameters(file: Path, channel: Path | None = None) -> Hyperparameters:
    """Parse hyperparameters.json; without the file, everything has its default.

    Parameters
    ----------
    channel : Path, optional
        The folder of the channel `schema`, where the job may have one: a hyperparameter holds at most 2,500
        characters, which a schema of many columns does not fit into.

    Raises
    ------
    SetupError
        A name is unknown, or a value is of the wrong type or out of range; every fault is named at once.
    """
    try:
        given = json.loads(file.read_bytes()) if file.exists() else {}
    except ValueError as error:
        raise SetupError(f"{file.name}: not JSON ({error})") from None
    if not isinstance(given, dict):
        raise SetupError(f"{file.name}: must hold a JSON object of names and values")
    parsed, faults = _parsed(given)
    thresholds = list(parsed.setdefault("thresholds", {"default": 0.5}))
    decides = parsed["decides"] = parsed.get("decides") or (thresholds[0] if len(thresholds) == 1 else "")
    if decides not in thresholds:
        faults.append(f"hyperparameter 'decides' is {decides!r}; it must be one of {', '.join(thresholds)}")
    if channel is not None and channel.is_dir():
        try:
            parsed["schema"] = _schema_of(channel, parsed.get("schema"))
        except SetupError as error:
            faults.append(str(error))
    if faults:
        raise SetupError("; ".join(faults))
    booster = models.XGBOOST | {name: parsed.pop(name) for name in _BOOSTER if name in parsed}
    return Hyperparameters(booster=booster, **parsed)


def _parsed(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Values by their own names, and what is wrong with the others."""
    parsers = _BOOSTER | _OURS | _FIXED
    parsed: dict[str, Any] = {}
    faults = []
    for name, value in given.items():
        own = _ALIASES.get(name, name)
        text = value if isinstance(value, str) else json.dumps(value)
        if name == _TUNING:
            continue
        if own.startswith("_"):
            meant = "; 'folds' judges settings on later blocks of time or groups" if own == "_kfold" else ""
            faults.append(
                f"hyperparameter {name!r} would not be acted on (of names with _ only {_TUNING} is known){meant}"
            )
        elif own not in parsers:
            close = get_close_matches(name, [*parsers, *_ALIASES], 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join([*_BOOSTER, *_OURS])}"
            faults.append(f"hyperparameter {name!r} is unknown; {hint}")
        elif name != own and own in given:
            faults.append(f"hyperparameters {own!r} and {name!r} are one and the same; give one of them")
        else:
            try:
                parsed[own] = parsers[own](text.strip())
            except SetupError as error:
                faults.append(f"hyperparameter {name!r} is {text[:60]!r}; it {error}")
    for name in _FIXED:
        parsed.pop(name, None)
    return parsed, faults


def _schema_of(channel: Path, given: Schema | None) -> Schema:
    """The schema in a channel, which a hyperparameter may only repeat."""
    name = f"{channel.name}/{SCHEMA_FILE}"
    try:
        schema = _schema((channel / SCHEMA_FILE).read_bytes())
    except FileNotFoundError:
        found = ", ".join(sorted(path.name for path in channel.iterdir())) or "no file"
        raise SetupError(f"channel {channel.name!r} must hold {SCHEMA_FILE}; it holds {found[:200]}") from None
    except SetupError as error:
        raise SetupError(f"{name} {error}") from None
    if given is not None and given != schema:
        raise SetupError(f"the hyperparameter 'schema' and {name} differ; give the job one of them")
    return schema
