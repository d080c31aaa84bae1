"""Sending again what can be sent again, a few times and never at once with everybody else.

What is tried again is what says of itself that it passes: 429, 503, and a connection that was closed. Everything else
is an answer. A wait that somebody asks for is kept in full; one that is too long to stand around for is left to whoever
tries the whole again.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from urllib3.exceptions import ProtocolError

from transship.registry.answer import Answer
from transship.registry.failures import retry_after
from transship.registry.transport import finish

MAX_WAIT_SECONDS = 60.0
"""For all attempts of one request together."""
_AGAIN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and how long.

    Attributes:
        attempts: how often a request is sent at most.
        first: seconds within which it is sent again for the first time; the time doubles with every attempt.
        sleep: waits so many seconds.
        between: a number between two others, by chance (full jitter).
    """

    attempts: int = 4
    first: float = 0.5
    sleep: Callable[[float], None] = time.sleep
    between: Callable[[float, float], float] = random.uniform

    def send(self, once: Callable[[], Answer]) -> Answer:
        """The answer to a request that can be repeated, or the last of its refusals.

        Raises:
            urllib3.exceptions.HTTPError: the network failed.
            TransshipError: whatever `once` raises.
        """
        left = MAX_WAIT_SECONDS
        for attempt in range(self.attempts - 1):
            ceiling = self.first * 2**attempt
            try:
                response = once()
            except ProtocolError as error:
                if not _is_hung_up(error):
                    raise
                # A kept connection may be closed at any time: the first new one is made at once.
                ceiling = ceiling if attempt else 0.0
                asked = 0.0
            else:
                asked = retry_after(response) or 0.0
                if response.status not in _AGAIN or asked > left:
                    return response
                finish(response)
            left -= asked
            self.sleep(asked + self.between(0.0, ceiling))
        return once()


def _is_hung_up(error: ProtocolError) -> bool:
    """Whether the other side closed the connection: what a kept connection may do at any time (RFC 9112, 9.3.1)."""
    return any(isinstance(each, ConnectionError) for each in error.args)
