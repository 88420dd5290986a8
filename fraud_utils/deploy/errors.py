"""Why a deployment cannot go on, and what to do about it."""

import contextlib
import re
from collections.abc import Iterator

from botocore import exceptions


class DeployError(RuntimeError):
    """Something was refused, failed or is missing; the message says what to do."""


class UnreachableError(DeployError):
    """AWS cannot be asked at all, so that no other request would fare better."""


# What a refusal looks like, as "Code message", and what helps. The first match counts.
REMEDIES = {
    r"not authorized to perform:? (?P<action>[\w-]+:\w+)": "let the role do {action}; container/policy.json lists all "
    "that is needed",
    r"^(\w*AccessDenied\w*|403|Forbidden) ": "let the role do {action}; container/policy.json lists all that is needed",
    r"^\w*LimitExceeded\w* ": "ask for more of it under Service Quotas, SageMaker, in this region, or name another "
    "instance type",
    r"^(ExpiredToken(Exception)?|InvalidClientTokenId|UnrecognizedClientException) ": "the credentials have expired or "
    "are not valid: sign in again, and check AWS_PROFILE",
    r"image .*not found|cannot find repository|Manifest.*not|unsupported manifest": "push the image with 'make push' "
    "from this commit, or name one with the parameter image",
    r"^ResourceInUse |already exist": "the name is taken: run the notebook again, names carry the time",
    r"^NoSuchBucket ": "name a bucket of this account and region with the parameter bucket",
    r"role": "the parameter role must be a role that sagemaker.amazonaws.com may assume, and you may pass",
}


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn AWS's errors into what to do.

    Raises
    ------
    DeployError
        AWS refused a request.
    UnreachableError
        There are no credentials or no network.
    """
    try:
        yield
    except exceptions.ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        advice = ""
        for pattern, remedy in REMEDIES.items():
            if match := re.search(pattern, f"{code} {message}", re.IGNORECASE):
                advice = "\n" + remedy.format(**{"action": error.operation_name} | match.groupdict())
                break
        raise DeployError(f"{doing}: {message} [{code}]{advice}") from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        remedy = "set credentials up with 'aws configure', AWS_PROFILE or a notebook instance's role"
        raise UnreachableError(f"{doing}: {error}\n{remedy}") from None
    except (exceptions.EndpointConnectionError, exceptions.HTTPClientError) as error:
        remedy = "check region and network; names of regions look like eu-west-1"
        raise UnreachableError(f"{doing}: {error}\n{remedy}") from None
