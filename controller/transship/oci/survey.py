"""A look before a copy: what a source reference is, what the destination has of it, and what would have to be done."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from transship.errors import NeedsHuman, Reason, Side, doing
from transship.oci.amounts import Amounts
from transship.oci.attaching import Attaching, missing_attached
from transship.oci.closure import Closure, closure
from transship.oci.copier import Copier
from transship.oci.copy import Missing, missing
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import Manifest
from transship.oci.reference import Tag
from transship.oci.referrers import Referrers, find_attached
from transship.oci.store import Destination, Source


class Verdict(StrEnum):
    """What a copy would do."""

    PRESENT = "present"
    ADD_TAG = "add-tag"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of one image before it is copied.

    Attributes:
        whole: everything the source's digest stands for.
        lacking: what the destination lacks of it.
        tag: what the image is to be called there; None for its digest alone.
        tagged: what that tag points at now.
        attaching: what is to be done about what is attached to it.
    """

    whole: Closure
    lacking: Missing
    tag: Tag | None
    tagged: Descriptor | None
    attaching: Attaching

    @property
    def root(self) -> Descriptor:
        """The image."""
        return self.whole.root.descriptor

    @property
    def verdict(self) -> Verdict:
        """What there is to do; a root that is put under its tag and nothing else may have been there untagged."""
        below = self.lacking.blobs | (self.lacking.manifests - {self.root.digest})
        if below or self.attaching or (self.lacking and self.tag is None):
            return Verdict.COPY
        is_tagged = self.tag is None or (self.tagged is not None and self.tagged.digest == self.root.digest)
        return Verdict.PRESENT if is_tagged and not self.lacking else Verdict.ADD_TAG

    @property
    def amounts(self) -> Amounts:
        """What there is to do in numbers."""
        return Amounts(self.whole, self.lacking, self.tag, self.attaching)

    @property
    def requests(self) -> Mapping[str, int]:
        """Requests a copy would make, by kind, when nothing has to be tried again."""
        return {} if self.verdict is Verdict.PRESENT else self.amounts.requests


def survey(  # noqa: PLR0913 - two places, what to look for at each, and whether a tag may move
    source: Source,
    destination: Destination,
    target: Tag | Digest,
    tag: Tag | None,
    *,
    copier: Copier,
    referrers: Referrers = Referrers.BEST_EFFORT,
    overwrite: bool = False,
) -> Survey:
    """Look at both registries.

    The source's target is resolved here and never again: whatever its tag does meanwhile, this digest is meant.

    Raises:
        NeedsHuman: SourceMissing; TagConflict when the destination's tag is at another digest and may not move; and
            whatever the registries refuse.
        RetryLater: of the registries.
    """
    root, tagged = _ask(source, destination, target, tag, copier)
    if root is None:
        raise NeedsHuman(
            Reason.SOURCE_MISSING,
            f"{source.repository} has no {target}; push it there or name one that exists",
            side=Side.SOURCE,
            step="resolve",
        )
    found = root.descriptor
    if tag is not None and tagged is not None and tagged.digest != found.digest and not overwrite:
        raise NeedsHuman(
            Reason.TAG_CONFLICT,
            f"{destination.repository}:{tag} is at {tagged.digest}, not at {found.digest}; name another tag, or let it "
            "be overwritten",
            side=Side.DESTINATION,
            step="plan",
        )
    whole = closure(source, root, copier)
    # A root that the tag does not lead to is put again rather than asked for: that costs the same.
    is_there = tagged is not None and tagged.digest == found.digest
    lacking = missing(destination, whole, copier, root_is_there=is_there)
    return Survey(whole, lacking, tag, tagged, _attaching(source, destination, whole, referrers, copier))


def _attaching(
    source: Source, destination: Destination, whole: Closure, referrers: Referrers, copier: Copier
) -> Attaching:
    if referrers is Referrers.IGNORE:
        return Attaching()
    found = find_attached(source, whole, copier)
    return missing_attached(destination, found, copier, is_required=referrers is Referrers.REQUIRE)


def _ask(
    source: Source, destination: Destination, target: Tag | Digest, tag: Tag | None, copier: Copier
) -> tuple[Manifest | None, Descriptor | None]:
    """The source's manifest and what the destination has in its place, at the same time.

    The source is asked for the manifest itself and not only where its tag leads to: it is needed in any case.
    """

    def read() -> Manifest | None:
        with doing(Side.SOURCE, "resolve"):
            return source.fetch_manifest(target)

    def look() -> Descriptor | None:
        with doing(Side.DESTINATION, "resolve"):
            return destination.resolve(tag if tag is not None else target)

    manifest, tagged = copier.ask([lambda: (read(), None), lambda: (None, look())])
    return manifest[0], tagged[1]
