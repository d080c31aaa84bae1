"""The life of the process: wait to be the active one, watch, work, and stop cleanly.

Theory of operation. A replica starts as a standby: it serves its probes and waits for the Lease. Once active it reads
policies and namespaces (nothing is judged before they are known), starts the workers and then the watches, whose first
lists put everything there is on the queues; that is how work left by a killed predecessor is found. It ends by a signal
(exit 0), or because it may no longer be the active one or its watches ended (exit 1, and the kubelet starts it anew).
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from transship.oci.copier import Copier, Limits
from transship.oci.spans import UNTRACED, Spans
from transship.operator.coverage import Coverage
from transship.operator.events import Events, Pulse, Queues
from transship.operator.gated import POD, SWEEP, GatedReconciler, PodEvents, SchedulingGates, Waiting
from transship.operator.health import HealthServer
from transship.operator.hooks import HookReconciler
from transship.operator.known import Known
from transship.operator.leader import Leader
from transship.operator.picture import Picture
from transship.operator.pods import PodRecreator
from transship.operator.policies import PolicyReconciler
from transship.operator.ports import Cluster, Metrics
from transship.operator.promoted import Gate
from transship.operator.queue import WorkQueue
from transship.operator.reach import Access, Reach
from transship.operator.requests import RequestReconciler
from transship.operator.watches import Watches
from transship.operator.workloads import WorkloadReconciler
from transship.promotion import rights
from transship.promotion.policy import PromotionPolicy
from transship.promotion.ports import Registries
from transship.promotion.promoter import Promoter, Step
from transship.promotion.report import Job
from transship.promotion.request import RequestKey
from transship.promotion.upkeep import Upkeep
from transship.promotion.workload import WorkloadKey

_MAX_SILENCE = 90.0
_UPKEEP_WORKERS = 2
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How the operator behaves; see `settings.Settings` for what each means. Times are in seconds."""

    namespace: str
    namespaces: tuple[str, ...]
    lease_name: str
    lease_seconds: float
    identity: str
    promotion_workers: int
    image_workers: int
    event_workers: int
    resync: float
    stalled_recheck: float
    gate: bool
    gate_grace: float
    admission: bool
    history_limit: int
    health_host: str
    health_port: int
    shutdown_grace: float
    copying: Limits = field(default_factory=Limits)


class Operator:
    """One replica of the operator.

    Args:
        options: how it behaves.
        cluster: the API server.
        registries: the registries, with the identities of each policy.
        upkeep: what policies want of AWS, beside images.
        metrics: counts.
        access: knows our own rights.
        scheduling_gates: of pods that the admission webhook holds; None when there is no such webhook.
        spans: hears of what takes time.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the composition root names each of them
        self,
        options: Options,
        cluster: Cluster,
        registries: Registries,
        upkeep: Upkeep,
        metrics: Metrics,
        access: Access,
        scheduling_gates: SchedulingGates | None = None,
        spans: Spans = UNTRACED,
    ) -> None:
        self._options = options
        self._metrics = metrics
        self._stopping = threading.Event()
        self._failed = False
        self._leader = Leader(
            cluster,
            namespace=options.namespace,
            name=options.lease_name,
            identity=options.identity,
            seconds=options.lease_seconds,
        )
        self._pulse = Pulse()
        self._images = ThreadPoolExecutor(options.image_workers, thread_name_prefix="image")
        self._queues = self._make_queues()
        self._known = Known()
        self._spans = spans
        self._copier = Copier(options.copying, spans)
        self._gate = Gate(
            known=self._known,
            lists=cluster,
            metrics=metrics,
            is_on=options.gate,
            grace=options.gate_grace,
            resync=options.resync,
            now=time.monotonic,
            look=self._queues.promoted.add,
        )
        self._events = Events(self._known, self._queues, self._pulse, self._gate, metrics.heard)
        self._picture = Picture(self._known, cluster, self._events.policies_changed, self._events.namespace_changed)
        self._make_reconcilers(cluster, registries)
        self._waiting = Waiting()
        self._reach = self._make_reach(cluster, access) if options.namespaces else None
        seen = PodEvents(self._waiting, self._queues.workloads.add, metrics.heard)
        self._watches = Watches(
            events=self._events,
            pods=seen if scheduling_gates is not None else None,
            lease=(options.namespace, options.lease_name),
            reach=self._reach,
            stopping=self._stopping,
            failed=self._fail,
        )
        self._gated = self._make_gated(cluster, scheduling_gates) if scheduling_gates is not None else None
        self._policies = self._make_policies(cluster, upkeep)
        self._make_gauges()

    def stop(self) -> None:
        """Begin to stop; safe to call from a signal handler, and more than once."""
        self._stopping.set()

    def run(self) -> int:
        """Run until stopped; the exit status of the process."""
        with HealthServer(
            self._options.health_host, self._options.health_port, self._checks(), self._metrics
        ) as health:
            _log.info("operator started", identity=self._options.identity, health_port=health.port)
            if self._reach is not None:
                self._reach.look()
                threading.Thread(target=self._reach.run, args=(self._stopping,), name="reach", daemon=True).start()
            if self._leader.acquire(self._stopping):
                self._lead()
        self._spans.close()
        _log.info("operator stopped", failed=self._failed)
        return 1 if self._failed else 0

    def _lead(self) -> None:
        self._metrics.leads(True)
        keeper = threading.Thread(
            target=self._leader.keep, args=(self._stopping, self._fail), name="lease", daemon=True
        )
        keeper.start()
        try:
            self._picture.load()
            self._gate.all_changed()
            for queue in self._all_queues():
                queue.start()
            if self._gated is not None:
                self._queues.workloads.add(SWEEP)
            self._watches.start()
            self._leader.guard(self._stopping, self._fail)
        finally:
            self._stopping.set()
            self._shut_down(keeper)

    def _shut_down(self, keeper: threading.Thread) -> None:
        deadline = time.monotonic() + self._options.shutdown_grace

        def left() -> float:
            return max(0.0, deadline - time.monotonic())

        ended = [queue.stop(left()) for queue in self._all_queues()]
        self._watches.join(left)
        keeper.join(left())
        self._images.shutdown(wait=all(ended), cancel_futures=True)
        # Only a replica whose workers have all ended may let another one start before the Lease runs out.
        if all(ended):
            self._leader.release()
        self._metrics.leads(False)

    def _fail(self) -> None:
        self._failed = True
        self._stopping.set()

    def _make_queues(self) -> Queues:
        options = self._options
        return Queues(
            WorkQueue("workloads", self._judge_workload, options.event_workers),
            WorkQueue(
                "policies",
                lambda name: self._policies.reconcile(name, self._queues.policies, self._queues.upkeep),
                1,
            ),
            WorkQueue(
                "requests",
                lambda key: self._requests.reconcile(key, self._queues.requests),
                options.promotion_workers,
                self._about,
            ),
            WorkQueue(
                "upkeep",
                lambda name: self._policies.look_after(name, self._queues.upkeep, self._queues.policies),
                _UPKEEP_WORKERS,
            ),
            WorkQueue("gates", self._check_gate, 1, self._about),
            WorkQueue("pods", lambda key: self._pods.reconcile(key, self._queues.pods), 1, self._about),
            WorkQueue("promoted", lambda name: self._gate.reconcile(name, self._queues.promoted), 1),
        )

    def _all_queues(self) -> Sequence[WorkQueue[WorkloadKey] | WorkQueue[str] | WorkQueue[RequestKey]]:
        queues = self._queues
        quick = (queues.workloads, queues.policies, queues.requests)
        return (*quick, queues.upkeep, queues.gates, queues.pods, queues.promoted)

    def _about(self, key: RequestKey) -> Mapping[str, str]:
        request = self._known.request(key)
        return {"request": str(key)} | ({"request_uid": request.uid} if request is not None else {})

    def _check_gate(self, key: RequestKey) -> None:
        self._coverage.let_go(key)
        self._queues.gates.forget(key)

    def _judge_workload(self, key: WorkloadKey) -> None:
        if key.kind == POD and self._gated is not None:
            self._gated.reconcile(key, self._queues.workloads)
            return
        workload = self._known.workload(key)
        if workload is None:
            self._coverage.forget(key)
        reconciler = self._hooks if workload is None or workload.is_hook else self._workloads
        reconciler.reconcile(key, self._queues.workloads)

    def _make_reconcilers(self, cluster: Cluster, registries: Registries) -> None:
        options, known, metrics = self._options, self._known, self._metrics
        self._pods = PodRecreator(known, cluster, metrics, _now)
        self._coverage = Coverage(known, cluster, metrics, _now, self._queues.requests.add)
        self._requests = RequestReconciler(
            known=known,
            picture=self._picture,
            cluster=cluster,
            promoter=Promoter(registries, self._copier, _now, self._run_all, moved=metrics.moved),
            metrics=metrics,
            clock=_now,
            stalled_recheck=options.stalled_recheck,
            is_stopping=self._stopping.is_set,
            wake=self._queues.workloads.add,
            admit=self._gate.admit,
            promoted=lambda request: self._pods.promoted(request, self._queues.pods),
            spans=self._spans,
        )
        self._workloads = WorkloadReconciler(
            known=known,
            picture=self._picture,
            cluster=cluster,
            registries=registries,
            coverage=self._coverage,
            metrics=metrics,
            clock=_now,
            resync=options.resync,
            history_limit=options.history_limit,
            promote=self._queues.requests.add,
            judged=self._gate.judged,
        )
        self._hooks = HookReconciler(
            known=known,
            cluster=cluster,
            metrics=metrics,
            clock=_now,
            history_limit=options.history_limit,
            promote=self._queues.requests.add,
            admit=self._gate.admit,
        )

    def _make_gated(self, cluster: Cluster, gates: SchedulingGates) -> GatedReconciler:
        return GatedReconciler(
            waiting=self._waiting,
            gates=gates,
            known=self._known,
            picture=self._picture,
            cluster=cluster,
            metrics=self._metrics,
            clock=_now,
            history_limit=self._options.history_limit,
            promote=self._queues.requests.add,
        )

    def _make_reach(self, cluster: Cluster, access: Access) -> Reach:
        return Reach(
            names=self._options.namespaces,
            needs=rights.in_namespace(gate=self._options.gate, admission=self._options.admission),
            cluster=cluster,
            access=access,
            seen=self._events.namespace_read,
        )

    def _concerns(self, policy: PromotionPolicy) -> bool:
        """Whether a policy is for a namespace that we watch; another operator may serve the others."""
        return self._reach is None or any(policy.namespaces.selects(each) for each in self._known.namespaces())

    def _make_policies(self, cluster: Cluster, upkeep: Upkeep) -> PolicyReconciler:
        upkeep.tell(self._queues.upkeep.add)
        return PolicyReconciler(
            known=self._known,
            cluster=cluster,
            upkeep=upkeep,
            metrics=self._metrics,
            clock=_now,
            resync=self._options.resync,
            concerns=self._concerns,
        )

    def _run_all(self, step: Step, jobs: Sequence[Job]) -> None:
        if len(jobs) == 1:
            step(jobs[0])
            return
        for future in [self._images.submit(copy_context().run, step, job) for job in jobs]:
            future.result()

    def _make_gauges(self) -> None:
        watch = self._metrics.watch
        self._metrics.watch_each("requests", self._known.phases)
        watch("queue_depth", self._queues.requests.depth)
        watch("queue_oldest_seconds", self._known.oldest_seconds)
        watch("copy_blobs", lambda: self._copier.moving)
        watch("copy_memory_bytes", lambda: self._copier.memory)

    def _checks(self) -> dict[str, dict[str, Callable[[], str | None]]]:
        return {
            "/healthz": {"watch": self._check_watch, "queue": self._check_queues},
            "/readyz": {"watch": self._check_seen, "namespaces": self._check_reach},
        }

    def _check_watch(self) -> str | None:
        if not self._watches.have_begun:
            return None  # a standby does not watch
        if not self._watches.are_alive:
            return "the watches have ended"
        silence = max(self._pulse.silence() or 0.0, self._watches.silence())
        if silence > _MAX_SILENCE:
            return f"nothing was heard for {silence:.0f} s, though the lease is renewed"
        return None

    def _check_queues(self) -> str | None:
        if not self._watches.have_begun or all(queue.is_alive for queue in self._all_queues()):
            return None
        return "worker threads have ended"

    def _check_seen(self) -> str | None:
        if self._stopping.is_set():
            return "stopping"
        if self._leader.is_leading and self._pulse.silence() is None:
            return "the first lists have not come yet"
        return None

    def _check_reach(self) -> str | None:
        if self._reach is None or self._reach.turn.names:
            return None
        return "none of those in TRANSSHIP_NAMESPACES can be watched; the log says why"


def _now() -> datetime:
    return datetime.now(UTC)
