"""The queue: a key at most once, on one thread at a time, and later and later after failures."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from transship.errors import NeedsHuman, Reason, RetryLater
from transship.operator import queue as queue_module
from transship.operator.queue import WorkQueue

PATIENCE_SECONDS = 10.0


class Handler:
    """Records what it was given; a gate can hold it, and each key can have a mistake to make."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.mistakes: dict[str, list[Exception]] = {}
        self.running: set[str] = set()
        self.overlapped = False
        self.gate = threading.Event()
        self.gate.set()
        self._changed = threading.Condition()

    def __call__(self, key: str) -> None:
        with self._changed:
            self.overlapped |= key in self.running
            self.running.add(key)
            self.seen.append(key)
            self._changed.notify_all()
        self.gate.wait(PATIENCE_SECONDS)
        with self._changed:
            self.running.discard(key)
            self._changed.notify_all()
        if self.mistakes.get(key):
            raise self.mistakes[key].pop(0)

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        with self._changed:
            assert self._changed.wait_for(is_so, PATIENCE_SECONDS), f"{what}; seen: {self.seen}"


@pytest.fixture
def handler() -> Handler:
    return Handler()


@contextmanager
def _running(handler: Callable[[str], None], workers: int = 1) -> Iterator[WorkQueue[str]]:
    queue = WorkQueue("test", handler, workers)
    queue.start()
    try:
        yield queue
    finally:
        assert queue.stop(PATIENCE_SECONDS)


def test_a_key_added_many_times_is_worked_on_once(handler: Handler) -> None:
    queue = WorkQueue("test", handler, 1)
    for _ in range(5):
        queue.add("a")
    queue.add("last")

    queue.start()

    handler.wait_until(lambda: "last" in handler.seen, "both keys are worked on")
    assert queue.stop(PATIENCE_SECONDS)
    assert handler.seen == ["a", "last"]


def test_an_earlier_time_replaces_a_later_one(handler: Handler) -> None:
    with _running(handler) as queue:
        queue.add("a", delay=3600)

        queue.add("a", delay=0)

        handler.wait_until(lambda: handler.seen == ["a"], "the earlier time counts")
        assert queue.depth() == 0


def test_a_later_time_does_not_replace_an_earlier_one(handler: Handler) -> None:
    queue = WorkQueue("test", handler, 1)
    queue.add("a")
    queue.add("a", delay=3600)

    queue.start()

    handler.wait_until(lambda: handler.seen == ["a"], "the earlier time is kept")
    assert queue.stop(PATIENCE_SECONDS)


def test_a_key_whose_time_has_not_come_does_not_hold_up_others(handler: Handler) -> None:
    with _running(handler) as queue:
        queue.add("later", delay=3600)
        queue.add("now")

        handler.wait_until(lambda: handler.seen == ["now"], "the other key is worked on")
        assert (queue.depth(), queue.oldest_seconds()) == (0, 0.0)


def test_a_key_is_due_no_earlier_than_its_delay(handler: Handler) -> None:
    with _running(handler) as queue:
        started = time.monotonic()

        queue.add("a", delay=0.2)

        handler.wait_until(lambda: handler.seen == ["a"], "its time comes")
        assert time.monotonic() - started >= 0.2


def test_a_key_added_while_it_is_worked_on_comes_again_afterwards_and_never_twice_at_once(handler: Handler) -> None:
    with _running(handler, workers=4) as queue:
        handler.gate.clear()
        queue.add("a")
        handler.wait_until(lambda: handler.seen == ["a"], "a is begun")

        queue.add("a")
        queue.add("b")
        handler.wait_until(lambda: "b" in handler.seen, "another key is not held up")
        assert handler.seen == ["a", "b"]
        handler.gate.set()

        handler.wait_until(lambda: handler.seen.count("a") == 2, "a comes again")
    assert not handler.overlapped
    assert handler.seen == ["a", "b", "a"]


def test_no_key_is_ever_on_two_threads_however_wildly_it_is_added(handler: Handler) -> None:
    with _running(handler, workers=8) as queue:

        def add_many() -> None:
            for key in "abc" * 200:
                queue.add(key)

        adders = [threading.Thread(target=add_many) for _ in range(4)]
        for thread in adders:
            thread.start()
        for thread in adders:
            thread.join()
        queue.add("last")
        handler.wait_until(lambda: "last" in handler.seen and not handler.running, "all is done")
    assert not handler.overlapped


@pytest.mark.parametrize(
    "mistake",
    [
        RetryLater(Reason.THROTTLED, "slow down"),
        NeedsHuman(Reason.DENIED, "not allowed"),
        ValueError("our own mistake"),
        KeyError("another"),
    ],
)
def test_whatever_is_raised_the_worker_goes_on_and_the_key_comes_back(
    handler: Handler, mistake: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "_FIRST_BACKOFF", 0.01)
    monkeypatch.setattr(queue_module, "_LAST_BACKOFF", 0.01)
    handler.mistakes["a"] = [mistake]
    with _running(handler) as queue:
        queue.add("a")

        handler.wait_until(lambda: handler.seen == ["a", "a"], "the key comes back")
        assert queue.is_alive


def test_a_key_that_was_told_to_wait_comes_back_no_earlier(handler: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "_FIRST_BACKOFF", 0.01)
    handler.mistakes["a"] = [RetryLater(Reason.THROTTLED, "slow down", after=0.3)]
    with _running(handler) as queue:
        queue.add("a")
        handler.wait_until(lambda: handler.seen == ["a"], "it is begun")
        started = time.monotonic()

        handler.wait_until(lambda: handler.seen == ["a", "a"], "it comes back")
        assert time.monotonic() - started >= 0.25


def _delays_of(queue: WorkQueue[str], times: int) -> list[float]:
    """How far in the future each retry of a key is set; nothing runs."""
    delays = []
    for _ in range(times):
        queue.retry("a")
        delays.append(queue._due.pop("a") - time.monotonic())
    return delays


def test_back_off_grows_to_a_ceiling_with_jitter(handler: Handler) -> None:
    delays = _delays_of(WorkQueue("test", handler, 1), 12)

    for number, delay in enumerate(delays):
        ceiling = min(60.0, 2.0**number)
        assert ceiling / 2 - 0.1 <= delay <= ceiling
    assert max(delays) > 25


def test_back_off_begins_anew_after_a_key_did_well(handler: Handler) -> None:
    queue = WorkQueue("test", handler, 1)
    _delays_of(queue, 8)

    queue.forget("a")

    assert _delays_of(queue, 1)[0] <= 1.0


def test_a_key_that_waits_for_a_thread_is_counted_and_timed(handler: Handler) -> None:
    with _running(handler) as queue:
        handler.gate.clear()
        queue.add("a")
        handler.wait_until(lambda: handler.seen == ["a"], "the only thread is busy")

        queue.add("b")

        assert queue.depth() == 1
        first = queue.oldest_seconds()
        assert 0 <= first <= queue.oldest_seconds()
        handler.gate.set()
        handler.wait_until(lambda: "b" in handler.seen, "b gets its thread")
        assert queue.depth() == 0


def test_stop_ends_idle_threads_at_once_and_takes_no_more_keys(handler: Handler) -> None:
    queue = WorkQueue("test", handler, 4)
    queue.start()
    assert queue.is_alive
    queue.add("later", delay=3600)

    assert queue.stop(PATIENCE_SECONDS)

    assert not queue.is_alive
    queue.add("a")
    assert handler.seen == []


def test_stop_says_when_a_thread_is_still_at_work(handler: Handler) -> None:
    queue = WorkQueue("test", handler, 1)
    queue.start()
    handler.gate.clear()
    queue.add("a")
    handler.wait_until(lambda: handler.seen == ["a"], "a is begun")

    assert not queue.stop(0.05)

    handler.gate.set()
    assert queue.stop(PATIENCE_SECONDS)


def test_a_right_that_was_missing_is_tried_again_at_once_as_it_may_have_been_given(handler: Handler) -> None:
    handler.mistakes["a"] = [NeedsHuman(Reason.DENIED, "not allowed")]
    with _running(handler) as queue:
        queue.add("a")
        handler.wait_until(lambda: handler.seen == ["a", "a"], "it comes back")
