"""The rules reviews go by: policies and namespaces, read every few seconds and kept.

A list every few seconds, and no watch: there are few policies, only labelled namespaces are kept, and a rule that is
seconds old lets a pod start as it would have without us.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from transship.admission.ports import Destinations, Rules
from transship.admission.repeating import Repeating
from transship.errors import TransshipError
from transship.promotion.admission import ENABLED, NAMESPACE_LABEL
from transship.promotion.policy import Namespace, PolicyError, PromotionPolicy, parse_policy

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """Policies that can be used, and namespaces whose pods may wait, at one moment."""

    policies: tuple[PromotionPolicy, ...] = ()
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)


class RuleBook:
    """Keeps the picture up to date in a thread of its own.

    Args:
        rules: where it is read.
        destinations: asked for tokens beforehand: a first one takes longer than a review may.
        interval: seconds between two looks.
    """

    def __init__(self, rules: Rules, destinations: Destinations, interval: float) -> None:
        self._rules = rules
        self._destinations = destinations
        self._picture: Picture | None = None
        self._told: dict[str, str] = {}
        self._reading = Repeating("rules", "rules cannot be read", self._read, interval)
        self._warming = Repeating("tokens", "tokens cannot be asked for", self._warm, interval)

    def start(self) -> None:
        """Begin to look."""
        self._reading.start()
        self._warming.start()

    def stop(self) -> None:
        """Look no more."""
        self._reading.stop()
        self._warming.stop()

    @property
    def is_alive(self) -> bool:
        """The thread is there to look."""
        return self._reading.is_alive

    @property
    def picture(self) -> Picture | None:
        """What was read last; None before the first time."""
        return self._picture

    def find_namespace(self, name: str) -> Namespace | None:
        """Ask for a namespace whose pods may wait, which may have been made a second ago.

        Raises:
            NeedsHuman, RetryLater: of the API server.
        """
        return _enabled(self._rules.namespaces(name)).get(name)

    def _read(self) -> None:
        # What was known stays in force when this fails.
        namespaces = _enabled(self._rules.namespaces())
        policies = []
        for resource in self._rules.policies():
            try:
                policies.append(parse_policy(resource))
            except PolicyError:
                continue  # the operator says so, in the policy's status
        self._picture = Picture(tuple(policies), namespaces)

    def _warm(self) -> None:
        picture = self._picture or Picture()
        for policy in picture.policies:
            if not any(policy.namespaces.selects(each) for each in picture.namespaces.values()):
                continue
            trouble = self._authorize(policy)
            if trouble and self._told.get(policy.name) != trouble:
                _log.warning("no token for a destination: its pods are not held", policy=policy.name, note=trouble)
            self._told[policy.name] = trouble

    def _authorize(self, policy: PromotionPolicy) -> str:
        try:
            self._destinations.authorize(policy, policy.destination)
        except TransshipError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - a token for later is never worth a thread
            return type(error).__name__
        return ""


def _enabled(resources: Iterable[Mapping[str, Any]]) -> dict[str, Namespace]:
    found = {}
    for resource in resources:
        metadata = resource["metadata"]
        labels = dict(metadata.get("labels") or {})
        if labels.get(NAMESPACE_LABEL) == ENABLED:
            name = metadata["name"]
            found[name] = Namespace(name, labels)
    return found
