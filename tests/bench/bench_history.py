"""History columns for a million rows and for ten: seconds, memory over the columns made, and polars beside.

    python tests/bench/bench_history.py [rows ...]

Twelve columns, by card and by merchant, each engine in a process of its own. The bounds: linear time, and memory at the
peak at most 1.5 times the columns made. polars is no dependency; it is measured where it is installed.
"""

import importlib.util
import json
import resource
import subprocess
import sys
import time

import numpy as np

DAYS, DAY = (1, 7, 30), 86_400


def table(rows: int) -> dict[str, np.ndarray]:
    """So many payments of half a year, in whole seconds."""
    rng = np.random.default_rng(1)
    return {
        "time": np.sort(rng.integers(0, 183 * DAY, rows)).astype(np.float64),
        "card": rng.integers(0, max(rows // 350, 1), rows),
        "merchant": rng.integers(0, max(rows // 175, 1), rows),
        "amount": rng.integers(1, 20_000, rows) / 100,
        "fraud": (rng.random(rows) < 0.01).astype(np.int8),
    }


def by_numpy(columns: dict[str, np.ndarray]) -> int:
    """The project's own; returns the bytes of the columns made."""
    from fraud_utils.artifact import Events, History, cents

    amount = cents(columns["amount"])
    made: dict[str, np.ndarray] = {}
    for by, of in (("card", ("count", "mean")), ("merchant", ("count", "fraud_rate"))):
        events = Events(columns[by], columns["time"], amount, columns["fraud"])
        made |= History(by, DAYS, of).values(events, 7)
    return sum(column.nbytes for column in made.values())


def by_polars(columns: dict[str, np.ndarray]) -> int:
    """The same windows by polars, whose peers of a second count each other."""
    import polars as pl

    frame = pl.DataFrame(columns).with_columns(pl.col("time").cast(pl.Int64))
    made = []
    for by in ("card", "merchant"):
        rows = frame.with_row_index("row").sort(by, "time")

        def rolled(days: int, column: str, rows: pl.DataFrame = rows, by: str = by) -> pl.DataFrame:
            windows = rows.rolling("time", period=f"{days * DAY}i", closed="right", group_by=by)
            return windows.agg(pl.len().alias("count"), pl.col(column).sum().alias("sum"))

        for days in DAYS:
            near = rolled(days, "amount" if by == "card" else "fraud")
            made.append(near["count"])
            if by == "card":
                made.append(near["sum"] / near["count"])
                continue
            late, early = rolled(7 + days, "fraud"), rolled(7, "fraud")
            made.append((late["sum"] - early["sum"]) / (late["count"] - early["count"]))
    return sum(column.len() * 8 for column in made)


ENGINES = {"this project": by_numpy, "polars": by_polars}


def measure(engine: str, rows: int) -> None:
    """Print what one engine takes."""
    columns = table(rows)
    ENGINES[engine](table(1_000))  # imports
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    made = ENGINES[engine](columns)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak / 1e6, "of_made": peak / made}))


def main() -> None:
    """Print a line an engine and a size."""
    engines = [each for each in ENGINES if each != "polars" or importlib.util.find_spec("polars")]
    print(f"{'':16}{'rows':>12}{'seconds':>10}{'CPU s':>8}{'rows / CPU s':>14}{'peak MB':>10}{'peak / columns':>16}")
    for rows in [int(each) for each in sys.argv[1:]] or [1_000_000, 10_000_000]:
        for engine in engines:
            command = [sys.executable, __file__, "--measure", engine, str(rows)]
            found = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
            print(
                f"{engine:16}{rows:12,}{found['seconds']:10.1f}{found['cpu']:8.1f}{rows / found['cpu']:14,.0f}"
                f"{found['peak']:10,.0f}{found['of_made']:16.2f}"
            )
    if "polars" not in engines:
        print("polars is not installed: pip install polars shows it beside")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], int(sys.argv[3]))
    else:
        main()
