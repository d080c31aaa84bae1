"""The copier: one transfer a blob, bounded memory, whole and right or not at all, and nobody waits in vain."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci.images import image, multi_arch
from oci.moving import BUFFER, Store, Well, bring, content, cut, idle, small_buffers, wait_until
from transship.errors import NeedsHuman, Reason, RetryLater, Side
from transship.oci import flow, ranges
from transship.oci.buffers import SHARE
from transship.oci.closure import closure
from transship.oci.copier import Cancelled, Copier, Limits
from transship.oci.copy import CopyProgress, copy, missing
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import Manifest
from transship.oci.reference import Tag

FIRST = 16 * BUFFER


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    with small_buffers():
        yield


def stored(destination: Store, blobs: list[Descriptor], source: Well) -> bool:
    return {each.digest: destination.blobs.get(each.digest) for each in blobs} == {
        each.digest: source.blobs[each.digest] for each in blobs
    }


# --- exact, whatever the sizes and the trouble


EDGES = [0, 1, BUFFER // 4, BUFFER, SHARE * BUFFER, FIRST, FIRST + 2 * BUFFER, 5 * FIRST, 6 * FIRST]
SIZES = st.sampled_from(EDGES).flatmap(lambda edge: st.integers(max(0, edge - 1), edge + 1)) | st.integers(0, 7 * FIRST)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(SIZES, min_size=1, max_size=4, unique=True),
    limits=st.builds(Limits, st.integers(1, 12 * BUFFER), st.integers(1, 4), st.integers(0, 4)),
    chunk=st.sampled_from([977, BUFFER, 100_000]),
    pause=st.sampled_from([0.0, 0.0008]),
    cuts=st.sets(st.integers(0, 7 * FIRST), max_size=4),
)
def test_any_blobs_arrive_whole_within_the_memory_and_with_nothing_read_twice_though_connections_break(
    sizes: list[int], limits: Limits, chunk: int, pause: float, cuts: set[int]
) -> None:
    source, destination = Well(chunk_bytes=chunk, pause=pause), Store()
    wanted = source.hold(*(content(size, 10_000 * number) for number, size in enumerate(sizes)))
    left = {(each.digest, at) for each in wanted for at in cuts}

    def before(digest: Digest, at: int) -> None:
        for each in [(digest, where) for where in cuts if at <= where < at + chunk]:
            if each in left:
                left.discard(each)
                raise cut()

    source.before = before
    copier = Copier(limits)
    brought = bring(copier, source, destination, wanted)
    assert sorted(str(each.blob.digest) for each in brought) == sorted(str(each.digest) for each in wanted)
    assert stored(destination, wanted, source)
    assert source.served == Counter({each.digest: each.size for each in wanted})
    assert set(destination.committed.values()) == {1}
    assert len(source.rooms) <= max(limits.memory // BUFFER, SHARE)
    wait_until(lambda: idle(copier))


@settings(max_examples=25, deadline=None)
@given(size=SIZES, cuts=st.lists(st.integers(0, 7 * FIRST), max_size=2), ranges=st.integers(0, 2))
def test_from_a_source_without_ranges_a_blob_comes_whole_and_begins_again_where_it_breaks_off(
    size: int, cuts: list[int], ranges: int
) -> None:
    source, destination = Well(has_ranges=False, pause=0.0004), Store()
    wanted, left = source.hold(content(size)), list(cuts)

    def before(_: Digest, at: int) -> None:
        if left and at >= left[-1]:
            left.pop()
            raise cut()

    source.before = before
    bring(Copier(Limits(ranges=ranges)), source, destination, wanted)
    assert stored(destination, wanted, source)
    assert set(destination.committed.values()) == {1}


def test_ranges_that_come_out_of_order_arrive_in_order() -> None:
    source, destination = Well(pause=0.001, chunk_bytes=BUFFER), Store()
    wanted = source.hold(content(8 * FIRST))
    pauses = cycle([0.0, 0.004, 0.0, 0.002, 0.006])
    source.before = lambda _digest, _at: time.sleep(next(pauses))
    bring(Copier(Limits(memory=40 * BUFFER, ranges=6)), source, destination, wanted)
    assert stored(destination, wanted, source)


LIES = {
    "too short": lambda honest: honest[:-1],
    "too short by a buffer": lambda honest: honest[:-BUFFER],
    "wrong in the last byte": lambda honest: honest[:-1] + b"?",
    "wrong in the first byte": lambda honest: b"?" + honest[1:],
    "two buffers exchanged": lambda honest: honest[BUFFER : 2 * BUFFER] + honest[:BUFFER] + honest[2 * BUFFER :],
    "nothing": lambda honest: b"",
}


@pytest.mark.parametrize("size", [2 * BUFFER, SHARE * BUFFER + 1, 3 * FIRST])
@pytest.mark.parametrize("lie", LIES)
def test_a_blob_that_is_not_what_it_was_said_to_be_is_never_completed(lie: str, size: int) -> None:
    honest, source, destination = content(size), Well(), Store()
    (wanted,) = source.hold(honest)
    source.blobs[wanted.digest] = LIES[lie](honest)
    copier = Copier()
    with pytest.raises(RetryLater) as caught:
        bring(copier, source, destination, [wanted])
    assert (caught.value.reason, caught.value.side) == (Reason.CONTENT_MISMATCH, Side.SOURCE)
    assert destination.seen.get(wanted.digest, 0) < size, "the last chunk is kept back"
    assert (destination.blobs, destination.committed) == ({}, {})
    wait_until(lambda: idle(copier))


@pytest.mark.parametrize("size", [0, 1, BUFFER, SHARE * BUFFER, SHARE * BUFFER + 1])
def test_a_blob_that_goes_on_behind_its_end_is_refused_or_ends_at_its_size(size: int) -> None:
    honest, source, destination = content(size), Well(), Store()
    (wanted,) = source.hold(honest)
    source.blobs[wanted.digest] = honest + b"more"
    try:
        bring(Copier(), source, destination, [wanted])
    except RetryLater:
        assert destination.blobs == {}
    else:
        assert destination.blobs == {wanted.digest: honest}


# --- one transfer a blob


def test_a_blob_that_many_images_want_at_once_is_read_once_and_sent_once() -> None:
    source, destination = Well(), Store()
    wanted = source.hold(content(3 * FIRST))
    is_open = threading.Event()
    destination.before = lambda _: None if is_open.wait(10) else pytest.fail("nobody came")
    copier = Copier()
    with ThreadPoolExecutor(20) as images:
        futures = [images.submit(bring, copier, source, destination, wanted) for _ in range(20)]
        wait_until(lambda: any(flight.wanted_by == 20 for flight in copier._flights.values()))
        is_open.set()
        ways = sorted(each.by for future in futures for each in future.result())
    assert ways == ["copied", *["shared"] * 19]
    assert (source.served.total(), destination.committed.total()) == (3 * FIRST, 1)


def test_a_blob_that_landed_after_an_image_had_asked_for_it_is_not_sent_again() -> None:
    source, destination, copier = Well(), Store(), Copier()
    wanted = source.hold(content(100))
    assert copier.missing_blobs(destination, wanted)
    assert [each.by for each in bring(copier, source, destination, wanted)] == ["copied"]
    assert [each.by for each in bring(copier, source, destination, wanted)] == ["shared"]
    assert destination.committed.total() == 1


def test_the_same_blob_goes_to_each_repository_that_wants_it() -> None:
    source, copier = Well(), Copier()
    wanted = source.hold(content(100))
    first, second = Store(), Store()
    assert [each.by for store in (first, second) for each in bring(copier, source, store, wanted)] == ["copied"] * 2
    assert (first.committed.total(), second.committed.total()) == (1, 1)


def test_who_waited_for_somebody_elses_transfer_that_failed_tries_with_rights_of_his_own() -> None:
    mine, theirs, destination = Well(), Well(), Store()
    wanted = mine.hold(content(3 * FIRST))
    theirs.hold(content(3 * FIRST))
    refused, is_asked = threading.Event(), threading.Event()

    def refuse(_digest: Digest, _at: int) -> None:
        is_asked.set()
        assert refused.wait(10)
        raise NeedsHuman(Reason.DENIED, "not you", side=Side.SOURCE)

    theirs.before = refuse
    copier = Copier()
    with ThreadPoolExecutor(2) as images:
        leader = images.submit(bring, copier, theirs, destination, wanted)
        assert is_asked.wait(10)
        follower = images.submit(bring, copier, mine, destination, wanted)
        wait_until(lambda: any(flight.wanted_by == 2 for flight in copier._flights.values()))
        refused.set()
        with pytest.raises(NeedsHuman):
            leader.result()
        assert [each.by for each in follower.result()] == ["copied"]
    assert stored(destination, wanted, mine)


def test_an_image_that_fails_stops_what_only_it_wanted_and_nothing_of_anybody_else() -> None:
    source, destination = Well(), Store()
    bad, own, common = source.hold(content(100, 1), content(3 * FIRST, 2), content(3 * FIRST, 3))
    goes_on, is_bad = threading.Event(), threading.Event()

    def between(blob: Descriptor, _: int) -> None:
        if blob in {own, common}:
            assert goes_on.wait(10)

    def before(blob: Descriptor) -> None:
        if blob == bad:
            assert is_bad.wait(10)
            raise NeedsHuman(Reason.REFUSED_BY_REGISTRY, "not this one", side=Side.DESTINATION)

    destination.between, destination.before = between, before
    copier = Copier()
    with ThreadPoolExecutor(2) as images:
        failing = images.submit(bring, copier, source, destination, [bad, own, common])
        wait_until(lambda: len(copier._flights) == 3)
        other = images.submit(bring, copier, source, destination, [common])
        wait_until(lambda: any(flight.wanted_by == 2 for flight in copier._flights.values()))
        is_bad.set()
        with pytest.raises(NeedsHuman):
            failing.result()
        goes_on.set()
        assert [each.by for each in other.result()] == ["shared"]
    wait_until(lambda: idle(copier))
    assert set(destination.blobs) == {common.digest}


# --- an upload that breaks


def test_an_upload_that_breaks_begins_that_blob_again_and_no_other() -> None:
    source, destination = Well(), Store()
    good, broken = source.hold(content(2 * FIRST, 1), content(2 * FIRST, 2))
    left = [1, 1]

    def between(blob: Descriptor, count: int) -> None:
        if blob == broken and count > FIRST and left:
            left.pop()
            raise RetryLater(Reason.UNREACHABLE, "the connection broke off", side=Side.DESTINATION)

    destination.between = between
    bring(Copier(), source, destination, [good, broken])
    assert (destination.began[good.digest], destination.began[broken.digest]) == (1, 3)
    assert stored(destination, [good, broken], source)


def test_an_upload_whose_last_answer_was_lost_is_not_sent_again_and_counts_as_copied() -> None:
    content_of = image([content(2 * FIRST)])
    source, destination = Well(), Store()
    source.hold(*content_of.blobs)
    source.manifests.update({each.descriptor.digest: each for each in content_of.manifests})
    layer = Digest.of(content_of.blobs[1])
    lost = [1]

    def push(self: Store, blob: Descriptor, *rest: object) -> bool:
        Store.push_blob(self, blob, *rest)  # type: ignore[arg-type] # as it was called
        if blob.digest == layer and lost:
            lost.pop()
            raise RetryLater(Reason.UNREACHABLE, "no answer", side=Side.DESTINATION)
        return False

    forgetful = type("Forgetful", (Store,), {"push_blob": push, "__slots__": ()})()
    told: list[CopyProgress] = []
    whole = closure(source, content_of.root.descriptor.digest, Copier())
    copier = Copier()
    lacking = missing(forgetful, whole, copier)
    report = copy(source, forgetful, whole, lacking, copier, tag=Tag("v1"), progress=told.append)
    assert forgetful.began[layer] == 1
    assert (report.bytes_copied, report.bytes_skipped) == (whole.total_bytes, 0)
    assert destination.began == {}


def test_when_the_registry_is_in_trouble_for_the_look_up_as_well_the_upload_begins_again() -> None:
    source, destination = Well(), Store()
    wanted = source.hold(content(100))
    troubles = [1, 1, 1]

    def trouble(*_: object) -> None:
        if troubles:
            troubles.pop()
            raise RetryLater(Reason.REGISTRY_ERROR, "HTTP 503", side=Side.DESTINATION)

    def look(self: Store, blobs: object) -> frozenset[Digest]:
        trouble()
        return frozenset(each.digest for each in wanted)

    troubled = type("Troubled", (Store,), {"missing_blobs": look, "__slots__": ()})()
    troubled.before = trouble
    bring(Copier(), source, troubled, wanted)
    assert stored(troubled, wanted, source)
    assert destination.began == {}


def test_what_the_source_refuses_for_ever_is_tried_a_bounded_number_of_times() -> None:
    source, destination = Well(), Store()
    wanted = source.hold(content(3 * FIRST))

    def refuse(_digest: Digest, _at: int) -> None:
        raise cut()

    source.before = refuse
    with pytest.raises(RetryLater):
        bring(Copier(), source, destination, wanted)
    assert len(source.opened[wanted[0].digest]) <= 6
    assert destination.committed == {}


def test_what_somebody_has_to_change_is_tried_once() -> None:
    source, destination = Well(), Store()
    wanted = source.hold(content(3 * FIRST))

    def refuse(_blob: Descriptor) -> None:
        raise NeedsHuman(Reason.DENIED, "no", side=Side.DESTINATION)

    destination.before = refuse
    with pytest.raises(NeedsHuman):
        bring(Copier(), source, destination, wanted)
    assert destination.began.total() == 1


# --- more readers, when one connection is the limit


class Hands:
    """A clock that goes when the test says so, for a process that never works."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = threading.Lock()

    def advance(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds

    def monotonic(self) -> float:
        return self.now

    def process_time(self) -> float:
        return 0.0


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    found = Hands()
    for module in (flow, ranges):
        monkeypatch.setattr(module, "time", found)
    return found


@pytest.mark.parametrize("memory", [64, 8])
def test_readers_join_where_a_connection_is_slow(memory: int, hands: Hands) -> None:
    source, destination = Well(pause=0.002, chunk_bytes=BUFFER), Store()
    source.before = lambda _digest, _at: hands.advance(0.002)
    wanted = source.hold(content(12 * FIRST))
    bring(Copier(Limits(memory=memory * BUFFER, ranges=5)), source, destination, wanted)
    assert 1 < source.most_readers <= 6
    assert stored(destination, wanted, source)
    assert len(source.rooms) <= memory


def test_nobody_joins_where_reading_is_not_what_is_waited_for(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    # One thread does both, or the clock would go on by what is sent while something is read.
    monkeypatch.setattr(Copier, "_may_read_ahead", lambda _: False)
    source, destination = Well(), Store()
    wanted = source.hold(content(12 * FIRST))
    destination.between = lambda _blob, _count: hands.advance(0.002)
    bring(Copier(), source, destination, wanted)
    assert source.most_readers == 1


@pytest.mark.parametrize("blobs", [1, 9])
@pytest.mark.parametrize("memory", [1, 9])
def test_slow_blobs_arrive_though_nobody_may_join_and_memory_is_one_share(memory: int, blobs: int) -> None:
    source, destination = Well(pause=0.001, chunk_bytes=BUFFER), Store()
    wanted = source.hold(*(content(3 * FIRST, number) for number in range(blobs)))
    bring(Copier(Limits(memory=memory * BUFFER, ranges=0)), source, destination, wanted)
    assert stored(destination, wanted, source)
    assert len(source.rooms) <= max(memory, SHARE)


def test_many_large_slow_blobs_get_through_a_budget_of_one_share() -> None:
    source, destination = Well(pause=0.0003, chunk_bytes=BUFFER), Store()
    wanted = source.hold(*(content(2 * FIRST, number) for number in range(12)))
    copier = Copier(Limits(memory=1, blobs=12, ranges=24))
    bring(copier, source, destination, wanted)
    assert stored(destination, wanted, source)
    assert len(source.rooms) <= SHARE
    wait_until(lambda: idle(copier))


def test_a_thousand_small_blobs_stay_within_the_memory() -> None:
    source, destination = Well(), Store()
    wanted = source.hold(*(content(number % 300, 1000 * number) for number in range(1, 1000)))
    bring(Copier(Limits(memory=5 * BUFFER)), source, destination, wanted)
    assert stored(destination, wanted, source)
    assert len(source.rooms) <= 5


# --- cancelling


@pytest.mark.parametrize("size", [100, 3 * FIRST])
@pytest.mark.parametrize("hangs", ["the source", "the destination"])
def test_cancelling_returns_soon_though_a_registry_hangs_and_leaves_no_tag(hangs: str, size: int) -> None:
    content_of = image([content(size)])
    source, destination = Well(), Store()
    source.hold(*content_of.blobs)
    source.manifests.update({each.descriptor.digest: each for each in content_of.manifests})
    is_stuck, is_free = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        is_stuck.set()
        is_free.wait(30)

    if hangs == "the source":
        source.before = hang
    else:
        destination.before = hang
    copier = Copier()
    whole = closure(source, content_of.root.descriptor.digest, copier)
    lacking = missing(destination, whole, copier)
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        copy(source, destination, whole, lacking, copier, tag=Tag("v1"), cancelled=is_stuck.is_set)
    assert time.monotonic() - begun < 2
    is_free.set()
    wait_until(lambda: idle(copier))
    assert (destination.tags, destination.manifests, destination.committed) == ({}, {}, {})


@pytest.mark.parametrize("at", ["a child", "the tag"])
def test_cancelling_returns_soon_though_the_registry_hangs_with_a_manifest(at: str) -> None:
    content_of = multi_arch()
    source, is_stuck, is_free = content_of.in_memory(), threading.Event(), threading.Event()

    def push(self: Store, manifest: Manifest, target: Tag | Digest) -> None:
        if at == "a child" or isinstance(target, Tag):
            is_stuck.set()
            is_free.wait(30)
            raise RetryLater(Reason.UNREACHABLE, "no answer", side=Side.DESTINATION)
        Store.push_manifest(self, manifest, target)

    stuck = type("Stuck", (Store,), {"push_manifest": push, "__slots__": ()})()
    copier = Copier()
    whole = closure(source, content_of.root.descriptor.digest, copier)
    lacking = missing(stuck, whole, copier)
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        copy(source, stuck, whole, lacking, copier, tag=Tag("v1"), cancelled=is_stuck.is_set)
    assert time.monotonic() - begun < 2
    is_free.set()
    assert stuck.tags == {}


def test_after_a_cancelled_copy_the_same_copier_brings_the_same_blob() -> None:
    source, destination = Well(), Store()
    wanted = source.hold(content(3 * FIRST))
    is_stuck, is_free = threading.Event(), threading.Event()

    def hang(_: Descriptor) -> None:
        if not is_stuck.is_set():
            is_stuck.set()
            is_free.wait(10)

    destination.before = hang
    copier = Copier(Limits(memory=2 * SHARE * BUFFER))
    with pytest.raises(Cancelled):
        bring(copier, source, destination, wanted, is_stuck.is_set)
    assert [each.by for each in bring(copier, source, destination, wanted)] == ["copied"]
    is_free.set()
    wait_until(lambda: idle(copier))
    assert stored(destination, wanted, source)


def test_threads_are_as_many_as_the_limits_say_and_no_more_after_many_copies() -> None:
    def ours() -> int:
        return sum(each.name in {"lookup", "blob", "read"} for each in threading.enumerate())

    others = ours()
    source, copier = Well(pause=0.0002), Copier(Limits(blobs=3, ranges=2, lookups=2))
    for number in range(10):
        wanted = source.hold(*(content(FIRST + each, 100 * number) for each in range(6)))
        bring(copier, source, Store(), wanted)
    assert ours() - others <= 3 + (3 + 2) + 2
