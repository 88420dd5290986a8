"""From a choice to a training job, an endpoint that answers, and nothing left behind."""

from fraud_utils.deploy.canary import Canary
from fraud_utils.deploy.deployment import Deployment, connect
from fraud_utils.deploy.endpoint import Serving
from fraud_utils.deploy.errors import DeployError
from fraud_utils.deploy.findings import describe, read_choice
from fraud_utils.deploy.jobs import Training
from fraud_utils.deploy.place import Place
from fraud_utils.deploy.registry import require_version
from fraud_utils.deploy.replace import replace
from fraud_utils.deploy.replay import history_store, replay
from fraud_utils.deploy.security import Security
from fraud_utils.deploy.trial import Limits
from fraud_utils.deploy.tuning import require_all_rows

__all__ = [
    "Canary",
    "DeployError",
    "Deployment",
    "Limits",
    "Place",
    "Security",
    "Serving",
    "Training",
    "connect",
    "describe",
    "history_store",
    "read_choice",
    "replace",
    "replay",
    "require_all_rows",
    "require_version",
]
