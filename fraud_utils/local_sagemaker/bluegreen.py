"""Blue/green deployments: a new fleet beside the old one, which gets a share of the requests and then all of them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fraud_utils.local_sagemaker.alarms import Watch
from fraud_utils.local_sagemaker.checks import ApiError
from fraud_utils.local_sagemaker.fleet import Fleet
from fraud_utils.local_sagemaker.storage import JobError

LOOK_SECONDS = 0.1  # between two looks at the alarms


@dataclass(frozen=True)
class Plan:
    """How an update goes on, and what ends it.

    Attributes
    ----------
    steps : tuple of (float, int)
        The new fleet's share of the requests, and for how many seconds.
    alarms : tuple of str
        Names of CloudWatch alarms; where one goes off, the old fleet gets all requests again.
    seconds : int
        For the whole update.
    """

    steps: tuple[tuple[float, int], ...] = ((1.0, 0),)
    alarms: tuple[str, ...] = ()
    seconds: int = 8 * 60 * 60

    @classmethod
    def read(cls, deployment: Mapping[str, Any], old: Fleet, new: Fleet) -> Plan:
        """Read UpdateEndpoint's DeploymentConfig.

        The time before the old fleet ends is the one in which the new one is watched with all of the requests.

        Raises
        ------
        ApiError
            It does not fit the fleets.
        """
        if not deployment:
            return cls()
        policy = deployment.get("BlueGreenUpdatePolicy")
        if not policy:
            raise ApiError("DeploymentConfig needs a BlueGreenUpdatePolicy.")
        if old.variants.keys() != new.variants.keys():
            raise ApiError("The new endpoint configuration must have the same variant names as the old one.")
        routing, canary = policy["TrafficRoutingConfiguration"], []
        if (routing["Type"] == "CANARY") != ("CanarySize" in routing):
            raise ApiError("CanarySize is needed with the traffic routing CANARY, and only there.")
        if "CanarySize" in routing:
            canary = [(_share(routing["CanarySize"], new), routing["WaitIntervalInSeconds"])]
        alarms = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        last = policy.get("TerminationWaitInSeconds", 0)
        seconds = policy.get("MaximumExecutionTimeoutInSeconds", cls.seconds)
        return cls((*canary, (1.0, last)), tuple(each["AlarmName"] for each in alarms), seconds)

    def hold(self, watch: Watch, seconds: float, began: float, stop: threading.Event) -> None:
        """Look at the alarms for so long.

        Raises
        ------
        JobError
            One goes off, or the update takes too long.
        """
        end = time.monotonic() + seconds
        while True:
            if tripped := watch.tripped():
                raise JobError(f"One or more CloudWatch alarms went off during the deployment: {', '.join(tripped)}.")
            now = time.monotonic()
            if now > began + self.seconds:
                raise JobError(f"The deployment did not end within {self.seconds} seconds.")
            if now >= end or stop.is_set():
                return
            time.sleep(min(LOOK_SECONDS, max(0.0, end - now)))


def _share(size: Mapping[str, Any], fleet: Fleet) -> float:
    """The canary's share of the requests, whatever instances that takes."""
    share = size["Value"] / 100
    for name, count in fleet.counts.items():
        instances = size["Value"] if size["Type"] == "INSTANCE_COUNT" else math.ceil(count * share)
        if 2 * instances > count:
            raise ApiError(f"CanarySize takes {instances} of {count} instances of {name}; it must be at most half.")
        if size["Type"] == "INSTANCE_COUNT":
            share = instances / count
    return share
