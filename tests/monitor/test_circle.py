"""The whole circle with SageMaker on this machine: deploy, traffic, monitor, a fault, retrain, compare, replace."""

import uuid

import boto3
import deployments
import numpy as np
import pandas as pd
import pytest
from states import until

from fraud_utils import deploy, monitor
from fraud_utils.data import ULB, split_transactions
from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.monitor.sources import lines_of


@pytest.fixture(scope="module")
def transactions():
    return simulate_transactions(24_000, fraud_rate=0.02, seed=1)


@pytest.fixture(scope="module")
def later():
    """What comes once the model is deployed."""
    return simulate_transactions(3_000, fraud_rate=0.02, seed=2)


@pytest.fixture(scope="module")
def deployed(transactions, tmp_path_factory):
    """A model of few rows that answers and captures; the folder of runs is the working directory's."""
    folder = tmp_path_factory.mktemp("project")
    with (
        deployments.local_sagemaker(tmp_path_factory.mktemp("server") / "log") as (_, environment),
        deployments.pointed_at(environment),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.chdir(folder)
        first = trained(folder / "runs" / "first", transactions.iloc[::4])
        first.serve(deploy.Serving(capture=True))
        yield first
        first.delete()


def trained(run_folder, rows) -> deploy.Deployment:
    deployment = deploy.connect("local", run_folder)
    deployment.train(deployments.choice(), deployment.upload(split_transactions(rows, ULB), ULB))
    return deployment


def send(deployment, rows: pd.DataFrame, size: int) -> list[str]:
    """Ask the endpoint about some rows a request; gives the id of each row."""
    runtime, ids = boto3.client("sagemaker-runtime"), []
    for start in range(0, len(rows), size):
        part, identity = rows.iloc[start : start + size], f"payment-{uuid.uuid4()}"
        body = part.drop(columns="Class").to_csv(index=False)
        name = deployment.name
        runtime.invoke_endpoint(EndpointName=name, Body=body, ContentType="text/csv", InferenceId=identity)
        ids += [identity] if len(part) == 1 else [f"{identity}/{row}" for row in range(1, len(part) + 1)]
    return ids


def captured(deployment, requests: int) -> str:
    """Where the requests lie, once all of them do."""
    place = deployment.site.place
    url = f"s3://{place.bucket}/{place.prefix}/captured/{deployment.name}/"

    def there() -> bool:
        keys = boto3.client("s3").list_objects_v2(Bucket=place.bucket, Prefix=url.split("/", 3)[3]).get("Contents")
        return bool(keys) and sum(1 for _ in lines_of(url)) >= requests

    until(there, "the captured requests")
    return url


@pytest.mark.long
def test_the_whole_circle(deployed, transactions, later, tmp_path):
    model = monitor.load_model("runs/first")
    terms = monitor.Terms(model.thresholds[model.decides], label_delay_days=0)
    ids = send(deployed, later.iloc[:20], 1) + send(deployed, later.iloc[20:], 500)
    requests = 20 + -(-(len(later) - 20) // 500)
    labels = tmp_path / "labels.csv"
    pd.DataFrame({"id": ids, "label": later["Class"]}).to_csv(labels, index=False)
    url = captured(deployed, requests)

    case = monitor.open_case(model, url, labels, terms)
    rows = case.traffic.rows.set_index("id").loc[ids]
    np.testing.assert_allclose(rows["score"], model.score(later), atol=1e-9)
    assert case.label is not None and case.label.sum() == later["Class"].sum()
    assert case.verdict().state == "well", case.verdict()

    # Retrained by one command on more rows, and compared on the same later ones before anything is replaced.
    second = trained(deployed.run_folder.parent / "second", transactions)
    table = monitor.open_case(model, url, labels, terms, challenger="second").compare("second")
    assert table.index.tolist() == ["this model", "second", "difference"]
    better = table.loc["second", "average_precision"] - table.loc["this model", "average_precision"]
    assert table.loc["difference", "average_precision"] == pytest.approx(better)
    assert table.loc["difference", "low"] <= better <= table.loc["difference", "high"]

    # A column goes wrong at the source.
    column = monitor.strongest_column(model)
    send(deployed, later.assign(**{column: 0.0}), 500)
    damaged = monitor.open_case(model, captured(deployed, requests + 6))
    assert damaged.verdict().state == "column"
    assert f"`{column}` changed" in damaged.verdict().headline

    # The feed is right again, and the better model takes the place of the other at the same endpoint.
    deploy.replace(second, deployed.name, later, deploy.Limits(latency=100_000, requests=3), deploy.Canary(0.02))
    second.delete()
    scores = deployed.endpoint.score(later)
    np.testing.assert_allclose(scores, monitor.load_model("runs/second").score(later), atol=1e-9)
