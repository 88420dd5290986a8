"""What is kept of a run, typed, and the only reader and writer of its four files.

`results.json` holds what the notebooks have recorded so far, `metrics.json` a finished run, `resamples.json` what pairs
it with other runs, and `state.json` how far it is. The keys of `metrics.json` are a contract: keys may be added, none
renamed or dropped.
"""

from fraud_utils.record.blocks import Feedback, InTime, Known, Prequential, Reviewed
from fraud_utils.record.files import (
    FILE,
    RESAMPLES_FILE,
    STATE_FILE,
    RecordError,
    add,
    keep_resamples,
    load,
    read,
    resamples,
    save,
    state,
)
from fraud_utils.record.kinds import (
    Aim,
    Choice,
    Data,
    Day,
    Endpoint,
    Metrics,
    Model,
    Resamples,
    RunRecord,
    Sections,
    Split,
    State,
    Threshold,
    Tiers,
    Version,
)
from fraud_utils.record.scored import Bins, Case, Group, Kind, Reason

__all__ = [
    "FILE",
    "RESAMPLES_FILE",
    "STATE_FILE",
    "Aim",
    "Bins",
    "Case",
    "Choice",
    "Data",
    "Day",
    "Endpoint",
    "Feedback",
    "Group",
    "InTime",
    "Kind",
    "Known",
    "Metrics",
    "Model",
    "Prequential",
    "Reason",
    "RecordError",
    "Resamples",
    "Reviewed",
    "RunRecord",
    "Sections",
    "Split",
    "State",
    "Threshold",
    "Tiers",
    "Version",
    "add",
    "keep_resamples",
    "load",
    "read",
    "resamples",
    "save",
    "state",
]
