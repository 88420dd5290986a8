"""A live model replaced: both models asked about the same rows, then the new one on a share of the live requests.

The endpoint keeps its name and answers throughout. What is made for it bears its name and tags, so that whatever
deletes the endpoint deletes this too. Where both models answer alike, SageMaker itself updates the endpoint, and rolls
back when an alarm goes off (see `canary`). The old model's configuration stays until the new one has held.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fraud_utils.deploy import canary, jobs, resources, storage, trial
from fraud_utils.deploy.canary import Canary, Side
from fraud_utils.deploy.deployment import Deployment
from fraud_utils.deploy.endpoint import Endpoint, create_model
from fraud_utils.deploy.errors import DeployError, explained
from fraud_utils.deploy.place import PLACE_TAG, RUN_TAG, Site
from fraud_utils.deploy.security import encryption
from fraud_utils.deploy.trial import Limits

BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack")
BEFORE_TAG = "fraud-detection:before"  # of a configuration of two variants: the one to go back to
NEW = "New"  # the variant beside the old one
CANARY_INSTANCES = 2  # at least: a canary has at most half of the new model's


def replace(
    deployment: Deployment,
    endpoint: str,
    rows: pd.DataFrame,
    limits: Limits | None = None,
    shifting: Canary | None = None,
    environment: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Put a deployment's model in the place of an endpoint's, if both answer alike and no alarm goes off.

    Parameters
    ----------
    deployment : Deployment
        It has a model; its `endpoint` is the replaced one afterwards, which it does not delete.
    endpoint : str
        Name of an endpoint that a deployment of this project made and kept.
    rows : pandas.DataFrame
        What both models are asked about; some hundreds at least, or alerts cannot be compared.
    limits : Limits
        For these rows, and for live requests.
    shifting : Canary
        How the new model takes over live requests.
    environment : mapping of str to str
        Of the new model's container.

    Returns
    -------
    pandas.DataFrame
        Errors, latency, alerts and scores of both, with the limits.

    Raises
    ------
    DeployError
        The new model does not start or breaks a limit; the endpoint answers with the old one, as it did throughout.
    """
    limits, shifting = limits or Limits(), shifting or Canary()
    site = _site_of(deployment.site, endpoint)
    live = _Live(site)
    new = f"{endpoint}-{secrets.token_hex(2)}"
    try:
        live.put_beside(new, _copied(site, deployment.model_url, new), dict(environment or {}))
        client = trial.Client(site)
        old_answers, new_answers = client.ask(rows, limits.requests, (live.variant["VariantName"], NEW))
        table, broken = trial.compare(old_answers, new_answers, limits)
        if broken:
            text = table.to_string(float_format="%.4g", na_rep="") if len(table) else ""
            lines = [f"{endpoint} keeps its model: the new one breaks a limit", *(f"- {each}" for each in broken), text]
            raise DeployError("\n".join(lines).rstrip())
        live.settle(new, limits, shifting)
    except BaseException:  # an interrupt too
        print(f"rolling {endpoint} back to {live.before}", flush=True)
        live.roll_back()
        raise
    live.sweep()
    deployment.endpoint = Endpoint(site, new)
    return table


def _site_of(site: Site, endpoint: str) -> Site:
    """The site of the deployment that made the endpoint, reached as ours is."""
    with explained(f"looking for the endpoint {endpoint}"):
        described = site.connection.sagemaker.describe_endpoint(EndpointName=endpoint)
    tags = resources.read_tags(site.connection, described["EndpointArn"], resources.Scope())
    if tags is None:
        raise DeployError(f"{endpoint} has no tag {RUN_TAG}: only endpoints that this project made are replaced")
    there = dataclasses.replace(site, run=tags[RUN_TAG], name=endpoint)
    if tags.get(PLACE_TAG) != there.url:
        raise DeployError(f"{endpoint} keeps its data under {tags.get(PLACE_TAG)}: name the same bucket and prefix")
    return there


def _copied(site: Site, model_url: str, new: str) -> str:
    """Copy an archive to the endpoint's data, since it must last as long as the endpoint; returns its address."""
    if not model_url:
        raise DeployError("the deployment has no model: call train() first")
    if model_url.startswith("arn:"):
        return model_url  # a registered version lasts by itself
    (source, key), url = storage.split_url(model_url), f"{site.url}/{new}/model.tar.gz"
    bucket, kept = storage.split_url(url)
    with explained("copying the model to the endpoint's data"):
        copied = {"Bucket": source, "Key": key}
        options = encryption(site.place.security.output_key)
        site.connection.s3.copy_object(Bucket=bucket, Key=kept, CopySource=copied, **options)
    return url


class _Live:
    """The endpoint, and the steps that it is taken through; `before` is the configuration to go back to."""

    def __init__(self, site: Site) -> None:
        self.site, self.client = site, site.connection.sagemaker
        endpoint = self._wait()
        if endpoint["EndpointStatus"] != "InService":
            raise DeployError(f"{site.name} is {endpoint['EndpointStatus']}; only one in service can be replaced")
        self.before = endpoint["EndpointConfigName"]
        self._recover()
        with explained("reading the endpoint's configuration"):
            self.config = self.client.describe_endpoint_config(EndpointConfigName=self.before)
        self.variant = self.config["ProductionVariants"][0]
        if len(self.config["ProductionVariants"]) > 1 or "ServerlessConfig" in self.variant:
            raise DeployError(f"{site.name} must have one variant, on instances: AWS puts no second one beside others")

    def _recover(self) -> None:
        """Undo what is left of a replacement whose process was killed; one that had come to its end stays."""
        with explained("reading the endpoint's configuration"):
            config = self.client.describe_endpoint_config(EndpointConfigName=self.before)
        tags = resources.read_tags(self.site.connection, config["EndpointConfigArn"], resources.Scope()) or {}
        if BEFORE_TAG in tags:
            self.before = tags[BEFORE_TAG]
            print(f"a replacement of {self.site.name} was broken off: back to {self.before}", flush=True)
            self._update(self.before)
        self.sweep()

    def put_beside(self, model: str, url: str, environment: Mapping[str, str]) -> None:
        """Make the new model a second variant, which answers only whoever asks for it."""
        with explained("making the model"):
            create_model(self.site, model, url, environment)
        running = {"InitialInstanceCount": self._wait()["ProductionVariants"][0]["CurrentInstanceCount"]}
        self.variant = {**self.variant, **running, "InitialVariantWeight": 1.0}
        new = {**self.variant, "VariantName": NEW, "ModelName": model, "InitialVariantWeight": 0.0}
        trial = f"{self.site.name}-{secrets.token_hex(2)}"
        self._configure(trial, [self.variant, new], {BEFORE_TAG: self.before})
        self._update(trial, NEW)

    def settle(self, model: str, limits: Limits, shifting: Canary) -> None:
        """Have the new model take over live requests under the name of the old variant, watched by alarms."""
        name, old = self.variant["VariantName"], self.variant["ModelName"]
        self._update(self.before)  # AWS takes a canary only where both configurations have the same variants
        count = self.variant["InitialInstanceCount"]
        new = {**self.variant, "ModelName": model, "InitialInstanceCount": max(count, CANARY_INSTANCES)}
        self._configure(model, [new], {})
        canary.watch(self.site, name, (Side(self.before, old), Side(model, model)), limits, shifting)
        self._update(model, name, DeploymentConfig=shifting.deployment(self.site.name))
        if count < CANARY_INSTANCES:
            desired = [{"VariantName": name, "DesiredInstanceCount": count}]
            with explained("letting the canary's second instance go"):
                self.client.update_endpoint_weights_and_capacities(
                    EndpointName=self.site.name, DesiredWeightsAndCapacities=desired
                )
            self._wait()

    def roll_back(self) -> None:
        """Run the old configuration, and delete what was made beside it."""
        with contextlib.suppress(DeployError):  # else the update ends by itself, only later
            canary.trip(self.site.connection, self.site.name)
        if self._wait()["EndpointConfigName"] != self.before:
            self._update(self.before)
        self.sweep()

    def sweep(self) -> None:
        """Delete what the endpoint has and does not use: alarms, configurations, and models with their data."""
        connection, scope = self.site.connection, resources.Scope(self.site.run, self.site.name)
        with explained("reading the endpoint's configuration"):
            config = self._wait()["EndpointConfigName"]
            variants = self.client.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        used = {config, *(variant["ModelName"] for variant in variants)}
        for kind in (resources.ALARMS, resources.ENDPOINT_CONFIG, resources.MODEL):
            with explained(f"listing each {kind.name} of {self.site.name}"):
                names = [name for name, _ in resources.list_names(connection, kind, scope)]
            for name in names:
                if kind is resources.ALARMS or (name not in used and name.startswith(self.site.name)):
                    resources.end(connection, kind, name)
                    if kind is resources.MODEL:
                        self._delete_copy(name)

    def _delete_copy(self, model: str) -> None:
        with explained("deleting the copy of the model"):
            copies = storage.list_objects(self.site.connection, f"{self.site.url}/{model}/")
            storage.delete_objects(self.site.connection, list(copies))

    def _configure(self, name: str, variants: list[dict[str, Any]], tags: Mapping[str, str]) -> None:
        kept = {key: self.config[key] for key in ("DataCaptureConfig", "KmsKeyId") if key in self.config}
        all_tags = [{"Key": key, "Value": value} for key, value in {**self.site.tags, **tags}.items()]
        with explained("making the endpoint's configuration"):
            self.client.create_endpoint_config(
                EndpointConfigName=name, ProductionVariants=variants, Tags=all_tags, **kept
            )

    def _update(self, config: str, variant: str = "", **how: Any) -> None:
        with explained(f"updating {self.site.name}"):
            self.client.update_endpoint(EndpointName=self.site.name, EndpointConfigName=config, **how)
        endpoint = self._wait()
        if (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) != ("InService", config):
            last = canary.reasons(self.site.connection, self.site.name) if how else []
            last = (
                last or jobs.log_lines(self.site, f"/aws/sagemaker/Endpoints/{self.site.name}", f"{variant}/")()[-10:]
            )
            why = endpoint.get("FailureReason", f"it is {endpoint['EndpointStatus']}")
            raise DeployError("\n".join([f"{self.site.name} did not take {config}: {why}", *last]))

    def _wait(self) -> dict[str, Any]:
        """The endpoint's description once nothing changes it."""
        shown = "InService"
        while True:
            with explained(f"following {self.site.name}"):
                endpoint = self.client.describe_endpoint(EndpointName=self.site.name)
            if (status := endpoint["EndpointStatus"]) != shown:
                print(f"{self.site.name} {status}", flush=True)
                shown = status
            if status not in BUSY:
                return endpoint
            time.sleep(5 if self.site.connection.target == "aws" else 0.2)
