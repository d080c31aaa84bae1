"""What is attached to an image: signatures, SBOMs, attestations; of its root and of every manifest below it.

Three ways lead to it: manifests that name their subject, listed by the registry or under a tag of the subject
(distribution-spec 1.1, "Listing Referrers"; both are `list_referrers` here), and the tags that cosign derives from a
digest: `sha256-<hex>.sig`, `.att` and `.sbom`. What is attached may have something attached to it in turn.

A list of referrers is what somebody says, and a tag may be anybody's: only manifests that name the subject, or are
under its very tag, count. What cannot be listed or read is a problem and not an error: the policy says which it is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TypeVar

from transship.errors import NeedsHuman, Reason, RetryLater, Side, TransshipError, doing
from transship.oci.closure import MAX_CLOSURE_DESCRIPTORS, MAX_CLOSURE_MANIFEST_BYTES, Closure, closure
from transship.oci.copier import Copier
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import Manifest
from transship.oci.reference import Tag
from transship.oci.store import Source

MAX_REFERRERS = 100
"""Manifests attached to one subject that are looked at (threat T9)."""
MAX_DEPTH = 4
"""How far the referrers of referrers are followed."""


class Referrers(StrEnum):
    """What becomes of signatures, SBOMs and attestations."""

    REQUIRE = "Require"
    BEST_EFFORT = "BestEffort"
    IGNORE = "Ignore"


_COSIGN = (".sig", ".att", ".sbom")
_STEP = "list referrers"
Answer = TypeVar("Answer")
Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Attachment:
    """One manifest that is attached to another, with everything below it.

    Attributes:
        whole: the manifest, its children and blobs.
        subject: what it is attached to.
        tags: cosign's tags that lead to it.
    """

    whole: Closure
    subject: Digest
    tags: tuple[Tag, ...] = ()

    @property
    def digest(self) -> Digest:
        """Of the manifest itself."""
        return self.whole.root.descriptor.digest

    @property
    def is_listed(self) -> bool:
        """Whether it names its subject, and is found by the subject's list."""
        named = self.whole.root.subject
        return named is not None and named.digest == self.subject


@dataclass(frozen=True, slots=True)
class Attached:
    """Everything that is attached to an image.

    Attributes:
        attachments: each one behind what it is attached to.
        problems: why there may be more that could not be listed or read.
    """

    attachments: tuple[Attachment, ...] = ()
    problems: tuple[TransshipError, ...] = ()


def cosign_tags(subject: Digest) -> tuple[Tag, ...]:
    """The tags cosign derives from a digest; none for sha512, whose tags would be too long for the grammar."""
    return tuple(Tag(f"sha256-{subject.hex}{kind}") for kind in _COSIGN) if subject.algorithm == "sha256" else ()


def find_attached(source: Source, whole: Closure, copier: Copier) -> Attached:
    """Find what is attached to an image, as far as `MAX_DEPTH`, `MAX_REFERRERS` and the caps of a closure allow.

    Never raises for what the source says: that is among the problems.
    """
    search = _Search(source, copier, whole)
    subjects: Sequence[Digest] = whole.digests
    for _ in range(MAX_DEPTH):
        subjects = search.descend(subjects)
    search.end(subjects)
    return Attached(tuple(search.attachments.values()), tuple(search.problems))


@dataclass(frozen=True, slots=True)
class _Tagged:
    """A tag that was derived from a subject, and the manifest it leads to."""

    tag: Tag
    subject: Digest
    digest: Digest


class _Search:
    def __init__(self, source: Source, copier: Copier, image: Closure) -> None:
        self.source = source
        self.copier = copier
        self.of_image = {each.descriptor.digest: each for each in image.manifests}
        self.known = dict(self.of_image)
        self.attachments: dict[Digest, Attachment] = {}
        self.unread: set[Digest] = set()
        self.problems: list[TransshipError] = []
        self.descriptors = 0
        self.content_bytes = 0
        self._account(image)

    def descend(self, subjects: Sequence[Digest]) -> Sequence[Digest]:
        """Find what is attached to some manifests; the manifests of it, which may have something attached as well."""
        listed, tagged = self._listed(subjects), self._tagged(subjects)
        subject_of = {**listed, **{each.digest: each.subject for each in tagged}}
        tagged_ones = {each.digest for each in tagged}
        new = [digest for digest in subject_of if digest not in self.known]
        room = max(0, MAX_CLOSURE_DESCRIPTORS - self.descriptors)
        if len(new) > room:
            self._note(f"more than {MAX_CLOSURE_DESCRIPTORS} manifests and blobs belong to the image")
        self._fetch(new[:room])
        found = [
            below
            for digest in new[:room]
            for below in self._take(digest, subject_of[digest], by_list=digest not in tagged_ones)
        ]
        for each in tagged:
            self._tag(each)
        return found

    def end(self, subjects: Sequence[Digest]) -> None:
        """Look whether there is more below the last level that is followed."""
        below = [*self._listed(subjects), *(each.digest for each in self._tagged(subjects))]
        if any(digest not in self.known for digest in below):
            self._note(f"what is attached to what is attached is followed {MAX_DEPTH} levels deep, and there is more")

    def _listed(self, subjects: Sequence[Digest]) -> dict[Digest, Digest]:
        """The subject of each manifest on a list."""
        found: dict[Digest, Digest] = {}
        lists = self.copier.ask(partial(_try, partial(self.source.list_referrers, each)) for each in subjects)
        for subject, answer in zip(subjects, lists, strict=True):
            entries = self._sound(answer) or ()
            if len(entries) > MAX_REFERRERS:
                self._note(f"{subject} has more than {MAX_REFERRERS} referrers")
            found.update((each.digest, subject) for each in entries[:MAX_REFERRERS])
        return found

    def _tagged(self, subjects: Sequence[Digest]) -> list[_Tagged]:
        """What is under the tags that cosign derives from the subjects."""
        of_tag = {tag: subject for subject in subjects for tag in cosign_tags(subject)}
        parts = _parts(list(of_tag), self.source.targets_per_request)
        answers = self.copier.ask(partial(self._resolve, part) for part in parts)
        found = {tag: self._sound(there) for answer in answers for tag, there in answer.items()}
        return [_Tagged(tag, of_tag[tag], there.digest) for tag, there in found.items() if there is not None]

    def _resolve(self, tags: Sequence[Tag]) -> Mapping[Tag, Descriptor | TransshipError | None]:
        answers = _try(partial(self.source.resolve_all, tags))
        if isinstance(answers, TransshipError):
            return dict.fromkeys(tags, answers)
        return {tag: answers[tag] if tag in answers else _try(partial(self.source.resolve, tag)) for tag in tags}

    def _fetch(self, digests: Sequence[Digest]) -> None:
        parts = _parts(digests, self.source.targets_per_request)
        for answers in self.copier.ask(partial(self._fetch_some, part) for part in parts):
            for digest, answer in answers.items():
                manifest = self._sound(answer)
                if manifest is None:
                    self.unread.add(digest)
                else:
                    self.known[digest] = manifest

    def _fetch_some(self, digests: Sequence[Digest]) -> Mapping[Digest, Manifest | TransshipError]:
        """Several manifests in one request; each by itself when one of them spoils the answer for all."""
        answer = _try(lambda: list(self.source.fetch_manifests(digests)))
        if not isinstance(answer, TransshipError):
            return {each.descriptor.digest: each for each in answer}
        if len(digests) == 1 or isinstance(answer, RetryLater):
            return dict.fromkeys(digests, answer)
        return {each: found for digest in digests for each, found in self._fetch_some([digest]).items()}

    def _take(self, digest: Digest, subject: Digest, *, by_list: bool) -> Iterator[Digest]:
        """Believe that a manifest is attached; it and what is below it may have something attached."""
        manifest = self.known.get(digest)
        if manifest is None:
            if digest not in self.unread:
                self._lost(digest, subject)
            return
        attachment = Attachment(Closure((manifest,), manifest.blobs), subject)
        if by_list and not attachment.is_listed:
            self._note(f"{digest} is on the list of the referrers of {subject}, and names another subject")
            return
        if manifest.children:
            below = self._sound(_try(partial(closure, self.source, digest, self.copier)))
            if below is None:
                return
            attachment = replace(attachment, whole=below)
        if not self._account(attachment.whole):
            self._note("more is attached to the image than can be copied with it")
            return
        self.attachments[digest] = attachment
        self.known.update((each.descriptor.digest, each) for each in attachment.whole.manifests)
        yield from attachment.whole.digests

    def _tag(self, tagged: _Tagged) -> None:
        """Remember a tag that leads to something attached, or to a part of the image itself."""
        found, manifest = self.attachments.get(tagged.digest), self.of_image.get(tagged.digest)
        if found is None and manifest is not None and not manifest.children:
            found = Attachment(Closure((manifest,), manifest.blobs), tagged.subject)
        if found is not None:
            self.attachments[tagged.digest] = replace(found, tags=(*found.tags, tagged.tag))

    def _account(self, whole: Closure) -> bool:
        """Count what has been found; False when it is too much to be held or copied."""
        self.descriptors += len(whole.descriptors)
        self.content_bytes += sum(len(each.content) for each in whole.manifests)
        return self.descriptors <= MAX_CLOSURE_DESCRIPTORS and self.content_bytes <= MAX_CLOSURE_MANIFEST_BYTES

    def _sound(self, answer: Answer | TransshipError) -> Answer | None:
        if not isinstance(answer, TransshipError):
            return answer
        # One answer may have been for many.
        if not any(each is answer for each in self.problems):
            self.problems.append(answer)
        return None

    def _lost(self, digest: Digest, subject: Digest) -> None:
        text = f"the source does not hold {digest}, which it lists as attached to {subject}; push it there again"
        self.problems.append(NeedsHuman(Reason.SOURCE_MISSING, text, side=Side.SOURCE, step=_STEP))

    def _note(self, what: str) -> None:
        text = f"not everything that is attached to the image can be copied: {what}"
        self.problems.append(NeedsHuman(Reason.UNSUPPORTED_CONTENT, text, side=Side.SOURCE, step=_STEP))


def _try(question: Callable[[], Answer]) -> Answer | TransshipError:
    try:
        with doing(Side.SOURCE, _STEP):
            return question()
    except TransshipError as error:
        return error


def _parts(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]
