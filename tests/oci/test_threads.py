"""Worker threads: no more than allowed, results in order, a failure stops what has not begun, nobody is held up."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from oci.moving import wait_until
from transship.oci import threads
from transship.oci.threads import Threads


def count(name: str) -> int:
    return sum(each.name == name for each in threading.enumerate())


def test_results_come_in_the_order_of_the_calls_whoever_is_first() -> None:
    def call(number: int) -> Callable[[], int]:
        def run() -> int:
            time.sleep(0.002 * (5 - number))
            return number

        return run

    assert list(Threads(5, "order").all(map(call, range(5)))) == [0, 1, 2, 3, 4]


def test_no_more_run_at_once_than_allowed_and_all_of_them_are_used() -> None:
    lock, running = threading.Lock(), [0, 0]

    def call() -> None:
        with lock:
            running[0] += 1
            running[1] = max(running)
        time.sleep(0.005)
        with lock:
            running[0] -= 1

    Threads(3, "bound").all([call] * 30)
    assert running == [0, 3]
    assert count("bound") <= 3


def test_a_single_call_is_made_by_who_asks() -> None:
    assert Threads(3, "alone").all([threading.current_thread]) == [threading.current_thread()]


def test_nothing_to_do_is_done() -> None:
    assert list(Threads(1, "nothing").all([])) == []


def test_the_first_failure_is_raised_and_what_has_not_begun_is_left() -> None:
    done: list[int] = []
    goes_on = threading.Event()

    def fail() -> None:
        raise LookupError

    pool = Threads(1, "failing")
    with pytest.raises(LookupError):
        pool.all([fail, lambda: goes_on.wait(10), *[lambda: done.append(1)] * 50])
    goes_on.set()
    pool.submit(lambda: None).result(10)
    assert done == []


def test_who_is_not_waited_for_any_more_does_not_hold_up_who_waited() -> None:
    is_free = threading.Event()

    def check() -> None:
        raise InterruptedError

    begun = time.monotonic()
    with pytest.raises(InterruptedError):
        Threads(2, "stuck").all([lambda: is_free.wait(30)], check)
    assert time.monotonic() - begun < 2
    is_free.set()


def test_threads_go_when_there_has_been_nothing_to_do_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_LINGER_SECONDS", 0.01)
    Threads(4, "leaving").all([lambda: time.sleep(0.01)] * 8)
    wait_until(lambda: not count("leaving"))


def test_a_thread_that_is_about_to_leave_loses_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_LINGER_SECONDS", 0.0005)
    pool = Threads(2, "flickering")
    for number in range(200):
        assert pool.submit(lambda number=number: number).result(5) == number  # type: ignore[misc] # a default argument
        time.sleep(0.0005)


def test_a_thread_that_hangs_does_not_keep_the_process_from_ending() -> None:
    program = (
        "import threading; from transship.oci.threads import Threads\n"
        "Threads(1, 'x').start(lambda: threading.Event().wait()); print('ends')"
    )
    ended = subprocess.run([sys.executable, "-c", program], timeout=20, capture_output=True, text=True, check=True)
    assert ended.stdout == "ends\n"
