"""What destinations are known to hold: believed for a while, per repository, and forgotten when it proves wrong."""

import pytest

from oci.images import multi_arch
from oci.moving import Store, Well, bring
from transship.errors import Reason, RetryLater, Side
from transship.oci import presence
from transship.oci.closure import closure
from transship.oci.copier import Copier, Limits
from transship.oci.copy import copy, missing
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.memory import MemoryRepository
from transship.oci.presence import SECONDS, Presence
from transship.oci.reference import Registry, Repository, Tag

HERE, THERE = (Repository(Registry("registry.example.com"), path) for path in ("here", "there"))
A, B, C = (Digest.of(each) for each in (b"a", b"b", b"c"))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_was_seen_need_not_be_asked_for_and_everything_else_has_to() -> None:
    known = Presence()
    known.add(HERE, [A])
    assert known.unknown(HERE, [A, B]) == {B}
    assert known.unknown(THERE, [A]) == {A}, "another repository is another matter"


def test_what_was_seen_is_believed_for_a_while_only_and_seeing_it_again_begins_anew() -> None:
    clock = Clock()
    known = Presence(clock)
    known.add(HERE, [A, B])
    clock.now += SECONDS - 1
    known.add(HERE, [B])
    assert known.unknown(HERE, [A, B]) == set()
    clock.now += 1
    assert known.unknown(HERE, [A, B]) == {A}


def test_a_repository_that_proved_wrong_is_asked_about_everything_and_no_other_one_is() -> None:
    known = Presence()
    for each in (HERE, THERE):
        known.add(each, [A, B])
    known.forget(HERE)
    assert (known.unknown(HERE, [A, B]), known.unknown(THERE, [A, B])) == ({A, B}, set())


def test_what_a_repository_did_not_hold_is_forgotten_unless_it_was_brought_since_the_question() -> None:
    clock = Clock()
    known = Presence(clock)
    known.add(HERE, [A])
    clock.now += SECONDS + 1
    asked_at = known.now()
    known.add(HERE, [B])
    known.lost(HERE, [A, B, C], asked_at)
    assert [known.holds(HERE, each) for each in (A, B, C)] == [False, True, False]


def test_only_so_much_is_remembered_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "MAX_KNOWN", 2)
    known = Presence()
    known.add(HERE, [A, B])
    known.add(HERE, [A])
    known.add(HERE, [C])
    assert known.unknown(HERE, [A, B, C]) == {B}


class Asked(Store):
    """A destination that notes which blobs it was asked for."""

    questions: list[Digest]

    def missing_blobs(self, blobs: object) -> frozenset[Digest]:
        wanted: list[Descriptor] = list(blobs)  # type: ignore[call-overload] # whatever can be iterated
        self.questions = [*getattr(self, "questions", []), *(blob.digest for blob in wanted)]
        return MemoryRepository.missing_blobs(self, wanted)


def test_a_blob_is_asked_for_once_however_many_images_have_it() -> None:
    destination, copier = Asked(), Copier()
    blobs = Well().hold(b"one", b"two")
    assert copier.missing_blobs(destination, blobs) == {each.digest for each in blobs}
    destination.blobs[blobs[0].digest] = b"one"
    assert copier.missing_blobs(destination, blobs) == {blobs[1].digest}
    assert copier.missing_blobs(destination, blobs) == {blobs[1].digest}
    assert destination.questions.count(blobs[0].digest) == 2, "once while it was not there, once when it was"


def test_what_was_brought_is_known_to_be_there_and_what_failed_is_not() -> None:
    source, destination, copier = Well(), Asked(), Copier(Limits(restarts=0))
    good, bad = source.hold(b"good", b"bad")

    def refuse(blob: Descriptor) -> None:
        if blob == bad:
            raise RetryLater(Reason.REGISTRY_ERROR, "HTTP 500", side=Side.DESTINATION)

    destination.before = refuse
    bring(copier, source, destination, [good])
    with pytest.raises(RetryLater):
        bring(copier, source, destination, [bad])
    assert copier.missing_blobs(destination, [good, bad]) == {bad.digest}
    assert destination.questions == [bad.digest]


def test_a_blob_that_vanished_from_a_registry_is_found_out_and_brought_by_the_next_attempt() -> None:
    image = multi_arch()
    source, destination, copier = image.in_memory(), MemoryRepository(), Copier()
    whole = closure(source, image.root.descriptor.digest, copier)
    copy(source, destination, whole, missing(destination, whole, copier), copier, tag=None)
    lost = whole.blobs[0].digest
    destination.manifests.clear()
    del destination.blobs[lost]
    with pytest.raises(RetryLater):
        copy(source, destination, whole, missing(destination, whole, copier), copier, tag=Tag("v1"))
    assert destination.tags == {}
    copy(source, destination, whole, missing(destination, whole, copier), copier, tag=Tag("v1"))
    assert (destination.blobs, destination.manifests) == (source.blobs, source.manifests)
