"""One thread for each fit, as in a report: threads that wait for each other on a busy machine only burn time."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield
