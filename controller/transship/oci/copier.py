"""The copier: what all copies of a process share, so that they neither repeat nor outgrow each other.

Threads, memory and connections are bounded here, a blob that several images need is moved once, and what a destination
holds is asked once. One copier serves the whole process; it holds no connections and no credentials of its own.
"""

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from transship.errors import NeedsHuman, Reason, RetryLater, Side, doing
from transship.oci.backoff import Backoff
from transship.oci.buffers import Budget
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.flow import Flow, Joining
from transship.oci.lookups import Lookups
from transship.oci.presence import Presence
from transship.oci.reference import Repository
from transship.oci.spans import UNTRACED, Spans
from transship.oci.store import Chunk, Destination, Source
from transship.oci.threads import Result, Threads

MEBIBYTE = 1024 * 1024
_LOOK_EVERY = 0.2
_MANY = 8
"""With so many blobs on their way there are connections enough, and the next limit is the way up (B5)."""
_PROCESSORS = len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is done at the same time.

    Attributes:
        memory: bytes of all blobs on their way, small ones included.
        blobs: blobs that are moved at once.
        ranges: connections that may join to read large blobs in ranges, besides one for each blob.
        lookups: requests at once that only ask or put a manifest.
        restarts: how often a broken upload of a blob begins again before the whole copy is left for later.
    """

    memory: int = 64 * MEBIBYTE
    blobs: int = 48
    ranges: int = 20
    lookups: int = 64
    restarts: int = 3


class Cancelled(RetryLater):
    """Somebody asked the copy to stop; blobs already committed stay and are not sent again the next time."""


@dataclass(eq=False, slots=True)
class _Flight:
    """A blob on its way to a repository, for everybody who waits for it."""

    source: Source
    destination: Destination
    blob: Descriptor
    wanted_by: int = 1
    bytes_sent: int = 0
    is_mounted: bool = False
    takes_ranges: bool = True
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def key(self) -> tuple[Repository, Digest]:
        return self.destination.repository, self.blob.digest

    def is_unwanted(self) -> bool:
        return not self.wanted_by


@dataclass(frozen=True, slots=True)
class Brought:
    """How a blob came to be at the destination.

    Attributes:
        blob: which.
        by: `copied`, `mounted`, `shared` when another image's copy brought it, or `left out` when it may be missing and
            the source does not have it.
    """

    blob: Descriptor
    by: str


Tell = Callable[[Descriptor, int], None]
"""Hears that so many more bytes of a blob have been sent; a negative number takes back what has to be sent again."""


class Copier:
    """Moves blobs and asks questions within limits. Thread-safe.

    Args:
        limits: how much at once.
        spans: hears of what takes time.
    """

    def __init__(self, limits: Limits | None = None, spans: Spans = UNTRACED) -> None:
        self.limits = limits or Limits()
        self.spans = spans
        self.presence = Presence()
        self._budget = Budget(self.limits.memory)
        self._lookups = Lookups(self.limits.lookups, self.presence)
        self._movers = Threads(self.limits.blobs, "blob")
        # A blob may need one that reads and one that hashes.
        self._readers = Threads(2 * self.limits.blobs + self.limits.ranges, "read")
        self._lock = threading.Lock()
        self._flights: dict[tuple[Repository, Digest], _Flight] = {}
        self._joined = 0
        self._moving = 0
        self._moved = 0

    @property
    def moving(self) -> int:
        """Blobs on their way now."""
        return self._moving

    @property
    def moved(self) -> int:
        """Bytes of blobs that have been handed to destinations until now, those that were sent in vain included."""
        return self._moved

    @property
    def memory(self) -> int:
        """Bytes of the budget that are given away now."""
        return self._budget.used

    def ask(self, calls: Iterable[Callable[[], Result]], check: Callable[[], None] | None = None) -> Sequence[Result]:
        """Make calls that each cost a request, see `Lookups.ask`.

        Raises:
            Exception: the first one that a call raised, or what `check` raised.
        """
        return self._lookups.ask(calls, check)

    def missing_blobs(self, destination: Destination, blobs: Iterable[Descriptor]) -> frozenset[Digest]:
        """Those of `blobs` that a destination lacks, in as few questions as it allows.

        Raises:
            RetryLater, NeedsHuman: whatever the destination raises.
        """
        return self._lookups.missing_blobs(destination, blobs)

    def bring(
        self,
        source: Source,
        destination: Destination,
        blobs: Iterable[Descriptor],
        tell: Tell,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[Brought]:
        """Move blobs; each one that has arrived is yielded.

        Raises:
            Cancelled: `is_cancelled` said so.
            RetryLater, NeedsHuman: the first failure; what only this call wanted is stopped then.
        """
        wanted = {blob.digest: blob for blob in blobs}
        waiting = {digest: self._join(source, destination, blob, tell) for digest, blob in wanted.items()}
        try:
            while waiting:
                arrived = self._wait(waiting, is_cancelled)
                flight, is_own = waiting.pop(arrived)
                if flight.error is None:
                    yield Brought(flight.blob, _how(flight, is_own=is_own))
                elif not flight.blob.is_distributable and _is_missing(flight.error):
                    # Its registry need not have it, and where its `urls` lead is not for us to go.
                    yield Brought(flight.blob, "left out")
                elif is_own:
                    raise flight.error
                else:
                    # Somebody else's failure, by somebody else's rights: it is tried with ours.
                    waiting[arrived] = self._join(source, destination, flight.blob, tell)
        finally:
            with self._lock:
                for flight, _ in waiting.values():
                    flight.wanted_by -= 1

    def _join(self, source: Source, destination: Destination, blob: Descriptor, tell: Tell) -> tuple[_Flight, bool]:
        with self._lock:
            flight = self._flights.get((destination.repository, blob.digest))
            if flight is not None and flight.wanted_by:
                flight.wanted_by += 1
                return flight, False
            flight = _Flight(source, destination, blob)
            if self.presence.holds(*flight.key):
                # It has come since it was looked for: somebody else's copy brought it.
                flight.done.set()
                return flight, False
            self._flights[flight.key] = flight
        self._movers.start(lambda: self._fly(flight, tell))
        return flight, True

    @staticmethod
    def _wait(waiting: dict[Digest, tuple[_Flight, bool]], is_cancelled: Callable[[], bool]) -> Digest:
        while True:
            for digest, (flight, _) in waiting.items():
                if flight.done.is_set():
                    return digest
            if is_cancelled():
                raise Cancelled(
                    Reason.PENDING, "the copy was asked to stop; what has arrived stays and is not sent again"
                )
            next(iter(waiting.values()))[0].done.wait(_LOOK_EVERY)

    def _fly(self, flight: _Flight, tell: Tell) -> None:
        with self._lock:
            self._moving += 1
        try:
            with self.spans.span("blob", digest=flight.blob.digest, bytes=flight.blob.size):
                self._move(flight, tell)
            self.presence.add(flight.destination.repository, [flight.blob.digest])
        except BaseException as error:  # noqa: BLE001 - it is raised for everybody who waits
            flight.error = error
        finally:
            with self._lock:
                self._moving -= 1
                if self._flights.get(flight.key) is flight:
                    del self._flights[flight.key]
            flight.done.set()

    def _move(self, flight: _Flight, tell: Tell) -> None:
        """Upload a blob; an upload that breaks begins again, if the blob has not arrived all the same."""
        backoff = Backoff(self.limits.restarts)
        while True:
            try:
                return self._attempt(flight, tell)
            except RetryLater as error:
                tell(flight.blob, -flight.bytes_sent)
                flight.bytes_sent = 0
                if not _may_restart(flight, error) or not backoff.rest(error.after, flight.is_unwanted):
                    raise
            if self._has_arrived(flight):
                return tell(flight.blob, flight.blob.size)

    def _attempt(self, flight: _Flight, tell: Tell) -> None:
        allowance = self._budget.admit(flight.blob.size, flight.is_unwanted)
        if allowance is None:
            raise Cancelled(Reason.PENDING, f"nobody waits for blob {flight.blob.digest} any more")
        joining = Joining(self._readers.start, self._may_join, self._leave, lambda: self._moved, self._may_read_ahead())
        reader = flight.source.read_blob(flight.blob)
        flow = Flow(flight.blob, reader, allowance, joining, flight.is_unwanted)
        try:
            with doing(Side.DESTINATION, "push blob"), closing(self._counted(flow, flight, tell)) as chunks:
                flight.is_mounted = flight.destination.push_blob(flight.blob, chunks, _mount(flight))
        finally:
            flight.takes_ranges = reader.takes_ranges
            flow.end()
            allowance.end()

    def _counted(self, flow: Flow, flight: _Flight, tell: Tell) -> Generator[Chunk, None, None]:
        with closing(flow.chunks()) as chunks:
            for chunk in chunks:
                yield chunk
                count = len(chunk)
                flight.bytes_sent += count
                self._moved += count  # a few bytes lost between two threads do not matter: it is only a rate
                tell(flight.blob, count)

    @staticmethod
    def _has_arrived(flight: _Flight) -> bool:
        try:
            with doing(Side.DESTINATION, "look up"):
                return not flight.destination.missing_blobs([flight.blob])
        except RetryLater:
            return False  # it is in trouble: the next upload finds out how much

    def _may_read_ahead(self) -> bool:
        """While there are processors to spare, one thread reads a blob and another one hashes and sends it."""
        with self._lock:
            return self._moving <= _PROCESSORS

    def _may_join(self, readers: int) -> bool:
        with self._lock:
            fair = 1 + self.limits.ranges // max(1, self._moving)
            if self._moving >= _MANY or self._joined >= self.limits.ranges or readers >= fair:
                return False
            self._joined += 1
            return True

    def _leave(self) -> None:
        with self._lock:
            self._joined -= 1


def _may_restart(flight: _Flight, error: RetryLater) -> bool:
    """Whether an upload is worth another attempt; reading has tried by itself, if it could go on at all."""
    if error.reason is Reason.CONTENT_MISMATCH:
        return False
    return error.side is not Side.SOURCE or not flight.takes_ranges


def _mount(flight: _Flight) -> Repository | None:
    """The source repository, when the destination's registry can take the blob from there by itself."""
    here, there = flight.source.repository, flight.destination.repository
    return here if here.registry == there.registry and here != there else None


def _is_missing(error: BaseException) -> bool:
    return isinstance(error, NeedsHuman) and error.reason is Reason.SOURCE_MISSING


def _how(flight: _Flight, *, is_own: bool) -> str:
    if not is_own:
        return "shared"
    return "mounted" if flight.is_mounted else "copied"
