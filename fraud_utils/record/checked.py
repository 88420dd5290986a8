"""What all kinds of records share."""

from __future__ import annotations

from pydantic import ConfigDict, FiniteFloat

Interval = tuple[FiniteFloat, FiniteFloat]


class Checked:
    """Types are checked where a file is read: numbers stay numbers, and nothing is converted without a word."""

    __pydantic_config__ = ConfigDict(strict=True, extra="ignore")  # a later version may have added keys
