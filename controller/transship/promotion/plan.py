"""The edge table: what to do about one image, from what is wanted and what was observed (design §6).

Pure: it neither logs nor does I/O, and the clock is an argument.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from transship.errors import NeedsHuman, Reason, RetryLater, Side
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.promotion.policy import Route


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one image should become.

    Attributes:
        route: where from and where to.
        digest: the content that is wanted; None while the tag could not be resolved at the source.
        at_source: the source's manifest with that digest; None when the source does not have it.
        first_seen: when this image was first looked for; the source's grace counts from here.
        is_archived: the source keeps it where it cannot be pulled.
    """

    route: Route
    digest: Digest | None
    at_source: Descriptor | None
    first_seen: datetime
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """What the destination holds now.

    Attributes:
        tagged: the manifest the wanted tag points at; None when the tag is absent or none is wanted.
        root: the manifest with the wanted digest; None when it is absent.
        is_complete: everything below the root is there too, and whatever is attached to it if the policy requires
            that. False when there is no root.
    """

    tagged: Descriptor | None
    root: Descriptor | None
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Present:
    """Nothing is to be written. `note` is there when something about it is worth saying."""

    descriptor: Descriptor
    note: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """Something is missing at the destination; `replaces` is the digest the tag points at until it is moved."""

    descriptor: Descriptor
    replaces: Digest | None = None


@dataclass(frozen=True, slots=True)
class AddTag:
    """Everything is there but the tag."""

    descriptor: Descriptor
    replaces: Digest | None = None


Decision = Present | Copy | AddTag


def decide(wanted: Wanted, observed: Observed, now: datetime) -> Decision:
    """Decide about one image.

    Raises:
        NeedsHuman: TagConflict, SourceMissing or SourceArchived.
        RetryLater: the source does not have the image yet and its grace is not over.
    """
    if wanted.at_source is None:
        return _without_source(wanted, observed, now)
    replaces = _tag_to_move(wanted, observed)
    if observed.root is None or not observed.is_complete:
        return Copy(wanted.at_source, replaces)
    if wanted.route.destination.tag is not None and (observed.tagged is None or replaces is not None):
        return AddTag(wanted.at_source, replaces)
    return Present(wanted.at_source)


def _without_source(wanted: Wanted, observed: Observed, now: datetime) -> Decision:
    tag = wanted.route.destination.tag
    lost = f"the source no longer has {wanted.route.source}"
    if wanted.digest is None and observed.tagged is not None and observed.is_complete:
        # A roll-back to a tag that the source has expired: the destination's own tag is all that is left of it, and
        # it is what the pods will pull.
        return Present(observed.tagged, lost)
    if wanted.digest is not None and observed.root is not None and observed.is_complete:
        if tag is None:
            return Present(observed.root, lost)
        if observed.tagged is not None and observed.tagged.digest == wanted.digest:
            return Present(observed.root, lost)
    raise _source_missing(wanted, now)


def _source_missing(wanted: Wanted, now: datetime) -> NeedsHuman | RetryLater:
    if wanted.is_archived:
        return NeedsHuman(
            Reason.SOURCE_ARCHIVED,
            f"{wanted.route.source} is archived at the source, where nothing can pull it; restore it there "
            "(ecr update-image-storage-class with STANDARD), or push it again",
            side=Side.SOURCE,
            step="resolve",
        )
    source, grace = wanted.route.source, wanted.route.policy.source_grace_seconds
    waited = now - wanted.first_seen
    if waited < timedelta(seconds=grace):
        left = grace - waited.total_seconds()
        return RetryLater(
            Reason.SOURCE_NOT_YET_THERE,
            f"{source} does not exist (yet); waiting {left:.0f} s more, as a commit may outrun its image",
            side=Side.SOURCE,
            step="resolve",
            after=min(5.0, left + 0.1),
        )
    return NeedsHuman(
        Reason.SOURCE_MISSING,
        f"{source} does not exist; push it there or name a tag that exists",
        side=Side.SOURCE,
        step="resolve",
    )


def _tag_to_move(wanted: Wanted, observed: Observed) -> Digest | None:
    if observed.tagged is None or wanted.at_source is None or observed.tagged.digest == wanted.at_source.digest:
        return None
    if wanted.route.policy.overwrite_tags:
        return observed.tagged.digest
    raise NeedsHuman(
        Reason.TAG_CONFLICT,
        f"{wanted.route.destination} already points at {observed.tagged.digest}, "
        f"but {wanted.route.source} is {wanted.at_source.digest}; use a new tag, or remove the one at the destination "
        f"(PromotionPolicy {wanted.route.policy.name} does not overwrite tags)",
        side=Side.DESTINATION,
        step="plan",
    )
