"""Tables of transactions: what their columns mean, loading with every check, splitting, downloading, simulating."""

from fraud_utils.data.download import download
from fraud_utils.data.load import DEFAULT_PATH, load_transactions, read_transactions
from fraud_utils.data.read import FORMATS, TableFile
from fraud_utils.data.schema import TIME_UNITS, ULB, DataError, Schema, Written
from fraud_utils.data.split import Split, duplicate_groups, fold_groups, split_transactions

__all__ = [
    "DEFAULT_PATH",
    "FORMATS",
    "TIME_UNITS",
    "ULB",
    "DataError",
    "Schema",
    "Split",
    "TableFile",
    "Written",
    "download",
    "duplicate_groups",
    "fold_groups",
    "load_transactions",
    "read_transactions",
    "split_transactions",
]
