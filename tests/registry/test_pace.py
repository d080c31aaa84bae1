"""The gate to a registry whose rates nobody knows, and what is sent again."""

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.conftest import open_repository
from registry.hostile import Answer, HostileServer, Seen, sized
from transship.errors import Reason, RetryLater, Side
from transship.oci.reference import Registry, Repository, Tag
from transship.registry.auth import Anonymous
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.pace import MAX_WAIT_SECONDS, Gate, Gates, Time
from transship.registry.patience import Patience
from transship.registry.repository import HttpRepository
from transship.registry.transport import Transport

TAG = Tag("v1")


@dataclass
class Passing:
    """Time that passes only by waiting; the dice always show the most."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    @property
    def time(self) -> Time:
        return Time(lambda: self.now, self.wait, lambda _, most: most)


@pytest.fixture
def passing() -> Passing:
    return Passing()


@pytest.fixture
def gate(passing: Passing) -> Gate:
    return Gate("registry.example.com", 8, passing.time)


def room(gate: Gate) -> int:
    return int(gate._room)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept_in_full_by_everybody(status: int, gate: Gate, passing: Passing) -> None:
    gate.turn("GET", "manifest")(status, 17.0)
    gate.turn("HEAD", "blob")(200, None)
    assert passing.waits == [17.0]


def test_a_wait_that_is_too_long_is_handed_on(gate: Gate, passing: Passing) -> None:
    gate.turn("GET", "manifest")(429, MAX_WAIT_SECONDS + 40)
    for _ in range(2):
        with pytest.raises(RetryLater) as caught:
            gate.turn("GET", "manifest")
        assert (caught.value.reason, caught.value.after) == (Reason.THROTTLED, MAX_WAIT_SECONDS + 40)
    assert not passing.waits


def test_without_retry_after_the_wait_doubles_until_an_answer_comes(gate: Gate, passing: Passing) -> None:
    for _ in range(8):
        gate.turn("GET", "manifest")(429, None)
    assert passing.waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0]
    gate.turn("GET", "manifest")(200, None)
    passing.waits.clear()
    gate.turn("GET", "manifest")(429, None)
    gate.turn("GET", "manifest")
    assert passing.waits == [1.0]


def test_requests_that_were_under_way_say_nothing_new(gate: Gate, passing: Passing) -> None:
    together = [gate.turn("GET", "manifest") for _ in range(5)]
    for answered in together:
        answered(429, None)
    assert room(gate) == 4
    gate.turn("GET", "manifest")
    assert passing.waits == [1.0]


def test_fewer_go_at_once_after_a_throttle_and_more_again_slowly(gate: Gate, passing: Passing) -> None:
    for rooms in (4, 2, 1, 1):
        gate.turn("GET", "manifest")(429, 1.0)
        assert room(gate) == rooms
        passing.now += 1.0
    for _ in range(3):
        gate.turn("GET", "manifest")(200, None)
    assert room(gate) == 2
    for _ in range(100):
        gate.turn("GET", "manifest")(404, None)
    assert room(gate) == 8


def test_nobody_waits_for_ever_for_room(gate: Gate, passing: Passing) -> None:
    for _ in range(8):
        gate.turn("GET", "manifest")
    with pytest.raises(RetryLater) as caught:
        gate.turn("GET", "manifest")
    assert caught.value.reason is Reason.THROTTLED
    assert sum(passing.waits) == MAX_WAIT_SECONDS


def test_bytes_on_their_way_up_take_no_room_from_those_they_wait_for(gate: Gate) -> None:
    for _ in range(20):
        gate.turn("PATCH", "upload")
    gate.turn("GET", "blob")


def test_room_is_given_to_whoever_waits_for_it() -> None:
    gate = Gate("registry.example.com", 1)
    answered = gate.turn("GET", "manifest")
    threading.Timer(0.05, answered, (200, None)).start()
    gate.turn("GET", "manifest")(200, None)


def test_neither_a_server_error_nor_silence_closes_the_gate(gate: Gate, passing: Passing) -> None:
    for status in (500, 503, 0):
        gate.turn("GET", "manifest")(status, None)
    gate.turn("GET", "manifest")
    assert not passing.waits


@given(st.lists(st.tuples(st.sampled_from([200, 429, 503, 0]), st.none() | st.floats(0, 59)), max_size=50))
def test_whatever_is_answered_there_is_room_for_one_and_all_of_it_is_given_back(
    answers: list[tuple[int, float | None]],
) -> None:
    passing = Passing()
    gate = Gate("registry.example.com", 8, passing.time)
    for status, retry_after in answers:
        gate.turn("GET", "manifest")(status, retry_after)
    assert 1 <= gate._room <= 8
    assert gate._under_way == 0


def test_each_registry_has_one_gate() -> None:
    gates = Gates()
    assert gates.of(Registry("a.example.com")) is gates.of(Registry("a.example.com"))
    assert gates.of(Registry("a.example.com")) is not gates.of(Registry("b.example.com"))


# --- what is sent again ----------------------------------------------------------------------------------------------


def patient(host: str, slept: list[float]) -> HttpRepository:
    transport = Transport(Network(HostRules.of(plain_http=[host]), idle_seconds=5.0))
    patience = Patience(sleep=slept.append, between=lambda _, most: most)
    repository = Repository.of(Registry.parse(host), "shop/checkout")
    return HttpRepository(repository, Side.SOURCE, transport, Anonymous(), patience=patience)


def failing(hostile: HostileServer, *answers: Answer) -> None:
    left = list(answers)
    hostile.reply = lambda _: left.pop(0) if left else sized(b"", 404)


def test_what_passes_is_tried_again_later_and_later(hostile: HostileServer) -> None:
    slept: list[float] = []
    failing(hostile, sized(b"", 429), sized(b"", 503), sized(b"", 429, Retry_After="3"))
    assert patient(hostile.host, slept).resolve(TAG) is None
    assert slept == [0.5, 1.0, 5.0]


@pytest.mark.parametrize("status", [400, 401, 403, 405, 500])
def test_what_does_not_pass_is_not_tried_again(status: int, hostile: HostileServer) -> None:
    slept: list[float] = []
    hostile.reply = lambda _: sized(b"", status)
    with pytest.raises(Exception, match=f"HTTP {status}"):
        patient(hostile.host, slept).resolve(TAG)
    assert not slept
    assert len(hostile.seen) == 2  # HEAD, and GET to hear why


def test_a_long_wait_is_left_to_whoever_tries_the_whole_again(hostile: HostileServer) -> None:
    slept: list[float] = []
    hostile.reply = lambda _: sized(b"", 429, Retry_After="61")
    with pytest.raises(RetryLater) as caught:
        patient(hostile.host, slept).resolve(TAG)
    assert caught.value.after == 61.0
    assert not slept


def test_all_waits_of_a_request_together_are_bounded(hostile: HostileServer) -> None:
    slept: list[float] = []
    hostile.reply = lambda _: sized(b"", 429, Retry_After="40")
    with pytest.raises(RetryLater):
        patient(hostile.host, slept).resolve(TAG)
    assert slept == [40.5, 40.5]  # once for HEAD, once for GET


def test_a_closed_connection_is_replaced_at_once_and_then_later_and_later(hostile: HostileServer) -> None:
    slept: list[float] = []

    def hang_up(_: Seen) -> Answer:
        raise ConnectionAbortedError

    hostile.reply = hang_up
    with pytest.raises(RetryLater) as caught:
        patient(hostile.host, slept).resolve(TAG)
    assert caught.value.reason is Reason.UNREACHABLE
    assert slept == [0.0, 1.0, 2.0]


def test_docker_hub_is_reached_where_its_api_is() -> None:
    rules = HostRules.of(plain_http=["docker.io:5000"])
    assert rules.base_url("docker.io") == rules.base_url("index.docker.io") == "https://registry-1.docker.io"
    assert rules.base_url("docker.io:5000") == "http://docker.io:5000"
    assert open_repository("127.0.0.1:1").repository
