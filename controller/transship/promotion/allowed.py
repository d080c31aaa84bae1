"""What PromotionPolicies allow, one line each, for people who look and do not decide.

As in `overview`, the resources may come from anybody's file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from transship.promotion.overview import text_of
from transship.promotion.policy import Endpoint, NamespaceSelector, PolicyError, PromotionPolicy, parse_policy

_MAX_POLICIES = 500


@dataclass(frozen=True, slots=True)
class Allowed:
    """One policy: from where to where, for whom.

    Attributes:
        ready: of its Ready condition: True, False, Unknown, or empty when no operator has looked at it.
        message: of that condition, or what is wrong with the policy.
    """

    name: str
    source: str = ""
    destination: str = ""
    namespaces: str = ""
    repositories: str = ""
    ready: str = ""
    reason: str = ""
    message: str = ""

    @property
    def is_unusable(self) -> bool:
        """Nothing can be promoted by it."""
        return self.ready == "False"


def allowed(policies: Iterable[Mapping[str, Any]]) -> list[Allowed]:
    """The policies that can be read: those that cannot be used first, then by name; at most 500."""
    found = [each for resource in policies if (each := _allowed(resource)) is not None]
    return sorted(found, key=lambda each: (not each.is_unusable, each.name))[:_MAX_POLICIES]


def _allowed(resource: Mapping[str, Any]) -> Allowed | None:
    try:
        ready, reason, message = _ready(resource)
        try:
            policy = parse_policy(resource)
        except PolicyError as error:
            return Allowed(text_of(resource["metadata"]["name"]), ready="False", message=text_of(str(error)))
        return _line(policy, ready, reason, message)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _line(policy: PromotionPolicy, ready: str, reason: str, message: str) -> Allowed:
    return Allowed(
        name=text_of(policy.name),
        source=_place(policy.source),
        destination=_place(policy.destination),
        namespaces=_whom(policy.namespaces),
        repositories=text_of(", ".join(each.pattern for each in policy.repositories)),
        ready=ready,
        reason=reason,
        message=message,
    )


def _ready(resource: Mapping[str, Any]) -> tuple[str, str, str]:
    for each in (resource.get("status") or {}).get("conditions") or []:
        if each["type"] == "Ready":
            return text_of(each["status"]), text_of(each["reason"]), text_of(each["message"])
    return "", "", ""


def _place(endpoint: Endpoint) -> str:
    return text_of(f"{endpoint.registry.host}/{endpoint.repository_prefix}".rstrip("/"))


def _whom(selector: NamespaceSelector) -> str:
    labels = (f"{name}={value}" for name, value in sorted(selector.match_labels.items()))
    return text_of(", ".join([*sorted(selector.names), *labels]))
