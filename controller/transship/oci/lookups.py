"""Questions: several at a time, and what two copies want to know at the same time asked once."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial

from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.presence import Presence
from transship.oci.reference import Repository
from transship.oci.store import Destination
from transship.oci.threads import Result, Threads


class Lookups:
    """Asks registries. Thread-safe.

    Args:
        limit: questions at once.
        presence: what is known without asking, and learns from every answer.
    """

    def __init__(self, limit: int, presence: Presence) -> None:
        self._threads = Threads(limit, "lookup")
        self._presence = presence
        self._lock = threading.Lock()
        self._asking: dict[tuple[Repository, Digest], Future[bool | None]] = {}

    def ask(self, calls: Iterable[Callable[[], Result]], check: Callable[[], None] | None = None) -> Sequence[Result]:
        """Make calls that each cost a request, several at a time; the results in their order.

        Args:
            calls: what to ask.
            check: raises when nobody waits for the answers any more, which does not wait for those under way.

        Raises:
            Exception: the first one that a call raised, or what `check` raised.
        """
        return self._threads.all(calls, check)

    def missing_blobs(self, destination: Destination, blobs: Iterable[Descriptor]) -> frozenset[Digest]:
        """Those of `blobs` that a destination lacks, in as few questions as it allows.

        Raises:
            RetryLater, NeedsHuman: whatever the destination raises.
        """
        repository = destination.repository
        wanted = {blob.digest: blob for blob in blobs}
        unknown = self._presence.unknown(repository, wanted)
        own, others = self._share(repository, [blob for digest, blob in wanted.items() if digest in unknown])
        gone = self._look_up(destination, own)
        # Who is asking already shares the answer; where there is none, his rights may not be ours.
        answers = {blob: _answer(being_asked) for blob, being_asked in others.items()}
        left = [blob for blob, answer in answers.items() if answer is None]
        gone |= {blob.digest for blob, answer in answers.items() if answer}
        return gone.union(*self.ask(self._questions(destination, left)))

    def _look_up(self, destination: Destination, blobs: Sequence[Descriptor]) -> frozenset[Digest]:
        """Ask for blobs, and tell those who wait for the answers."""
        gone: frozenset[Digest] | None = None
        asked_at = self._presence.now()
        try:
            gone = frozenset[Digest]().union(*self.ask(self._questions(destination, blobs)))
            self._presence.add(destination.repository, {blob.digest for blob in blobs} - gone)
            self._presence.lost(destination.repository, gone, asked_at)
            return gone
        finally:
            with self._lock:
                asking = [(blob, self._asking.pop((destination.repository, blob.digest))) for blob in blobs]
            for blob, being_asked in asking:
                being_asked.set_result(None if gone is None else blob.digest in gone)

    def _share(
        self, repository: Repository, blobs: Sequence[Descriptor]
    ) -> "tuple[list[Descriptor], dict[Descriptor, Future[bool | None]]]":
        """Which blobs to ask for, and of which others somebody is asking already."""
        with self._lock:
            found = {blob: self._asking.get((repository, blob.digest)) for blob in blobs}
            own = [blob for blob, being_asked in found.items() if being_asked is None]
            self._asking.update({(repository, blob.digest): Future() for blob in own})
        return own, {blob: being_asked for blob, being_asked in found.items() if being_asked is not None}

    @staticmethod
    def _questions(destination: Destination, blobs: Sequence[Descriptor]) -> Iterator[Callable[[], frozenset[Digest]]]:
        step = max(1, destination.targets_per_request)
        for start in range(0, len(blobs), step):
            yield partial(destination.missing_blobs, blobs[start : start + step])


def _answer(being_asked: "Future[bool | None]") -> bool | None:
    """Whether a blob is missing, by somebody else's question; None when that failed."""
    return being_asked.result()
