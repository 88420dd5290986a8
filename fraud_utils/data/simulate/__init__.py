"""Simulated transactions that look like the reference set, drawn from aggregates of it."""

from fraud_utils.data.simulate.generate import GENERATOR_VERSION, simulate_chunks, simulate_transactions, write_parquet

__all__ = ["GENERATOR_VERSION", "simulate_chunks", "simulate_transactions", "write_parquet"]
