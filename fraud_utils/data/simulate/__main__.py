"""`python -m fraud_utils.data.simulate` writes simulated transactions to a file."""

import argparse
import sys
from pathlib import Path

from fraud_utils.data.simulate import simulate_chunks, write_chunks


def main() -> int:
    """Write as many simulated transactions as are wanted, in constant memory."""
    parser = argparse.ArgumentParser(prog="python -m fraud_utils.data.simulate", description=main.__doc__)
    parser.add_argument("path", help="file to write: .csv, .csv.gz or .parquet")
    parser.add_argument("--rows", type=int, default=80_000, help="how many (default: %(default)s)")
    parser.add_argument("--fraud-rate", type=float, help="share of frauds (default: the reference set's, 0.0017)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same rows (default: %(default)s)")
    parser.add_argument("--days", type=int, default=2, help="days that they span (default: %(default)s)")
    parser.add_argument("--cards", action="store_true", help="add a column Card")
    given = parser.parse_args()
    try:
        Path(given.path).parent.mkdir(parents=True, exist_ok=True)
        chunks = simulate_chunks(given.rows, given.fraud_rate, given.seed, given.days, cards=given.cards)
        write_chunks(given.path, chunks)
    except (ValueError, OSError) as error:
        print(f"simulate: {error}", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
