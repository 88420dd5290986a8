"""Tables of transactions: what their columns mean, loading with every check, splitting, downloading, simulating."""

from fraud_utils.data.check import Loaded
from fraud_utils.data.download import download
from fraud_utils.data.draft import draft, keep, unresolved
from fraud_utils.data.files import FORMATS, TableFile
from fraud_utils.data.folds import LEAST, Parts, assign_folds, frauds_to_fold, labelled, later_parts
from fraud_utils.data.guesses import Draft
from fraud_utils.data.history import add_history
from fraud_utils.data.load import DEFAULT_PATH, load_transactions, read_transactions
from fraud_utils.data.parts import check_alike, joined, memory_bytes, one_digest, parquet_rows, read_in_pieces, shifts
from fraud_utils.data.read import as_text
from fraud_utils.data.sample import all_rows, as_parquet, count, share_of, uniform, weights, within
from fraud_utils.data.sample import describe as describe_sample
from fraud_utils.data.schema import SIMULATED, TIME_UNITS, ULB, DataError, Schema, Written
from fraud_utils.data.split import WITHOUT_TIME, Split, duplicate_groups, fold_groups, row_hashes, split_transactions

__all__ = [
    "DEFAULT_PATH",
    "FORMATS",
    "LEAST",
    "SIMULATED",
    "TIME_UNITS",
    "ULB",
    "WITHOUT_TIME",
    "DataError",
    "Draft",
    "Loaded",
    "Parts",
    "Schema",
    "Split",
    "TableFile",
    "Written",
    "add_history",
    "all_rows",
    "as_parquet",
    "as_text",
    "assign_folds",
    "check_alike",
    "count",
    "describe_sample",
    "download",
    "draft",
    "duplicate_groups",
    "fold_groups",
    "frauds_to_fold",
    "joined",
    "keep",
    "labelled",
    "later_parts",
    "load_transactions",
    "memory_bytes",
    "one_digest",
    "parquet_rows",
    "read_in_pieces",
    "read_transactions",
    "row_hashes",
    "share_of",
    "shifts",
    "split_transactions",
    "uniform",
    "unresolved",
    "weights",
    "within",
]
