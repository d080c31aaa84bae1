"""A value that many want, one gets, and all keep for a while: tokens and logins."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from transship.errors import RetryLater, TransshipError

T = TypeVar("T")


class Held(Generic[T]):
    """One such value. Thread-safe.

    Whoever waited while it was being got, and could not be, hears the same: a server in trouble is not asked once more
    by each of them in turn.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._value: tuple[T, float] | None = None
        self._problem: TransshipError | None = None
        self._tries = 0

    def peek(self) -> tuple[T] | None:
        """The value, while it is good; nothing is asked of anybody."""
        value = self._value
        return (value[0],) if value is not None and self._clock() < value[1] else None

    def get(self, fetch: Callable[[], tuple[T, float]]) -> T:
        """The value, fetched when there is none that is good.

        Args:
            fetch: gives a value and for how many seconds it is good.

        Raises:
            TransshipError: what `fetch` raises.
        """
        tries = self._tries
        with self._lock:
            if (held := self.peek()) is not None:
                return held[0]
            if self._problem is not None and self._tries != tries:
                raise _again(self._problem)
            return self._fetched(fetch)

    def drop(self, value: T | None = None) -> None:
        """Keep it no longer; unless it is another one by now, when it is said which is meant."""
        with self._lock:
            if value is None or (self._value is not None and self._value[0] == value):
                self._value = None

    def _fetched(self, fetch: Callable[[], tuple[T, float]]) -> T:
        self._problem = None
        try:
            value, seconds = fetch()
        except TransshipError as error:
            self._problem = error
            raise
        finally:
            self._tries += 1
        self._value = (value, self._clock() + seconds)
        return value


def _again(error: TransshipError) -> TransshipError:
    # One of its own for each thread: side, step and traceback are written into it on the way up.
    if isinstance(error, RetryLater):
        return RetryLater(error.reason, error.message, after=error.after)
    return type(error)(error.reason, error.message)
