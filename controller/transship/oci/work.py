"""A copy at work: the part of a copy that writes, and counts what it has written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock

from transship.errors import Reason, Side, TransshipError, doing
from transship.oci.copier import Cancelled, Copier
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import Manifest
from transship.oci.reference import Tag
from transship.oci.store import Destination, Source


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """How far a copy is; sizes are bytes of blobs and manifests.

    `bytes_total` is the whole closure; `bytes_skipped` of it were there before, or came there by a mount or another
    image's copy; `bytes_copied` have been handed to the destination. When everything is done, copied plus skipped is
    the total. `blobs_done` are there, whoever brought them and when.
    """

    bytes_total: int
    bytes_skipped: int
    bytes_copied: int = 0
    blobs_total: int = 0
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_done: int = 0
    blobs_left_out: int = 0
    manifests_total: int = 0
    manifests_copied: int = 0


@dataclass(slots=True)
class Work:
    """One copy at work: moves blobs, puts manifests and tags, and says how far it is.

    What has been written once is not written again, whoever asks for it.

    Attributes:
        progress: called by the thread that waits, several times a second while bytes move.
        cancelled: asked as often.
        state: how far it is.
        written: digests of what has arrived by this copy.
    """

    source: Source
    destination: Destination
    copier: Copier
    progress: Callable[[CopyProgress], None]
    cancelled: Callable[[], bool]
    state: CopyProgress
    lock: Lock = field(default_factory=Lock)
    written: set[Digest] = field(default_factory=set)

    def check_cancelled(self) -> None:
        """Stop here when that was asked for.

        Raises:
            Cancelled: it was.
        """
        if self.cancelled():
            raise Cancelled(Reason.PENDING, "the copy was asked to stop; what has arrived stays and is not sent again")

    def blobs(self, blobs: Iterable[Descriptor]) -> None:
        """Move blobs, several at a time.

        Raises:
            Cancelled, RetryLater, NeedsHuman: the first failure.
        """
        self.check_cancelled()
        wanted = {blob.digest: blob for blob in blobs if blob.digest not in self.written}
        for brought in self.copier.bring(self.source, self.destination, wanted.values(), self._sent, self._look):
            self.written.add(brought.blob.digest)
            if brought.by == "copied":
                self._add(blobs_copied=1, blobs_done=1)
            else:
                self._add(
                    bytes_skipped=brought.blob.size,
                    blobs_done=1,
                    blobs_mounted=int(brought.by == "mounted"),
                    blobs_left_out=int(brought.by == "left out"),
                )
            self.progress(self.state)

    def manifests(self, manifests: Iterable[Manifest]) -> None:
        """Put manifests that do not need each other under their digests, several at a time.

        Raises:
            Cancelled, RetryLater, NeedsHuman: the first failure.
        """
        self.check_cancelled()
        wanted = [each for each in manifests if each.descriptor.digest not in self.written]
        with doing(Side.DESTINATION, "push manifest"):
            self.copier.ask(
                (partial(self._push, each, each.descriptor.digest) for each in wanted), self.check_cancelled
            )
        self.progress(self.state)

    def tag(self, root: Manifest, tag: Tag, *, is_new: bool) -> None:
        """Put a manifest under a tag; `is_new` when it was not there before, and is not counted yet.

        Raises:
            Cancelled, RetryLater, NeedsHuman: of the destination.
        """
        self.check_cancelled()
        with self.copier.spans.span("tag", tag=tag), doing(Side.DESTINATION, "push tag"):
            self.copier.ask([partial(self._push, root, tag, is_new=is_new)], self.check_cancelled)
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
            self.written.add(manifest.descriptor.digest)
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
