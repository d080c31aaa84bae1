"""Waiting for what another process is about to do."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE_SECONDS = 45.0
_POLL_SECONDS = 0.1


def eventually(
    look: Callable[[], T | None], what: str, *, seconds: float = PATIENCE_SECONDS, poll: float = _POLL_SECONDS
) -> T:
    """Look until there is something to see (not None, False or empty), and return it.

    An AssertionError while looking counts as "not yet"; the last one is told when time is up.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen: T | None = None
        reason = "nothing was seen"
        try:
            seen = look()
        except AssertionError as error:
            reason = str(error)
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; at last: {reason}")
        time.sleep(poll)
