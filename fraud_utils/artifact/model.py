"""The model as a folder: `model.ubj` (XGBoost's own format) and `manifest.json`. Save, load, score; never pickle."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fraud_utils import __version__, project
from fraud_utils.artifact.features import FeatureMap

FORMAT = 2
MODEL, MANIFEST = "model.ubj", "manifest.json"
WALKED_ROWS = 6  # up to so many, walking the trees in NumPy is faster than one call of XGBoost
CHUNK_ROWS = 1 << 14


class ArtifactError(ValueError):
    """A folder or archive is not a model that this version can load."""


class RowError(ValueError):
    """Rows that cannot be scored; the message names row and column."""


def prior_correction(scores: np.ndarray, kept_share: float) -> np.ndarray:
    """Turn scores of a model fitted on rebalanced rows into probabilities at the true base rate.

    p = b s / (b s - s + 1) (Dal Pozzolo et al. 2015, "Calibrating probability with undersampling", equation 4).

    Parameters
    ----------
    scores : numpy.ndarray
        Scores s between 0 and 1; float64, since the formula magnifies rounding near 1 by up to 1 / b.
    kept_share : float
        Share b of the legitimate rows that training kept, or 1 / w after weighting frauds by w; 1 changes nothing.
    """
    scores = np.asarray(scores, dtype=np.float64)
    return scores if kept_share == 1 else kept_share * scores / (kept_share * scores + (1 - scores))


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a model folder keeps beside the booster.

    Attributes
    ----------
    schema : mapping
        `Schema.to_dict()`.
    columns : sequence of str
        The schema's columns without the label, in the order in which rows without names give their values.
    features : FeatureMap
        How those columns become the booster's inputs.
    thresholds : mapping of str to float
        Probabilities by name.
    decides : str
        Name of the threshold that decides unless a caller names another.
    hyperparameters, training, metrics : mapping
        What the model came from (`training`: `name`, `sha256`, `rows`, `frauds`) and how it did.
    may_be_missing : sequence of str
        Columns in which training rows had missing values. A missing value anywhere else is refused, since the model
        never learned what it means.
    kept_share : float
        For `prior_correction`.
    """

    schema: Mapping[str, Any]
    columns: Sequence[str]
    features: FeatureMap
    thresholds: Mapping[str, float]
    decides: str
    hyperparameters: Mapping[str, Any]
    training: Mapping[str, Any]
    may_be_missing: Sequence[str] = ()
    kept_share: float = 1.0
    metrics: Mapping[str, float] = field(default_factory=dict)


def save(folder: str | Path, booster: Any, contents: Contents) -> None:
    """Write a model folder: each file whole or not at all, and the manifest's hash binds the two together.

    Parameters
    ----------
    folder : str or Path
        Made when missing; other files in it stay.
    booster : xgboost.Booster
        With objective `binary:logistic`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = bytes(booster.save_raw("ubj"))
    manifest = {
        "format_version": FORMAT,
        "schema": dict(contents.schema),
        "columns": list(contents.columns),
        "features": contents.features.to_dict(),
        "may_be_missing": sorted(contents.may_be_missing),
        "kept_share": contents.kept_share,
        "thresholds": dict(contents.thresholds),
        "decides": contents.decides,
        "hyperparameters": dict(contents.hyperparameters),
        "training": dict(contents.training),
        "metrics": dict(contents.metrics),
        "versions": {
            "python": platform.python_version(),
            "fraud_utils": __version__,
            "numpy": np.__version__,
            "xgboost": project.version_of("xgboost-cpu", "xgboost"),
        },
        "git": project.commit(),
        "model_sha256": hashlib.sha256(model).hexdigest(),
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    project.write_all(folder, {MODEL: model, MANIFEST: text.encode()})


def load(folder: str | Path) -> Model:
    """Read a model folder, checking its version and hash; no code from the files is run.

    Raises
    ------
    ArtifactError
        A file is missing or damaged, or another version of this project wrote it.
    """
    import xgboost

    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        raw = (folder / MODEL).read_bytes()
    except OSError as error:
        fault = (error.strerror or "not readable").lower()
        raise ArtifactError(f"{error.filename}: {fault}; a model folder holds {MODEL} and {MANIFEST}") from None
    except ValueError as error:
        raise ArtifactError(f"{folder / MANIFEST}: not JSON ({error}); train the model again") from None
    found = manifest.get("format_version") if isinstance(manifest, dict) else None
    if found != FORMAT:
        remedy = "upgrade fraud_utils" if isinstance(found, int) and found > FORMAT else "train the model again"
        raise ArtifactError(f"{folder}: model format {found}, but this version reads format {FORMAT} only; {remedy}")
    try:
        if hashlib.sha256(raw).hexdigest() != manifest["model_sha256"]:
            raise ArtifactError(
                f"{folder / MODEL}: does not match {MANIFEST} (SHA-256 differs); copy or train it again"
            )
        booster = xgboost.Booster()
        booster.load_model(bytearray(raw))
        features = FeatureMap.from_dict(manifest["features"])
        model = Model(
            booster=booster,
            features=features,
            columns=tuple(manifest["columns"]),
            accepted=frozenset([*manifest["columns"], manifest["schema"]["label"], *manifest["schema"]["ignored"]]),
            may_be_missing=frozenset(manifest["may_be_missing"]),
            kept_share=float(manifest["kept_share"]),
            thresholds={name: float(value) for name, value in manifest["thresholds"].items()},
            decides=manifest["decides"],
            manifest=manifest,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder / MANIFEST}: incomplete ({error}); train the model again") from None
    except xgboost.core.XGBoostError as error:
        raise ArtifactError(f"{folder / MODEL}: XGBoost cannot read it ({str(error).splitlines()[0]})") from None
    if booster.num_features() != len(features.names):
        raise ArtifactError(f"{folder}: {MODEL} and {MANIFEST} disagree on the number of features; train it again")
    return model


@dataclass(frozen=True)
class Model:
    """A fitted booster and everything that turns raw rows into its scores.

    Attributes
    ----------
    columns : tuple of str
        The order of values in rows without names; rows may also leave out those that the model does not use.
    accepted : frozenset of str
        Column names that rows may have; the label, the time and the like are passed over.
    thresholds : dict of str to float
        Probabilities by name.
    decides : str
        The threshold that decides when none is named.
    """

    booster: Any
    features: FeatureMap
    columns: tuple[str, ...]
    accepted: frozenset[str]
    may_be_missing: frozenset[str]
    kept_share: float
    thresholds: dict[str, float]
    decides: str
    manifest: dict[str, Any]

    def score(self, rows: Any, first: int = 0) -> np.ndarray:
        """Give each row its probability of fraud, after prior correction.

        Parameters
        ----------
        rows : DataFrame, mapping of str to array, numpy.ndarray, or sequence
            Columns by name; or an array, or a sequence of lists, with values in the order of `columns` (or of
            `features.raw`); or a sequence of mappings from column to value. None and NaN are missing values.
        first : int
            How many rows came before these, so that messages count from there.

        Returns
        -------
        numpy.ndarray of float64, shape (rows,)

        Raises
        ------
        RowError
            A column is missing or unknown, or a value is no finite number.
        """
        columns = self._columns(rows)
        count = len(columns[self.features.raw[0]])
        margin = np.empty(count)
        for start in range(0, count, CHUNK_ROWS):  # a chunk's matrix stays in the processor's cache
            chunk = slice(start, start + CHUNK_ROWS)
            part = {name: values[chunk] for name, values in columns.items()}
            margin[chunk] = self._margin(self._derive(part, first + start))
        return prior_correction(1 / (1 + np.exp(-margin)), self.kept_share)

    def reasons(self, rows: Any, top: int = 3) -> list[list[dict[str, Any]]]:
        """For each row, the columns that moved its score most: SHAP contributions to the log-odds, by column.

        Contributions are exact for trees (Lundberg et al. 2020, "From local explanations to global understanding with
        explainable AI for trees"); indicators of one categorical column are added up.
        """
        import xgboost

        matrix = self.matrix(rows)
        shares = self.booster.predict(xgboost.DMatrix(matrix), pred_contribs=True)[:, :-1]
        raw = [*self.features.raw[: len(self.features.raw) - len(self.features.categories)]]
        raw += [column for column, values in self.features.categories.items() for _ in values]
        names = list(dict.fromkeys(raw))
        summed = np.zeros((len(matrix), len(names)))
        np.add.at(summed.T, [names.index(column) for column in raw], shares.T)
        order = np.argsort(-np.abs(summed), axis=1, kind="stable")[:, :top]
        return [
            [{"feature": names[j], "contribution": round(float(row[j]), 6)} for j in chosen]
            for row, chosen in zip(summed, order, strict=True)
        ]

    def matrix(self, rows: Any) -> np.ndarray:
        """The booster's inputs for rows as `score` takes them, float32 of shape (rows, features)."""
        return self._derive(self._columns(rows))

    def _columns(self, rows: Any) -> dict[str, Any]:
        """The raw columns that the features need, as arrays, lists or tuples."""
        if isinstance(rows, Mapping) or hasattr(rows, "columns"):
            return self._from_columns(rows)
        if isinstance(rows, np.ndarray):
            if rows.ndim != 2:
                raise RowError(f"an array has {rows.ndim} dimensions; give one of shape (rows, columns)")
            names = self.names_of(rows.shape[1], 1)
            return {name: rows[:, names.index(name)] for name in self.features.raw}
        return self._from_rows(rows)

    def _margin(self, matrix: np.ndarray) -> np.ndarray:
        if len(matrix) <= WALKED_ROWS:
            return self.forest.margin(matrix)
        return self.booster.inplace_predict(matrix, predict_type="margin")

    @cached_property
    def forest(self) -> Forest:
        """The booster's trees, for few rows at a time."""
        return Forest(self.booster)

    @cached_property
    def _numeric(self) -> tuple[str, ...]:
        return tuple(column for column in self.features.raw if column not in self.features.categories)

    @cached_property
    def _strict(self) -> np.ndarray:
        """Which of the matrix's columns must have a value."""
        strict = np.zeros(len(self.features.names), dtype=bool)
        strict[: len(self._numeric)] = [column not in self.may_be_missing for column in self._numeric]
        return strict

    def names_of(self, width: int, row: int) -> tuple[str, ...]:
        """The columns meant by a row of so many values without names."""
        for names in (self.columns, self.features.raw):
            if width == len(names):
                return names
        whole, used = len(self.columns), len(self.features.raw)
        raise RowError(
            f"row {row} has {width} values; expected {whole} ({', '.join(self.columns[:3])}, ... {self.columns[-1]}) "
            f"or {used} (only what the model uses: {', '.join(self.features.raw[:3])}, ... {self.features.raw[-1]})"
        )

    def _from_columns(self, table: Any) -> dict[str, Any]:
        given = list(table.columns if hasattr(table, "columns") else table)
        self._check_names(given)
        rows = next((len(table[column]) for column in self.features.raw if column in given), 0)
        columns = {}
        for column in self.features.raw:
            if column in given:
                values = table[column]
                columns[column] = values if isinstance(values, list | tuple) else np.asarray(values)
            elif column in self.may_be_missing:
                columns[column] = np.full(rows, None if column in self.features.categories else np.nan)
            else:
                raise RowError(f"column {column!r} is missing; this model cannot score without it")
        return columns

    def _check_names(self, given: Sequence[str], row: str = "") -> None:
        for name in given:
            if name not in self.accepted:
                absent = {column.casefold(): column for column in self.columns if column not in given}
                close = get_close_matches(str(name).casefold(), absent, 1)
                remedy = f"did you mean {absent[close[0]]!r}?" if close else f"known: {', '.join(self.columns)}"
                raise RowError(f"{row}column {str(name)[:60]!r} is unknown; {remedy}")

    def _from_rows(self, rows: Sequence[Any]) -> dict[str, Any]:
        raw, table = self.features.raw, []
        for number, row in enumerate(rows, 1):
            if isinstance(row, Mapping):
                if not row.keys() <= self.accepted:
                    self._check_names(list(row), f"row {number}, ")
                table.append([row.get(column) for column in raw])
            elif isinstance(row, list | tuple):
                names = self.names_of(len(row), number)
                table.append(list(row) if names is raw else [row[names.index(column)] for column in raw])
            else:
                raise RowError(
                    f"row {number} is {_kind(row)}; give an object of column names and values, or a list of values"
                )
        count = len(self._numeric)
        for number, row in enumerate(table, 1):
            if not _NUMBERS.issuperset(map(type, row[:count])):
                column, value = next(
                    (column, value) for column, value in zip(raw, row, strict=True) if type(value) not in _NUMBERS
                )
                raise RowError(f"row {number}, column {column!r}: {_kind(value)} where a number is needed")
        return dict(zip(raw, zip(*table, strict=True), strict=True)) if table else dict.fromkeys(raw, ())

    def _derive(self, columns: Mapping[str, Any], first: int = 0) -> np.ndarray:
        """Check raw columns and derive the matrix; `first` is how many rows came before these."""
        numbers: Any = [columns[column] for column in self._numeric]
        if not all(isinstance(values, np.ndarray) and values.dtype == np.float64 for values in numbers):
            try:
                numbers = np.array(numbers, dtype=np.float64)
            except (TypeError, ValueError, OverflowError):
                raise self._no_number(columns, first) from None
        checked: dict[str, Any] = dict(zip(self._numeric, numbers, strict=True))
        for column in self.features.categories:
            checked[column] = self._texts(column, columns[column], first)
        with np.errstate(over="ignore"):  # what 32 bits cannot hold becomes infinite, and is refused
            matrix = self.features.matrix(checked)
        if not np.isfinite(matrix).all():
            for bad, fault in (
                (np.isinf(matrix), "the value is infinite or beyond what a 32-bit float holds"),
                (np.isnan(matrix) & self._strict, _MISSING),
            ):
                if bad.any():
                    row = int(np.argmax(bad.any(axis=1)))
                    column = self._numeric[int(np.argmax(bad[row]))]
                    raise RowError(f"row {first + row + 1}, column {column!r}: {fault}")
        return matrix

    def _texts(self, column: str, values: Any, first: int) -> np.ndarray:
        texts = np.empty(len(values), dtype=object)
        for row, value in enumerate(values):
            if isinstance(value, str) and value:
                texts[row] = value
            elif value is None or value == "" or value != value:  # NaN is how pandas marks a missing text
                if column not in self.may_be_missing:
                    raise RowError(f"row {first + row + 1}, column {column!r}: {_MISSING}")
            else:
                raise RowError(f"row {first + row + 1}, column {column!r}: {_kind(value)} where text is needed")
        return texts

    def _no_number(self, columns: Mapping[str, Any], first: int) -> RowError:
        for column in self._numeric:
            for row, value in enumerate(columns[column], first + 1):
                try:
                    float(np.nan if value is None else value)
                except (TypeError, ValueError, OverflowError):
                    return RowError(f"row {row}, column {column!r}: {_kind(value)} where a number is needed")
        return RowError("columns have different numbers of rows")


class Forest:
    """A booster's trees in arrays, walked all at once: a row costs a sixth of XGBoost's fixed price for a call.

    Every step follows XGBoost's: 32-bit comparisons, and leaves added up in the order of the trees.
    """

    def __init__(self, booster: Any) -> None:
        learner = json.loads(bytes(booster.save_raw("json")))["learner"]
        trees = learner["gradient_booster"]["model"]["trees"]
        probability = float(learner["learner_model_param"]["base_score"].strip("[]"))
        self.base = np.float32(-np.log(1 / probability - 1))
        sizes = [len(tree["left_children"]) for tree in trees]
        self.roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
        start = np.repeat(self.roots, sizes)

        def joined(key: str, kind: Any) -> np.ndarray:
            return np.concatenate([np.asarray(tree[key], dtype=kind) for tree in trees])

        left, right = joined("left_children", np.intp), joined("right_children", np.intp)
        leaf = left < 0
        itself = np.arange(len(left))
        # The two children of node i stand at 2 i and 2 i + 1; a leaf leads to itself.
        self.child = np.column_stack(
            [np.where(leaf, itself, left + start), np.where(leaf, itself, right + start)]
        ).ravel()
        self.feature = joined("split_indices", np.intp)
        self.condition = joined("split_conditions", np.float32)  # a leaf's is its value
        self.missing_right = ~joined("default_left", bool)
        self.depth = 0
        level = self.roots
        while not leaf[level].all():
            level = np.unique(self.child.reshape(-1, 2)[level])
            self.depth += 1

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        """Log-odds before prior correction, float32, as `Booster.inplace_predict(..., predict_type="margin")`."""
        margins = np.empty(len(matrix), dtype=np.float32)
        for i, row in enumerate(matrix):
            node = self.roots
            missing = np.isnan(row).any()
            for _ in range(self.depth):
                value = row[self.feature[node]]
                right = value >= self.condition[node]
                if missing:
                    right |= np.isnan(value) & self.missing_right[node]
                node = self.child[2 * node + right]
            margins[i] = np.cumsum(np.concatenate([[self.base], self.condition[node]]), dtype=np.float32)[-1]
        return margins


_MISSING = "the value is missing, and training rows had none missing"
_NUMBERS = frozenset({int, float, type(None)})


def _kind(value: Any) -> str:
    """What a value is, in words, without repeating the transaction it belongs to."""
    names = {str: "text", bool: "true or false", dict: "an object", list: "a list", type(None): "nothing"}
    names |= {int: "a number out of range", float: "a number"}
    return names.get(type(value), f"a {type(value).__name__}")


def pack(folder: str | Path, archive: str | Path) -> None:
    """Write a model folder as `model.tar.gz`: its two files at the top; the same model gives the same bytes."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in (MANIFEST, MODEL):
            content = (Path(folder) / name).read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    archive = Path(archive)
    archive.parent.mkdir(parents=True, exist_ok=True)
    project.write(archive, packed.getvalue())


def unpack(archive: str | Path, folder: str | Path) -> None:
    """Take the two files of a model out of `model.tar.gz`, and nothing else.

    Raises
    ------
    ArtifactError
        The archive is damaged, or holds anything but the two files.
    """
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if name in ("", ".") and member.isdir():
                    continue
                if name not in (MODEL, MANIFEST) or not member.isfile():
                    raise ArtifactError(f"{archive}: holds {member.name!r}; only {MODEL} and {MANIFEST} belong there")
                contents[name] = tar.extractfile(member).read()  # type: ignore[union-attr]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ArtifactError(f"{archive}: not a readable .tar.gz ({error})") from None
    if missing := {MODEL, MANIFEST} - contents.keys():
        raise ArtifactError(f"{archive}: {sorted(missing)[0]} is missing; pack the model again")
    Path(folder).mkdir(parents=True, exist_ok=True)
    project.write_all(Path(folder), contents)
