"""What a policy says of signatures, SBOMs and attestations, and what the status says of them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from oci.images import Content, artifact, multi_arch
from promotion.world import DESTINATION, SOURCE, Desk, NotedRepository, World, policy
from transship.errors import NeedsHuman, Reason, RetryLater, Side, TransshipError
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.reference import Tag
from transship.promotion.policy import PolicyError, Referrers
from transship.promotion.status import Outcome, Phase, ReferrersStatus

ONE = multi_arch(layer_bytes=400)
SBOM = artifact(ONE.root.descriptor, b"sbom")
OF_CHILD = artifact(ONE.manifests[0].descriptor, b"attestation")
UPON_SBOM = artifact(SBOM.root.descriptor, b"signature of the sbom")
SIGNATURE = artifact(None, b"signature")
SIGNED = Tag(f"sha256-{ONE.root.descriptor.digest.hex}.sig")
ATTACHED = (SBOM, OF_CHILD, UPON_SBOM, SIGNATURE)
APP = f"{DESTINATION}/shop/checkout:v1"
every_mode = pytest.mark.parametrize("mode", list(Referrers))
those_that_copy = pytest.mark.parametrize("mode", [Referrers.REQUIRE, Referrers.BEST_EFFORT])


@dataclass(slots=True)
class Listing(NotedRepository):
    """A repository that counts how often it is asked what is attached to something, and may refuse to say."""

    listed: list[Digest] = field(default_factory=list)
    refusal: Callable[[], TransshipError] | None = None

    def list_referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        self.listed.append(subject)
        if self.refusal is not None:
            raise self.refusal()
        return NotedRepository.list_referrers(self, subject)


@pytest.fixture
def world() -> World:
    """ONE is at the source as checkout:v1, with everything that is attached to it; the destination is empty."""
    found = World()
    for host in (SOURCE, DESTINATION):
        name = f"{host}/shop/checkout"
        found.repositories[name] = Listing(name=name, log=found.log)
    for content in (ONE, *ATTACHED):
        found.at_source().hold(content)
    found.at_source().tags = {Tag("v1"): ONE.root.descriptor.digest, SIGNED: SIGNATURE.root.descriptor.digest}
    return found


def at_source(world: World) -> Listing:
    found = world.at_source()
    assert isinstance(found, Listing)
    return found


def desk(world: World, mode: str = "Require") -> Desk:
    return Desk(world, {"app": APP}, [policy(referrers=mode, sourceGrace="0s")])


def holds(world: World, *contents: Content) -> bool:
    return all(world.at_destination().holds(each) for each in contents)


def denied() -> NeedsHuman:
    return NeedsHuman(Reason.DENIED, "may not list", side=Side.SOURCE, step="list referrers")


def throttled() -> RetryLater:
    return RetryLater(Reason.THROTTLED, "slow down", side=Side.SOURCE, step="list referrers", after=30.0)


@those_that_copy
def test_what_is_attached_arrives_with_the_image_and_before_its_tag(world: World, mode: str) -> None:
    promoted = desk(world, mode)
    promoted.look()
    assert promoted.status.phase is Phase.PROMOTED
    assert holds(world, ONE, *ATTACHED)
    assert world.at_destination().at(str(SIGNED)) == str(SIGNATURE.root.descriptor.digest)
    assert world.writes[-1].endswith(" v1")
    image = promoted.image()
    assert image.referrers == ReferrersStatus(copied=4)
    assert image.message.endswith("; 4 attached manifests copied")
    assert image.bytes_total == (image.bytes_copied or 0) + (image.bytes_skipped or 0)


def test_nothing_is_asked_or_copied_where_it_is_ignored(world: World) -> None:
    promoted = desk(world, "Ignore")
    promoted.look()
    assert promoted.status.phase is Phase.PROMOTED
    assert at_source(world).listed == []
    assert set(world.at_destination().manifests) == {each.descriptor.digest for each in ONE.manifests}
    assert promoted.image().referrers is None


@pytest.mark.parametrize("mode", [Referrers.BEST_EFFORT, Referrers.IGNORE])
def test_nothing_more_is_asked_about_an_image_that_is_there(world: World, mode: str) -> None:
    world.at_destination().hold(ONE, "v1")
    promoted = desk(world, mode)
    promoted.look()
    assert promoted.image().outcome is Outcome.ALREADY_PRESENT
    assert at_source(world).listed == []
    assert world.writes == []


def test_an_image_that_is_there_without_what_is_required_is_repaired(world: World) -> None:
    world.at_destination().hold(ONE, "v1")
    world.at_destination().hold(SBOM)
    promoted = desk(world)
    promoted.look()
    assert promoted.image().outcome is Outcome.COPIED
    assert promoted.image().referrers == ReferrersStatus(copied=3, present=1)
    assert holds(world, ONE, *ATTACHED)
    assert not [each for each in world.writes if str(SBOM.root.descriptor.digest) in each]

    world.log.clear()
    promoted.ask()
    assert world.writes == []
    assert promoted.status.phase is Phase.PROMOTED
    assert promoted.image().referrers == ReferrersStatus(present=4)


def test_an_image_that_is_there_with_all_that_is_required_is_left_alone(world: World) -> None:
    for content in (ONE, *ATTACHED):
        world.at_destination().hold(content)
    world.at_destination().tags = dict(world.at_source().tags)
    signed_there = artifact(ONE.root.descriptor, b"signed there")
    world.at_destination().hold(signed_there)
    promoted = desk(world)
    promoted.look()
    assert promoted.image().outcome is Outcome.ALREADY_PRESENT
    assert promoted.image().referrers == ReferrersStatus(present=4)
    assert world.writes == []
    assert holds(world, signed_there)


@pytest.mark.parametrize(
    ("refusal", "phase", "after"), [(denied, Phase.STALLED, 0.0), (throttled, Phase.RETRYING, 30.0)]
)
def test_what_is_required_and_cannot_be_listed_keeps_the_image_from_being_promoted(
    world: World, refusal: Callable[[], TransshipError], phase: Phase, after: float
) -> None:
    at_source(world).refusal = refusal
    promoted = desk(world)
    result = promoted.look()
    assert promoted.status.phase is phase
    assert promoted.image().reason == refusal().reason
    assert "source list referrers: what is attached to the image is required: " in promoted.image().message
    assert result is not None
    assert result.not_before == after
    assert world.writes == []

    at_source(world).refusal = None
    promoted.ask()
    assert promoted.status.phase is Phase.PROMOTED
    assert holds(world, ONE, *ATTACHED)


@pytest.mark.parametrize("refusal", [denied, throttled])
def test_what_cannot_be_listed_is_told_when_the_best_is_good_enough(
    world: World, refusal: Callable[[], TransshipError]
) -> None:
    at_source(world).refusal = refusal
    promoted = desk(world, "BestEffort")
    promoted.look()
    assert promoted.status.phase is Phase.PROMOTED
    assert holds(world, ONE, SIGNATURE)
    assert promoted.image().referrers == ReferrersStatus(copied=1, failed=4)
    told = f"4 could not be copied: source list referrers: {refusal().message}"
    assert told in promoted.image().message


@pytest.mark.parametrize("mode", [Referrers.REQUIRE, Referrers.BEST_EFFORT])
def test_a_signature_that_may_not_replace_the_destinations_own(world: World, mode: str) -> None:
    own = artifact(None, b"their signature")
    world.at_destination().hold(own, str(SIGNED))
    promoted = desk(world, mode)
    promoted.look()
    assert world.at_destination().at(str(SIGNED)) == str(own.root.descriptor.digest)
    assert "holds what the source does not have" in promoted.image().message
    if mode is Referrers.REQUIRE:
        assert promoted.image().reason == Reason.TAG_CONFLICT
        assert world.writes == []
    else:
        assert promoted.status.phase is Phase.PROMOTED
        assert promoted.image().referrers == ReferrersStatus(copied=3, failed=1)


def test_an_image_that_the_source_has_lost_is_not_asked_about_there(world: World) -> None:
    world.at_destination().hold(ONE, "v1")
    world.at_source().forget(ONE)
    promoted = desk(world)
    promoted.look()
    assert promoted.image().outcome is Outcome.ALREADY_PRESENT
    assert at_source(world).listed == []


@every_mode
def test_a_mode_is_what_the_policy_says(mode: str) -> None:
    assert policy(referrers=mode).referrers is mode


def test_without_a_word_the_best_that_can_be_had_is_wanted() -> None:
    assert policy().referrers is Referrers.BEST_EFFORT


def test_another_word_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"spec\.referrers 'Always' must be one of Require, BestEffort, Ignore"):
        policy(referrers="Always")
