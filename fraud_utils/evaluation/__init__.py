"""How good candidates are: out-of-fold scores, metrics with intervals, decisions, the comparison and the choice."""

from fraud_utils.evaluation.metrics import average_precision

__all__ = ["average_precision"]
