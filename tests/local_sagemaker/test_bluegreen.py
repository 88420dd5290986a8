"""A new fleet beside the old one: it gets a share of live requests, then all of them, unless an alarm goes off."""

import pytest
from botocore.exceptions import ClientError
from deployments import asking, spoiling
from states import until

LINES = "application/jsonlines"


def sized(kind, value):
    return {"Type": "CANARY", "CanarySize": {"Type": kind, "Value": value}}


CANARY = sized("CAPACITY_PERCENT", 50)


def policy(wait=1, canary=CANARY, last=1):
    return {
        "TrafficRoutingConfiguration": canary | {"WaitIntervalInSeconds": wait},
        "TerminationWaitInSeconds": last,
        "MaximumExecutionTimeoutInSeconds": 600,
    }


def deployment(*alarms, **how):
    watching = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}} if alarms else {}
    return {"BlueGreenUpdatePolicy": policy(**how)} | watching


@pytest.fixture(scope="module")
def runtime(local):
    return local.client("sagemaker-runtime")


@pytest.fixture(scope="module")
def row(split):
    return split.test.head(1).to_csv(index=False)


@pytest.fixture(scope="module")
def configure(local, model):
    """Makes a configuration of two instances, of the shared model with another environment."""

    def configure(name, environment, count=2):
        container = local.sagemaker.describe_model(ModelName=model)["PrimaryContainer"]
        container |= {"Environment": environment}
        local.sagemaker.create_model(ModelName=name, ExecutionRoleArn=local.role, PrimaryContainer=container)
        variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": count}
        local.create_config(name, "", ProductionVariants=[variant])

    return configure


@pytest.fixture(scope="module")
def live(local, configure):
    """The name of an endpoint with a configuration of the same name; tests bring it back to that."""
    configure("shifted", {}, count=1)
    local.create_endpoint("shifted", "shifted")
    yield "shifted"
    local.sagemaker.delete_endpoint(EndpointName="shifted")
    until(lambda: not local.sagemaker.list_endpoints(NameContains="shifted")["Endpoints"], "the endpoint's end")


def described(local):
    return local.sagemaker.describe_endpoint(EndpointName="shifted")


def update(local, config, **more):
    local.sagemaker.update_endpoint(EndpointName="shifted", EndpointConfigName=config, **more)


def updated(local):
    """The endpoint's description once no update goes on."""
    until(lambda: described(local)["EndpointStatus"] == "InService", "the end of the update")
    return described(local)


def alarm(local, name, **asked):
    """Makes an alarm, which nothing known keeps quiet."""
    usual = {"EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching"}
    local.client("cloudwatch").put_metric_alarm(AlarmName=name, **usual | asked)
    return name


def of_new(config, name):
    """A metric of the new fleet alone."""
    values = {"EndpointName": "shifted", "VariantName": "v", "EndpointConfigName": config}
    dimensions = [{"Name": key, "Value": value} for key, value in values.items()]
    return {"Namespace": "AWS/SageMaker", "MetricName": name, "Dimensions": dimensions}


@pytest.mark.long  # tests/deploy/test_replace.py has canaries, too
def test_a_canary_answers_a_share_of_the_requests_and_then_all(local, live, configure, runtime, row):
    configure("shifted-labels", {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label"})
    metric = of_new("shifted-labels", "Invocation5XXErrors")
    errors = alarm(local, "quiet", Period=60, Statistic="Average", Threshold=0, **metric)
    update(local, "shifted-labels", DeploymentConfig=deployment(errors, wait=3600))
    pending = until(lambda: described(local).get("PendingDeploymentSummary"), "the new fleet")
    assert pending["EndpointConfigName"] == "shifted-labels"

    def answers():
        asked = {"EndpointName": "shifted", "Body": row, "ContentType": "text/csv"}
        return {runtime.invoke_endpoint(**asked)["Body"].read() for _ in range(40)}

    def share():
        (shown,) = described(local)["PendingDeploymentSummary"]["ProductionVariants"]
        return shown["VariantStatus"][0]["Status"] == "Baking"

    until(share, "a canary")
    assert len(answers()) == 2  # one time in 2 ** 39 it is not
    assert (described(local)["EndpointStatus"], described(local)["EndpointConfigName"]) == ("Updating", "shifted")
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        update(local, "shifted")
    local.client("cloudwatch").set_alarm_state(AlarmName=errors, StateValue="ALARM", StateReason="by hand")
    assert updated(local)["EndpointConfigName"] == "shifted"
    assert "CloudWatch alarms went off during the deployment: quiet" in described(local)["FailureReason"]
    assert len(answers()) == 1

    local.client("cloudwatch").set_alarm_state(AlarmName=errors, StateValue="OK", StateReason="by hand")
    with asking(runtime, live, row):
        update(local, "shifted-labels", DeploymentConfig=deployment(errors, wait=0))
        assert updated(local)["EndpointConfigName"] == "shifted-labels"
        assert "PendingDeploymentSummary" not in described(local)
    assert answers() == {b"0\n"}
    assert described(local)["LastDeploymentConfig"] == deployment(errors, wait=0)


def test_instances_can_be_let_go_without_a_lost_request(local, live, configure, runtime, row):
    configure("shifted-wide", {})
    update(local, "shifted-wide")
    updated(local)
    before = len(local.running("serve"))
    desired = [{"VariantName": "v", "DesiredInstanceCount": 1}]
    with asking(runtime, live, row):
        local.sagemaker.update_endpoint_weights_and_capacities(EndpointName=live, DesiredWeightsAndCapacities=desired)
        (shown,) = updated(local)["ProductionVariants"]
    assert shown["CurrentInstanceCount"] == 1
    until(lambda: len(local.running("serve")) < before, "the end of a program")
    desired[0]["DesiredInstanceCount"] = 2
    with pytest.raises(ClientError, match="no other DesiredInstanceCount than 1 to"):
        local.sagemaker.update_endpoint_weights_and_capacities(EndpointName=live, DesiredWeightsAndCapacities=desired)


@pytest.mark.parametrize("fault", ["failing", pytest.param("slow", marks=pytest.mark.long)])
def test_an_alarm_on_the_new_fleet_rolls_back(local, live, configure, runtime, row, tmp_path, fault):
    what = {"failing": 'raise RuntimeError("spoilt")', "slow": "time.sleep(0.3)"}[fault]
    config = f"shifted-{fault}"
    configure(config, spoiling(tmp_path / fault, what))
    update(local, "shifted")
    updated(local)
    latency = {"Period": 60, "Stat": "p50"}
    metrics = [
        {"Id": "fresh", "MetricStat": {"Metric": of_new(config, "ModelLatency")} | latency, "ReturnData": False},
        {"Id": "old", "MetricStat": {"Metric": of_new("shifted", "ModelLatency")} | latency, "ReturnData": False},
        {"Id": "ratio", "Expression": "(fresh - old) / old ^ 1", "ReturnData": True},
    ]
    errors = of_new(config, "Invocation5XXErrors")
    alarms = {
        alarm(local, f"{fault}-errors", Period=60, Statistic="Average", Threshold=0, **errors): fault == "failing",
        alarm(local, f"{fault}-latency", Threshold=10, Metrics=metrics): fault == "slow",
    }
    with asking(runtime, live, row, "internal error", Accept=LINES) as answers:
        until(lambda: len(answers) > 20, "a usual latency")
        update(local, config, DeploymentConfig=deployment(*alarms, wait=3600))
        kept = updated(local)
        count = len(answers)
        until(lambda: len(answers) > count, "an answer of the old fleet")
    assert kept["EndpointConfigName"] == "shifted"
    gone_off = next(name for name, expected in alarms.items() if expected)
    assert kept["FailureReason"].endswith(f"went off during the deployment: {gone_off}.")
    states = local.client("cloudwatch").describe_alarms(AlarmNames=[*alarms])["MetricAlarms"]
    assert {each["AlarmName"]: each["StateValue"] == "ALARM" for each in states} == alarms


@pytest.fixture(scope="module")
def two(configure):
    """The name of a configuration of two instances."""
    configure("shifted-two", {})
    return "shifted-two"


@pytest.mark.parametrize(
    ("config", "change", "part"),
    [
        ("shifted-two", {"canary": sized("CAPACITY_PERCENT", 51)}, "must be at most half"),
        ("shifted-two", {"canary": sized("INSTANCE_COUNT", 2)}, "2 of 2 instances of v"),
        ("shifted", {}, "CanarySize takes 1 of 1 instances of v"),
        ("shifted-two", {"canary": {"Type": "CANARY"}}, "CanarySize is needed"),
        ("shifted-two", {"canary": CANARY | {"Type": "LINEAR"}}, "does not support LINEAR at 'DeploymentConfig"),
        ("shifted-named", {}, "must have the same variant names"),
    ],
)
def test_a_deployment_that_does_not_fit_the_fleets_is_refused(local, live, two, model, config, change, part):
    if config == "shifted-named":
        other = {"VariantName": "other", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
        local.create_config("shifted-named", "", ProductionVariants=[other])
    with pytest.raises(ClientError, match=part):
        update(local, config, DeploymentConfig=deployment(**change))
