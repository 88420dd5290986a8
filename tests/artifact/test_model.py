"""The model as a folder: what is saved scores as what was fitted, however rows are given; nothing else is loaded."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud_utils import artifact, models
from fraud_utils.artifact import ArtifactError, FeatureMap, RowError
from fraud_utils.data import ULB, Schema
from fraud_utils.data.simulate import simulate_transactions

SHOP = Schema(
    name="shop",
    label="fraud",
    time="when",
    amount="total",
    features=("a", "b"),
    categorical=("channel",),
    entity="card",
)
IMBALANCE = "undersample 1:10"


def save(folder, schema, frame, imbalance="none", may_be_missing=(), rounds=40):
    """Fit and save as the training job does; gives the pipeline that notebook 02 would use."""
    features = FeatureMap.fit(schema, dict(frame.items()))
    X, y = features.matrix(dict(frame.items())), frame[schema.label].to_numpy()
    settings = models.XGBOOST | {"num_round": rounds}
    artifact.save(
        folder,
        models.fit_xgboost(X, y, imbalance, settings),
        artifact.Contents(
            schema=schema.to_dict(),
            columns=[column for column in schema.columns if column != schema.label],
            features=features,
            may_be_missing=may_be_missing,
            kept_share=models.kept_share(imbalance, y),
            thresholds={"usual": 0.5},
            decides="usual",
            hyperparameters=settings,
            training={"name": schema.name, "sha256": "0" * 64, "rows": len(y), "frauds": int(y.sum())},
        ),
    )
    return models.build(models.Candidate("xgboost", imbalance, settings)).fit(X, y), X, y


@pytest.fixture(scope="module")
def frame():
    return simulate_transactions(12_000, seed=3)


@pytest.fixture(scope="module")
def folder(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("artefact") / "model"
    save(path, ULB, frame, IMBALANCE)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return artifact.load(folder)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A model with an optional number, an optional text and an entity."""
    rng = np.random.default_rng(1)
    rows = 3_000
    frame = pd.DataFrame(
        {
            "when": np.arange(rows, dtype=float),
            "card": rng.integers(0, 50, rows).astype(str),
            "a": rng.normal(size=rows),
            "b": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
            "channel": pd.Series(rng.choice(["web", "pos", "moto"], rows)).where(rng.random(rows) > 0.1),
            "total": rng.gamma(1, 50, rows),
        }
    )
    frame["fraud"] = ((frame.a > 1.2) & (frame.channel == "web")).astype(np.int8)
    path = tmp_path_factory.mktemp("shop")
    save(path, SHOP, frame, may_be_missing=["b", "channel"])
    return artifact.load(path), frame


def test_scores_are_the_notebooks_after_prior_correction(tmp_path, frame):
    for imbalance in ("none", IMBALANCE, "SMOTE 1:20", "class weight"):
        pipeline, X, y = save(tmp_path, ULB, frame, imbalance)
        expected = artifact.prior_correction(pipeline.predict_proba(X)[:, 1], models.kept_share(imbalance, y))
        assert np.abs(artifact.load(tmp_path).score(frame) - expected).max() < 1e-6, imbalance


def test_prior_correction_multiplies_the_odds_by_the_kept_share():
    scores = np.linspace(0.001, 0.999, 101)
    for share in (1.0, 0.3, 0.01):
        corrected = artifact.prior_correction(scores, share)
        np.testing.assert_allclose(corrected / (1 - corrected), share * scores / (1 - scores))
    assert artifact.prior_correction(np.array([0.0, 1.0]), 0.1).tolist() == [0, 1]


def test_prior_correction_gives_back_the_base_rate(frame, tmp_path):
    save(tmp_path, ULB, frame, IMBALANCE, rounds=5)  # few enough not to know these rows by heart
    model = artifact.load(tmp_path)
    assert abs(model.score(frame).mean() / frame.Class.mean() - 1) < 0.25
    uncorrected = 1 / (1 + np.exp(-model.booster.inplace_predict(model.matrix(frame), predict_type="margin")))
    assert uncorrected.mean() > 3 * frame.Class.mean()


@given(st.data())
def test_any_way_of_giving_rows_gives_the_same_scores(frame, model, data):
    picked = data.draw(st.lists(st.integers(0, len(frame) - 1), min_size=1, max_size=40))
    rows = frame.iloc[picked].reset_index(drop=True)
    order = data.draw(st.permutations(rows.columns.to_list()))
    expected = model.score(rows)
    plain = rows.drop(columns="Class").to_numpy()
    for given_rows in (
        rows[order],
        {name: rows[name].to_numpy() for name in order},
        {name: rows[name].to_list() for name in order},
        rows[order].to_dict("records"),
        plain,
        plain[:, 1:],
        plain.tolist(),
        plain[:, 1:].tolist(),
    ):
        np.testing.assert_array_equal(model.score(given_rows), expected)
    one_by_one = np.concatenate([model.score([row]) for row in plain.tolist()])
    np.testing.assert_allclose(one_by_one, expected, rtol=0, atol=1e-6)


def test_missing_values_where_training_had_some(shop):
    model, frame = shop
    rows = frame.head(200)
    expected = model.score(rows)
    assert rows.b.isna().any()
    assert rows.channel.isna().any()
    records = [
        {name: value for name, value in row.items() if value == value and name != "card"}  # NaN is left out
        for row in rows.to_dict("records")
    ]
    np.testing.assert_array_equal(model.score(records), expected)
    np.testing.assert_array_equal(model.score(rows.drop(columns="b")), model.score(rows.assign(b=np.nan)))
    np.testing.assert_array_equal(np.concatenate([model.score([record]) for record in records]), expected)
    unseen = model.score([records[0] | {"channel": "carrier pigeon"}])
    assert unseen == model.score([{name: v for name, v in records[0].items() if name != "channel"}])


ROW = [0.0] * 30
NAMED = dict(zip([name for name in ULB.columns if name != "Class"], ROW, strict=True))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, ROW[:7]], "row 2 has 7 values; expected 30 .* or 29"),
        (np.zeros((3, 5)), "row 1 has 5 values"),
        (np.zeros(30), "1 dimensions"),
        ([NAMED, NAMED | {"v14": 1}], "row 2, column 'v14' is unknown"),
        ([{"v14": 1} | {name: 0 for name in NAMED if name != "V14"}], "row 1, .*did you mean 'V14'"),
        ([NAMED, {name: 0 for name in NAMED if name != "V3"}], "row 2, column 'V3': the value is missing"),
        (pd.DataFrame([NAMED]).drop(columns="V3"), "column 'V3' is missing"),
        ([NAMED | {"V2": "1.5"}], "row 1, column 'V2': text where a number"),
        ([NAMED | {"V2": True}], "row 1, column 'V2': true or false where a number"),
        ([NAMED | {"V2": [1]}], "row 1, column 'V2': a list where a number"),
        ([NAMED, NAMED | {"Amount": None}], "row 2, column 'Amount': the value is missing"),
        ([NAMED, NAMED | {"Amount": float("inf")}], "row 2, column 'Amount': the value is infinite"),
        ([NAMED | {"V28": -1e39}], "row 1, column 'V28': the value is infinite or beyond"),
        ([NAMED | {"V28": 10**400}], "row 1, column 'V28': a number out of range"),
        (["text"], "row 1 is text"),
        ([3.5], "row 1 is a number"),
        ([None], "row 1 is nothing"),
    ],
)
def test_rows_that_cannot_be_scored_are_named(model, rows, message):
    with pytest.raises(RowError, match=message):
        model.score(rows)


def test_categorical_values_must_be_text(shop):
    model, frame = shop
    row = frame.dropna().iloc[0].to_dict()
    with pytest.raises(RowError, match="row 1, column 'channel': a number where text is needed"):
        model.score([row | {"channel": 7.0}])


def test_no_rows_give_no_scores(model, frame):
    assert model.score([]).shape == model.score(frame.head(0)).shape == (0,)


def test_reasons_add_up_to_the_score(model, frame, shop):
    rows = frame.tail(50)
    reasons = model.reasons(rows, top=30)
    margin = model.booster.inplace_predict(model.matrix(rows), predict_type="margin")
    rest = margin - [sum(reason["contribution"] for reason in row) for row in reasons]
    np.testing.assert_allclose(rest, rest[0], atol=1e-4)  # what is left is the same base for every row
    sizes = [abs(reason["contribution"]) for reason in model.reasons(rows, top=3)[0]]
    assert len(sizes) == 3
    assert sizes == sorted(sizes, reverse=True)
    assert {reason["feature"] for reason in reasons[0]} == set(model.features.raw)
    model, frame = shop
    assert {reason["feature"] for reason in model.reasons(frame.head(1), top=9)[0]} == {"a", "b", "total", "channel"}


def test_a_packed_model_is_two_files_and_the_same_bytes_again(folder, model, frame, tmp_path):
    artifact.pack(folder, tmp_path / "one.tar.gz")
    artifact.pack(folder, tmp_path / "sub" / "two.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "sub" / "two.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        assert sorted(tar.getnames()) == ["manifest.json", "model.ubj"]
    artifact.unpack(tmp_path / "one.tar.gz", tmp_path / "again")
    np.testing.assert_array_equal(artifact.load(tmp_path / "again").score(frame), model.score(frame))


@pytest.mark.parametrize("name", ["../model.ubj", "/tmp/model.ubj", "code.py", "sub/model.ubj", "link"])  # noqa: S108
def test_an_archive_with_anything_else_is_refused_and_nothing_is_written(tmp_path, name):
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as tar:
        for member in ("manifest.json", "model.ubj"):
            tar.addfile(tarfile.TarInfo(member))
        extra = tarfile.TarInfo(name if name != "link" else "model.ubj")
        if name == "link":
            extra.type, extra.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(extra, io.BytesIO())
    with pytest.raises(ArtifactError, match="belong there"):
        artifact.unpack(tmp_path / "bad.tar.gz", tmp_path / "out")
    assert not list(tmp_path.rglob("*.ubj"))


def test_an_archive_that_is_damaged_or_incomplete_is_refused(folder, tmp_path):
    artifact.pack(folder, tmp_path / "whole.tar.gz")
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "whole.tar.gz").read_bytes()[:-200])
    with pytest.raises(ArtifactError, match="not a readable"):
        artifact.unpack(tmp_path / "cut.tar.gz", tmp_path / "out")
    with tarfile.open(tmp_path / "half.tar.gz", "w:gz") as tar:
        tar.add(folder / "manifest.json", "./manifest.json")
    with pytest.raises(ArtifactError, match=r"model\.ubj is missing"):
        artifact.unpack(tmp_path / "half.tar.gz", tmp_path / "out")


def changed(folder: Path, target: Path, **manifest) -> Path:
    """A copy of a model folder with other values in its manifest."""
    target.mkdir(exist_ok=True)
    (target / "model.ubj").write_bytes((folder / "model.ubj").read_bytes())
    values = json.loads((folder / "manifest.json").read_text()) | manifest
    (target / "manifest.json").write_text(json.dumps({key: value for key, value in values.items() if value != "drop"}))
    return target


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"format_version": 0}, "model format 0, .* train the model again"),
        ({"format_version": 99}, "model format 99, .* upgrade fraud_utils"),
        ({"format_version": "drop"}, "model format None"),
        ({"model_sha256": "0" * 64}, r"model\.ubj: does not match"),
        ({"kept_share": "drop"}, "incomplete .'kept_share'"),
        ({"features": {"numeric": ["V1"], "amount": None, "categories": {}}}, "disagree on the number of features"),
    ],
)
def test_a_folder_that_is_no_model_of_this_version_is_refused(folder, tmp_path, manifest, message):
    with pytest.raises(ArtifactError, match=message):
        artifact.load(changed(folder, tmp_path / "other", **manifest))


def test_missing_and_damaged_files_are_named(folder, tmp_path):
    with pytest.raises(ArtifactError, match=r"manifest\.json: no such file"):
        artifact.load(tmp_path)
    with pytest.raises(ArtifactError, match=r"manifest\.json: not a directory"):
        artifact.load(folder / "model.ubj")
    (tmp_path / "manifest.json").write_text("{")
    (tmp_path / "model.ubj").write_text("")
    with pytest.raises(ArtifactError, match="not JSON"):
        artifact.load(tmp_path)
    other = changed(folder, tmp_path / "other")
    with (other / "model.ubj").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    with pytest.raises(ArtifactError, match="does not match"):
        artifact.load(other)


FULL_DISK = """
import resource, sys
from fraud_utils import artifact
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    artifact.unpack(sys.argv[1], sys.argv[2])
except OSError as error:
    sys.exit(f"full: {error}")
"""


def test_a_disk_that_fills_up_leaves_the_old_model_whole(folder, model, frame, tmp_path):
    other = changed(folder, tmp_path / "other")
    before = {path.name: path.read_bytes() for path in other.iterdir()}
    archive = tmp_path / "new.tar.gz"
    artifact.pack(folder, archive)
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, archive, other], capture_output=True, text=True, timeout=60, check=False
    )
    assert "full: " in run.stderr
    assert {path.name: path.read_bytes() for path in other.iterdir()} == before
