"""Waiting for a state, never for a time: tests hold on a slow machine."""

import time
from collections.abc import Callable

HANGS = 300.0  # seconds after which nothing is slow any more, but stuck


def until[T](check: Callable[[], T], what: str) -> T:
    """The first true value that `check` gives; fails, saying `what` was waited for, where it never comes."""
    end, pause = time.monotonic() + HANGS, 0.02
    while time.monotonic() < end:
        asked = time.monotonic()
        if value := check():
            return value
        time.sleep(max(pause, 2 * (time.monotonic() - asked)))  # asking costs the processor that is waited for
        pause = min(1.1 * pause, 0.2)
    raise AssertionError(f"{what} did not happen in {HANGS:.0f} seconds")
