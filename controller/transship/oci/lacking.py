"""What a destination lacks of what it should hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from transship.errors import Side, doing
from transship.oci.closure import Closure
from transship.oci.copier import Copier
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.store import Destination


@dataclass(frozen=True, slots=True)
class Missing:
    """What a destination lacks of a closure; false when it lacks nothing."""

    manifests: frozenset[Digest] = frozenset()
    blobs: frozenset[Digest] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.manifests or self.blobs)


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
        gone = missing_manifests(destination, [each for each in whole.digests if each not in known], copier)
        if root_is_there is False:
            gone |= {root}
        blobs = _blobs_of(whole, gone) if destination.keeps_whole else whole.blobs
        if not gone:
            # Every manifest has been taken without them: nobody pulls them here.
            blobs = [blob for blob in blobs if blob.is_distributable]
        return Missing(gone, copier.missing_blobs(destination, blobs))


def missing_manifests(destination: Destination, digests: Sequence[Digest], copier: Copier) -> frozenset[Digest]:
    """Those of the digests that a destination holds no manifest for, in as few questions as it allows.

    Raises:
        RetryLater, NeedsHuman: whatever the destination raises.
    """
    step = destination.targets_per_request
    parts = [digests[start : start + step] for start in range(0, len(digests), step)]
    return frozenset[Digest]().union(*copier.ask(partial(destination.missing_manifests, part) for part in parts))


def _blobs_of(whole: Closure, manifests: frozenset[Digest]) -> Sequence[Descriptor]:
    theirs = {blob.digest for each in whole.manifests if each.descriptor.digest in manifests for blob in each.blobs}
    return [blob for blob in whole.blobs if blob.digest in theirs]
