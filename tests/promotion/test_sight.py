"""Many images of one repository: what a registry that answers for many at once is asked, and what follows from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pytest

from oci.images import Content, image, multi_arch
from promotion.world import DESTINATION, Desk, NotedRepository, World, policy
from transship.errors import NeedsHuman, Reason, RetryLater, Side
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import Manifest
from transship.oci.reference import Tag
from transship.promotion.status import Outcome, Phase

TAGS = [f"v{number}" for number in range(12)]
IMAGES = {tag: image([tag.encode()]) for tag in TAGS}


@dataclass(slots=True)
class Batching(NotedRepository):
    """A repository that answers for many at once, and counts what it was asked."""

    requests: list[str] = field(default_factory=list)
    silent_about: frozenset[Tag | Digest] = frozenset()

    def resolve(self, target: Tag | Digest) -> Descriptor | None:
        self.requests.append(f"resolve {target}")
        return NotedRepository.resolve(self, target)

    def resolve_all(self, targets: Iterable[Tag | Digest]) -> Mapping[Tag | Digest, Descriptor | None]:
        wanted = list(targets)
        self.requests.append(f"resolve {len(wanted)}")
        answers = ((each, NotedRepository.resolve(self, each)) for each in wanted if each not in self.silent_about)
        return dict(answers)

    def fetch_manifest(self, digest: Digest) -> Manifest | None:
        self.requests.append("fetch")
        return NotedRepository.fetch_manifest(self, digest)


def batching(world: World, name: str) -> Batching:
    made = Batching(name=name, log=world.log, targets_per_request=100, keeps_whole=True)
    world.repositories[name] = made
    return made


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def here(world: World) -> Batching:
    """The source, with every image."""
    found = batching(world, "111111111111.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout")
    for tag, content in IMAGES.items():
        found.hold(content, tag)
    return found


@pytest.fixture
def there(world: World) -> Batching:
    return batching(world, f"{DESTINATION}/shop/checkout")


@pytest.fixture
def desk(world: World, here: Batching, there: Batching) -> Desk:
    images = {tag: f"{DESTINATION}/shop/checkout:{tag}" for tag in TAGS}
    # What is attached to an image that is to be written is asked for image by image, and not counted here.
    return Desk(world, images, [policy(sourceGrace="0s", referrers="Ignore")])


def test_images_that_are_all_there_cost_one_request_on_each_side(desk: Desk, here: Batching, there: Batching) -> None:
    for tag, content in IMAGES.items():
        there.hold(content, tag)
    desk.look()
    assert {each.outcome for each in desk.status.images} == {Outcome.ALREADY_PRESENT}
    assert (here.requests, there.requests) == (["resolve 12"], ["resolve 12"])
    assert desk.status.progress == "100%"


def test_images_that_are_all_missing_are_planned_in_three_requests_and_each_is_copied(
    desk: Desk, here: Batching, there: Batching
) -> None:
    planned: list[int] = []
    desk.before_publish = lambda: planned.append(
        len(here.requests) + len(there.requests) - here.requests.count("fetch")
    )
    desk.look()
    assert planned[0] == 3
    assert desk.status.phase is Phase.PROMOTED
    assert all(there.holds(content) and there.at(tag) for tag, content in IMAGES.items())


def test_an_image_at_another_tag_gets_its_tag_and_nothing_is_sent_again(
    desk: Desk, here: Batching, there: Batching
) -> None:
    for content in IMAGES.values():
        there.hold(content)
    desk.look()
    assert {each.outcome for each in desk.status.images} == {Outcome.TAG_ADDED}
    assert sorted(there.log[1:]) == sorted([f"{there.name} {tag}" for tag in TAGS])


def test_one_image_that_is_missing_does_not_stop_the_others(desk: Desk, here: Batching, there: Batching) -> None:
    del here.tags[Tag("v3")]
    desk.look()
    assert {each.name: each.reason for each in desk.status.images if not each.is_proven} == {"v3": "SourceMissing"}


def test_an_image_the_batch_is_silent_about_is_asked_for_by_itself_and_its_problem_is_its_own(
    desk: Desk, here: Batching
) -> None:
    here.silent_about = frozenset({Tag("v5")})

    def odd() -> None:
        if here.requests[-1] == "resolve v5":
            raise NeedsHuman(Reason.UNSUPPORTED_CONTENT, "its media type is odd", side=Side.SOURCE, step="resolve")

    here.before["resolve"] = odd
    desk.look()
    assert {each.name: each.reason for each in desk.status.images if not each.is_proven} == {"v5": "UnsupportedContent"}


def test_a_repository_that_cannot_be_asked_holds_up_its_images_and_no_others(
    world: World, desk: Desk, here: Batching
) -> None:
    other = multi_arch()
    world.at_source("shop/cart").hold(other, "v1")
    slow = RetryLater(Reason.THROTTLED, "slow down", side=Side.SOURCE, step="resolve", after=7.0)

    def throttle() -> None:
        raise slow

    here.before["resolve"] = throttle
    both = Desk(world, {**desk.images, "cart": f"{DESTINATION}/shop/cart:v1"}, desk.policies)
    result = both.look()
    assert result is not None
    assert result.not_before == 7.0
    assert {each.name for each in both.status.images if each.is_proven} == {"cart"}
    assert {each.reason for each in both.status.images if not each.is_proven} == {"Throttled"}
    assert here.requests == ["resolve 12"], "a registry that asks to slow down is not asked once an image"


def test_where_nothing_vouches_for_blobs_a_lost_one_is_found_and_sent_again(desk: Desk, there: Batching) -> None:
    for tag, content in IMAGES.items():
        there.hold(content, tag)
    there.keeps_whole = False
    lost: Content = IMAGES["v4"]
    del there.blobs[Digest.of(lost.blobs[1])]
    desk.look()
    assert {each.name for each in desk.status.images if each.outcome is Outcome.COPIED} == {"v4"}
    assert there.holds(lost)


@pytest.mark.parametrize("grace", ["0s", "1h"])
def test_an_archived_image_is_told_apart_from_a_missing_one_and_not_waited_for(
    world: World, here: Batching, there: Batching, grace: str
) -> None:
    here.archived.add(Tag("old"))
    desk = Desk(world, {"old": f"{DESTINATION}/shop/checkout:old"}, [policy(sourceGrace=grace)])
    desk.look()
    assert (desk.status.phase, desk.image("old").reason) == (Phase.STALLED, Reason.SOURCE_ARCHIVED)
    assert "restore it there" in desk.image("old").message
