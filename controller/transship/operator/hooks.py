"""Reconciling hook Jobs: the Jobs that never run, whose controller this operator is (design §5.1).

What API validation demands of the writer of a Job's status is in docs/facts/kubernetes.md §1: Complete needs start and
completion time and SuccessCriteriaMet, Failed needs a start time and FailureTarget; a finished Job stays finished.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog

from transship.errors import NeedsHuman, Reason
from transship.operator.known import Known
from transship.operator.orders import Orders
from transship.operator.ports import Cluster, Metrics
from transship.operator.queue import WorkQueue
from transship.promotion.request import (
    PromotionRequest,
    RequestKey,
    options_of,
    request_name,
    require_images,
)
from transship.promotion.status import Phase, format_time
from transship.promotion.workload import Workload, WorkloadKey

_WAITING = "Promoting"
_log = structlog.get_logger(__name__)


class HookReconciler:
    """Makes requests for hook Jobs, and writes the Jobs' status.

    Args:
        known: what the watches told.
        cluster: where requests are made and the status is written.
        metrics: counts.
        clock: the time.
        history_limit: requests kept for one hook.
        promote: called with a request that is to be looked at now.
        admit: called with a request before a hook is told that it is promoted: what comes next must be let in.
    """

    def __init__(  # noqa: PLR0913 - the composition root names each of them
        self,
        *,
        known: Known,
        cluster: Cluster,
        metrics: Metrics,
        clock: Callable[[], datetime],
        history_limit: int,
        promote: Callable[[RequestKey], None],
        admit: Callable[[PromotionRequest], None],
    ) -> None:
        self._known = known
        self._cluster = cluster
        self._metrics = metrics
        self._clock = clock
        self._orders = Orders(known, cluster, history_limit, promote)
        self._promote = promote
        self._admit = admit

    def reconcile(self, key: WorkloadKey, queue: WorkQueue[WorkloadKey]) -> None:
        """Take a hook as far as its request is; the end of the request wakes it again."""
        hook = self._known.workload(key)
        if hook is None or not hook.is_hook or not hook.needs_images:
            self._known.stop_waiting(key)
            queue.forget(key)
            return
        request_key = RequestKey(key.namespace, request_name(key, hook.images, options_of(hook)))
        self._known.wait_for(request_key, key)
        try:
            request = self._ensure(hook, request_key)
            is_answered = self._known.is_answered(request_key, hook.uid)
            # Read after that: whatever is the verdict now is at least as new as the answer.
            request = self._known.request(request_key) or request
            if request is not None:
                require_images(request, hook.images)
        except NeedsHuman as error:
            self._refuse(hook, error)
            queue.forget(key)
            return
        if request is None:
            queue.retry(key)
            return
        has_verdict = is_answered and request.status.observed_generation == request.generation
        phase = request.status.phase if has_verdict and request.status.finished_at is not None else Phase.PENDING
        if phase is Phase.PROMOTED:
            self._admit(request)
        status = self._job_status(hook, request, phase)
        self._metrics.reconciled("Hook", request.status.phase)
        self._cluster.write_job_status(key, hook.uid, status)
        queue.forget(key)
        if _WAITING not in {each["type"] for each in status["conditions"]}:
            self._known.stop_waiting(key)
            told = {"request": str(request_key), "request_uid": request.uid}
            _log.info("hook ended", hook=str(key), **told, phase=request.status.phase.value)

    def _refuse(self, hook: Workload, error: NeedsHuman) -> None:
        """No request can be made of this hook: whoever wrote it has to be told by the Job itself."""
        _log.warning("hook refused", hook=str(hook.key), reason=error.reason, note=error.message)
        self._known.stop_waiting(hook.key)
        now = self._clock()
        # The Job may be gone in a moment, and there is no request that could keep the reason.
        self._cluster.emit_event(hook.regarding, warning=True, reason=error.reason, note=error.message, now=now)
        self._cluster.write_job_status(hook.key, hook.uid, _failed(hook, now, error.reason, error.message))

    def _ensure(self, hook: Workload, key: RequestKey) -> PromotionRequest | None:
        # A verdict from before this hook asked is another sync's: it is looked again, from the beginning.
        is_news = self._known.ask(key, hook.uid)
        found = self._known.request(key)
        request = found or self._orders.place(hook, hook.images)
        if request is None:
            return None
        if is_news and (found is not None or request.status.observed_generation):
            # Also one without a status: the look that is under way, as after a start, may have begun before we asked.
            self._promote(key)
        return request

    def _job_status(self, hook: Workload, request: PromotionRequest, phase: Phase) -> dict[str, Any]:
        now = self._clock()
        ready = request.status.ready
        reason = ready.reason if ready else Reason.PENDING
        message = f"{ready.message if ready else 'waiting'} (PromotionRequest {request.key.name})"
        match phase:
            case Phase.PROMOTED:
                ended = _conditions(("SuccessCriteriaMet", "Complete"), now, reason, message)
                # Start and end are told by two clocks, and validation refuses an end before the start.
                end = max(now, hook.created_at)
                times = {"startTime": format_time(hook.created_at), "completionTime": format_time(end)}
                return times | {"conditions": ended}
            case Phase.STALLED:
                return _failed(hook, now, reason, message)
            case _:
                waiting = _conditions((_WAITING,), now, reason, message)
                return {"startTime": format_time(hook.created_at), "conditions": waiting}


def _failed(hook: Workload, now: datetime, reason: str, message: str) -> dict[str, Any]:
    ended = _conditions(("FailureTarget", "Failed"), now, reason, message)
    return {"startTime": format_time(hook.created_at), "conditions": ended}


def _conditions(types: tuple[str, ...], now: datetime, reason: str, message: str) -> list[dict[str, str]]:
    told = {"status": "True", "reason": reason, "message": message}
    times = {"lastProbeTime": format_time(now), "lastTransitionTime": format_time(now)}
    return [{"type": each} | told | times for each in types]
