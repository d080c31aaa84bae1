"""Reconciling PromotionPolicies: tell their author whether they can be used, and keep what they want of AWS.

The first is known at once, the second takes calls that may hang. So there are two queues: a slow one looks after AWS
and leaves what it found, and a fast one, with a single worker, is the only writer of the status.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

import structlog

from transship.errors import NeedsHuman, Reason
from transship.operator.known import Known
from transship.operator.ports import Cluster, Metrics
from transship.operator.queue import WorkQueue
from transship.promotion.image import find_route
from transship.promotion.policy import Namespace, PolicyError, PromotionPolicy
from transship.promotion.status import format_time
from transship.promotion.upkeep import Inspection, Standing, Upkeep

_log = structlog.get_logger(__name__)
_MAX_MESSAGE = 1024
_SOON = 10.0


@dataclass(slots=True)
class _Memory:
    """What was found and told of one policy.

    Attributes:
        looked_at: uid and generation of what `inspection` is about.
        inspection: what upkeep found last.
        told: what was last written.
        since: when each condition came to its status.
    """

    looked_at: tuple[str, int] | None = None
    inspection: Inspection = field(default_factory=Inspection)
    told: tuple[object, ...] = ()
    since: dict[str, tuple[str, str]] = field(default_factory=dict)


class PolicyReconciler:
    """Writes the status of policies: valid, alone in what they cover, and how AWS stands to them.

    Args:
        known: what the watches told.
        cluster: where the status is written.
        upkeep: looks after AWS.
        metrics: counts.
        clock: the time.
        resync: seconds after which AWS is looked at again.
        concerns: whether a policy is for a namespace that is watched; others are left to others.
    """

    def __init__(  # noqa: PLR0913 - the composition root names each of them
        self,
        *,
        known: Known,
        cluster: Cluster,
        upkeep: Upkeep,
        metrics: Metrics,
        clock: Callable[[], datetime],
        resync: float,
        concerns: Callable[[PromotionPolicy], bool] = lambda _: True,
    ) -> None:
        self._known = known
        self._cluster = cluster
        self._upkeep = upkeep
        self._metrics = metrics
        self._clock = clock
        self._resync = resync
        self._concerns = concerns
        self._lock = Lock()
        self._memory: dict[str, _Memory] = {}

    def reconcile(self, name: str, queue: WorkQueue[str], upkeep: WorkQueue[str]) -> None:
        """Judge one policy, and have AWS looked after when its spec is new."""
        found = self._known.policy(name)
        if found is None:
            with self._lock:
                self._memory.pop(name, None)
            self._upkeep.forget(name)
            queue.forget(name)
            return
        uid, generation, policy = found
        if isinstance(policy, PromotionPolicy) and not self._concerns(policy):
            queue.forget(name)
            return
        reason, message = self._judge(policy)
        self._metrics.reconciled("PromotionPolicy", reason)
        if isinstance(policy, PromotionPolicy):
            self._metrics.policy_known(name, [each.registry.host for each in (policy.source, policy.destination)])
        memory = self._remember(name)
        is_looked_at = memory.looked_at == (uid, generation)
        inspection = memory.inspection if is_looked_at else Inspection()
        story = (uid, generation, reason, message, inspection)
        if memory.told != story:
            status = self._status(memory, generation, (reason, message), inspection)
            self._cluster.write_policy_status(name, uid, status)
            memory.told = story
            _log.info("policy judged", policy=name, reason=reason, note=message)
        if not is_looked_at and isinstance(policy, PromotionPolicy):
            upkeep.add(name)
        queue.forget(name)

    def look_after(self, name: str, queue: WorkQueue[str], policies: WorkQueue[str]) -> None:
        """Have AWS be as one policy wants it, leave what was found, and set when to look again."""
        found = self._known.policy(name)
        if found is None:
            queue.forget(name)
            return
        uid, generation, policy = found
        if isinstance(policy, PolicyError) or not self._concerns(policy):
            queue.forget(name)
            return
        inspection = self._upkeep.look(policy, self._promoted(policy))
        memory = self._remember(name)
        before, memory.inspection = memory.inspection, inspection
        memory.looked_at = uid, generation
        for each in inspection.standings:
            self._metrics.reconciled(each.condition, each.reason)
            if each not in before.standings:
                told = {"condition": each.condition, "reason": each.reason, "note": each.message}
                _log.info("policy looked after", policy=name, **told)
        policies.add(name)
        queue.forget(name)
        if inspection.retry:
            queue.add(name, min(_SOON, self._resync))
            return
        queue.add(name, random.uniform(0.8, 1.2) * self._resync)

    def _remember(self, name: str) -> _Memory:
        with self._lock:
            return self._memory.setdefault(name, _Memory())

    def _promoted(self, policy: PromotionPolicy) -> Iterator[str]:
        """NAMEs of the repositories that requests want something promoted to; also those of before a restart."""
        for key in self._known.request_keys():
            request = self._known.request(key)
            namespace = self._known.namespace(key.namespace) or Namespace(key.namespace)
            for container in request.containers if request is not None else ():
                try:
                    way = find_route(container.image, [policy], namespace)
                except NeedsHuman:
                    continue
                yield policy.destination.name_of(way.destination.repository) or ""

    def _judge(self, policy: PromotionPolicy | PolicyError) -> tuple[Reason, str]:
        if isinstance(policy, PolicyError):
            return Reason.POLICY_INVALID, str(policy)
        namespaces = self._known.namespaces()
        for other in sorted(self._known.policies(), key=lambda each: each.name):
            pattern = policy.overlaps(other, namespaces) if other.name != policy.name else None
            if pattern is not None:
                return Reason.POLICY_AMBIGUOUS, (
                    f"PromotionPolicy {other.name} covers images of {pattern} in {policy.destination.registry} for a "
                    "namespace of this policy, too; what both cover is not copied until one of them is narrowed"
                )
        return Reason.VALID, f"promotes {policy.source.registry} -> {policy.destination.registry}"

    def _status(
        self, memory: _Memory, generation: int, verdict: tuple[Reason, str], inspection: Inspection
    ) -> dict[str, Any]:
        is_valid = verdict[0] is Reason.VALID
        standings = (
            Standing("Ready", str(is_valid), *verdict),
            Standing("Stalled", str(not is_valid), *verdict),
            *inspection.standings,
        )
        status: dict[str, Any] = {
            "observedGeneration": generation,
            "conditions": [self._condition(memory, generation, each) for each in standings],
        }
        return status | ({"identities": dict(inspection.identities)} if inspection.identities else {})

    def _condition(self, memory: _Memory, generation: int, standing: Standing) -> dict[str, Any]:
        status, since = memory.since.get(standing.condition, ("", ""))
        if status != standing.status:
            since = format_time(self._clock())
            memory.since[standing.condition] = standing.status, since
        return {
            "type": standing.condition,
            "status": standing.status,
            "reason": standing.reason,
            "message": standing.message[:_MAX_MESSAGE],
            "observedGeneration": generation,
            "lastTransitionTime": since,
        }
