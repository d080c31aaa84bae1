"""What has to stay as a policy wants it, whether or not something is being promoted."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from transship.errors import Reason
from transship.promotion.policy import PromotionPolicy


@dataclass(frozen=True, slots=True)
class Standing:
    """How one thing stands, as a condition says it; it is True while it is as wanted."""

    condition: str
    status: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found when a policy was looked after.

    Attributes:
        standings: a condition each.
        identities: the ARN by which AWS knows the controller, by side; a side that could not be asked is absent.
        retry: something may heal by itself soon.
    """

    standings: tuple[Standing, ...] = ()
    identities: Mapping[str, str] = field(default_factory=dict)
    retry: bool = False


class Upkeep(Protocol):
    """Looks after what policies want of AWS."""

    def look(self, policy: PromotionPolicy, promoted: Iterable[str]) -> Inspection:
        """Compare what is there with what the policy wants, and mend what the policy lets be mended.

        Args:
            policy: a valid policy.
            promoted: NAMEs of the repositories that something was promoted to.

        Never raises for what AWS does: that ends in the inspection.
        """

    def forget(self, policy_name: str) -> None:
        """A policy is gone, or wants nothing any more: it no longer stands in the way of others."""

    def tell(self, differs: Callable[[str], None]) -> None:
        """Call `differs` with the name of a policy when promoting has found or done something that it should tell."""
