"""What a company asks of everything that runs for it: its own network, its own keys, its own tags."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from fraud_utils import project
from fraud_utils.deploy.errors import DeployError

KEY = r"(arn:aws[\w-]*:kms:[\w-]+:\d{12}:(key|alias)/)?[\w/-]{1,256}"
SHAPES = {"subnets": r"subnet-[0-9a-z]+", "security_groups": r"sg-[0-9a-z]+"}
SHAPES |= dict.fromkeys(("volume_key", "output_key", "capture_key", "upload_key", "registry_key"), KEY)
EXAMPLES = {"subnets": "subnet-0a1b2c3d", "security_groups": "sg-0a1b2c3d"}
TAG = r"[\w\s.:/=+@-]"  # of what a tag may consist
MOST_TAGS = 48  # AWS takes 50, and two are ours


@dataclass(frozen=True)
class Security:
    """Sent with every request that makes something; empty where a company asks for nothing.

    Attributes
    ----------
    subnets, security_groups : tuple of str
        Where jobs and endpoints have their network interfaces; both or neither.
    volume_key, output_key, capture_key, upload_key, registry_key : str
        Names or ARNs of KMS keys: of the disks of jobs and endpoints; of models and of a batch transform's scores; of
        captured requests; of what `Deployment.upload` sends; of what the model registry knows of a version.
    network_isolation : bool
        Whether containers have no network at all, which the project's image does not need.
    tags : mapping
        Of everything that is made, beside the deployment's own.
    """

    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    volume_key: str = ""
    output_key: str = ""
    capture_key: str = ""
    upload_key: str = ""
    registry_key: str = ""
    network_isolation: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path = "") -> Security:
        """Read it from a YAML file, which has the attributes as keys; an empty path asks for nothing.

        Raises
        ------
        DeployError
            The file is missing or no YAML mapping, or holds what AWS would refuse; all faults are named.
        """
        if not str(path):
            return cls()
        try:
            given = yaml.safe_load(project.resolve(path).read_text()) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DeployError(f"{path} cannot be read: {error}") from None
        if not isinstance(given, dict):
            raise DeployError(f"{path} must hold lines such as 'subnets: [subnet-0a1b2c3d]'")
        if faults := list(_faults(given)):
            raise DeployError("\n".join(f"{path}: {fault}" for fault in faults))
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        return cls(**values)

    def check(self, serverless: bool, capture: bool) -> None:
        """Refuse what AWS has not: a serverless endpoint with a network, keys or captured requests of its own."""
        wanted = {"capture": capture, "subnets": self.subnets, "network_isolation": self.network_isolation}
        if refused := [name for name, value in wanted.items() if value and serverless]:
            raise DeployError(f"a serverless endpoint takes no {', no '.join(refused)}; leave out serverless, or that")


NO_DEMANDS = Security()


def encryption(key: str) -> dict[str, str]:
    """What S3 takes to encrypt an object with a KMS key; nothing without one."""
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}


def _faults(given: dict[Any, Any]) -> Iterator[str]:
    known = [item.name for item in fields(Security)]
    for name, value in given.items():
        if name not in known:
            close = difflib.get_close_matches(str(name), known, 1)
            yield f"unknown key {name!r}; " + (f"did you mean {close[0]!r}?" if close else f"it takes {known}")
        elif name == "network_isolation":
            if not isinstance(value, bool):
                yield f"network_isolation is {value!r}; it must be true or false"
        elif name == "tags":
            yield from _tag_faults(value)
        elif isinstance(value, list) != (name in EXAMPLES):
            yield f"{name} is {value!r}; it must be " + ("a list in brackets" if name in EXAMPLES else "one key")
        else:
            for item in value if isinstance(value, list) else [value]:
                if not re.fullmatch(SHAPES[name], str(item)):
                    shape = EXAMPLES.get(name, "arn:aws:kms:eu-west-1:123456789012:key/...")
                    yield f"{name} has {item!r}; it must look like {shape}"
    if bool(given.get("subnets")) != bool(given.get("security_groups")):
        yield "subnets and security_groups go together: give both, or neither"


def _tag_faults(tags: Any) -> Iterator[str]:
    if not isinstance(tags, dict):
        yield "tags must be lines such as 'cost-centre: fraud' below 'tags:'"
        return
    if len(tags) > MOST_TAGS:
        yield f"{len(tags)} tags are too many; AWS leaves room for {MOST_TAGS}"
    for key, value in tags.items():
        if not isinstance(key, str) or not isinstance(value, str):
            yield f"tag {key!r} is {value!r}; write both as text, in quotes where they look like a number or a date"
        elif not re.fullmatch(f"{TAG}{{1,128}}", key) or not re.fullmatch(f"{TAG}{{0,256}}", value):
            yield f"tag {key!r}: {value!r} has a sign that AWS does not take, or is too long"
        elif key.lower().startswith(("aws:", "fraud-detection:")):
            yield f"tag {key!r} begins with a word that is kept for AWS or for this project; name it otherwise"
