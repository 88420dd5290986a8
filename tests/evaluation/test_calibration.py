"""Whether scores can be taken as probabilities."""

import numpy as np
import pandas as pd
import pytest
from evaluation import made

from fraud_utils import artifact, evaluation
from fraud_utils.evaluation import Protocol, calibration
from fraud_utils.models import Candidate


def true_probabilities(rows: int, a: float, b: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    truth = rng.beta(a, b, rows)
    return truth, (rng.random(rows) < truth).astype(int), rng


@pytest.mark.parametrize("treatment", ["undersample 1:4", "class weight", "SMOTE 1:2"])
def test_prior_correction_against_the_closed_form(treatment):
    """One feature, two Gaussians: the true probability is known, and a logistic model can reach it."""
    rng = np.random.default_rng(5)
    y = (rng.random(60_000) < 0.03).astype(np.int8)
    x = rng.normal(2.0 * y, 1)
    truth = 1 / (1 + np.exp(-(2 * x - 2 + np.log(0.03 / 0.97))))
    candidate = Candidate("logistic regression", treatment)
    rows = made.rows(x[:, None].astype(np.float32), y)
    ways = calibration.with_and_without_correction(
        evaluation.out_of_fold([candidate], rows, Protocol(jobs=1)), candidate
    )
    corrected, raw = (ways[name].to_numpy() for name in ways)
    assert np.abs(corrected - truth).mean() < 0.01
    assert np.abs(raw - truth).mean() > 0.04
    again = artifact.prior_correction(raw, candidate.treatment.kept_share(y))
    np.testing.assert_allclose(again, corrected, atol=1e-9)


def test_a_cost_decision_by_true_probabilities_beats_one_by_uncorrected_ones():
    truth, y, rng = true_probabilities(100_000, 0.05, 2, seed=6)
    amount = rng.exponential(60, 100_000)
    shown = pd.DataFrame({"true": truth, "uncorrected": calibration.uncorrected(truth, 0.02)})
    quality = calibration.quality(made.rows(np.zeros((len(y), 0)), y, amount=amount), shown, 5.0)
    # Alerting where probability times amount exceeds the review is the best that can be done; its cost is expected.
    expected = np.minimum(5.0, truth * amount).sum() / min((truth * amount).sum(), 5.0 * 100_000)
    assert quality.loc["true", "savings"] == pytest.approx(1 - expected, abs=0.05)
    assert quality.loc["uncorrected", "savings"] < quality.loc["true", "savings"] - 0.2
    assert quality.loc["true", "alerts"] == (truth * amount > 5).sum()
    assert quality.loc["true", "mean over base rate"] == pytest.approx(1, abs=0.05)
    assert quality.loc["true", ["brier", "log loss"]].lt(quality.loc["uncorrected", ["brier", "log loss"]]).all()


@pytest.mark.parametrize(("method", "left"), [("sigmoid", 0.02), ("isotonic", 0.2)])  # a prior is a line in log-odds
def test_calibration_fixes_distorted_probabilities_on_rows_it_was_not_fitted_on(method, left):
    truth, y, rng = true_probabilities(40_000, 0.3, 3, seed=7)
    distorted = calibration.uncorrected(truth, 0.1)
    fixed = calibration.calibrate(y, distorted, rng.integers(0, 3, 40_000), method)
    assert np.abs(fixed - truth).mean() < left * np.abs(distorted - truth).mean()


def test_a_calibration_curve_never_sees_the_rows_it_maps():
    """Labels that mean nothing: a curve fitted on the rows it maps would find some meaning in them."""
    rng = np.random.default_rng(8)
    y, block = (rng.random(3000) < 0.3).astype(int), rng.integers(0, 3, 3000)
    mapped = calibration.calibrate(y, rng.random(3000), block, "isotonic")
    assert abs(np.corrcoef(mapped, y)[0, 1]) < 0.06
    with pytest.raises(ValueError, match="'sigmoid' or 'isotonic'"):
        calibration.calibrate(y, rng.random(3000), block, "platt")


def test_only_the_first_repeat_is_calibrated():
    truth, y, rng = true_probabilities(3000, 0.3, 3, seed=1)
    values = pd.DataFrame({"dummy": np.concatenate([truth, rng.random(3000)])})
    ways = calibration.calibrated(made.scores(y, values, np.arange(6000) % 3), Candidate("dummy"))
    assert list(ways) == ["dummy", "dummy, sigmoid", "dummy, isotonic"]
    np.testing.assert_array_equal(ways["dummy"], truth)
    assert (ways.sub(truth, axis=0).abs().mean() < 0.05).all()


def test_reliability_of_true_probabilities_contains_the_diagonal():
    truth, y, _ = true_probabilities(50_000, 0.3, 3, seed=9)
    table = calibration.reliability(
        made.rows(np.empty((len(y), 0)), y), pd.DataFrame({"true": truth, "doubled": np.clip(2 * truth, 0, 1)})
    )
    assert table.groupby("name")["rows"].sum().eq(50_000).all()
    inside = table["predicted"].between(table["low"], table["high"])
    assert inside[table["name"] == "true"].sum() >= (table["name"] == "true").sum() - 1
    assert inside[table["name"] == "doubled"].sum() <= 1


def test_reliability_has_as_many_frauds_in_each_bin():
    _, y, rng = true_probabilities(20_000, 0.3, 3, seed=9)
    table = calibration.reliability(
        made.rows(np.empty((len(y), 0)), y), pd.DataFrame({"any": rng.random(20_000)}), bins=8
    )
    frauds = table["observed"] * table["rows"]
    assert len(table) == 8
    assert frauds.max() - frauds.min() <= 1.001


def test_sentences_on_the_correction_have_the_figures_of_the_table():
    columns = ["brier", "log loss", "mean over base rate", "alerts", "savings", "low", "high"]
    figures = {
        "plain": [0.1, 0.02, 1.01, 5, 0.062, 0.05, 0.07],
        "sigmoid": [0.1, 0.03, 1, 5, 0.6, 0.5, 0.7],
        "isotonic": [0.1, 0.03, 1, 5, 0.6, 0.5, 0.7],
        "a, corrected": [0.1, 0.04, 0.873, 6, 0.5, 0.4, 0.6],
        "a, not corrected": [0.1, 0.9, 9.25, 70, -2, -3, 1],
    }
    text = calibration.describe(pd.DataFrame.from_dict(figures, "index", columns=columns), 3.0, "EUR")
    for part in (
        "9.2 times the share of frauds, with it 0.87 times",
        "lowest log loss is that of plain, 0.02000.",
        "save 50\N{NO-BREAK SPACE}% of the avoidable cost with the correction and \N{MINUS SIGN}200",
        "with 6 and 70 alerts; plain saves 6.2",
    ):
        assert part in text, part


def test_skipping_the_correction_shows_in_probabilities_and_sentences():
    truth, y, rng = true_probabilities(40_000, 0.05, 2, seed=3)
    plain, rebalanced = Candidate("xgboost"), Candidate("xgboost", "undersample 1:1")
    values = pd.DataFrame({plain.name: truth, rebalanced.name: truth})
    scores = made.scores(y, values, rng.integers(0, 3, 40_000), amount=rng.exponential(60, 40_000))
    ways = calibration.calibrated(scores, plain).join(calibration.with_and_without_correction(scores, rebalanced))
    quality = calibration.quality(scores.rows, ways, 5.0)
    ratio = quality["mean over base rate"]
    assert ratio[f"{rebalanced.name}, corrected"] == pytest.approx(1, abs=0.1)
    assert ratio[f"{rebalanced.name}, not corrected"] > 5
    text = calibration.describe(quality, 5.0, "EUR")
    assert f"{ratio.iloc[-1]:.1f} times the share of frauds" in text
    assert "At 5 EUR a review" in text
    bare = calibration.quality(made.rows(np.zeros((40_000, 0)), y), ways, 5.0)
    assert "EUR" not in calibration.describe(bare, 5.0, "EUR")


def test_where_a_treatment_changes_nothing_there_is_no_correction_to_show():
    truth, y, rng = true_probabilities(4000, 0.3, 1, seed=3)
    rebalanced = Candidate("xgboost", "undersample 1:10")
    scores = made.scores(
        y, pd.DataFrame({"xgboost": truth}), rng.integers(0, 3, 4000), amount=rng.exponential(60, 4000)
    )
    ways = calibration.with_and_without_correction(scores, rebalanced)
    assert list(ways) == []
    text = calibration.describe(
        calibration.quality(scores.rows, calibration.calibrated(scores, Candidate("xgboost")).join(ways), 5.0),
        5.0,
        "EUR",
    )
    assert "no correction" in text and "not corrected" not in text and "lowest log loss" in text
