from contextlib import suppress
from threading import Barrier, Lock, Thread

import pytest

from promotion.world import DESTINATION
from transship.errors import NeedsHuman, Reason, RetryLater, Side
from transship.oci.digest import Digest
from transship.oci.reference import Reference
from transship.promotion.claims import Claims
from transship.promotion.request import RequestKey

PLACE = Reference.parse(f"{DESTINATION}/shop/checkout:v1")
A, B = Digest.of(b"a"), Digest.of(b"b")
FIRST, SECOND = RequestKey("shop", "first"), RequestKey("shop", "second")


def test_the_first_to_claim_a_tag_wins_and_another_digest_is_a_conflict_that_names_the_winner() -> None:
    claims = Claims()
    with claims.hold(PLACE, A, FIRST), pytest.raises(NeedsHuman) as caught, claims.hold(PLACE, B, SECOND):
        pass
    assert (caught.value.reason, caught.value.side) == (Reason.TAG_CONFLICT, Side.DESTINATION)
    assert all(str(each) in caught.value.message for each in (FIRST, A, B, PLACE))


def test_the_same_digest_waits_for_the_winner_and_is_told_for_how_long() -> None:
    claims = Claims()
    with claims.hold(PLACE, A, FIRST), pytest.raises(RetryLater) as caught, claims.hold(PLACE, A, SECOND):
        pass
    assert caught.value.reason is Reason.PROMOTING
    assert str(FIRST) in caught.value.message
    assert caught.value.after is not None
    assert 0 < caught.value.after <= 5


def test_a_loser_does_not_take_the_winners_claim_away() -> None:
    claims = Claims()
    with claims.hold(PLACE, A, FIRST):
        for _ in range(2):
            with pytest.raises(NeedsHuman), claims.hold(PLACE, B, SECOND):
                pass


def test_a_claim_ends_with_the_writing() -> None:
    claims = Claims()
    with claims.hold(PLACE, A, FIRST):
        pass
    with claims.hold(PLACE, B, SECOND):
        pass


def test_a_claim_ends_when_the_writing_fails() -> None:
    claims = Claims()
    with pytest.raises(ZeroDivisionError), claims.hold(PLACE, A, FIRST):
        raise ZeroDivisionError
    with claims.hold(PLACE, B, SECOND):
        pass


@pytest.mark.parametrize(
    ("one", "other", "is_one_place"),
    [
        ("r.io/shop/checkout:v1", "r.io/shop/checkout:v1", True),
        (f"r.io/shop/checkout:v1@{A}", "r.io/shop/checkout:v1", True),
        ("r.io/shop/checkout:v1", "r.io/shop/checkout:v2", False),
        ("r.io/shop/checkout:v1", "r.io/shop/cart:v1", False),
        ("r.io/shop/checkout:v1", "s.io/shop/checkout:v1", False),
        (f"r.io/shop/checkout@{A}", f"r.io/shop/checkout@{A}", True),
        (f"r.io/shop/checkout@{A}", "r.io/shop/checkout:v1", False),
    ],
    ids=[
        "a tag is one place",
        "a digest beside the tag does not make another place",
        "two tags are two places",
        "two repositories are two places",
        "two registries are two places",
        "a digest without a tag is a place",
        "a digest without a tag and a tag are two places",
    ],
)
def test_what_is_claimed_is_the_tag_or_else_the_digest(one: str, other: str, *, is_one_place: bool) -> None:
    claims, refused = Claims(), False
    with claims.hold(Reference.parse(one), A, FIRST):
        try:
            with claims.hold(Reference.parse(other), A, SECOND):
                pass
        except RetryLater:
            refused = True
    assert refused is is_one_place


def test_of_many_threads_one_at_a_time_holds_a_claim() -> None:
    claims, start, lock = Claims(), Barrier(8), Lock()
    holders, most, won = 0, 0, 0

    def compete(number: int) -> None:
        nonlocal holders, most, won
        start.wait(10)
        is_done = False
        while not is_done:
            with suppress(RetryLater), claims.hold(PLACE, A, RequestKey("shop", str(number))):
                with lock:
                    holders, won, is_done = holders + 1, won + 1, True
                    most = max(most, holders)
                with lock:
                    holders -= 1

    threads = [Thread(target=compete, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (won, most) == (8, 1)
