"""What is attached to an image is found, goes along, and is written behind its subject."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci.images import Content, artifact, as_json, blob_descriptor, image, index, manifest_of, multi_arch
from oci.store_contract import push
from transship.errors import NeedsHuman, Reason, RetryLater, TransshipError
from transship.oci.attaching import Attaching, missing_attached
from transship.oci.closure import Closure, closure
from transship.oci.copier import Cancelled, Copier, Limits
from transship.oci.copy import CopyReport, copy, missing, prove
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import OCI_INDEX, InvalidManifest, Manifest
from transship.oci.memory import MemoryRepository
from transship.oci.reference import Repository, Tag
from transship.oci.referrers import MAX_DEPTH, MAX_REFERRERS, Attached, cosign_tags, find_attached
from transship.oci.referrers_tag import fallback_tag, listing, without
from transship.oci.store import Chunk

TAG = Tag("v1")
ONE_BY_ONE = Limits(blobs=1, lookups=1, restarts=0)
NEVER = "the registry is out of order"


@dataclass(slots=True)
class Noted(MemoryRepository):
    """A repository that notes what it was asked and told, and fails where it is told to."""

    writes: list[Digest | Tag] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    fails: Callable[[Digest | Tag], bool] = lambda _: False
    error: TransshipError = field(default_factory=lambda: RetryLater(Reason.REGISTRY_ERROR, NEVER))

    def list_referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        self.asked.append("list")
        self._meet(subject)
        return MemoryRepository.list_referrers(self, subject)

    def resolve_all(self, targets: Iterable[Tag | Digest]) -> Mapping[Tag | Digest, Descriptor | None]:
        wanted = list(targets)
        self.asked.append(f"resolve {len(wanted)}")
        return MemoryRepository.resolve_all(self, [each for each in wanted if not self.fails(each)])

    def push_blob(self, blob: Descriptor, chunks: Iterator[Chunk], mount: Repository | None = None) -> bool:
        self._meet(blob.digest)
        is_mounted = MemoryRepository.push_blob(self, blob, chunks, mount)
        self.writes.append(blob.digest)
        return is_mounted

    def push_manifest(self, manifest: Manifest, target: Tag | Digest) -> None:
        self._meet(target)
        MemoryRepository.push_manifest(self, manifest, target)
        self.writes.append(target)

    def fetch_manifests(self, digests: Iterable[Digest]) -> Iterator[Manifest]:
        wanted = list(digests)
        for digest in wanted:
            self._meet(digest)
        return MemoryRepository.fetch_manifests(self, wanted)

    def resolve(self, target: Tag | Digest) -> Descriptor | None:
        self._meet(target)
        return MemoryRepository.resolve(self, target)

    def _meet(self, what: Digest | Tag) -> None:
        if self.fails(what):
            raise self.error


@dataclass(frozen=True)
class Signed:
    """An image with what is attached to it, subjects first; each with the tag that leads to it, or none."""

    image: Content
    attached: tuple[tuple[Content, Digest, Tag | None], ...]

    def fill(self, repository: MemoryRepository) -> None:
        push(repository, self.image)
        for content, _, tag in self.attached:
            push(repository, content, tag)

    @property
    def manifests(self) -> dict[Digest, Manifest]:
        every = [self.image, *(content for content, _, _ in self.attached)]
        return {each.descriptor.digest: each for content in every for each in content.manifests}


def digest_of(content: Content) -> Digest:
    return content.root.descriptor.digest


def sig(content: Content, kind: str = ".sig") -> Tag:
    return Tag(f"sha256-{digest_of(content).hex}{kind}")


@st.composite
def signed(draw: st.DrawFn) -> Signed:
    images = st.builds(image, st.lists(st.binary(max_size=8), max_size=2), config=st.binary(min_size=1, max_size=4))
    root = draw(st.recursive(images, lambda below: st.builds(index, st.lists(below, max_size=3)), max_leaves=3))
    attached: list[tuple[Content, Digest, Tag | None]] = []
    subjects = [(each.descriptor, 0) for each in root.manifests]
    tags: set[Tag] = set()
    for number in range(draw(st.integers(0, 6))):
        subject, depth = draw(st.sampled_from(subjects))
        kind = draw(st.sampled_from(["", ".sig", ".att", ".sbom"]))
        tag = Tag(f"sha256-{subject.digest.hex}{kind}") if kind else None
        if depth == MAX_DEPTH or tag in tags:
            continue
        content = artifact(None if tag else subject, draw(st.binary(max_size=6)), note=str(number))
        if tag is not None:
            tags.add(tag)
        elif draw(st.booleans()):
            content = referring_index(content, subject)
        attached.append((content, subject.digest, tag))
        subjects += [(each.descriptor, depth + 1) for each in content.manifests]
    return Signed(root, tuple(attached))


def referring_index(child: Content, subject: Descriptor) -> Content:
    """An index that is attached to something, and has a child of its own."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [as_json(child.root.descriptor)],
        "subject": as_json(subject),
    }
    return Content((*child.manifests, manifest_of(document)), child.blobs)


@dataclass(frozen=True)
class Promoted:
    whole: Closure
    found: Attached
    attaching: Attaching
    report: CopyReport


def promote(
    source: MemoryRepository,
    destination: MemoryRepository,
    content: Content,
    *,
    is_required: bool = True,
    cancelled: Callable[[], bool] = lambda: False,
) -> Promoted:
    """Look, copy, prove."""
    copier = Copier(ONE_BY_ONE)
    whole = closure(source, digest_of(content), copier)
    found = find_attached(source, whole, copier)
    attaching = missing_attached(destination, found, copier, is_required=is_required)
    lacking = missing(destination, whole, copier)
    report = copy(source, destination, whole, lacking, copier, tag=TAG, attaching=attaching, cancelled=cancelled)
    prove(destination, whole, TAG, copier, report.attached.written)
    return Promoted(whole, found, attaching, report)


def problems(destination: MemoryRepository, source: MemoryRepository, content: Content) -> list[Reason]:
    report = promote(source, destination, content, is_required=False).report
    return [each.reason for each in report.attached.problems]


def pair(content: Content, *attached: Content) -> tuple[Noted, Noted]:
    """A source with an image and what names it, and an empty destination."""
    source, destination = Noted(), Noted()
    for each in (content, *attached):
        push(source, each)
    source.asked.clear()
    return source, destination


@given(signed(), st.booleans(), st.booleans(), st.booleans())
@settings(deadline=None)
def test_any_graph_arrives_byte_for_byte_each_part_behind_what_it_needs(
    wanted: Signed,
    here: bool,  # noqa: FBT001 - hypothesis fills arguments by position
    there: bool,  # noqa: FBT001 - as above
    keeps_whole: bool,  # noqa: FBT001 - as above
) -> None:
    source, destination = Noted(lists_referrers=here), Noted(lists_referrers=there, keeps_whole=keeps_whole)
    wanted.fill(source)
    done = promote(source, destination, wanted.image)

    lists = {digest for tag, digest in destination.tags.items() if tag.name == tag.name.partition(".")[0]} - {
        destination.tags[TAG]
    }
    arrived = {digest: each for digest, each in destination.manifests.items() if digest in wanted.manifests}
    assert arrived == wanted.manifests
    assert there or set(destination.manifests) - set(arrived) >= lists - set(arrived)
    assert not there or set(destination.manifests) == set(arrived)
    assert destination.blobs == source.blobs
    for content, subject, tag in wanted.attached:
        if tag is None:
            assert digest_of(content) in {each.digest for each in destination.list_referrers(subject)}
        else:
            assert destination.tags[tag] == digest_of(content)

    order = {what: place for place, what in reversed(list(enumerate(destination.writes)))}
    assert destination.writes[-1] == TAG
    for content, subject, tag in wanted.attached:
        assert order[subject] < order[digest_of(content)]
        assert tag is None or order[digest_of(content)] < order[tag]
    for each in wanted.manifests.values():
        place = order.get(each.descriptor.digest, order[TAG])
        assert all(order[below.digest] < place for below in (*each.blobs, *each.children))
    assert done.report.bytes_copied + done.report.bytes_skipped == done.report.bytes_total
    written = {step.attachment.digest for step in done.report.attached.written}
    assert written >= {digest_of(content) for content, _, _ in wanted.attached}

    again = missing_attached(destination, done.found, Copier(ONE_BY_ONE), is_required=True)
    assert not again
    assert again.present == len(done.found.attachments)


def test_an_image_that_nothing_is_attached_to_is_put_straight_under_its_tag() -> None:
    content = multi_arch()
    source, destination = pair(content)
    promote(source, destination, content)
    assert digest_of(content) not in destination.writes
    assert destination.writes[-1] == TAG


def test_the_tags_of_a_whole_level_are_one_question_where_the_registry_takes_many() -> None:
    content = multi_arch()
    source, destination = pair(content, artifact(content.root.descriptor, b"signature"))
    source.targets_per_request = 100
    promote(source, destination, content)
    assert source.asked == [*["list"] * 3, "resolve 9", "list", "resolve 3"]


def test_attachments_in_a_circle_of_tags_are_found_once() -> None:
    content, one, other = image([b"layer"]), artifact(None, b"one"), artifact(None, b"other")
    source, destination = pair(content, one, other)
    circle = {sig(content): one, sig(one): other, sig(other): one, sig(other, ".att"): content}
    source.tags.update({tag: digest_of(each) for tag, each in circle.items()})
    done = promote(source, destination, content)
    assert {each.digest for each in done.found.attachments} == {digest_of(each) for each in (content, one, other)}
    assert destination.tags == source.tags | {TAG: digest_of(content)}


def test_what_is_attached_too_deep_is_told_and_what_is_above_it_copied() -> None:
    chain = [image([b"layer"])]
    for number in range(MAX_DEPTH + 1):
        chain.append(artifact(chain[-1].root.descriptor, b"%d" % number))
    source, destination = pair(*chain)
    assert problems(destination, source, chain[0]) == [Reason.UNSUPPORTED_CONTENT]
    assert [digest_of(each) in destination.manifests for each in chain] == [True] * (MAX_DEPTH + 1) + [False]


def test_of_too_many_referrers_some_are_copied_and_the_rest_is_told() -> None:
    content = image([b"layer"])
    source, destination = pair(
        content, *(artifact(content.root.descriptor, b"%d" % each) for each in range(MAX_REFERRERS + 1))
    )
    assert problems(destination, source, content) == [Reason.UNSUPPORTED_CONTENT]
    assert len(destination.manifests) == MAX_REFERRERS + 1


def test_a_list_that_names_what_is_attached_to_something_else_is_not_believed() -> None:
    content, other = image([b"layer"]), image([b"other"])
    foreign = artifact(other.root.descriptor, b"foreign")
    source, destination = Noted(lists_referrers=False), Noted()
    for each in (content, other, foreign):
        push(source, each)
    source.tags[fallback_tag(digest_of(content))] = source.tags.pop(fallback_tag(digest_of(other)))
    assert problems(destination, source, content) == [Reason.UNSUPPORTED_CONTENT]
    assert set(destination.manifests) == {digest_of(content)}


def test_what_is_listed_and_gone_is_told_once() -> None:
    content = image([b"layer"])
    gone, here = artifact(content.root.descriptor, b"gone"), artifact(content.root.descriptor, b"here")
    source, destination = Noted(lists_referrers=False), Noted()
    for each in (content, gone, here):
        push(source, each)
    del source.manifests[digest_of(gone)]
    assert problems(destination, source, content) == [Reason.SOURCE_MISSING]
    assert set(destination.manifests) == {digest_of(content), digest_of(here)}


@pytest.mark.parametrize(
    "error", [RetryLater(Reason.THROTTLED, NEVER, after=7.0), NeedsHuman(Reason.DENIED, "you may not list")]
)
def test_a_list_that_cannot_be_had_ends_the_copy_only_where_all_is_required(error: TransshipError) -> None:
    content = image([b"layer"])
    source, destination = pair(content)
    source.fails, source.error = (lambda what: what == digest_of(content)), error
    with pytest.raises(type(error), match="is required: ") as caught:
        promote(source, destination, content)
    assert caught.value.reason is error.reason
    assert getattr(caught.value, "after", None) == getattr(error, "after", None)
    assert destination.writes == []
    assert problems(destination, source, content) == [error.reason]
    assert destination.tags == {TAG: digest_of(content)}


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (RetryLater(Reason.THROTTLED, NEVER), True),
        (NeedsHuman(Reason.UNSUPPORTED_CONTENT, "of a type nobody knows"), False),
    ],
)
def test_one_that_cannot_be_read_is_told_as_what_it_is(error: TransshipError, *, is_lost: bool) -> None:
    content = image([b"layer"])
    bad, good = artifact(content.root.descriptor, b"bad"), artifact(content.root.descriptor, b"good")
    source, destination = pair(content, bad, good)
    source.targets_per_request = 100
    source.fails, source.error = (lambda what: what == digest_of(bad)), error
    assert problems(destination, source, content) == [error.reason]
    # To ask for each of a hundred alone would not help a registry that is short of breath.
    assert (digest_of(good) not in destination.manifests) is is_lost


def test_a_tag_that_cannot_be_read_spoils_no_other() -> None:
    content = image([b"layer"])
    source, destination = pair(content)
    push(source, signatures(b"a"), sig(content))
    push(source, artifact(None, b"sbom"), sig(content, ".sbom"))
    source.targets_per_request = 100
    source.fails = lambda what: what == sig(content, ".sbom")
    source.error = NeedsHuman(Reason.UNSUPPORTED_CONTENT, "of a type nobody knows")
    assert problems(destination, source, content) == [Reason.UNSUPPORTED_CONTENT]
    assert set(destination.tags) == {TAG, sig(content)}


def test_one_that_cannot_be_written_takes_with_it_what_is_attached_to_it_and_nothing_else() -> None:
    content = image([b"layer"])
    bad, good = artifact(content.root.descriptor, b"bad"), artifact(content.root.descriptor, b"good")
    upon_it = artifact(bad.root.descriptor, b"upon it")
    source, destination = pair(content, bad, good, upon_it)
    refused = NeedsHuman(Reason.REFUSED_BY_REGISTRY, "HTTP 405")
    destination.fails, destination.error = (lambda what: what == digest_of(bad)), refused
    with pytest.raises(NeedsHuman, match="is required: HTTP 405"):
        promote(source, destination, content)
    assert TAG not in destination.tags
    assert problems(destination, source, content) == [Reason.REFUSED_BY_REGISTRY] * 2
    assert destination.tags[TAG] == digest_of(content)
    assert digest_of(good) in destination.manifests
    assert digest_of(upon_it) not in destination.manifests


def test_a_blob_that_cannot_be_sent_spoils_only_its_own_attachment() -> None:
    content = image([b"layer"])
    bad, good = artifact(content.root.descriptor, b"bad"), artifact(content.root.descriptor, b"good")
    source, destination = pair(content, bad, good)
    destination.fails = lambda what: what == Digest.of(b"bad")
    assert problems(destination, source, content) == [Reason.REGISTRY_ERROR]
    assert digest_of(good) in destination.manifests


def test_a_copy_that_is_stopped_among_the_attachments_leaves_no_tag() -> None:
    content = image([b"layer"])
    signature = artifact(content.root.descriptor, b"signature")
    source, destination = pair(content, signature)
    with pytest.raises(Cancelled):
        promote(
            source,
            destination,
            content,
            is_required=False,
            cancelled=lambda: digest_of(content) in destination.manifests,
        )
    assert destination.tags == {}
    assert digest_of(signature) not in destination.manifests


def test_what_only_the_destination_has_is_neither_touched_nor_missed() -> None:
    content = image([b"layer"])
    own = artifact(content.root.descriptor, b"signed there")
    source, destination = pair(content)
    for each in (content, own):
        push(destination, each)
    done = promote(source, destination, content)
    assert not done.attaching
    assert digest_of(own) in {each.digest for each in destination.list_referrers(digest_of(content))}


def test_one_that_is_there_and_not_on_its_list_is_put_on_it() -> None:
    content = image([b"layer"])
    signature = artifact(content.root.descriptor, b"signature")
    source, destination = pair(content, signature)
    destination.lists_referrers = False
    for each in (content, signature):
        push(destination, each)
    del destination.tags[fallback_tag(digest_of(content))]
    assert promote(source, destination, content).report.manifests_copied == 1
    assert [each.digest for each in destination.list_referrers(digest_of(content))] == [digest_of(signature)]


def signatures(*names: bytes) -> Content:
    """cosign's way: one manifest with a layer for each signature, all over the same payload."""
    layers = [
        as_json(blob_descriptor(b"payload")) | {"annotations": {"dev.cosignproject.cosign/signature": name.decode()}}
        for name in names
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": as_json(blob_descriptor(b"{}")),
        "layers": layers,
    }
    return Content((manifest_of(document),), (b"{}", b"payload"))


@pytest.mark.parametrize(
    ("here", "there", "after", "told"),
    [
        ([b"a"], [], [b"a"], []),
        ([b"a"], [b"a"], [b"a"], []),
        ([b"a", b"b"], [b"a"], [b"a", b"b"], []),
        ([b"a"], [b"a", b"b"], [b"a", b"b"], []),
        ([b"a"], [b"b"], [b"b"], [Reason.TAG_CONFLICT]),
    ],
)
def test_a_tag_of_signatures_moves_only_when_none_is_lost_by_that(
    here: list[bytes], there: list[bytes], after: list[bytes], told: list[Reason]
) -> None:
    content = image([b"layer"])
    source, destination = pair(content)
    push(source, signatures(*here), sig(content))
    if there:
        push(destination, signatures(*there), sig(content))
    assert problems(destination, source, content) == told
    assert destination.tags[sig(content)] == digest_of(signatures(*after))
    if told:
        with pytest.raises(NeedsHuman, match="holds what the source does not have"):
            promote(source, destination, content)


def test_an_immutable_tag_of_signatures_that_would_have_to_move_says_what_to_exclude() -> None:
    content = image([b"layer"])
    source, destination = pair(content)
    push(source, signatures(b"a", b"b"), sig(content))
    push(destination, signatures(b"a"), sig(content))
    destination.immutable_tags = True
    done = promote(source, destination, content, is_required=False)
    assert [each.reason for each in done.report.attached.problems] == [Reason.TAG_CONFLICT]
    assert "exclude sha256-*" in done.report.attached.problems[0].message
    assert destination.tags[TAG] == digest_of(content)


def test_the_proof_covers_what_is_attached() -> None:
    content = image([b"layer"])
    signature = artifact(content.root.descriptor, b"signature")
    source, destination = pair(content, signature)
    push(source, signatures(b"a"), sig(content))
    done = promote(source, destination, content)
    lost = destination.tags.pop(sig(content))
    with pytest.raises(RetryLater, match="the tag sha256-"):
        prove(destination, done.whole, TAG, Copier(ONE_BY_ONE), done.report.attached.written)
    destination.tags[sig(content)] = lost
    del destination.manifests[digest_of(signature)]
    with pytest.raises(RetryLater, match="1 manifests are missing"):
        prove(destination, done.whole, TAG, Copier(ONE_BY_ONE), done.report.attached.written)


def test_the_tag_of_a_list_has_at_most_64_characters_of_the_digest() -> None:
    assert fallback_tag(Digest("sha256", "a" * 64)) == Tag("sha256-" + "a" * 64)
    assert fallback_tag(Digest("sha512", "b" * 128)) == Tag("sha512-" + "b" * 64)
    assert cosign_tags(Digest("sha512", "b" * 128)) == ()


def test_a_list_keeps_what_others_wrote_and_says_of_a_new_entry_what_it_is() -> None:
    content = image([b"layer"])
    first, second = artifact(content.root.descriptor, b"first"), artifact(content.root.descriptor, b"second")
    foreign = as_json(first.root.descriptor) | {"artifactType": "of/others", "annotations": {"kept": "yes"}, "new": 1}
    theirs = manifest_of(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "annotations": {"a": "b"}, "manifests": [foreign]}
    )
    longer = listing(theirs, second.root)
    assert longer is not None
    document = json.loads(longer.content)
    assert document["annotations"] == {"a": "b"}
    assert document["manifests"][0] == foreign
    kind = {"artifactType": "application/vnd.example.signature", "annotations": {"note": ""}}
    assert document["manifests"][1] == as_json(second.root.descriptor) | kind
    assert listing(longer, second.root) is None
    assert without(longer, {digest_of(first)}).children == (second.root.descriptor,)
    made = listing(None, content.root)
    assert made is not None
    assert json.loads(made.content)["manifests"][0]["artifactType"] == "application/vnd.oci.image.config.v1+json"
    with pytest.raises(ValueError, match="not an index"):
        listing(content.root, second.root)


@pytest.mark.parametrize("subject", ["sha256:abc", [], {"mediaType": "x", "digest": "sha256:abc", "size": 1}])
def test_a_subject_that_is_no_descriptor_makes_no_manifest(subject: object) -> None:
    document = json.loads(artifact(None, b"payload").root.content) | {"subject": subject}
    with pytest.raises(InvalidManifest):
        manifest_of(document)
