"""Rate limits: a token bucket per (account, Region, action), shared by both faces (Q1, Q2, facts §3).

Off unless the configuration has a ``limits`` section. A bucket holds one second's worth of requests; how large ECR's
own bursts are is not published [I].
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ecr_twin.errors import Refusal

#: Requests per second [D:service-quotas]. Actions without a published rate have none here either.
PUBLISHED: Mapping[str, float] = {
    "GetAuthorizationToken": 500,
    "BatchGetImage": 2000,
    "GetDownloadUrlForLayer": 3000,
    "BatchCheckLayerAvailability": 1000,
    "InitiateLayerUpload": 100,
    "UploadLayerPart": 500,
    "CompleteLayerUpload": 100,
    "PutImage": 10,
}
#: The troubleshooting page's bucket for GetAuthorizationToken: its size and its rate [D:common-errors], facts §3, [?].
SMALL_TOKEN_BUCKET = (200, 20)
#: Name under which the blob host's requests are limited (Q3); S3's own rate is far beyond one machine.
BLOB_HOST = "GetObject"


@dataclass(frozen=True, slots=True)
class Limits:
    """The rates in force.

    Attributes:
        rates: requests per second by action; empty when limits are off.
        bursts: how many requests a full bucket holds, where that is not one second's worth.
        scale: factor on the published rates.
        given: actions whose rate the configuration names, whatever is published.
    """

    rates: Mapping[str, float]
    bursts: Mapping[str, float] = field(default_factory=dict)
    scale: float = 1
    given: frozenset[str] = frozenset()

    def under(self, token_bucket: str) -> "Limits":
        """The same limits with one of the two answers about GetAuthorizationToken ([?])."""
        action = "GetAuthorizationToken"
        if not self.rates or action in self.given:
            return self
        size, rate = SMALL_TOKEN_BUCKET
        if token_bucket == "small":  # noqa: S105 - the name of a rate
            return replace(self, rates={**self.rates, action: rate * self.scale}, bursts={action: size})
        return replace(self, rates={**self.rates, action: PUBLISHED[action] * self.scale}, bursts={})


OFF = Limits({})


class Buckets:
    """The token buckets of all accounts."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._levels: dict[tuple[str, str, str], tuple[float, float]] = {}

    def take(self, account: str, region: str, action: str, now: float) -> None:
        """Take one token.

        Raises:
            Refusal: ThrottlingException when the bucket is empty (facts §4).
        """
        rate = self._limits.rates.get(action)
        if rate is None:
            return
        size = self._limits.bursts.get(action, max(rate, 1.0))
        level, since = self._levels.get((account, region, action), (size, now))
        level = min(size, level + (now - since) * rate)
        if level < 1:
            self._levels[account, region, action] = (level, now)
            raise Refusal("ThrottlingException", "Rate exceeded")
        self._levels[account, region, action] = (level - 1, now)
