"""Deletes what deployments made, by name and tag; whatever is refused on the way, the rest is deleted."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from botocore import exceptions

from fraud_utils.deploy import canary, resources, storage
from fraud_utils.deploy.endpoint import scalable
from fraud_utils.deploy.errors import DeployError, UnreachableError, explained
from fraud_utils.deploy.place import NAME, PLACE_TAG, Place, short
from fraud_utils.deploy.resources import Kind, Scope
from fraud_utils.deploy.session import Connection

ENDPOINT_MINUTES, JOB_MINUTES = 30, 15  # how long an endpoint may take to be deleted, a job to stop


def cleanup(connection: Connection, scope: Scope, place: Place, say: Callable[[str], None] = lambda text: None) -> int:
    """Stop and delete what is in scope, and the data it was made from; returns the number of things deleted.

    Registered models and captured requests stay: somebody asked for them.

    Parameters
    ----------
    place : Place
        Its bucket and prefix are where data lies that no tag leads to; the account's default bucket when empty.
    say : callable
        Given each thing that is deleted.

    Raises
    ------
    DeployError
        Some steps were refused; all others were taken.
    """
    work = _Cleanup(connection, scope, place, say)
    work.delete_all()
    if work.refusals:
        raise DeployError("\n".join(dict.fromkeys(work.refusals)))
    return work.deleted


@dataclass
class _Cleanup:
    """One pass over everything in scope; what was refused is collected."""

    connection: Connection
    scope: Scope
    place: Place
    say: Callable[[str], None]
    deleted: int = 0
    refusals: list[str] = field(default_factory=list)
    places: set[str] = field(default_factory=set)
    reached: bool = False  # a request was answered: whatever else cannot be reached, others can

    @contextlib.contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Go on after the block if it is refused."""
        try:
            with explained(doing):
                yield
            self.reached = True
        except DeployError as refusal:
            if isinstance(refusal, UnreachableError) and not self.reached:
                raise
            self.refusals.append(str(refusal))

    def delete_all(self) -> None:
        """Stop jobs and delete endpoints first, since those bill."""
        listed = {kind: self.list_kind(kind) for kind in resources.KINDS}
        with self.step("listing what was uploaded"):
            self.places |= self.data_folders()
        # All that a deployment makes bears its name: what must not be listed is known by that.
        names = {self.scope.deployment, *(place.rpartition("/")[2] for place in self.places)}
        names = {name for name in names.union(*(found or () for found in listed.values())) if NAME.fullmatch(name)}
        stopping: list[tuple[Kind, str]] = []
        alive: set[str] = set()
        for kind, found in listed.items():
            for name in sorted({kind.named(name) for name in names}) if found is None else found:
                if name.startswith(tuple(alive)):  # while it lives, an endpoint needs the others
                    continue
                ended = None
                bills = ", which BILLS until it is gone" if kind is resources.ENDPOINT else ""
                with self.step(f"deleting {kind.name} {name}{bills}"):
                    ended = self.end(kind, name)
                if kind is resources.ENDPOINT and ended is None:
                    alive.add(name)
                if kind.status and ended is not None and (found or ended):  # no job stops that nobody may stop
                    stopping.append((kind, name))
        for kind, name in stopping:  # their last files are written when they end
            with self.step(f"waiting for {kind.name} {name}"):
                self.wait(kind, name)
        for place in sorted(self.places):
            with self.step(f"emptying {place}"):
                self.empty(place)

    def list_kind(self, kind: Kind) -> list[str] | None:
        """Names of what is in scope of a kind, None where it must not be listed."""
        found = None
        with self.step(f"listing {kind.name}s"):
            found = list(resources.list_names(self.connection, kind, self.scope))
        return None if found is None else [name for name, arn in found if self.is_meant(name, arn)]

    def is_meant(self, name: str, arn: str) -> bool:
        """Whether a thing is in scope by its tags, or by its name where they must not be read."""
        tags: dict[str, str] | None = {} if self.scope.has_name(name) else None
        with self.step("reading tags"):
            tags = resources.read_tags(self.connection, arn, self.scope)
        folder = (tags or {}).get(PLACE_TAG, "").rpartition("/")[2]
        if tags and name in (folder, short(folder)):  # else it is not ours to empty
            self.places.add(tags[PLACE_TAG])
        return tags is not None

    def data_folders(self) -> set[str]:
        """Folders of deployments, by their names: a kill between upload and first job leaves no tag to go by."""
        data = f"s3://{self.place.bucket or self.connection.default_bucket}/{self.place.prefix}"
        try:
            objects = storage.list_objects(self.connection, f"{data}/{self.scope.stem}")
        except exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchBucket":
                return set()
            raise
        newest: dict[str, datetime] = {}
        for url, written in objects.items():
            name = url.removeprefix(f"{data}/").split("/")[0]
            newest[name] = max(written, newest.get(name, written))
        before = self.scope.before
        return {
            f"{data}/{name}"
            for name, written in newest.items()
            if NAME.fullmatch(name) and (before is None or written < before)
        }

    def end(self, kind: Kind, name: str) -> bool:
        """Stop or delete one thing; returns whether there was one.

        An endpoint is waited for, and asked again: AWS deletes none that is still being made or updated.
        """
        if kind is resources.ENDPOINT:
            with self.step(f"ending the scaling of {name}"):
                resources.is_there(
                    self.connection.client("application-autoscaling").deregister_scalable_target, **scalable(name)
                )
        deadline, pause, there = time.monotonic() + 60 * ENDPOINT_MINUTES, 0.2, False
        while resources.is_there(kind.end, self.connection, name):
            if not there:
                self.say(f"{kind.name} {name}")
                self.deleted += 1
                there = True
                if kind is resources.ENDPOINT:
                    with self.step(f"ending an update of {name}"):
                        canary.trip(self.connection, name)
            if kind is not resources.ENDPOINT:
                break
            if time.monotonic() > deadline:
                raise DeployError(f"{name} is still there after {ENDPOINT_MINUTES} minutes and BILLS: see the console")
            time.sleep(pause)
            pause = min(2 * pause, 5)
        return there

    def wait(self, kind: Kind, name: str) -> None:
        """Wait until a job has stopped."""
        deadline = time.monotonic() + 60 * JOB_MINUTES
        while kind.status and kind.status(self.connection, name) in resources.ACTIVE:
            if time.monotonic() > deadline:
                raise DeployError(f"{name} has not stopped in {JOB_MINUTES} minutes: see the console")
            time.sleep(1)

    def empty(self, place: str) -> None:
        """Delete the objects of a folder."""
        if urls := list(storage.list_objects(self.connection, f"{place}/")):
            self.say(f"{len(urls)} objects under {place}")
            storage.delete_objects(self.connection, urls)
            self.deleted += 1
