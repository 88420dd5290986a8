"""Scores are those of the fitted model at the true base rate, and reasons add up to them."""

import json

import numpy as np
import pytest

from fraud_utils import artifact, models
from fraud_utils.data import ULB


def test_scores_are_the_notebooks_after_prior_correction(tmp_path, frame, fitted):
    for imbalance in ("none", "undersample 1:10", "SMOTE 1:20", "class weight"):
        pipeline, X, y = fitted(tmp_path, ULB, frame, imbalance, rounds=10)
        expected = artifact.prior_correction(pipeline.predict_proba(X)[:, 1], models.kept_share(imbalance, y))
        assert np.abs(artifact.load(tmp_path).score(frame) - expected).max() < 1e-6, imbalance


def test_rows_of_many_categories_score_as_in_the_notebook_alone_and_together(market):
    model, frame, scores = market
    expected = artifact.prior_correction(scores, models.kept_share("undersample 1:10", frame.fraud.to_numpy()))
    assert np.abs(model.score(frame) - expected).max() < 1e-6
    alone = [model.score([{"a": row.a, "merchant": row.merchant}])[0] for row in frame.head(40).itertuples()]
    assert np.abs(alone - expected[:40]).max() < 1e-6
    unheard_of = model.score([{"a": 0.0, "merchant": "nobody"}] * 7)
    assert unheard_of == pytest.approx(model.score([{"a": 0.0, "merchant": "nobody"}])[0], abs=1e-6)
    assert {reason["feature"] for reason in model.reasons(frame.head(1), top=9)[0]} == {"a", "merchant"}


def test_prior_correction_multiplies_the_odds_by_the_kept_share():
    scores = np.linspace(0.001, 0.999, 101)
    for share in (1.0, 0.3, 0.01):
        corrected = artifact.prior_correction(scores, share)
        np.testing.assert_allclose(corrected / (1 - corrected), share * scores / (1 - scores))
    assert artifact.prior_correction(np.array([0.0, 1.0]), 0.1).tolist() == [0, 1]


def test_prior_correction_gives_back_the_base_rate(frame, fitted, tmp_path):
    fitted(tmp_path, ULB, frame, "undersample 1:10", rounds=5)  # few enough not to know these rows by heart
    model = artifact.load(tmp_path)
    assert abs(model.score(frame).mean() / frame.Class.mean() - 1) < 0.25
    uncorrected = 1 / (1 + np.exp(-model.booster.inplace_predict(model.matrix(frame), predict_type="margin")))
    assert uncorrected.mean() > 3 * frame.Class.mean()


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
    assert {reason["feature"] for reason in reasons[0]} == set(model.layout.features.raw)
    model, frame = shop
    assert {reason["feature"] for reason in model.reasons(frame.head(1), top=9)[0]} == {"a", "b", "total", "channel"}


def test_tiers_part_scores_into_actions(tmp_path, frame, fitted, model):
    tiers = {"review": 0.25, "block": 0.75, "review_cost": 3.0, "block_cost": 30.0}
    fitted(tmp_path, ULB, frame, tiers=tiers)
    parted = artifact.load(tmp_path)
    assert parted.manifest["tiers"] == tiers
    actions = parted.actions(np.array([0.0, 0.2499, 0.25, 0.7499, 0.75, 1.0]))
    assert actions == ["accept", "accept", "review", "review", "block", "block"]
    assert model.actions(np.array([0.5])) == []  # it has none


def test_a_model_of_a_version_without_tiers_is_loaded(folder, tmp_path):
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["tiers"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "model.ubj").write_bytes((folder / "model.ubj").read_bytes())
    assert artifact.load(tmp_path).actions(np.array([0.5])) == []
