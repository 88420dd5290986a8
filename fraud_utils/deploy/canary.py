"""A new model on live requests: how many of them it answers for how long, and the alarms that send it back.

SageMaker watches the alarms while it updates the endpoint, and rolls back by itself where one goes off, whether this
program lives or not. Errors and latency are SageMaker's own metrics of the new configuration; how often a model alerts,
its program logs with each request, and metric filters of the endpoint's log make metrics of it.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

from botocore import exceptions

from fraud_utils.deploy.errors import DeployError, explained
from fraud_utils.deploy.place import Site
from fraud_utils.deploy.session import Connection
from fraud_utils.deploy.trial import Limits

KINDS = ("errors", "latency", "alerts")  # of alarms
FIELDS = {"alerts": "Alerts", "rows": "Rows"}  # of a request's log line, and the metrics that filters make of them
NAMESPACE = "fraud-detection"  # of those metrics
DEVIATIONS = 3.0  # by which a model must alert too often, so that few alerts are no reason


@dataclass(frozen=True)
class Canary:
    """How a new model takes over live requests, while alarms watch it."""

    minutes: float = 10.0  # for which it answers a share of them, and then all while the old one waits; 60 at most
    percent: int = 10  # of the requests that are its share, from 1 to 50

    def __post_init__(self) -> None:
        if not 0 <= self.minutes <= 60:
            raise DeployError(f"canary_minutes is {self.minutes:g}; SageMaker waits from 0 to 60 minutes")
        if not 1 <= self.percent <= 50:
            raise DeployError(f"canary_percent is {self.percent}; SageMaker gives a canary from 1 to 50 percent")

    def deployment(self, endpoint: str) -> dict[str, Any]:
        """UpdateEndpoint's DeploymentConfig."""
        seconds = math.ceil(60 * self.minutes)
        size = {"Type": "CAPACITY_PERCENT", "Value": self.percent}
        routing = {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": seconds}
        return {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": routing,
                "TerminationWaitInSeconds": seconds,
                "MaximumExecutionTimeoutInSeconds": 3600 + 3 * seconds,
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarm_names(endpoint)]},
        }


@dataclass(frozen=True)
class Side:
    """One of the two models, and the endpoint configuration that it runs in."""

    config: str
    model: str


def alarm_names(endpoint: str) -> list[str]:
    """Names of an endpoint's alarms."""
    return [f"{endpoint}-{kind}" for kind in KINDS]


def watch(site: Site, variant: str, sides: tuple[Side, Side], limits: Limits, canary: Canary) -> None:
    """Make the alarms on the second side, and the metrics that they need.

    An alarm looks back as far as the canary lasts, in whole minutes. Where nobody asks, none goes off.
    """
    period = 60 * max(1, math.ceil(canary.minutes))
    usual: dict[str, Any] = {"EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold"}
    usual |= {"TreatMissingData": "notBreaching", "Tags": [{"Key": k, "Value": v} for k, v in site.tags.items()]}
    old, new = (_Metrics(site.name, variant, side, period) for side in sides)
    errors = {**new.of_config("Invocation5XXErrors"), "Statistic": "Average", "Period": period}
    latency = [old.query("old", "p50", "ModelLatency"), new.query("fresh", "p50", "ModelLatency")]
    alerts = [
        each.query(f"{name}_{field}", "Sum", metric)
        for name, each in (("old", old), ("fresh", new))
        for field, metric in FIELDS.items()
    ]
    expected = f"{limits.alerts:g} * old_alerts / old_rows * fresh_rows"
    excess = f"(fresh_alerts - {expected}) / (({expected} + 1) ^ 0.5)"
    asked: tuple[dict[str, Any], ...] = (
        {**errors, "Threshold": limits.errors},
        {"Metrics": [*latency, _shown("fresh / old")], "Threshold": limits.latency},
        {"Metrics": [*alerts, _shown(excess)], "Threshold": DEVIATIONS},
    )
    cloudwatch, logs = (site.connection.client(service) for service in ("cloudwatch", "logs"))
    with explained(f"making the alarms of {site.name}"):
        for name, each in zip(alarm_names(site.name), asked, strict=True):
            cloudwatch.put_metric_alarm(AlarmName=name, **usual, **each)
    with explained(f"making metrics of the log of {site.name}"):  # after the alarms, by which they are found later
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=_group(site.name))
        for field, metric in FIELDS.items():
            made = {"metricNamespace": NAMESPACE, "metricName": metric, "metricValue": f"$.{field}"}
            logs.put_metric_filter(
                logGroupName=_group(site.name),
                filterName=f"{site.name}-{field}",
                filterPattern=f"{{ $.{field} >= 0 }}",
                metricTransformations=[{**made, "dimensions": {"Model": "$.model"}}],
            )


@dataclass(frozen=True)
class _Metrics:
    """The metrics of one side."""

    endpoint: str
    variant: str
    side: Side
    period: int

    def of_config(self, name: str) -> dict[str, Any]:
        """One of SageMaker's own: both fleets have the same variant, so the configuration tells them apart."""
        values = {"EndpointName": self.endpoint, "VariantName": self.variant, "EndpointConfigName": self.side.config}
        return {"Namespace": "AWS/SageMaker", "MetricName": name, "Dimensions": _dimensions(values)}

    def query(self, identity: str, statistic: str, name: str) -> dict[str, Any]:
        """A metric for an expression."""
        metric = self.of_config(name)
        if name in FIELDS.values():
            named = _dimensions({"Model": self.side.model})
            metric = {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": named}
        stat = {"Metric": metric, "Period": self.period, "Stat": statistic}
        return {"Id": identity, "MetricStat": stat, "ReturnData": False}


def _dimensions(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def _shown(expression: str) -> dict[str, Any]:
    return {"Id": "shown", "Expression": expression, "ReturnData": True}


def _group(endpoint: str) -> str:
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def trip(connection: Connection, endpoint: str) -> None:
    """Have SageMaker roll back an update that nobody wants any more; nothing where no alarm watches one."""
    cloudwatch, (name, *_) = connection.client("cloudwatch"), alarm_names(endpoint)
    with explained(f"setting off the alarm {name}"):
        try:
            cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="the replacement was broken off")
        except exceptions.ClientError as error:
            if "NotFound" not in error.response["Error"]["Code"]:
                raise


def reasons(connection: Connection, endpoint: str) -> list[str]:
    """The alarms that have gone off, and why."""
    with explained(f"reading the alarms of {endpoint}"):
        alarms = connection.client("cloudwatch").describe_alarms(AlarmNames=alarm_names(endpoint))["MetricAlarms"]
    return [f"{each['AlarmName']}: {each['StateReason']}" for each in alarms if each["StateValue"] == "ALARM"]


def end(connection: Connection, endpoint: str) -> None:
    """Delete what `watch` made, the alarms last; those that are not there are no error."""
    logs = connection.client("logs")
    for field in FIELDS:
        with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
            logs.delete_metric_filter(logGroupName=_group(endpoint), filterName=f"{endpoint}-{field}")
    connection.client("cloudwatch").delete_alarms(AlarmNames=alarm_names(endpoint))
