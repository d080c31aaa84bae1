"""What every repository must do, whatever stands behind it.

A subclass gives a fixture `repository` that is a fresh, empty and writable `Destination`; the tests state the rules of
`transship.oci.store` as a caller meets them.
"""

from collections.abc import Iterator

import pytest

from oci.images import Content, artifact, blob_descriptor, bytes_of, image, multi_arch
from transship.errors import NeedsHuman, Reason, RetryLater
from transship.oci.closure import closure
from transship.oci.copier import Copier
from transship.oci.copy import copy, missing, prove
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.reference import Tag
from transship.oci.store import Destination

TAG = Tag("v1.4.2")


def push(repository: Destination, content: Content, tag: Tag | None = None) -> None:
    for blob in content.blobs:
        repository.push_blob(blob_descriptor(blob), iter([blob]))
    for manifest in content.manifests:
        repository.push_manifest(manifest, manifest.descriptor.digest)
    if tag:
        repository.push_manifest(content.root, tag)


class StoreContract:
    """Inherit, and give the fixture `repository`."""

    def test_an_empty_repository_knows_nothing_and_says_so_without_an_error(self, repository: Destination) -> None:
        content = image([b"layer"])
        digest = content.root.descriptor.digest
        assert repository.resolve(TAG) is None
        assert repository.resolve(digest) is None
        assert repository.fetch_manifest(digest) is None
        assert repository.missing_manifests([digest]) == {digest}
        assert repository.missing_blobs(content.root.blobs) == {blob.digest for blob in content.root.blobs}

    def test_a_tag_resolves_to_media_type_digest_and_size(self, repository: Destination) -> None:
        content = multi_arch()
        push(repository, content, TAG)
        assert repository.resolve(TAG) == content.root.descriptor
        assert repository.resolve(content.root.descriptor.digest) == content.root.descriptor

    def test_a_manifest_comes_back_as_the_bytes_that_were_pushed(self, repository: Destination) -> None:
        content = image([b"layer"], docker=True)
        push(repository, content)
        assert repository.fetch_manifest(content.root.descriptor.digest) == content.root

    def test_a_blob_comes_back_whole(self, repository: Destination) -> None:
        layer = bytes(range(256)) * 12_000
        push(repository, image([layer]))
        assert bytes_of(repository, blob_descriptor(layer)) == layer

    @pytest.mark.parametrize(
        ("start", "stop"), [(0, 1), (0, 300_000), (7, 70_000), (2_999_999, None), (1_000_000, None)]
    )
    def test_a_range_of_a_blob_comes_back_as_it_was_asked_for(
        self, repository: Destination, start: int, stop: int | None
    ) -> None:
        layer = bytes(range(250)) * 12_000
        push(repository, image([layer]))
        assert bytes_of(repository, blob_descriptor(layer), start, stop) == layer[start:stop]

    def test_an_empty_blob_can_be_pushed(self, repository: Destination) -> None:
        repository.push_blob(blob_descriptor(b""), iter([]))
        assert repository.missing_blobs([blob_descriptor(b"")]) == frozenset()

    def test_reading_a_blob_that_is_not_there_needs_a_human(self, repository: Destination) -> None:
        push(repository, image([b"layer"]))
        with pytest.raises(NeedsHuman) as caught:
            bytes_of(repository, blob_descriptor(b"gone"))
        assert caught.value.reason is Reason.SOURCE_MISSING

    def test_only_what_is_lacking_is_named_missing(self, repository: Destination) -> None:
        here, gone = image([b"here"]), image([b"gone"])
        push(repository, here)
        wanted = [here.root.descriptor.digest, gone.root.descriptor.digest]
        assert repository.missing_manifests(wanted) == {gone.root.descriptor.digest}
        assert repository.missing_blobs([*here.root.blobs, *gone.root.blobs]) == {Digest.of(b"gone")}

    def test_pushing_the_same_again_is_success(self, repository: Destination) -> None:
        content = multi_arch()
        push(repository, content, TAG)
        push(repository, content, TAG)
        assert repository.resolve(TAG) == content.root.descriptor

    def test_a_manifest_whose_blob_is_missing_is_refused(self, repository: Destination) -> None:
        content = image([b"never pushed"])
        with pytest.raises(RetryLater) as caught:
            repository.push_manifest(content.root, TAG)
        assert caught.value.reason is Reason.REGISTRY_ERROR
        assert repository.resolve(TAG) is None

    def test_an_index_whose_child_is_missing_is_refused(self, repository: Destination) -> None:
        content = multi_arch()
        push(repository, Content(content.manifests[:1], content.blobs))
        with pytest.raises(RetryLater) as caught:
            repository.push_manifest(content.root, content.root.descriptor.digest)
        assert caught.value.reason is Reason.REGISTRY_ERROR

    def test_a_stream_that_fails_its_check_leaves_no_blob(self, repository: Destination) -> None:
        blob = blob_descriptor(b"abc" * 1000)

        def broken() -> Iterator[bytes]:
            yield b"abc"
            raise RetryLater(Reason.CONTENT_MISMATCH, "the bytes are wrong")

        with pytest.raises(RetryLater) as caught:
            repository.push_blob(blob, broken())
        assert caught.value.reason is Reason.CONTENT_MISMATCH
        assert repository.missing_blobs([blob]) == {blob.digest}

    def test_bytes_that_are_not_the_blob_are_never_stored_under_its_digest(self, repository: Destination) -> None:
        blob = Descriptor("application/octet-stream", Digest.of(b"right"), 5)
        with pytest.raises((RetryLater, NeedsHuman)):
            repository.push_blob(blob, iter([b"wrong"]))
        assert repository.missing_blobs([blob]) == {blob.digest}

    def test_what_names_a_subject_is_listed_among_its_referrers_once(self, repository: Destination) -> None:
        content, other = image([b"layer"]), image([b"other"])
        subject = content.root.descriptor
        attached = [
            artifact(subject, b"first"),
            artifact(subject, b"second"),
            artifact(other.root.descriptor, b"third"),
        ]
        assert repository.list_referrers(subject.digest) == ()
        push(repository, content, TAG)
        for each in [*attached, attached[0]]:
            push(repository, each)
        listed = repository.list_referrers(subject.digest)
        assert {each.digest for each in listed} == {each.root.descriptor.digest for each in attached[:2]}
        assert len(listed) == 2
        assert repository.fetch_manifest(attached[0].root.descriptor.digest) == attached[0].root
        assert attached[0].root.subject == subject
        assert repository.list_referrers(attached[0].root.descriptor.digest) == ()

    def test_a_copied_image_is_proven_and_a_second_copy_moves_nothing(self, repository: Destination) -> None:
        content = multi_arch()
        source = content.in_memory()
        whole = closure(source, content.root.descriptor.digest, Copier())
        report = copy(source, repository, whole, missing(repository, whole, Copier()), Copier(), tag=TAG)
        prove(repository, whole, TAG, Copier())
        assert (report.blobs_copied, report.manifests_copied, report.bytes_skipped) == (5, 3, 0)
        assert not missing(repository, whole, Copier())
        again = copy(source, repository, whole, missing(repository, whole, Copier()), Copier(), tag=TAG)
        assert (again.bytes_copied, again.bytes_skipped) == (0, whole.total_bytes)
        assert closure(repository, content.root.descriptor.digest, Copier()) == whole
