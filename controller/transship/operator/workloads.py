"""Reconciling workloads: see to it that a PromotionRequest exists when an image they need is missing.

A workload that no policy covers costs no call. One whose images are all at the destination costs one look-up an image
and gets no request.
"""

import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from transship.errors import NeedsHuman, Reason, RetryLater
from transship.oci.reference import Reference
from transship.operator.known import Known
from transship.operator.orders import Orders
from transship.operator.picture import Picture
from transship.operator.ports import Cluster, Metrics
from transship.operator.queue import WorkQueue
from transship.promotion.policy import Namespace, PromotionPolicy, covering
from transship.promotion.ports import Registries
from transship.promotion.request import (
    RequestKey,
)
from transship.promotion.status import Phase
from transship.promotion.workload import ContainerImage, Workload, WorkloadKey, parse_workload

_log = structlog.get_logger(__name__)


def covered_images(
    workload: Workload, policies: Sequence[PromotionPolicy], namespace: Namespace
) -> tuple[ContainerImage, ...]:
    """Those images of a workload that a watching policy speaks about.

    An image string that does not parse counts when it begins with the registry of a policy the namespace may use: its
    author meant it, and has to be told.
    """
    watching = [each for each in policies if each.watch_workloads and each.namespaces.selects(namespace)]
    return tuple(each for each in workload.images if _is_covered(each.image, watching, namespace))


def _is_covered(image: str, watching: Sequence[PromotionPolicy], namespace: Namespace) -> bool:
    try:
        return bool(covering(watching, namespace, Reference.parse(image)))
    except ValueError:
        return any(image.startswith(f"{policy.destination.registry}/") for policy in watching)


class _Presence:
    """What the destinations hold, remembered for a short while: many workloads run the same image."""

    _SECONDS = 30.0

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._seen: dict[tuple[str, Reference], float] = {}

    def holds(self, policy: PromotionPolicy, reference: Reference) -> bool:
        """Whether the destination holds what the reference names."""
        now = time.monotonic()
        if self._seen.get((policy.name, reference), 0.0) > now:
            return True
        store = self._registries.destination(policy, reference.repository)
        if store.resolve(reference.target) is None:
            return False
        self._seen = {key: until for key, until in self._seen.copy().items() if until > now}
        self._seen[policy.name, reference] = now + self._SECONDS
        return True


class WorkloadReconciler:
    """Judges workloads.

    Args:
        known: what the watches told.
        picture: policies and namespaces, fetched when the watches are late.
        cluster: where requests are made.
        registries: to look whether an image is at the destination.
        metrics: counts.
        clock: the time.
        resync: seconds after which a covered workload's images are looked for again.
        history_limit: requests kept for one workload.
        promote: called with a request that is to be looked at now.
    """

    def __init__(  # noqa: PLR0913 - the composition root names each of them
        self,
        *,
        known: Known,
        picture: Picture,
        cluster: Cluster,
        registries: Registries,
        metrics: Metrics,
        clock: Callable[[], datetime],
        resync: float,
        history_limit: int,
        promote: Callable[[RequestKey], None],
    ) -> None:
        self._known = known
        self._picture = picture
        self._cluster = cluster
        self._presence = _Presence(registries)
        self._metrics = metrics
        self._clock = clock
        self._resync = resync
        self._told: dict[WorkloadKey, Reason] = {}
        self._orders = Orders(known, cluster, history_limit, promote)
        self._promote = promote

    def reconcile(self, key: WorkloadKey, queue: WorkQueue[WorkloadKey]) -> None:
        """Judge a workload and set when to judge it again."""
        try:
            again = self._judge(key)
        except RetryLater as error:
            self._tell_once(key, error)
            raise
        self._told.pop(key, None)
        if again:
            queue.add(key, random.uniform(0.8, 1.2) * self._resync)
        queue.forget(key)

    def _tell_once(self, key: WorkloadKey, error: RetryLater) -> None:
        """Say on the workload why nothing happens to it; each try would only say it again."""
        workload = self._known.workload(key)
        if workload is None or self._told.get(key) == error.reason:
            return
        self._told[key] = error.reason
        note = f"whether its images are at the destination is not known yet: {error}"
        self._cluster.emit_event(workload.regarding, warning=True, reason=error.reason, note=note, now=self._clock())

    def _judge(self, key: WorkloadKey) -> bool:
        """Judge a workload; whether it has images that somebody may take away again."""
        workload = self._known.workload(key)
        if workload is None or not workload.needs_images or workload.is_hook:
            return False
        images = self._covered(workload)
        if not images:
            self._metrics.reconciled(key.kind, "not covered")
            return False
        if all(self._is_at_destination(each.image, key.namespace) for each in images):
            self._metrics.reconciled(key.kind, "present")
        else:
            self._metrics.reconciled(key.kind, "missing")
            self._request(workload)
        return True

    def _covered(self, workload: Workload) -> tuple[ContainerImage, ...]:
        return covered_images(workload, self._known.policies(), self._picture.namespace(workload.key.namespace))

    def _is_at_destination(self, image: str, namespace: str) -> bool:
        try:
            reference = Reference.parse(image)
            policy = covering(self._known.policies(), self._picture.namespace(namespace), reference)[0]
            return self._presence.holds(policy, reference)
        except (ValueError, IndexError, NeedsHuman):
            return False  # the request will say what is wrong

    def _request(self, known: Workload) -> None:
        # The picture may be late: what is asked for must be what the workload says now.
        key = known.key
        resource = self._cluster.workload(key)
        if resource is None:
            self._known.forget_workload(key, known.uid)
            return
        workload = parse_workload(resource)
        images = self._covered(workload)
        if not images:
            return
        try:
            request = self._orders.place(workload, images)
        except NeedsHuman as error:
            # No request can be made of it, so the workload itself has to tell.
            _log.warning("workload refused", workload=str(key), reason=error.reason, note=error.message)
            self._cluster.emit_event(
                workload.regarding, warning=True, reason=error.reason, note=error.message, now=self._clock()
            )
            return
        if request is not None and request.status.phase is Phase.PROMOTED:
            # It was there and is not any more: promote it again. What is stalled or retrying is being looked after.
            self._known.ask(request.key, f"{workload.uid} at {time.monotonic_ns()}")
            self._promote(request.key)
