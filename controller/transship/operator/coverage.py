"""What a hook does not cover: images of its application that it does not name, and syncs that did not wait.

Argo CD waits for a hook, and a hook promotes what it names. Somebody adds a container and forgets the hook, or Argo CD
has no health check for PromotionRequests: then the gate is open, and both have to be told, on the workload and on the
request that was to be the gate.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from threading import Lock

from transship.errors import Reason
from transship.operator.known import Known
from transship.operator.ports import Cluster, Metrics
from transship.promotion.conditions import Finding
from transship.promotion.request import PromotionRequest, RequestKey
from transship.promotion.status import Phase
from transship.promotion.workload import ContainerImage, Workload, WorkloadKey

_TOLD_AT_MOST = 3
_ROLLOUT = timedelta(minutes=10)
"""For so long after a hook's end workloads may still name what the hook before it named."""
_COVERED = Finding(Reason.UNCOVERED, is_so=False, message="the hook names every image of the application")


class Coverage:
    """Compares workloads with the gates of their application.

    Args:
        known: what the watches told; what is found is kept there until it is written.
        cluster: where events are told.
        metrics: counts.
        clock: the time.
        promote: called with a request whose status has to say something new.
    """

    def __init__(
        self,
        known: Known,
        cluster: Cluster,
        metrics: Metrics,
        clock: Callable[[], datetime],
        promote: Callable[[RequestKey], None],
    ) -> None:
        self._known = known
        self._cluster = cluster
        self._metrics = metrics
        self._clock = clock
        self._promote = promote
        self._lock = Lock()
        self._uncovered: dict[str, dict[WorkloadKey, tuple[ContainerImage, ...]]] = {}

    def compare(self, workload: Workload, images: Sequence[ContainerImage]) -> None:
        """See that the gates of a workload's application name its images; tell, when they do not."""
        application = workload.origin.application
        gates = self._known.gates_of(application, workload.key.namespace) if application else []
        if not gates:
            self.forget(workload.key)
            return
        named = {each.image for gate in self._in_force(gates) for each in gate.containers}
        unnamed = tuple(each for each in images if each.image not in named)
        if self._remember(application, workload.key, unnamed) and unnamed:
            names = ", ".join(f"{each.name} ({each.image})" for each in unnamed[:_TOLD_AT_MOST])
            self._cluster.emit_event(
                workload.regarding,
                warning=True,
                reason=Reason.UNCOVERED,
                note=f"the hook of application {application} does not name the image of {names}, so a sync does not "
                "wait for it; add the container to the hook",
                now=self._clock(),
            )
            self._metrics.uncovered()
        self._tell_gates(application, workload.key.namespace)

    def forget(self, key: WorkloadKey) -> None:
        """A workload is gone, or runs nothing any more that a policy covers, or its application has no hook."""
        with self._lock:
            applications = [name for name, workloads in self._uncovered.items() if key in workloads]
        for application in applications:
            self._remember(application, key, ())
            self._tell_gates(application, key.namespace)

    def _in_force(self, gates: Sequence[PromotionRequest]) -> Sequence[PromotionRequest]:
        """Those that say what the application runs now, or is about to run, or ran until a rollout that goes on."""
        newest = max(gates, key=_made)
        now = self._clock()
        promoted = sorted((each for each in gates if each.status.phase is Phase.PROMOTED), key=_checked, reverse=True)
        chosen = [newest]
        for hook in {each.owner for each in gates}:
            mine = [each for each in promoted if each.owner == hook]
            chosen += mine[:1]
            if len(mine) > 1 and now - _checked(mine[0]) < _ROLLOUT:
                chosen.append(mine[1])
        return chosen

    def _tell_gates(self, application: str, namespace: str) -> None:
        """Say what is left out on the newest gate, and take it back on the others."""
        gates = sorted(self._known.gates_of(application, namespace), key=_made)
        for gate in gates[:-1]:
            self._find(gate, _COVERED)
        if gates:
            self._find(gates[-1], self._finding(application, namespace))

    def not_waited_for(self, workload: Workload, missing: Sequence[ContainerImage]) -> None:
        """Images are missing that a workload names already: see whether a request was to be promoted before it."""
        application = workload.origin.application
        for gate in self._known.gates_of(application, workload.key.namespace) if application else []:
            if gate.is_ours or gate.status.finished_at is not None or gate.is_suspended:
                continue
            early = {each.image for each in missing} & {each.image for each in gate.containers}
            if early:
                self.gate_not_enforced(
                    gate,
                    f"{workload.key} names {min(early)} already, though this request has not promoted it yet; see that "
                    "argocd-cm has the health check of manifests/argocd, and that the sync did not skip this request",
                )

    def let_go(self, key: RequestKey) -> None:
        """Argo CD took its finalizer from a hook that has not ended; unless it is being deleted, nobody waited."""
        request = self._known.request(key)
        if request is not None and request.origin.is_let_go:
            self.gate_not_enforced(
                request,
                "Argo CD went on before this hook was Ready or Stalled: argocd-cm lacks the health check for "
                "PromotionRequests, so nothing waits for them; apply manifests/argocd",
            )

    def gate_not_enforced(self, request: PromotionRequest, message: str) -> None:
        """Tell that Argo CD did not wait for a request."""
        if not self._find(request, Finding(Reason.GATE_NOT_ENFORCED, is_so=True, message=message)):
            return
        self._metrics.gate_not_enforced()
        self._cluster.emit_event(
            request.regarding, warning=True, reason=Reason.GATE_NOT_ENFORCED, note=message, now=self._clock()
        )

    def _remember(self, application: str, key: WorkloadKey, unnamed: tuple[ContainerImage, ...]) -> bool:
        with self._lock:
            workloads = self._uncovered.setdefault(application, {})
            is_news = workloads.get(key, ()) != unnamed
            if unnamed:
                workloads[key] = unnamed
            else:
                workloads.pop(key, None)
            if not workloads:
                del self._uncovered[application]
            return is_news

    def _finding(self, application: str, namespace: str) -> Finding:
        with self._lock:
            uncovered = sorted(self._uncovered.get(application, {}).items(), key=lambda item: str(item[0]))
        found = [
            f"{key} container {each.name} ({each.image})"
            for key, images in uncovered
            if key.namespace == namespace
            for each in images
        ]
        if not found:
            return _COVERED
        more = f" and {len(found) - _TOLD_AT_MOST} more" if len(found) > _TOLD_AT_MOST else ""
        return Finding(
            Reason.UNCOVERED,
            is_so=True,
            message=f"not named by the hook, so a sync does not wait for it: {'; '.join(found[:_TOLD_AT_MOST])}{more}; "
            "add what is missing to the hook's containers",
        )

    def _find(self, request: PromotionRequest, finding: Finding) -> bool:
        if not self._known.find(request.key, finding):
            return False
        self._promote(request.key)
        return True


def _made(request: PromotionRequest) -> tuple[datetime, str]:
    return request.created_at, request.key.name


def _checked(request: PromotionRequest) -> datetime:
    return request.status.checked_at or request.created_at
