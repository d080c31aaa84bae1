"""One replica leads: by a Lease, and by this process's own monotonic clock."""

import copy
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from transship.errors import Reason, RetryLater
from transship.operator import leader as leader_module
from transship.operator.leader import Leader

SECONDS = 15.0


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Leases:
    """The Leases port in memory: optimistic locking as the API server does it, and failures on demand."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.is_down = False
        self._version = 0
        self._lock = threading.Lock()

    def lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        self._answer()
        return copy.deepcopy(self.stored)

    def write_lease(self, lease: Mapping[str, Any]) -> dict[str, Any] | None:
        self._answer()
        with self._lock:
            current = self.stored["metadata"]["resourceVersion"] if self.stored else None
            if lease["metadata"].get("resourceVersion") != current:
                return None
            self._version += 1
            self.stored = copy.deepcopy(dict(lease))
            self.stored["metadata"] = {**lease["metadata"], "resourceVersion": str(self._version)}
            return copy.deepcopy(self.stored)

    @property
    def holder(self) -> str:
        return str((self.stored or {}).get("spec", {}).get("holderIdentity"))

    def _answer(self) -> None:
        if self.is_down:
            raise RetryLater(Reason.UNREACHABLE, "the API server does not answer")


class Impatient(threading.Event):
    """An event whose waiting moves the clock instead of taking time, and that is set after so many waits."""

    def __init__(self, clock: Clock, waits: int) -> None:
        super().__init__()
        self._clock = clock
        self._waits = waits

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.now += timeout or 0.0
        self._waits -= 1
        if self._waits <= 0:
            self.set()
        return self.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(leader_module, "time", made)
    return made


@pytest.fixture
def leases() -> Leases:
    return Leases()


def _leader(leases: Leases, identity: str) -> Leader:
    return Leader(leases, namespace="transship-system", name="transship", identity=identity, seconds=SECONDS)


def _acquires(leader: Leader, clock: Clock, tries: int = 1) -> bool:
    return leader.acquire(Impatient(clock, tries))


def test_of_two_replicas_one_leads(leases: Leases, clock: Clock) -> None:
    first, second = _leader(leases, "first"), _leader(leases, "second")

    assert _acquires(first, clock)
    assert not _acquires(second, clock)

    assert (first.is_leading, second.is_leading) == (True, False)
    assert leases.holder == "first"
    assert (leases.stored or {})["spec"]["leaseDurationSeconds"] == SECONDS


def test_two_replicas_that_write_at_the_same_moment_do_not_both_lead(leases: Leases, clock: Clock) -> None:
    first, second = _leader(leases, "first"), _leader(leases, "second")
    read = leases.lease

    def read_then_lose_the_race(namespace: str, name: str) -> dict[str, Any] | None:
        seen = read(namespace, name)
        leases.lease = read  # type: ignore[method-assign]
        assert _acquires(first, clock)
        return seen

    leases.lease = read_then_lose_the_race  # type: ignore[method-assign]

    assert not _acquires(second, clock)
    assert leases.holder == "first"


def test_a_standby_takes_over_when_the_lease_was_not_renewed_for_its_duration(leases: Leases, clock: Clock) -> None:
    assert _acquires(_leader(leases, "first"), clock)
    second = _leader(leases, "second")

    assert not _acquires(second, clock, tries=4)  # 4 fifths of the duration, counted from its first look
    assert _acquires(second, clock, tries=4)

    assert leases.holder == "second"
    assert (leases.stored or {})["spec"]["leaseTransitions"] == 1


def test_a_standby_waits_as_long_as_the_lease_is_renewed(leases: Leases, clock: Clock) -> None:
    first, second = _leader(leases, "first"), _leader(leases, "second")
    assert _acquires(first, clock)

    for _ in range(10):
        assert not _acquires(second, clock, tries=3)
        assert first._try()

    assert leases.holder == "first"


@pytest.mark.parametrize("written", ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"])
def test_wall_clocks_of_other_machines_do_not_count(leases: Leases, clock: Clock, written: str) -> None:
    assert _acquires(_leader(leases, "first"), clock)
    assert leases.stored
    leases.stored["spec"]["renewTime"] = written
    second = _leader(leases, "second")

    assert not _acquires(second, clock, tries=4)
    assert _acquires(second, clock, tries=4)


def test_a_standby_counts_the_duration_that_the_holder_wrote(leases: Leases, clock: Clock) -> None:
    assert _acquires(_leader(leases, "first"), clock)
    assert leases.stored
    leases.stored["spec"]["leaseDurationSeconds"] = 60
    second = _leader(leases, "second")

    assert not _acquires(second, clock, tries=19)
    assert _acquires(second, clock, tries=4)


def test_a_released_lease_is_taken_at_once(leases: Leases, clock: Clock) -> None:
    first, second = _leader(leases, "first"), _leader(leases, "second")
    assert _acquires(first, clock)
    assert not _acquires(second, clock)

    first.release()

    assert not first.is_leading
    before = clock.now
    assert _acquires(second, clock)
    assert clock.now == before, "nobody waited"


def test_a_replica_that_does_not_lead_releases_nothing(leases: Leases, clock: Clock) -> None:
    assert _acquires(_leader(leases, "first"), clock)

    _leader(leases, "second").release()

    assert leases.holder == "first"


def test_a_release_does_not_take_the_lease_from_somebody_else(leases: Leases, clock: Clock) -> None:
    first = _leader(leases, "first")
    assert _acquires(first, clock)
    assert leases.stored
    leases.stored["spec"]["holderIdentity"] = "second"

    first.release()

    assert leases.holder == "second"


def test_a_release_that_cannot_be_written_is_no_failure(leases: Leases, clock: Clock) -> None:
    first = _leader(leases, "first")
    assert _acquires(first, clock)
    leases.is_down = True

    first.release()

    assert not first.is_leading


def test_failures_of_the_api_server_shorter_than_the_lease_are_survived(leases: Leases, clock: Clock) -> None:
    first = _leader(leases, "first")
    assert _acquires(first, clock)
    lost: list[str] = []
    leases.is_down = True
    clock.now += SECONDS / 3
    assert not first._try()
    assert first.is_leading

    leases.is_down = False
    first.keep(Impatient(clock, 5), lambda: lost.append("lost"))

    assert first.is_leading
    assert lost == []


def test_failures_of_the_api_server_for_longer_than_the_lease_mean_it_is_lost(leases: Leases, clock: Clock) -> None:
    first = _leader(leases, "first")
    assert _acquires(first, clock)
    lost: list[str] = []
    leases.is_down = True

    first.keep(Impatient(clock, 100), lambda: lost.append("lost"))

    assert lost == ["lost"]
    assert not first.is_leading


def test_a_lease_runs_out_in_time_even_while_a_renewal_hangs(leases: Leases, clock: Clock) -> None:
    first = _leader(leases, "first")
    assert _acquires(first, clock)
    lost: list[float] = []
    started = clock.now

    # Nobody renews: the thread that should is in a call that does not come back.
    first.guard(Impatient(clock, 1000), lambda: lost.append(clock.now))

    assert len(lost) == 1
    assert SECONDS <= lost[0] - started < SECONDS * 1.1


def test_a_guard_says_nothing_while_the_lease_is_renewed_or_the_replica_is_told_to_stop(
    leases: Leases, clock: Clock
) -> None:
    first = _leader(leases, "first")
    assert _acquires(first, clock)
    lost: list[str] = []

    for _ in range(5):
        first.guard(Impatient(clock, 10), lambda: lost.append("lost"))
        assert first._try()

    assert lost == []


def test_a_lease_that_somebody_else_holds_now_is_lost(leases: Leases, clock: Clock) -> None:
    first, second = _leader(leases, "first"), _leader(leases, "second")
    assert _acquires(first, clock)
    clock.now += 2 * SECONDS
    assert not _acquires(second, clock)
    clock.now += SECONDS
    assert _acquires(second, clock)
    lost: list[str] = []

    first.keep(Impatient(clock, 100), lambda: lost.append("lost"))

    assert lost == ["lost"]
    assert leases.holder == "second"


def test_the_moment_a_lease_may_have_run_out_the_replica_leads_no_more_even_if_nobody_told_it(
    leases: Leases, clock: Clock
) -> None:
    first = _leader(leases, "first")
    assert _acquires(first, clock)

    clock.now += SECONDS

    assert not first.is_leading


def test_a_lease_counts_from_before_it_was_written(leases: Leases, clock: Clock) -> None:
    first = _leader(leases, "first")
    write = leases.write_lease

    def slowly(lease: Mapping[str, Any]) -> dict[str, Any] | None:
        clock.now += SECONDS - 1
        return write(lease)

    leases.write_lease = slowly  # type: ignore[method-assign]
    assert _acquires(first, clock)
    assert first.is_leading

    clock.now += 1

    assert not first.is_leading, "a standby that saw the write when it was made could lead by now"


def test_an_empty_lease_that_an_installation_brought_is_taken_at_once(leases: Leases, clock: Clock) -> None:
    leases.stored = {"metadata": {"name": "transship", "namespace": "transship-system", "resourceVersion": "7"}}

    assert _acquires(_leader(leases, "first"), clock)

    assert leases.holder == "first"


def test_a_replica_that_starts_again_under_its_own_name_goes_on_at_once(leases: Leases, clock: Clock) -> None:
    assert _acquires(_leader(leases, "first"), clock)

    assert _acquires(_leader(leases, "first"), clock)

    assert (leases.stored or {})["spec"]["leaseTransitions"] == 0


def test_a_replica_told_to_stop_while_it_waits_does_not_lead(leases: Leases, clock: Clock) -> None:
    stopping = threading.Event()
    stopping.set()

    assert not _leader(leases, "first").acquire(stopping)

    assert leases.stored is None


def test_a_leader_told_to_stop_keeps_its_lease_until_it_releases_it(leases: Leases, clock: Clock) -> None:
    first = _leader(leases, "first")
    assert _acquires(first, clock)
    lost: list[str] = []

    first.keep(Impatient(clock, 1), lambda: lost.append("lost"))

    assert first.is_leading
    assert lost == []
