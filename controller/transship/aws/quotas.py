"""ECR's rate quotas, kept by ourselves so that ECR does not have to (ecr.md §3).

Theory of operation. Every account has, in every Region, a rate for each API action, whoever calls and however: the
distribution API draws from the same rates (§2). A `Bucket` hands out moments at which a call may go: a few at once,
then one every 1/rate seconds, in the order in which they were asked for. When a call is throttled all the same (others
use the account, too), the rate is cut and nobody goes before Retry-After is over; moments given out before that are
void and asked for again. The rate then grows back linearly. `Quotas` has the buckets of the process.

Pure but for `Quotas.take`, which waits: the clock and the sleeping are arguments.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from transship.errors import Reason, RetryLater

PUBLISHED: Mapping[str, float] = {
    "GetAuthorizationToken": 20.0,  # the smaller of the two figures that AWS publishes
    "BatchGetImage": 2000.0,
    "GetDownloadUrlForLayer": 3000.0,
    "BatchCheckLayerAvailability": 1000.0,
    "InitiateLayerUpload": 100.0,
    "UploadLayerPart": 500.0,
    "CompleteLayerUpload": 100.0,
    "PutImage": 10.0,
}
"""Calls a second for an account in a Region (ecr.md §3); all of them can be raised by AWS."""
UNPUBLISHED = 10.0
"""For actions whose rate AWS does not publish and that write."""
UNPUBLISHED_READS: Mapping[str, float] = {
    "ListImageReferrers": 1000.0,  # as the smallest of its kind, one question about one image; it is asked for each
    "DescribeImages": 100.0,
    "ListImages": 100.0,
    "DescribeRepositories": 100.0,
}
"""For those that read: so much that asking does not hold back writing.

Should it be too much somewhere, the first throttled answer cuts it.
"""
SHARE = 0.97
"""The part of a rate that is used by default, because clocks and networks are not exact."""

_DEFAULTS = {**UNPUBLISHED_READS, **PUBLISHED}
_BURST_SECONDS = 0.1
_CUT = 0.5
_LEAST_SHARE = 0.02
_RECOVERY_SECONDS = 30.0
_PAUSE_SECONDS = 1.0
MAX_WAIT_SECONDS = 60.0
"""Whoever would wait longer is told to come again later, so that a worker is not lost meanwhile."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Calls a second by action.

    Attributes:
        scale: factor on every published rate.
        exact: rates of single actions, taken as they are.
    """

    scale: float = SHARE
    exact: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Rates":
        """Read a setting such as `scale=0.5,PutImage=8`; empty means the defaults.

        Raises:
            ValueError: an unknown action, or a rate that is not a positive number.
        """
        exact: dict[str, float] = {}
        for part in filter(None, (each.strip() for each in text.split(","))):
            name, _, number = part.partition("=")
            exact[name.strip()] = _positive(part, number)
        scale = exact.pop("scale", SHARE)
        if unknown := sorted(exact.keys() - PUBLISHED.keys()):
            raise ValueError(f"{unknown[0]!r} is not one of {', '.join(PUBLISHED)} or scale")
        return cls(scale, exact)

    def of(self, action: str) -> float:
        """Calls a second of an action."""
        return self.exact.get(action) or _DEFAULTS.get(action, UNPUBLISHED) * self.scale


def _positive(part: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"{part!r} is not of the form NAME=RATE with a positive number")
    return value


class Bucket:
    """The moments of one action in one account and Region. Not thread-safe; times are seconds of one clock."""

    def __init__(self, rate: float) -> None:
        self.full_rate = rate
        self.changes = 0
        """How often moments given out earlier became void."""
        self._next = 0.0
        self._rate_then = rate
        self._cut_at = float("-inf")
        self._paused_until = 0.0

    def rate(self, now: float) -> float:
        """Calls a second at this time: what is left after the last cut, and what has grown back since."""
        grown = self.full_rate * max(0.0, now - self._cut_at) / _RECOVERY_SECONDS
        return min(self.full_rate, self._rate_then + grown)

    def peek(self, now: float) -> float:
        """The moment at which the next call might go."""
        return max(now, self._next)

    def reserve(self, now: float) -> float:
        """The moment at which the next call may go; it is taken."""
        rate = self.rate(now)
        burst = max(1.0, rate * _BURST_SECONDS)
        moment = self.peek(now)
        self._next = max(self._next, now - (burst - 1.0) / rate) + 1.0 / rate
        return moment

    def throttled(self, now: float, sent_at: float, retry_after: float | None) -> None:
        """A call that was sent at `sent_at` has been throttled.

        Calls that were under way when the rate was cut say nothing new about it; their Retry-After counts.
        """
        if sent_at > self._cut_at:
            self._rate_then = max(self.full_rate * _LEAST_SHARE, self.rate(now) * _CUT)
            self._cut_at = now
            self._pause(now + (_PAUSE_SECONDS if retry_after is None else retry_after))
        elif retry_after is not None and now + retry_after > self._paused_until:
            self._pause(now + retry_after)

    def _pause(self, until: float) -> None:
        self._next = self._paused_until = max(until, self._paused_until)
        self.changes += 1


@dataclass(frozen=True, slots=True)
class Place:
    """Whose quota it is."""

    account: str
    region: str
    action: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A call that may go now, and how long it waited for that."""

    place: Place
    at: float
    waited: float


class Quotas:
    """All buckets of the process. Thread-safe.

    Args:
        rates: calls a second.
        clock: a clock that never goes back, in seconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        rates: Rates | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rates = rates or Rates()
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._buckets: dict[Place, Bucket] = {}

    def take(self, place: Place) -> Turn:
        """Wait for one's turn.

        Raises:
            RetryLater: Throttled, when it is more than MAX_WAIT_SECONDS away.
        """
        asked_at = self._clock()
        while True:
            moment, changes = self._reserve(place)
            while (left := moment - self._clock()) > 0:
                self._sleep(left)
            with self._lock:
                if self._buckets[place].changes == changes:
                    now = self._clock()
                    return Turn(place, now, max(0.0, now - asked_at))

    def _reserve(self, place: Place) -> tuple[float, int]:
        with self._lock:
            bucket = self._buckets.setdefault(place, Bucket(self._rates.of(place.action)))
            now = self._clock()
            left = bucket.peek(now) - now
            if left > MAX_WAIT_SECONDS:
                raise RetryLater(
                    Reason.THROTTLED,
                    f"the quota of {place.action} in account {place.account or 'of the caller'} and Region "
                    f"{place.region} is used up for {left:.0f} s",
                    after=left,
                )
            return bucket.reserve(now), bucket.changes

    def throttled(self, turn: Turn, retry_after: float | None) -> None:
        """A call that took this turn was throttled; Retry-After in seconds, when there was one."""
        with self._lock:
            self._buckets[turn.place].throttled(self._clock(), turn.at, retry_after)
