"""Tokens: what an ECR registry accepts as Basic credentials (ecr.md §2 rows 1 to 3, §5).

One token belongs to an identity and a Region and is good for every registry the identity may reach there, for twelve
hours. It is renewed at half-life, and at once when a registry refuses it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from transship.aws.failures import aws_errors
from transship.aws.hosts import EcrHost
from transship.aws.identity import Clients, Identity
from transship.errors import NeedsHuman, Reason, RetryLater, TransshipError
from transship.oci.reference import Registry


@dataclass(frozen=True, slots=True)
class Token:
    """A header and how long it is good for; printing it does not show the header."""

    header: str = field(repr=False)
    issued: datetime
    expires: datetime

    def is_past_half_life(self, now: datetime) -> bool:
        """Whether it should be renewed."""
        return now >= self.issued + (self.expires - self.issued) / 2


class Tokens:
    """The token of one identity in one Region. Thread-safe: many may ask, one fetches.

    Has the shape of the registry client's port for credentials.

    Args:
        host: a registry in the Region and partition the token is for.
        fetch: gets a new token.
        clock: the time now, with a time zone.
        failed: told of each time that a token for a registry could not be had.
    """

    def __init__(
        self,
        host: EcrHost,
        fetch: Callable[[], Token],
        clock: Callable[[], datetime],
        failed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._host = host
        self._fetch = fetch
        self._failed = failed
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None

    def authorization(self, registry: Registry, scope: str) -> str | None:  # noqa: ARG002 - good for all of it
        """The Authorization header's value; None for a registry the token does not belong to.

        Raises:
            NeedsHuman, RetryLater: a token is needed and cannot be had.
        """
        host = EcrHost.of(registry)
        if host is None or (host.partition, host.region) != (self._host.partition, self._host.region):
            return None
        with self._lock:
            if self._token is None or self._token.is_past_half_life(self._clock()):
                self._token = self._renewed(self._token, registry)
            return self._token.header

    @property
    def current(self) -> Token | None:
        """The token there is now; None before the first one was asked for."""
        with self._lock:
            return self._token

    def renew(self, registry: Registry, scope: str, refused: str | None, challenge: str) -> None:  # noqa: ARG002 - ECR's challenge says nothing that is not known
        """Drop the token a registry refused, unless it has been renewed since.

        The next `authorization` fetches another one.
        """
        with self._lock:
            if self._token is not None and self._token.header == refused:
                self._token = None

    def _renewed(self, old: Token | None, registry: Registry) -> Token:
        try:
            return self._counted(registry)
        except RetryLater:
            # Half of its life is left, and AWS being away for a while is no reason to stop.
            if old is None or self._clock() >= old.expires:
                raise
            return old

    def _counted(self, registry: Registry) -> Token:
        try:
            return self._fetch()
        except TransshipError:
            self._failed(registry.host)
            raise


def fetcher(clients: Clients, identity: Identity, host: EcrHost, clock: Callable[[], datetime]) -> Callable[[], Token]:
    """How a token is fetched: GetAuthorizationToken, as an identity, in a registry's Region.

    The function raises `NeedsHuman` or `RetryLater` as `aws_errors` does.
    """

    def fetch() -> Token:
        who = identity.role_arn or "the controller's own identity"
        with aws_errors(f"get a registry token in {host.region} as {who}"):
            data = clients.ecr(identity, host).get_authorization_token()["authorizationData"]
        if not data:
            raise NeedsHuman(Reason.DENIED, f"AWS gave no registry token in {host.region} as {who}; check its rights")
        now = clock()
        with aws_errors(f"read the registry token of {who}"):
            header = f"Basic {data[0]['authorizationToken']}"
        return Token(header, now, data[0].get("expiresAt", now).astimezone(UTC))

    return fetch
