"""From a choice to a training job, an endpoint that answers, and nothing left behind."""

from fraud_utils.deploy.deployment import (
    DeployError,
    Deployment,
    cleanup,
    connect,
    describe,
    describe_price,
    read_choice,
)

__all__ = ["DeployError", "Deployment", "cleanup", "connect", "describe", "describe_price", "read_choice"]
