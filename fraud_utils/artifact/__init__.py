"""The model as a folder: what it holds, how it scores, how it is kept. NumPy only: the container serves with this."""

from fraud_utils.artifact.features import MISSING, FeatureMap
from fraud_utils.artifact.model import (
    ArtifactError,
    Contents,
    Model,
    RowError,
    load,
    pack,
    prior_correction,
    save,
    unpack,
)

__all__ = [
    "MISSING",
    "ArtifactError",
    "Contents",
    "FeatureMap",
    "Model",
    "RowError",
    "load",
    "pack",
    "prior_correction",
    "save",
    "unpack",
]
