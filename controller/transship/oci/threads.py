"""Worker threads of this process: a bounded number, started when there is work, and never waited for at the end.

`concurrent.futures` joins its threads when the interpreter ends; one of ours may sit in a read from a registry that
went silent, and nobody who has cancelled a copy wants to wait for that.

A call sees the context variables of whoever asked for it, so that it is known what it works for.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from functools import partial
from typing import TypeVar

Result = TypeVar("Result")
_LINGER_SECONDS = 30.0
_LOOK_EVERY = 0.2


class Threads:
    """Runs calls in at most so many threads. Thread-safe.

    Args:
        limit: threads at most.
        name: of the threads, for people who look.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._waiting: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0

    def start(self, call: Callable[[], None]) -> None:
        """Run a call, which must not raise, as soon as a thread is free."""
        with self._changed:
            self._waiting.append(partial(copy_context().run, call))
            if self._idle >= len(self._waiting) or self._threads >= self._limit:
                self._changed.notify()
                return
            self._threads += 1
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def submit(self, call: Callable[[], Result]) -> "Future[Result]":
        """Run a call and give its result later."""
        future: Future[Result] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
                future.set_exception(error)

        self.start(run)
        return future

    def all(self, calls: Iterable[Callable[[], Result]], check: Callable[[], None] | None = None) -> Sequence[Result]:
        """Run calls, at the same time as far as there are threads; the results in their order.

        When one fails, those that have not begun are left.

        Args:
            calls: what to run.
            check: raises when nobody waits for the results any more; asked several times a second.

        Raises:
            Exception: the first one of them that a call raised, or what `check` raised.
        """
        wanted = list(calls)
        if len(wanted) == 1 and check is None:
            return [wanted[0]()]
        futures = [self.submit(call) for call in wanted]
        try:
            if check is not None:
                for future in futures:
                    while not wait([future], _LOOK_EVERY).done:
                        check()
                    future.result()
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                is_called = self._changed.wait_for(lambda: bool(self._waiting), _LINGER_SECONDS)
                self._idle -= 1
                if not is_called:
                    self._threads -= 1
                    return
                call = self._waiting.popleft()
            call()
