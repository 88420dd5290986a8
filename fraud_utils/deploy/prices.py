"""What training and hosting cost."""

from fraud_utils import words
from fraud_utils.deploy.endpoint import Serving
from fraud_utils.deploy.jobs import TRAIN_HOURS, Training

# USD an hour in us-east-1, training and hosting alike, on 2026-11-24; other regions differ by up to a half.
INSTANCES = {"ml.m5.large": 0.115, "ml.m5.xlarge": 0.23, "ml.m5.2xlarge": 0.461, "ml.m5.4xlarge": 0.922}
INSTANCES |= {"ml.c5.large": 0.102, "ml.c5.xlarge": 0.204, "ml.c5.2xlarge": 0.408, "ml.c5.4xlarge": 0.816}
SERVERLESS_GB_SECOND = 0.00002  # USD, of the same source
TODAY = "today's: https://aws.amazon.com/sagemaker/ai/pricing"
SOURCE = f"us-east-1, seen 2026-11-24; {TODAY}"


def describe_prices(training: Training, serving: Serving) -> str:
    """What training and hosting cost on AWS, with date and source, as a Markdown list."""
    several, same = "", "the same"
    if training.count > 1:
        several, same = f" for {training.count} instances", f"{_hourly(training.instance, 1)}"
    longest = f"until the job ends, {TRAIN_HOURS} hours at most, and {same} for the batch transform"
    spot = "; spot capacity is cheaper, at a price of the day" if training.spot else ""
    lines = [
        f"Training, on AWS: {_hourly(training.instance, training.count)}{several}, {longest}{spot}.",
        f"Hosting, on AWS: {_hosting(serving)}, until the endpoint is deleted.",
        f"Prices of {SOURCE}.",
    ]
    return words.bullets(lines)


def describe_tuning(training: Training, count: int) -> str:
    """What a tuning job costs on AWS."""
    return f"On AWS, each of the {count} training jobs costs {_hourly(training.instance, 1)}. Prices of {SOURCE}."


def _hosting(serving: Serving) -> str:
    if not serving.serverless:
        return f"{_hourly(serving.instance, serving.count)}, used or not"
    price = serving.memory_mb / 1024 * SERVERLESS_GB_SECOND * 3600
    return f"about {price:.2f} USD for an hour of answering, nothing between requests"


def _hourly(instance: str, count: int) -> str:
    if instance not in INSTANCES:
        return f"no price is noted for {instance}"
    return f"about {count * INSTANCES[instance]:.3f} USD an hour"
