"""Reconciling PromotionRequests: run the promoter, write what came of it once, tell it once."""

import random
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from transship.operator.known import Known
from transship.operator.picture import Picture
from transship.operator.ports import Cluster, Metrics
from transship.operator.queue import WorkQueue
from transship.promotion.promoter import Occasion, Promoter
from transship.promotion.report import Result
from transship.promotion.request import API_VERSION, KIND, PromotionRequest, RequestKey
from transship.promotion.status import Phase, RequestStatus, to_resource
from transship.promotion.workload import WorkloadKey

_API_VERSIONS = {"Job": "batch/v1", "CronJob": "batch/v1"}
_log = structlog.get_logger(__name__)


class RequestReconciler:
    """Takes requests as far as they go.

    Args:
        known: what the watches told.
        picture: policies and namespaces, fetched when the watches are late.
        cluster: where status and events are written.
        promoter: decides and copies.
        metrics: counts.
        clock: the time.
        stalled_recheck: seconds after which a stalled request is looked at again, since what it lacks may have come.
        is_stopping: the process is about to end; copies stop.
        wake: called with the hooks that wait for a request when its status changed.
    """

    def __init__(  # noqa: PLR0913 - the composition root names each of them
        self,
        *,
        known: Known,
        picture: Picture,
        cluster: Cluster,
        promoter: Promoter,
        metrics: Metrics,
        clock: Callable[[], datetime],
        stalled_recheck: float,
        is_stopping: Callable[[], bool],
        wake: Callable[[WorkloadKey], None],
    ) -> None:
        self._known = known
        self._picture = picture
        self._cluster = cluster
        self._promoter = promoter
        self._metrics = metrics
        self._clock = clock
        self._stalled_recheck = stalled_recheck
        self._is_stopping = is_stopping
        self._wake = wake

    def reconcile(self, key: RequestKey, queue: WorkQueue[RequestKey]) -> None:
        """Look at a request and set when to look again."""
        request = self._known.request(key)
        if request is None:
            queue.forget(key)
            return
        asking = self._known.asking(key)
        occasion = self._occasion(request, is_asked=bool(asking))
        result = self._promoter.reconcile(request, occasion, self._publisher(request))
        if result is None:
            queue.forget(key)
            self._wake_hooks(key)
            return
        if occasion.is_cancelled():
            return
        self._tell_unexpected(request, result)
        if result.status.finished_at is not None:
            self._known.answer(key, asking)
        self._write(request, result.status)
        self._tell(request, result.status)
        self._look_again(key, result, queue)

    def _occasion(self, request: PromotionRequest, *, is_asked: bool) -> Occasion:
        policies, namespace = self._picture.rules_for(request.containers, request.key.namespace)
        return Occasion(
            policies=policies,
            namespace=namespace,
            is_asked=is_asked,
            is_cancelled=lambda: self._is_stopping() or not self._known.is_current(request),
        )

    def _publisher(self, request: PromotionRequest) -> Callable[[RequestStatus], None]:
        """Writes what is known during a promotion, and tells of its start once."""
        is_begun = request.status.phase in {Phase.PROMOTING, Phase.RETRYING}

        def publish(status: RequestStatus) -> None:
            nonlocal is_begun
            self._write(request, status)
            if not is_begun:
                is_begun = True
                self._emit(request, status, warning=False)

        return publish

    def _write(self, request: PromotionRequest, status: RequestStatus) -> None:
        written = self._cluster.write_request_status(request.key, request.uid, to_resource(status))
        if written is not None:
            self._known.see_request(written)
            self._wake_hooks(request.key)
            return
        # An answer that came after the news of its deletion may have brought it back: what is gone is gone.
        gone = self._known.forget_request(request.key, request.uid)
        self._wake_hooks(request.key)
        if gone is not None and gone.owner is not None:
            self._wake(gone.owner)

    def _tell_unexpected(self, request: PromotionRequest, result: Result) -> None:
        for error in result.unexpected:
            _log.error("promotion met an unexpected error", request=str(request.key), exc_info=error)

    def _tell(self, request: PromotionRequest, status: RequestStatus) -> None:
        ready, before = status.ready, request.status.ready
        reason = ready.reason if ready else ""
        self._metrics.reconciled(KIND, status.phase)
        if before is not None and (request.status.phase, before.reason) == (status.phase, reason):
            return
        self._metrics.transitioned(status.phase, reason)
        if status.finished_at is not None and status.started_at is not None:
            self._metrics.promotion_ended(status.phase, (status.finished_at - status.started_at).total_seconds())
            for image in status.images:
                self._metrics.image_ended(status.policy or "none", image.outcome or "Pending", image.bytes_copied or 0)
        _log.info(
            "request transitioned",
            request=str(request.key),
            phase=status.phase.value,
            reason=reason,
            summary=status.summary,
            bytes=status.bytes,
            note=ready.message if ready else "",
        )
        self._emit(request, status, warning=status.phase in {Phase.STALLED, Phase.RETRYING})

    def _emit(self, request: PromotionRequest, status: RequestStatus, *, warning: bool) -> None:
        ready = status.ready
        if ready is None:
            return
        for regarding in _regarding(request):
            self._cluster.emit_event(
                regarding, warning=warning, reason=ready.reason, note=ready.message, now=self._clock()
            )

    def _wake_hooks(self, key: RequestKey) -> None:
        for hook in self._known.hooks_waiting_for(key):
            self._wake(hook)

    def _look_again(self, key: RequestKey, result: Result, queue: WorkQueue[RequestKey]) -> None:
        if result.is_waiting:
            queue.retry(key, result.not_before)
            return
        queue.forget(key)
        if result.status.phase is Phase.STALLED:
            queue.add(key, max(result.not_before, random.uniform(0.8, 1.2) * self._stalled_recheck))


def _regarding(request: PromotionRequest) -> list[Mapping[str, str]]:
    """The objects a person would describe: the request, and who asked for it."""
    key = request.key
    regarding = [_object(API_VERSION, KIND, key.namespace, key.name, request.uid)]
    owner = request.owner
    if owner is not None and request.is_ours:
        api_version = _API_VERSIONS.get(owner.kind, "apps/v1")
        regarding.append(_object(api_version, owner.kind, owner.namespace, owner.name, request.owner_uid))
    return regarding


def _object(api_version: str, kind: str, namespace: str, name: str, uid: str) -> Mapping[str, str]:
    return {"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name, "uid": uid}
