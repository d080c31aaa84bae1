"""Looking whether destinations hold images, in a bounded time and with bounded threads.

A registry that is silent keeps its threads busy until its own time-outs end them; so each has threads of its own.
Nobody waits for that: a question that is not answered in time is left alone, one that is being asked already is shared,
and when too many are open no more are asked.
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait

from transship.admission.ports import Destinations
from transship.errors import Reason, RetryLater
from transship.oci.reference import Reference
from transship.oci.threads import Result, Threads
from transship.promotion.policy import Route

_REMEMBERED = 30.0
_THREADS = 8
_MAX_OPEN = 256
_MAX_REMEMBERED = 20_000
_Key = tuple[str, Reference]
"""Name of a policy and what is looked for: another policy may not see what this one may."""


class Looking:
    """Asks destinations. Thread-safe.

    Args:
        destinations: opens them.
        clock: seconds that only grow.
    """

    def __init__(self, destinations: Destinations, clock: Callable[[], float] = time.monotonic) -> None:
        self._destinations = destinations
        self._clock = clock
        self._threads: dict[str, Threads] = {}
        self._lock = threading.Lock()
        self._seen: dict[_Key, float] = {}
        self._open: dict[_Key, Future[bool]] = {}

    def within(self, seconds: float, call: Callable[[], Result]) -> Result:
        """The result of a call.

        Raises:
            RetryLater: it takes longer.
            Exception: what the call raises.
        """
        return _result(self._threads_for("").submit(call), seconds)

    def missing(self, routes: Iterable[Route], seconds: float) -> list[Route]:
        """Those routes whose destination does not hold the image.

        Raises:
            RetryLater: an answer did not come in time, or too much is being asked already.
            Exception: whatever a registry raised.
        """
        until = self._clock() + seconds
        asked = [(each, self._ask(each)) for each in routes]
        wait([future for _, future in asked if future is not None], max(0.0, until - self._clock()))
        return [each for each, future in asked if future is not None and not _result(future, 0.0)]

    def _ask(self, route: Route) -> Future[bool] | None:
        """Ask, or join who is asking; None when it was seen a short while ago."""
        key = (route.policy.name, route.destination)
        with self._lock:
            if self._seen.get(key, 0.0) > self._clock():
                return None
            if key in self._open:
                return self._open[key]
            if len(self._open) >= _MAX_OPEN:
                raise RetryLater(Reason.THROTTLED, "too many images are being looked for at the moment")
            future: Future[bool] = Future()
            self._open[key] = future
        self._threads_for(route.destination.repository.registry.host).start(lambda: self._look(key, route, future))
        return future

    def _threads_for(self, host: str) -> Threads:
        with self._lock:
            return self._threads.setdefault(host, Threads(_THREADS, "look"))

    def _look(self, key: _Key, route: Route, future: Future[bool]) -> None:
        try:
            store = self._destinations.destination(route.policy, route.destination.repository)
            is_there = store.resolve(route.destination.target) is not None
        except BaseException as error:  # noqa: BLE001 - whoever waits for the answer gets it
            self._close(key, is_there=False)
            future.set_exception(error)
            return
        self._close(key, is_there=is_there)
        future.set_result(is_there)

    def _close(self, key: _Key, *, is_there: bool) -> None:
        now = self._clock()
        with self._lock:
            del self._open[key]
            if not is_there:
                return
            if len(self._seen) >= _MAX_REMEMBERED:
                self._seen = {each: until for each, until in self._seen.items() if until > now}
            if len(self._seen) < _MAX_REMEMBERED:
                self._seen[key] = now + _REMEMBERED


def _result(future: Future[Result], seconds: float) -> Result:
    try:
        return future.result(seconds)
    except TimeoutError as error:
        if future.done():
            return future.result()  # it came just now, or the error is the call's own
        raise RetryLater(Reason.UNREACHABLE, "no answer within the time a review may take") from error
