"""A deployment: one training job, model and endpoint, whose verbs a notebook calls one after the other.

It runs against AWS or against SageMaker on this machine (`local_sagemaker`): only the address differs. Everything that
it makes carries its name and the run's tag, and is deleted when the notebook says so, when a cell fails or is
interrupted, and when the process ends in any other way.
"""

from __future__ import annotations

import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_utils import artifact, project, record
from fraud_utils.data import Schema, Split
from fraud_utils.deploy import endpoint, jobs, registry, resources, storage, tuning
from fraud_utils.deploy.cleanup import cleanup
from fraud_utils.deploy.endpoint import Endpoint, Serving
from fraud_utils.deploy.errors import DeployError, explained
from fraud_utils.deploy.findings import read_choice
from fraud_utils.deploy.jobs import Training
from fraud_utils.deploy.place import LOCAL_IMAGE, Place, Site, settle, stem
from fraud_utils.deploy.prices import describe_prices
from fraud_utils.deploy.session import connection
from fraud_utils.deploy.watch import Watch
from fraud_utils.evaluation import tune
from fraud_utils.record import Choice


def connect(target: str, run_folder: str | Path, region: str = "", place: Place | None = None) -> Deployment:
    """Find account, role, bucket and image before anything is trained or paid for, and watch over what will be made.

    Parameters
    ----------
    target : str
        "aws", or "local" for SageMaker on this machine: the one at AWS_ENDPOINT_URL, else one that ends with this
        process.
    run_folder : str or Path
        Of the run; its name goes into the names and tags of all that is made.
    region : str
        Of AWS; empty for AWS_REGION's or the profile's.

    Raises
    ------
    DeployError
        One of them is missing; the message says how to get it.
    """
    place = place or Place()
    other_side = connection(target, region, place.image)
    folder = project.resolve(run_folder)
    name = f"{stem(folder.name)}-{datetime.now(UTC):%m%d%H%M%S}-{secrets.token_hex(2)}"
    deployment = Deployment(Site(other_side, settle(place, other_side), folder.name, name), folder)
    deployment.watch.begin()
    return deployment


class Deployment:
    """One training job, model and endpoint, with what they need, under one name.

    Attributes
    ----------
    site : Site
        Its name, and where it is; `connect` makes one.
    watch : Watch
        Deletes everything when a cell fails or this process ends, once it has begun.
    model_url : str
        Where the model lies in S3, or the ARN of a registered version; `train` and `take` set it, as may whoever has
        another to serve.
    version : str
        Of the model registry, as `group:3`; empty for a model that was trained here.
    volume_gb : int
        Disk of each instance that trains; `upload` sets it to what its rows need, as may whoever knows better.
    """

    def __init__(self, site: Site, run_folder: Path) -> None:
        self.site, self.run_folder = site, run_folder
        self.watch = Watch(site, self.delete, run_folder / "cleanup.log")
        self.model_url = self.version = ""
        self.volume_gb = jobs.LEAST_GB
        self._endpoint: Endpoint | None = None

    @property
    def name(self) -> str:
        """Of the job, the model, the endpoint and its configuration."""
        return self.site.name

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint in service, to be asked by `score` and `latency_ms`, and scaled by `autoscale`."""
        if self._endpoint is None:
            self._need_model()
            raise DeployError(f"{self.name} has no endpoint: call serve() first")
        return self._endpoint

    @endpoint.setter
    def endpoint(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def _need_model(self) -> str:
        if not self.model_url:
            raise DeployError(f"{self.name} has no model: call train() first")
        return self.model_url

    def describe(self) -> str:
        """Where it happens, as Markdown."""
        local, image = self.site.connection.target == "local", self.site.place.image
        where = "SageMaker on this machine" if local else f"region {self.site.connection.region}"
        processes = local and image == LOCAL_IMAGE
        what = "`train` and `serve` as processes" if processes else f"image `{image}`"
        demands = self.site.place.security
        idle = local and any([demands.subnets, demands.network_isolation, demands.volume_key, demands.capture_key])
        note = " Networks, and keys of disks and captured requests, are recorded here and not acted on." if idle else ""
        return f"**{self.name}** in {where}, {what}.{note}"

    def plan(self, training: Training, serving: Serving, choice: Choice) -> str:
        """What training and hosting will cost, as Markdown, before anything is started.

        Raises
        ------
        DeployError
            The choice cannot be trained on so many instances, or AWS has no such endpoint: a serverless one has no
            network, keys or captured requests of its own.
        """
        if not self.version:
            training.check(choice)
        self.site.place.security.check(serving.serverless, serving.capture)
        return describe_prices(training, serving)

    def upload(self, split: Split, schema: Schema) -> dict[str, str]:
        """Put rows where jobs read them (`storage.upload`): to learn from, unless a version was taken, and to score."""
        self.volume_gb = jobs.volume_gb(split, schema)
        return storage.upload(self.site, split, schema, learning=not self.version)

    def tune(self, job: tune.Job, uploaded: dict[str, str], count: int, options: Training) -> pd.DataFrame:
        """Search for settings by so many training jobs; see `tuning.tune`."""
        return tuning.tune(self.site, job, uploaded, count, options, self.volume_gb)

    def train(self, choice: Choice, uploaded: dict[str, str], options: Training | None = None) -> pd.DataFrame:
        """Train the choice as a job, show status and log lines as they come, keep the model in the run's folder.

        Returns
        -------
        pandas.DataFrame
            The job's metrics.

        Raises
        ------
        DeployError
            The job failed or was stopped; the message is what the program left in its failure file.
        """
        job = jobs.train(self.site, jobs.hyperparameters(choice), uploaded, options or Training(), self.volume_gb)
        self.model_url = job.model_artifacts.s3_model_artifacts
        self._fetch(self.model_url)
        metrics = {metric.metric_name: metric.value for metric in job.final_metric_data_list or []}
        shown = [name for name in jobs.METRICS if name in metrics]
        return pd.DataFrame({"value": metrics}).rename_axis("metric").reindex(shown)

    def serve(self, options: Serving | None = None) -> None:
        """Make model, endpoint configuration and endpoint, and wait until it answers.

        Raises
        ------
        DeployError
            The container did not answer `/ping` in time; the message holds its last log lines.
        """
        self._endpoint = endpoint.start(self.site, self._need_model(), options or Serving())

    def transform(self, url: str, instance: str = Training.instance) -> np.ndarray:
        """Score the rows under an S3 address as a batch transform job.

        Returns
        -------
        numpy.ndarray of float64, shape (rows,)

        Raises
        ------
        DeployError
            The job failed; the message holds its last log lines.
        """
        return jobs.transform(self.site, self.endpoint.model, url, instance)

    def take(self, version: str) -> tuple[Choice, float]:
        """Serve an approved version of the Model Registry instead of a model that is trained here.

        Its model is kept in the run's folder, as `train` keeps one.

        Parameters
        ----------
        version : str
            `group:3`; `group` for the latest that is approved; or a version's ARN.

        Returns
        -------
        tuple of Choice and float
            What was chosen in the run that it comes from, and the average precision that it reached there.

        Raises
        ------
        DeployError
            There is no such version, or nobody has approved it.
        """
        found = registry.find(self.site.connection, version)
        known = registry.recorded(self.site.connection, found)
        (container,) = found["InferenceSpecification"]["Containers"]
        self._fetch(container["ModelDataUrl"])
        self.model_url = found["ModelPackageArn"]
        self.version = f"{found['ModelPackageGroupName']}:{found['ModelPackageVersion']}"
        return known

    def _fetch(self, url: str) -> None:
        """Keep a model in the run's folder, packed and unpacked."""
        archive, folder = self.run_folder / "model.tar.gz", self.run_folder / "model"
        self.run_folder.mkdir(parents=True, exist_ok=True)
        with explained("fetching the model"):
            project.write(archive, storage.read(self.site.connection, url))
        shutil.rmtree(folder, ignore_errors=True)
        artifact.unpack(archive, folder)

    def register(self, group: str) -> str:
        """Put the model into a group of the Model Registry, to be approved there; returns the version's ARN.

        With it go its metrics, a model card, the hashes of its data, and what notebook 02 recorded in this run. A
        model that was taken from the registry stays the version that it is.
        """
        url = self._need_model()
        if self.version:
            print(f"{self.version} is in the model registry already, and is not put there again")
            return url
        read_choice(self.run_folder)  # says what is missing
        manifest = artifact.load(self.run_folder / "model").manifest
        return registry.register(self.site, url, record.read(self.run_folder), manifest, group)

    def delete(self) -> bool:
        """Delete all that this deployment made but registered models; returns whether nothing is left.

        Raises
        ------
        DeployError
            Some steps were refused; all others were taken.
        """
        cleanup(self.site.connection, resources.Scope(self.site.run, self.name), self.site.place)
        self._endpoint = None
        self.watch.end()
        return not self.remaining()

    def keep(self) -> str:
        """Leave the endpoint and what it needs; returns the command that deletes it later."""
        self.watch.end()
        return self.watch.command

    def remaining(self) -> list[str]:
        """What exists of this deployment and can be billed or deleted; jobs that ended are history, and free."""
        with explained("listing what is left"):
            things = resources.find(self.site.connection, resources.Scope(self.site.run, self.name))
            return things + list(storage.list_objects(self.site.connection, self.site.url))
