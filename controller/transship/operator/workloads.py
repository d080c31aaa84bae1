"""Reconciling workloads: see to it that a PromotionRequest exists when an image they need is missing.

A workload that no policy covers costs no call. One whose images are all at the destination costs one look-up an image
and gets no request.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import structlog

from transship.errors import NeedsHuman, Reason, RetryLater
from transship.oci.reference import Reference
from transship.operator.coverage import Coverage
from transship.operator.known import Known
from transship.operator.orders import Orders
from transship.operator.picture import Picture
from transship.operator.ports import Cluster, Metrics
from transship.operator.queue import WorkQueue
from transship.promotion.image import find_route
from transship.promotion.policy import Namespace, PromotionPolicy, covering
from transship.promotion.ports import Registries
from transship.promotion.request import (
    RequestKey,
)
from transship.promotion.status import Phase
from transship.promotion.workload import ContainerImage, Workload, WorkloadKey, parse_workload

_NOT_MANAGED = (
    "this hook has annotations for Transship but no spec.managedBy, so its pods are started instead of waiting for the "
    "promotion; write spec.managedBy: transship.dev/promotion, which Kubernetes keeps from 1.32 on"
)
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
        self._seen: dict[tuple[str, Reference], tuple[float, str]] = {}

    def digest(self, policy: PromotionPolicy, reference: Reference) -> str:
        """The digest of what the destination holds under a reference; empty when it holds nothing."""
        now = time.monotonic()
        until, digest = self._seen.get((policy.name, reference), (0.0, ""))
        if until > now:
            return digest
        found = self._registries.destination(policy, reference.repository).resolve(reference.target)
        if found is None:
            return ""
        self._seen = {key: seen for key, seen in self._seen.copy().items() if seen[0] > now}
        self._seen[policy.name, reference] = now + self._SECONDS, str(found.digest)
        return str(found.digest)


class WorkloadReconciler:
    """Judges workloads.

    Args:
        known: what the watches told.
        picture: policies and namespaces, fetched when the watches are late.
        cluster: where requests are made.
        registries: to look whether an image is at the destination.
        coverage: compares with what the application's hook names.
        metrics: counts.
        clock: the time.
        resync: seconds after which a covered workload's images are looked for again.
        history_limit: requests kept for one workload.
        promote: called with a request that is to be looked at now.
        judged: called with a workload and what is known of its images: their digests, empty for what is not there.
    """

    def __init__(  # noqa: PLR0913 - the composition root names each of them
        self,
        *,
        known: Known,
        picture: Picture,
        cluster: Cluster,
        registries: Registries,
        coverage: Coverage,
        metrics: Metrics,
        clock: Callable[[], datetime],
        resync: float,
        history_limit: int,
        promote: Callable[[RequestKey], None],
        judged: Callable[[Workload, Mapping[str, str]], None],
    ) -> None:
        self._known = known
        self._picture = picture
        self._cluster = cluster
        self._presence = _Presence(registries)
        self._coverage = coverage
        self._metrics = metrics
        self._clock = clock
        self._resync = resync
        self._told: dict[WorkloadKey, Reason] = {}
        self._orders = Orders(known, cluster, history_limit, promote)
        self._promote = promote
        self._judged = judged

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
        self._tell(workload, error.reason, f"whether its images are at the destination is not known yet: {error}")

    def _tell(self, workload: Workload, reason: Reason, note: str) -> None:
        self._cluster.emit_event(workload.regarding, warning=True, reason=reason, note=note, now=self._clock())

    def _judge(self, key: WorkloadKey) -> bool:
        """Judge a workload; whether it has images that somebody may take away again."""
        workload = self._known.workload(key)
        if workload is None or not workload.needs_images or workload.is_hook:
            self._coverage.forget(key)
            return False
        if workload.origin.is_hook and workload.origin.is_meant_for_us:
            self._tell(workload, Reason.MANAGED_BY_MISSING, _NOT_MANAGED)
        images = self._covered(workload)
        found = self._look(workload, images)
        if not images:
            self._coverage.forget(key)
            self._metrics.reconciled(key.kind, "not covered")
            return False
        if not workload.origin.is_hook:
            self._coverage.compare(workload, images)
        missing = [each for each in images if not found.get(each.image)]
        self._metrics.reconciled(key.kind, "missing" if missing else "present")
        if missing:
            self._coverage.not_waited_for(workload, missing)
            self._request(workload)
        return True

    def _covered(self, workload: Workload) -> tuple[ContainerImage, ...]:
        return covered_images(workload, self._known.policies(), self._picture.namespace(workload.key.namespace))

    def _look(self, workload: Workload, covered: Sequence[ContainerImage]) -> Mapping[str, str]:
        """The digests of a workload's images at the destination; empty for what is not there or not covered."""
        found = {each.image: "" for each in workload.images}
        for image in {each.image for each in covered}:
            try:
                way = find_route(image, self._known.policies(), self._picture.namespace(workload.key.namespace))
                found[image] = self._presence.digest(way.policy, way.destination)
            except NeedsHuman:
                del found[image]  # nothing is known of it, and the request will say what is wrong
        self._judged(workload, found)
        return found

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
            self._tell(workload, error.reason, error.message)
            return
        if request is not None and request.status.phase is Phase.PROMOTED:
            # It was there and is not any more: promote it again. What is stalled or retrying is being looked after.
            self._known.ask(request.key, f"{workload.uid} at {time.monotonic_ns()}")
            self._promote(request.key)
