"""One server of SageMaker's API and one trained model for all files of tests, and what is deployed to it.

A test that takes `server` has the server's address in its environment; `trained.model_url` is a model to serve.
"""

import boto3
import deployments
import pytest

from fraud_utils import deploy
from fraud_utils.data import ULB, split_transactions
from fraud_utils.data.simulate import simulate_transactions


@pytest.fixture(scope="session")
def log(tmp_path_factory):
    """The file that the server writes its requests to."""
    return tmp_path_factory.mktemp("server") / "log"


@pytest.fixture(scope="session")
def sagemaker(log):
    """The server's process, and the environment in which clients find it."""
    with deployments.local_sagemaker(log) as started:
        yield started


@pytest.fixture(scope="module")
def server(sagemaker):
    """The server's process; clients find it through the environment."""
    process, environment = sagemaker
    with deployments.pointed_at(environment):
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


@pytest.fixture(scope="session")
def trained(sagemaker, split, tmp_path_factory):
    """A deployment that has ended; its model lies where no clean-up comes, for others to serve."""
    with deployments.pointed_at(sagemaker[1]):
        deployment = deploy.connect("local", tmp_path_factory.mktemp("folder") / "trained")
        deployment.train(deployments.choice(), deployment.upload(split, ULB))
        bucket, s3 = deployment.site.place.bucket, boto3.client("s3")
        s3.copy_object(Bucket=bucket, Key="kept.tar.gz", CopySource=deployment.model_url.removeprefix("s3://"))
        deployment.delete()
    deployment.model_url = f"s3://{bucket}/kept.tar.gz"
    return deployment


@pytest.fixture
def deployment(server, tmp_path):
    deployment = deploy.connect("local", tmp_path / "some run_1")
    yield deployment
    deployment.delete()
