"""Turns: some registries count requests, and whoever asks too often is refused.

Who knows a registry's rates fills the port; the client only says what it is about to send and how that ended. For
registries whose rates nobody knows there is a `Gate`, which learns them by being refused.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol

from transship.errors import Reason, RetryLater
from transship.oci.reference import Registry


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


MAX_WAIT_SECONDS = 60.0
"""Whoever would wait longer is told to come again later, so that a worker is not lost meanwhile."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 32.0
_LONGEST_CLOSED = 24 * 3600.0  # a slip of the pen must not silence a registry until we are started anew


@dataclass(frozen=True, slots=True)
class Time:
    """What passes, as an argument.

    Attributes:
        now: seconds that only grow.
        wait: waits on a condition, for so many seconds at most.
        between: a number between two others, by chance (full jitter).
    """

    now: Callable[[], float] = time.monotonic
    wait: Callable[[threading.Condition, float], object] = threading.Condition.wait
    between: Callable[[float, float], float] = random.uniform


class Gate:
    """The way to one registry, shared by all who go there. Thread-safe; implements `Pace`.

    A throttled request closes the gate for everybody: for as long as Retry-After says, or for a time that doubles from
    one to the next, by chance between nothing and all of it. It also halves the number of requests that may be under
    way at once; every answer that is none gives back a part of one. Requests that were sent before the gate closed say
    nothing new about it when they come back throttled, too; only their Retry-After counts.

    Bytes on their way up are not counted among the requests under way: they may be waiting for an answer of this very
    registry.

    Args:
        host: for messages.
        most: how many requests may be under way at once when all is well.
    """

    def __init__(self, host: str, most: int = 32, passing: Time | None = None) -> None:
        self._host = host
        self._most = most
        self._time = passing or Time()
        self._changed = threading.Condition()
        self._room = float(most)
        self._under_way = 0
        self._closed_at = self._closed_until = -1.0
        self._in_a_row = 0

    def turn(self, method: str, kind: str) -> Callable[[int, float | None], None]:
        """See `Pace`."""
        place = 0 if method in {"PATCH", "PUT"} and kind == Kind.UPLOAD else 1
        with self._changed:
            deadline = self._time.now() + MAX_WAIT_SECONDS
            while (seconds := self._wait(place, deadline)) > 0:
                self._time.wait(self._changed, seconds)
            self._under_way += place
            began = self._time.now()
        return lambda status, retry_after: self._answered(place, began, status, retry_after)

    def _wait(self, place: int, deadline: float) -> float:
        """How long to wait before looking again; 0 for not at all."""
        now = self._time.now()
        if (closed := self._closed_until - now) > 0:
            if self._closed_until > deadline:
                raise self._too_far(f"wants to be left alone for {closed:.0f} s", closed)
            return closed
        if not place or self._under_way < int(self._room):
            return 0.0
        if now >= deadline:
            raise self._too_far(f"has {self._under_way} requests of ours under way and takes no more")
        return deadline - now

    def _answered(self, place: int, began: float, status: int, retry_after: float | None) -> None:
        with self._changed:
            self._under_way -= place
            busy = status == HTTPStatus.SERVICE_UNAVAILABLE and retry_after is not None
            if busy or status == HTTPStatus.TOO_MANY_REQUESTS:
                self._close(began, retry_after)
            elif status:
                self._room = min(float(self._most), self._room + 1 / self._room)
                self._in_a_row = self._in_a_row if began <= self._closed_at else 0
            self._changed.notify_all()

    def _close(self, began: float, retry_after: float | None) -> None:
        now = self._time.now()
        is_news = began > self._closed_at
        if is_news:
            self._room = max(1.0, self._room / 2)
            self._closed_at = now
            self._in_a_row += 1
        if retry_after is not None:
            self._closed_until = max(self._closed_until, now + min(retry_after, _LONGEST_CLOSED))
        elif is_news:
            ceiling = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (self._in_a_row - 1))
            self._closed_until = max(self._closed_until, now + self._time.between(0.0, ceiling))

    def _too_far(self, why: str, after: float | None = None) -> RetryLater:
        return RetryLater(Reason.THROTTLED, f"{self._host} {why}", after=after)


class Gates:
    """The gates of a process, one for each registry. Thread-safe.

    Args:
        most: how many requests may be under way at each registry when all is well.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._gates: dict[str, Gate] = {}

    def of(self, registry: Registry) -> Gate:
        """The gate of a registry."""
        with self._lock:
            return self._gates.setdefault(registry.host, Gate(registry.host, self._most))
