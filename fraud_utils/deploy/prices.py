"""What an endpoint costs."""

from fraud_utils.deploy.endpoint import Serving

# USD an hour in us-east-1, training and hosting alike, on 2026-11-24; other regions differ by up to a half.
INSTANCES = {"ml.m5.large": 0.115, "ml.m5.xlarge": 0.23, "ml.m5.2xlarge": 0.461, "ml.m5.4xlarge": 0.922}
INSTANCES |= {"ml.c5.large": 0.102, "ml.c5.xlarge": 0.204, "ml.c5.2xlarge": 0.408, "ml.c5.4xlarge": 0.816}
SERVERLESS_GB_SECOND = 0.00002  # USD, of the same source
TODAY = "today's: https://aws.amazon.com/sagemaker/ai/pricing"
SOURCE = f"us-east-1, seen 2026-11-24; {TODAY}"


def describe_price(serving: Serving) -> str:
    """What the endpoint costs on AWS, with date and source."""
    if serving.serverless:
        price = serving.memory_mb / 1024 * SERVERLESS_GB_SECOND * 3600
        return f"On AWS: about {price:.2f} USD for an hour of answering, nothing between requests ({SOURCE})."
    if serving.instance not in INSTANCES:
        return f"On AWS: no price is noted for {serving.instance}; {TODAY}."
    price = serving.count * INSTANCES[serving.instance]
    return f"On AWS: about {price:.3f} USD an hour, used or not ({SOURCE})."
