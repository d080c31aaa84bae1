"""Waiting between attempts: never before the other side wants it, longer each time, and over when nobody wants it."""

import threading
import time
from itertools import pairwise

import pytest

from transship.oci import backoff
from transship.oci.backoff import MAX_ASKED_SECONDS, Backoff


class Time:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr(backoff, "time", found)
    monkeypatch.setattr(backoff, "_NEVER", found)
    return found


def never() -> bool:
    return False


def test_there_are_as_many_attempts_as_were_given(clock: Time) -> None:
    resting = Backoff(3)
    assert [resting.rest(None, never) for _ in range(5)] == [True, True, True, False, False]


def test_who_asks_to_be_left_alone_is_left_alone_in_full(clock: Time) -> None:
    assert Backoff(1).rest(30.0, never)
    assert clock.now >= 30.0


def test_who_asks_for_more_than_is_worth_waiting_for_is_not_waited_for(clock: Time) -> None:
    assert not Backoff(1).rest(MAX_ASKED_SECONDS + 1, never)
    assert clock.now == 0.0


def test_waits_grow_to_a_limit_and_are_spread_over_all_of_it(clock: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    ceilings: list[float] = []

    def most(low: float, high: float) -> float:
        assert low == 0.0
        ceilings.append(high)
        return high

    monkeypatch.setattr(backoff.random, "uniform", most)
    resting = Backoff(12)
    while resting.rest(None, never):
        pass
    assert ceilings[0] == backoff.FIRST_SECONDS
    assert all(after == min(2 * before, backoff.MAX_SECONDS) for before, after in pairwise(ceilings))
    assert ceilings[-1] == backoff.MAX_SECONDS
    assert clock.now == pytest.approx(sum(ceilings))


def test_nobody_waits_for_what_nobody_wants(clock: Time) -> None:
    assert not Backoff(3).rest(10.0, lambda: True)
    assert clock.now == 0.0


def test_waiting_ends_soon_after_nobody_wants_it_any_more() -> None:
    is_over = threading.Event()
    threading.Timer(0.05, is_over.set).start()
    begun = time.monotonic()
    assert not Backoff(3).rest(30.0, is_over.is_set)
    assert time.monotonic() - begun < 2
