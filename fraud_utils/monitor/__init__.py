"""Whether a deployed model still does what was promised: captured requests read, compared, and judged in one verdict.

What it compares with is in the model's folder (`artifact.Reference`): the distribution of each column and of the score,
and what the model did on held-out rows at the threshold that decides. Rows are read piece by piece and counted; only
ids, scores and amounts stay. No monitoring library is used: SciPy has the tests.
"""

from fraud_utils.monitor.case import Case, load_model, open_case, simulated_case
from fraud_utils.monitor.page import shown
from fraud_utils.monitor.performance import Terms, label_delay
from fraud_utils.monitor.rehearsal import (
    FAULTS,
    HEALTHY,
    Pool,
    found,
    lessons,
    pools,
    rehearse,
    seen,
    strongest_column,
    unseen,
)
from fraud_utils.monitor.simulated import Plan, write_traffic
from fraud_utils.monitor.verdict import Verdict, judge, rules

__all__ = [
    "FAULTS",
    "HEALTHY",
    "Case",
    "Plan",
    "Pool",
    "Terms",
    "Verdict",
    "found",
    "judge",
    "label_delay",
    "lessons",
    "load_model",
    "open_case",
    "pools",
    "rehearse",
    "rules",
    "seen",
    "shown",
    "simulated_case",
    "strongest_column",
    "unseen",
    "write_traffic",
]
