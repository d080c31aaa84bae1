"""Putting what is attached to an image where the image goes.

Each attachment goes behind its subject: blobs, manifests, then cosign's tags of it. What only the destination has is
left alone: it is nobody's mistake (ECR signs what is pushed, ecr.md §1 "Managed signing"), and a tag that holds
signatures of its own is not moved over them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from transship.errors import NeedsHuman, Reason, RetryLater, Side, TransshipError, doing
from transship.oci.closure import Closure
from transship.oci.copier import Cancelled, Copier
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.lacking import Missing, missing_manifests
from transship.oci.manifest import IMAGE_TYPES, Manifest
from transship.oci.reference import Tag
from transship.oci.referrers import MAX_REFERRERS, Attached, Attachment
from transship.oci.store import Destination
from transship.oci.work import Work


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be written of one attachment: content that is lacking, and tags that do not lead to it."""

    attachment: Attachment
    lacking: Missing
    tags: tuple[Tag, ...]

    def __bool__(self) -> bool:
        return bool(self.lacking or self.tags)


@dataclass(frozen=True, slots=True)
class Attaching:
    """What is to be done at a destination about what is attached to an image; false when that is nothing.

    Attributes:
        steps: each behind that of its subject.
        present: how many attachments are there already.
        problems: why others cannot be; none when everything is required, for the first one is raised then.
        is_required: whether the copy fails with the first attachment that cannot be written.
    """

    steps: tuple[Step, ...] = ()
    present: int = 0
    problems: tuple[TransshipError, ...] = ()
    is_required: bool = False

    def __bool__(self) -> bool:
        return bool(self.steps)

    def beside(self, whole: Closure) -> tuple[Descriptor, ...]:
        """Blobs and manifests of all steps, without those that belong to the image itself."""
        of_image = {each.digest for each in whole.descriptors}
        every = {each.digest: each for step in self.steps for each in step.attachment.whole.descriptors}
        return tuple(each for each in every.values() if each.digest not in of_image)

    @property
    def lacking(self) -> frozenset[Digest]:
        """What of all that has to be written."""
        return frozenset[Digest]().union(*(each.lacking.blobs | each.lacking.manifests for each in self.steps))


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of it: attachments written, attachments there before, and why others are not there."""

    written: tuple[Step, ...] = ()
    present: int = 0
    problems: tuple[TransshipError, ...] = ()


def missing_attached(destination: Destination, found: Attached, copier: Copier, *, is_required: bool) -> Attaching:
    """Ask the destination what it lacks of what is attached to an image.

    Raises:
        RetryLater, NeedsHuman: everything is required, and something could not be listed, read or asked for.
    """
    look = _Look(destination, copier, found)
    if is_required and found.problems:
        raise _refusal(found.problems)
    try:
        with doing(Side.DESTINATION, "look up"):
            look.ask()
            steps = [look.step(each) for each in found.attachments]
    except TransshipError as error:
        if is_required:
            raise _refusal([error]) from error
        return Attaching(problems=(*found.problems, error))
    if is_required and look.problems:
        raise _refusal(look.problems)
    present = sum(not step and step.attachment.digest not in look.in_conflict for step in steps)
    problems = (*found.problems, *look.problems)
    return Attaching(tuple(step for step in steps if step), present, problems, is_required)


@dataclass(slots=True)
class _Look:
    destination: Destination
    copier: Copier
    found: Attached
    gone: frozenset[Digest] = frozenset()
    lost: frozenset[Digest] = frozenset()
    tagged: Mapping[Tag, Descriptor] = field(default_factory=dict)
    problems: list[TransshipError] = field(default_factory=list)
    in_conflict: set[Digest] = field(default_factory=set)

    def ask(self) -> None:
        wholes = [each.whole for each in self.found.attachments]
        digests = list(dict.fromkeys(digest for whole in wholes for digest in whole.digests))
        self.gone = missing_manifests(self.destination, digests, self.copier)
        self.gone |= self._unlisted()
        manifests = [each for whole in wholes for each in whole.manifests]
        if self.destination.keeps_whole:
            manifests = [each for each in manifests if each.descriptor.digest in self.gone]
        blobs = {blob.digest: blob for each in manifests for blob in each.blobs}
        self.lost = self.copier.missing_blobs(self.destination, list(blobs.values()))
        self.tagged = resolve_tags(
            self.destination, [tag for each in self.found.attachments for tag in each.tags], self.copier
        )

    def step(self, attachment: Attachment) -> Step:
        """What is to be written of an attachment."""
        verdicts = {tag: self._is_to_move(attachment.whole.root, tag) for tag in attachment.tags}
        tags = tuple(tag for tag, is_to_move in verdicts.items() if is_to_move)
        if verdicts and not attachment.is_listed and not tags:
            # Its tags lead to as much or to something else: nobody would ever find it.
            return Step(attachment, Missing(), ())
        whole = attachment.whole
        lost = self.lost.intersection(blob.digest for blob in whole.blobs)
        return Step(attachment, Missing(self.gone.intersection(whole.digests), lost), tags)

    def _unlisted(self) -> frozenset[Digest]:
        """Manifests that are there and not on the list of their subject: putting them again lists them."""
        there = [each for each in self.found.attachments if each.is_listed and each.digest not in self.gone]
        subjects = list(dict.fromkeys(each.subject for each in there))
        lists = self.copier.ask(partial(self.destination.list_referrers, subject) for subject in subjects)
        # A longer list is not followed to its end.
        ends = {
            subject: listed for subject, listed in zip(subjects, lists, strict=True) if len(listed) <= MAX_REFERRERS
        }
        return frozenset(
            each.digest
            for each in there
            if each.subject in ends and all(listed.digest != each.digest for listed in ends[each.subject])
        )

    def _is_to_move(self, ours: Manifest, tag: Tag) -> bool:
        there = self.tagged.get(tag)
        if there is None or there.digest == ours.descriptor.digest:
            return there is None
        theirs = self.destination.fetch_manifest(there.digest)
        mine, others = _entries(ours), _entries(theirs)
        if not others <= mine and not mine <= others:
            text = (
                f"{self.destination.repository}:{tag} holds what the source does not have, and is left as it is; what "
                "the source has under this tag would replace it"
            )
            self.problems.append(NeedsHuman(Reason.TAG_CONFLICT, text, side=Side.DESTINATION, step="plan"))
            self.in_conflict.add(ours.descriptor.digest)
            return False
        return others < mine


def _entries(manifest: Manifest | None) -> frozenset[str]:
    """What cosign keeps under a tag: a layer for each signature, told apart by its annotations as well."""
    if manifest is None:
        return frozenset()
    if manifest.descriptor.media_type not in IMAGE_TYPES:
        return frozenset({str(manifest.descriptor.digest)})
    layers = json.loads(manifest.content).get("layers", [])
    return frozenset(json.dumps(layer, sort_keys=True) for layer in layers)


def resolve_tags(destination: Destination, tags: Sequence[Tag], copier: Copier) -> Mapping[Tag, Descriptor]:
    """Those of the tags that exist, asked for in as few questions as the destination allows.

    Raises:
        RetryLater, NeedsHuman: whatever the destination raises.
    """

    def resolve(some: Sequence[Tag]) -> dict[Tag, Descriptor | None]:
        answers = destination.resolve_all(some)
        return {tag: answers[tag] if tag in answers else destination.resolve(tag) for tag in some}

    step = destination.targets_per_request
    parts = (tags[start : start + step] for start in range(0, len(tags), step))
    found = [pair for answers in copier.ask(partial(resolve, part) for part in parts) for pair in answers.items()]
    return {tag: there for tag, there in found if there is not None}


def attach(work: Work, attaching: Attaching) -> Tally:
    """Write what is to be attached, each attachment behind its subject.

    Raises:
        Cancelled: the copy was asked to stop.
        RetryLater, NeedsHuman: everything is required, and something could not be written.
    """
    failed: dict[Digest, TransshipError] = {}
    written: list[Step] = []
    _bring_blobs(work, attaching.steps)
    for step in attaching.steps:
        subject = step.attachment.subject
        try:
            if subject in failed:
                raise failed[subject]
            _write(work, step)
        except Cancelled:
            raise
        except TransshipError as error:
            if attaching.is_required:
                raise _refusal([error]) from error
            failed[step.attachment.digest] = error
        else:
            written.append(step)
    return Tally(tuple(written), attaching.present, (*attaching.problems, *failed.values()))


def _bring_blobs(work: Work, steps: Iterable[Step]) -> None:
    """Move the blobs of all attachments side by side; one that fails will say so when its turn comes."""
    try:
        work.blobs(blob for step in steps for blob in _blobs(step))
    except Cancelled:
        raise
    except TransshipError:
        pass


def _blobs(step: Step) -> list[Descriptor]:
    return [blob for blob in step.attachment.whole.blobs if blob.digest in step.lacking.blobs]


def _write(work: Work, step: Step) -> None:
    whole = step.attachment.whole
    work.blobs(_blobs(step))
    for level in whole.levels:
        work.manifests(each for each in level if each.descriptor.digest in step.lacking.manifests)
    for tag in step.tags:
        try:
            work.tag(whole.root, tag, is_new=False)
        except NeedsHuman as error:
            if error.reason is not Reason.TAG_CONFLICT:
                raise
            raise NeedsHuman(
                Reason.TAG_CONFLICT,
                f"the tag {tag} is immutable at the destination and cannot follow the source; exclude sha256-* from "
                "the immutability of the repository's tags",
                side=error.side,
                step=error.step,
            ) from error


def _refusal(problems: Sequence[TransshipError]) -> TransshipError:
    """The error of a copy that needs everything: what needs somebody first, what heals otherwise."""
    worst = next((each for each in problems if isinstance(each, NeedsHuman)), problems[0])
    text = f"what is attached to the image is required: {worst.message}"
    if isinstance(worst, RetryLater):
        return RetryLater(worst.reason, text, side=worst.side, step=worst.step, after=worst.after)
    error = NeedsHuman(worst.reason, text, side=worst.side, step=worst.step)
    error.denial = worst.denial
    return error
