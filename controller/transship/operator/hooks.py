"""Reconciling hook Jobs: the Jobs that never run, whose controller this operator is (design §5.1).

What API validation demands of the writer of a Job's status is in control-plane.md §4k: Complete needs start and
completion time and SuccessCriteriaMet, Failed needs a start time and FailureTarget; a finished Job stays finished.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog

from transship.operator.known import Known
from transship.operator.ports import Cluster, Metrics
from transship.operator.queue import WorkQueue
from transship.promotion.request import PromotionRequest, RequestKey, request_for, request_name, superseded
from transship.promotion.status import Phase, format_time
from transship.promotion.workload import Workload, WorkloadKey

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
    ) -> None:
        self._known = known
        self._cluster = cluster
        self._metrics = metrics
        self._clock = clock
        self._history_limit = history_limit
        self._promote = promote

    def reconcile(self, key: WorkloadKey, queue: WorkQueue[WorkloadKey]) -> None:
        """Take a hook as far as its request is; the end of the request wakes it again."""
        hook = self._known.workload(key)
        queue.forget(key)
        if hook is None or not hook.is_hook or not hook.needs_images:
            self._known.stop_waiting(key)
            return
        request_key = RequestKey(key.namespace, request_name(key, hook.images))
        self._known.wait_for(request_key, key)
        request = self._ensure(hook, request_key)
        if request is None:
            queue.retry(key)
            return
        status = self._job_status(hook, request)
        self._metrics.reconciled("Hook", request.status.phase)
        if status is None:
            return
        self._cluster.write_job_status(key, hook.uid, status)
        if "Promoting" not in {each["type"] for each in status["conditions"]}:
            self._known.stop_waiting(key)
            _log.info("hook ended", hook=str(key), request=str(request_key), phase=request.status.phase.value)

    def _ensure(self, hook: Workload, key: RequestKey) -> PromotionRequest | None:
        request = self._known.request(key)
        if request is None:
            found = self._cluster.create_request(request_for(hook, hook.images)) or self._cluster.request(key)
            if found is None:
                return None
            request, _ = self._known.see_request(found)
            _log.info("request made", request=str(key), hook=str(hook.key), images=len(hook.images))
            self._promote(key)
            self._prune(hook.key, key.name)
        elif _has_verdict(request) and not _speaks_of(request, hook):
            # A verdict from before the hook was made is another sync's: look again, from the beginning.
            self._known.ask(key, hook.created_at)
            self._promote(key)
        return request

    def _prune(self, key: WorkloadKey, current: str) -> None:
        for old in superseded(self._known.requests_of(key), current, self._history_limit):
            self._cluster.delete_request(old.key, old.uid)

    def _job_status(self, hook: Workload, request: PromotionRequest) -> dict[str, Any] | None:
        now, started = format_time(self._clock()), format_time(hook.created_at)
        phase = request.status.phase if _speaks_of(request, hook) else Phase.PENDING
        ready = request.status.ready
        told = {
            "status": "True",
            "reason": ready.reason if ready else "Pending",
            "message": f"{ready.message if ready else 'waiting'} (PromotionRequest {request.key.name})",
            "lastProbeTime": now,
            "lastTransitionTime": now,
        }
        match phase:
            case Phase.PROMOTED:
                ended = [{"type": "SuccessCriteriaMet"} | told, {"type": "Complete"} | told]
                return {"startTime": started, "completionTime": now, "conditions": ended}
            case Phase.STALLED:
                ended = [{"type": "FailureTarget"} | told, {"type": "Failed"} | told]
                return {"startTime": started, "conditions": ended}
            case _:
                return {"startTime": started, "conditions": [{"type": "Promoting"} | told]}


def _has_verdict(request: PromotionRequest) -> bool:
    status = request.status
    return status.observed_generation == request.generation and status.finished_at is not None


def _speaks_of(request: PromotionRequest, hook: Workload) -> bool:
    """Whether the request's verdict was found after the hook was made."""
    checked_at = request.status.checked_at
    return _has_verdict(request) and checked_at is not None and checked_at >= hook.created_at
