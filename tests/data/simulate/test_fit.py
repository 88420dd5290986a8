"""Aggregates: small, of known origin, and those of any table they are fitted to."""

import json
from pathlib import Path

import pytest
from scipy.stats import ks_2samp

from fraud_utils.data.simulate import fit, generate, simulate_transactions


def test_aggregates_are_small_and_say_where_they_come_from() -> None:
    text = generate.AGGREGATES.read_text(encoding="utf-8")
    assert len(text.encode()) < 100_000
    about = json.loads(text)["about"]
    assert "Université libre de Bruxelles" in about["source"]
    assert "DbCL" in about["licence"]


@pytest.mark.long
def test_aggregates_fitted_to_a_table_draw_its_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another table than the reference set: fraud is 1 %, every V is turned round, every amount doubled."""
    table = simulate_transactions(40_000, fraud_rate=0.01, seed=8)
    v = [f"V{i}" for i in range(1, 29)]
    table[v] = -table[v]
    table["Amount"] *= 2
    table.to_csv(tmp_path / "table.csv", index=False)
    fit.main([str(tmp_path / "table.csv"), "--out", str(tmp_path / "aggregates.json")])
    monkeypatch.setattr(generate, "AGGREGATES", tmp_path / "aggregates.json")
    drawn = simulate_transactions(40_000, seed=9)
    assert drawn["Class"].mean() == pytest.approx(0.01)
    assert drawn["Amount"].mean() == pytest.approx(table["Amount"].mean(), rel=0.1)
    for label, most in ((0, 0.06), (1, 0.2)):
        a, b = (x[x["Class"] == label] for x in (drawn, table))
        assert max(ks_2samp(a[c], b[c]).statistic for c in [*v, "Amount"]) <= most
