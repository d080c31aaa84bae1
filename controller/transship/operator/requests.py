"""Reconciling PromotionRequests: run the promoter, write what came of it once, tell it once."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from transship.errors import NeedsHuman
from transship.oci.spans import UNTRACED, Span, Spans
from transship.operator.known import Known
from transship.operator.picture import Picture
from transship.operator.ports import Cluster, Metrics
from transship.operator.queue import WorkQueue
from transship.promotion import conditions
from transship.promotion.promoter import Occasion, Promoter, is_settled
from transship.promotion.report import Result
from transship.promotion.request import KIND, PromotionRequest, RequestKey
from transship.promotion.status import Phase, RequestStatus, to_resource
from transship.promotion.workload import WorkloadKey

_API_VERSIONS = {"Job": "batch/v1", "CronJob": "batch/v1", "Pod": "v1"}
_FIRST_RECHECK = 10.0
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
        stalled_recheck: seconds after which a stalled request is looked at again at the latest, since what it lacks may
            have come.
        is_stopping: the process is about to end; copies stop.
        wake: called with the hooks that wait for a request when its status changed.
        promoted: called with a request that has come to be promoted.
        admit: called with a request before its status is written: what it says is promoted must be let in.
        spans: hears of what takes time.
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
        promoted: Callable[[PromotionRequest], None],
        admit: Callable[[PromotionRequest], None],
        spans: Spans = UNTRACED,
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
        self._promoted = promoted
        self._admit = admit
        self._spans = spans

    def reconcile(self, key: RequestKey, queue: WorkQueue[RequestKey]) -> None:
        """Look at a request and set when to look again."""
        request = self._known.request(key)
        if request is None:
            queue.forget(key)
            return
        asking = self._known.asking(key)
        occasion = self._occasion(request, is_asked=bool(asking))
        if is_settled(request, occasion):
            queue.forget(key)
            self._write_findings(request)
            self._wake_hooks(key)
            return
        with self._spans.span("promote", **_facts(request)) as span:
            result = self._promoter.reconcile(request, occasion, self._publisher(request))
            if result is None or occasion.is_cancelled():
                span.fail("asked to stop")
                return
            _note(span, result)
            self._finish(request, result, asking, queue)

    def _finish(
        self, request: PromotionRequest, result: Result, asking: frozenset[str], queue: WorkQueue[RequestKey]
    ) -> None:
        """Write what came of a look, and tell whoever waits for it."""
        key = request.key
        self._tell_unexpected(request, result)
        regarding = self._regarding(request)  # a hook that hears of its end stops waiting
        if result.status.finished_at is not None:
            self._let_in(request, result.status)
        self._write(request, result.status)
        if result.status.finished_at is not None:
            # Only now: a hook that was answered before would take the verdict that was there before it asked.
            self._known.answer(key, asking)
            self._wake_hooks(key)
        self._count(request, result)
        self._tell(request, result.status, regarding)
        self._look_again(key, result, queue)

    def _let_in(self, request: PromotionRequest, status: RequestStatus) -> None:
        """Have what was promoted let in by the gate; while that cannot be, nobody is told that it was promoted."""
        try:
            self._admit(replace(request, status=status))
        except NeedsHuman as error:
            note = f"promoted, but the gate cannot be told: {error.message}"
            for regarding in self._regarding(request):
                self._cluster.emit_event(regarding, warning=True, reason=error.reason, note=note, now=self._clock())
            raise

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
                self._emit(self._regarding(request), status, warning=False)

        return publish

    def _write_findings(self, request: PromotionRequest) -> None:
        """Nothing is new about the images; something else may have been found."""
        if self._with_findings(request, request.status) != request.status:
            self._write(request, request.status)

    def _with_findings(self, request: PromotionRequest, status: RequestStatus) -> RequestStatus:
        found = self._known.findings(request.key)
        return conditions.with_findings(status, found, request.generation, self._clock())

    def _write(self, request: PromotionRequest, status: RequestStatus) -> None:
        content = to_resource(self._with_findings(request, status))
        written = self._cluster.write_request_status(request.key, request.uid, content)
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
            _log.error("promotion met an unexpected error", **_ids(request), exc_info=error)

    def _count(self, request: PromotionRequest, result: Result) -> None:
        """Count what is news: an end of this promotion, and of its images, once."""
        before, status = request.status, result.status
        self._metrics.reconciled(KIND, status.phase)
        is_same = before.started_at == status.started_at
        ended = {each.name: each.outcome for each in before.images if is_same}
        for image, policy in zip(status.images, result.policies, strict=False):
            if image.outcome is not None and ended.get(image.name) is not image.outcome:
                self._metrics.image_ended(policy or "none", image.outcome)
        reason = status.ready.reason if status.ready else ""
        if is_same and (before.phase, before.ready and before.ready.reason) == (status.phase, reason):
            return
        if status.phase is Phase.RETRYING:
            self._metrics.retried(reason)
        if status.finished_at is None or status.started_at is None:
            return
        seconds = (status.finished_at - status.started_at).total_seconds()
        if status.phase is Phase.PROMOTED:
            self._metrics.promoted(seconds)
        else:
            self._metrics.stalled(reason, seconds)

    def _tell(self, request: PromotionRequest, status: RequestStatus, regarding: Sequence[Mapping[str, str]]) -> None:
        ready, before = status.ready, request.status.ready
        reason = ready.reason if ready else ""
        if before is not None and (request.status.phase, before.reason) == (status.phase, reason):
            return
        _log.info(
            "request transitioned",
            **_ids(request),
            phase=status.phase.value,
            reason=reason,
            summary=status.summary,
            bytes=status.bytes,
            note=ready.message if ready else "",
        )
        self._emit(regarding, status, warning=status.phase in {Phase.STALLED, Phase.RETRYING})
        if status.phase is Phase.PROMOTED:
            self._promoted(self._known.request(request.key) or request)

    def _emit(self, regarding: Sequence[Mapping[str, str]], status: RequestStatus, *, warning: bool) -> None:
        ready = status.ready
        if ready is None:
            return
        for each in regarding:
            self._cluster.emit_event(each, warning=warning, reason=ready.reason, note=ready.message, now=self._clock())

    def _regarding(self, request: PromotionRequest) -> list[Mapping[str, str]]:
        """The objects a person would describe: the request, and whoever waits for it or asked for it first."""
        hooks = [self._known.workload(each) for each in self._known.hooks_waiting_for(request.key)]
        waiting = [hook.regarding for hook in hooks if hook is not None]
        return [request.regarding, *(waiting or _owner(request))]

    def _wake_hooks(self, key: RequestKey) -> None:
        for hook in self._known.hooks_waiting_for(key):
            self._wake(hook)

    def _look_again(self, key: RequestKey, result: Result, queue: WorkQueue[RequestKey]) -> None:
        if result.is_waiting:
            queue.retry(key, result.not_before)
            return
        queue.forget(key)
        if result.status.phase is Phase.STALLED:
            queue.add(key, max(result.not_before, random.uniform(0.8, 1.2) * self._recheck(result.status)))

    def _recheck(self, status: RequestStatus) -> float:
        """Soon at first: what was missing a moment ago is often on its way, and a sync may be tried again for it."""
        age = (self._clock() - status.started_at).total_seconds() if status.started_at is not None else 0.0
        return min(self._stalled_recheck, max(_FIRST_RECHECK, age / 2))


def _ids(request: PromotionRequest) -> Mapping[str, str]:
    return {"request": str(request.key), "request_uid": request.uid}


def _facts(request: PromotionRequest) -> Mapping[str, object]:
    owner = request.owner
    return {
        "request_uid": request.uid,
        "namespace": request.key.namespace,
        "name": request.key.name,
        "trigger_kind": owner.kind if owner is not None else "",
        "trigger_name": owner.name if owner is not None else "",
        "application": request.application,
    }


def _note(span: Span, result: Result) -> None:
    status = result.status
    reason, message = (status.ready.reason, status.ready.message) if status.ready else ("", "")
    span.note(policy=status.policy, phase=status.phase, reason=reason)
    if status.phase in {Phase.STALLED, Phase.RETRYING}:
        span.fail(message)


def _owner(request: PromotionRequest) -> list[Mapping[str, str]]:
    owner = request.owner
    if owner is None or not request.is_ours:
        return []
    return [
        {
            "apiVersion": _API_VERSIONS.get(owner.kind, "apps/v1"),
            "kind": owner.kind,
            "namespace": owner.namespace,
            "name": owner.name,
            "uid": request.owner_uid,
        }
    ]
