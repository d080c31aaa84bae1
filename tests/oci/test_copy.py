from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci.images import Content, as_json, blob_descriptor, image, index, manifest_of, multi_arch
from transship.errors import NeedsHuman, Reason, RetryLater, Side
from transship.oci.closure import closure
from transship.oci.copier import Copier, Limits
from transship.oci.copy import CopyProgress, Missing, copy, missing, prove
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import MAX_INDEX_DEPTH, OCI_INDEX, OCI_MANIFEST, Manifest
from transship.oci.memory import MemoryRepository
from transship.oci.reference import Repository, Tag
from transship.oci.store import BlobReader, Chunk

TAG = Tag("v1")
COPIER = Copier(Limits(blobs=1, lookups=1, restarts=0))


@dataclass(slots=True)
class Recorder(MemoryRepository):
    """A repository that remembers the order in which it was written."""

    writes: list[Digest | Tag] | None = None

    def push_blob(self, blob: Descriptor, chunks: Iterator[Chunk], mount: Repository | None = None) -> bool:
        MemoryRepository.push_blob(self, blob, chunks)
        self.note(blob.digest)
        return mount is not None

    def push_manifest(self, manifest: Manifest, target: Tag | Digest) -> None:
        MemoryRepository.push_manifest(self, manifest, target)
        self.note(target)

    def note(self, what: Digest | Tag) -> None:
        self.writes = [*(self.writes or []), what]


class Tampering(MemoryRepository):
    """A source that serves other bytes for every blob."""

    def read_blob(self, blob: Descriptor) -> BlobReader:
        tampered = self.blobs[blob.digest][:-1] + b"?"
        return MemoryRepository(blobs={blob.digest: tampered}).read_blob(blob)


# Any layering of images, Docker or OCI, under indexes that may share children and hold nothing.
LAYERS = st.lists(st.binary(max_size=64), max_size=3)
IMAGES = st.builds(image, LAYERS, config=st.binary(min_size=1, max_size=20), docker=st.booleans())
GRAPHS = st.recursive(
    IMAGES,
    lambda below: st.builds(index, st.lists(below, max_size=3), docker=st.booleans(), note=st.text(max_size=5)),
    max_leaves=6,
).filter(lambda content: depth(content) <= MAX_INDEX_DEPTH)


def depth(content: Content) -> int:
    below = {each.descriptor.digest: each for each in content.manifests}

    def height(manifest: Manifest) -> int:
        return max((1 + height(below[child.digest]) for child in manifest.children), default=0)

    return height(content.root)


@given(GRAPHS)
def test_any_graph_arrives_identical(content: Content) -> None:
    source, destination = content.in_memory(), Recorder()
    whole = closure(source, content.root.descriptor.digest, COPIER)
    report = copy(source, destination, whole, missing(destination, whole, Copier()), COPIER, tag=TAG)
    prove(destination, whole, TAG, COPIER)
    assert destination.manifests == source.manifests
    assert destination.blobs == source.blobs
    assert report.bytes_copied == report.bytes_total


def test_blobs_come_first_then_children_then_the_root_and_the_tag_last() -> None:
    content, destination = multi_arch(), Recorder()
    source = content.in_memory()
    whole = closure(source, content.root.descriptor.digest, COPIER)
    copy(source, destination, whole, missing(destination, whole, Copier()), COPIER, tag=TAG)
    manifests = [each.descriptor.digest for each in content.manifests]
    assert destination.writes == [*(blob.digest for blob in whole.blobs), *manifests[:-1], TAG]


def test_a_child_that_an_index_shares_with_an_index_below_it_is_written_before_both() -> None:
    child = image([b"shared"])
    content, destination = index([index([child], note="below"), child]), Recorder()
    source = content.in_memory()
    whole = closure(source, content.root.descriptor.digest, COPIER)
    assert [each.descriptor.digest for each in whole.manifests].index(child.root.descriptor.digest) == 0
    copy(source, destination, whole, missing(destination, whole, Copier()), COPIER, tag=TAG)
    assert destination.manifests == source.manifests


def test_where_a_manifest_vouches_for_its_blobs_only_those_of_missing_manifests_are_looked_up() -> None:
    content = multi_arch()
    source, destination = content.in_memory(), content.in_memory()
    whole = closure(source, content.root.descriptor.digest, COPIER)
    arm, own = content.manifests[1].descriptor.digest, content.manifests[1].blobs[0].digest
    lost = content.manifests[0].blobs[0].digest
    for digest in (lost, own):
        del destination.blobs[digest]
    del destination.manifests[arm]
    destination.keeps_whole = True
    assert missing(destination, whole, Copier()) == Missing(frozenset({arm}), frozenset({own}))
    destination.keeps_whole = False
    assert missing(destination, whole, Copier()) == Missing(frozenset({arm}), frozenset({own, lost}))


def test_without_a_tag_the_image_is_left_untagged() -> None:
    content, destination = image([b"layer"]), MemoryRepository()
    source = content.in_memory()
    whole = closure(source, content.root.descriptor.digest, COPIER)
    assert not copy(source, destination, whole, missing(destination, whole, Copier()), COPIER, tag=None).tagged
    prove(destination, whole, None, COPIER)
    assert destination.tags == {}


def test_a_destination_that_lacks_one_child_is_repaired_with_that_child_only() -> None:
    content = multi_arch()
    source, destination = content.in_memory(), content.in_memory()
    lost = content.manifests[0].descriptor.digest
    del destination.manifests[lost]
    whole = closure(source, content.root.descriptor.digest, COPIER)
    report = copy(source, destination, whole, missing(destination, whole, Copier()), COPIER, tag=TAG)
    assert (report.blobs_copied, report.manifests_copied) == (0, 1)
    prove(destination, whole, TAG, COPIER)


def test_tampered_bytes_are_never_stored_and_the_error_names_side_and_step() -> None:
    content, destination = image([b"layer"]), MemoryRepository()
    honest = content.in_memory()
    source = Tampering(honest.manifests, honest.blobs)
    whole = closure(source, content.root.descriptor.digest, COPIER)
    with pytest.raises(RetryLater) as caught:
        copy(source, destination, whole, missing(destination, whole, Copier()), COPIER, tag=TAG)
    assert (caught.value.reason, caught.value.side, caught.value.step) == (
        Reason.CONTENT_MISMATCH,
        Side.SOURCE,
        "read blob",
    )
    assert destination == MemoryRepository()


def test_progress_ends_at_the_total_and_never_goes_back() -> None:
    content, told = multi_arch(layer_bytes=600_000), list[CopyProgress]()
    source, destination = content.in_memory(), MemoryRepository()
    whole = closure(source, content.root.descriptor.digest, COPIER)
    copy(source, destination, whole, missing(destination, whole, Copier()), COPIER, tag=TAG, progress=told.append)
    copied = [each.bytes_copied for each in told]
    assert copied == sorted(copied)
    assert copied[-1] == told[-1].bytes_total == whole.total_bytes
    assert told[-1].blobs_copied == told[-1].blobs_total


def test_a_child_the_source_lost_needs_a_human() -> None:
    content = multi_arch()
    source = content.in_memory()
    lost = content.manifests[0].descriptor.digest
    del source.manifests[lost]
    with pytest.raises(NeedsHuman) as caught:
        closure(source, content.root.descriptor.digest, COPIER)
    assert caught.value.reason is Reason.SOURCE_MISSING
    assert str(lost) in caught.value.message


def nested(levels: int) -> Content:
    content = image([b"deep"])
    for level in range(levels):
        content = index([content], note=str(level))
    return content


def test_indexes_may_nest_to_the_limit_and_no_deeper() -> None:
    allowed, deeper = nested(MAX_INDEX_DEPTH + 1), nested(MAX_INDEX_DEPTH + 2)
    assert len(closure(allowed.in_memory(), allowed.root.descriptor.digest, COPIER).manifests) == MAX_INDEX_DEPTH + 2
    with pytest.raises(NeedsHuman) as caught:
        closure(deeper.in_memory(), deeper.root.descriptor.digest, COPIER)
    assert caught.value.reason is Reason.UNSUPPORTED_CONTENT


def test_a_root_that_stands_for_too_much_is_refused_before_it_is_read_whole() -> None:
    children = [index([image([bytes([a, b])]) for b in range(100)], note=str(a)) for a in range(40)]
    content = index(children)
    with pytest.raises(NeedsHuman) as caught:
        closure(content.in_memory(), content.root.descriptor.digest, COPIER)
    assert caught.value.reason is Reason.UNSUPPORTED_CONTENT
    assert "5000" in caught.value.message


def test_an_index_that_lies_about_a_childs_size_is_refused() -> None:
    child = image([b"layer"])
    lie = as_json(child.root.descriptor) | {"size": 1}
    root = manifest_of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [lie]})
    content = Content((*child.manifests, root), child.blobs)
    with pytest.raises(NeedsHuman) as caught:
        closure(content.in_memory(), root.descriptor.digest, COPIER)
    assert caught.value.reason is Reason.UNSUPPORTED_CONTENT


class Circular(MemoryRepository):
    """A source that claims an index below itself, against all mathematics."""

    def fetch_manifest(self, digest: Digest) -> Manifest | None:
        descriptor = Descriptor(OCI_INDEX, digest, 2)
        return Manifest(descriptor, b"{}", (descriptor,), ())


def test_a_circular_index_ends_in_an_error() -> None:
    with pytest.raises(NeedsHuman) as caught:
        closure(Circular(), Digest.of(b"root"), COPIER)
    assert caught.value.reason is Reason.UNSUPPORTED_CONTENT


@pytest.mark.parametrize("lose", ["tag", "child", "everything"])
def test_a_copy_that_did_not_stay_is_not_proven(lose: str) -> None:
    content = multi_arch()
    source, destination = content.in_memory(), MemoryRepository()
    whole = closure(source, content.root.descriptor.digest, COPIER)
    copy(source, destination, whole, missing(destination, whole, Copier()), COPIER, tag=TAG)
    if lose == "tag":
        destination.tags[TAG] = content.manifests[0].descriptor.digest
    elif lose == "child":
        del destination.manifests[content.manifests[0].descriptor.digest]
    else:
        destination.tags.clear()
        destination.manifests.clear()
    with pytest.raises(RetryLater) as caught:
        prove(destination, whole, TAG, COPIER)
    assert (caught.value.reason, caught.value.side) == (Reason.NOT_PROVEN, Side.DESTINATION)


FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


def with_foreign_layer() -> Content:
    here, elsewhere, config = b"here", b"elsewhere", b"{}"
    manifest = manifest_of(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": as_json(blob_descriptor(config)),
            "layers": [
                as_json(blob_descriptor(here)),
                as_json(blob_descriptor(elsewhere, FOREIGN)) | {"urls": ["https://layers.example.com/1"]},
            ],
        }
    )
    return Content((manifest,), (config, here, elsewhere))


@dataclass(slots=True)
class Lenient(Recorder):
    """A registry that takes a manifest though a layer is missing that it need not have."""

    def missing_blobs(self, blobs: Iterable[Descriptor]) -> frozenset[Digest]:
        return MemoryRepository.missing_blobs(self, [each for each in blobs if each.is_distributable or self.is_asked])

    is_asked: bool = True

    def push_manifest(self, manifest: Manifest, target: Tag | Digest) -> None:
        self.is_asked = False
        Recorder.push_manifest(self, manifest, target)
        self.is_asked = True


def test_a_layer_that_registries_need_not_have_is_copied_when_the_source_has_it() -> None:
    content, destination = with_foreign_layer(), Recorder()
    source = content.in_memory()
    whole = closure(source, content.root.descriptor.digest, COPIER)
    report = copy(source, destination, whole, missing(destination, whole, Copier()), COPIER, tag=TAG)
    assert destination.blobs == source.blobs
    assert report.blobs_left_out == 0


def test_a_layer_that_registries_need_not_have_is_left_out_when_the_source_lacks_it_and_never_asked_for_again() -> None:
    content, destination = with_foreign_layer(), Lenient()
    source = content.in_memory()
    del source.blobs[Digest.of(b"elsewhere")]
    whole = closure(source, content.root.descriptor.digest, COPIER)
    report = copy(source, destination, whole, missing(destination, whole, Copier()), COPIER, tag=TAG)
    assert report.blobs_left_out == 1
    assert set(destination.blobs) == {Digest.of(b"here"), Digest.of(b"{}")}
    prove(destination, whole, TAG, COPIER)
    assert not missing(destination, whole, Copier())


def test_progress_counts_the_blobs_that_are_there_whoever_brought_them() -> None:
    content, told = multi_arch(), list[CopyProgress]()
    source, destination = content.in_memory(), MemoryRepository()
    first = content.root.descriptor.digest
    whole = closure(source, first, COPIER)
    destination.blobs[whole.blobs[0].digest] = source.blobs[whole.blobs[0].digest]
    copy(source, destination, whole, missing(destination, whole, Copier()), Copier(), tag=TAG, progress=told.append)
    assert told[0].blobs_done >= 1
    assert told[-1].blobs_done == told[-1].blobs_total == len(whole.blobs)
    assert told[-1].blobs_copied == len(whole.blobs) - 1
