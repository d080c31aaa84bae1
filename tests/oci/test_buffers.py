"""The byte budget: nobody gets what is not there, nobody holds a part of what he waits for, everything comes back."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci.moving import BUFFER, small_buffers, wait_until
from transship.oci.buffers import SHARE, Allowance, Budget


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    with small_buffers():
        yield


def never() -> bool:
    return False


def admit(budget: Budget, size: int = 100 * BUFFER) -> Allowance:
    found = budget.admit(size, never)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("size", "share"), [(0, 1), (1, 1), (BUFFER, 1), (BUFFER + 1, 2), (SHARE * BUFFER, SHARE), (10**12, SHARE)]
)
def test_a_small_blob_takes_no_more_than_it_needs_and_a_large_one_its_share(size: int, share: int) -> None:
    budget = Budget(8 * BUFFER)
    allowance = admit(budget, size)
    assert (allowance.share, budget._free) == (share, 8 - share)
    allowance.end()
    assert budget._free == budget.total


@pytest.mark.parametrize("memory", [0, 1, BUFFER, SHARE * BUFFER - 1])
def test_however_little_memory_there_is_one_blob_gets_through(memory: int) -> None:
    assert admit(Budget(memory)).share == SHARE


def test_who_does_not_fit_waits_until_somebody_ends() -> None:
    budget = Budget(SHARE * BUFFER)
    first = admit(budget)
    with ThreadPoolExecutor(1) as others:
        second = others.submit(admit, budget)
        wait_until(lambda: budget._waiting == 1)
        assert not second.done()
        first.end()
        second.result(5).end()


def test_who_waits_and_is_not_wanted_any_more_gets_nothing_and_takes_nothing() -> None:
    budget, is_over = Budget(SHARE * BUFFER), threading.Event()
    first = admit(budget)
    with ThreadPoolExecutor(1) as others:
        second = others.submit(budget.admit, 1, is_over.is_set)
        wait_until(lambda: budget._waiting == 1)
        is_over.set()
        assert second.result(2) is None
    first.end()
    assert (budget._free, budget._waiting, budget._admitted) == (SHARE, 0, 0)


def test_who_is_not_wanted_is_not_admitted_though_there_is_room() -> None:
    assert Budget(10**9).admit(1, lambda: True) is None


def test_beyond_his_share_everybody_gets_the_same_part_at_most_and_all_of_it_or_nothing() -> None:
    budget = Budget(20 * BUFFER)
    first, second = admit(budget), admit(budget)
    assert first.borrow(6) is not None
    assert first.borrow(1) is None
    assert second.borrow(7) is None
    assert second.borrow(6) is not None


def test_nothing_is_lent_that_somebody_holds_already_though_he_holds_more_than_his_part_by_now() -> None:
    budget = Budget(20 * BUFFER)
    first = admit(budget)
    held = first.borrow(20 - 2 * SHARE)
    assert held is not None
    second = admit(budget)
    assert second.borrow(1) is None
    first.put(held[0], is_own=False)
    assert second.borrow(2) is None
    assert second.borrow(1) is not None


def test_nothing_is_lent_while_somebody_waits_to_begin() -> None:
    budget = Budget((2 * SHARE + 1) * BUFFER)
    first, second = admit(budget), admit(budget)
    with ThreadPoolExecutor(1) as others:
        third = others.submit(admit, budget)
        wait_until(lambda: budget._waiting == 1)
        assert first.borrow(1) is None
        second.end()
        third.result(5).end()


def test_a_buffer_is_used_again() -> None:
    allowance = admit(Budget(SHARE * BUFFER))
    first = allowance.take_own()
    allowance.put(first, is_own=True)
    assert allowance.take_own() is first


STEPS = st.lists(st.tuples(st.sampled_from(["begin", "own", "borrow", "put", "end"]), st.integers(0, 7)), max_size=60)


@settings(max_examples=300)
@given(st.integers(1, 20), STEPS)
def test_whatever_is_done_no_more_is_given_than_there_is_and_all_of_it_comes_back(
    memory: int, steps: list[tuple[str, int]]
) -> None:
    budget = Budget(memory * BUFFER)
    blobs: list[tuple[Allowance, list[tuple[bytearray, bool]]]] = []
    for step, number in steps:
        at = number % len(blobs) if blobs else -1
        if step == "begin" and budget._free >= SHARE:
            blobs.append((admit(budget, number * BUFFER), []))
        elif step == "own" and blobs and blobs[at][0].has_own:
            blobs[at][1].append((blobs[at][0].take_own(), True))
        elif step == "borrow" and blobs:
            blobs[at][1].extend((each, False) for each in blobs[at][0].borrow(1 + number // 2) or ())
        elif step == "put" and blobs and blobs[at][1]:
            buffer, is_own = blobs[at][1].pop()
            blobs[at][0].put(buffer, is_own=is_own)
        elif step == "end" and blobs and blobs[at][0].is_idle:
            blobs.pop(at)[0].end()
        out = [id(buffer) for _, held in blobs for buffer, _ in held]
        assert len(out) == len(set(out)) <= budget.total
        assert 0 <= budget._free <= budget.total
    for allowance, held in blobs:
        for buffer, is_own in held:
            allowance.put(buffer, is_own=is_own)
        assert allowance.is_idle
        allowance.end()
    assert budget._free == budget.total
    assert len(budget._buffers) <= budget.total


def test_many_threads_never_hold_more_than_there_is() -> None:
    budget, lock, held = Budget(9 * BUFFER), threading.Lock(), [0, 0]

    def work(size: int) -> None:
        allowance = admit(budget, size * BUFFER)
        own = [allowance.take_own() for _ in range(allowance.share)]
        more = allowance.borrow(2) or []
        with lock:
            held[0] += len(own) + len(more)
            held[1] = max(held)
        time.sleep(0.001)
        with lock:
            held[0] -= len(own) + len(more)
        for buffers, is_own in ((own, True), (more, False)):
            for each in buffers:
                allowance.put(each, is_own=is_own)
        allowance.end()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [1, 2, 3, 50] * 30))
    assert 0 < held[1] <= 9
    assert (budget._free, budget._admitted) == (9, 0)
