"""The walk that finds what belongs to an image: every manifest below its root, and the blobs they name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from transship.errors import NeedsHuman, Reason, Side, doing
from transship.oci.copier import Copier
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import INDEX_TYPES, MAX_INDEX_DEPTH, Manifest
from transship.oci.store import Source

MAX_CLOSURE_DESCRIPTORS = 5000
"""Distinct manifests and blobs one root may stand for (threat T9)."""
MAX_CLOSURE_MANIFEST_BYTES = 64 * 1024 * 1024
"""Bytes all manifests of one root may have together, because they are held in memory (threat T9)."""


@dataclass(frozen=True, slots=True)
class Closure:
    """Everything a root digest stands for.

    Attributes:
        manifests: as received; children before the indexes that list them, the root last.
        blobs: config and layers of all images, each digest once.
    """

    manifests: tuple[Manifest, ...]
    blobs: tuple[Descriptor, ...]

    @property
    def root(self) -> Manifest:
        """The manifest a tag will point at."""
        return self.manifests[-1]

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Of all manifests, the root's last."""
        return tuple(manifest.descriptor.digest for manifest in self.manifests)

    @property
    def levels(self) -> tuple[tuple[Manifest, ...], ...]:
        """The manifests again: what one level lists is in the levels before it, the root alone in the last."""
        heights: dict[Digest, int] = {}
        for manifest in self.manifests:
            below = (heights[child.digest] for child in manifest.children)
            heights[manifest.descriptor.digest] = max(below, default=-1) + 1
        return tuple(
            tuple(each for each in self.manifests if heights[each.descriptor.digest] == height)
            for height in range(max(heights.values()) + 1)
        )

    @property
    def total_bytes(self) -> int:
        """Bytes of all manifests and blobs."""
        return sum(each.size for each in self.descriptors)

    @property
    def descriptors(self) -> tuple[Descriptor, ...]:
        """Blobs, then manifests, in the order of writing."""
        return (*self.blobs, *(manifest.descriptor for manifest in self.manifests))


def closure(source: Source, root: Digest | Manifest, copier: Copier) -> Closure:
    """Read everything a root stands for: all manifests below it, and the descriptors of their blobs.

    Args:
        source: who is asked.
        root: its digest, or the manifest itself when it has been read already.
        copier: asks for manifests side by side.

    Raises:
        NeedsHuman: SourceMissing when a manifest is not there; UnsupportedContent when an index lies about a child or a
            limit is broken (depth, number of descriptors, bytes of manifests).
        RetryLater: whatever the source raises.
    """
    walk = _Walk(source, copier)
    with doing(Side.SOURCE, "read manifest"):
        walk.begin(root)
    return Closure(tuple(walk.manifests.values()), tuple(walk.blobs.values()))


@dataclass(slots=True)
class _Walk:
    source: Source
    copier: Copier
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    seen: set[Digest] = field(default_factory=set)
    unvisited: dict[Digest, Manifest] = field(default_factory=dict)
    content_bytes: int = 0

    def begin(self, root: Digest | Manifest) -> None:
        found = root if isinstance(root, Manifest) else self.source.fetch_manifest(root)
        if found is None:
            raise _lost(root.descriptor.digest if isinstance(root, Manifest) else root)
        self._take_manifest(found)
        self._visit(found, 0)

    def _visit(self, manifest: Manifest, depth: int) -> None:
        digest = manifest.descriptor.digest
        if depth > MAX_INDEX_DEPTH and manifest.descriptor.media_type in INDEX_TYPES:
            raise _unsupported(f"{digest} is an index more than {MAX_INDEX_DEPTH} levels below the root")
        self._take_blobs(manifest)
        self._fetch([each.digest for each in manifest.children if each.digest not in self.seen])
        for child in manifest.children:
            # A sibling further down may have been fetched for an index further up, and not been visited yet.
            if child.digest in self.unvisited:
                self._visit(self.unvisited.pop(child.digest), depth + 1)
            self._check_child(manifest, child)
        self.manifests[digest] = manifest  # after its children: insertion order is the order of writing

    def _fetch(self, digests: list[Digest]) -> None:
        for found in self.copier.ask(self._questions(list(dict.fromkeys(digests)))):
            for manifest in found:
                self._take_manifest(manifest)
                self.unvisited[manifest.descriptor.digest] = manifest
        for digest in digests:
            if digest not in self.unvisited:
                raise _lost(digest)

    def _questions(self, digests: list[Digest]) -> Iterator[Callable[[], list[Manifest]]]:
        step = self.source.targets_per_request
        for start in range(0, len(digests), step):
            yield partial(self._fetch_some, digests[start : start + step])

    def _fetch_some(self, digests: list[Digest]) -> list[Manifest]:
        return list(self.source.fetch_manifests(digests))

    def _take_manifest(self, manifest: Manifest) -> None:
        self.seen.add(manifest.descriptor.digest)
        self.content_bytes += len(manifest.content)
        if self.content_bytes > MAX_CLOSURE_MANIFEST_BYTES:
            raise _unsupported(f"its manifests have more than {MAX_CLOSURE_MANIFEST_BYTES} bytes together")

    def _check_child(self, parent: Manifest, child: Descriptor) -> None:
        found = self.manifests.get(child.digest)
        # No content can hold its own digest, so this happens only when a source serves unchecked bytes.
        if found is None:
            raise _unsupported(f"the index {parent.descriptor.digest} contains itself")
        if found.descriptor != child:
            raise _unsupported(f"the index {parent.descriptor.digest} lists {child}, but it is {found.descriptor}")

    def _take_blobs(self, manifest: Manifest) -> None:
        for blob in manifest.blobs:
            known = self.blobs.setdefault(blob.digest, blob)
            if known.size != blob.size:
                raise _unsupported(f"the blob {blob.digest} is listed with {known.size} and with {blob.size} bytes")
        upcoming = self.seen.union(child.digest for child in manifest.children)
        if len(self.blobs) + len(upcoming) > MAX_CLOSURE_DESCRIPTORS:
            raise _unsupported(f"it stands for more than {MAX_CLOSURE_DESCRIPTORS} manifests and blobs")


def _lost(digest: Digest) -> NeedsHuman:
    return NeedsHuman(
        Reason.SOURCE_MISSING, f"the source does not hold the manifest {digest}; push the whole image there again"
    )


def _unsupported(what: str) -> NeedsHuman:
    return NeedsHuman(Reason.UNSUPPORTED_CONTENT, f"the image cannot be copied: {what}")
