"""A live model replaced, or kept where the new one is no good, while somebody asks the endpoint without a pause."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import deployments
import numpy as np
import papermill
import pytest
from deployments import client
from states import until

from fraud_utils import artifact, deploy, record

LIMITS = deploy.Limits(latency=100_000, requests=3)  # where latency is not the point: busy machines are uneven
QUICK = deploy.Canary(minutes=0.02, percent=50)
PATIENT = deploy.Canary(minutes=60, percent=50)  # only an alarm ends it in time
LINES = "application/jsonlines"  # what live clients take here, and no comparison asks for
OLD = "AllTraffic"


@pytest.fixture(scope="module")
def alerting(trained, split, tmp_path_factory):
    """Addresses of one model with two thresholds: it alerts on 10 of the rows, and five times as often."""
    model = trained.run_folder / "model"
    manifest = json.loads((model / "manifest.json").read_text())
    scores, urls = np.sort(artifact.load(model).score(split.test))[::-1], {}
    for alerts in (10, 50):
        manifest["thresholds"]["f1"] = float(scores[alerts - 1])
        folder = tmp_path_factory.mktemp("alerting")
        (folder / "manifest.json").write_text(json.dumps(manifest))
        shutil.copy(model / "model.ubj", folder)
        subprocess.run(["tar", "czf", "model.tar.gz", "model.ubj", "manifest.json"], cwd=folder, check=True)
        bucket, key = trained.site.place.bucket, f"alerting-{alerts}.tar.gz"
        client("s3").upload_file(str(folder / "model.tar.gz"), bucket, key)
        urls[alerts] = f"s3://{bucket}/{key}"
    return urls


@contextlib.contextmanager
def serving(folder, model_url):
    """A deployment whose endpoint answers."""
    deployment = deploy.connect("local", folder)
    deployment.model_url = model_url
    deployment.serve()
    yield deployment
    deployment.delete()
    assert deployments.left(folder.name) == []


@pytest.fixture
def live(server, alerting, tmp_path):
    """A deployment whose endpoint answers, to be replaced."""
    with serving(tmp_path / "live", alerting[10]) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def lasting(server, alerting, tmp_path_factory):
    """One for all tests after which it has to be as it was before (see `stays`)."""
    with serving(tmp_path_factory.mktemp("folder") / "lasting", alerting[10]) as deployment:
        yield deployment


@pytest.fixture
def challenger(server, alerting, tmp_path):
    """A deployment with a model to put into the other's place, the same one."""
    deployment = deploy.connect("local", tmp_path / "challenger")
    deployment.model_url = alerting[10]
    yield deployment
    deployment.delete()


@contextlib.contextmanager
def asking(live, split):
    """The variants that answered somebody who asks all the while, and whose requests all are answered."""
    row = split.test.head(1).to_csv(index=False)
    with deployments.asking(client("sagemaker-runtime"), live.name, row) as variants:
        yield variants


@pytest.fixture
def asked(lasting, split):
    with asking(lasting, split) as variants:
        yield variants


@pytest.fixture
def asked_in_lines(lasting, split):
    """As `asked`, about some rows that comparisons leave out; the new model's errors are forgiven."""
    rows, form = split.test.to_csv(index=False), {"Accept": LINES}
    with deployments.asking(client("sagemaker-runtime"), lasting.name, rows, "internal error", **form) as variants:
        yield variants


def config(live):
    return client("sagemaker").describe_endpoint(EndpointName=live.name)["EndpointConfigName"]


def stays(live, asked, before):
    """Whether the endpoint is as it was, and answers; no request was answered by another variant."""
    count = len(asked)
    until(lambda: len(asked) > count, "one more answer")
    return config(live) == live.name and set(asked) == {OLD} and deployments.left(live.site.run) == before


def baking(live):
    """Whether the new model answers live requests for a time."""
    pending = client("sagemaker").describe_endpoint(EndpointName=live.name).get("PendingDeploymentSummary", {})
    return pending.get("ProductionVariants", [{}])[0].get("VariantStatus") == [{"Status": "Baking"}]


def watched(live):
    """Once the new model answers live requests: whether the old configuration is there, and the alarms' names."""
    until(lambda: baking(live), "a canary")
    kept = client("sagemaker").list_endpoint_configs(NameContains=live.name)["EndpointConfigs"]
    alarms = client("cloudwatch").describe_alarms(AlarmNamePrefix=live.name)["MetricAlarms"]
    names = {each["AlarmName"].removeprefix(f"{live.name}-") for each in alarms}
    return live.name in [each["EndpointConfigName"] for each in kept], names


def kinds(things):
    return sorted(thing.partition(" ")[0] for thing in things if " " in thing)


def test_a_good_model_replaces_the_old_one_and_goes_with_the_endpoint(live, challenger, split, log):
    log.write_text("")
    with ThreadPoolExecutor(1) as pool, asking(live, split) as asked:
        during = pool.submit(watched, live)
        table = deploy.replace(challenger, live.name, split.test, LIMITS, QUICK)
    assert during.result() == (True, {"errors", "latency", "alerts"})
    assert table.loc["alerts", ["present", "new"]].min() >= 10  # more where scores are tied
    assert table.loc["mean difference of scores", "new against present"] == 0
    called = deployments.actions(log)
    assert {"sagemaker:UpdateEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities"} <= called
    # By what is not allowed, the server finds what the log is to become.
    assert called - deployments.ALLOWED == {"logs:DescribeMetricFilters"}

    assert set(asked) == {OLD}
    assert kinds(deployments.left("live")) == ["Endpoint", "EndpointConfig", "Model"]
    (shown,) = client("sagemaker").describe_endpoint(EndpointName=live.name)["ProductionVariants"]
    assert shown["CurrentInstanceCount"] == 1  # a canary needs two
    (left,) = (name for name in deployments.left("live") if name.startswith("EndpointConfig"))
    assert left == f"EndpointConfig {config(live)}" != f"EndpointConfig {live.name}"
    shown = client("sagemaker").describe_endpoint_config(EndpointConfigName=config(live))
    (model,) = (name for name in deployments.left("live") if name.startswith("Model"))
    assert model == f"Model {shown['ProductionVariants'][0]['ModelName']}" != f"Model {live.name}"
    assert challenger.delete()  # which leaves the endpoint whole
    assert len(live.endpoint.score(split.test)) == len(split.test)


def test_a_model_that_does_not_start_is_rolled_back(lasting, challenger, asked, split):
    before = deployments.left("lasting")
    with pytest.raises(deploy.DeployError, match="did not pass the ping health check"):
        deploy.replace(challenger, lasting.name, split.test, LIMITS, QUICK, {"SAGEMAKER_BIND_TO_PORT": "http"})
    assert stays(lasting, asked, before)


def test_a_model_that_alerts_five_times_as_often_is_rolled_back(lasting, challenger, alerting, asked, split):
    challenger.model_url = alerting[50]
    before = deployments.left("lasting")
    with pytest.raises(deploy.DeployError, match=r"breaks a limit\n- it alerts on \d+ of 1,000 rows"):
        deploy.replace(challenger, lasting.name, split.test, LIMITS)
    assert stays(lasting, asked, before)


@pytest.mark.long
def test_a_slow_model_is_rolled_back(lasting, challenger, asked, split, tmp_path):
    sleeping = deployments.spoiling(tmp_path / "slow", "time.sleep(2)", "list")
    before, limits = deployments.left("lasting"), deploy.Limits(latency=1.5, requests=1)
    with pytest.raises(deploy.DeployError, match=r"breaks a limit\n- a single row takes [\d.]+ ms"):
        deploy.replace(challenger, lasting.name, split.test, limits, QUICK, sleeping)
    assert stays(lasting, asked, before)


@pytest.mark.parametrize(
    ("fault", "what", "kind"),
    [
        pytest.param("failing", 'raise RuntimeError("spoilt")', "errors", marks=pytest.mark.long),
        pytest.param("slow", "time.sleep(0.001)", "latency", marks=pytest.mark.long),
        ("", "", "alerts"),
    ],
)
def test_what_only_live_requests_show_is_rolled_back_by_an_alarm(
    lasting, challenger, alerting, asked_in_lines, split, tmp_path, fault, what, kind
):
    """A model that fails, one that is slow, and one that alerts five times as often, none of it in the comparison."""
    before, rows, environment = deployments.left("lasting"), split.test, {}
    limits = dataclasses.replace(LIMITS, latency=20) if fault == "slow" else LIMITS
    if fault:
        environment = deployments.spoiling(tmp_path / fault, what)
    else:
        challenger.model_url = alerting[50]
        scores = lasting.endpoint.score(split.test)
        rows = split.test[scores < np.sort(scores)[-100]]  # on which neither model alerts
    with pytest.raises(deploy.DeployError) as rolled_back:
        deploy.replace(challenger, lasting.name, rows, limits, PATIENT, environment)
    first, *why = str(rolled_back.value).splitlines()
    assert f"went off during the deployment: {lasting.name}-{kind}." in first
    assert len(why) == 1
    assert f"{lasting.name}-{kind}: Threshold Crossed" in why[0]
    assert stays(lasting, asked_in_lines, before)


def test_an_interrupt_of_a_canary_rolls_back_at_once(lasting, challenger, asked, split):
    before = deployments.left("lasting")

    def interrupt():
        until(lambda: baking(lasting), "the new model on live requests")
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        deploy.replace(challenger, lasting.name, split.test, LIMITS, PATIENT)
    interrupting.join()
    assert stays(lasting, asked, before)


@pytest.mark.long
def test_an_interrupt_rolls_back(lasting, challenger, asked, split):
    before = deployments.left("lasting")

    def interrupt():
        until(lambda: config(lasting) != lasting.name, "the new model beside the old one")
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        deploy.replace(challenger, lasting.name, split.test, deploy.Limits(requests=100_000))
    interrupting.join()
    assert stays(lasting, asked, before)


def replacing(live, challenger, split, folder, requests, minutes):
    """A process that replaces a model, named `killed`."""
    script = (
        "import sys, pandas as pd\nfrom fraud_utils import deploy\n"
        "deployment = deploy.connect('local', sys.argv[1])\ndeployment.model_url = sys.argv[2]\n"
        "limits = deploy.Limits(latency=100_000, requests=int(sys.argv[5]))\n"
        "canary = deploy.Canary(float(sys.argv[6]), 50)\n"
        "deploy.replace(deployment, sys.argv[3], pd.read_csv(sys.argv[4]), limits, canary)\n"
    )
    split.test.to_csv(folder / "rows.csv", index=False)
    words = [folder / "killed", challenger.model_url, live.name, folder / "rows.csv", requests, minutes]
    return subprocess.Popen([sys.executable, "-c", script, *map(str, words)], stdout=subprocess.DEVNULL)


@pytest.mark.long
def test_an_endpoint_is_deleted_at_once_although_its_update_would_take_hours(live, challenger, split, tmp_path):
    process = replacing(live, challenger, split, tmp_path, 3, 60)
    until(lambda: baking(live) or process.poll() is not None, "the new model on live requests")
    process.kill()
    process.wait()
    assert live.delete()
    assert deployments.left("live") == []
    until(lambda: not deployments.left("killed"), "the killed process's own things deleted")


@pytest.mark.parametrize(
    ("requests", "there"),
    [
        pytest.param(100_000, lambda live: config(live) != live.name, id="compares", marks=pytest.mark.long),
        pytest.param(3, baking, id="has its model on live requests", marks=pytest.mark.long),
    ],
)
def test_what_a_killed_replacement_left_is_tidied_up_by_the_next(
    server, live, challenger, split, tmp_path, requests, there
):
    process = replacing(live, challenger, split, tmp_path, requests, 0.05)
    until(lambda: there(live) or process.poll() is not None, "the new model beside the old one")
    process.kill()
    process.wait()
    beside = deployments.left("live")
    assert len([name for name in beside if name.startswith("Model")]) == 2
    deploy.replace(challenger, live.name, split.test, LIMITS, QUICK)  # SageMaker goes on by itself; it waits for that
    assert kinds(deployments.left("live")) == ["Endpoint", "EndpointConfig", "Model"]
    assert len(live.endpoint.score(split.test)) == len(split.test)
    until(lambda: not deployments.left("killed"), "the killed process's own things deleted")


@pytest.mark.long
def test_notebook_03_replaces_a_live_model_and_leaves_the_endpoint(live, split, table, tmp_path):
    threshold = np.sort(live.endpoint.score(split.test))[-10]  # the live one's, since both train on the same rows
    chosen = dataclasses.replace(deployments.choice(), alerting=(record.Threshold("f1", float(threshold)),))
    run, first = deployments.run_folder(tmp_path / "next", chosen), config(live)
    values = {"run_folder": str(run), "data": str(table), "replace": live.name}
    values |= {"canary_minutes": QUICK.minutes, "canary_percent": QUICK.percent}
    notebook = str(deployments.ROOT / "notebooks/03_deploy.ipynb")
    papermill.execute_notebook(notebook, None, values, kernel_name="python3", progress_bar=False)
    endpoint = record.read(run).endpoint
    assert (endpoint.deleted, endpoint.rows) == (False, len(split.test))
    assert deployments.left("next") == []
    assert config(live) != first
    np.testing.assert_allclose(live.endpoint.score(split.test), artifact.load(run / "model").score(split.test))


def test_only_an_endpoint_of_this_project_is_replaced(server, challenger, split):
    with pytest.raises(deploy.DeployError, match="looking for the endpoint elsewhere: Could not find endpoint"):
        deploy.replace(challenger, "elsewhere", split.test)
