"""Turns: some registries count requests, and whoever asks too often is refused.

Who knows a registry's rates fills the port; the client only says what it is about to send and how that ended.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    """What a path of the distribution API leads to."""

    MANIFEST = "manifest"
    BLOB = "blob"
    UPLOAD = "upload"
    TAGS = "tags"
    REFERRERS = "referrers"


class Pace(Protocol):
    """Gives requests to one registry their turns. Thread-safe."""

    def turn(self, method: str, kind: str) -> Callable[[int, float | None], None]:
        """Wait for a request's turn.

        What is returned is to be called with the answer's status (0 when none came) and Retry-After.

        Raises:
            RetryLater: Throttled, when the turn is too far away to wait for.
        """


class Unpaced:
    """Every request may go at once."""

    def turn(self, method: str, kind: str) -> Callable[[int, float | None], None]:  # noqa: ARG002 - the port's
        """See `Pace`."""
        return lambda _status, _retry_after: None
