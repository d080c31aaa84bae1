"""What promoting needs of the world outside."""

from typing import Protocol

from transship.oci.reference import Repository
from transship.oci.store import Destination, Source
from transship.promotion.policy import PromotionPolicy


class Registries(Protocol):
    """Gives access to the repositories of a policy's two registries, with that policy's identities and no other."""

    def source(self, policy: PromotionPolicy, repository: Repository) -> Source:
        """The source repository, for reading."""

    def destination(self, policy: PromotionPolicy, repository: Repository) -> Destination:
        """The destination repository, for reading and writing."""

    def ensure_repository(self, policy: PromotionPolicy, repository: Repository) -> None:
        """Make the destination repository exist when the policy says so and the registry needs it said.

        Raises:
            NeedsHuman: it does not exist and may not be created.
            RetryLater: the registry cannot answer now.
        """
