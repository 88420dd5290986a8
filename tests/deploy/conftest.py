"""A server of SageMaker's API for each file of tests, and what is deployed to it."""

import deployments
import pytest

from fraud_utils import deploy
from fraud_utils.data import ULB, split_transactions
from fraud_utils.data.simulate import simulate_transactions


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """The file that the server writes its requests to."""
    return tmp_path_factory.mktemp("server") / "log"


@pytest.fixture(scope="module")
def server(log):
    """The server's process; clients find it through the environment."""
    with deployments.local_sagemaker(log) as process:
        yield process


@pytest.fixture(scope="session")
def transactions():
    return simulate_transactions(5_000, fraud_rate=0.02, seed=1)


@pytest.fixture(scope="session")
def table(transactions, tmp_path_factory):
    """The transactions as a file."""
    path = tmp_path_factory.mktemp("table") / "small.csv"
    transactions.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def split(transactions):
    return split_transactions(transactions, ULB)


@pytest.fixture(scope="module")
def trained(server, split, tmp_path_factory):
    """A deployment whose model others may serve."""
    deployment = deploy.connect("local", tmp_path_factory.mktemp("folder") / "trained")
    deployment.train(deployments.choice(), ULB, deployment.upload(split, ULB))
    yield deployment
    deployment.delete()


@pytest.fixture
def deployment(server, tmp_path):
    deployment = deploy.connect("local", tmp_path / "some run_1")
    yield deployment
    deployment.delete()
