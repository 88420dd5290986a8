"""`python -m fraud_utils.deploy cleanup` deletes what deployments left, from anywhere."""

import argparse
import os
import re
import sys
from datetime import UTC, datetime, timedelta

from botocore import exceptions

from fraud_utils.deploy.cleanup import cleanup
from fraud_utils.deploy.errors import DeployError
from fraud_utils.deploy.place import Place
from fraud_utils.deploy.resources import Scope, find
from fraud_utils.deploy.session import ADDRESS, connection


def age(text: str) -> timedelta:
    """An age as it is typed."""
    match = re.fullmatch(r"(\d+)([mhd])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; write 45m, 6h or 2d")
    return timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[match[2]]: int(match[1])})


def main(arguments: list[str] | None = None) -> int:
    """Delete, and say what; 1 where something is left or was refused."""
    parser = argparse.ArgumentParser(prog="python -m fraud_utils.deploy")
    command = parser.add_subparsers(required=True).add_parser(
        "cleanup", help="delete what notebook 03 made and left: endpoints, configurations, models, jobs, data"
    )
    command.add_argument("--run", default="", help="the run's name, as in runs/NAME")
    command.add_argument("--older-than", type=age, metavar="AGE", help="only what is older: 45m, 6h, 2d")
    command.add_argument("--deployment", default="", help="one deployment only, by the name that its notebook shows")
    command.add_argument("--target", default="aws", choices=("aws", "local"), help="local needs AWS_ENDPOINT_URL")
    command.add_argument("--region", default="", help="AWS_REGION's or the profile's when it is not given")
    command.add_argument("--bucket", default="", help="of the data; SageMaker's default bucket when it is not given")
    command.add_argument("--prefix", default="fraud-detection", help="of the data in the bucket")
    options = parser.parse_args(arguments)
    if not options.run and options.older_than is None:
        command.error("name a run with --run, or an age with --older-than for all runs")
    if options.target == "local" and not os.environ.get(ADDRESS):
        print(f"no {ADDRESS}: SageMaker on this machine ended with its notebook, and nothing is left of it")
        return 0
    before = None if options.older_than is None else datetime.now(UTC) - options.older_than
    scope = Scope(options.run, options.deployment, before)
    try:
        here = connection(options.target, options.region)
        place = Place(bucket=options.bucket, prefix=options.prefix)
        deleted = cleanup(here, scope, place, say=lambda text: print(f"deleting {text}", flush=True))
        left = find(here, scope)
    except (DeployError, exceptions.BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if left:
        print(f"error: still there: {', '.join(left)}; run this again", file=sys.stderr)
        return 1
    print("nothing was left" if not deleted else f"deleted {deleted}; nothing is left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
