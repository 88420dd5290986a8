"""`python -m fraud_utils.local_sagemaker` serves SageMaker's API on this machine."""

import argparse
import contextlib
import os
import queue
import signal
import sys
import threading

from fraud_utils.local_sagemaker.programs import missing
from fraud_utils.local_sagemaker.server import start

PING_SECONDS = 8 * 60  # as long as SageMaker waits for the first /ping


def main() -> int:
    """Serve until SIGINT or SIGTERM, or until standard input closes where that is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m fraud_utils.local_sagemaker",
        description="SageMaker's API on a loopback address, running this project's train and serve.",
    )
    parser.add_argument("--port", type=int, default=0, help="to listen on; a free one when it is not given")
    parser.add_argument("--engine", default="", help="docker or podman: run the image that a request names in it")
    parser.add_argument(
        "--ping-seconds", type=float, default=PING_SECONDS, help="how long an endpoint may take to answer /ping"
    )
    parser.add_argument("--owned", action="store_true", help="end when standard input closes, as its owner's end does")
    options = parser.parse_args()
    if not options.engine and (message := missing()):
        parser.error(message)
    ended: queue.SimpleQueue[bool] = queue.SimpleQueue()  # an Event that is waited for must not be set by a handler
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.put(True))
    account = start(options.port, options.engine, options.ping_seconds)
    print(account.address, flush=True)
    if options.owned:
        threading.Thread(target=_watch, args=(ended,), daemon=True).start()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads on
    else:
        print(f"point clients at it:  export AWS_ENDPOINT_URL={account.address} AWS_DEFAULT_REGION=us-east-1 ", end="")
        print("AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local", flush=True)
    while True:
        with contextlib.suppress(queue.Empty):
            ended.get(timeout=1)  # a signal that another thread takes does not wake this one
            break
    account.close()
    return 0


def _watch(ended: queue.SimpleQueue[bool]) -> None:
    while os.read(0, 1024):
        pass
    ended.put(True)


if __name__ == "__main__":
    sys.exit(main())
