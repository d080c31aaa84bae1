"""Copying references without a cluster: look, copy, prove, for as many images at once as there are places."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from transship.cli.places import Place, Places
from transship.cli.progress import Watcher
from transship.errors import NeedsHuman, Reason, Side, TransshipError
from transship.oci.copier import Cancelled, Copier
from transship.oci.copy import CopyReport, copy, prove
from transship.oci.reference import Reference, Repository
from transship.oci.referrers import Referrers
from transship.oci.survey import Survey, Verdict, survey
from transship.oci.threads import Threads

_STOP_SECONDS = 1.5
"""How long copies that were asked to stop are waited for; what waits for an answer longer is left."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One image: where it is, and what it is to be there."""

    source: Reference
    destination: Reference


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one image went.

    Attributes:
        pair: which.
        seen: what was found; None when not even that came about.
        report: what was written; None when nothing was.
        error: what stopped it.
    """

    pair: Pair
    seen: Survey | None = None
    report: CopyReport | None = None
    error: TransshipError | None = None


def pair_of(source: str, destination: str) -> Pair:
    """Parse two references; a destination without tag and digest keeps those of the source.

    Raises:
        NeedsHuman: InvalidImage when one of them cannot be parsed, or they ask for two digests.
    """
    try:
        here, there = Reference.parse(source), Reference.parse(destination)
    except ValueError as error:
        raise NeedsHuman(Reason.INVALID_IMAGE, f"{error}; write registry/repository:tag") from error
    if ":" not in destination.rpartition("/")[2] and "@" not in destination:
        there = here.at(there.repository)
    if there.digest is not None and here.digest is not None and there.digest != here.digest:
        raise NeedsHuman(
            Reason.INVALID_IMAGE, f"source and destination name two digests, {here.digest} and {there.digest}"
        )
    if there.digest is not None:
        here = Reference(here.repository, here.tag, there.digest)
    return Pair(here, there)


def repository_of(text: str) -> Repository:
    """Parse a repository without tag and digest.

    Raises:
        NeedsHuman: InvalidImage.
    """
    if ":" in text.rpartition("/")[2] or "@" in text:
        raise NeedsHuman(
            Reason.INVALID_IMAGE, f"{text[:300]!r} has a tag or digest; name only the repository for all of its tags"
        )
    try:
        return Reference.parse(text).repository
    except ValueError as error:
        raise NeedsHuman(Reason.INVALID_IMAGE, f"{error}; write registry/repository") from error


class Copying:
    """Copies images for one command.

    Args:
        places: opens repositories.
        copier: moves blobs.
        images: how many images are worked on at once.
        referrers: what becomes of what is attached to the images.
        overwrite: whether tags may move.
    """

    def __init__(self, places: Places, copier: Copier, *, images: int, referrers: Referrers, overwrite: bool) -> None:
        self._places = places
        self._copier = copier
        self._threads = Threads(images, "image")
        self._referrers = referrers
        self._overwrite = overwrite
        self._stopped_at: float | None = None

    def stop(self) -> None:
        """Let running copies end within seconds, without a tag."""
        self._stopped_at = time.monotonic()

    def all_tags(self, source: str, destination: str) -> Sequence[Pair]:
        """A pair for each tag of a repository.

        Raises:
            NeedsHuman, RetryLater: the repositories cannot be parsed, or the tags not listed.
        """
        here, there = repository_of(source), repository_of(destination)
        (tags,) = self._threads.all([lambda: sorted(self._places.open(here, Side.SOURCE).list_tags())], self._check)
        if not tags:
            raise NeedsHuman(Reason.SOURCE_MISSING, f"{here} has no tags, or does not exist", side=Side.SOURCE)
        with suppress(TransshipError):
            # What is not there need not be asked for, and the destination learns in one request who we are, not in all
            # those that come at once; where it may not be listed, it will say so again when it matters.
            self._places.open(there, Side.DESTINATION).list_tags()
        return [Pair(Reference(here, tag, None), Reference(there, tag, None)) for tag in tags]

    def plan(self, pairs: Iterable[Pair]) -> Sequence[Outcome]:
        """Look at every image and write nothing."""
        return self._each(pairs, self._look)

    def run(self, pairs: Iterable[Pair], watch: Watcher) -> Sequence[Outcome]:
        """Copy every image; one that fails does not stop the others."""
        return self._each(pairs, partial(self._copy, watch))

    def _each(self, pairs: Iterable[Pair], work: Callable[[Pair], Outcome]) -> Sequence[Outcome]:
        wanted, ended = list(pairs), dict[Pair, Outcome]()

        def run(pair: Pair) -> None:
            ended[pair] = work(pair)

        try:
            self._threads.all([partial(run, pair) for pair in wanted], self._check)
        except Cancelled as error:
            known = dict(ended)  # those that wait for a registry may still end, and are not waited for
            return [known.get(pair, Outcome(pair, error=error)) for pair in wanted]
        return [ended[pair] for pair in wanted]

    def _check(self) -> None:
        """Wait no longer than copies need to stop by themselves: a registry that is silent may take a minute."""
        if self._stopped_at is not None and time.monotonic() - self._stopped_at > _STOP_SECONDS:
            raise _stopped()

    def _is_stopped(self) -> bool:
        return self._stopped_at is not None

    def _look(self, pair: Pair) -> Outcome:
        try:
            if self._is_stopped():
                raise _stopped()
            return Outcome(pair, self._survey(pair))
        except TransshipError as error:
            return Outcome(pair, error=error)

    def _copy(self, watch: Watcher, pair: Pair) -> Outcome:
        name, seen = str(pair.destination), None
        try:
            if self._is_stopped():
                raise _stopped()
            seen = self._survey(pair)
            if seen.verdict is Verdict.PRESENT:
                watch.ended(name, "already present")
                return Outcome(pair, seen)
            watch.begun(name, seen.amounts.bytes_missing)
            report = self._write(pair, seen, watch)
        except TransshipError as error:
            watch.ended(name, "stopped" if isinstance(error, Cancelled) else "failed")  # why is said once, at the end
            return Outcome(pair, seen, error=error)
        watch.ended(name, _told(report), is_there=True)
        return Outcome(pair, seen, report)

    def _survey(self, pair: Pair) -> Survey:
        source, destination = self._open(pair)
        return survey(
            source,
            destination,
            pair.source.target,
            pair.destination.tag,
            copier=self._copier,
            referrers=self._referrers,
            overwrite=self._overwrite,
        )

    def _write(self, pair: Pair, seen: Survey, watch: Watcher) -> CopyReport:
        source, destination = self._open(pair)
        report = copy(
            source,
            destination,
            seen.whole,
            seen.lacking,
            self._copier,
            tag=seen.tag,
            attaching=seen.attaching,
            progress=partial(watch.moved, str(pair.destination)),
            cancelled=self._is_stopped,
        )
        prove(destination, seen.whole, seen.tag, self._copier, report.attached.written)
        return report

    def _open(self, pair: Pair) -> tuple[Place, Place]:
        return (
            self._places.open(pair.source.repository, Side.SOURCE),
            self._places.open(pair.destination.repository, Side.DESTINATION),
        )


def _stopped() -> Cancelled:
    return Cancelled(Reason.PENDING, "the copy was asked to stop; what has arrived stays and is not sent again")


def _told(report: CopyReport) -> str:
    said = f"{report.bytes_copied} bytes copied, {report.bytes_skipped} were there"
    if report.blobs_left_out:
        said += f", {report.blobs_left_out} layers left out that registries need not have, and the source does not"
    if report.attached.written:
        said += f", {len(report.attached.written)} attached manifests with it"
    if report.attached.problems:
        said += f"; {len(report.attached.problems)} attached could not be copied: {report.attached.problems[0]}"
    return f"{said}; proven"
