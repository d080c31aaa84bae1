"""Copying an image: what is missing, the copy, the proof.

The functions in the order they are used; each takes ports (`store`) and knows nothing of a transport:

    whole = closure(source, digest)              everything the digest stands for, manifests as received bytes
    lacking = missing(destination, whole)        what the destination does not hold
    copy(source, destination, whole, lacking, tag=tag)
    prove(destination, whole, tag)               read again; only this makes a copy "promoted"

Order of writing (design §7): blobs, child manifests, root by digest, tag last, so that a visible tag is complete.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock

from transship.errors import Reason, RetryLater, Side, TransshipError, doing
from transship.oci.closure import Closure
from transship.oci.copier import Cancelled, Copier
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import Manifest
from transship.oci.reference import Tag
from transship.oci.store import Destination, Source


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

    `bytes_total` is the whole closure; `bytes_skipped` of it were there before, or came there by a mount or another
    image's copy; `bytes_copied` have been handed to the destination. When everything is done, copied plus skipped is
    the total.
    """

    bytes_total: int
    bytes_skipped: int
    bytes_copied: int = 0
    blobs_total: int = 0
    blobs_copied: int = 0
    blobs_mounted: int = 0
    manifests_total: int = 0
    manifests_copied: int = 0


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a finished copy did; sizes are bytes of blobs and manifests."""

    bytes_total: int
    bytes_copied: int
    bytes_skipped: int
    blobs_copied: int
    blobs_mounted: int
    blobs_skipped: int
    manifests_copied: int
    manifests_skipped: int
    tagged: bool


def _ignore(_: CopyProgress) -> None:
    """Progress for callers that want none."""


def _never() -> bool:
    """Cancellation for callers that want none."""
    return False


def missing(destination: Destination, whole: Closure, copier: Copier, *, root_is_there: bool | None = None) -> Missing:
    """Ask the destination what it lacks of a closure.

    A destination whose manifests vouch for what is below them is asked for the blobs of missing manifests only.

    Args:
        destination: who is asked.
        whole: what it should hold.
        copier: asks.
        root_is_there: what is known of the root manifest already; None when nothing is.

    Raises:
        RetryLater, NeedsHuman: whatever the destination raises.
    """
    with doing(Side.DESTINATION, "look up"):
        root = whole.root.descriptor.digest
        known = {root} if root_is_there is not None else set()
        gone = _missing_manifests(destination, [each for each in whole.digests if each not in known], copier)
        if root_is_there is False:
            gone |= {root}
        blobs = _blobs_of(whole, gone) if destination.keeps_whole else whole.blobs
        return Missing(gone, copier.missing_blobs(destination, blobs))


def _missing_manifests(destination: Destination, digests: Sequence[Digest], copier: Copier) -> frozenset[Digest]:
    step = destination.targets_per_request
    parts = [digests[start : start + step] for start in range(0, len(digests), step)]
    return frozenset[Digest]().union(*copier.ask(partial(destination.missing_manifests, part) for part in parts))


def _blobs_of(whole: Closure, manifests: frozenset[Digest]) -> Sequence[Descriptor]:
    theirs = {blob.digest for each in whole.manifests if each.descriptor.digest in manifests for blob in each.blobs}
    return [blob for blob in whole.blobs if blob.digest in theirs]


def copy(  # noqa: PLR0913 - two stores, what to move between them, and two optional ways to watch and to stop it
    source: Source,
    destination: Destination,
    whole: Closure,
    lacking: Missing,
    copier: Copier,
    *,
    tag: Tag | None,
    progress: Callable[[CopyProgress], None] = _ignore,
    cancelled: Callable[[], bool] = _never,
) -> CopyReport:
    """Write what is lacking, in the order that keeps a visible tag complete.

    Blobs and manifests of one level go side by side, as far as the copier has room. A root that nothing but its tag
    waits for is put straight under the tag: a second request would say nothing new and count against the registry's
    quota all the same.

    Args:
        source: where missing blobs are read.
        destination: where they are written.
        whole: the closure of the image's digest.
        lacking: what `missing` said of this destination.
        copier: what this copy shares with others.
        tag: written last; None leaves the image untagged.
        progress: called by the calling thread, several times a second while bytes move.
        cancelled: asked several times a second.

    Raises:
        Cancelled: `cancelled` said so.
        RetryLater: ContentMismatch, and whatever a store raises.
        NeedsHuman: whatever a store raises.
    """
    job = _Job(source, destination, copier, progress, cancelled, _start(whole, lacking))
    job.blobs(blob for blob in whole.blobs if blob.digest in lacking.blobs)
    root = whole.root.descriptor.digest
    for level in whole.levels:
        job.manifests(
            each
            for each in level
            if each.descriptor.digest in lacking.manifests and (tag is None or each.descriptor.digest != root)
        )
    if tag is not None:
        job.tag(whole.root, tag, is_new=root in lacking.manifests)
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
        blobs_mounted=state.blobs_mounted,
        blobs_skipped=len(whole.blobs) - state.blobs_copied - state.blobs_mounted,
        manifests_copied=state.manifests_copied,
        manifests_skipped=len(whole.manifests) - state.manifests_copied,
        tagged=tagged,
    )


@dataclass(slots=True)
class _Job:
    source: Source
    destination: Destination
    copier: Copier
    progress: Callable[[CopyProgress], None]
    cancelled: Callable[[], bool]
    state: CopyProgress
    lock: Lock = field(default_factory=Lock)

    def check_cancelled(self) -> None:
        if self.cancelled():
            raise Cancelled(Reason.PENDING, "the copy was asked to stop; what has arrived stays and is not sent again")

    def blobs(self, blobs: Iterable[Descriptor]) -> None:
        self.check_cancelled()
        for brought in self.copier.bring(self.source, self.destination, blobs, self._sent, self._look):
            if brought.by == "copied":
                self._add(blobs_copied=1)
            else:
                self._add(bytes_skipped=brought.blob.size, blobs_mounted=int(brought.by == "mounted"))
            self.progress(self.state)

    def manifests(self, manifests: Iterable[Manifest]) -> None:
        self.check_cancelled()
        with doing(Side.DESTINATION, "push manifest"):
            self.copier.ask(partial(self._push, each, each.descriptor.digest) for each in manifests)
        self.progress(self.state)

    def tag(self, root: Manifest, tag: Tag, *, is_new: bool) -> None:
        self.check_cancelled()
        with doing(Side.DESTINATION, "push tag"):
            self._push(root, tag, is_new=is_new)
        self.progress(self.state)

    def _push(self, manifest: Manifest, target: Tag | Digest, *, is_new: bool = True) -> None:
        self.check_cancelled()
        try:
            self.destination.push_manifest(manifest, target)
        except TransshipError:
            # What it points at may be gone, though it was known to be there.
            self.copier.presence.forget(self.destination.repository)
            raise
        if is_new:
            self._add(bytes_copied=manifest.descriptor.size, manifests_copied=1)

    def _look(self) -> bool:
        """Tell how far it is, from the thread that waits: whoever listens must not hold up those who move bytes."""
        self.progress(self.state)
        return self.cancelled()

    def _sent(self, _: Descriptor, count: int) -> None:
        self._add(bytes_copied=count)

    def _add(self, **more: int) -> None:
        with self.lock:
            self.state = replace(self.state, **{name: getattr(self.state, name) + by for name, by in more.items()})


def prove(destination: Destination, whole: Closure, tag: Tag | None, copier: Copier) -> None:
    """Read the destination again: the tag is at the root's digest and every manifest is there.

    Raises:
        RetryLater: NotProven, or whatever the destination raises.
    """
    root = whole.root.descriptor.digest
    with doing(Side.DESTINATION, "prove"):
        found = destination.resolve(tag if tag is not None else root)
        if found is None or found.digest != root:
            what = f"tag {tag}" if tag is not None else "the root manifest"
            there = f"is {found.digest}" if found is not None else "is not there"
            raise RetryLater(Reason.NOT_PROVEN, f"after the copy {what} {there} instead of {root}")
        gone = _missing_manifests(destination, [each for each in whole.digests if each != root], copier)
        if gone:
            raise RetryLater(Reason.NOT_PROVEN, f"after the copy {len(gone)} manifests are missing, {min(gone)} first")
