"""Reconciling PromotionPolicies: tell their author whether they can be used."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog

from transship.errors import Reason
from transship.operator.known import Known
from transship.operator.ports import Cluster, Metrics
from transship.operator.queue import WorkQueue
from transship.promotion.policy import PolicyError, PromotionPolicy
from transship.promotion.status import format_time

_log = structlog.get_logger(__name__)
_MAX_MESSAGE = 1024


class PolicyReconciler:
    """Writes the conditions of policies: valid, and alone in what they cover."""

    def __init__(self, *, known: Known, cluster: Cluster, metrics: Metrics, clock: Callable[[], datetime]) -> None:
        self._known = known
        self._cluster = cluster
        self._metrics = metrics
        self._clock = clock
        self._told: dict[str, tuple[str, int, str, str]] = {}

    def reconcile(self, name: str, queue: WorkQueue[str]) -> None:
        """Judge one policy."""
        found = self._known.policy(name)
        if found is None:
            self._told.pop(name, None)
            queue.forget(name)
            return
        uid, generation, policy = found
        reason, message = self._judge(policy)
        story = (uid, generation, reason, message)
        self._metrics.reconciled("PromotionPolicy", reason)
        if self._told.get(name) != story:
            self._cluster.write_policy_status(name, uid, self._status(generation, reason, message))
            self._told[name] = story
            _log.info("policy judged", policy=name, reason=reason, note=message)
        queue.forget(name)

    def _judge(self, policy: PromotionPolicy | PolicyError) -> tuple[str, str]:
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
        return "Valid", f"promotes {policy.source.registry} -> {policy.destination.registry}"

    def _status(self, generation: int, reason: str, message: str) -> dict[str, Any]:
        is_valid = reason == "Valid"
        shared = {
            "reason": reason,
            "message": message[:_MAX_MESSAGE],
            "observedGeneration": generation,
            "lastTransitionTime": format_time(self._clock()),
        }
        return {
            "observedGeneration": generation,
            "conditions": [
                {"type": "Ready", "status": str(is_valid)} | shared,
                {"type": "Stalled", "status": str(not is_valid)} | shared,
            ],
        }
