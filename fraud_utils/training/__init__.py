"""SageMaker's training job: hyperparameters and channels become a model folder."""

from fraud_utils.training.job import main

__all__ = ["main"]
