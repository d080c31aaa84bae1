"""What holds in every world: properties of the promoter over random registries and random requests."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from oci.images import Content, image, index, multi_arch
from promotion.world import DESTINATION, Desk, NotedRepository, World, policy
from transship.oci.digest import Digest
from transship.oci.reference import Reference, Tag
from transship.promotion.status import ImageStatus, Phase

PATHS = ["shop/a", "shop/b"]
TAGS = ["v1", "v2"]
BASE = image([b"base"])
# Images that share blobs and children, so that what one brings another may lack.
CONTENTS = [BASE, image([b"base", b"more"]), multi_arch(layer_bytes=10), index([BASE], note="one")]
NUMBERS = st.integers(0, len(CONTENTS) - 1)


@dataclass(frozen=True)
class Holding:
    """What a repository has in the beginning."""

    tags: dict[str, int] = field(default_factory=dict)
    untagged: frozenset[int] = frozenset()
    lost_blobs: frozenset[bytes] = frozenset()
    lost_manifests: frozenset[int] = frozenset()

    def fill(self, repository: NotedRepository) -> None:
        for tag, number in self.tags.items():
            repository.hold(CONTENTS[number], tag)
        for number in self.untagged:
            repository.hold(CONTENTS[number])
        for blob in self.lost_blobs:
            repository.blobs.pop(Digest.of(blob), None)
        for number in self.lost_manifests:
            repository.manifests.pop(CONTENTS[number].root.descriptor.digest, None)


DAMAGED = st.builds(
    Holding,
    st.dictionaries(st.sampled_from(TAGS), NUMBERS),
    st.frozensets(NUMBERS),
    st.frozensets(st.sampled_from([blob for content in CONTENTS for blob in content.blobs]), max_size=2),
    st.frozensets(NUMBERS, max_size=1),
)
WISHES = st.tuples(st.sampled_from(PATHS), st.sampled_from(TAGS) | st.none(), NUMBERS | st.none()).filter(
    lambda wish: wish[1] is not None or wish[2] is not None
)


def written(wish: tuple[str, str | None, int | None]) -> str:
    path, tag, number = wish
    digest = f"@{CONTENTS[number].root.descriptor.digest}" if number is not None else ""
    return f"{DESTINATION}/{path}{f':{tag}' if tag else ''}{digest}"


def make(sources: list[Holding], destinations: list[Holding]) -> World:
    world = World()
    for path, source, destination in zip(PATHS, sources, destinations, strict=True):
        source.fill(world.at_source(path))
        destination.fill(world.at_destination(path))
    return world


def content_of(digest: str) -> Content:
    return next(each for each in CONTENTS if str(each.root.descriptor.digest) == digest)


def assert_is_there(world: World, path: str, status: ImageStatus, wanted: str) -> None:
    there, here = world.at_destination(path), world.at_source(path)
    reference = Reference.parse(wanted)
    assert there.holds(content_of(status.digest))
    if reference.tag is not None:
        assert there.at(str(reference.tag)) == status.digest
    at_source = here.tags.get(reference.target) if isinstance(reference.target, Tag) else reference.target
    if at_source is not None and at_source in here.manifests:
        assert status.digest == str(at_source)


@given(
    st.lists(DAMAGED, min_size=2, max_size=2),
    st.lists(DAMAGED, min_size=2, max_size=2),
    # Two containers that want two digests under one tag of a policy that overwrites would have no state of rest.
    st.lists(WISHES, min_size=1, max_size=3, unique_by=lambda wish: wish[:2]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_what_is_ready_is_there_nothing_unnamed_appears_and_a_second_look_writes_nothing(
    sources: list[Holding],
    destinations: list[Holding],
    wishes: list[tuple[str, str | None, int | None]],
    overwrites: bool,  # noqa: FBT001 - hypothesis fills arguments by position
    immutable: bool,  # noqa: FBT001 - as above
) -> None:
    world = make(sources, destinations)
    for path in PATHS:
        world.at_destination(path).immutable_tags = immutable
    before = make(sources, destinations)
    wanted = {f"c{number}": written(wish) for number, wish in enumerate(wishes)}
    desk = Desk(world, wanted, [policy(tagConflict="Overwrite" if overwrites else "Refuse", sourceGrace="0s")])
    result = desk.look()
    assert result is not None
    assert result.unexpected == ()

    for (path, _, _), each in zip(wishes, desk.status.images, strict=True):
        if each.is_proven:
            assert_is_there(world, path, each, wanted[each.name])
        else:
            assert each.reason, "an image that is not there says why"
    assert (desk.status.phase is Phase.PROMOTED) is all(each.is_proven for each in desk.status.images)

    for path in PATHS:
        assert world.at_source(path).snapshot() == before.at_source(path).snapshot()
        now, then = world.at_destination(path), before.at_destination(path)
        here = [(tag, each.digest) for (at, tag, _), each in zip(wishes, desk.status.images, strict=True) if at == path]
        named = [content_of(digest) for _, digest in here if digest]
        manifests = {each.descriptor.digest for content in named for each in content.manifests}
        assert set(now.manifests) - set(then.manifests) <= manifests
        assert set(now.blobs) - set(then.blobs) <= {Digest.of(blob) for content in named for blob in content.blobs}
        assert {tag for tag in now.tags if now.tags[tag] != then.tags.get(tag)} <= {Tag(tag) for tag, _ in here if tag}
        assert set(then.tags) <= set(now.tags)
        if not overwrites:
            assert all(now.tags[tag] == digest for tag, digest in then.tags.items() if digest in then.manifests)

    held = world.snapshot()
    world.log.clear()
    desk.ask()
    if desk.status.phase is Phase.PROMOTED:
        assert (world.writes, world.snapshot()) == ([], held)
    # Of an image that cannot be whole, another attempt may bring a blob that the first one left, and nothing else.
    failed = [content_of(each.digest) for each in desk.status.images if each.digest and not each.is_proven]
    assert {each.split()[-1] for each in world.writes} <= {
        str(Digest.of(blob)) for content in failed for blob in content.blobs
    }
