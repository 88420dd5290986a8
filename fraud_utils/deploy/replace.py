"""A live model replaced: the new one beside the old one, both asked, and the traffic shifted or all of it undone.

The endpoint keeps its name and answers throughout. What is made for it bears its name and tags, so that whatever
deletes the endpoint deletes this too. The old model's configuration stays until the new one has taken all of the
traffic, and has answered in a configuration of its own.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fraud_utils.deploy import jobs, resources, storage, trial
from fraud_utils.deploy.deployment import Deployment
from fraud_utils.deploy.endpoint import Endpoint, create_model
from fraud_utils.deploy.errors import DeployError, explained
from fraud_utils.deploy.place import PLACE_TAG, RUN_TAG, Site
from fraud_utils.deploy.security import encryption
from fraud_utils.deploy.trial import Limits

BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack")
BEFORE_TAG = "fraud-detection:before"  # of a configuration of two variants: the one to go back to
NEW = "New"  # the variant beside the old one


def replace(
    deployment: Deployment,
    endpoint: str,
    rows: pd.DataFrame,
    limits: Limits | None = None,
    environment: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Put a deployment's model in the place of an endpoint's, if both answer the same rows alike.

    Parameters
    ----------
    deployment : Deployment
        It has a model; its `endpoint` is the replaced one afterwards, which it does not delete.
    endpoint : str
        Name of an endpoint that a deployment of this project made and kept.
    rows : pandas.DataFrame
        What both models are asked about; some hundreds at least, or alerts cannot be compared.
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
    limits = limits or Limits()
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
        live.shift()
        _check_held(client, rows, limits)
        live.settle(new)
        _check_held(client, rows, limits)
    except BaseException:  # an interrupt too
        print(f"rolling {endpoint} back to {live.before}", flush=True)
        live.roll_back(new)
        raise
    live.forget_old()
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


def _check_held(client: trial.Client, rows: pd.DataFrame, limits: Limits) -> None:
    (answers,) = client.ask(rows, limits.requests)
    if answers.errors > limits.errors * answers.requests:
        raise DeployError(f"with all of the traffic, {answers.errors} of {answers.requests} requests failed")


class _Live:
    """The endpoint, and the steps that it is taken through; `before` is the configuration to go back to."""

    def __init__(self, site: Site) -> None:
        self.site, self.client = site, site.connection.sagemaker
        endpoint = self._wait()
        if endpoint["EndpointStatus"] != "InService":
            raise DeployError(f"{site.name} is {endpoint['EndpointStatus']}; only one in service can be replaced")
        self.before = endpoint["EndpointConfigName"]
        if self.before.startswith(f"{site.name}-"):
            self._recover()
        with explained("reading the endpoint's configuration"):
            self.config = self.client.describe_endpoint_config(EndpointConfigName=self.before)
        self.variant = self.config["ProductionVariants"][0]
        if len(self.config["ProductionVariants"]) > 1 or "ServerlessConfig" in self.variant:
            raise DeployError(f"{site.name} must have one variant, on instances: AWS puts no second one beside others")
        self.trial = f"{site.name}-{secrets.token_hex(2)}"

    def _recover(self) -> None:
        """Undo a replacement whose process was killed."""
        with explained("reading the endpoint's configuration"):
            config = self.client.describe_endpoint_config(EndpointConfigName=self.before)
        tags = resources.read_tags(self.site.connection, config["EndpointConfigArn"], resources.Scope()) or {}
        if BEFORE_TAG in tags:
            self.trial, self.before = self.before, tags[BEFORE_TAG]
            print(f"a replacement of {self.site.name} was broken off: back to {self.before}", flush=True)
            self.roll_back(config["ProductionVariants"][-1]["ModelName"])

    def put_beside(self, model: str, url: str, environment: Mapping[str, str]) -> None:
        """Make the new model a second variant, which answers only whoever asks for it."""
        with explained("making the model"):
            create_model(self.site, model, url, environment)
        running = {"InitialInstanceCount": self._wait()["ProductionVariants"][0]["CurrentInstanceCount"]}
        self.variant = {**self.variant, **running, "InitialVariantWeight": 1.0}
        new = {**self.variant, "VariantName": NEW, "ModelName": model, "InitialVariantWeight": 0.0}
        self._configure(self.trial, [self.variant, new], {BEFORE_TAG: self.before})
        self._update(self.trial, NEW)

    def shift(self) -> None:
        """Give all of the traffic to the new variant; the old one goes on running."""
        weights = {self.variant["VariantName"]: 0.0, NEW: 1.0}
        desired = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
        with explained("shifting the traffic"):
            self.client.update_endpoint_weights_and_capacities(
                EndpointName=self.site.name, DesiredWeightsAndCapacities=desired
            )
        shown = {each["VariantName"]: each["CurrentWeight"] for each in self._wait()["ProductionVariants"]}
        if shown != weights:
            raise DeployError(f"the traffic did not shift: the weights are {shown}")

    def settle(self, model: str) -> None:
        """Run the new model alone, under the name that the old variant has."""
        self._configure(model, [{**self.variant, "ModelName": model}], {})
        self._update(model, self.variant["VariantName"])

    def forget_old(self) -> None:
        """Delete the old configuration with its model, where they are this endpoint's own."""
        for kind, name in (
            (resources.ENDPOINT_CONFIG, self.trial),
            (resources.ENDPOINT_CONFIG, self.before),
            (resources.MODEL, self.variant["ModelName"]),
        ):
            if name.startswith(self.site.name):
                resources.end(self.site.connection, kind, name)

    def roll_back(self, model: str) -> None:
        """Run the old configuration, and delete what was made beside it."""
        if self._wait()["EndpointConfigName"] != self.before:
            self._update(self.before, "")
        for kind, name in (
            (resources.ENDPOINT_CONFIG, self.trial),
            (resources.ENDPOINT_CONFIG, model),
            (resources.MODEL, model),
        ):
            resources.end(self.site.connection, kind, name)
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

    def _update(self, config: str, variant: str) -> None:
        with explained(f"updating {self.site.name}"):
            self.client.update_endpoint(EndpointName=self.site.name, EndpointConfigName=config)
        endpoint = self._wait()
        if (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) != ("InService", config):
            last = jobs.log_lines(self.site, f"/aws/sagemaker/Endpoints/{self.site.name}", f"{variant}/")()[-10:]
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
