"""What training and hosting cost, and since when that is known."""

import re

from fraud_utils.deploy import Serving, Training
from fraud_utils.deploy.prices import describe_prices


def test_both_prices_have_their_date_and_source():
    said = describe_prices(Training("ml.m5.xlarge"), Serving("ml.m5.large", 2))
    assert re.search(r"Training, on AWS: about 0\.230 USD an hour", said)
    assert re.search(r"Hosting, on AWS: about 0\.230 USD an hour, used or not, until the endpoint is deleted", said)
    assert re.search(r"seen 20\d\d-\d\d-\d\d.*https://aws.amazon.com", said)


def test_several_instances_cost_as_many_times_as_much():
    said = describe_prices(Training("ml.m5.xlarge", count=3), Serving())
    assert "Training, on AWS: about 0.690 USD an hour for 3 instances, until the job ends" in said
    assert "4 hours at most, and about 0.230 USD an hour for the batch transform" in said


def test_what_has_no_price_of_its_own_is_said():
    assert "0.14 USD for an hour of answering" in describe_prices(Training(), Serving(serverless=True))
    assert "Training, on AWS: no price is noted for ml.x1.huge" in describe_prices(Training("ml.x1.huge"), Serving())
    assert "spot capacity is cheaper" in describe_prices(Training(spot=True), Serving())
