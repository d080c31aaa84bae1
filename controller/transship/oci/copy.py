"""The walk that copies an image: what belongs to it, what is missing, the copy, the proof.

Four functions in the order they are used; each takes ports (`store`) and knows nothing of a transport:

    whole = closure(source, digest)              everything the digest stands for, manifests as received bytes
    lacking = missing(destination, whole)        what the destination does not hold
    copy(source, destination, whole, lacking, tag)
    prove(destination, whole, tag)               read again; only this makes a copy "promoted"

Order of writing (design §7): blobs, child manifests, root by digest, tag last, so that a visible tag is complete.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from transship.errors import NeedsHuman, Reason, RetryLater, Side, TransshipError
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import INDEX_TYPES, MAX_INDEX_DEPTH, Manifest
from transship.oci.reference import Tag
from transship.oci.store import Destination, Fetcher, Inventory, Source

MAX_CLOSURE_DESCRIPTORS = 5000
"""Distinct manifests and blobs one root may stand for (threat T9)."""
MAX_CLOSURE_MANIFEST_BYTES = 64 * 1024 * 1024
"""Bytes all manifests of one root may have together, because they are held in memory (threat T9)."""


class Cancelled(RetryLater):
    """Somebody asked the copy to stop; blobs already committed stay and are not sent again the next time."""


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
    def total_bytes(self) -> int:
        """Bytes of all manifests and blobs."""
        return sum(each.size for each in self.descriptors)

    @property
    def descriptors(self) -> tuple[Descriptor, ...]:
        """Blobs, then manifests, in the order of writing."""
        return (*self.blobs, *(manifest.descriptor for manifest in self.manifests))


@dataclass(frozen=True, slots=True)
class Missing:
    """What a destination lacks of a closure; false when it lacks nothing."""

    manifests: frozenset[Digest] = frozenset()
    blobs: frozenset[Digest] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.manifests or self.blobs)


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """How far a copy is; sizes are bytes of blobs and manifests.

    `bytes_total` is the whole closure; `bytes_skipped` of it were there before; `bytes_copied` have been handed to the
    destination. When everything is done, copied plus skipped is the total.
    """

    bytes_total: int
    bytes_skipped: int
    bytes_copied: int = 0
    blobs_total: int = 0
    blobs_copied: int = 0
    manifests_total: int = 0
    manifests_copied: int = 0


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a finished copy did; sizes are bytes of blobs and manifests."""

    bytes_total: int
    bytes_copied: int
    bytes_skipped: int
    blobs_copied: int
    blobs_skipped: int
    manifests_copied: int
    manifests_skipped: int
    tagged: bool


def _ignore(_: CopyProgress) -> None:
    """Progress for callers that want none."""


def _never() -> bool:
    """Cancellation for callers that want none."""
    return False


@contextmanager
def _doing(side: Side, step: str) -> Iterator[None]:
    """Give errors that pass the side and step they lack; an inner, more exact one stays."""
    try:
        yield
    except TransshipError as error:
        error.side = error.side or side
        error.step = error.step or step
        raise


def closure(source: Fetcher, root: Digest) -> Closure:
    """Read everything a digest stands for: all manifests below it, and the descriptors of their blobs.

    Raises:
        NeedsHuman: SourceMissing when a manifest is not there; UnsupportedContent when an index lies about a child or a
            limit is broken (depth, number of descriptors, bytes of manifests).
        RetryLater: whatever the source raises.
    """
    walk = _Walk(source)
    with _doing(Side.SOURCE, "read manifest"):
        walk.begin(root)
    return Closure(tuple(walk.manifests.values()), tuple(walk.blobs.values()))


@dataclass(slots=True)
class _Walk:
    source: Fetcher
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    seen: set[Digest] = field(default_factory=set)
    unvisited: dict[Digest, Manifest] = field(default_factory=dict)
    content_bytes: int = 0

    def begin(self, root: Digest) -> None:
        found = self.source.fetch_manifest(root)
        if found is None:
            raise _lost(root)
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
        for manifest in self.source.fetch_manifests(dict.fromkeys(digests)) if digests else ():
            self._take_manifest(manifest)
            self.unvisited[manifest.descriptor.digest] = manifest
        for digest in digests:
            if digest not in self.unvisited:
                raise _lost(digest)

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


def missing(destination: Inventory, whole: Closure) -> Missing:
    """Ask the destination what it lacks of a closure.

    A destination whose manifests vouch for what is below them is asked for the blobs of missing manifests only.

    Raises:
        RetryLater, NeedsHuman: whatever the destination raises.
    """
    with _doing(Side.DESTINATION, "look up"):
        gone = destination.missing_manifests(manifest.descriptor.digest for manifest in whole.manifests)
        blobs = _blobs_of(whole, gone) if destination.keeps_whole else whole.blobs
        return Missing(gone, destination.missing_blobs(blobs))


def _blobs_of(whole: Closure, manifests: frozenset[Digest]) -> list[Descriptor]:
    theirs = {blob.digest for each in whole.manifests if each.descriptor.digest in manifests for blob in each.blobs}
    return [blob for blob in whole.blobs if blob.digest in theirs]


def copy(  # noqa: PLR0913 - two stores, what to move between them, and two optional ways to watch and to stop it
    source: Source,
    destination: Destination,
    whole: Closure,
    lacking: Missing,
    tag: Tag | None,
    *,
    progress: Callable[[CopyProgress], None] = _ignore,
    cancelled: Callable[[], bool] = _never,
) -> CopyReport:
    """Write what is lacking, in the order that keeps a visible tag complete.

    One stream at a time, chunk by chunk: memory does not grow with the size of a blob. Each blob is hashed and counted
    while it passes, and its last chunk is kept back until both agree, so a wrong blob is never completed.

    Args:
        source: where missing blobs are read.
        destination: where they are written.
        whole: the closure of the image's digest.
        lacking: what `missing` said of this destination.
        tag: written last; None leaves the image untagged.
        progress: called after each chunk and each object.
        cancelled: asked between chunks and objects.

    Raises:
        Cancelled: `cancelled` said so.
        RetryLater: ContentMismatch, and whatever a store raises.
        NeedsHuman: whatever a store raises.
    """
    job = _Job(source, destination, progress, cancelled, _start(whole, lacking))
    job.blobs(blob for blob in whole.blobs if blob.digest in lacking.blobs)
    job.manifests(manifest for manifest in whole.manifests if manifest.descriptor.digest in lacking.manifests)
    if tag is not None:
        job.check_cancelled()
        with _doing(Side.DESTINATION, "push tag"):
            destination.push_manifest(whole.root, tag)
    return _report(job.state, whole, tagged=tag is not None)


def _start(whole: Closure, lacking: Missing) -> CopyProgress:
    gone = lacking.blobs | lacking.manifests
    return CopyProgress(
        bytes_total=whole.total_bytes,
        bytes_skipped=sum(each.size for each in whole.descriptors if each.digest not in gone),
        blobs_total=len(whole.blobs),
        manifests_total=len(whole.manifests),
    )


def _report(state: CopyProgress, whole: Closure, *, tagged: bool) -> CopyReport:
    return CopyReport(
        bytes_total=state.bytes_total,
        bytes_copied=state.bytes_copied,
        bytes_skipped=state.bytes_skipped,
        blobs_copied=state.blobs_copied,
        blobs_skipped=len(whole.blobs) - state.blobs_copied,
        manifests_copied=state.manifests_copied,
        manifests_skipped=len(whole.manifests) - state.manifests_copied,
        tagged=tagged,
    )


@dataclass(slots=True)
class _Job:
    source: Source
    destination: Destination
    progress: Callable[[CopyProgress], None]
    cancelled: Callable[[], bool]
    state: CopyProgress

    def check_cancelled(self) -> None:
        if self.cancelled():
            raise Cancelled(Reason.PENDING, "the copy was asked to stop; what has arrived stays and is not sent again")

    def blobs(self, blobs: Iterable[Descriptor]) -> None:
        for blob in blobs:
            self.check_cancelled()
            with _doing(Side.DESTINATION, "push blob"):
                self.destination.push_blob(blob, self._stream(blob))
            self._tell(blobs_copied=self.state.blobs_copied + 1)

    def manifests(self, manifests: Iterable[Manifest]) -> None:
        for manifest in manifests:
            self.check_cancelled()
            with _doing(Side.DESTINATION, "push manifest"):
                self.destination.push_manifest(manifest, manifest.descriptor.digest)
            self._tell(
                bytes_copied=self.state.bytes_copied + manifest.descriptor.size,
                manifests_copied=self.state.manifests_copied + 1,
            )

    def _stream(self, blob: Descriptor) -> Iterator[bytes]:
        with _doing(Side.SOURCE, "read blob"), self.source.open_blob(blob) as chunks:
            for chunk in checked(blob, chunks):
                yield chunk
                self._tell(bytes_copied=self.state.bytes_copied + len(chunk))
                self.check_cancelled()

    def _tell(self, **changes: int) -> None:
        self.state = replace(self.state, **changes)
        self.progress(self.state)


def checked(blob: Descriptor, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass a blob's chunks on, one behind, so that the last one is handed over only when size and digest agree.

    Raises:
        RetryLater: ContentMismatch.
    """
    hasher, received, held = blob.digest.hasher(), 0, b""
    for chunk in chunks:
        received += len(chunk)
        if received > blob.size:
            raise RetryLater(Reason.CONTENT_MISMATCH, f"blob {blob.digest} has more than its {blob.size} bytes")
        hasher.update(chunk)
        if held and chunk:
            yield held
        held = chunk or held
    if received != blob.size:
        raise RetryLater(Reason.CONTENT_MISMATCH, f"blob {blob.digest} ended after {received} of {blob.size} bytes")
    if hasher.hexdigest() != blob.digest.hex:
        raise RetryLater(Reason.CONTENT_MISMATCH, f"the bytes received for blob {blob.digest} have another digest")
    if held:
        yield held


def prove(destination: Destination, whole: Closure, tag: Tag | None) -> None:
    """Read the destination again: the tag is at the root's digest and every manifest is there.

    Raises:
        RetryLater: NotProven, or whatever the destination raises.
    """
    root = whole.root.descriptor.digest
    with _doing(Side.DESTINATION, "prove"):
        found = destination.resolve(tag if tag is not None else root)
        if found is None or found.digest != root:
            what = f"tag {tag}" if tag is not None else "the root manifest"
            there = f"is {found.digest}" if found is not None else "is not there"
            raise RetryLater(Reason.NOT_PROVEN, f"after the copy {what} {there} instead of {root}")
        gone = destination.missing_manifests(manifest.descriptor.digest for manifest in whole.manifests)
        if gone:
            raise RetryLater(Reason.NOT_PROVEN, f"after the copy {len(gone)} manifests are missing, {min(gone)} first")
