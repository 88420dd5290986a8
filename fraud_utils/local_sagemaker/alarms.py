"""CloudWatch's alarms, judged for an endpoint that is being updated: moto keeps them, and measures nothing.

Measured are the requests to the endpoint, as SageMaker does, and the lines that its programs log, as the metric filters
of their log group say. A metric begins with the update, and an alarm looks at the time since then, up to its period: it
goes off as soon as there is a reason, where CloudWatch looks once a minute.
"""

from __future__ import annotations

import ast
import contextlib
import json
import operator
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fraud_utils.local_sagemaker.account import Account
from fraud_utils.local_sagemaker.checks import ApiError

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
STATISTICS: dict[str, Callable[[Any], Any]] = {
    "Sum": np.sum,
    "Average": np.mean,
    "Minimum": np.min,
    "Maximum": np.max,
    "SampleCount": len,
}
FILTER = re.compile(
    r'\{\s*\$\.(?P<field>\w+)\s*(?P<sign>>=|<=|!=|=|>|<)\s*(?P<quote>"?)(?P<value>[^"]+?)(?P=quote)\s*\}'
)
SIGNS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq, "!=": operator.ne}
ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}

type Series = tuple[str, str, frozenset[tuple[str, str]]]  # namespace, name and dimensions of a metric


class Watch:
    """Alarms by name, and what is measured for them from now on.

    Raises
    ------
    ApiError
        One of them does not exist, or asks for what nothing here does.
    """

    def __init__(self, account: Account, region: str, group: str, names: Sequence[str]) -> None:
        self._cloudwatch, self._names = account.client("cloudwatch", region), list(names)
        self._measured: dict[Series, list[tuple[float, float]]] = {}  # when, and how much
        alarms = self._described()
        if missing := set(names) - {alarm["AlarmName"] for alarm in alarms}:
            raise ApiError(f"CloudWatch alarms {', '.join(sorted(missing))} do not exist.")
        for alarm in alarms:
            self._value(alarm, 0)
        filters = account.client("logs", region).describe_metric_filters(logGroupName=group) if names else {}
        self._filters = [_Filter(each) for each in filters.get("metricFilters", [])]

    def _described(self) -> list[dict[str, Any]]:
        return self._cloudwatch.describe_alarms(AlarmNames=self._names)["MetricAlarms"] if self._names else []

    def take(self, endpoint: str, variant: str, config: str, status: int, microseconds: float) -> None:
        """Take note of a request, as SageMaker's metrics do: by its variant, and by the configuration as well."""
        dimensions = {"EndpointName": endpoint, "VariantName": variant}
        for each in (dimensions, {**dimensions, "EndpointConfigName": config}):
            self._add("AWS/SageMaker", "Invocations", each, 1)
            self._add("AWS/SageMaker", "Invocation4XXErrors", each, 400 <= status < 500)
            self._add("AWS/SageMaker", "Invocation5XXErrors", each, status >= 500)
            self._add("AWS/SageMaker", "ModelLatency", each, microseconds)

    def _add(self, namespace: str, name: str, dimensions: Mapping[str, str], value: float) -> None:
        series = (namespace, name, frozenset(dimensions.items()))
        self._measured.setdefault(series, []).append((time.monotonic(), value))

    def read(self, line: str) -> None:
        """Take a line of the log to the metrics that filters make of it."""
        for each in self._filters:
            if found := each.read(line):
                self._add(*found)

    def tripped(self) -> list[str]:
        """Names of the alarms that have gone off; CloudWatch shows why as their state."""
        names = []
        for alarm in self._described():
            name, gone_off = alarm["AlarmName"], alarm["StateValue"] == "ALARM"  # anybody may set it
            if not gone_off and (reason := self._reason(alarm)):
                self._cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=reason)
                gone_off = True
            names += [name] * gone_off
        return names

    def _reason(self, alarm: Mapping[str, Any]) -> str:
        """Why an alarm is to go off; empty where it is not."""
        periods, compare = alarm["EvaluationPeriods"], COMPARISONS[alarm["ComparisonOperator"]]
        values = [self._value(alarm, i) for i in range(periods)]
        missing = alarm.get("TreatMissingData") == "breaching"
        breaching = [missing if value is None else compare(value, alarm["Threshold"]) for value in values]
        if sum(breaching) < alarm.get("DatapointsToAlarm", periods):
            return ""
        shown = ", ".join("nothing" if value is None else f"{value:.4g}" for value in values)
        return f"Threshold Crossed: {shown}; the threshold is {alarm['Threshold']:.4g}"

    def _value(self, alarm: Mapping[str, Any], back: int) -> float | None:
        """What an alarm compares, so many periods ago; None where it is not known."""
        if alarm["ComparisonOperator"] not in COMPARISONS:
            raise ApiError(f"{alarm['AlarmName']}: this machine does not support {alarm['ComparisonOperator']}")
        if not alarm.get("Metrics"):
            return self._statistic(alarm, alarm.get("Statistic") or alarm["ExtendedStatistic"], alarm["Period"], back)
        known: dict[str, float | None] = {}
        for query in alarm["Metrics"]:
            if stat := query.get("MetricStat"):
                known[query["Id"]] = self._statistic(stat["Metric"], stat["Stat"], stat["Period"], back)
        (shown,) = (query for query in alarm["Metrics"] if query.get("ReturnData", True))
        if "Expression" not in shown:
            return known[shown["Id"]]
        return _calculated(shown["Expression"], known)

    def _statistic(self, metric: Mapping[str, Any], statistic: str, period: int, back: int) -> float | None:
        dimensions = frozenset((each["Name"], each["Value"]) for each in metric.get("Dimensions", []))
        until = time.monotonic() - back * period
        measured = list(self._measured.get((metric["Namespace"], metric["MetricName"], dimensions), []))
        values = [value for moment, value in measured if until - period < moment <= until]
        if statistic not in STATISTICS and not re.fullmatch(r"p\d+(\.\d+)?", statistic):
            raise ApiError(f"SageMaker on this machine does not support the statistic {statistic} of an alarm")
        if not values:
            return None
        if statistic in STATISTICS:
            return float(STATISTICS[statistic](values))
        return float(np.percentile(values, float(statistic[1:])))


class _Filter:
    """A metric filter of one comparison, whose metric has the value of a field, and others as dimensions."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        pattern = FILTER.fullmatch(described["filterPattern"])
        (made,) = described["metricTransformations"]
        if not pattern or "defaultValue" in made:
            name = described["filterName"]
            raise ApiError(f"{name}: this machine supports filters like {{ $.field >= 1 }}, without a default value")
        self._field, self._sign, value = pattern["field"], SIGNS[pattern["sign"]], pattern["value"]
        self._value = value if pattern["quote"] else float(value)
        self._metric, self._made = (made["metricNamespace"], made["metricName"]), made["metricValue"]
        self._dimensions: dict[str, str] = made.get("dimensions", {})

    def read(self, line: str) -> tuple[str, str, dict[str, str], float] | None:
        """What a line adds to the metric: its namespace, name and dimensions, and how much."""
        try:
            fields = json.loads(line)
            if not self._sign(fields[self._field], self._value):
                return None
            dimensions = {name: str(fields[place.removeprefix("$.")]) for name, place in self._dimensions.items()}
            amount = fields[self._made.removeprefix("$.")] if self._made.startswith("$.") else self._made
            return *self._metric, dimensions, float(amount)
        except (ValueError, TypeError, LookupError):  # another line, or one without these fields
            return None


def _calculated(expression: str, known: Mapping[str, float | None]) -> float | None:
    """The value of a metric math expression; None where a metric has no value, or nothing can be divided."""

    def value_of(node: ast.AST) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.Name(id=name) if name in known:
                return known[name]  # type: ignore[return-value] # a None is no number: see below
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in ARITHMETIC:
                return ARITHMETIC[type(sign)](value_of(left), value_of(right))
        raise ApiError(f"SageMaker on this machine supports arithmetic in alarms only, and not {expression!r}")

    try:
        tree = ast.parse(expression.replace("^", "**"), mode="eval").body
    except SyntaxError:
        raise ApiError(f"{expression!r} is no metric math expression") from None
    with contextlib.suppress(TypeError, ZeroDivisionError):
        return value_of(tree)
    return None
