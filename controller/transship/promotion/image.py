"""One image on its way: resolve, observe, decide, copy, prove."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from transship.errors import NeedsHuman, Reason, TransshipError
from transship.oci.attaching import Attaching, Tally, missing_attached
from transship.oci.closure import Closure, closure
from transship.oci.copier import Cancelled, Copier
from transship.oci.copy import CopyProgress, CopyReport, Missing, copy, missing, prove
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.reference import Reference
from transship.oci.referrers import Referrers, find_attached
from transship.oci.store import Destination, Source
from transship.promotion.plan import AddTag, Copy, Decision, Observed, Present, Wanted, decide
from transship.promotion.policy import Namespace, PromotionPolicy, Route, route
from transship.promotion.ports import Registries
from transship.promotion.sight import Sight
from transship.promotion.status import Outcome, ReferrersStatus

_NOT_AT_SOURCE = frozenset({Reason.SOURCE_MISSING, Reason.SOURCE_NOT_YET_THERE})


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about one image, with everything needed to do it.

    `seen` is what the destination reference led to when this was decided. `whole` is None when nothing is to be
    written and the destination's own word was enough for that. `attaching` is None when nobody asked what is attached
    to the image.
    """

    route: Route
    decision: Decision
    seen: Descriptor | None
    source: Source
    destination: Destination
    whole: Closure | None
    lacking: Missing
    attaching: Attaching | None = None

    @property
    def writes(self) -> bool:
        """Whether anything is to be written."""
        return not isinstance(self.decision, Present)

    @property
    def bytes_total(self) -> int | None:
        """Bytes of everything that belongs to the image or is to be attached to it, where it was looked at."""
        if self.whole is None:
            return None
        more = self.attaching.beside(self.whole) if self.attaching is not None else ()
        return self.whole.total_bytes + sum(each.size for each in more)

    @property
    def replaces(self) -> Digest | None:
        """What the tag points at until it is moved."""
        return None if isinstance(self.decision, Present) else self.decision.replaces

    def is_outdated(self) -> bool:
        """Whether somebody has moved or made the destination reference since.

        Raises:
            NeedsHuman, RetryLater: of the destination.
        """
        target = self.route.destination.tag or self.decision.descriptor.digest
        return self.destination.resolve(target) != self.seen


@dataclass(frozen=True, slots=True)
class Done:
    """How an image ended well.

    Attributes:
        outcome: in one word.
        message: in one sentence.
        report: there when something was written.
        referrers: there when it was asked what is attached to the image.
        is_worth_saying: the message says more than the outcome does.
    """

    outcome: Outcome
    message: str
    report: CopyReport | None = None
    referrers: ReferrersStatus | None = None
    is_worth_saying: bool = True


def find_route(image: str, policies: Sequence[PromotionPolicy], namespace: Namespace, only: str = "") -> Route:
    """Parse an image string and find its way, by any policy or by the only one that is named.

    Raises:
        NeedsHuman: InvalidImage, NotCovered, PolicyAmbiguous, TagDenied or PolicyInvalid.
    """
    try:
        reference = Reference.parse(image)
    except ValueError as error:
        raise NeedsHuman(Reason.INVALID_IMAGE, f"{error}; write registry/repository:tag") from error
    return route(policies, namespace, reference, only)


def make_plan(sight: Sight, copier: Copier, first_seen: datetime, now: datetime) -> Plan:
    """Look at both registries and decide.

    Args:
        sight: the image's way, and both repositories with what they have said already.
        copier: asks for what is not known yet.
        first_seen: since when this image is being looked for.
        now: the time of the decision.

    Raises:
        NeedsHuman, RetryLater: of the registries, or of the edge table.
    """
    way, target = sight.way, sight.target
    found = sight.source.resolve(target)
    digest = found.digest if found else (target if isinstance(target, Digest) else None)
    wanted = Wanted(way, digest, found, first_seen)
    tag = way.destination.tag
    tagged = sight.destination.resolve(tag) if tag is not None else None
    looked_for = digest or (tagged.digest if tagged else None)
    if looked_for is None:
        return _hopeless(sight, wanted, Observed(tagged, None, is_complete=False), now)
    root = tagged if tagged and tagged.digest == looked_for else sight.destination.resolve(looked_for)
    observed = Observed(tagged, root, sight.vouches(root))
    return _plan_by(sight, copier, wanted=wanted, observed=observed, digest=looked_for, now=now)


def _plan_by(  # noqa: PLR0913 - everything that is known of one image
    sight: Sight, copier: Copier, *, wanted: Wanted, observed: Observed, digest: Digest, now: datetime
) -> Plan:
    """Decide by the destination's word that it holds all of the image, or else by looking at every part."""
    source, destination, root = sight.source.store, sight.destination.store, observed.root
    whole, lacking, attaching = None, Missing(), None
    is_required = wanted.at_source is not None and wanted.route.policy.referrers is Referrers.REQUIRE
    if not observed.is_complete or is_required:
        whole = _closure(source if wanted.at_source else None, destination if root else None, digest, copier)
        if whole is None:
            return _hopeless(sight, wanted, observed, now)
        if not observed.is_complete:
            lacking = missing(destination, whole, copier, root_is_there=root is not None)
        if is_required:
            attaching = _attaching(source, destination, whole, copier, is_required=True)
        observed = replace(observed, is_complete=root is not None and not lacking and not attaching)
    decision = _decide(sight, wanted, observed, now)
    if not isinstance(decision, Present):
        whole = whole or _closure(source, destination, digest, copier)
        if whole is not None and wanted.route.policy.referrers is Referrers.BEST_EFFORT:
            attaching = _attaching(source, destination, whole, copier, is_required=False)
    seen = observed.tagged if wanted.route.destination.tag is not None else root
    return Plan(wanted.route, decision, seen, source, destination, whole, lacking, attaching)


def _attaching(
    source: Source, destination: Destination, whole: Closure, copier: Copier, *, is_required: bool
) -> Attaching:
    return missing_attached(destination, find_attached(source, whole, copier), copier, is_required=is_required)


def _decide(sight: Sight, wanted: Wanted, observed: Observed, now: datetime) -> Decision:
    """The edge table's word; an image that seems to be missing is looked for in the archive before it is called so."""
    try:
        return decide(wanted, observed, now)
    except TransshipError as error:
        if error.reason not in _NOT_AT_SOURCE or not sight.source.store.is_archived(sight.target):
            raise
    return decide(replace(wanted, is_archived=True), observed, now)


def _hopeless(sight: Sight, wanted: Wanted, observed: Observed, now: datetime) -> Plan:
    _decide(sight, wanted, observed, now)
    raise AssertionError("an image that is nowhere whole cannot be planned")


def _closure(source: Source | None, destination: Destination | None, digest: Digest, copier: Copier) -> Closure | None:
    """What belongs to an image, by the source, or by the destination when the source has lost it or a part of it."""
    if source is None:
        return _closure_at(destination, digest, copier)
    try:
        return closure(source, digest, copier)
    except NeedsHuman as error:
        whole = _closure_at(destination, digest, copier) if error.reason is Reason.SOURCE_MISSING else None
        if whole is None:
            raise
        return whole


def _closure_at(destination: Destination | None, digest: Digest, copier: Copier) -> Closure | None:
    try:
        return closure(destination, digest, copier) if destination is not None else None
    except NeedsHuman as error:
        if error.reason is Reason.SOURCE_MISSING:  # a child is gone at the destination, too
            return None
        raise


def carry_out(
    plan: Plan,
    registries: Registries,
    copier: Copier,
    tell: Callable[[CopyProgress], None],
    is_cancelled: Callable[[], bool],
) -> Done:
    """Do what the plan says and read the destination again.

    Raises:
        NeedsHuman, RetryLater: of the registries; NotProven when the destination does not show what was written.
    """
    if isinstance(plan.decision, Present):
        note, attaching = plan.decision.note, plan.attaching
        counts = ReferrersStatus(present=attaching.present) if attaching is not None else None
        return Done(Outcome.ALREADY_PRESENT, note or "already present", referrers=counts, is_worth_saying=bool(note))
    if plan.whole is None:
        raise AssertionError("what is to be written was looked at whole")
    tag = plan.route.destination.tag
    if is_cancelled():
        raise Cancelled(Reason.PENDING, "the copy was asked to stop before it began")
    way, digest = plan.route, plan.decision.descriptor.digest
    with copier.spans.span("copy", source=way.source, destination=way.destination, digest=digest) as span:
        registries.ensure_repository(way.policy, way.destination.repository)
        report = copy(
            plan.source,
            plan.destination,
            plan.whole,
            plan.lacking,
            copier,
            tag=tag,
            attaching=plan.attaching or Attaching(),
            progress=tell,
            cancelled=is_cancelled,
        )
        span.note(bytes_copied=report.bytes_copied, bytes_skipped=report.bytes_skipped)
    with copier.spans.span("verify", destination=way.destination, digest=digest):
        prove(plan.destination, plan.whole, tag, copier, report.attached.written)
    return _done(plan.decision, report, is_asked=plan.attaching is not None)


def _done(decision: Copy | AddTag, report: CopyReport, *, is_asked: bool) -> Done:
    moved = f", tag moved from {decision.replaces}" if decision.replaces else ""
    tally = report.attached
    left_out = (
        f"; {report.blobs_left_out} non-distributable layers are not at the source" if report.blobs_left_out else ""
    )
    told = f"{moved}{left_out}{_told(tally)}"
    counts = ReferrersStatus(len(tally.written), tally.present, len(tally.problems)) if is_asked else None
    if isinstance(decision, AddTag):
        return Done(Outcome.TAG_ADDED, f"content was there, tag added{told}", report, counts)
    text = f"{report.bytes_copied} bytes copied, {report.bytes_skipped} were there{told}"
    return Done(Outcome.COPIED, text, report, counts)


def _told(tally: Tally) -> str:
    """What there is to say about signatures and the like, the trouble with them before all."""
    copied = f"; {len(tally.written)} attached manifests copied" if tally.written else ""
    if not tally.problems:
        return copied
    return f"{copied}; of what is attached to the image {len(tally.problems)} could not be copied: {tally.problems[0]}"
