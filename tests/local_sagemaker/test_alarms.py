"""Alarms while an endpoint is updated: what they may ask, and what metric filters make of the log."""

import pytest
from botocore.exceptions import ClientError
from states import until

GROUP = "/aws/sagemaker/Endpoints/logged"
METRIC = {"Namespace": "mine", "MetricName": "rows", "Dimensions": [{"Name": "Status", "Value": "200"}]}
USUAL = {"EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 500.0}
SUM = METRIC | {"Statistic": "Sum", "Period": 60}


@pytest.fixture(scope="module")
def live(local, model):
    local.create_config("logged", model)
    local.create_endpoint("logged", "logged")
    logs = local.client("logs")
    until(lambda: logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"], "the log group")
    yield "logged"
    local.sagemaker.delete_endpoint(EndpointName="logged")


@pytest.fixture
def update(local, live):
    """Begins an update that goes on for an hour, watched by the alarms that were named."""

    def update(*alarms):
        at_once = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        policy = {"TrafficRoutingConfiguration": at_once, "TerminationWaitInSeconds": 3600}
        rollback = {"Alarms": [{"AlarmName": name} for name in alarms]}
        deployment = {"BlueGreenUpdatePolicy": policy, "AutoRollbackConfiguration": rollback}
        local.sagemaker.update_endpoint(EndpointName=live, EndpointConfigName="logged", DeploymentConfig=deployment)

    return update


@pytest.fixture
def count_rows(local, live):
    """Makes a metric of the rows in each line of the log with so many."""

    def count(pattern="{ $.rows >= 100 }"):
        made = {"metricNamespace": "mine", "metricName": "rows", "metricValue": "$.rows"}
        made["dimensions"] = {"Status": "$.status"}
        asked = {"logGroupName": GROUP, "filterName": "rows"}
        local.client("logs").put_metric_filter(**asked, filterPattern=pattern, metricTransformations=[made])

    yield count
    local.client("logs").delete_metric_filter(logGroupName=GROUP, filterName="rows")


def test_an_alarm_sees_what_a_filter_makes_of_the_log(local, live, update, count_rows, split):
    count_rows()
    cloudwatch, runtime = local.client("cloudwatch"), local.client("sagemaker-runtime")
    cloudwatch.put_metric_alarm(AlarmName="rows", **USUAL, **SUM)
    update("rows")

    def ask(rows):
        body = split.test.head(rows).to_csv(index=False)
        runtime.invoke_endpoint(EndpointName=live, Body=body, ContentType="text/csv")

    def status():
        return local.sagemaker.describe_endpoint(EndpointName=live)["EndpointStatus"]

    for _ in range(20):
        ask(99)  # fewer than the filter takes
    ask(400)
    assert status() == "Updating"
    ask(101)
    until(lambda: status() == "InService", "the end of the update")
    assert "went off" in local.sagemaker.describe_endpoint(EndpointName=live)["FailureReason"]
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["rows"])["MetricAlarms"]
    assert (alarm["StateValue"], alarm["StateReason"]) == ("ALARM", "Threshold Crossed: 501; the threshold is 500")


def of(expression, statistic="Sum"):
    query = {"Id": "n", "MetricStat": {"Metric": METRIC, "Period": 60, "Stat": statistic}, "ReturnData": False}
    return {"Metrics": [query, {"Id": "shown", "Expression": expression, "ReturnData": True}]}


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (SUM | {"ComparisonOperator": "LessThanLowerOrGreaterThanUpperThreshold"}, "does not support LessThanLower"),
        (of("n", "tm90"), "does not support the statistic tm90"),
        (of("IF(n > 3, n)"), "supports arithmetic in alarms only"),
        (of("n +"), "is no metric math"),
        (of("m / n"), "supports arithmetic in alarms only"),
    ],
)
def test_an_alarm_is_refused_for_what_nothing_here_judges(local, update, asked, part):
    local.client("cloudwatch").put_metric_alarm(AlarmName="odd", **USUAL | asked)
    with pytest.raises(ClientError, match=part):
        update("odd")


def test_a_missing_alarm_and_a_filter_of_another_kind_are_refused(local, update, count_rows):
    with pytest.raises(ClientError, match="alarms missing do not exist"):
        update("missing")
    local.client("cloudwatch").put_metric_alarm(AlarmName="plain", **USUAL, **SUM)
    count_rows("[a, b, c]")
    with pytest.raises(ClientError, match="supports filters like"):
        update("plain")
