"""What a table says about itself, before any model: tidy tables, and findings that hold for any table.

Every table is numeric and tidy, and every finding is computed from such a table: where intervals overlap it claims no
difference. Intervals of one table hold together (`intervals.together`), so that picking the largest of them afterwards
is allowed. They take rows as independent; frauds that come in bursts make them too narrow.
"""

from fraud_utils.explore.amounts import (
    amount_distribution,
    amounts_below,
    amounts_finding,
    price_points,
    price_points_finding,
)
from fraud_utils.explore.columns import effects, effects_finding, histograms, outside, outside_finding
from fraud_utils.explore.copies import duplicates, duplicates_finding
from fraud_utils.explore.drift import BANDS, stability, stability_finding
from fraud_utils.explore.integrity import class_sizes, imbalance_finding, integrity, integrity_finding
from fraud_utils.explore.joint import correlations, correlations_finding, projection, projection_finding
from fraud_utils.explore.page import first_rows, heading, styled
from fraud_utils.explore.time import bursts_finding, on_time_axis, rate_along_time, rate_by_hour, rate_finding, volume

__all__ = [
    "BANDS",
    "amount_distribution",
    "amounts_below",
    "amounts_finding",
    "bursts_finding",
    "class_sizes",
    "correlations",
    "correlations_finding",
    "duplicates",
    "duplicates_finding",
    "effects",
    "effects_finding",
    "first_rows",
    "heading",
    "histograms",
    "imbalance_finding",
    "integrity",
    "integrity_finding",
    "on_time_axis",
    "outside",
    "outside_finding",
    "price_points",
    "price_points_finding",
    "projection",
    "projection_finding",
    "rate_along_time",
    "rate_by_hour",
    "rate_finding",
    "stability",
    "stability_finding",
    "styled",
    "volume",
]
