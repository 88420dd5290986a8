"""What an endpoint costs, and since when that is known."""

import re

from fraud_utils.deploy import Serving, describe_price


def test_a_price_has_its_date_and_source():
    assert "about 0.230 USD an hour" in describe_price(Serving("ml.m5.large", 2))
    assert re.search(r"seen 20\d\d-\d\d-\d\d.*https://aws.amazon.com", describe_price(Serving()))
    assert "0.14 USD for an hour of answering" in describe_price(Serving(serverless=True))
    assert "no price is noted for ml.x1.huge" in describe_price(Serving("ml.x1.huge"))
