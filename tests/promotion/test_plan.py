"""The edge table of the design, one test a row; what `decide` cannot see alone is shown with two repositories."""

from datetime import datetime, timedelta

import pytest

from oci.images import Content, image, multi_arch
from promotion.world import DESTINATION, NAMESPACE, ONE_BY_ONE, START, World, policy
from transship.errors import NeedsHuman, Reason, RetryLater, Side
from transship.oci.copier import Copier
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import OCI_MANIFEST
from transship.oci.reference import Reference
from transship.promotion.image import Plan, make_plan
from transship.promotion.plan import AddTag, Copy, Observed, Present, Wanted, decide
from transship.promotion.policy import PromotionPolicy, route
from transship.promotion.sight import Sights

A = Descriptor(OCI_MANIFEST, Digest.of(b"a"), 100)
B = Descriptor(OCI_MANIFEST, Digest.of(b"b"), 100)
NOTHING = Observed(None, None, is_complete=False)
LATER = START + timedelta(hours=1)
OVERWRITE = policy(tagConflict="Overwrite")


def wanted(
    at_source: Descriptor | None = A,
    digest: Digest | None = A.digest,
    suffix: str = ":v1",
    by: PromotionPolicy | None = None,
) -> Wanted:
    way = route([by or policy()], NAMESPACE, Reference.parse(f"{DESTINATION}/shop/checkout{suffix}"))
    return Wanted(way, digest, at_source, START)


@pytest.mark.parametrize("at_source", [A, None], ids=["the source has it", "the source has lost it"])
def test_a_tag_at_the_wanted_digest_with_everything_below_it_is_present(at_source: Descriptor | None) -> None:
    decision = decide(wanted(at_source), Observed(A, A, is_complete=True), LATER)
    assert isinstance(decision, Present)
    assert decision.descriptor == A
    assert bool(decision.note) is (at_source is None)


def test_a_tag_at_the_wanted_digest_with_something_missing_below_it_is_repaired() -> None:
    assert decide(wanted(), Observed(A, A, is_complete=False), LATER) == Copy(A)


def test_a_digest_the_source_lost_and_the_destination_has_is_present_with_a_note_when_no_tag_is_wanted() -> None:
    decision = decide(wanted(None, suffix=f"@{A.digest}"), Observed(None, A, is_complete=True), LATER)
    assert isinstance(decision, Present)
    assert "no longer has" in decision.note


def test_a_tag_the_source_lost_and_the_destination_has_is_present_with_a_note() -> None:
    decision = decide(wanted(None, None), Observed(B, B, is_complete=True), LATER)
    assert isinstance(decision, Present)
    assert decision.descriptor == B
    assert "no longer has" in decision.note


@pytest.mark.parametrize(
    ("digest", "suffix", "observed"),
    [
        (None, ":v1", NOTHING),
        (None, ":v1", Observed(B, B, is_complete=False)),
        (A.digest, f"@{A.digest}", NOTHING),
        (A.digest, f"@{A.digest}", Observed(None, A, is_complete=False)),
        (A.digest, ":v1", Observed(None, A, is_complete=True)),
        (A.digest, ":v1", Observed(B, A, is_complete=True)),
        (A.digest, ":v1", Observed(A, A, is_complete=False)),
        (A.digest, f":v1@{A.digest}", Observed(B, None, is_complete=False)),
    ],
    ids=[
        "a tag that is nowhere",
        "a tag the destination has in pieces",
        "a digest that is nowhere",
        "a digest the destination has in pieces",
        "a pinned digest the destination has without the tag",
        "a pinned digest the destination has while the tag is elsewhere",
        "a pinned digest the destination has in pieces under the tag",
        "a tag with a digest, while the tag is elsewhere",
    ],
)
def test_what_the_source_lacks_otherwise_is_waited_for_and_then_missing(
    digest: Digest | None, suffix: str, observed: Observed
) -> None:
    with pytest.raises(RetryLater) as waiting:
        decide(wanted(None, digest, suffix), observed, START + timedelta(seconds=59))
    assert (waiting.value.reason, waiting.value.side) == (Reason.SOURCE_NOT_YET_THERE, Side.SOURCE)
    with pytest.raises(NeedsHuman) as missing:
        decide(wanted(None, digest, suffix), observed, START + timedelta(seconds=60))
    assert (missing.value.reason, missing.value.side) == (Reason.SOURCE_MISSING, Side.SOURCE)
    assert "shop/checkout" in missing.value.message
    assert "push it there" in missing.value.message


@pytest.mark.parametrize(
    ("grace", "seconds", "after"),
    [("60s", 0, 5.0), ("60s", 58, 2.1), ("1h", 3599, 1.1), ("0s", 0, None)],
    ids=[
        "in the beginning every few seconds",
        "at the end once more when it is over",
        "a longer grace of the policy counts",
        "no grace is missing at once",
    ],
)
def test_the_grace_is_the_policys_and_says_when_to_look_again(grace: str, seconds: float, after: float | None) -> None:
    with pytest.raises((RetryLater, NeedsHuman)) as caught:
        decide(wanted(None, None, by=policy(sourceGrace=grace)), NOTHING, START + timedelta(seconds=seconds))
    found = caught.value.after if isinstance(caught.value, RetryLater) else None
    assert found == pytest.approx(after)


@pytest.mark.parametrize("is_complete", [True, False], ids=["and the content is there", "and the content is not there"])
def test_a_tag_at_another_digest_is_a_conflict_that_names_both_digests(*, is_complete: bool) -> None:
    observed = Observed(B, A if is_complete else None, is_complete=is_complete)
    with pytest.raises(NeedsHuman) as caught:
        decide(wanted(), observed, LATER)
    assert (caught.value.reason, caught.value.side) == (Reason.TAG_CONFLICT, Side.DESTINATION)
    assert str(A.digest) in caught.value.message
    assert str(B.digest) in caught.value.message
    assert "use a new tag" in caught.value.message


def test_a_tag_at_another_digest_is_moved_under_a_policy_that_overwrites_and_the_previous_digest_is_kept() -> None:
    by = wanted(by=OVERWRITE)
    assert decide(by, Observed(B, None, is_complete=False), LATER) == Copy(A, B.digest)
    assert decide(by, Observed(B, A, is_complete=True), LATER) == AddTag(A, B.digest)


def test_a_digest_that_is_there_without_the_tag_gets_the_tag_and_nothing_else() -> None:
    assert decide(wanted(), Observed(None, A, is_complete=True), LATER) == AddTag(A)


@pytest.mark.parametrize("suffix", [":v1", f"@{A.digest}", f":v1@{A.digest}"], ids=["tag", "digest", "both"])
def test_what_the_source_has_and_the_destination_has_not_is_copied(suffix: str) -> None:
    assert decide(wanted(suffix=suffix), NOTHING, LATER) == Copy(A)


def test_a_digest_without_a_tag_that_is_there_is_present() -> None:
    assert decide(wanted(suffix=f"@{A.digest}"), Observed(None, A, is_complete=True), LATER) == Present(A)


def test_of_a_reference_with_tag_and_digest_the_digest_decides_and_a_tag_elsewhere_is_a_conflict() -> None:
    both = wanted(suffix=f":v1@{A.digest}")
    assert decide(both, Observed(A, A, is_complete=True), LATER) == Present(A)
    assert decide(both, Observed(None, A, is_complete=True), LATER) == AddTag(A)
    with pytest.raises(NeedsHuman) as caught:
        decide(both, Observed(B, A, is_complete=True), LATER)
    assert caught.value.reason is Reason.TAG_CONFLICT


# --- the same with two repositories: what is wanted and what is observed


def plan(world: World, suffix: str = ":v1", pinned: Digest | None = None, now: datetime = LATER) -> Plan:
    way = route([policy()], NAMESPACE, Reference.parse(f"{DESTINATION}/shop/checkout{suffix}"))
    return make_plan(Sights(world).open(way, pinned), Copier(ONE_BY_ONE), START, now)


ONE, OTHER = multi_arch(seed=b"one", layer_bytes=50), image([b"other"])


def digest_of(content: Content) -> Digest:
    return content.root.descriptor.digest


def test_a_reference_with_tag_and_digest_wants_the_digest_wherever_the_sources_tag_is() -> None:
    world = World()
    world.at_source().hold(ONE)
    world.at_source().hold(OTHER, "v1")
    found = plan(world, f":v1@{digest_of(ONE)}")
    assert found.decision == Copy(ONE.root.descriptor)
    assert found.writes


def test_a_pinned_digest_is_wanted_wherever_the_sources_tag_is() -> None:
    world = World()
    world.at_source().hold(ONE)
    world.at_source().hold(OTHER, "v1")
    assert plan(world, pinned=digest_of(ONE)).decision.descriptor == ONE.root.descriptor


@pytest.mark.parametrize("lost", ["a child", "a blob"])
def test_what_is_missing_below_the_root_makes_it_incomplete(lost: str) -> None:
    world = World()
    world.at_source().hold(ONE, "v1")
    world.at_destination().hold(ONE, "v1")
    if lost == "a child":
        del world.at_destination().manifests[ONE.manifests[0].descriptor.digest]
    else:
        del world.at_destination().blobs[Digest.of(ONE.blobs[0])]
    found = plan(world)
    assert found.decision == Copy(ONE.root.descriptor)
    assert len(found.lacking.manifests | found.lacking.blobs) == 1


def test_an_image_that_is_whole_at_the_destination_is_present_though_the_source_lost_a_child_of_it() -> None:
    world = World()
    world.at_source().hold(ONE, "v1")
    world.at_destination().hold(ONE, "v1")
    del world.at_source().manifests[ONE.manifests[0].descriptor.digest]
    assert isinstance(plan(world).decision, Present)


def test_an_image_in_pieces_on_both_sides_is_missing_and_the_message_names_the_piece() -> None:
    world = World()
    for each in (world.at_source(), world.at_destination()):
        each.hold(ONE, "v1")
        del each.manifests[ONE.manifests[0].descriptor.digest]
    with pytest.raises(NeedsHuman) as caught:
        plan(world)
    assert (caught.value.reason, caught.value.side) == (Reason.SOURCE_MISSING, Side.SOURCE)
    assert str(ONE.manifests[0].descriptor.digest) in caught.value.message


@pytest.mark.parametrize("lost", ["a child", "a blob"])
def test_a_tag_the_source_lost_and_the_destination_has_in_pieces_is_waited_for_and_then_missing(lost: str) -> None:
    world = World()
    world.at_destination().hold(ONE, "v1")
    if lost == "a child":
        del world.at_destination().manifests[ONE.manifests[0].descriptor.digest]
    else:
        del world.at_destination().blobs[Digest.of(ONE.blobs[0])]
    with pytest.raises(RetryLater) as waiting:
        plan(world, now=START)
    assert waiting.value.reason is Reason.SOURCE_NOT_YET_THERE
    with pytest.raises(NeedsHuman) as caught:
        plan(world)
    assert caught.value.reason is Reason.SOURCE_MISSING


def test_planning_writes_nothing() -> None:
    world = World()
    world.at_source().hold(ONE, "v1")
    before = world.snapshot()
    plan(world)
    assert (world.writes, world.snapshot()) == ([], before)
