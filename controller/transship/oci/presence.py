"""What destinations are known to hold: content seen or written a short while ago need not be asked for again.

It saves requests and decides nothing else: a registry that refuses a manifest because something below it is gone makes
all that was known of that repository forgotten, and the next attempt asks.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from transship.oci.digest import Digest
from transship.oci.reference import Repository

MAX_KNOWN = 100_000
"""Digests remembered; each takes some 300 bytes."""
SECONDS = 60.0
"""How long a registry is trusted to keep what it had: long enough for a wave of promotions that share their layers."""


class Presence:
    """Blobs that repositories hold. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[Repository, Digest], float] = OrderedDict()

    def add(self, repository: Repository, digests: Iterable[Digest]) -> None:
        """A repository was seen to hold these."""
        now = self._clock()
        with self._lock:
            for digest in digests:
                self._known[repository, digest] = now
                self._known.move_to_end((repository, digest))
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)

    def unknown(self, repository: Repository, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Those of `digests` that have to be asked for."""
        oldest = self._clock() - SECONDS
        with self._lock:
            return frozenset(each for each in digests if self._known.get((repository, each), oldest) <= oldest)

    def holds(self, repository: Repository, digest: Digest) -> bool:
        """Whether a repository was seen to hold something, however long ago that was."""
        with self._lock:
            return (repository, digest) in self._known

    def now(self) -> float:
        """The time that `lost` is to be told, in seconds."""
        return self._clock()

    def lost(self, repository: Repository, digests: Iterable[Digest], asked_at: float) -> None:
        """A repository did not hold these when it was asked; what was brought since then is there all the same."""
        with self._lock:
            for key in [(repository, digest) for digest in digests]:
                if self._known.get(key, asked_at) < asked_at:
                    del self._known[key]

    def forget(self, repository: Repository) -> None:
        """A repository does not hold what it was thought to hold."""
        with self._lock:
            for key in [key for key in self._known if key[0] == repository]:
                del self._known[key]
