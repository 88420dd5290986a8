"""Simulated transactions: the same bytes for the same seed, the reference set's shape, and its lessons."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fraud_utils.data import simulate
from fraud_utils.data.simulate import fit as simulate_fit
from fraud_utils.data.simulate import simulate_chunks, simulate_transactions, write_parquet

FULL = 284_807


@pytest.fixture(scope="module")
def simulated() -> pd.DataFrame:
    return simulate_transactions(60_000, seed=3)


def digest(frame: pd.DataFrame) -> str:
    return hashlib.sha256(b"".join(frame[column].to_numpy().tobytes() for column in frame)).hexdigest()


# --- what every use relies on ------------------------------------------------------------------------------------


def test_has_the_reference_schema(simulated: pd.DataFrame) -> None:
    assert list(simulated) == ["Time", *(f"V{i}" for i in range(1, 29)), "Amount", "Class"]
    assert (simulated.dtypes.drop("Class") == "float64").all()
    assert simulated["Class"].dtype == "int8"
    assert np.isfinite(simulated.to_numpy()).all()
    assert simulated["Time"].is_monotonic_increasing
    assert simulated["Time"].between(0, 2 * 86_400, inclusive="left").all()
    assert (simulated["Time"] % 1 == 0).all()
    assert (simulated["Amount"] >= 0).all()
    assert np.abs(simulated["Amount"] * 100 - (simulated["Amount"] * 100).round()).max() < 1e-6


@pytest.mark.parametrize(
    ("rows", "rate", "frauds"), [(20_000, 0.01, 200), (1_000, 0.0, 0), (500, 1.0, 500), (1, None, 0)]
)
def test_gives_the_rows_and_frauds_asked_for(rows: int, rate: float | None, frauds: int) -> None:
    frame = simulate_transactions(rows, rate)
    assert len(frame) == rows
    assert frame["Class"].sum() == frauds


@pytest.mark.parametrize(
    ("arguments", "named"), [((0,), "rows=0"), ((10, 2.0), "fraud_rate=2.0"), ((10, None, 7, 0), "days=0")]
)
def test_refuses_what_cannot_be(arguments: tuple, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        simulate_transactions(*arguments)


def test_seed_decides_every_byte_in_any_process() -> None:
    program = (
        "import hashlib; from fraud_utils.data.simulate import simulate_transactions;"
        "f = simulate_transactions(4_000, seed=11, days=3, cards=True);"
        "print(hashlib.sha256(b''.join(f[c].to_numpy().tobytes() for c in f)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_CORETYPE": kernel},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for threads, kernel in (("1", "Prescott"), ("2", "Haswell"))
    }
    assert digests == {digest(simulate_transactions(4_000, seed=11, days=3, cards=True))}
    assert digest(simulate_transactions(4_000, seed=12, days=3, cards=True)) not in digests


# --- at length ---------------------------------------------------------------------------------------------------


def test_chunks_come_in_time_order_and_make_the_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(simulate, "CHUNK_ROWS", 5_000)
    chunks = list(simulate_chunks(30_000, seed=5, days=10))
    assert len(chunks) > 5
    assert max(map(len, chunks)) <= 5_000
    whole = pd.concat(chunks, ignore_index=True)
    assert len(whole) == 30_000
    assert whole["Time"].is_monotonic_increasing
    assert digest(whole) == digest(simulate_transactions(30_000, seed=5, days=10))
    write_parquet(tmp_path / "many.parquet", 30_000, seed=5, days=10)
    assert digest(pd.read_parquet(tmp_path / "many.parquet")) == digest(whole)


def test_an_hour_larger_than_a_chunk_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "CHUNK_ROWS", 1_000)
    chunks = list(simulate_chunks(60_000, seed=5, days=1))
    assert max(map(len, chunks)) < 2_000
    assert sum(map(len, chunks)) == 60_000


def test_the_program_writes_parquet(tmp_path: Path) -> None:
    path = tmp_path / "week.parquet"
    subprocess.run(
        [sys.executable, "-m", "fraud_utils.data.simulate", path, "--rows", "7000", "--days", "7", "--cards"],
        check=True,
    )
    frame = pd.read_parquet(path)
    assert len(frame) == 7_000
    assert frame["Time"].max() > 6 * 86_400
    assert frame["Card"].dtype == "int64"


def test_fraud_drifts_from_day_to_day() -> None:
    """Days that repeat the same fitted day differ by more than days drawn from one distribution would."""
    frauds = simulate_transactions(24_000, fraud_rate=1.0, seed=2, days=24)
    day = frauds["Time"] // 86_400
    frauds = frauds[day % 2 == 0].reset_index(drop=True)
    day = frauds["Time"] // 86_400
    columns = ["V4", "V10", "V14", "V17"]
    between = frauds.groupby(day)[columns].mean().var(ddof=1)
    shuffled = [
        frauds.groupby(day.sample(frac=1, random_state=i, ignore_index=True))[columns].mean().var(ddof=1)
        for i in range(10)
    ]
    assert (between / pd.concat(shuffled, axis=1).mean(axis=1)).mean() > 3  # 1 without drift


def test_cards_hold_copies_and_frauds_fall_on_few() -> None:
    frame = simulate_transactions(60_000, fraud_rate=0.01, seed=4, cards=True)
    cardless = simulate_transactions(60_000, fraud_rate=0.01, seed=4)
    pd.testing.assert_frame_equal(frame.drop(columns="Card"), cardless)
    assert len(frame.drop_duplicates()) == len(cardless.drop_duplicates())
    fraud = frame["Class"] == 1
    assert frame.loc[fraud, "Card"].nunique() < fraud.sum() / 4
    assert frame.loc[~fraud, "Card"].nunique() > 10_000


# --- the reference set's shape -----------------------------------------------------------------------------------


def test_copies_share_their_second_and_label(simulated: pd.DataFrame) -> None:
    inputs = [c for c in simulated if c not in ("Time", "Class")]
    assert 0.002 < simulated.duplicated().mean() < 0.006  # the reference set: 1,081 of 284,807
    assert (simulated.duplicated(inputs) == simulated.duplicated()).all()


def test_aggregates_are_small_and_say_where_they_come_from() -> None:
    text = simulate.AGGREGATES.read_text(encoding="utf-8")
    assert len(text.encode()) < 100_000
    about = json.loads(text)["about"]
    assert "Université libre de Bruxelles" in about["source"]
    assert "DbCL" in about["licence"]


def test_aggregates_fitted_to_a_table_draw_its_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another table than the reference set: fraud is 1 %, every V is turned round, every amount doubled."""
    table = simulate_transactions(40_000, fraud_rate=0.01, seed=8)
    v = [f"V{i}" for i in range(1, 29)]
    table[v] = -table[v]
    table["Amount"] *= 2
    table.to_csv(tmp_path / "table.csv", index=False)
    simulate_fit.main([str(tmp_path / "table.csv"), "--out", str(tmp_path / "aggregates.json")])
    monkeypatch.setattr(simulate, "AGGREGATES", tmp_path / "aggregates.json")
    simulate._aggregates.cache_clear()
    try:
        drawn = simulate_transactions(40_000, seed=9)
    finally:
        simulate._aggregates.cache_clear()
    assert drawn["Class"].mean() == pytest.approx(0.01)
    assert drawn["Amount"].mean() == pytest.approx(table["Amount"].mean(), rel=0.1)
    for label, most in ((0, 0.06), (1, 0.2)):
        a, b = (x[x["Class"] == label] for x in (drawn, table))
        assert max(ks_2samp(a[c], b[c]).statistic for c in [*v, "Amount"]) <= most


# --- against the real file ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[1] / "bench/bench_simulate.py"
    spec = importlib.util.spec_from_file_location("bench_simulate", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def real(real_data: Path) -> pd.DataFrame:
    return pd.read_csv(real_data)


@pytest.fixture(scope="module")
def full() -> pd.DataFrame:
    return simulate_transactions(FULL, seed=1)


@pytest.mark.real_data
def test_shape_is_the_real_one(bench: ModuleType, real: pd.DataFrame, full: pd.DataFrame) -> None:
    assert len(full) == len(real)
    assert full["Class"].sum() == real["Class"].sum()
    assert full.duplicated().sum() == pytest.approx(real.duplicated().sum(), rel=0.2)
    hourly = [np.bincount((x["Time"] // 3600).astype(int), minlength=48) for x in (full, real)]
    assert np.abs(hourly[0] - hourly[1]).sum() < 0.02 * len(real)
    bands = [-1, 0, 1, 10, 50, 100, 500, 1000, np.inf]
    for label, tolerance in ((0, 0.03), (1, 0.06)):
        share = [
            pd.cut(x.loc[x["Class"] == label, "Amount"], bands).value_counts(normalize=True, sort=False)
            for x in (full, real)
        ]
        assert np.abs(share[0] - share[1]).max() < tolerance
    assert full["Amount"].sum() == pytest.approx(real["Amount"].sum(), rel=0.03)
    points = real["Amount"].value_counts(normalize=True).head(20)
    assert np.abs(full["Amount"].value_counts(normalize=True).reindex(points.index) - points).max() < 0.01
    for label, most in ((0, 0.06), (1, 0.2)):
        assert bench.kolmogorov(full, real, label).max() <= most
        assert bench.correlation_gap(full, real, label) <= 0.1


@pytest.mark.real_data
def test_no_simulated_row_is_nearer_to_a_real_one_than_real_ones_are(
    bench: ModuleType, real: pd.DataFrame, full: pd.DataFrame
) -> None:
    for label in (0, 1):
        near = bench.nearest(full, real, label, rows=1_000)
        quantiles = near.quantile([0.01, 0.05, 0.25, 0.5])
        assert (quantiles["simulated"] >= quantiles["real"]).all()
        assert near["simulated"].min() > near["real"].min()


@pytest.mark.real_data
def test_simulated_rows_are_no_nearer_to_the_fitted_rows_than_to_those_held_out(
    bench: ModuleType, real: pd.DataFrame, full: pd.DataFrame
) -> None:
    """Of 1,000 rows 46 to 54 % are nearer to the fitted half by chance, in 99 of 100 draws."""
    assert bench.nearer_to_fitted(full, real, rows=1_000) == pytest.approx(0.5, abs=0.04)


@pytest.mark.real_data
def test_a_model_of_simulated_transactions_finds_real_frauds(
    bench: ModuleType, real: pd.DataFrame, full: pd.DataFrame
) -> None:
    assert bench.transfer(full, real) >= 0.6


@pytest.mark.real_data
def test_what_tells_simulated_rows_from_real_ones(bench: ModuleType, real: pd.DataFrame, full: pd.DataFrame) -> None:
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    assert bench.tell_apart(full, real, linear) <= 0.6
    assert bench.tell_apart(full, real, HistGradientBoostingClassifier(random_state=0)) <= 0.8


@pytest.mark.real_data
def test_is_as_difficult_as_the_real_set_and_ranks_learners_alike(bench: ModuleType, real: pd.DataFrame) -> None:
    expected = bench.difficulty(real)
    for seed in range(1, 6):
        found = bench.difficulty(simulate_transactions(FULL, seed=seed))
        for name, average_precision in expected.items():
            assert found[name] == pytest.approx(average_precision, abs=0.07), (name, seed)
        assert sorted(found, key=found.__getitem__) == sorted(expected, key=expected.__getitem__), seed
