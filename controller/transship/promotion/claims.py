"""Claims: two requests, one destination tag (design §6).

The first that planned a tag holds it until it is done. Another request with the same digest waits for that, one with
another digest is a conflict and learns the name of the winner. Claims live as long as the process, which is the only
active one (lease): after a restart every request plans again and the order of planning decides again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from transship.errors import NeedsHuman, Reason, RetryLater, Side
from transship.oci.digest import Digest
from transship.oci.reference import Reference
from transship.promotion.request import RequestKey

_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Claim:
    digest: Digest
    holder: RequestKey


def place(destination: Reference) -> str:
    """What only one content can be at: a tag in its repository, or, without one, a digest."""
    return f"{destination.repository}:{destination.tag}" if destination.tag else str(destination)


class Claims:
    """Who is writing which destination reference at the moment. Thread-safe."""

    def __init__(self) -> None:
        self._held: dict[str, _Claim] = {}
        self._lock = Lock()

    @contextmanager
    def hold(self, destination: Reference, digest: Digest, holder: RequestKey) -> Iterator[None]:
        """Hold a destination tag (or, without one, a digest) while it is being written.

        Raises:
            RetryLater: another request is writing the same digest there; it will be there soon.
            NeedsHuman: another request is writing another digest there.
        """
        where = place(destination)
        claim = _Claim(digest, holder)
        self._take(where, claim)
        try:
            yield
        finally:
            with self._lock:
                del self._held[where]

    def _take(self, where: str, claim: _Claim) -> None:
        with self._lock:
            winner = self._held.setdefault(where, claim)
        if winner is claim:
            return
        if winner.digest == claim.digest:
            raise RetryLater(
                Reason.PROMOTING,
                f"PromotionRequest {winner.holder} is copying it already",
                side=Side.DESTINATION,
                step="claim",
                after=_WAIT_SECONDS,
            )
        raise NeedsHuman(
            Reason.TAG_CONFLICT,
            f"PromotionRequest {winner.holder} is promoting {winner.digest} to {where}, "
            f"this one wants {claim.digest} there; let one of them name another tag",
            side=Side.DESTINATION,
            step="claim",
        )
