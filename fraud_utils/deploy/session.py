"""Whom a deployment talks to: AWS with the account's credentials, or SageMaker on this machine."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore import exceptions
from botocore.config import Config

from fraud_utils.deploy.errors import DeployError, explained

ADDRESS = "AWS_ENDPOINT_URL"


@dataclass(frozen=True)
class Connection:
    """Credentials and region for a target, "aws" or "local"."""

    target: str
    session: boto3.Session
    owned: bool = False  # the other side is a server that this process started, which ends with it

    @cached_property
    def _clients(self) -> dict[tuple[str, str], Any]:
        return {}

    def client(self, service: str, **options: Any) -> Any:
        """A client of boto3, made once for the same `options` for its configuration."""
        key = service, repr(options)
        if key not in self._clients:
            # Paths rather than host names: 127.0.0.1 has no subdomains.
            style = "path" if os.environ.get(ADDRESS) else "auto"
            config = Config(**{"s3": {"addressing_style": style}, "retries": {"mode": "standard"}} | options)
            self._clients[key] = self.session.client(service, config=config)
        return self._clients[key]

    @property
    def sagemaker(self) -> Any:
        """A client."""
        return self.client("sagemaker")

    @property
    def s3(self) -> Any:
        """A client."""
        return self.client("s3")

    @property
    def region(self) -> str:
        """Its name, as `eu-west-1`."""
        return self.session.region_name

    @cached_property
    def account(self) -> str:
        """The twelve digits of the account."""
        with explained("asking AWS for the account"):
            return self.client("sts").get_caller_identity()["Account"]

    @property
    def default_bucket(self) -> str:
        """Name of the bucket that SageMaker uses where nobody names one."""
        return f"sagemaker-{self.region}-{self.account}"


@dataclass(frozen=True)
class LocalServer:
    """SageMaker on this machine, started by this process and ending with it."""

    process: subprocess.Popen[bytes]
    address: str
    engine: str


server: LocalServer | None = None  # the one that this process started


def connection(target: str, region: str = "", image: str = "") -> Connection:
    """Credentials, region and address for a target; the address goes through the environment, as the SDK reads it.

    Raises
    ------
    DeployError
        Target or region are missing or unknown, or SageMaker on this machine did not start.
    """
    if target == "local":
        address = os.environ[ADDRESS] = _local_address(image)
        for name in ("no_proxy", "NO_PROXY"):  # a proxy has no business on loopback
            hosts = [host for host in os.environ.get(name, "").split(",") if host not in ("", "127.0.0.1")]
            os.environ[name] = ",".join([*hosts, "127.0.0.1"])
        session = _local_session(region or "us-east-1", address)
        return Connection(target, session, owned=server is not None and address == server.address)
    if target != "aws":
        raise DeployError(f"target is {target!r}; it is local or aws")
    if server and os.environ.get(ADDRESS) == server.address:
        del os.environ[ADDRESS]
    try:
        session = boto3.Session(region_name=region or None)
    except exceptions.ProfileNotFound as error:
        raise DeployError(f"{error}; see AWS_PROFILE and ~/.aws/config") from None
    if not session.region_name:
        raise DeployError("no AWS region: set the parameter region, AWS_REGION or 'aws configure set region'")
    return Connection(target, session)


@cache
def _local_session(region: str, address: str) -> boto3.Session:
    """A session for a server, made once: each reads the descriptions of its services anew, for a fifth of a second.

    Clients that the SDK has made of a session go on asking the server that they began with.
    """
    return boto3.Session("local", "local", region_name=region)


def lasting() -> str:
    """The address of a SageMaker on this machine that others started, and that outlives this process; "" for none."""
    given = os.environ.get(ADDRESS, "")
    ours = server is not None and given == server.address
    return given if not ours and urlsplit(given).hostname in ("127.0.0.1", "localhost", "::1") else ""


def _local_address(image: str) -> str:
    """The address of SageMaker on this machine: AWS_ENDPOINT_URL's where somebody runs one, else one of our own."""
    global server
    if given := lasting():
        return given
    engine = (os.environ.get("ENGINE") or shutil.which("docker") or shutil.which("podman") or "docker") if image else ""
    if server and server.process.poll() is None and server.engine == engine:
        return server.address
    command = [sys.executable, "-m", "fraud_utils.local_sagemaker", "--owned", "--engine", engine]
    with tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise, start_new_session=True
        )
        address = process.stdout.readline().decode().strip() if process.stdout else ""
        if not address:
            noise.seek(0)
            raise DeployError(f"SageMaker on this machine did not start:\n{noise.read()[-2000:].decode()}")
    server = LocalServer(process, address, engine)
    return address
