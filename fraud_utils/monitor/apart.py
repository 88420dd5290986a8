"""What was captured and is set apart: it counts for nothing, or not in full, and the page says so."""

from __future__ import annotations

from collections.abc import Mapping

from fraud_utils import words
from fraud_utils.project import OWN_REQUESTS

OWN = "requests of this project"
REPEATED = "rows that came again"
BARE = "rows without history"  # which the endpoint found in events or in its store


def sentences(counts: Mapping[str, int]) -> list[str]:
    """How much was set apart, and why, from counts of `OWN`, `REPEATED` and `BARE`."""
    own, repeated, bare = (counts.get(kind, 0) for kind in (OWN, REPEATED, BARE))
    said = []
    if own:
        said.append(
            f"{words.count(own, 'request')} of this project itself (notebook 03 checks its endpoint, and tries a model "
            f"that is to replace another) {'is' if own == 1 else 'are'} left out; such ids begin with `{OWN_REQUESTS}`."
        )
    if repeated:
        said.append(
            f"{words.count(repeated, 'row')} came again under an InferenceId, and a place in its request, that had "
            f"come before; {'it is' if repeated == 1 else 'they are'} left out."
        )
    if bare:
        said.append(
            f"{words.count(bare, 'row')} came without columns of history: the endpoint found it in events sent along "
            "or in its store, and data capture does not see what. These columns are compared on the rows that brought "
            "them, and left out where none did; all else counts."
        )
    return said
