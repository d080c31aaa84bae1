"""The work queue: keys, not events.

A key is in the queue at most once, however often it is added; the earliest time wins. One key is worked on by one
thread at a time; added meanwhile, it comes again afterwards. Failures come back later and later, with full jitter.
"""

import heapq
import random
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

import structlog

from transship.errors import NeedsHuman, Reason, RetryLater

K = TypeVar("K", bound=Hashable)
_FIRST_BACKOFF, _LAST_BACKOFF = 1.0, 60.0
_log = structlog.get_logger(__name__)


class WorkQueue(Generic[K]):
    """A de-duplicating queue of keys with bounded worker threads.

    Args:
        name: for thread names, logs and metrics.
        handle: works on a key; what it raises is logged and the key comes back later.
        workers: number of threads.
        about: what every line of the log says that is written while a key is worked on.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[K], None],
        workers: int,
        about: Callable[[K], Mapping[str, str]] = lambda _: {},
    ) -> None:
        self._name = name
        self._handle = handle
        self._about = about
        self._changed = threading.Condition()
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._active: set[K] = set()
        self._failures: dict[K, int] = {}
        self._count = 0
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(workers)
        ]

    def start(self) -> None:
        """Start the worker threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> bool:
        """Take no more keys and wait for the threads, `seconds` at most in all; whether they all ended."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def add(self, key: K, delay: float = 0.0) -> None:
        """Have a key worked on, not before `delay` seconds; an earlier time already set is kept."""
        due = time.monotonic() + delay
        with self._changed:
            if key in self._due and self._due[key] <= due:
                return
            self._due[key] = due
            self._count += 1
            heapq.heappush(self._heap, (due, self._count, key))
            self._changed.notify()

    def retry(self, key: K, not_before: float = 0.0) -> None:
        """Have a key worked on again after a failure: exponential back-off with full jitter, `not_before` at least."""
        with self._changed:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
        ceiling = min(_LAST_BACKOFF, _FIRST_BACKOFF * 2 ** min(failures - 1, 10))
        self.add(key, not_before + random.uniform(ceiling / 2, ceiling))

    def forget(self, key: K) -> None:
        """The key did well: its next failure starts from the beginning."""
        with self._changed:
            self._failures.pop(key, None)

    @property
    def is_alive(self) -> bool:
        """All worker threads are there to work."""
        return all(thread.is_alive() for thread in self._threads)

    def depth(self) -> int:
        """Keys that are due and wait for a thread."""
        now = time.monotonic()
        with self._changed:
            return sum(due <= now for due in self._due.values())

    def oldest_seconds(self) -> float:
        """How long the key that has been due for longest has waited for a thread."""
        now = time.monotonic()
        with self._changed:
            waiting = (now - due for key, due in self._due.items() if due <= now and key not in self._active)
            return max(waiting, default=0.0)

    def _work(self) -> None:
        while (key := self._take()) is not None:
            try:
                with structlog.contextvars.bound_contextvars(**self._about(key)):
                    self._work_on(key)
            finally:
                self._release(key)

    def _work_on(self, key: K) -> None:
        try:
            self._handle(key)
        except RetryLater as error:
            _log.warning("reconcile has to wait", queue=self._name, key=str(key), reason=error.reason, note=str(error))
            self.retry(key, error.after or 0.0)
        except NeedsHuman as error:
            _log.error("reconcile cannot go on", queue=self._name, key=str(key), reason=error.reason, note=str(error))
            # A right may have been given a moment ago; whatever else a human has to mend takes a human.
            self.retry(key, 0.0 if error.reason is Reason.DENIED else _LAST_BACKOFF)
        except Exception:  # noqa: BLE001 - a worker thread outlives every mistake made on it
            _log.exception("reconcile failed", queue=self._name, key=str(key))
            self.retry(key)

    def _take(self) -> K | None:
        with self._changed:
            while not self._stopping:
                key, wait = self._next()
                if key is not None:
                    self._active.add(key)
                    del self._due[key]
                    return key
                self._changed.wait(wait)
            return None

    def _next(self) -> tuple[K | None, float | None]:
        """The next key that is due and free, or how long to wait for one."""
        held: list[tuple[float, int, K]] = []
        found, wait = None, None
        now = time.monotonic()
        while self._heap:
            due, count, key = self._heap[0]
            if self._due.get(key) != due:  # superseded by an earlier time
                heapq.heappop(self._heap)
                continue
            if due > now:
                wait = due - now
                break
            heapq.heappop(self._heap)
            if key in self._active:
                held.append((due, count, key))
                continue
            found = key
            break
        for entry in held:
            heapq.heappush(self._heap, entry)
        return found, wait

    def _release(self, key: K) -> None:
        with self._changed:
            self._active.discard(key)
            self._changed.notify()
