"""What is kept of a run, typed, and the only reader and writer of its four files.

`results.json` holds what the notebooks have recorded so far, `metrics.json` a finished run, `resamples.json` what pairs
it with other runs, and `state.json` how far it is. The keys of `metrics.json` are a contract: keys may be added, none
renamed or dropped.
"""

from fraud_utils.record.files import (
    FILE,
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
    Bins,
    Choice,
    Data,
    Day,
    Endpoint,
    Feedback,
    Group,
    InTime,
    Known,
    Metrics,
    Model,
    Prequential,
    Resamples,
    Reviewed,
    RunRecord,
    Sections,
    Split,
    State,
    Threshold,
    Version,
)

__all__ = [
    "FILE",
    "STATE_FILE",
    "Bins",
    "Choice",
    "Data",
    "Day",
    "Endpoint",
    "Feedback",
    "Group",
    "InTime",
    "Known",
    "Metrics",
    "Model",
    "Prequential",
    "RecordError",
    "Resamples",
    "Reviewed",
    "RunRecord",
    "Sections",
    "Split",
    "State",
    "Threshold",
    "Version",
    "add",
    "keep_resamples",
    "load",
    "read",
    "resamples",
    "save",
    "state",
]
