"""Simulated transactions beside the real ones: their shape, their difficulty, and no row of theirs."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fraud_utils.data import load_transactions
from fraud_utils.data.simulate import simulate_transactions

FULL = 284_807


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "bench/bench_simulate.py"
    spec = importlib.util.spec_from_file_location("bench_simulate", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def real(real_data: Path) -> pd.DataFrame:
    return load_transactions(real_data)


@pytest.fixture(scope="module")
def full() -> pd.DataFrame:
    return simulate_transactions(FULL, seed=1)


@pytest.fixture(scope="module")
def eighth() -> pd.DataFrame:
    """All frauds, and an eighth of the others."""
    return simulate_transactions(round(FULL / 8), 492 / round(FULL / 8), seed=1)


@pytest.mark.real_data
@pytest.mark.parametrize("share", [1 / 8, pytest.param(1, marks=pytest.mark.long)])
def test_shape_is_the_real_one(bench: ModuleType, real: pd.DataFrame, request, share: float) -> None:
    """Of a share of the legitimate rows every column stands as close, of copies and hours what the draw allows."""
    full: pd.DataFrame = request.getfixturevalue("full" if share == 1 else "eighth")
    assert len(full) == round(FULL * share)
    assert full["Class"].sum() == real["Class"].sum()
    copies = share * 1_081  # what the real set has, as test_load.py counts
    assert full.duplicated().sum() == pytest.approx(copies, abs=max(0.2 * copies, 4 * (2 * copies) ** 0.5))
    hourly = [np.bincount((x["Time"] // 3600).astype(int), minlength=48) for x in (full, real)]
    by_chance = np.sqrt(hourly[1] / len(real) / len(full)).sum()  # a little above what is expected, 0.8 of it
    assert np.abs(hourly[0] / len(full) - hourly[1] / len(real)).sum() < 1.3 * by_chance
    bands = [-1, 0, 1, 10, 50, 100, 500, 1000, np.inf]
    for label, tolerance in ((0, 0.03), (1, 0.06)):
        share = [
            pd.cut(x.loc[x["Class"] == label, "Amount"], bands).value_counts(normalize=True, sort=False)
            for x in (full, real)
        ]
        assert np.abs(share[0] - share[1]).max() < tolerance
    mean, spread = real["Amount"].mean(), real["Amount"].std()
    assert full["Amount"].mean() == pytest.approx(mean, abs=max(0.03 * mean, 3 * spread / len(full) ** 0.5))
    points = real["Amount"].value_counts(normalize=True).head(20)
    assert np.abs(full["Amount"].value_counts(normalize=True).reindex(points.index) - points).max() < 0.01
    for label, most in ((0, 0.06), (1, 0.2)):
        assert bench.kolmogorov(full, real, label).max() <= most
        assert bench.correlation_gap(full, real, label) <= 0.1


@pytest.mark.real_data
@pytest.mark.parametrize("label", [1, pytest.param(0, marks=pytest.mark.long)])  # below, legitimate ones once more
def test_no_simulated_row_is_nearer_to_a_real_one_than_real_ones_are(
    bench: ModuleType, real: pd.DataFrame, eighth: pd.DataFrame, label: int
) -> None:
    near = bench.nearest(eighth, real, label, rows=1_000)
    quantiles = near.quantile([0.01, 0.05, 0.25, 0.5])
    assert (quantiles["simulated"] >= quantiles["real"]).all()
    assert near["simulated"].min() > near["real"].min()


@pytest.mark.real_data
def test_simulated_rows_are_no_nearer_to_the_fitted_rows_than_to_those_held_out(
    bench: ModuleType, real: pd.DataFrame, eighth: pd.DataFrame
) -> None:
    """Of 1,000 rows 46 to 54 % are nearer to the fitted half by chance, in 99 of 100 draws."""
    assert bench.nearer_to_fitted(eighth, real, rows=1_000) == pytest.approx(0.5, abs=0.04)


@pytest.mark.long
@pytest.mark.real_data
def test_a_model_of_simulated_transactions_finds_real_frauds(
    bench: ModuleType, real: pd.DataFrame, full: pd.DataFrame
) -> None:
    assert bench.transfer(full, real) >= 0.6


@pytest.mark.long
@pytest.mark.real_data
def test_what_tells_simulated_rows_from_real_ones(bench: ModuleType, real: pd.DataFrame, full: pd.DataFrame) -> None:
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    assert bench.tell_apart(full, real, linear) <= 0.6
    assert bench.tell_apart(full, real, HistGradientBoostingClassifier(random_state=0)) <= 0.8


@pytest.mark.long
@pytest.mark.real_data
@pytest.mark.parametrize("seed", range(1, 6))
def test_every_seed_is_as_difficult_as_the_real_set_and_ranks_learners_alike(
    bench: ModuleType, real_difficulty: dict[str, float], seed: int
) -> None:
    """They differ by 0.03; without camouflaged frauds it would be 0.1 easier, with twice as many 0.07 harder."""
    difficulty = bench.difficulty(simulate_transactions(FULL, seed=seed))
    for name, average_precision in real_difficulty.items():
        assert difficulty[name] == pytest.approx(average_precision, abs=0.07), name
    assert sorted(difficulty, key=difficulty.__getitem__) == sorted(real_difficulty, key=real_difficulty.__getitem__)


@pytest.fixture(scope="module")
def real_difficulty(bench: ModuleType, real: pd.DataFrame) -> dict[str, float]:
    return bench.difficulty(real)
