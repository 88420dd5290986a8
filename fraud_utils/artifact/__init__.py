"""The model as a folder: what it holds, how it scores, how it is kept. NumPy only: the container serves with this."""

from fraud_utils.artifact.features import MAX_CATEGORIES, MISSING, FeatureMap
from fraud_utils.artifact.files import ArtifactError, Contents, load, pack, save, unpack
from fraud_utils.artifact.history import EVENTS, OF_AMOUNTS, Events, History, cents
from fraud_utils.artifact.model import ACTIONS, Model, prior_correction
from fraud_utils.artifact.reference import Distribution, Promise, Reference, average_precision
from fraud_utils.artifact.rows import Layout, RowError, header_of

__all__ = [
    "ACTIONS",
    "EVENTS",
    "MAX_CATEGORIES",
    "MISSING",
    "OF_AMOUNTS",
    "ArtifactError",
    "Contents",
    "Distribution",
    "Events",
    "FeatureMap",
    "History",
    "Layout",
    "Model",
    "Promise",
    "Reference",
    "RowError",
    "average_precision",
    "cents",
    "header_of",
    "load",
    "pack",
    "prior_correction",
    "save",
    "unpack",
]
