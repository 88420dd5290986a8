"""The model folder on disk: `model.ubj` (XGBoost's own format) and `manifest.json`; save, load, pack, unpack.

Never pickle: no code from a file is run.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fraud_utils import __version__, project
from fraud_utils.artifact.features import FeatureMap
from fraud_utils.artifact.history import History
from fraud_utils.artifact.model import ACTIONS, Model
from fraud_utils.artifact.reference import Reference
from fraud_utils.artifact.rows import Layout

FORMAT = 2
MODEL, MANIFEST = "model.ubj", "manifest.json"


class ArtifactError(ValueError):
    """A folder or archive is not a model that this version can load."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a model folder keeps beside the booster.

    Attributes
    ----------
    schema : mapping
        `Schema.to_dict()`.
    columns : sequence of str
        The schema's columns without the label.
    features : FeatureMap
        How those columns become the booster's inputs.
    thresholds : mapping of str to float
        Probabilities by name.
    decides : str
        Name of the threshold that decides unless a caller names another.
    tiers : mapping of str to float
        Probabilities `review` and `block`, and the costs that they were chosen for; empty without tiers.
    hyperparameters, training, metrics : mapping
        What the model came from (`training`: `name`, `sha256`, `rows`, `frauds`) and how it did.
    may_be_missing : sequence of str
        Columns in which training rows had missing values. A missing value anywhere else is refused, since the model
        never learned what it means.
    kept_share : float
        For `prior_correction`.
    unnamed_rows : str
        What a row without names holds, in this order: "schema", all of `columns`; or "features", the id
        where the schema has one, and what the model uses.
    reference : Reference or None
        What monitoring compares with; models of earlier versions have none.
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
    unnamed_rows: str = "schema"
    metrics: Mapping[str, float] = field(default_factory=dict)
    tiers: Mapping[str, float] = field(default_factory=dict)
    reference: Reference | None = None


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
        "unnamed_rows": contents.unnamed_rows,
        "features": contents.features.to_dict(),
        "may_be_missing": sorted(contents.may_be_missing),
        "kept_share": contents.kept_share,
        "thresholds": dict(contents.thresholds),
        "decides": contents.decides,
        "tiers": dict(contents.tiers),
        "hyperparameters": dict(contents.hyperparameters),
        "training": dict(contents.training),
        "metrics": dict(contents.metrics),
        "reference": contents.reference.to_dict() if contents.reference else None,
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
    manifest, raw = _read(folder)
    try:
        if hashlib.sha256(raw).hexdigest() != manifest["model_sha256"]:
            raise ArtifactError(
                f"{folder / MODEL}: does not match {MANIFEST} (SHA-256 differs); copy or train it again"
            )
        booster = xgboost.Booster()
        booster.load_model(bytearray(raw))
        schema, features = manifest["schema"], FeatureMap.from_dict(manifest["features"])
        # Models of earlier versions have no id, no `unnamed_rows`, no tiers and no history.
        histories = tuple(History(each["by"], (*each["days"],), (*each["of"],)) for each in schema.get("history", ()))
        identity = schema.get("id")
        columns = tuple(manifest["columns"])
        if manifest.get("unnamed_rows", "schema") == "features":
            columns = (*((identity,) if identity else ()), *features.raw)
        layout = Layout(
            features=features,
            columns=columns,
            accepted=frozenset([*manifest["columns"], schema["label"], *schema["ignored"]]),
            may_be_missing=frozenset(manifest["may_be_missing"]),
            id=identity,
            negative_amounts=schema["negative_amounts"],
            history=frozenset(name for history in histories for name in history.columns),
        )
        model = Model(
            booster=booster,
            layout=layout,
            kept_share=float(manifest["kept_share"]),
            thresholds={name: float(value) for name, value in manifest["thresholds"].items()},
            decides=manifest["decides"],
            tiers={name: float(manifest["tiers"][name]) for name in ACTIONS[1:]} if manifest.get("tiers") else {},
            manifest=manifest,
            histories=histories,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder / MANIFEST}: incomplete ({error}); train the model again") from None
    except xgboost.core.XGBoostError as error:
        raise ArtifactError(f"{folder / MODEL}: XGBoost cannot read it ({str(error).splitlines()[0]})") from None
    if booster.num_features() != len(features.names):
        raise ArtifactError(f"{folder}: {MODEL} and {MANIFEST} disagree on the number of features; train it again")
    return model


def _read(folder: Path) -> tuple[dict[str, Any], bytes]:
    """The manifest, of the version that can be read, and the booster's bytes."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        raw = (folder / MODEL).read_bytes()
    except OSError as error:
        fault = (error.strerror or "not readable").lower()
        raise ArtifactError(f"{error.filename}: {fault}; a model folder holds {MODEL} and {MANIFEST}") from None
    except ValueError as error:
        raise ArtifactError(f"{folder / MANIFEST}: not JSON ({error}); train the model again") from None
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if version != FORMAT:
        remedy = "upgrade fraud_utils" if isinstance(version, int) and version > FORMAT else "train the model again"
        raise ArtifactError(f"{folder}: model format {version}, but this version reads format {FORMAT} only; {remedy}")
    return manifest, raw


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
