"""What the webhook needs of the world outside; adapters fill it, the composition root joins them."""

from collections.abc import Mapping
from typing import Any, Protocol

from transship.oci.reference import Repository
from transship.oci.store import Resolver
from transship.promotion.policy import Endpoint, PromotionPolicy


class Rules(Protocol):
    """Reads what reviews are decided by."""

    def policies(self) -> list[dict[str, Any]]:
        """All PromotionPolicies."""

    def namespaces(self, name: str | None = None) -> list[dict[str, Any]]:
        """All namespaces, or the one of that name if it exists."""


class Destinations(Protocol):
    """Opens the destination repositories of policies, as those policies' identities."""

    def destination(self, policy: PromotionPolicy, repository: Repository) -> Resolver:
        """A destination repository, for looking."""

    def authorize(self, policy: PromotionPolicy, endpoint: Endpoint) -> None:
        """Get a token for one side of a policy, so that the first look need not.

        Raises:
            NeedsHuman, RetryLater: there is none to be had.
        """


class CertificateStore(Protocol):
    """Keeps the certificate for all replicas, and tells the API server whom to trust."""

    def secret(self) -> dict[str, Any] | None:
        """The Secret that holds the certificate; None when there is none."""

    def write_secret(self, secret: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create it, or replace it when it carries a resourceVersion; None when somebody was faster."""

    def trust(self, bundle: bytes) -> bool:
        """Have the webhook configuration trust these authorities; False when there is no configuration."""


class Metrics(Protocol):
    """Counts reviews."""

    def reviewed(self, result: str) -> None:
        """A pod was looked at."""
