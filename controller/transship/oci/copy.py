"""Copying an image: what is missing, the copy, the proof.

The functions in the order they are used; each takes ports (`store`) and knows nothing of a transport:

    whole = closure(source, digest, copier)                everything the digest stands for, as received bytes
    lacking = missing(destination, whole, copier)          what the destination does not hold
    found = find_attached(source, whole, copier)           signatures and the like, if they are wanted
    attaching = missing_attached(destination, found, ...)  what the destination does not hold of them
    report = copy(source, destination, whole, lacking, copier, tag=tag, attaching=attaching)
    prove(destination, whole, tag, copier, report.attached.written)
                                                           read again; only this makes a copy "promoted"

Order of writing (design §7): blobs, child manifests, root by digest, what is attached to them and its tags, the
image's tag last, so that a visible tag is complete.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from transship.errors import Reason, RetryLater, Side, doing
from transship.oci.attaching import Attaching, Step, Tally, attach, resolve_tags
from transship.oci.closure import Closure
from transship.oci.copier import Copier
from transship.oci.lacking import Missing, missing, missing_manifests
from transship.oci.manifest import MANIFEST_TYPES
from transship.oci.reference import Tag
from transship.oci.store import Destination, Source
from transship.oci.work import CopyProgress, Work

__all__ = ["CopyProgress", "CopyReport", "Missing", "copy", "missing", "prove"]

_NOTHING = Attaching()


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a finished copy did; sizes are bytes of blobs and manifests, those of written attachments included.

    `blobs_left_out` are layers that a registry need not have and the source does not have.
    """

    bytes_total: int
    bytes_copied: int
    bytes_skipped: int
    blobs_copied: int
    blobs_mounted: int
    blobs_skipped: int
    blobs_left_out: int
    manifests_copied: int
    manifests_skipped: int
    tagged: bool
    attached: Tally


def _ignore(_: CopyProgress) -> None:
    """Progress for callers that want none."""


def _never() -> bool:
    """Cancellation for callers that want none."""
    return False


def copy(  # noqa: PLR0913 - two stores, what to move between them, and two optional ways to watch and to stop it
    source: Source,
    destination: Destination,
    whole: Closure,
    lacking: Missing,
    copier: Copier,
    *,
    tag: Tag | None,
    attaching: Attaching = _NOTHING,
    progress: Callable[[CopyProgress], None] = _ignore,
    cancelled: Callable[[], bool] = _never,
) -> CopyReport:
    """Write what is lacking, in the order that keeps a visible tag complete.

    Blobs and manifests of one level go side by side, as far as the copier has room. A root that nothing but its tag
    waits for is put straight under the tag: a second request would say nothing new and count against the registry's
    quota all the same. With something to attach it is put under its digest before, for a subject comes first.

    Args:
        source: where missing blobs are read.
        destination: where they are written.
        whole: the closure of the image's digest.
        lacking: what `missing` said of this destination.
        copier: what this copy shares with others.
        tag: written last; None leaves the image untagged.
        attaching: what `missing_attached` said of this destination.
        progress: called by the calling thread, several times a second while bytes move.
        cancelled: asked several times a second.

    Raises:
        Cancelled: `cancelled` said so.
        RetryLater: ContentMismatch, and whatever a store raises.
        NeedsHuman: whatever a store raises.
    """
    work = Work(source, destination, copier, progress, cancelled, _start(whole, lacking, attaching))
    work.blobs(blob for blob in whole.blobs if blob.digest in lacking.blobs)
    root = whole.root.descriptor.digest
    by_tag_only = tag is not None and not attaching
    for level in whole.levels:
        work.manifests(
            each
            for each in level
            if each.descriptor.digest in lacking.manifests and not (by_tag_only and each.descriptor.digest == root)
        )
    tally = attach(work, attaching)
    if tag is not None:
        work.tag(whole.root, tag, is_new=root in lacking.manifests and by_tag_only)
    return _report(work.state, tally, tagged=tag is not None)


def _start(whole: Closure, lacking: Missing, attaching: Attaching) -> CopyProgress:
    more = attaching.beside(whole)
    every, gone = (*whole.descriptors, *more), lacking.blobs | lacking.manifests | attaching.lacking
    manifests = sum(each.media_type in MANIFEST_TYPES for each in more)
    return CopyProgress(
        bytes_total=sum(each.size for each in every),
        bytes_skipped=sum(each.size for each in every if each.digest not in gone),
        blobs_total=len(whole.blobs) + len(more) - manifests,
        blobs_done=sum(each.media_type not in MANIFEST_TYPES and each.digest not in gone for each in every),
        manifests_total=len(whole.manifests) + manifests,
    )


def _report(state: CopyProgress, tally: Tally, *, tagged: bool) -> CopyReport:
    return CopyReport(
        bytes_total=state.bytes_total,
        bytes_copied=state.bytes_copied,
        bytes_skipped=state.bytes_skipped,
        blobs_copied=state.blobs_copied,
        blobs_mounted=state.blobs_mounted,
        blobs_skipped=state.blobs_total - state.blobs_copied - state.blobs_mounted - state.blobs_left_out,
        blobs_left_out=state.blobs_left_out,
        manifests_copied=state.manifests_copied,
        manifests_skipped=state.manifests_total - state.manifests_copied,
        tagged=tagged,
        attached=tally,
    )


def prove(
    destination: Destination, whole: Closure, tag: Tag | None, copier: Copier, attached: Iterable[Step] = ()
) -> None:
    """Read the destination again: the tag is at the root's digest and every manifest is there.

    Args:
        destination: who is asked.
        whole: what it has to hold.
        tag: what has to lead to it.
        copier: asks.
        attached: what was written beside the image; its manifests and tags are looked for as well.

    Raises:
        RetryLater: NotProven, or whatever the destination raises.
    """
    root, steps = whole.root.descriptor.digest, list(attached)
    with doing(Side.DESTINATION, "prove"):
        found = destination.resolve(tag if tag is not None else root)
        if found is None or found.digest != root:
            what = f"tag {tag}" if tag is not None else "the root manifest"
            there = f"is {found.digest}" if found is not None else "is not there"
            raise RetryLater(Reason.NOT_PROVEN, f"after the copy {what} {there} instead of {root}")
        beside = [digest for step in steps for digest in step.attachment.whole.digests]
        below = dict.fromkeys(each for each in (*whole.digests, *beside) if each != root)
        gone = missing_manifests(destination, list(below), copier)
        if gone:
            raise RetryLater(Reason.NOT_PROVEN, f"after the copy {len(gone)} manifests are missing, {min(gone)} first")
        _prove_tags(destination, steps, copier)


def _prove_tags(destination: Destination, steps: Iterable[Step], copier: Copier) -> None:
    wanted = {tag: step.attachment.digest for step in steps for tag in step.tags}
    found = resolve_tags(destination, list(wanted), copier)
    for tag, digest in wanted.items():
        if tag not in found or found[tag].digest != digest:
            raise RetryLater(Reason.NOT_PROVEN, f"after the copy the tag {tag} does not lead to {digest}")
