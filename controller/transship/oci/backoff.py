"""Waiting between attempts: exponential, with full jitter, and never before the other side wants to be asked again."""

import random
import threading
import time
from collections.abc import Callable

FIRST_SECONDS = 0.2
MAX_SECONDS = 10.0
MAX_ASKED_SECONDS = 60.0
"""Whoever asks to be left alone for longer is asked again by another attempt of the whole."""
_LOOK_EVERY = 0.2


class Backoff:
    """The waits of one piece of work that is tried several times.

    Args:
        attempts: how often it may be tried again.
    """

    def __init__(self, attempts: int) -> None:
        self._left = attempts
        self._ceiling = FIRST_SECONDS

    def rest(self, asked: float | None, is_over: Callable[[], bool]) -> bool:
        """Wait for the next attempt; False when there is none, because of their number or of `is_over`.

        Args:
            asked: seconds the other side wants to be left alone; None when it did not say.
            is_over: nobody wants the work any more; asked while waiting.
        """
        if not self._left or (asked or 0.0) > MAX_ASKED_SECONDS or is_over():
            return False
        self._left -= 1
        wait = (asked or 0.0) + random.uniform(0.0, self._ceiling)
        self._ceiling = min(MAX_SECONDS, 2 * self._ceiling)
        deadline = time.monotonic() + wait
        while (left := deadline - time.monotonic()) > 0:
            if is_over():
                return False
            _NEVER.wait(min(left, _LOOK_EVERY))
        return True


_NEVER = threading.Event()
