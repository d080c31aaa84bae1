"""A repository in memory: a real implementation of the store ports, for tests and dry runs.

It is as strict as a registry: content must have its digest, a manifest's children and blobs must be there before it, an
immutable tag does not move. Whatever holds for it holds for the other implementations; tests/oci has the contract.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from transship.errors import NeedsHuman, Reason, RetryLater
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import Manifest
from transship.oci.reference import Registry, Repository, Tag
from transship.oci.referrers_tag import fallback_tag, listing
from transship.oci.store import BlobReader, Chunk

_NUMBERS = itertools.count(1)


def _anonymous() -> Repository:
    return Repository(Registry("memory"), f"repository-{next(_NUMBERS)}")


@dataclass(slots=True)
class MemoryRepository:
    """A repository held in dictionaries; implements `Source` and `Destination`.

    Attributes:
        manifests: by digest.
        blobs: bytes by digest.
        tags: digest by tag.
        immutable_tags: whether a tag that exists refuses another digest.
        repository: what it is called.
        chunk_bytes: how many bytes a stream hands out at a time, at most.
        targets_per_request: see `Resolver`.
        keeps_whole: see `Inventory`; to be set only if nothing is removed by hand.
        archived: what `is_archived`.
        lists_referrers: whether it knows the referrers of a manifest by itself, as registries with the Referrers API
            do; if not, they are listed under a tag.
    """

    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    tags: dict[Tag, Digest] = field(default_factory=dict)
    immutable_tags: bool = False
    repository: Repository = field(default_factory=_anonymous, compare=False)
    chunk_bytes: int = 256 * 1024
    targets_per_request: int = 1
    keeps_whole: bool = False
    archived: set[Tag | Digest] = field(default_factory=set)
    lists_referrers: bool = True

    def resolve(self, target: Tag | Digest) -> Descriptor | None:
        """See `Resolver`."""
        digest = self.tags.get(target) if isinstance(target, Tag) else target
        manifest = self.manifests.get(digest) if digest is not None else None
        return manifest.descriptor if manifest is not None else None

    def resolve_all(self, targets: Iterable[Tag | Digest]) -> Mapping[Tag | Digest, Descriptor | None]:
        """See `Resolver`."""
        return {target: self.resolve(target) for target in targets}

    def is_archived(self, target: Tag | Digest) -> bool:
        """See `Resolver`."""
        return target in self.archived

    def fetch_manifest(self, target: Tag | Digest) -> Manifest | None:
        """See `Fetcher`."""
        digest = self.tags.get(target) if isinstance(target, Tag) else target
        return self.manifests.get(digest) if digest is not None else None

    def fetch_manifests(self, digests: Iterable[Digest]) -> Iterator[Manifest]:
        """See `Fetcher`."""
        return (manifest for digest in digests if (manifest := self.fetch_manifest(digest)) is not None)

    def read_blob(self, blob: Descriptor) -> BlobReader:
        """See `Fetcher`."""
        return _Reader(self, blob)

    def list_referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """See `Referrals`."""
        if self.lists_referrers:
            found = (each for each in [*self.manifests.values()] if each.subject and each.subject.digest == subject)
            return tuple(each.descriptor for each in found)
        index = self._listed(subject)
        return tuple({each.digest: each for each in index.children}.values()) if index is not None else ()

    def missing_manifests(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """See `Inventory`."""
        return frozenset(digest for digest in digests if digest not in self.manifests)

    def missing_blobs(self, blobs: Iterable[Descriptor]) -> frozenset[Digest]:
        """See `Inventory`."""
        return frozenset(blob.digest for blob in blobs if blob.digest not in self.blobs)

    def push_blob(self, blob: Descriptor, chunks: Iterator[Chunk], mount: Repository | None = None) -> bool:  # noqa: ARG002 - nothing can be mounted
        """See `Pusher`.

        Raises:
            RetryLater: ContentMismatch.
        """
        content = b"".join(bytes(chunk) for chunk in chunks)
        if len(content) != blob.size or Digest.of(content, blob.digest.algorithm) != blob.digest:
            raise RetryLater(Reason.CONTENT_MISMATCH, f"the bytes pushed as blob {blob.digest} are not it")
        self.blobs[blob.digest] = content
        return False

    def push_manifest(self, manifest: Manifest, target: Tag | Digest) -> None:
        """See `Pusher`.

        Raises:
            RetryLater: RegistryError when content it points at is not there.
            NeedsHuman: TagConflict when the tag is immutable and elsewhere; RefusedByRegistry when `target` is another
                digest.
        """
        self._check_complete(manifest)
        digest = manifest.descriptor.digest
        if isinstance(target, Tag):
            self._check_tag(target, digest)
            self.tags[target] = digest
        elif target != digest:
            raise NeedsHuman(Reason.REFUSED_BY_REGISTRY, f"manifest {digest} cannot be put under digest {target}")
        self.manifests[digest] = manifest
        if manifest.subject is not None and not self.lists_referrers:
            self._list(manifest, manifest.subject.digest)

    def _listed(self, subject: Digest) -> Manifest | None:
        digest = self.tags.get(fallback_tag(subject))
        return self.manifests.get(digest) if digest is not None else None

    def _list(self, manifest: Manifest, subject: Digest) -> None:
        longer = listing(self._listed(subject), manifest)
        if longer is not None:
            self._check_tag(fallback_tag(subject), longer.descriptor.digest)
            self.manifests[longer.descriptor.digest] = longer
            self.tags[fallback_tag(subject)] = longer.descriptor.digest

    def _check_complete(self, manifest: Manifest) -> None:
        gone = self.missing_blobs(manifest.blobs) | self.missing_manifests(each.digest for each in manifest.children)
        if gone:
            raise RetryLater(
                Reason.REGISTRY_ERROR,
                f"manifest {manifest.descriptor.digest} points at content that is not there: {min(gone)}",
            )

    def _check_tag(self, tag: Tag, digest: Digest) -> None:
        current = self.tags.get(tag)
        if self.immutable_tags and current not in {None, digest}:
            raise NeedsHuman(Reason.TAG_CONFLICT, f"tag {tag} is immutable and already at {current}, not {digest}")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Implements `BlobReader`."""

    holder: MemoryRepository
    blob: Descriptor
    takes_ranges: bool = True

    @contextmanager
    def open(self, start: int = 0, stop: int | None = None) -> Iterator["_Stream"]:
        """See `BlobReader`.

        Raises:
            NeedsHuman: SourceMissing.
        """
        content = self.holder.blobs.get(self.blob.digest)
        if content is None:
            raise NeedsHuman(Reason.SOURCE_MISSING, f"blob {self.blob.digest} is not there; push the image again")
        yield _Stream(memoryview(content)[start:stop], self.holder.chunk_bytes)


@dataclass(slots=True)
class _Stream:
    """Implements `Stream`."""

    left: memoryview
    chunk_bytes: int

    def readinto(self, room: memoryview) -> int:
        """See `Stream`."""
        count = min(len(room), len(self.left), self.chunk_bytes)
        room[:count], self.left = self.left[:count], self.left[count:]
        return count
