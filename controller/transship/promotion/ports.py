"""What promoting needs of the world outside."""

from typing import Protocol

from transship.oci.reference import Repository
from transship.oci.store import Destination, Source
from transship.promotion.policy import PromotionPolicy


class Registries(Protocol):
    """Gives access to the repositories of a policy's two registries, with that policy's identities and no other."""

    def prepare_source(self, policy: PromotionPolicy, repository: Repository) -> None:
        """See to it that the source repository can be read, as far as the policy leaves that to us.

        Called before the first read; costs nothing when it was seen to a short while ago.

        Raises:
            NeedsHuman: it cannot be done until somebody changes something.
            RetryLater: it was done and does not count yet, or cannot be done now.
        """

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
